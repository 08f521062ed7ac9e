//! Submitting, listing, reading and deleting runs.

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::api::{CheckpointInfo, DatasetStatus, Health, Run, RunPage, RunState, WorkerStatus};
use shared::config::RunConfig;
use shared::id::RunId;
use shared::preset::Preset;
use shared::record::Metrics;
use shared::signs::SignKind;

use crate::support::{TestServer, config};

#[tokio::test]
async fn health_tells_what_the_worker_can_do() {
    let server = TestServer::start().await;
    server.state.worker_status().await;
    let health: Health = server.get("/api/health").await.json();
    let WorkerStatus::Ready(probe) = health.worker else { panic!("{health:?}") };
    assert_eq!(probe.devices[0].id, "cpu");
    assert_eq!((health.queued, health.running), (0, 0));
}

#[tokio::test]
async fn presets_and_data_sets_are_those_of_the_form() {
    let server = TestServer::start().await;
    let presets: Vec<Preset> = server.get("/api/presets").await.json();
    assert_eq!(presets[0].id, "demo");
    let datasets: Vec<DatasetStatus> = server.get("/api/datasets").await.json();
    let ready: Vec<&str> = datasets.iter().filter(|dataset| dataset.files.are_ready()).map(|dataset| dataset.info.id.id()).collect();
    assert_eq!(ready, ["digits", "synthetic"]);
}

#[tokio::test]
async fn a_run_goes_from_the_queue_to_its_numbers() {
    let server = TestServer::start().await;
    let answer = server.post("/api/runs", &config("done")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let run: Run = answer.json();
    assert_eq!(answer.header(header::LOCATION), format!("/api/runs/{}", run.id));
    assert!(run.id.as_str().starts_with("at-digits-") && run.title == "done", "{run:?}");

    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.failure.as_deref()), (RunState::Succeeded, None));
    assert!(run.created_at <= run.started_at.clone().unwrap() && run.started_at <= run.finished_at, "{run:?}");
    assert_eq!((run.summary.epoch, run.summary.epochs, run.summary.fraction_done), (2, 2, 1.0));
    let (best, last) = (run.summary.best.unwrap(), run.summary.last.unwrap());
    assert_eq!((best.epoch, best.robust_accuracy, best.cas), (1, Some(0.5), Some(8.0)));
    assert_eq!((last.epoch, last.robust_accuracy, last.cas), (2, Some(0.25), Some(4.0)));
    assert_eq!(run.summary.spark, [0.5, 0.25]);

    let written: Value = serde_json::from_slice(&std::fs::read(server.run_dir(&run.id).join("config.json")).unwrap()).unwrap();
    assert_eq!(RunConfig::parse(&written).unwrap(), run.config);
}

#[tokio::test]
async fn the_records_of_a_run_come_as_json_and_as_a_table() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let metrics: Metrics = server.get(&format!("/api/runs/{}/metrics", run.id)).await.json();
    assert_eq!((metrics.epochs.len(), metrics.checkpoints.len(), metrics.finished.is_some()), (2, 2, true));

    let table = server.get(&format!("/api/runs/{}/metrics.csv", run.id)).await;
    assert_eq!(table.header(header::CONTENT_TYPE), "text/csv; charset=utf-8");
    assert_eq!(table.header(header::CONTENT_DISPOSITION), format!("attachment; filename=\"{}.csv\"", run.id));
    let text = table.text();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        [
            "epoch,learning_rate,train_loss,train_clean_accuracy,train_robust_accuracy,test_clean_accuracy,test_robust_accuracy,\
             test_loss,holdout_robust_accuracy,cas_adversarial,cas_clean,seconds,elapsed_secs",
            "1,0.1,1.5,,0.5,0.75,0.5,1.25,,8,,1,1",
            "2,0.1,1.5,,0.5,0.75,0.25,1.25,,4,,1,2",
        ]
    );
}

#[tokio::test]
async fn a_robust_accuracy_comes_with_the_signs_that_speak_against_it() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let file = server.run_dir(&run.id).join("metrics.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let counts = r#""test_robust_accuracy":0.25,"broken_gradients":{"images":599,"zero":12,"not_finite":0}"#;
    let broken = text.replacen(r#""test_robust_accuracy":0.25"#, counts, 1);
    assert_ne!(broken, text);
    std::fs::write(&file, &broken).unwrap();

    let table = server.get(&format!("/api/runs/{}/metrics.csv", run.id)).await.text();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].ends_with(",elapsed_secs,zero_gradients,not_finite_gradients"), "{table}");
    assert!(lines[1].ends_with(",1,1,,") && lines[2].ends_with(",1,2,12,0"), "{table}");

    // Those of held-out images have columns of their own.
    let held_out = broken.replacen(r#""broken_gradients""#, r#""holdout_broken_gradients""#, 1);
    std::fs::write(&file, held_out).unwrap();
    let table = server.get(&format!("/api/runs/{}/metrics.csv", run.id)).await.text();
    assert!(table.contains(",elapsed_secs,holdout_zero_gradients,holdout_not_finite_gradients\n"), "{table}");
    std::fs::write(&file, broken).unwrap();

    let list: Vec<CheckpointInfo> = server.get(&format!("/api/runs/{}/checkpoints", run.id)).await.json();
    assert!(list[0].signs.is_empty());
    let [sign] = list[1].signs.as_slice() else { panic!("{:?}", list[1].signs) };
    assert!(sign.kind == SignKind::ZeroGradients && sign.message.starts_with("On 12 of 599 attacked images (2.0 %)"), "{sign:?}");
    let context = async |epoch: u32| {
        let uri = format!("/api/attributions/{}.e{epoch}.adversarial/context", run.id);
        server.get(&uri).await.json::<Value>()["signs"].clone()
    };
    assert_eq!((context(1).await, context(2).await), (Value::Null, json!([sign])));
}

#[tokio::test]
async fn lines_that_are_torn_or_no_records_are_passed_over() {
    let server = TestServer::start().await;
    let run = server.finish("torn").await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(run.summary.last.unwrap().epoch, 2);
    let metrics: Metrics = server.get(&format!("/api/runs/{}/metrics", run.id)).await.json();
    assert_eq!((metrics.epochs.len(), metrics.finished.is_some()), (2, true));
}

#[tokio::test]
async fn the_log_comes_whole_or_from_its_end() {
    let server = TestServer::start().await;
    let run = server.finish("failed").await;
    let log = server.get(&format!("/api/runs/{}/log", run.id)).await;
    assert_eq!(log.header(header::CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(log.text(), "worker begins\nerror: no memory left for the model\n");
    assert_eq!(server.get(&format!("/api/runs/{}/log?tail=1", run.id)).await.text(), "error: no memory left for the model\n");
    assert_eq!(server.get(&format!("/api/runs/{}/log?tail=0", run.id)).await.text(), "");
}

#[tokio::test]
async fn checkpoints_are_listed_and_come_as_files() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let list: Vec<CheckpointInfo> = server.get(&format!("/api/runs/{}/checkpoints", run.id)).await.json();
    let marks: Vec<_> = list.iter().map(|checkpoint| (checkpoint.epoch, checkpoint.is_best, checkpoint.is_last)).collect();
    assert_eq!(marks, [(1, true, false), (2, false, true)]);
    assert_eq!(list[0].attributions[0].id.to_string(), format!("{}.e1.adversarial", run.id));
    assert_eq!(list[0].robust_accuracy, Some(0.5));

    let uri = format!("/api/checkpoints/{}.e2/file", run.id);
    let file = server.get(&uri).await;
    assert_eq!(file.text(), "weights of epoch 2");
    assert_eq!(file.header(header::CONTENT_DISPOSITION), format!("attachment; filename=\"{}.e2.safetensors\"", run.id));
    assert_eq!(file.header(header::CONTENT_LENGTH), "18");
    let etag = format!("\"{:064x}\"", 2);
    assert_eq!(file.header(header::ETAG), etag);

    let known = crate::support::request(Method::GET, &uri).header(header::IF_NONE_MATCH, &etag);
    assert_eq!(server.send(known.body(Default::default()).unwrap()).await.status, StatusCode::NOT_MODIFIED);
    let part = crate::support::request(Method::GET, &uri).header(header::RANGE, "bytes=0-6");
    let part = server.send(part.body(Default::default()).unwrap()).await;
    assert_eq!((part.status, part.text().as_str()), (StatusCode::PARTIAL_CONTENT, "weights"));
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let server = TestServer::start().await;
    let failed = server.finish("failed first").await.id;
    let done = server.finish("done second").await.id;
    let other = server.finish("done Third").await.id;

    let check = async |query: &str, expected: &[&RunId], total: u32| {
        let answer = server.get(&format!("/api/runs{query}")).await;
        let page: RunPage = answer.json();
        assert_eq!(page.runs.iter().map(|run| &run.id).collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(page.total, total, "{query}");
    };
    check("", &[&other, &done, &failed], 3).await;
    check("?state=failed", &[&failed], 1).await;
    check("?q=third%20DONE", &[&other], 1).await;
    check("?q=%25", &[], 0).await;
    check("?q=digits&limit=1&offset=1", &[&done], 3).await;
    check("?sort=title&order=asc", &[&done, &other, &failed], 3).await;
    // The failed run wrote no attribution of its last epoch, and a run without the number comes last either way.
    check("?sort=last_cas&order=asc&state=succeeded", &[&other, &done], 2).await;
    check("?sort=last_robust_accuracy&order=desc", &[&failed, &other, &done], 3).await;
    check("?sort=best_cas&order=desc", &[&other, &done, &failed], 3).await;
    check("?sort=best_cas&order=asc", &[&other, &done, &failed], 3).await;
}

#[tokio::test]
async fn a_run_deleted_for_good_is_gone_with_its_files() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let uri = format!("/api/runs/{}", run.id);
    let for_good = format!("{uri}?for_good=true");
    assert_eq!(server.call(Method::DELETE, &for_good).await.status, StatusCode::NO_CONTENT);
    assert!(!server.run_dir(&run.id).exists());
    assert_eq!(std::fs::read_dir(server.dir.path().join("data/runs")).unwrap().count(), 0);
    server.get(&uri).await.assert_problem(404, "run-not-found", Some("id"));
    server.call(Method::DELETE, &for_good).await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn runs_of_one_device_wait_for_each_other() {
    let server = TestServer::start().await;
    let first = server.submit("gated").await;
    server.until_running(&first.id).await;
    let second = server.submit("done").await;
    let third = server.submit("done").await;
    assert_eq!((second.state, server.run(&second.id).await.queue_position), (RunState::Queued, Some(0)));
    assert_eq!(server.run(&third.id).await.queue_position, Some(1));
    assert_eq!(server.get("/api/health").await.json::<Value>()["queued"], json!(2));

    std::fs::write(server.run_dir(&first.id).join("go"), "").unwrap();
    let third = server.until(&third.id, |run| run.state.is_finished()).await;
    let [first, second] = [server.run(&first.id).await, server.run(&second.id).await];
    assert!(first.finished_at <= second.started_at && second.finished_at <= third.started_at);
}

#[tokio::test]
async fn there_is_an_end_to_the_queue() {
    let server = TestServer::start().await;
    let running = server.submit("hung").await;
    server.until_running(&running.id).await;
    let queued = server.submit("done").await;
    let insert = format!(
        "INSERT INTO runs (id, title, state, device, config, created_at, summary) \
         SELECT id || number, title, state, device, config, created_at, summary FROM runs, numbers WHERE id = '{}'",
        queued.id
    );
    server.multiply(9_999, &insert).await;
    server.post("/api/runs", &config("done")).await.assert_problem(429, "queue-full", None);
    server.call(Method::DELETE, &format!("/api/runs/{}", queued.id)).await;
    assert_eq!(server.submit("done").await.queue_position, Some(9_999));
}
