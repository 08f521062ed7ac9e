//! Signing in and out with a browser.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use crate::support::{Answer, TestServer, request};

const TOKEN: &str = "0123456789abcdef0123";
const PAGE: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const OLD_COOKIE: (&str, &str) = ("cookie", "crosslens_session=of-an-earlier-start");
/// Where earlier versions kept the token.
const FORMER_COOKIE: (&str, &str) = ("cookie", "crosslens_token=0123456789abcdef0123");
const READ_TOKEN: &str = "for-readers-0123456789";

async fn server() -> TestServer {
    TestServer::start_with(|settings| settings.token = Some(TOKEN.into())).await
}

async fn ask(server: &TestServer, method: Method, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut builder = request(method, uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    server.send(builder.body(Body::from(body.to_owned())).unwrap()).await
}

async fn send_form(server: &TestServer, uri: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
    ask(server, Method::POST, uri, &headers, body).await
}

fn cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
}

/// Signs in and returns the cookie of the session.
async fn sign_in(server: &TestServer, token: &str) -> String {
    let answer = send_form(server, "/sign-in", &[PAGE], &format!("token={token}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    cookies(&answer)[0].split(';').next().unwrap().to_owned()
}

#[track_caller]
fn assert_sign_in_page(answer: &Answer, said: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let text = answer.text();
    assert!(text.contains("<form") && text.contains("name=\"token\"") && text.contains(said), "{text}");
    assert_eq!(text.contains("role=\"alert\""), !said.is_empty(), "{text}");
    assert!(!text.contains('{') && !text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn a_browser_without_the_token_gets_a_page_and_a_program_a_problem() {
    let server = server().await;
    for uri in ["/", "/runs/x?epoch=3", "/sign-in"] {
        assert_sign_in_page(&ask(&server, Method::GET, uri, &[PAGE], "").await, "");
        assert_sign_in_page(&ask(&server, Method::GET, uri, &[PAGE, OLD_COOKIE], "").await, "no longer signed in");
        let bearer = format!("Bearer {TOKEN}");
        let page = ask(&server, Method::GET, uri, &[PAGE, ("authorization", &bearer)], "").await;
        assert_eq!(page.status, if uri == "/sign-in" { StatusCode::SEE_OTHER } else { StatusCode::OK }, "{uri}");
        assert!(!page.text().contains("crosslens-signed-in"), "there is nothing to sign out from where a proxy sends the token");
    }
    // What a link in the application would have opened, too.
    assert_sign_in_page(&ask(&server, Method::GET, "/api/runs/x/metrics.csv", &[PAGE], "").await, "");
    for accept in ["application/json", "*/*"] {
        ask(&server, Method::GET, "/api/runs", &[("accept", accept)], "").await.assert_problem(401, "unauthorized", None);
    }
    ask(&server, Method::DELETE, "/api/runs/x", &[PAGE], "").await.assert_problem(401, "unauthorized", None);
    // The page needs its style, and a reader of a share no token.
    assert_eq!(ask(&server, Method::GET, "/app.js", &[PAGE], "").await.status, StatusCode::OK);
    assert!(!ask(&server, Method::GET, "/s/nothing", &[PAGE], "").await.text().contains("<form"));
    let cookie = sign_in(&server, TOKEN).await;
    let page = ask(&server, Method::GET, "/", &[PAGE, ("cookie", &cookie)], "").await;
    assert!(page.status == StatusCode::OK && page.text().contains("crosslens-signed-in"), "{}", page.text());
}

#[tokio::test]
async fn the_form_signs_in_and_goes_on_to_where_one_wanted_to_go() {
    let server = server().await;
    let page = ask(&server, Method::GET, "/runs/x?a=%221%22&b=2", &[PAGE], "").await.text();
    assert!(page.contains("name=\"next\" value=\"/runs/x?a=%221%22&amp;b=2\""), "{page}");

    let answer = send_form(&server, "/sign-in", &[PAGE], &format!("token=%20{TOKEN}%0A&next=%2Fruns%2Fx%3Fb%3D2")).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/runs/x?b=2"));
    let cookie = answer.header(header::SET_COOKIE);
    assert!(
        cookie.starts_with("crosslens_session=") && cookie.contains("; Path=/; HttpOnly; SameSite=Lax") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(!cookie.contains(TOKEN), "the browser keeps no token");
    for next in ["//evil.example", "https://evil.example/", "javascript:alert(1)", "\\\\evil.example"] {
        let body = format!("token={TOKEN}&next={}", form_urlencoded(next));
        let answer = send_form(&server, "/sign-in", &[PAGE], &body).await;
        let location = answer.header(header::LOCATION);
        assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains(':'), "{next}: {location}");
    }

    assert_sign_in_page(&send_form(&server, "/sign-in", &[PAGE], "token=wrong-token&next=%2Fruns").await, "not the token of this server");
    send_form(&server, "/sign-in", &[], "token=wrong-token").await.assert_problem(401, "unauthorized", Some("token"));
    let elsewhere = [PAGE, ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    send_form(&server, "/sign-in", &elsewhere, &format!("token={TOKEN}")).await.assert_problem(403, "cross-site", None);
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn an_old_link_shuts_nobody_out_who_is_signed_in() {
    let server = server().await;
    let cookie = sign_in(&server, TOKEN).await;
    let answer = ask(&server, Method::GET, "/runs/x?token=of-an-earlier-start&b=2", &[PAGE, ("cookie", &cookie)], "").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/runs/x?b=2"));
    assert!(cookies(&answer).is_empty(), "the cookie stays as it is");
    let page = ask(&server, Method::GET, "/runs/x?token=of-an-earlier-start&b=2", &[PAGE], "").await;
    assert_sign_in_page(&page, "earlier start");
    assert!(page.text().contains("value=\"/runs/x?b=2\""), "{}", page.text());
    let answer = ask(&server, Method::GET, &format!("/?token={TOKEN}"), &[PAGE, OLD_COOKIE], "").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/"));
    assert!(cookies(&answer)[0].starts_with("crosslens_session="));
}

#[tokio::test]
async fn signing_out_takes_the_cookie_away_under_every_spelling_of_the_path() {
    let server = TestServer::start_with(|settings| {
        settings.token = Some(TOKEN.into());
        settings.base_path = "/user/ada@lab/lens".into();
    })
    .await;
    let https = ("x-forwarded-proto", "https");
    let answer = send_form(&server, "/user/ada%40lab/lens/sign-in", &[PAGE, https], &format!("token={TOKEN}&next=/")).await;
    assert_eq!(answer.header(header::LOCATION), "/user/ada@lab/lens/");
    let given = cookies(&answer);
    for (cookie, path) in given.iter().zip(["/user/ada@lab/lens/", "/user/ada%40lab/lens/"]) {
        assert!(cookie.contains(&format!("; Path={path};")) && cookie.ends_with("; Secure"), "{cookie}");
    }
    assert_eq!(given.len(), 2);
    let cookie = given[0].split(';').next().unwrap().to_owned();
    let runs = async || ask(&server, Method::GET, "/user/ada@lab/lens/api/runs", &[("cookie", &cookie)], "").await;
    assert_eq!(runs().await.status, StatusCode::OK);
    let answer = ask(&server, Method::POST, "/user/ada@lab/lens/sign-out", &[("cookie", &cookie)], "").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/user/ada@lab/lens/"));
    assert!(cookies(&answer).iter().all(|cookie| cookie.starts_with("crosslens_session=; ") && cookie.contains("Max-Age=0")));
    assert_eq!(cookies(&answer).len(), 2);
    // A copy of the cookie is worth nothing now.
    runs().await.assert_problem(401, "unauthorized", None);
}

#[tokio::test]
async fn wrong_tokens_are_answered_later_and_later_and_the_right_one_at_once() {
    let server = server().await;
    let start = Instant::now();
    for (number, least) in [200, 400, 800].into_iter().enumerate() {
        let start = Instant::now();
        let bearer = format!("Bearer wrong-token-{number}");
        ask(&server, Method::GET, "/api/runs", &[("authorization", &bearer)], "").await.assert_problem(401, "unauthorized", None);
        assert!(start.elapsed() >= Duration::from_millis(least), "try {number} took {:?}", start.elapsed());
    }
    assert!(start.elapsed() >= Duration::from_millis(1400));
    // A page that is open since the token changed guesses nothing, and does not hold others up.
    let old = [("cookie", "crosslens_session=wrong-token-1")];
    let cookie = sign_in(&server, TOKEN).await;
    let wrong = async { ask(&server, Method::GET, "/api/runs", &[("authorization", "Bearer other")], "").await };
    let right = async {
        let start = Instant::now();
        assert_eq!(ask(&server, Method::GET, "/api/runs", &[("cookie", &cookie)], "").await.status, StatusCode::OK);
        ask(&server, Method::GET, "/api/runs", &old, "").await.assert_problem(401, "unauthorized", None);
        assert!(start.elapsed() < Duration::from_millis(1000), "{:?}", start.elapsed());
    };
    tokio::join!(wrong, right);
}

#[tokio::test]
async fn a_session_lasts_over_a_restart_and_ends_with_the_token() {
    let server = server().await;
    let cookie = sign_in(&server, TOKEN).await;
    let ended = sign_in(&server, TOKEN).await;
    ask(&server, Method::POST, "/sign-out", &[("cookie", &ended)], "").await;
    let server = server.restart(|_| {}).await;
    assert_eq!(ask(&server, Method::GET, "/api/runs", &[("cookie", &cookie)], "").await.status, StatusCode::OK);
    ask(&server, Method::GET, "/api/runs", &[("cookie", &ended)], "").await.assert_problem(401, "unauthorized", None);

    let server = server.restart_with(|settings| settings.token = Some("another-token-0123456789".into())).await;
    ask(&server, Method::GET, "/api/runs", &[("cookie", &cookie)], "").await.assert_problem(401, "unauthorized", None);
    // And it does not come back with the former token.
    let server = server.restart_with(|settings| settings.token = Some(TOKEN.into())).await;
    ask(&server, Method::GET, "/api/runs", &[("cookie", &cookie)], "").await.assert_problem(401, "unauthorized", None);
}

#[tokio::test]
async fn the_cookie_of_an_earlier_version_becomes_a_session() {
    let server = server().await;
    ask(&server, Method::GET, "/api/runs", &[FORMER_COOKIE], "").await.assert_problem(401, "unauthorized", None);
    let answer = ask(&server, Method::GET, "/runs/x?tab=log", &[PAGE, FORMER_COOKIE], "").await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (StatusCode::SEE_OTHER, "/runs/x?tab=log"));
    let given = cookies(&answer);
    assert!(given[0].starts_with("crosslens_session=") && given[1].starts_with("crosslens_token=; "), "{given:?}");
    let session = given[0].split(';').next().unwrap();
    let both = format!("{session}; {}", FORMER_COOKIE.1);
    assert_eq!(ask(&server, Method::GET, "/api/runs", &[("cookie", &both)], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reader_sees_everything_and_changes_nothing() {
    let server = TestServer::start_with(|settings| {
        settings.token = Some(TOKEN.into());
        settings.read_token = Some(READ_TOKEN.into());
    })
    .await;
    let cookie = sign_in(&server, READ_TOKEN).await;
    let bearer = format!("bearer {READ_TOKEN}");
    for credentials in [("cookie", cookie.as_str()), ("authorization", bearer.as_str())] {
        assert_eq!(ask(&server, Method::GET, "/api/runs", &[credentials], "").await.status, StatusCode::OK);
        for (method, uri) in [(Method::POST, "/api/runs"), (Method::DELETE, "/api/runs/x"), (Method::PATCH, "/api/runs/x")] {
            ask(&server, method, uri, &[credentials], "").await.assert_problem(403, "read-only", None);
        }
        assert!(ask(&server, Method::GET, "/", &[PAGE, credentials], "").await.text().contains("crosslens-read-only"));
    }
    let owner = sign_in(&server, TOKEN).await;
    assert!(!ask(&server, Method::GET, "/", &[PAGE, ("cookie", &owner)], "").await.text().contains("crosslens-read-only"));
    ask(&server, Method::DELETE, "/api/runs/x", &[("cookie", &owner)], "").await.assert_problem(404, "run-not-found", Some("id"));
}
