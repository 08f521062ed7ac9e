//! Lanes beyond this machine on the pages: tried, waited for, and left.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};
use shared::api::RunState;
use tests::{App, Browser, small_run, until};

/// Two lanes by commands: one starts processes of this machine, the other refuses.
const LANES: &str = r#"
poll_secs = 1
[[lane]]
name = "box"
kind = "command"
submit = 'cat > "$JOB_DIR/job.sh"; (setsid bash "$JOB_DIR/job.sh" < /dev/null > /dev/null 2>&1 & echo $!)'
stop = 'kill -TERM -- "-$JOB_ID"'
list = "ps -eo pid=,stat= | awk '$2 !~ /Z/ { print $1, \"running\", \"node-7\" }'"
try = "bash"
auto = false
[[lane]]
name = "full"
kind = "command"
submit = "echo the account is over its quota >&2; exit 1"
stop = "true"
list = "true"
auto = false
"#;

fn on(lane: &str, epochs: u32) -> Value {
    let mut config = small_run(epochs);
    config["device"] = json!(lane);
    config
}

#[tokio::test]
async fn a_lane_is_tried_and_runs_show_where_they_are_and_why_they_wait() -> Result<()> {
    let app = App::start_with(|data| Ok(fs::write(data.join("lanes.toml"), LANES)?)).await?;
    let browser = Browser::open().await?;
    browser.goto(&app.url("/system")).await?;
    browser.sees("by `cat`").await?;
    browser.click("Try it: box").await?;
    browser.sees("A worker with libtorch").await?;
    browser.is_accessible().await?;

    let run = app.submit(&on("box", 10_000)).await?;
    browser.goto(&app.url(&format!("/runs/{}", run.id))).await?;
    browser.sees("on node-7").await?;
    let waiting = app.submit(&on("full", 2)).await?;
    browser.goto(&app.url("/queue")).await?;
    browser.sees("This lane is down").await?;
    browser.sees("over its quota").await?;
    browser.is_accessible().await?;
    browser.find("select[aria-label='Lane of Small run'] option[value=cpu]").await?.click().await?;
    until("the run has left the lane", async || Ok((app.run(&waiting.id).await?.state == RunState::Succeeded).then_some(()))).await?;

    app.ask(&format!("/api/runs/{}/cancel", run.id), &json!(null)).await?;
    assert_eq!(app.finished(&run.id).await?.state, RunState::Canceled);
    browser.goto(&app.url("/new")).await?;
    browser.sees("box (Commands: by `cat`)").await?;
    browser.is_quiet().await
}
