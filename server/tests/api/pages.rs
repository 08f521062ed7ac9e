//! The frontend's files and page, and what share links tell other programs.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::api::NewLink;

use crate::support::{TestServer, request};

#[tokio::test]
async fn every_address_of_the_application_is_its_page() {
    let server = TestServer::start().await;
    for uri in ["/", "/index.html", "/runs", "/runs/at-digits-7f3a", "/attributions/at-digits-7f3a.e12.adversarial", "/compare?a=x&b=y"] {
        let page = server.get(uri).await;
        assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (StatusCode::OK, "text/html; charset=utf-8"), "{uri}");
        assert!(page.text().contains("<base href=\"/\">") && !page.text().contains("<!-- head -->"), "{}", page.text());
    }
    for uri in ["/missing.js", "/assets/missing.wasm", "/api/nothing", "/api"] {
        server.get(uri).await.assert_problem(404, "route-not-found", None);
    }
    server.call(Method::POST, "/runs").await.assert_problem(405, "method-not-allowed", None);
}

#[tokio::test]
async fn files_come_typed_compressed_and_revalidated() {
    let server = TestServer::start().await;
    let wasm = server.get("/app.wasm").await;
    assert_eq!((wasm.header(header::CONTENT_TYPE), wasm.body.as_slice()), ("application/wasm", b"\0asm".as_slice()));
    assert_eq!(wasm.header(header::CACHE_CONTROL), "no-cache");
    let compressed: [(&str, &str, &[u8]); 2] =
        [("gzip", "gzip", b"a compressed module"), ("gzip, deflate, br, zstd", "br", b"a smaller one")];
    for (accepted, encoding, body) in compressed {
        let wasm = request(Method::GET, "/app.wasm").header(header::ACCEPT_ENCODING, accepted).body(Default::default()).unwrap();
        let wasm = server.send(wasm).await;
        assert_eq!((wasm.header(header::CONTENT_ENCODING), wasm.header(header::CONTENT_TYPE)), (encoding, "application/wasm"));
        assert_eq!(wasm.body, body);
    }

    let immutable = server.get("/app-0123/frontend.js").await;
    assert_eq!(immutable.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    let missing = server.get("/app-0123/missing.js").await;
    assert_eq!((missing.status, missing.header(header::CACHE_CONTROL)), (StatusCode::NOT_FOUND, "no-cache"));

    let script = server.get("/app.js").await;
    assert_eq!(script.header(header::CONTENT_TYPE), "text/javascript");
    let known = request(Method::GET, "/app.js").header(header::IF_NONE_MATCH, script.header(header::ETAG));
    assert_eq!(server.send(known.body(Default::default()).unwrap()).await.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn files_outside_the_frontend_are_not_served() {
    let server = TestServer::start().await;
    for uri in ["/../worker.sh", "/%2e%2e/worker.sh", "/..%2fworker.sh", "//worker.sh", "/web/../../worker.sh"] {
        let answer = server.get(uri).await;
        assert!(!answer.text().contains("#!/bin/sh"), "{uri}");
    }
}

#[tokio::test]
async fn every_response_carries_the_policy() {
    let server = TestServer::start().await;
    for uri in ["/", "/app.js", "/api/health", "/api/nothing", "/api/runs/none"] {
        let answer = server.get(uri).await;
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"), "{uri}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"), "{uri}: {policy}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::REFERRER_POLICY), "no-referrer");
    }
}

#[tokio::test]
async fn a_share_tells_other_programs_its_title_and_picture() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let view = format!("/compare?a={0}.e1.adversarial&b={0}.e2.adversarial", run.id);
    let share: NewLink = server.post("/api/shares", &json!({"view": view, "title": "\"><script>alert('1')</script>"})).await.json();

    let page = server.get(&format!("/{}", share.path)).await.text();
    assert!(page.contains("og:title\" content=\"&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;\""), "{page}");
    assert!(page.contains("content=\"Class-wise feature attribution: CAS 8.00 → 4.00 (−4.00).\""), "{page}");
    let picture = format!("og:image\" content=\"http://localhost:8000/api/shares/{}/preview.png\"", share.token);
    assert!(page.contains(&picture), "{page}");
    assert!(!page.contains("<script"), "{page}");

    let behind_proxy = request(Method::GET, &format!("/{}", share.path))
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "lens.example.org, inner\"<")
        .body(Default::default());
    let page = server.send(behind_proxy.unwrap()).await.text();
    assert!(page.contains("content=\"https://lens.example.org/api/shares/"), "{page}");

    for uri in ["/s/0000000000000000000000000000000000000000", "/s/nothing"] {
        let page = server.get(uri).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(!page.text().contains("og:"), "{}", page.text());
    }
}

#[tokio::test]
async fn the_application_lives_under_a_prefix_with_and_without_it() {
    let server = TestServer::start_with(|settings| settings.base_path = "/lab/lens".into()).await;
    for uri in ["/lab/lens/", "/lab/lens", "/lab/lens/runs/x", "/runs/x"] {
        let page = server.get(uri).await;
        assert_eq!(page.status, StatusCode::OK, "{uri}");
        assert!(page.text().contains("<base href=\"/lab/lens/\">"), "{uri}: {}", page.text());
    }
    for uri in ["/lab/lens/api/health", "/api/health", "/lab/lens/app.js"] {
        assert_eq!(server.get(uri).await.status, StatusCode::OK, "{uri}");
    }
    server.get("/lab/lens/api/nothing").await.assert_problem(404, "route-not-found", None);
    let document: Value = server.get("/lab/lens/api/openapi.json").await.json();
    assert_eq!(document["servers"][0]["url"], "/lab/lens");

    let run = server.finish("done").await;
    let share: NewLink = server.post("/api/shares", &json!({"view": format!("/runs/{}", run.id)})).await.json();
    let page = server.get(&format!("/lab/lens/{}", share.path)).await.text();
    let picture = format!("content=\"http://localhost:8000/lab/lens/api/shares/{}/preview.png\"", share.token);
    assert!(page.contains(&picture), "{page}");
}

#[tokio::test]
async fn without_a_frontend_there_is_only_the_api() {
    let server = TestServer::start_with(|settings| settings.web = None).await;
    let problem = server.get("/").await.assert_problem(404, "route-not-found", None);
    assert!(problem.detail.contains("--web"), "{problem:?}");
    assert_eq!(server.get("/api/health").await.status, StatusCode::OK);
}
