//! Deleting a run by mistake and on purpose, and the disk space that runs take.

use anyhow::Result;
use serde_json::json;
use tests::{App, Browser, small_run};

#[tokio::test]
async fn a_deleted_run_comes_back_by_undo_or_from_the_trash_until_it_is_deleted_for_good() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?;
    let page = app.url(&format!("/runs/{}", run.id));
    browser.goto(&page).await?;
    browser.click("Delete").await?;
    browser.sees("goes to the trash and can be restored for 7 days.").await?;
    browser.click("Delete 1 run").await?;
    // The list of runs says it, and takes it back.
    browser.sees("1 run is in the trash.").await?;
    browser.sees("See robust overfitting").await?;
    browser.is_accessible().await?;
    browser.click("Undo").await?;
    browser.sees("1 run is restored.").await?;
    browser.click("Small run").await?;
    browser.sees("Disk space").await?;

    browser.click("Delete").await?;
    browser.click("Delete 1 run").await?;
    browser.sees("1 run is in the trash.").await?;
    browser.goto(&page).await?;
    browser.sees("is in the trash; restore it first.").await?;
    browser.click("Open the trash").await?;
    browser.sees("Deleted runs stay here for 7 days.").await?;
    browser.is_accessible().await?;
    browser.click("Restore Small run").await?;
    browser.sees("1 run is restored.").await?;
    browser.sees("The trash is empty").await?;
    assert_eq!(app.run(&run.id).await?.summary, run.summary);

    let deleted = app.ask("/api/run-actions", &json!({"action": "delete", "ids": [run.id]})).await?;
    assert!(deleted["outcomes"][0]["problem"].is_null(), "{deleted}");
    browser.goto(&app.url("/trash")).await?;
    browser.click("Empty").await?;
    browser.sees("will be gone for good.").await?;
    browser.click("Delete 1 run for good").await?;
    browser.sees("1 run is deleted for good.").await?;
    browser.sees("The trash is empty").await?;
    assert!(!app.run_dir(&run.id).exists());
    Ok(())
}

#[tokio::test]
async fn the_form_says_how_much_a_run_will_write_and_whether_it_fits() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/new?preset=cifar10")).await?;
    browser.sees("Leaves about").await?;
    browser.sees("4 checkpoints of 42.").await?;
    browser.click_on("//summary[contains(., 'Checkpoints and attribution')]").await?;
    browser.fill("Also keep every … epochs", "1").await?;
    browser.sees("200 checkpoints of 42.").await?;
    browser.fill("Of these, at most …", "0").await?;
    browser.sees("0 is out of range; 1 to 10000").await?;
    browser.fill("Of these, at most …", "5").await?;
    // Five newest, with the last among them; two epochs by name; the best.
    browser.sees("8 checkpoints of 42.").await?;
    browser.fill("Of these, at most …", "200").await?;
    browser.fill("Width", "2048").await?;
    browser.sees("This will write about").await?;
    browser.is_accessible().await?;
    browser.is_quiet().await?;
    Ok(())
}
