//! Data sets: looking at their content, and setting a folder once for all runs.

use anyhow::{Context, Result};
use serde_json::json;
use shared::api::RunState;
use tests::{App, Browser, small_run, write_pictures};

#[tokio::test]
async fn a_folder_is_pointed_to_once_and_trained_on() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/data")).await?;
    browser.sees("Built in").await?;
    browser.find("//section[.//h2='Handwritten digits, 8×8']//summary").await?.click().await?;
    browser.sees("Images of each class").await?;
    browser.find("ul.samples img[src^='data:image/png']").await?;

    let folder = tempfile::tempdir()?;
    let path = folder.path().to_str().context("the folder's name is UTF-8")?;
    let card = "//section[.//h2='A folder of images']";
    browser.find(&format!("{card}//button[normalize-space()='Use a folder…']")).await?.click().await?;
    // An empty folder is refused, and the message at the field says what it should contain.
    browser.fill("Folder on the server", path).await?;
    // Check the console now: the refusal that follows is also reported there by the browser.
    browser.is_quiet().await?;
    browser.click("Use this folder").await?;
    browser.sees("holds no folder train").await?;

    for (part, class) in [("train", "dark"), ("train", "light"), ("val", "dark"), ("val", "light")] {
        write_pictures(&folder.path().join(part).join(class), if class == "dark" { 40 } else { 200 })?;
    }
    browser.click("Use this folder").await?;
    browser.find(&format!("{card}//span[normalize-space()='Ready']")).await?;
    browser.sees(path).await?;
    browser.find(&format!("{card}//summary")).await?.click().await?;
    browser.sees("4 for training, 4 for testing").await?;

    // A run that names no folder uses this one.
    let mut config = small_run(2);
    config["data"] = json!({"dataset": "image_folder", "image_size": 8});
    let run = app.succeeded(&config).await?;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(run.config.data().and_then(|data| data.path.as_deref()), Some(path));

    browser.click("Forget this folder").await?;
    browser.find(&format!("{card}//span[normalize-space()='Not here']")).await?;
    Ok(())
}
