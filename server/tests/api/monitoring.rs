//! What programs that watch the server ask for.

use std::fs;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use crate::support::{TestServer, request, until};

#[tokio::test]
async fn requests_and_runs_are_counted() {
    let server = TestServer::start().await;
    server.finish("done").await;
    server.get("/api/runs/none").await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = answer.text();
    for line in [
        "crosslens_http_requests_total{method=\"POST\",route=\"/api/runs\",status=\"201\"} 1",
        "crosslens_http_requests_total{method=\"GET\",route=\"/api/runs/{id}\",status=\"404\"} 1",
        "crosslens_runs{state=\"succeeded\"} 1",
        "crosslens_runs{state=\"queued\"} 0",
        "crosslens_worker_ready 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|given| given == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn an_answer_names_its_request() {
    let server = TestServer::start().await;
    let own = server.get("/api/runs").await;
    assert_eq!(own.header("x-request-id").len(), 36, "{}", own.header("x-request-id"));
    let given = request(Method::GET, "/api/runs/none").header("x-request-id", "of-the-proxy").body(Body::empty()).unwrap();
    assert_eq!(server.send(given).await.header("x-request-id"), "of-the-proxy");
}

#[tokio::test]
async fn alive_is_not_ready() {
    // Whoever asks needs no token.
    let server = TestServer::start_with(|settings| settings.token = Some("0123456789abcdef0123".into())).await;
    until(async || server.get("/api/health/ready").await.status == StatusCode::NO_CONTENT).await;
    let server = server.restart(|folder| fs::write(folder.join("broken"), "").unwrap()).await;
    until(async || {
        let answer = server.get("/api/health/ready").await;
        let problem = answer.assert_problem(503, "not-ready", None);
        problem.detail == "the worker program does not start"
    })
    .await;
    assert_eq!(server.get("/api/health/live").await.status, StatusCode::NO_CONTENT);
}
