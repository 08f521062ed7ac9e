//! Limits for people without a token.

use axum::http::{StatusCode, header};

use crate::support::TestServer;

#[tokio::test]
async fn share_links_opened_too_often_are_refused_for_a_while() {
    let server = TestServer::start().await;
    let mut refused = 0;
    for _ in 0..300 {
        let answer = server.get("/api/shares/nothing").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            answer.assert_problem(429, "too-many-requests", None);
            assert_eq!(answer.header(header::RETRY_AFTER), "5");
            refused += 1;
        } else {
            answer.assert_problem(404, "share-not-found", Some("share"));
        }
    }
    // Some may pass while the test runs; a machine that takes 20 s for it would pass all.
    assert!((1..=200).contains(&refused), "{refused}");
    assert_eq!(server.get("/api/shares").await.status, StatusCode::OK, "the owner is not limited");
}
