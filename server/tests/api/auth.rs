//! Who may ask: tokens, other sites, other names.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;
use shared::api::NewLink;

use crate::support::{Answer, TestServer, config, request};

const TOKEN: &str = "0123456789abcdef0123";

async fn ask(server: &TestServer, method: Method, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut builder = request(method, uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    server.send(builder.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn with_a_token_only_share_links_and_the_frontend_are_open() {
    let server = TestServer::start_with(|settings| settings.token = Some(TOKEN.into())).await;
    let bearer = format!("Bearer {TOKEN}");
    let send = async |uri: &str, body: serde_json::Value| {
        let builder = request(Method::POST, uri).header(header::AUTHORIZATION, &bearer).header(header::CONTENT_TYPE, "application/json");
        let answer = server.send(builder.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer
    };
    let run: shared::api::Run = send("/api/runs", config("done")).await.json();
    let share: NewLink = send("/api/shares", json!({"view": format!("/runs/{}", run.id)})).await.json();

    let shared = format!("/api/shares/{}", share.token);
    let preview = format!("{shared}/preview.png");
    let page = format!("/s/{}", share.token);
    for uri in ["/", "/app.js", "/runs", shared.as_str(), preview.as_str(), page.as_str(), "/api/openapi.json"] {
        assert_eq!(server.get(uri).await.status, StatusCode::OK, "{uri} is open");
    }

    let run = format!("/api/runs/{}", run.id);
    let closed = [
        (Method::GET, "/api/health".to_owned()),
        (Method::GET, "/metrics".to_owned()),
        (Method::GET, "/api/presets".to_owned()),
        (Method::GET, "/api/datasets".to_owned()),
        (Method::GET, "/api/runs".to_owned()),
        (Method::POST, "/api/runs".to_owned()),
        (Method::GET, run.clone()),
        (Method::DELETE, run.clone()),
        (Method::POST, format!("{run}/cancel")),
        (Method::GET, format!("{run}/metrics")),
        (Method::GET, format!("{run}/metrics.csv")),
        (Method::GET, format!("{run}/events")),
        (Method::GET, format!("{run}/log")),
        (Method::GET, format!("{run}/checkpoints")),
        (Method::GET, "/api/checkpoints/x.e1/file".to_owned()),
        (Method::GET, "/api/attributions/x.e1.clean".to_owned()),
        (Method::GET, "/api/comparisons".to_owned()),
        (Method::GET, "/api/shares".to_owned()),
        (Method::POST, "/api/shares".to_owned()),
        (Method::DELETE, shared.clone()),
    ];
    for (method, uri) in closed {
        let answer = ask(&server, method, &uri, &[]).await;
        answer.assert_problem(401, "unauthorized", None);
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Bearer");
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let bearer = format!("{scheme} {TOKEN}");
        assert_eq!(ask(&server, Method::GET, "/api/runs", &[("authorization", &bearer)]).await.status, StatusCode::OK, "{scheme}");
    }
    ask(&server, Method::GET, "/api/runs", &[("authorization", "Bearer 0123456789abcdef0124")]).await.assert_problem(
        401,
        "unauthorized",
        None,
    );
}

#[tokio::test]
async fn a_link_with_the_token_signs_in() {
    let server = TestServer::start_with(|settings| {
        settings.token = Some(TOKEN.into());
        settings.base_path = "/lens".into();
    })
    .await;
    let answer = server.get(&format!("/lens/runs/x?token={TOKEN}&tab=log")).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/lens/runs/x?tab=log"));
    let cookie = answer.header(header::SET_COOKIE);
    assert!(cookie.starts_with("crosslens_session=") && cookie.contains("; Path=/lens/; HttpOnly; SameSite=Lax"), "{cookie}");
    let session = [("cookie", cookie.split(';').next().unwrap())];
    assert_eq!(ask(&server, Method::GET, "/lens/api/runs", &session).await.status, StatusCode::OK);
    server.get("/?token=wrong").await.assert_problem(401, "unauthorized", Some("token"));
    let elsewhere = server.get(&format!("//evil.example/?token={TOKEN}")).await;
    assert!(elsewhere.header(header::LOCATION).starts_with("/lens/evil.example/"), "{}", elsewhere.header(header::LOCATION));
}

#[tokio::test]
async fn another_site_cannot_change_anything() {
    let server = TestServer::start_with(|settings| settings.allowed_hosts = vec!["lens.example.org".into()]).await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}", run.id);
    for headers in [
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
    ] {
        ask(&server, Method::DELETE, &uri, &headers).await.assert_problem(403, "cross-site", None);
        assert_eq!(ask(&server, Method::GET, &uri, &headers).await.status, StatusCode::OK, "{headers:?}");
    }
    for headers in [
        vec![("sec-fetch-site", "same-origin"), ("origin", "https://proxied.example")],
        vec![("origin", "http://localhost:8000")],
        vec![("origin", "https://lens.example.org")],
        vec![],
    ] {
        ask(&server, Method::POST, &format!("{uri}/cancel"), &headers).await.assert_problem(409, "run-finished", None);
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here_is_refused() {
    let server = TestServer::start_with(|settings| settings.allowed_hosts = vec!["lens.example.org".into()]).await;
    let get = |host: &str| Request::builder().uri("/api/runs").header(header::HOST, host).body(Body::empty()).unwrap();
    let problem = server.send(get("evil.example:8000")).await.assert_problem(421, "unknown-host", Some("Host"));
    assert!(problem.detail.contains("--allowed-host evil.example"), "{problem:?}");
    for host in ["localhost:8000", "127.0.0.1:8000", "lens.example.org"] {
        assert_eq!(server.send(get(host)).await.status, StatusCode::OK, "{host}");
    }
    let server = TestServer::start_with(|settings| settings.token = Some(TOKEN.into())).await;
    let answer = server.send(get("gpu-box.lab:8000")).await;
    answer.assert_problem(401, "unauthorized", None);
}
