//! Attributions and comparisons in all their forms.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use shared::api::{Attribution, Comparison, EpochCell};

use crate::support::{TestServer, attribution, request};

#[tokio::test]
async fn an_attribution_comes_with_what_is_needed_to_trust_it() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let found: Attribution = server.get(&format!("/api/attributions/{}.e1.adversarial", run.id)).await.json();
    assert_eq!(found.file, attribution(1));
    assert_eq!((found.context.run, found.context.run_title.as_str()), (run.id, "done"));
    assert_eq!((found.context.is_best, found.context.is_last), (true, false));
    assert_eq!((found.context.clean_accuracy, found.context.robust_accuracy), (Some(0.75), Some(0.5)));
}

#[tokio::test]
async fn the_file_of_a_matrix_is_sent_as_it_is_and_kept_once_its_run_has_succeeded() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let address = format!("/api/attributions/{}.e1.adversarial", run.id);
    let file = server.get(&format!("{address}.json")).await;
    assert_eq!(file.body, std::fs::read(server.run_dir(&run.id).join("attributions/e1.adversarial.json")).unwrap());
    assert_eq!(file.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(file.header(header::CACHE_CONTROL), "private, max-age=31536000, immutable");
    let etag = file.header(header::ETAG);
    assert!(etag.starts_with('"') && etag.len() == 34, "{etag} is not strong");
    let again = request(Method::GET, &format!("{address}.json")).header(header::IF_NONE_MATCH, etag);
    let again = server.send(again.body(Body::empty()).unwrap()).await;
    assert_eq!((again.status, again.body.len(), again.header(header::ETAG)), (StatusCode::NOT_MODIFIED, 0, etag));

    let whole: Attribution = server.get(&address).await.json();
    let context = server.get(&format!("{address}/context")).await;
    assert_eq!(context.header(header::CACHE_CONTROL), "no-cache");
    assert_eq!(Attribution { context: context.json(), file: file.json() }, whole);
    for ending in [".json", "/context"] {
        let none = format!("/api/attributions/{}.e9.adversarial{ending}", run.id);
        server.get(&none).await.assert_problem(404, "attribution-not-found", Some("id"));
    }

    server.sql("UPDATE runs SET state = 'canceled'").await;
    let unfinished = server.get(&format!("{address}.json")).await;
    assert_eq!((unfinished.header(header::CACHE_CONTROL), unfinished.header(header::ETAG)), ("no-cache", etag), "it can go on");
}

#[tokio::test]
async fn a_cell_is_followed_through_the_epochs_of_a_run() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}/cells", run.id);
    let found: Vec<EpochCell> = server.get(&format!("{uri}?i=3&j=5")).await.json();
    let cell = |epoch, value| EpochCell { epoch, value, interval: None };
    assert_eq!(found, [cell(1, 0.5), cell(2, 0.25)]);
    assert_eq!(server.get(&format!("{uri}?i=3&j=5&inputs=clean")).await.json::<Vec<EpochCell>>(), []);
    let problem = server.get(&format!("{uri}?i=3&j=10")).await.assert_problem(400, "invalid-query", Some("j"));
    assert!(problem.detail.contains("10 is no class"), "{}", problem.detail);
    server.get(&format!("{uri}?i=3")).await.assert_problem(400, "invalid-query", Some("j"));
    server.get("/api/runs/none/cells?i=3&j=5").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn a_matrix_comes_as_a_table_with_class_names() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let answer = server.get(&format!("/api/attributions/{}.e1.adversarial.csv", run.id)).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/csv; charset=utf-8");
    let text = answer.text();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[0], "class,0,1,2,3,4,5,6,7,8,9");
    assert_eq!(lines[1], "0,1,-0.125,0.5,-0.125,-0.125,-0.125,-0.125,-0.125,-0.125,-0.125");
}

#[tokio::test]
async fn a_matrix_comes_as_an_array_for_numpy() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let answer = server.get(&format!("/api/attributions/{}.e2.adversarial.npy", run.id)).await;
    let bytes = answer.body;
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (head, values) = bytes[10..].split_at(length);
    assert_eq!((10 + length) % 64, 0);
    let head = std::str::from_utf8(head).unwrap();
    assert_eq!(head.trim_end_matches([' ', '\n']), "{'descr': '<f8', 'fortran_order': False, 'shape': (10, 10), }");
    assert!(head.ends_with('\n'));
    let values: Vec<f64> = values.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values, attribution(2).matrix.rows().flatten().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn figures_follow_theme_and_lens() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/attributions/{}.e1.adversarial", run.id);
    let light = server.get(&format!("{uri}.svg")).await;
    assert_eq!(light.header(header::CONTENT_TYPE), "image/svg+xml");
    assert!(light.text().starts_with("<svg") && light.text().contains("done"), "{}", &light.text()[..200]);
    for query in ["theme=dark", "order=similarity", "scale=paper", "cell=3,5"] {
        let other = server.get(&format!("{uri}.svg?{query}")).await;
        assert_eq!(other.status, 200, "{}", other.text());
        assert_ne!(other.text(), light.text(), "{query}");
    }
    let png = server.get(&format!("{uri}.png?theme=dark")).await;
    assert_eq!(png.header(header::CONTENT_TYPE), "image/png");
    assert_png(&png.body, None);
}

#[tokio::test]
async fn a_comparison_has_the_difference_and_ranks_the_changes() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let query = format!("a={0}.e1.adversarial&b={0}.e2.adversarial", run.id);
    let found: Comparison = server.get(&format!("/api/comparisons?{query}")).await.json();
    let difference = &found.differences[0];
    assert_eq!((difference.delta_cas, difference.matrix.get(0, 2), difference.matrix.get(0, 1)), (-4.0, -0.25, 0.0));
    assert_eq!((difference.changes[0].i, difference.changes[0].j, difference.changes.len()), (0, 2, 45));

    let table = server.get(&format!("/api/comparisons?{query}&format=csv")).await.text();
    assert!(table.contains("\nclass_i,class_j,a,b,b_minus_a\n0,2,0.5,0.25,-0.25\n"), "{table}");
    let svg = server.get(&format!("/api/comparisons?{query}&format=svg&theme=dark&order=similarity")).await;
    assert_eq!(svg.header(header::CONTENT_TYPE), "image/svg+xml");
    let png = server.get(&format!("/api/comparisons?{query}&format=png")).await;
    assert_png(&png.body, None);
}

#[tokio::test]
async fn up_to_six_are_compared_with_the_first() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let side = |side: char, epoch: u32| format!("{side}={}.e{epoch}.adversarial", run.id);
    let query = [side('a', 2), side('b', 1), side('c', 2)].join("&");
    let found: Comparison = server.get(&format!("/api/comparisons?{query}")).await.json();
    assert_eq!(found.attributions.len(), 3);
    assert_eq!(found.differences.iter().map(|difference| difference.delta_cas).collect::<Vec<_>>(), [4.0, 0.0]);
    let table = server.get(&format!("/api/comparisons?{query}&format=csv")).await.text();
    assert!(table.contains("\nclass_i,class_j,a,b,b_minus_a,c,c_minus_a\n0,2,0.25,0.5,0.25,0.25,0\n"), "{table}");
    server.get(&format!("/api/comparisons?{query}&format=svg")).await;

    let all: Vec<String> = "abcdef".chars().map(|name| side(name, 1)).collect();
    let found: Comparison = server.get(&format!("/api/comparisons?{}", all.join("&"))).await.json();
    assert_eq!(found.differences.len(), 5);
}

#[tokio::test]
async fn errors_of_a_comparison_name_the_side() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let known = format!("{}.e1.adversarial", run.id);
    for (query, status, kind, side) in [
        (format!("a={known}"), 400, "invalid-query", "b"),
        (format!("a={known}&b={known}&d={known}"), 400, "invalid-query", "c"),
        (format!("a={known}&b={known}&c=nothing"), 400, "invalid-query", "c"),
        (format!("a={known}&b={known}&g={known}"), 400, "invalid-query", "g"),
        (format!("a={known}&b={known}&c={}.e9.adversarial", run.id), 404, "attribution-not-found", "c"),
    ] {
        server.get(&format!("/api/comparisons?{query}")).await.assert_problem(status, kind, Some(side));
    }
}

#[tokio::test]
async fn matrices_over_other_classes_are_not_compared() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let mut other = attribution(2);
    other.class_names[0] = "zero".into();
    let file = server.run_dir(&run.id).join("attributions/e2.adversarial.json");
    std::fs::write(file, serde_json::to_string(&other).unwrap()).unwrap();
    let uri = format!("/api/comparisons?a={0}.e1.adversarial&b={0}.e2.adversarial", run.id);
    server.get(&uri).await.assert_problem(422, "not-comparable", Some("b"));
    let uri = format!("/api/comparisons?a={0}.e1.adversarial&b={0}.e1.adversarial&c={0}.e2.adversarial", run.id);
    server.get(&uri).await.assert_problem(422, "not-comparable", Some("c"));
}

#[track_caller]
pub fn assert_png(bytes: &[u8], size: Option<(u32, u32)>) {
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let found = (number(16), number(20));
    assert!(found.0 > 100 && found.1 > 100 && bytes.len() > 5000, "{found:?}, {} bytes", bytes.len());
    if let Some(size) = size {
        assert_eq!(found, size);
    }
}
