//! Pages that follow runs: many at once, and after the run has ended or disappeared.

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use shared::api::RunState;
use tests::{App, Browser, small_run, until};

/// More than the six connections that a browser opens to a host.
const TABS: usize = 8;

#[tokio::test]
async fn eight_tabs_with_live_and_queued_runs_leave_the_application_free() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let mut runs = Vec::new();
    for _ in 0..TABS {
        runs.push(app.submit(&small_run(10_000)).await?.id);
    }
    let mut tabs = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        tabs.push(if number == 0 { browser.tab().await? } else { browser.new_tab().await? });
        browser.goto(&app.url(&format!("/runs/{run}"))).await?;
        browser.sees(if number == 0 { "Training · epoch" } else { "Queued" }).await?;
    }
    // Each page still receives changes of its run, whichever tab holds the stream.
    browser.switch_to(&tabs[0]).await?;
    browser.click("Cancel").await?;
    browser.sees("Canceled").await?;
    until("the server has heard it", async || Ok((app.run(&runs[0]).await?.state == RunState::Canceled).then_some(()))).await?;
    browser.switch_to(&tabs[1]).await?;
    browser.sees("Training · epoch").await?;
    browser.switch_to(&tabs[TABS - 1]).await?;
    let last = &runs[TABS - 1];
    anyhow::ensure!(app.send(Method::POST, &format!("/api/runs/{last}/cancel")).await? == 200);
    browser.sees("Canceled").await?;
    browser.is_quiet().await
}

#[tokio::test]
async fn without_shared_workers_a_tab_holds_a_stream_only_while_it_is_in_sight() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let script = "delete window.SharedWorker;
        window.opened = [];
        const Own = window.EventSource;
        window.EventSource = class extends Own { constructor(url) { super(url); opened.push(this); } };
        window.inSight = true;
        Object.defineProperty(document, 'hidden', { get: () => !inSight });";
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await?;
    let run = app.submit(&small_run(10_000)).await?.id;
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.sees("Training · epoch").await?;
    let states = async || browser.script("return opened.map(source => source.readyState).join()").await;
    until("one stream is open", async || Ok((states().await? == json!("1")).then_some(()))).await?;
    let turn = async |in_sight: bool| {
        browser.script(&format!("inSight = {in_sight}; document.dispatchEvent(new Event('visibilitychange'))")).await
    };
    turn(false).await?;
    assert_eq!(states().await?, json!("2"), "nobody looks, so it is closed");
    anyhow::ensure!(app.send(Method::POST, &format!("/api/runs/{run}/cancel")).await? == 200);
    app.finished(&run).await?;
    anyhow::ensure!(!browser.text().await?.contains("Canceled"), "the page has not heard of it");
    turn(true).await?;
    browser.sees("Canceled").await?;
    until("a stream is open again", async || Ok((states().await? == json!("2,1")).then_some(()))).await?;
    browser.is_quiet().await
}

#[tokio::test]
async fn a_page_says_when_its_run_was_deleted_or_its_server_is_gone() -> Result<()> {
    let mut app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?.id;
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.sees("Succeeded").await?;
    app.stop().await?;
    browser.sees("The server cannot be reached").await?;
    app.start_again(&[])?;
    until("the page has found the server again", async || Ok((!browser.text().await?.contains("cannot be reached")).then_some(()))).await?;
    until("the run is deleted", async || Ok((app.send(Method::DELETE, &format!("/api/runs/{run}")).await.ok() == Some(204)).then_some(())))
        .await?;
    browser.sees("This run was deleted").await?;
    let text = browser.text().await?;
    anyhow::ensure!(!text.contains("cannot be reached"), "{text}");
    browser.is_accessible().await
}

#[tokio::test]
async fn the_log_is_read_to_its_beginning() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.succeeded(&small_run(2)).await?.id;
    let lines: String = (0..3000).map(|number| format!("line {number} of the log\n")).collect();
    std::fs::write(app.run_dir(&run).join("log.txt"), lines)?;
    browser.goto(&app.url(&format!("/runs/{run}"))).await?;
    browser.find("//summary[.='Log']").await?.click().await?;
    browser.sees("line 2999 of").await?;
    anyhow::ensure!(!browser.text().await?.contains("line 2699 of"));
    browser.click("Load earlier lines").await?;
    browser.sees("line 700 of").await?;
    browser.click("Load earlier lines").await?;
    browser.sees("line 0 of").await?;
    anyhow::ensure!(!browser.text().await?.contains("Load earlier lines"), "nothing is above the first line");
    let shown = browser.find("pre[aria-label=Log]").await?.text().await?;
    assert_eq!(shown.lines().count(), 3000, "each line is there once");
    let whole = browser.find("//a[.='Download the whole log']").await?.prop("href").await?.unwrap_or_default();
    assert_eq!(reqwest::get(whole).await?.text().await?.lines().count(), 3000);
    browser.is_quiet().await
}

#[tokio::test]
async fn the_application_lives_under_the_path_of_a_jupyterhub_user() -> Result<()> {
    let app = App::start_under("/user/ada@lab.org/j%C3%BCrgen lens").await?;
    let browser = Browser::open().await?;
    let run = app.submit(&small_run(10_000)).await?.id;
    for prefix in ["/user/ada@lab.org/j%C3%BCrgen%20lens", "/user/ada%40lab.org/j%c3%bcrgen%20lens"] {
        browser.goto(&app.url(&format!("{prefix}/runs/{run}"))).await?;
        browser.sees("Training · epoch").await?;
        browser.click("Queue").await?;
        browser.reaches("/user/ada@lab.org/j%C3%BCrgen%20lens/queue").await?;
        browser.sees("1 running").await?;
    }
    browser.goto(&app.url(&format!("/user/ada%40lab.org/j%C3%BCrgen%20lens/runs/{run}"))).await?;
    browser.click("Cancel").await?;
    browser.sees("Canceled").await?;
    browser.is_quiet().await
}

#[tokio::test]
async fn a_share_of_a_live_run_says_of_when_it_is() -> Result<()> {
    let app = App::start().await?;
    let browser = Browser::open().await?;
    let run = app.submit(&small_run(10_000)).await?.id;
    until("an epoch is done", async || Ok((app.run(&run).await?.summary.epoch > 0).then_some(()))).await?;
    let share: shared::api::NewLink = app.create("/api/shares", &json!({"view": format!("/runs/{run}")})).await?;
    browser.goto(&app.url(&format!("/{}", share.path))).await?;
    browser.sees("This run has not finished").await?;
    browser.sees("of 10000. The page does not refresh by itself.").await?;
    browser.is_accessible().await?;
    anyhow::ensure!(app.send(Method::POST, &format!("/api/runs/{run}/cancel")).await? == 200);
    app.finished(&run).await?;
    browser.click("Load the latest").await?;
    until("the view is final", async || {
        let text = browser.text().await?;
        Ok((text.contains("Shared view") && !text.contains("has not finished")).then_some(()))
    })
    .await?;
    browser.is_quiet().await
}
