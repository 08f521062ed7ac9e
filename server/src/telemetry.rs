//! Numbers for monitoring: what `/metrics` answers, in the text format of OpenMetrics.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::state::AppState;

/// Media type of the text that [`Telemetry::text`] returns.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the server counts, and the registry that writes it.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    runs: Family<StateLabels, Gauge>,
    problems: Gauge,
    worker_ready: Gauge,
    free_disk: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// What is true at the time of a scrape.
#[derive(Debug)]
pub struct Now {
    /// Number of runs in each state, by the state's name.
    pub runs: Vec<(&'static str, u32)>,
    pub problems: usize,
    pub worker_ready: bool,
    pub free_disk_bytes: u64,
}

impl Default for Telemetry {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("crosslens");
        let requests = Family::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        let durations = Family::new_with_constructor(durations as fn() -> Histogram);
        let help = "Time from a request to the headers of its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, durations.clone());
        let runs = Family::default();
        registry.register("runs", "Runs in each state", runs.clone());
        let problems = Gauge::default();
        registry.register("problems", "Problems that need attention; GET /api/health names them", problems.clone());
        let worker_ready = Gauge::default();
        registry.register("worker_ready", "1 if the worker program can run", worker_ready.clone());
        let free_disk = Gauge::default();
        registry.register_with_unit("disk_free", "Free space of the data directory", Unit::Bytes, free_disk.clone());
        Telemetry { registry, requests, durations, runs, problems, worker_ready, free_disk }
    }
}

/// 1 ms to 16 s.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 8))
}

impl Telemetry {
    fn answered(&self, method: &Method, route: &str, status: u16, duration: Duration) {
        let route = route.to_owned();
        self.durations.get_or_create(&RouteLabels { route: route.clone() }).observe(duration.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method: known(method), route, status }).inc();
    }

    /// All numbers as text, with those of `now`.
    pub fn text(&self, now: &Now) -> Result<String, std::fmt::Error> {
        for (state, count) in &now.runs {
            self.runs.get_or_create(&StateLabels { state }).set(i64::from(*count));
        }
        self.problems.set(i64::try_from(now.problems).unwrap_or(i64::MAX));
        self.worker_ready.set(i64::from(now.worker_ready));
        self.free_disk.set(now.free_disk_bytes as f64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// The name of a method. Clients may invent methods, and each name would be counted on its own.
fn known(method: &Method) -> &'static str {
    let all = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    all.into_iter().find(|name| method.as_str() == *name).unwrap_or("other")
}

/// Counts each request and times its answer. Requests for files of the frontend have the route `files`.
pub async fn observe(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("files", MatchedPath::as_str).to_owned();
    let start = Instant::now();
    let response = next.run(request).await;
    state.telemetry.answered(&method, &route, response.status().as_u16(), start.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_are_counted_as_one() {
        let telemetry = Telemetry::default();
        for method in ["BREW", "WHEN", "GET"] {
            telemetry.answered(&Method::from_bytes(method.as_bytes()).unwrap(), "files", 404, Duration::from_millis(2));
        }
        let now = Now { runs: vec![("queued", 3)], problems: 0, worker_ready: true, free_disk_bytes: 5 };
        let text = telemetry.text(&now).unwrap();
        for line in [
            "crosslens_http_requests_total{method=\"other\",route=\"files\",status=\"404\"} 2",
            "crosslens_http_requests_total{method=\"GET\",route=\"files\",status=\"404\"} 1",
            "crosslens_http_request_duration_seconds_count{route=\"files\"} 3",
            "crosslens_runs{state=\"queued\"} 3",
            "crosslens_worker_ready 1",
            "crosslens_disk_free_bytes 5.0",
        ] {
            assert!(text.lines().any(|given| given == line), "{line} in\n{text}");
        }
    }
}
