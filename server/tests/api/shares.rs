//! Share links from making to revoking.

use axum::http::{Method, StatusCode, header};
use serde_json::json;
use shared::api::{NewLink, Run, RunState, Share, SharedContent, SharedView};

use crate::matrices::assert_png;
use crate::support::{TestServer, config, until};

async fn share(server: &TestServer, view: &str, title: &str) -> NewLink {
    let answer = server.post("/api/shares", &json!({"view": view, "title": title})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn a_share_carries_what_it_shows_until_it_is_revoked() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let view = format!("/compare?a={0}.e1.adversarial&b={0}.e2.adversarial&scale=fitted", run.id);
    let made = share(&server, &view, "Best & last").await;
    assert_eq!((made.token.as_str().len(), made.path.as_str()), (40, format!("s/{}", made.token).as_str()));
    assert_eq!((made.share.view.as_str(), made.share.title.as_str()), (view.as_str(), "Best & last"));
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>(), std::slice::from_ref(&made.share));

    let uri = format!("/api/shares/{}", made.token);
    let opened: SharedView = server.get(&uri).await.json();
    assert_eq!(opened.share, made.share);
    let SharedContent::Compare { comparison } = opened.content else { panic!("{:?}", opened.content) };
    assert_eq!(comparison.differences[0].delta_cas, -4.0);
    let preview = server.get(&format!("{uri}/preview.png")).await;
    assert_eq!(preview.header(header::CONTENT_TYPE), "image/png");
    assert_png(&preview.body, Some((1200, 630)));

    // Only its owner's name of it withdraws it.
    server.call(Method::DELETE, &uri).await.assert_problem(404, "share-not-found", Some("share"));
    let withdraw = format!("/api/shares/{}", made.share.id);
    assert_eq!(server.call(Method::DELETE, &withdraw).await.status, StatusCode::NO_CONTENT);
    server.get(&uri).await.assert_problem(404, "share-not-found", Some("share"));
    server.get(&format!("{uri}/preview.png")).await.assert_problem(404, "share-not-found", Some("share"));
    server.call(Method::DELETE, &withdraw).await.assert_problem(404, "share-not-found", Some("share"));
    assert_eq!(server.get(&format!("/{}", made.path)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_new_link_to_the_same_view_replaces_the_former_and_neither_is_in_the_database() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let made = share(&server, &format!("/runs/{}", run.id), "Mine").await;
    let renew = format!("/api/shares/{}/link", made.share.id);
    let answer = server.call(Method::POST, &renew).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let new: NewLink = answer.json();
    assert_eq!((&new.share, new.token == made.token), (&made.share, false));
    server.get(&format!("/api/shares/{}", made.token)).await.assert_problem(404, "share-not-found", Some("share"));
    assert_eq!(server.get(&format!("/api/shares/{}", new.token)).await.json::<SharedView>().share, made.share);
    assert!(!server.get("/api/shares").await.text().contains(new.token.as_str()), "the list does not show it again");
    for name in ["crosslens.db", "crosslens.db-wal"] {
        let bytes = std::fs::read(server.dir.path().join("data").join(name)).unwrap();
        for token in [&made.token, &new.token] {
            assert!(!bytes.windows(40).any(|part| part == token.as_str().as_bytes()), "{name} holds a token");
        }
    }
    server.call(Method::POST, "/api/shares/99/link").await.assert_problem(404, "share-not-found", Some("share"));
}

#[tokio::test]
async fn every_page_can_be_shared_and_names_itself() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    for (view, title) in [
        (format!("/runs/{}", run.id), "done"),
        (format!("/attributions/{}.e1.adversarial?cell=3,5", run.id), "done: epoch 1 (best)"),
        (format!("/compare?a={0}.e1.adversarial&b={0}.e2.adversarial", run.id), "done: epoch 1 (best) against epoch 2 (last)"),
    ] {
        let made = share(&server, &view, " ").await;
        assert_eq!(made.share.title, title);
        let preview = server.get(&format!("/api/shares/{}/preview.png", made.token)).await;
        assert_png(&preview.body, Some((1200, 630)));
    }
}

#[tokio::test]
async fn a_share_has_a_note_and_an_end_and_says_when_it_has_passed() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let body = json!({"view": format!("/runs/{}", run.id), "note": " Look at <3>.\nThen at 5. ", "expires_in_days": 7});
    let made: NewLink = server.post("/api/shares", &body).await.json();
    assert_eq!(made.share.note, "Look at <3>.\nThen at 5.");
    assert!(!made.share.expired && made.share.expires_at.as_ref().is_some_and(|end| *end > made.share.created_at), "{made:?}");
    let (uri, page) = (format!("/api/shares/{}", made.token), format!("/{}", made.path));
    assert_eq!(server.get(&uri).await.json::<SharedView>().share, made.share);
    assert!(server.get(&page).await.text().contains("content=\"Look at &lt;3&gt;. Then at 5.\""), "previews of the link show the note");

    server.sql("UPDATE shares SET expires_at = '2026-01-02T03:04:05.678Z'").await;
    for uri in [uri.clone(), format!("{uri}/preview.png")] {
        let problem = server.get(&uri).await.assert_problem(410, "share-expired", Some("share"));
        assert!(problem.detail.contains("2026-01-02 03:04 UTC"), "{problem:?}");
    }
    assert_eq!(server.get(&page).await.status, StatusCode::GONE);
    let listed: Vec<Share> = server.get("/api/shares").await.json();
    assert_eq!(listed.len(), 1);

    // What expired long ago is forgotten when the next one is made.
    server.sql("UPDATE shares SET expires_at = '2020-01-02T03:04:05.678Z'").await;
    let next = share(&server, &format!("/runs/{}", run.id), "").await;
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>(), [next.share]);
    server.get(&uri).await.assert_problem(404, "share-not-found", Some("share"));
}

#[tokio::test]
async fn a_share_answers_what_its_page_asks() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let check = async |view: &str, expected: &[&str]| {
        let made = share(&server, view, "").await;
        let opened: SharedView = server.get(&format!("/api/shares/{}", made.token)).await.json();
        let expected: Vec<String> = expected.iter().map(|address| format!("api/{}", address.replace("RUN", run.id.as_str()))).collect();
        assert_eq!(opened.answers.keys().cloned().collect::<Vec<_>>(), expected, "{view}");
        for (address, body) in &opened.answers {
            assert_eq!(*body, server.get(&format!("/{address}")).await.json::<serde_json::Value>(), "{address}");
        }
    };
    let id = &run.id;
    check(&format!("/runs/{id}"), &["attributions/RUN.e1.adversarial"]).await;
    let both = ["attributions/RUN.e1.adversarial", "attributions/RUN.e2.adversarial"];
    check(&format!("/runs/{id}?epoch=2"), &both).await;
    check(&format!("/runs/{id}?inputs=clean"), &[]).await;
    check(&format!("/runs/{id}?epoch=2&show=difference&base={id}.e1.adversarial"), &both).await;
    check(&format!("/attributions/{id}.e2.adversarial?base={id}.e1.adversarial"), &both[..1]).await;
    check(&format!("/compare?a={id}.e1.adversarial&b={id}.e2.adversarial"), &["runs/RUN", "runs/RUN/metrics"]).await;
}

#[tokio::test]
async fn a_share_goes_with_its_run() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let other = server.finish("done").await;
    let made = share(&server, &format!("/runs/{}", run.id), "").await;
    let both = share(&server, &format!("/compare?a={}.e1.adversarial&b={}.e1.adversarial", other.id, run.id), "").await;
    let kept = share(&server, &format!("/runs/{}", other.id), "").await;
    server.call(Method::DELETE, &format!("/api/runs/{}?for_good=true", run.id)).await;
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>(), [kept.share]);
    for token in [made.token, both.token] {
        let problem = server.get(&format!("/api/shares/{token}")).await.assert_problem(404, "share-not-found", Some("share"));
        assert!(problem.detail.contains("deleted"), "{problem:?}");
    }
}

#[tokio::test]
async fn a_shared_run_does_not_tell_folders_of_the_server() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["train.bin", "test.bin"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let mut config = config("done");
    config["data"] = json!({"dataset": "cifar100", "path": folder.path()});
    let run: Run = server.post("/api/runs", &config).await.json();
    server.until(&run.id, |run| run.state.is_finished()).await;
    let made = share(&server, &format!("/runs/{}", run.id), "").await;
    let opened = server.get(&format!("/api/shares/{}", made.token)).await;
    assert!(!opened.text().contains(folder.path().to_str().unwrap()), "{}", opened.text());
    let SharedContent::Run { run: shown, .. } = opened.json::<SharedView>().content else { panic!("{}", opened.text()) };
    assert_eq!(shown.id, run.id);
}

#[tokio::test]
async fn a_shared_run_tells_neither_tags_nor_why_it_failed() {
    let server = TestServer::start().await;
    let run = server.finish("failed").await;
    assert!(run.failure.is_some());
    server.sql(r#"UPDATE runs SET tags = '["secret plan"]'"#).await;
    let made = share(&server, &format!("/runs/{}", run.id), "").await;
    let opened = server.get(&format!("/api/shares/{}", made.token)).await;
    let SharedContent::Run { run: shown, .. } = opened.json::<SharedView>().content else { panic!("{}", opened.text()) };
    assert_eq!((shown.state, shown.tags.len()), (RunState::Failed, 0));
    assert!(!opened.text().contains("secret plan") && !opened.text().contains(&run.failure.unwrap()), "{}", opened.text());
}

#[tokio::test]
async fn a_run_is_shared_at_an_epoch_and_with_a_baseline_of_another_run() {
    let server = TestServer::start().await;
    let (run, other) = (server.finish("done").await, server.finish("done").await);
    let view = format!("/runs/{}?epoch=2&base={}.e1.adversarial", run.id, other.id);
    let made = share(&server, &view, "").await;
    let opened: SharedView = server.get(&format!("/api/shares/{}", made.token)).await.json();
    assert_eq!(opened.share.view, view);
    let SharedContent::Run { run: shown, .. } = opened.content else { panic!("{:?}", opened.content) };
    assert_eq!(shown.id, run.id);
}

#[tokio::test]
async fn there_is_an_end_to_shares() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let view = format!("/runs/{}", run.id);
    let made = share(&server, &view, "").await;
    server
        .multiply(
            9_999,
            "INSERT INTO shares (token_hash, title, note, view, created_at) SELECT token_hash || number, title, note, view, created_at FROM shares, numbers",
        )
        .await;
    let answer = server.post("/api/shares", &json!({"view": view})).await;
    answer.assert_problem(429, "too-many-shares", None);
    server.call(Method::DELETE, &format!("/api/shares/{}", made.share.id)).await;
    share(&server, &view, "").await;
}

#[tokio::test]
async fn what_cannot_be_shared_is_named() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let check = async |body: serde_json::Value, status: u16, kind: &str, field: &str| {
        server.post("/api/shares", &body).await.assert_problem(status, kind, Some(field));
    };
    check(json!({"view": "/settings"}), 422, "invalid-share", "view").await;
    check(json!({"view": "https://evil.example/"}), 422, "invalid-share", "view").await;
    check(json!({"view": format!("/attributions/{}.e1.adversarial?scale=log", run.id)}), 422, "invalid-share", "view").await;
    check(json!({"view": "/runs/at-digits-0000"}), 404, "run-not-found", "view").await;
    check(json!({"view": format!("/attributions/{}.e9.adversarial", run.id)}), 404, "attribution-not-found", "view").await;
    check(json!({"view": format!("/runs/{}", run.id), "title": "x".repeat(121)}), 422, "invalid-share", "title").await;
    check(json!({"view": format!("/runs/{}", run.id), "note": "x".repeat(2001)}), 422, "invalid-share", "note").await;
    for days in [0, 3651] {
        check(json!({"view": format!("/runs/{}", run.id), "expires_in_days": days}), 422, "invalid-share", "expires_in_days").await;
    }
    check(json!({"view": format!("/runs/{}", run.id), "expires_in_days": "soon"}), 400, "invalid-json", "expires_in_days").await;
    check(json!({"view": format!("/runs/{}?base={}.e9.clean", run.id, run.id)}), 404, "attribution-not-found", "view").await;
    check(json!({"title": "no view"}), 400, "invalid-json", "view").await;
    check(json!({"view": "/runs/x", "color": "red"}), 400, "invalid-json", "color").await;
    check(json!({"view": 3}), 400, "invalid-json", "view").await;
}

#[tokio::test]
async fn links_outlive_a_lost_database_but_not_their_revocation() {
    let server = TestServer::start().await;
    let (run, deleted) = (server.finish("done").await, server.finish("gone").await);
    let made = share(&server, &format!("/runs/{}", run.id), "Kept").await;
    let renewed: NewLink = server.call(Method::POST, &format!("/api/shares/{}/link", made.share.id)).await.json();
    let revoked = share(&server, &format!("/runs/{}", run.id), "Revoked").await;
    share(&server, &format!("/runs/{}", deleted.id), "Of a run that is gone").await;
    server.call(Method::DELETE, &format!("/api/shares/{}", revoked.share.id)).await;
    let file = std::fs::read_to_string(server.dir.path().join("data/runs/shares.json")).unwrap();
    assert!(!file.contains(renewed.token.as_str()), "it holds hashes");

    let server = server
        .restart(|dir| {
            std::fs::remove_dir_all(dir.join("data/runs").join(deleted.id.as_str())).unwrap();
            for file in ["crosslens.db", "crosslens.db-wal", "crosslens.db-shm"] {
                let _ = std::fs::remove_file(dir.join("data").join(file));
            }
        })
        .await;
    until(async || !server.get("/api/shares").await.json::<Vec<Share>>().is_empty()).await;
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>(), std::slice::from_ref(&renewed.share));
    assert_eq!(server.get(&format!("/api/shares/{}", renewed.token)).await.json::<SharedView>().share, renewed.share);
    for token in [made.token, revoked.token] {
        server.get(&format!("/api/shares/{token}")).await.assert_problem(404, "share-not-found", Some("share"));
    }

    // A file of links that were revoked since is not believed by a database that knows of them.
    let path = server.dir.path().join("data/runs/shares.json");
    let before = std::fs::read(&path).unwrap();
    server.call(Method::DELETE, &format!("/api/shares/{}", renewed.share.id)).await;
    let server = server.restart(|_| std::fs::write(&path, &before).unwrap()).await;
    until(async || std::fs::read(&path).unwrap() != before).await;
    assert_eq!(server.get("/api/shares").await.json::<Vec<Share>>(), []);
}
