//! What the API answers to requests that are wrong, and the document that describes it.

use axum::body::Body;
use axum::http::{Method, header};
use serde_json::{Value, json};

use crate::support::{TestServer, config, request};

#[tokio::test]
async fn names_that_nothing_has_are_not_found() {
    let server = TestServer::start().await;
    for name in ["at-digits-0000", "NO", "..", "%FF", "a%2Fb", "x%00"] {
        for tail in ["", "/metrics", "/metrics.csv", "/events", "/log", "/checkpoints"] {
            let answer = server.get(&format!("/api/runs/{name}{tail}")).await;
            answer.assert_problem(404, "run-not-found", Some("id"));
        }
        server.call(Method::DELETE, &format!("/api/runs/{name}")).await.assert_problem(404, "run-not-found", Some("id"));
        server.call(Method::POST, &format!("/api/runs/{name}/cancel")).await.assert_problem(404, "run-not-found", Some("id"));
    }
    for name in ["at-digits-0000.e1", "at-digits-0000", "x.e-1", "x.e1.clean", "%FF"] {
        server.get(&format!("/api/checkpoints/{name}/file")).await.assert_problem(404, "checkpoint-not-found", Some("id"));
    }
    for name in ["x.e1.clean", "x.e1", "x", "x.e1.clean.pdf", "x.e1.clean.csv", "..%2f..%2fetc.e1.clean", "x.e99999999999.clean"] {
        server.get(&format!("/api/attributions/{name}")).await.assert_problem(404, "attribution-not-found", Some("id"));
    }
    for name in ["x", "0000000000000000000000000000000000000000", "%FF"] {
        server.get(&format!("/api/shares/{name}")).await.assert_problem(404, "share-not-found", Some("share"));
        server.get(&format!("/api/shares/{name}/preview.png")).await.assert_problem(404, "share-not-found", Some("share"));
        server.call(Method::DELETE, &format!("/api/shares/{name}")).await.assert_problem(404, "share-not-found", Some("share"));
    }
}

#[tokio::test]
async fn a_checkpoint_or_attribution_that_a_run_does_not_have_is_not_found() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    server.get(&format!("/api/checkpoints/{run}.e3/file")).await.assert_problem(404, "checkpoint-not-found", Some("id"));
    server.get(&format!("/api/attributions/{run}.e1.clean")).await.assert_problem(404, "attribution-not-found", Some("id"));
    let (a, missing) = (format!("{run}.e1.adversarial"), format!("{run}.e3.adversarial"));
    server.get(&format!("/api/comparisons?a={missing}&b={a}")).await.assert_problem(404, "attribution-not-found", Some("a"));
    server.get(&format!("/api/comparisons?a={a}&b={missing}")).await.assert_problem(404, "attribution-not-found", Some("b"));

    std::fs::remove_file(server.run_dir(&run).join("checkpoints/e1.safetensors")).unwrap();
    server.get(&format!("/api/checkpoints/{run}.e1/file")).await.assert_problem(404, "checkpoint-not-found", Some("id"));
}

#[tokio::test]
async fn wrong_query_values_are_named() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let id = format!("{run}.e1.adversarial");
    for (uri, field) in [
        ("/api/runs?state=done".to_owned(), "state"),
        ("/api/runs?sort=size".to_owned(), "sort"),
        ("/api/runs?order=up".to_owned(), "order"),
        ("/api/runs?limit=0".to_owned(), "limit"),
        ("/api/runs?limit=501".to_owned(), "limit"),
        ("/api/runs?limit=ten".to_owned(), "limit"),
        ("/api/runs?offset=-1".to_owned(), "offset"),
        ("/api/runs?color=red".to_owned(), "color"),
        ("/api/runs?limit=1&limit=2".to_owned(), "limit"),
        (format!("/api/runs/{run}/log?tail=x"), "tail"),
        (format!("/api/attributions/{id}.svg?theme=pink"), "theme"),
        (format!("/api/attributions/{id}.svg?order=random"), "order"),
        (format!("/api/attributions/{id}?scale=log"), "scale"),
        (format!("/api/attributions/{id}.png?cell=3"), "cell"),
        (format!("/api/comparisons?b={id}"), "a"),
        (format!("/api/comparisons?a={id}"), "b"),
        (format!("/api/comparisons?a=x&b={id}"), "a"),
        (format!("/api/comparisons?a={id}&b=x.e1"), "b"),
        (format!("/api/comparisons?a={id}&b={id}&format=pdf"), "format"),
        (format!("/api/comparisons?a={id}&b={id}&theme=pink"), "theme"),
        (format!("/api/comparisons?a={id}&b={id}&order=random"), "order"),
        (format!("/api/comparisons?a={id}&b={id}&scale=log"), "scale"),
        (format!("/api/comparisons?a={id}&b={id}&cell=x"), "cell"),
    ] {
        server.get(&uri).await.assert_problem(400, "invalid-query", Some(field));
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_run_names_its_fields() {
    let server = TestServer::start().await;
    let check = async |pointer: &str, value: Value, field: &str, part: &str| {
        let mut body = config("done");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        let problem = server.post("/api/runs", &body).await.assert_problem(422, "invalid-run", Some(field));
        assert!(problem.detail.contains(part), "{problem:?}");
    };
    check("/training/epochs", json!(0), "training.epochs", "0 is out of range").await;
    check("/attack/eps", json!("eight"), "attack.eps", "`eight`").await;
    check("/training/epoch", json!(3), "training.epoch", "unknown field").await;
    check("/kind", json!("dance"), "kind", "`dance`").await;
    check("/device", json!("cuda:7"), "device", "there is cpu").await;
    check("/precision", json!("bf16"), "precision", "`bf16` is not computed by `cpu` of this machine; use `float32`").await;

    let empty = tempfile::tempdir().unwrap();
    let cifar10 = |path: &str| json!({"dataset": "cifar10", "path": path});
    check("/data", json!({"dataset": "cifar10"}), "data.path", "is missing").await;
    check("/data", cifar10("/no/such/folder"), "data.path", "is not a folder").await;
    check("/data", cifar10("data"), "data.path", "absolute").await;
    check("/data", cifar10(empty.path().to_str().unwrap()), "data.path", "neither data_batch_1.bin").await;
    assert_eq!(std::fs::read_dir(server.dir.path().join("data/runs")).unwrap().count(), 0, "nothing is left of a refused run");

    for name in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        std::fs::write(empty.path().join(name), "").unwrap();
    }
    let mut body = config("done");
    body["data"] = cifar10(empty.path().to_str().unwrap());
    assert_eq!(server.post("/api/runs", &body).await.status, 201);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told() {
    let server = TestServer::start().await;
    for uri in ["/api/runs", "/api/shares"] {
        let send = async |kind: Option<&str>, body: String| {
            let mut builder = request(Method::POST, uri);
            if let Some(kind) = kind {
                builder = builder.header(header::CONTENT_TYPE, kind);
            }
            server.send(builder.body(Body::from(body)).unwrap()).await
        };
        send(None, "{}".into()).await.assert_problem(415, "unsupported-media-type", Some("Content-Type"));
        send(Some("text/plain"), "{}".into()).await.assert_problem(415, "unsupported-media-type", Some("Content-Type"));
        let problem = send(Some("application/json"), "{\"kind\": ".into()).await.assert_problem(400, "invalid-json", None);
        assert!(problem.detail.contains("line 1 column"), "{problem:?}");
        send(Some("application/json; charset=utf-8"), String::new()).await.assert_problem(400, "invalid-json", None);
        let twice = send(Some("application/json"), r#"{"a": [{"b": 1, "b": 2}]}"#.into()).await.assert_problem(400, "invalid-json", None);
        assert!(twice.detail.contains("`b` stands twice"), "{twice:?}");
        let two = format!("{0}{0}", config("done"));
        let two = send(Some("application/json"), two).await.assert_problem(400, "invalid-json", None);
        assert!(two.detail.contains("trailing characters"), "{two:?}");
        send(Some("application/json"), " ".repeat(1 << 21)).await.assert_problem(413, "body-too-large", None);
    }
    server.post("/api/runs", &json!([])).await.assert_problem(422, "invalid-run", Some(""));
}

#[tokio::test]
async fn a_failure_of_the_server_tells_nothing_of_its_insides() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    std::fs::write(server.run_dir(&run).join("attributions/e1.adversarial.json"), "{").unwrap();
    let problem = server.get(&format!("/api/attributions/{run}.e1.adversarial")).await.assert_problem(500, "internal", None);
    assert_eq!(problem.detail, "the server could not do this; its log says why");
}

/// The operations of the API document.
async fn operations(server: &TestServer) -> Vec<(String, String)> {
    let document: Value = server.get("/api/openapi.json").await.json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
            assert_eq!(
                operation["responses"]["default"]["content"]["application/problem+json"]["schema"]["$ref"],
                "#/components/schemas/Problem"
            );
            operations.push((method.to_uppercase(), path.clone()));
        }
    }
    operations.sort();
    operations
}

#[tokio::test]
async fn what_the_document_refers_to_is_in_it() {
    let server = TestServer::start().await;
    let document: Value = server.get("/api/openapi.json").await.json();
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value.as_str() {
                        Some(reference) if key == "$ref" => found.push(reference),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is missing");
    }
}

/// Nothing satisfies a schema that permits no further fields together with one that requires another field.
#[tokio::test]
async fn a_configuration_satisfies_its_schema() {
    let server = TestServer::start().await;
    let document: Value = server.get("/api/openapi.json").await.json();
    let schemas = &document["components"]["schemas"];
    let mapping = schemas["RunConfig"]["discriminator"]["mapping"].as_object().unwrap();
    let configs: Vec<Value> =
        server.get("/api/presets").await.json::<Vec<Value>>().into_iter().map(|preset| preset["config"].clone()).collect();
    assert!(mapping.len() == 9 && configs.len() > 10);
    for config in configs {
        let reference = mapping[config["kind"].as_str().unwrap()].as_str().unwrap();
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        let fields = config.as_object().unwrap();
        for field in fields.keys() {
            assert!(!schema["properties"][field].is_null(), "{reference} has no field {field}");
        }
        for field in schema["required"].as_array().unwrap() {
            assert!(fields.contains_key(field.as_str().unwrap()), "{reference} requires {field}");
        }
    }
}

/// Paths of the fields of a schema, without those that hold further fields.
fn fields(schemas: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return fields(schemas, &schemas[reference.rsplit('/').next().unwrap()], path, found);
    }
    // An optional object is one of null and a reference.
    let optional = schema["oneOf"].as_array().and_then(|cases| cases.iter().find(|case| case["$ref"].is_string()));
    if let Some(optional) = optional {
        return fields(schemas, optional, path, found);
    }
    let Some(properties) = schema["properties"].as_object() else { return found.push(path.to_owned()) };
    for (name, schema) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        fields(schemas, schema, &path, found);
    }
}

#[tokio::test]
async fn every_field_of_a_configuration_has_an_input_in_the_form() {
    // The page chooses the kind; a sweep names itself in its runs.
    const WITHOUT_INPUT: [&str; 2] = ["kind", "sweep"];
    let server = TestServer::start().await;
    let document: Value = server.get("/api/openapi.json").await.json();
    let schemas = &document["components"]["schemas"];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend/src/pages/new");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let form = files.collect::<Vec<_>>().concat();
    for kind in schemas["RunConfig"]["oneOf"].as_array().unwrap() {
        // Another program writes such a configuration.
        if kind["$ref"] == "#/components/schemas/ExternalConfig" {
            continue;
        }
        let mut found = Vec::new();
        fields(schemas, kind, "", &mut found);
        assert!(found.len() > 10, "{kind}: {found:?}");
        found.retain(|field| !WITHOUT_INPUT.contains(&field.as_str()) && !form.contains(&format!("\"{field}\"")));
        assert!(found.is_empty(), "{kind}: the form has no input for {found:?}");
    }
}

#[tokio::test]
async fn a_route_refuses_methods_it_does_not_know() {
    let server = TestServer::start().await;
    let known = operations(&server).await;
    for (_, path) in &known {
        let uri = path.replace("{id}", "x.e1.clean").replace("{token}", "x");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !known.iter().any(|(known, other)| known == method && other == path) {
                server.call(method.parse().unwrap(), &uri).await.assert_problem(405, "method-not-allowed", None);
            }
        }
    }
}

/// Holds a document of the repository to what the server makes it of. `CROSSLENS_UPDATE_DOCS=1` writes it anew.
#[track_caller]
fn check_document(name: &str, made: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("CROSSLENS_UPDATE_DOCS").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == made,
        "docs/{name} is not what the server makes it: run `CROSSLENS_UPDATE_DOCS=1 cargo test -p server` and look at the difference"
    );
}

#[tokio::test]
async fn the_documents_in_the_repository_are_the_servers() {
    let server = TestServer::start().await;
    let document: Value = server.get("/api/openapi.json").await.json();
    check_document("openapi.json", &format!("{}\n", serde_json::to_string_pretty(&document).unwrap()));
    check_document("problems.md", &server.get("/problems").await.text());
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_what_it_means() {
    let server = TestServer::start().await;
    let problem = server.get("/api/runs/none").await.assert_problem(404, "run-not-found", None);
    let page = server.get(&problem.kind).await;
    assert_eq!(page.header(header::CONTENT_TYPE), "text/markdown; charset=utf-8");
    assert_eq!(page.text(), "## run-not-found\n\n404 Not Found. No run has this id; it may have been deleted.\n");
    server.get("/problems/none").await.assert_problem(404, "route-not-found", None);
}
