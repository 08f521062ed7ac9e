//! Behind proxies: the headers that nginx, Caddy and JupyterHub send, as docs/proxies.md sets them up.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use shared::api::NewLink;

use crate::support::{Answer, TestServer};

async fn ask(server: &TestServer, method: Method, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    server.send(builder.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_change_comes_through_a_proxy_on_another_port_without_tls() {
    let server = TestServer::start_with(|settings| settings.allowed_hosts = vec!["lens.lab".into()]).await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}/cancel", run.id);
    for headers in [
        // `proxy_set_header Host $host` leaves the port out.
        vec![("host", "lens.lab"), ("origin", "http://lens.lab:8080")],
        vec![("host", "lens.lab:8080"), ("origin", "http://lens.lab:8080")],
        // Without it nginx sends the address of the inside.
        vec![("host", "127.0.0.1:8000"), ("origin", "http://lens.lab:8080")],
        vec![("host", "127.0.0.1:8000"), ("x-forwarded-host", "gpu:8080"), ("origin", "http://gpu:8080")],
        vec![("host", "lens.lab"), ("x-forwarded-proto", "https"), ("sec-fetch-site", "same-origin"), ("origin", "https://lens.lab")],
    ] {
        ask(&server, Method::POST, &uri, &headers).await.assert_problem(409, "run-finished", None);
    }
    for headers in [
        vec![("host", "127.0.0.1:8000"), ("origin", "http://127.0.0.1:8080")],
        vec![("host", "lens.lab"), ("origin", "http://evil.example:8080")],
        vec![("host", "lens.lab"), ("origin", "http://evil.example/lens.lab")],
        vec![("host", "lens.lab"), ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    ] {
        ask(&server, Method::POST, &uri, &headers).await.assert_problem(403, "cross-site", None);
    }
    let refused = ask(&server, Method::POST, &uri, &[("host", "127.0.0.1:8000"), ("origin", "http://gpu:8080")]).await;
    let problem = refused.assert_problem(403, "cross-site", None);
    assert!(problem.detail.contains("--allowed-host gpu"), "{problem:?}");
    // A name that was made to point here comes with itself as its origin.
    let rebound = [("host", "evil.example:8000"), ("origin", "http://evil.example:8000")];
    ask(&server, Method::POST, &uri, &rebound).await.assert_problem(421, "unknown-host", Some("Host"));
}

#[tokio::test]
async fn the_name_of_a_jupyterhub_user_is_one_path_however_it_is_spelled() {
    let server = TestServer::start_with(|settings| settings.base_path = "/user/ada@lab.org/lens".into()).await;
    let host = [("host", "localhost:8000")];
    for prefix in ["/user/ada@lab.org/lens", "/user/ada%40lab.org/lens", "/user/ad%61%40lab.org/lens", ""] {
        let page = ask(&server, Method::GET, &format!("{prefix}/runs/x"), &host).await;
        assert_eq!(page.status, StatusCode::OK, "{prefix}");
        assert!(page.text().contains("<base href=\"/user/ada@lab.org/lens/\">"), "{prefix}: {}", page.text());
        assert_eq!(ask(&server, Method::GET, &format!("{prefix}/app.js"), &host).await.text(), "export {}", "{prefix}");
        assert_eq!(ask(&server, Method::GET, &format!("{prefix}/api/health"), &host).await.status, StatusCode::OK, "{prefix}");
    }
    let run = server.finish("done").await;
    let share: NewLink = server.post("/api/shares", &json!({"view": format!("/runs/{}", run.id)})).await.json();
    let page = ask(&server, Method::GET, &format!("/user/ada%40lab.org/lens/{}", share.path), &host).await.text();
    let picture = format!("og:image\" content=\"http://localhost:8000/user/ada@lab.org/lens/api/shares/{}/preview.png\"", share.token);
    assert!(page.contains(&picture), "{page}");
}

#[tokio::test]
async fn the_preview_of_a_share_is_at_the_public_address() {
    let check = async |public: Option<&str>, allowed: &[&str], base: &str, headers: &[(&str, &str)], expected: &str| {
        let server = TestServer::start_with(|settings| {
            settings.public_url = public.map(str::to_owned);
            settings.allowed_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
            settings.base_path = base.into();
        })
        .await;
        let run = server.finish("done").await;
        let share: NewLink = server.post("/api/shares", &json!({"view": format!("/runs/{}", run.id)})).await.json();
        let page = ask(&server, Method::GET, &format!("/{}", share.path), headers).await.text();
        let picture = format!("og:image\" content=\"{expected}/api/shares/{}/preview.png\"", share.token);
        assert!(page.contains(&picture), "{expected}: {page}");
        assert!(page.contains(&format!("og:url\" content=\"{expected}/s/")), "{expected}: {page}");
    };
    let inside = ("host", "127.0.0.1:8000");
    check(None, &[], "", &[inside], "http://127.0.0.1:8000").await;
    check(None, &[], "", &[inside, ("x-forwarded-proto", "https"), ("x-forwarded-host", "lens.lab")], "https://lens.lab").await;
    check(None, &[], "", &[inside, ("x-forwarded-host", "lens.lab"), ("x-forwarded-port", "8080")], "http://lens.lab:8080").await;
    check(None, &[], "", &[inside, ("forwarded", "proto=https;host=lens.lab")], "https://lens.lab").await;
    check(None, &["lens.lab"], "/x", &[inside, ("x-forwarded-proto", "https")], "https://lens.lab/x").await;
    check(None, &["lens.lab"], "", &[("host", "lens.lab:8080")], "http://lens.lab:8080").await;
    check(Some("https://lens.lab:8443"), &[], "/x", &[inside, ("x-forwarded-host", "other.lab")], "https://lens.lab:8443/x").await;
    check(Some("https://hub.lab/user/ada"), &[], "", &[inside], "https://hub.lab/user/ada").await;
}
