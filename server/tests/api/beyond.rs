//! Runs beyond a single training: sweeps, runs that go on, runs on checkpoints, checkpoints from elsewhere.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};
use shared::api::{Health, Run, RunState, Sweep, SweepSummary};
use shared::config::RunConfig;
use shared::id::RunId;
use shared::inspection::Inspected;

use crate::support::{Answer, TestServer, config, request};

#[tokio::test]
async fn a_sweep_queues_every_combination_and_is_found_by_its_runs() {
    let server = TestServer::start().await;
    let axes = json!([{"field": "attack.eps", "values": ["8/255", "16/255"]}, {"field": "seed", "values": [1, 2]}]);
    let answer = server.post("/api/sweeps", &json!({"name": "Radius & seed", "config": config("done"), "axes": axes})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let sweep: Sweep = answer.json();
    assert!(sweep.id.as_str().starts_with("radius-seed-") && answer.header(header::LOCATION) == format!("/api/sweeps/{}", sweep.id));
    assert_eq!((sweep.runs.len(), serde_json::to_value(&sweep.axes).unwrap()), (4, axes));
    for run in &sweep.runs {
        server.until(&run.id, |run| run.state == RunState::Succeeded).await;
    }
    let found: Sweep = server.get(&format!("/api/sweeps/{}", sweep.id)).await.json();
    assert_eq!(found.runs[3].summary.best.as_ref().unwrap().robust_accuracy, Some(0.5));
    let all: Vec<SweepSummary> = server.get("/api/sweeps").await.json();
    let [short] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&short.id, &short.created_at, &short.axes), (&found.id, &found.created_at, &found.axes));
    assert_eq!((short.runs, short.succeeded, short.queued, short.best_robust_accuracy), (4, 4, 0, Some(0.5)));
    server.get("/api/sweeps/none").await.assert_problem(404, "sweep-not-found", Some("id"));
}

#[tokio::test]
async fn lists_are_values_of_a_sweep_and_the_empty_one_is_the_control() {
    let server = TestServer::start().await;
    let new = |lists: Value| json!({"config": config("done"), "axes": [{"field": "training.left_out_features", "values": lists}]});
    let lists = json!([[], [3, 17], [5, 9]]);
    let answer = server.post("/api/sweeps", &new(lists.clone())).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let sweep: Sweep = answer.json();
    for run in &sweep.runs {
        server.until(&run.id, |run| run.state == RunState::Succeeded).await;
    }
    let found: Sweep = server.get(&format!("/api/sweeps/{}", sweep.id)).await.json();
    assert_eq!((found.runs.len(), &found.axes[0].values), (3, lists.as_array().unwrap()));
    let answer = server.get(&format!("/api/runs/{}/config.toml", sweep.runs[1].id)).await;
    assert!(answer.text().contains("left_out_features"), "{}", answer.text());
    assert_eq!(RunConfig::parse(&toml::from_str(&answer.text()).unwrap()).as_ref(), Ok(&sweep.runs[1].config));
    let problem = server.post("/api/sweeps", &new(json!([[], [3, 32]]))).await;
    let problem = problem.assert_problem(422, "invalid-run", Some("config.training.left_out_features"));
    assert!(problem.detail.contains("32 is not among the 32 features"), "{}", problem.detail);
}

#[tokio::test]
async fn a_sweep_with_one_wrong_run_queues_none() {
    let server = TestServer::start().await;
    let new = |axes: Value| json!({"config": config("done"), "axes": axes});
    let answer = server.post("/api/sweeps", &new(json!([{"field": "attack.eps", "values": ["8/255", "-1"]}]))).await;
    answer.assert_problem(422, "invalid-run", Some("config.attack.eps"));
    let distilled = json!([{"field": "training.distillation.robust_teacher", "values": ["none.best"]}]);
    server.post("/api/sweeps", &new(distilled)).await.assert_problem(
        422,
        "invalid-run",
        Some("config.training.distillation.robust_teacher"),
    );
    let page: Value = server.get("/api/runs").await.json();
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn a_canceled_run_goes_on_and_a_succeeded_one_does_not() {
    let server = TestServer::start().await;
    let run = server.submit("hung").await;
    server.until_running(&run.id).await;
    let resume = format!("/api/runs/{}/resume", run.id);
    server.call(Method::POST, &resume).await.assert_problem(409, "run-not-resumable", Some("id"));
    server.call(Method::POST, &format!("/api/runs/{}/cancel", run.id)).await;
    server.until(&run.id, |run| run.state == RunState::Canceled).await;
    // What the worker would find the next time.
    let file = server.run_dir(&run.id).join("config.json");
    let changed = std::fs::read_to_string(&file).unwrap().replace("hung", "done");
    std::fs::write(&file, changed).unwrap();

    let queued: Run = server.call(Method::POST, &resume).await.json();
    assert_eq!((queued.finished_at, queued.failure), (None, None));
    let run = server.until(&run.id, |run| run.state.is_finished()).await;
    assert_eq!((run.state, run.summary.epoch), (RunState::Succeeded, 2));
    server.call(Method::POST, &resume).await.assert_problem(409, "run-not-resumable", Some("id"));
    server.call(Method::POST, "/api/runs/none/resume").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn a_run_on_a_checkpoint_wants_one_that_is_there() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    let check = async |kind: &str, checkpoint: String, part: &str| {
        let field = if ["saliency", "pair", "transfer"].contains(&kind) { "checkpoints[0]" } else { "checkpoint" };
        let body = match kind {
            "saliency" => json!({"kind": kind, "checkpoints": [checkpoint]}),
            "transfer" => json!({"kind": kind, "checkpoints": [checkpoint, format!("{trained}.e2")]}),
            "pair" => json!({"kind": kind, "checkpoints": [checkpoint], "pairs": [[3, 5]]}),
            _ => json!({"kind": kind, "checkpoint": checkpoint}),
        };
        let answer = server.post("/api/runs", &body).await;
        match part {
            "" => assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text()),
            part => {
                let problem = answer.assert_problem(422, "invalid-run", Some(field));
                assert!(problem.detail.contains(part), "{}", problem.detail);
            }
        }
    };
    for kind in ["attribute", "evaluate", "eps_curve", "saliency", "pair", "transfer"] {
        check(kind, format!("{trained}.best"), "").await;
        check(kind, format!("{trained}.e9"), "the run has kept the epochs 1, 2").await;
        check(kind, "none.best".to_owned(), "names a run that does not exist: `none`").await;
    }
}

#[tokio::test]
async fn checkpoints_of_different_data_do_not_transfer() {
    let server = TestServer::start().await;
    let first = server.finish("done").await.id;
    let submit = async |second: &RunId| {
        let checkpoints = [format!("{first}.e1"), format!("{first}.e2"), format!("{second}.best")];
        server.post("/api/runs", &json!({"kind": "transfer", "name": "done", "checkpoints": checkpoints})).await
    };
    let second = server.finish("done").await.id;
    assert_eq!(submit(&second).await.status, StatusCode::CREATED);

    let file = server.run_dir(&second).join("metrics.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let renamed = text.replacen("\"class_names\":[\"", "\"class_names\":[\"not ", 1);
    assert_ne!(renamed, text);
    std::fs::write(&file, renamed).unwrap();
    let problem = submit(&second).await.assert_problem(422, "invalid-run", Some("checkpoints[2]"));
    assert!(problem.detail.contains("has other classes (not "), "{}", problem.detail);

    let mut synthetic = config("done");
    synthetic["data"] = json!({"dataset": "synthetic", "train_samples": 200, "test_samples": 100});
    let answer = server.post("/api/runs", &synthetic).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let other = answer.json::<Run>().id;
    server.until(&other, |run| run.state == RunState::Succeeded).await;
    let problem = submit(&other).await.assert_problem(422, "invalid-run", Some("checkpoints[2]"));
    assert!(problem.detail.contains("is of `synthetic`, and the first of `digits`"), "{}", problem.detail);
}

#[tokio::test]
async fn a_fork_names_the_epoch_that_it_starts_from_and_must_fit_it() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    let longer = |start: &str| {
        let mut config = config("done");
        config["training"]["epochs"] = json!(3);
        config["start_from"] = json!(format!("{trained}.{start}"));
        config
    };
    for (start, epoch) in [("best", 1), ("last", 2), ("e2", 2)] {
        let answer = server.post("/api/runs", &longer(start)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let run: Run = answer.json();
        assert_eq!(run.config.to_json()["start_from"], format!("{trained}.e{epoch}"), "best may be another one when the run begins");
    }
    let check = async |edit: fn(&mut Value), field: &str, part: &str| {
        let mut config = longer("last");
        edit(&mut config);
        let problem = server.post("/api/runs", &config).await.assert_problem(422, "invalid-run", Some(field));
        assert!(problem.errors.iter().any(|error| error.message.contains(part)), "{problem:?}");
    };
    check(|config| config["training"]["epochs"] = json!(2), "training.epochs", "2 leaves nothing to train after").await;
    check(|config| config["model"]["width"] = json!(4), "model.width", "`4` differs from `8`").await;
    check(|config| config["data"] = json!({"dataset": "synthetic"}), "data.dataset", "`synthetic` differs from `digits`").await;
    check(|config| config["start_from"] = json!("none.best"), "start_from", "names a run that does not exist: `none`").await;
    check(|config| config["start_from"] = json!("none"), "start_from", "`none` is not a checkpoint").await;
}

#[tokio::test]
async fn a_pair_of_classes_that_the_checkpoint_does_not_know_is_refused() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    let body = json!({"kind": "pair", "checkpoints": [format!("{trained}.best")], "pairs": [[3, 5], [3, 10]]});
    let problem = server.post("/api/runs", &body).await.assert_problem(422, "invalid-run", Some("pairs[1]"));
    assert!(problem.detail.contains("[3, 10] is not among the 10 classes"), "{}", problem.detail);
}

#[tokio::test]
async fn runs_that_measure_a_pair_are_found_by_checkpoint_and_classes() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    // The best is epoch 1, the last epoch 2.
    let submit = async |checkpoints: &[&str], pairs: Value| {
        let checkpoints: Vec<String> = checkpoints.iter().map(|which| format!("{trained}.{which}")).collect();
        let answer = server.post("/api/runs", &json!({"kind": "pair", "name": "done", "checkpoints": checkpoints, "pairs": pairs})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json::<Run>().id
    };
    let both = submit(&["last", "best"], json!([[0, 1], [3, 5]])).await;
    let first = submit(&["e1"], json!([[3, 5]])).await;
    let check = async |checkpoint: &str, (i, j): (u32, u32), expected: &[&RunId]| {
        let found: Vec<Run> = server.get(&format!("/api/pairs?checkpoint={trained}.{checkpoint}&i={i}&j={j}")).await.json();
        assert_eq!(found.iter().map(|run| &run.id).collect::<Vec<_>>(), expected, "{checkpoint} {i} {j}");
    };
    check("e1", (3, 5), &[&first, &both]).await;
    check("e1", (5, 3), &[&first, &both]).await;
    check("e2", (3, 5), &[&both]).await;
    check("e1", (0, 1), &[&both]).await;
    check("e1", (0, 2), &[]).await;
    for (query, field) in [("checkpoint=x&i=1&j=2", "checkpoint"), ("checkpoint=a.e1&i=1", "j"), ("checkpoint=a.e1&i=1&j=-2", "j")] {
        server.get(&format!("/api/pairs?{query}")).await.assert_problem(400, "invalid-query", Some(field));
    }
    server.get("/api/pairs?checkpoint=none.e1&i=1&j=2").await.assert_problem(404, "run-not-found", Some("checkpoint"));
}

#[tokio::test]
async fn results_are_passed_on_once_they_are_complete() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    for name in ["evaluation", "saliency", "pair"] {
        let uri = format!("/api/runs/{run}/{name}");
        server.get(&uri).await.assert_problem(404, "result-not-found", Some("id"));
        std::fs::write(server.run_dir(&run).join(format!("{name}.json")), "{\"whole\": true}").unwrap();
        let answer = server.get(&uri).await;
        assert_eq!((answer.header(header::CONTENT_TYPE), answer.text().as_str()), ("application/json", "{\"whole\": true}"));
    }
}

#[tokio::test]
async fn a_configuration_reads_back_from_toml_and_metrics_are_for_tensorboard() {
    let server = TestServer::start().await;
    let run = server.finish("done").await;
    let answer = server.get(&format!("/api/runs/{}/config.toml", run.id)).await;
    let read: Value = toml::from_str(&answer.text()).unwrap();
    assert_eq!(RunConfig::parse(&read).unwrap(), run.config);

    let answer = server.get(&format!("/api/runs/{}/metrics.tfevents", run.id)).await;
    assert!(answer.header(header::CONTENT_DISPOSITION).contains("events.out.tfevents."));
    let holds = |text: &[u8]| answer.body.windows(text.len()).filter(|window| *window == text).count();
    assert_eq!((holds(b"brain.Event:2"), holds(b"accuracy/test_robust"), holds(b"cas/adversarial"), holds(b"cas/clean")), (1, 2, 2, 0));
}

/// Sends a form of parts: name, file name, content.
async fn upload(server: &TestServer, parts: &[(&str, Option<&str>, &str)]) -> Answer {
    send_form(server, "/api/checkpoints", parts).await
}

async fn inspect(server: &TestServer, parts: &[(&str, Option<&str>, &str)]) -> Inspected {
    let answer = send_form(server, "/api/checkpoints/inspect", parts).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

async fn send_form(server: &TestServer, route: &str, parts: &[(&str, Option<&str>, &str)]) -> Answer {
    let mut body = String::new();
    for (name, file, content) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body += &format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n");
    }
    body += "--cut--\r\n";
    let request = request(Method::POST, route).header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut");
    server.send(request.body(Body::from(body)).unwrap()).await
}

const IMPORT: &str = r#"{"name": "done", "data": {"dataset": "digits"}}"#;

#[tokio::test]
async fn an_uploaded_checkpoint_becomes_a_run_with_its_file() {
    let server = TestServer::start().await;
    let answer = upload(&server, &[("config", None, IMPORT), ("file", Some("C:\\net.pth"), "weights")]).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let run: Run = answer.json();
    let RunConfig::Import(config) = &run.config else { panic!("{run:?}") };
    assert_eq!(config.source, "upload/net.pth");
    assert_eq!(std::fs::read_to_string(server.run_dir(&run.id).join("upload/net.pth")).unwrap(), "weights");
    server.until(&run.id, |run| run.state == RunState::Succeeded).await;
}

#[tokio::test]
async fn several_files_become_the_folder_of_a_series() {
    let server = TestServer::start().await;
    let parts = |first: &'static str| {
        [
            ("config", None, IMPORT),
            ("file", Some(first), "first"),
            ("file", Some("epoch_10.pth"), "second"),
            ("file", Some("log.csv"), "log"),
        ]
    };
    for (first, folder) in [("epoch_5.pth", "checkpoints"), ("prn18/epoch_5.pth", "prn18"), ("../epoch_5.pth", "checkpoint")] {
        let answer = upload(&server, &parts(first)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let run: Run = answer.json();
        let RunConfig::Import(config) = &run.config else { panic!("{run:?}") };
        assert_eq!(config.source, format!("upload/{folder}"));
        let read = |name: &str| std::fs::read_to_string(server.run_dir(&run.id).join("upload").join(folder).join(name)).unwrap();
        assert_eq!([read("epoch_5.pth"), read("epoch_10.pth"), read("log.csv")], ["first", "second", "log"]);
    }

    // They are looked at first, and sent once.
    let looked = inspect(&server, &parts("prn18/epoch_5.pth")).await;
    assert!(looked.problem.unwrap().contains("checkpoint \"prn18\""), "its folder is not told");
    let list = r#"{"name": "done", "data": {"dataset": "digits"}, "checkpoints": [{"file": "epoch_5.pth", "epoch": 7}]}"#;
    let answer = upload(&server, &[("config", None, list), ("upload", None, &looked.upload.unwrap())]).await;
    let run: Run = answer.json();
    assert!(server.run_dir(&run.id).join("upload/prn18/epoch_10.pth").is_file());
    let RunConfig::Import(config) = &run.config else { panic!("{run:?}") };
    assert_eq!(config.checkpoints[0].epoch, 7);
    let answer = upload(&server, &[("config", None, IMPORT), ("file", Some("a/x.pth"), "one"), ("file", Some("b/x.pth"), "other")]).await;
    let problem = answer.assert_problem(422, "invalid-run", Some("file"));
    assert!(problem.detail.contains("two files with the name `x.pth`"), "{}", problem.detail);
}

#[tokio::test]
async fn a_program_is_refused_unless_the_server_was_started_to_run_them() {
    const PROGRAM: &str = r#"{"name": "done", "data": {"dataset": "digits"}, "program": true}"#;
    let server = TestServer::start().await;
    let refused = upload(&server, &[("config", None, PROGRAM), ("file", Some("net.pt"), "code")]).await;
    let problem = refused.assert_problem(422, "invalid-run", Some("program"));
    assert!(problem.detail.contains("`--allow-programs`") && problem.detail.contains("whatever the server may do"), "{}", problem.detail);
    assert!(!server.get("/api/health").await.json::<Health>().allow_programs);

    let server = server.restart_with(|settings| settings.allow_programs = true).await;
    assert!(server.get("/api/health").await.json::<Health>().allow_programs);
    let answer = upload(&server, &[("config", None, PROGRAM), ("file", Some("net.pt"), "code")]).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let run = answer.json::<Run>().id;
    server.until(&run, |run| run.state == RunState::Succeeded).await;
    let pair = json!({"kind": "pair", "checkpoints": [format!("{run}.last")], "pairs": [[3, 5]]});
    let problem = server.post("/api/runs", &pair).await.assert_problem(422, "invalid-run", Some("checkpoints[0]"));
    assert!(problem.detail.contains("is a program, which can be evaluated and attributed"), "{}", problem.detail);
    let evaluation = json!({"kind": "evaluate", "checkpoint": format!("{run}.last")});
    assert_eq!(server.post("/api/runs", &evaluation).await.status, StatusCode::CREATED);

    let server = server.restart_with(|settings| settings.allow_programs = false).await;
    let problem = server.post("/api/runs", &evaluation).await.assert_problem(422, "invalid-run", Some("checkpoint"));
    assert!(problem.detail.contains("is a program, and programs are not run here"), "{}", problem.detail);
}

#[tokio::test]
async fn an_upload_has_one_configuration_and_each_file_once() {
    let server = TestServer::start().await;
    let check = async |parts: &[(&str, Option<&str>, &str)], status: u16, kind: &str, field: &str| {
        upload(&server, parts).await.assert_problem(status, kind, Some(field));
    };
    let file = ("file", Some("net.pth"), "weights");
    check(&[("config", None, "[]"), file], 400, "invalid-json", "config").await;
    check(&[("config", None, r#"{"name": "done", "name": "other"}"#), file], 400, "invalid-json", "config").await;
    check(&[("config", None, IMPORT), ("config", None, IMPORT), file], 422, "invalid-run", "config").await;
    check(&[("config", None, IMPORT), file, file], 422, "invalid-run", "file").await;
    check(&[("config", None, IMPORT), file, ("upload", None, "0123")], 422, "invalid-run", "upload").await;
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(1 << 20));
    check(&[("config", None, &long), file], 413, "body-too-large", "config").await;
    let page: Value = server.get("/api/runs").await.json();
    assert_eq!(page["total"], 0);
}

#[tokio::test]
async fn a_checkpoint_may_have_any_name() {
    let server = TestServer::start().await;
    for (given, name) in [("pytorch_model.bin", "pytorch_model.bin"), ("MODEL.PTH", "MODEL.PTH"), ("../..", "checkpoint"), (".pth", "pth")]
    {
        let answer = upload(&server, &[("config", None, IMPORT), ("file", Some(given), "weights")]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{given}: {}", answer.text());
        assert!(server.run_dir(&answer.json::<Run>().id).join("upload").join(name).is_file(), "{given}");
    }
}

#[tokio::test]
async fn a_file_is_looked_at_first_and_sent_once() {
    let server = TestServer::start().await;
    let looked = inspect(&server, &[("config", None, IMPORT), ("file", Some("net.pth"), "weights")]).await;
    assert_eq!((looked.inspection.unwrap().facts, looked.problem), (vec!["net.pth is small.".to_owned()], None));
    let kept = looked.upload.unwrap();
    let again = inspect(&server, &[("config", None, IMPORT), ("upload", None, &kept)]).await;
    assert_eq!((again.upload.as_ref(), again.inspection.is_some()), (Some(&kept), true));

    // What is refused is not lost.
    let wrong = r#"{"name": "done", "data": {"dataset": "digits"}, "device": "tpu"}"#;
    upload(&server, &[("config", None, wrong), ("upload", None, &kept)]).await.assert_problem(422, "invalid-run", Some("device"));
    let answer = upload(&server, &[("config", None, IMPORT), ("upload", None, &kept)]).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let run: Run = answer.json();
    assert_eq!(std::fs::read_to_string(server.run_dir(&run.id).join("upload/net.pth")).unwrap(), "weights");
    upload(&server, &[("config", None, IMPORT), ("upload", None, &kept)]).await.assert_problem(422, "invalid-run", Some("upload"));
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_without_the_folder_it_lies_in() {
    let server = TestServer::start().await;
    let looked = inspect(&server, &[("config", None, IMPORT), ("file", Some("net.pth"), "<html>")]).await;
    assert_eq!(looked.problem.as_deref(), Some("checkpoint \"net.pth\" is an HTML page"));
    assert!(looked.inspection.is_none() && looked.upload.is_some(), "another data set may fit it");
    let looked = inspect(&server, &[("config", None, IMPORT), ("file", Some("net.pth"), "crash")]).await;
    assert_eq!(looked.problem.as_deref(), Some("the worker was killed by signal 11 (SIGSEGV)"));

    let on_server = server.dir.path().join("here.pth");
    std::fs::write(&on_server, "weights").unwrap();
    let config = json!({"source": on_server, "data": {"dataset": "digits"}}).to_string();
    let looked = inspect(&server, &[("config", None, &config)]).await;
    assert_eq!((looked.upload, looked.inspection.unwrap().facts), (None, vec!["here.pth is small.".to_owned()]));
    let nowhere = r#"{"source": "/no/such/net.pth", "data": {"dataset": "digits"}}"#;
    let answer = send_form(&server, "/api/checkpoints/inspect", &[("config", None, nowhere)]).await;
    answer.assert_problem(422, "invalid-run", Some("source"));
}

#[tokio::test]
async fn a_network_is_imported_before_its_images_are_here_and_measured_only_after() {
    let server = TestServer::start().await;
    let config = |inputs: &str| format!(r#"{{"name": "done", "data": {{"dataset": "cifar10"}}, "attribution": {{"inputs": [{inputs}]}}}}"#);
    let send = async |config: &str| upload(&server, &[("config", None, config), ("file", Some("net.pth"), "weights")]).await;
    send(&config("\"clean\"")).await.assert_problem(422, "invalid-run", Some("data.path"));
    let answer = send(&config("")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let run: Run = server.until(&answer.json::<Run>().id, |run| run.state == RunState::Succeeded).await;

    let measure = json!({"kind": "attribute", "checkpoint": format!("{}.last", run.id)});
    server.post("/api/runs", &measure).await.assert_problem(422, "invalid-run", Some("data.path"));
}

#[tokio::test]
async fn an_upload_that_cannot_be_one_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let file = |name: &'static str| ("file", Some(name), "weights");
    for (parts, field) in [
        (vec![("config", None, IMPORT)], "file"),
        (vec![file("net.pth")], "config"),
        (vec![("config", None, "{"), file("net.pth")], "config"),
        (vec![("config", None, IMPORT), ("upload", None, "0123")], "upload"),
        (vec![("config", None, IMPORT), ("more", None, "")], "more"),
        (vec![("config", None, r#"{"data": {"dataset": "mnist"}}"#), file("net.pth")], "data.dataset"),
    ] {
        let answer = upload(&server, &parts).await;
        let status = answer.status.as_u16();
        assert!((400..500).contains(&status), "{parts:?}: {}", answer.text());
        let problem: shared::problem::Problem = answer.json();
        assert_eq!(problem.errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>(), [field], "{parts:?}: {problem:?}");
    }
    server.post("/api/checkpoints", &json!({})).await.assert_problem(415, "unsupported-media-type", None);
    assert_eq!(std::fs::read_dir(server.dir.path().join("data/runs")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_import_from_the_server_wants_a_file_that_is_there() {
    let server = TestServer::start().await;
    for (source, part) in [("net.pth", "not an absolute path"), ("/no/such/net.pth", "not on the server")] {
        let body = json!({"kind": "import", "source": source, "data": {"dataset": "digits"}});
        let problem = server.post("/api/runs", &body).await.assert_problem(422, "invalid-run", Some("source"));
        assert!(problem.detail.contains(part), "{}", problem.detail);
    }
}
