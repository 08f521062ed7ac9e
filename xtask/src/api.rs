//! Calls to a server that xtask has started.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use ureq::Agent;

const REQUEST_LIMIT: Duration = Duration::from_secs(10);

/// A server on this machine.
pub struct Api<'a> {
    base: &'a str,
    agent: Agent,
    /// Value of the `Authorization` header, if the server has a token.
    authorization: Option<String>,
}

impl<'a> Api<'a> {
    pub fn new(base: &'a str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(REQUEST_LIMIT))
            // The body of an error response says what is wrong.
            .http_status_as_error(false)
            // The server is on this machine.
            .proxy(None)
            .build();
        let authorization = token.map(|token| format!("Bearer {token}"));
        Self { base, agent: config.into(), authorization }
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.call()?)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        read(request.content_type("application/json").send(body.to_string())?)
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let body = response.body_mut().read_to_string()?;
    if status == 401 {
        bail!("the server has another token: give it with --token or CROSSLENS_TOKEN, so that xtask knows it too");
    }
    if !status.is_success() {
        bail!("the server answered {status}: {}", body.trim());
    }
    serde_json::from_str(&body).context("the server did not answer in JSON")
}
