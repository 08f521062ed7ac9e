//! Submits the demo experiment to a server that has just been started.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::api::Api;

/// How long the server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits for the server, submits the demo preset and returns the link to the run.
///
/// Returns `None` if the server was stopped meanwhile.
pub fn submit(base: &str, token: Option<&str>, server: &mut Child) -> Result<Option<String>> {
    let api = Api::new(base, token);
    let started = Instant::now();
    while !api.is_healthy() {
        if let Some(status) = server.try_wait()? {
            if status.success() {
                return Ok(None);
            }
            bail!("the server stopped before it answered ({status}): see its messages above");
        }
        if started.elapsed() > START_LIMIT {
            bail!("the server has not answered for {} s: see its messages above", START_LIMIT.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
    let presets = api.get("/api/presets").context("cannot read the presets")?;
    let config = demo_config(&presets).context("the server has no preset `demo`")?;
    let run = api.post("/api/runs", config).context("cannot submit the demo")?;
    let id = run["id"].as_str().context("the server did not tell the id of the demo run")?;
    Ok(Some(link(base, id, token)))
}

/// Returns the address of a run. With a token, the link signs the browser in.
fn link(base: &str, id: &str, token: Option<&str>) -> String {
    let query = token.map(|token| format!("?token={token}")).unwrap_or_default();
    format!("{base}/runs/{id}{query}")
}

fn demo_config(presets: &Value) -> Option<&Value> {
    presets.as_array()?.iter().find(|preset| preset["id"] == "demo")?.get("config")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_link_carries_the_token() {
        assert_eq!(link("http://a:1", "r-1", None), "http://a:1/runs/r-1");
        assert_eq!(link("http://a:1", "r-1", Some("secret")), "http://a:1/runs/r-1?token=secret");
    }

    #[test]
    fn the_demo_is_found_among_the_presets() {
        let presets = json!([{ "id": "digits", "config": 1 }, { "id": "demo", "config": 2 }]);
        assert_eq!(demo_config(&presets), Some(&json!(2)));
        assert_eq!(demo_config(&json!([])), None);
        assert_eq!(demo_config(&json!({ "title": "Not Found" })), None);
    }
}
