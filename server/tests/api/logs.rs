//! The log of a run in parts, and files in run directories that are no plain files.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use axum::http::{StatusCode, header};
use tokio::time::timeout;

use crate::support::{Answer, TestServer, request};

fn places(answer: &Answer) -> [u64; 3] {
    ["log-start", "log-end", "log-size"].map(|name| answer.headers[name].to_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn a_log_is_read_in_parts_to_its_beginning_and_on_from_its_end() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}/log", run.id);
    let lines: Vec<String> = (0..1000).map(|number| format!("line {number}\n")).collect();
    let whole = lines.concat();
    fs::write(server.run_dir(&run.id).join("log.txt"), &whole).unwrap();

    let part = server.get(&format!("{uri}?tail=300")).await;
    assert_eq!((part.text(), places(&part)[1..].to_vec()), (lines[700..].concat(), vec![whole.len() as u64; 2]));
    assert_eq!(part.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    let mut read = part.text();
    let mut start = places(&part)[0];
    while start > 0 {
        let part = server.get(&format!("{uri}?tail=250&before={start}")).await;
        assert_eq!(places(&part)[1], start);
        start = places(&part)[0];
        read.insert_str(0, &part.text());
    }
    assert!(read == whole, "the parts add up to the log");
    assert_eq!(server.get(&uri).await.text(), whole);

    let end = whole.len();
    assert_eq!(server.get(&format!("{uri}?after={end}")).await.text(), "");
    fs::write(server.run_dir(&run.id).join("log.txt"), whole + "half a li").unwrap();
    let part = server.get(&format!("{uri}?after={end}")).await;
    assert_eq!((part.text().as_str(), places(&part)[0]), ("half a li", end as u64));

    // However long, it comes a megabyte at a time.
    fs::write(server.run_dir(&run.id).join("log.txt"), "é".repeat(3 << 20)).unwrap();
    let part = server.get(&format!("{uri}?after=1000000")).await;
    assert_eq!(part.body.len(), 1 << 20);
    let part = server.get(&format!("{uri}?tail=5")).await;
    assert!(part.body.len() <= 1 << 20 && part.text().chars().all(|letter| letter == 'é'));
    server.get(&format!("{uri}?before=3")).await.assert_problem(400, "invalid-query", Some("before"));
    server.get(&format!("{uri}?after=3&tail=2")).await.assert_problem(400, "invalid-query", Some("after"));
}

#[tokio::test]
async fn what_is_no_plain_file_in_a_run_directory_neither_hangs_nor_leaks() {
    let server = TestServer::start().await;
    let secret = server.dir.path().join("secret");
    fs::write(&secret, "{\"type\":\"secret\"}\nsecret\n").unwrap();
    let answer = async |uri: &str| timeout(Duration::from_secs(5), server.get(uri)).await.unwrap_or_else(|_| panic!("{uri} hangs"));
    for make in ["link", "pipe"] {
        let run = server.finish("done").await;
        let id = &run.id;
        let dir = server.run_dir(id);
        for name in ["log.txt", "metrics.jsonl", "checkpoints/e1.safetensors", "attributions/e1.adversarial.json"] {
            let uris = match name {
                "log.txt" => {
                    vec![format!("/api/runs/{id}/log"), format!("/api/runs/{id}/log?tail=3"), format!("/api/runs/{id}/log?after=0")]
                }
                "metrics.jsonl" => vec![format!("/api/runs/{id}/metrics"), format!("/api/runs/{id}/records")],
                "checkpoints/e1.safetensors" => vec![format!("/api/checkpoints/{id}.e1/file")],
                _ => vec![format!("/api/attributions/{id}.e1.adversarial")],
            };
            for uri in &uris {
                assert_eq!(answer(uri).await.status, StatusCode::OK, "{uri}");
            }
            let kept = dir.join("kept");
            fs::rename(dir.join(name), &kept).unwrap();
            match make {
                "link" => symlink(&secret, dir.join(name)).unwrap(),
                _ => assert!(std::process::Command::new("mkfifo").arg(dir.join(name)).status().unwrap().success()),
            }
            for uri in &uris {
                let answer = answer(uri).await;
                assert!(
                    answer.status.as_u16() >= 400 && !answer.text().contains("secret"),
                    "{make} {uri}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
            fs::remove_file(dir.join(name)).unwrap();
            fs::rename(kept, dir.join(name)).unwrap();
        }
        // A folder in between may be a link as well.
        fs::rename(dir.join("checkpoints"), server.dir.path().join(format!("elsewhere-{make}"))).unwrap();
        symlink(server.dir.path().join(format!("elsewhere-{make}")), dir.join("checkpoints")).unwrap();
        answer(&format!("/api/checkpoints/{id}.e1/file")).await.assert_problem(404, "checkpoint-not-found", Some("id"));
    }
    // A worker that would write into a pipe does not start, and holds up nobody.
    let run = server.finish("failed").await;
    let log = server.run_dir(&run.id).join("log.txt");
    fs::remove_file(&log).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
    server.call(axum::http::Method::POST, &format!("/api/runs/{}/resume", run.id)).await;
    let run = timeout(Duration::from_secs(5), server.until(&run.id, |run| run.state.is_finished())).await.expect("the queue hangs");
    assert!(run.failure.unwrap().contains("no plain file"));
    server.finish("done").await;
}

#[tokio::test]
async fn a_part_comes_only_of_the_file_that_one_has() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    for (uri, whole) in [(format!("/api/checkpoints/{}.e1/file", run.id), "weights of epoch 1"), ("/app.js".to_owned(), "export {}")] {
        let first = server.get(&uri).await;
        let (tag, time) = (first.header(header::ETAG).to_owned(), first.header(header::LAST_MODIFIED).to_owned());
        let check = async |if_range: Option<&str>, range: &str, status: u16, body: &str| {
            let mut builder = request(axum::http::Method::GET, &uri).header(header::RANGE, range);
            if let Some(if_range) = if_range {
                builder = builder.header(header::IF_RANGE, if_range);
            }
            let answer = server.send(builder.body(Default::default()).unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{uri} {if_range:?} {range}");
            assert_eq!(answer.headers.contains_key(header::CONTENT_RANGE), status == 206, "{uri} {if_range:?}");
        };
        check(None, "bytes=2-4", 206, &whole[2..=4]).await;
        check(Some(&tag), "bytes=2-4", 206, &whole[2..=4]).await;
        check(Some(&time), "bytes=2-4", 206, &whole[2..=4]).await;
        for other in ["\"another\"", "W/\"another\"", &format!("W/{tag}"), "Sun, 29 Nov 2020 12:00:00 GMT", "nonsense"] {
            check(Some(other), "bytes=2-4", 200, whole).await;
            check(Some(other), "bytes=-4", 200, whole).await;
            check(Some(other), "bytes=500-", 200, whole).await;
        }
    }
}

#[tokio::test]
async fn a_name_that_no_file_can_have_is_not_found() {
    let server = TestServer::start().await;
    for method in [axum::http::Method::GET, axum::http::Method::HEAD] {
        for uri in ["/%00", "/runs/%00.js", "/s/%00"] {
            assert_eq!(server.call(method.clone(), uri).await.status, StatusCode::NOT_FOUND, "{method} {uri}");
        }
    }
}
