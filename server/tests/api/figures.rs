//! Figures in all their forms, and what they tell of where they come from.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Cursor, Read, Write};

use axum::http::header;
use serde_json::{Value, json};
use shared::api::{EpochCell, Run, RunState};
use shared::export::{Exported, Format};
use shared::fixtures;
use shared::id::RunId;
use shared::interference::{Association, Interference, Relation};
use shared::provenance::{Page, Provenance};
use shared::record::{Record, Transfer};
use shared::view::Lens;

use crate::matrices::assert_png;
use crate::support::{Answer, TestServer, attribution};

async fn get(server: &TestServer, uri: &str) -> Answer {
    let answer = server.get(uri).await;
    assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
    answer
}

/// An array of an `.npz` file.
#[derive(Debug)]
struct Array {
    /// As NumPy writes it: `{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }`.
    header: String,
    values: Vec<u8>,
}

impl Array {
    fn numbers(&self) -> Vec<f64> {
        assert!(self.header.contains("'<f8'"), "{}", self.header);
        self.values.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
    }

    /// The letters of all texts, those that are shorter than others filled up with zeros.
    fn letters(&self) -> String {
        assert!(self.header.contains("'<U"), "{}", self.header);
        let letter = |bytes: &[u8]| char::from_u32(u32::from_le_bytes(bytes.try_into().unwrap())).unwrap();
        self.values.chunks_exact(4).map(letter).collect()
    }
}

fn unpacked(npz: &[u8]) -> BTreeMap<String, Array> {
    let mut archive = zip::ZipArchive::new(Cursor::new(npz)).unwrap();
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let name = file.name().unwrap().strip_suffix(".npy").unwrap().to_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let (header, values) = bytes[10..].split_at(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])));
        arrays.insert(name, Array { header: String::from_utf8(header.to_vec()).unwrap(), values: values.to_vec() });
    }
    arrays
}

/// What a CSV file holds below the comments at its head.
fn table(csv: &str) -> &str {
    let comments: usize = csv.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    &csv[comments..]
}

/// Checks that SVG, PNG and NPZ under an address tell that they are of `page`, and that the heads of LaTeX and CSV do; gives what the SVG tells.
async fn check(server: &TestServer, address: impl Fn(&str) -> String, page: &str) -> Provenance {
    let svg = get(server, &address("svg")).await;
    assert_eq!(svg.header(header::CONTENT_TYPE), "image/svg+xml");
    let told = Provenance::read(&svg.body).unwrap_or_else(|error| panic!("{page}: {error}"));
    assert_eq!(told.view.to_string(), page);
    assert_eq!(told.view, page.parse::<Page>().unwrap());

    let png = get(server, &address("png")).await;
    assert_eq!(png.header(header::CONTENT_TYPE), "image/png");
    assert_png(&png.body, None);
    assert_eq!(Provenance::read(&png.body).as_ref(), Ok(&told));

    let tex = get(server, &address("tex")).await;
    assert_eq!(tex.header(header::CONTENT_TYPE), "application/x-tex");
    let tex = tex.text();
    assert!(tex.contains(&format!("% View: {page}\n")), "{}", &tex[..400]);
    let (head, body) = tex.split_once("\\documentclass").unwrap();
    assert_eq!(body.matches('{').count(), body.matches('}').count(), "braces of {page}");
    assert_eq!(body.matches("\\begin{").count(), body.matches("\\end{").count());
    assert!(body.split(|letter: char| !letter.is_alphanumeric()).all(|word| word != "NaN" && word != "inf"));

    let csv = get(server, &address("csv")).await;
    assert_eq!(csv.header(header::CONTENT_TYPE), "text/csv; charset=utf-8");
    assert!(csv.header(header::CONTENT_DISPOSITION).ends_with(".csv\""));
    let csv = csv.text();
    let of_tex = |line: &&str| line.starts_with("% ") && !line.starts_with("% Compile");
    let expected: Vec<String> = head.lines().filter(of_tex).map(|line| line.replacen('%', "#", 1)).collect();
    assert_eq!(csv.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>(), expected);
    // Its rows are of one length, or they cannot be read.
    let rows = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(csv.as_bytes()).into_records().collect::<Result<Vec<_>, _>>();
    assert!(!rows.unwrap().is_empty() && !table(&csv).contains("NaN"), "{csv}");

    let npz = get(server, &address("npz")).await;
    assert_eq!(npz.header(header::CONTENT_TYPE), "application/zip");
    let arrays = unpacked(&npz.body);
    assert!(arrays.len() > 2, "{arrays:?}");
    assert_eq!(serde_json::from_str::<Provenance>(&arrays["provenance"].letters()).unwrap(), told);
    assert!(arrays["provenance"].header.contains("'shape': ()"), "a text is no list of texts");
    told
}

#[tokio::test]
async fn a_matrix_tells_its_lens_its_checkpoint_and_its_configuration() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let lens = "order=similarity&scale=fitted&threshold=0.10&cell=3,5";
    let page = format!("/attributions/{run}.e1.adversarial?{lens}");
    let told = check(&server, |form| format!("/api/attributions/{run}.e1.adversarial.{form}?{lens}"), &page).await;
    assert_eq!((told.checkpoints.len(), told.checkpoints[0].id.to_string()), (1, format!("{run}.e1")));
    assert_eq!(told.checkpoints[0].sha256, format!("{:064x}", 1));
    assert_eq!(told.configs[&run]["training"]["epochs"], 2);

    let tex = get(&server, &format!("/api/attributions/{run}.e1.adversarial.tex")).await.text();
    assert!(tex.contains("xticklabels={{0},{1},{2},") && tex.contains("\n0 0 1.0000\n1 0 -0.1250\n2 0 0.5000\n"), "{tex}");
    assert!(tex.contains("colormap name=crosslens0, point meta min=-1, point meta max=1"), "{tex}");
}

#[tokio::test]
async fn every_format_is_answered_and_the_document_has_it_with_every_option_of_the_lens() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let sides = format!("a={run}.e1.adversarial&b={run}.e2.adversarial");
    let document: Value = get(&server, "/api/openapi.json").await.json();
    for (route, address, exported) in [
        ("/api/comparisons", format!("/api/comparisons?{sides}&format="), Exported::Matrices),
        ("/api/attributions/{id}", format!("/api/attributions/{run}.e1.adversarial."), Exported::Matrices),
        ("/api/runs/{id}/curves", format!("/api/runs/{run}/curves?format="), Exported::Chart),
        ("/api/theory", "/api/theory?format=".to_owned(), Exported::Chart),
    ] {
        for format in Format::of(exported).filter(|format| *format != Format::Json) {
            let answer = get(&server, &format!("{address}{format}")).await;
            assert_eq!(answer.header(header::CONTENT_TYPE), format.media_type(), "{address}{format}");
            assert!(answer.header(header::CONTENT_DISPOSITION).ends_with(&format!(".{format}\"")), "{address}{format}");
            let media_type = format.media_type().split(';').next().unwrap();
            assert!(document["paths"][route]["get"]["responses"]["200"]["content"][media_type].is_object(), "{route}: {format}");
        }
        let parameters = document["paths"][route]["get"]["parameters"].as_array().unwrap();
        for option in Lens::OPTIONS {
            assert!(parameters.iter().any(|parameter| parameter["name"] == option.name), "{route}: {}", option.name);
        }
    }
}

#[tokio::test]
async fn a_comparison_tells_all_its_checkpoints() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let query = format!("a={run}.e1.adversarial&b={run}.e2.adversarial&scale=paper");
    let told = check(&server, |form| format!("/api/comparisons?{query}&format={form}"), &format!("/compare?{query}")).await;
    assert_eq!(
        told.checkpoints.iter().map(|checkpoint| checkpoint.id.to_string()).collect::<Vec<_>>(),
        [format!("{run}.e1"), format!("{run}.e2")]
    );
    assert_eq!(told.configs.len(), 1);
}

#[tokio::test]
async fn a_comparison_is_drawn_as_points_and_as_curves_too() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let query = format!("a={run}.e1.adversarial&b={run}.e2.adversarial");
    let page = format!("/compare?{query}");
    for chart in ["scatter", "curves"] {
        let told = check(&server, |form| format!("/api/comparisons?{query}&chart={chart}&format={form}"), &page).await;
        assert_eq!((told.checkpoints.len(), told.configs.len()), (2, 1), "{chart}");
    }
    let comparison: Value = get(&server, &format!("/api/comparisons?{query}")).await.json();
    let value = |side: usize, i: usize, j: usize| comparison["attributions"][side]["matrix"][i][j].as_f64().unwrap();

    let scatter = get(&server, &format!("/api/comparisons?{query}&chart=scatter&format=tex")).await.text();
    assert!(scatter.contains(&format!("\n{} {:.6}\n", value(0, 0, 2), value(1, 0, 2))), "{scatter}");
    let address = format!("/api/comparisons?{query}&chart=scatter&of=c&format=svg");
    server.get(&address).await.assert_problem(400, "invalid-query", Some("of"));
    server.get(&format!("/api/comparisons?{query}&chart=pie")).await.assert_problem(400, "invalid-query", Some("chart"));

    let metrics: Value = get(&server, &format!("/api/runs/{run}/metrics")).await.json();
    let robust = metrics["epochs"][1]["test_robust_accuracy"].as_f64().unwrap();
    let curves = get(&server, &format!("/api/comparisons?{query}&chart=curves&format=csv")).await.text();
    let lines: Vec<&str> = table(&curves).lines().collect();
    assert_eq!((lines[0], lines.len()), ("run,epoch,robust_accuracy,cas,train_loss,test_loss", 3));
    assert!(lines[2].contains(&format!(",2,{robust},")), "{curves}");
}

#[tokio::test]
async fn a_scatter_has_the_side_that_it_is_asked_for_in_every_form() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    // The second against itself last: only the side that is asked for differs.
    let query = format!("a={run}.e1.adversarial&b={run}.e1.adversarial&c={run}.e2.adversarial");
    let scatter = |form: &str| format!("/api/comparisons?{query}&chart=scatter&of=c&format={form}");
    let csv = get(&server, &scatter("csv")).await;
    assert!(csv.header(header::CONTENT_DISPOSITION).contains(&format!("{run}.e1.adversarial-to-{run}.e2.adversarial-scatter.csv")));
    let csv = csv.text();
    assert_eq!(table(&csv).lines().take(3).collect::<Vec<_>>(), ["class_i,class_j,a,c", "0,1,-0.125,-0.125", "0,2,0.5,0.25"]);
    let arrays = unpacked(&get(&server, &scatter("npz")).await.body);
    assert_eq!((arrays["a"].numbers()[1], arrays["c"].numbers()[1]), (0.5, 0.25));
    assert!(get(&server, &scatter("tex")).await.text().contains("\n0.5 0.250000\n"));
}

#[tokio::test]
async fn matrices_are_one_array_with_and_without_what_tells_of_them() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let query = format!("a={run}.e1.adversarial&b={run}.e2.adversarial");
    let arrays = unpacked(&get(&server, &format!("/api/comparisons?{query}&format=npz")).await.body);
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["attributions", "classes", "matrices", "provenance"]);
    let matrices = &arrays["matrices"];
    assert!(matrices.header.contains("'shape': (2, 10, 10), }"), "{}", matrices.header);
    assert_eq!((matrices.numbers()[2], matrices.numbers()[102], matrices.numbers().len()), (0.5, 0.25, 200));
    assert_eq!(arrays["attributions"].letters(), format!("{run}.e1.adversarial{run}.e2.adversarial"));
    assert_eq!(arrays["classes"].letters(), "0123456789");
    let alone = get(&server, &format!("/api/comparisons?{query}&format=npy")).await.body;
    assert!(alone.ends_with(&matrices.values) && alone.len() == 128 + matrices.values.len());

    let arrays = unpacked(&get(&server, &format!("/api/attributions/{run}.e1.adversarial.npz")).await.body);
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["classes", "matrix", "provenance"]);
    assert_eq!((arrays["matrix"].numbers()[2], arrays["matrix"].numbers().len()), (0.5, 100));
    // What takes several arrays is not in a file that holds one.
    for address in [
        format!("/api/comparisons?{query}&format=npy&chart=scatter"),
        format!("/api/comparisons?{query}&format=npy&chart=curves"),
        format!("/api/attributions/{run}.e1.adversarial.npy?chart=classes"),
        format!("/api/runs/{run}/curves?format=npy"),
        "/api/theory?format=npy".to_owned(),
    ] {
        let problem = server.get(&address).await.assert_problem(400, "invalid-query", Some("format"));
        assert!(problem.detail.contains("npz"), "{}", problem.detail);
    }
}

#[tokio::test]
async fn a_cell_over_epochs_tells_the_run_and_every_checkpoint() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let address = |form: &str| format!("/api/runs/{run}/cells?i=3&j=5&format={form}");
    let told = check(&server, address, &format!("/runs/{run}?cell=3,5")).await;
    assert_eq!((told.checkpoints.len(), told.configs.len()), (2, 1));
    let csv = get(&server, &address("csv")).await.text();
    assert_eq!(table(&csv), "epoch,cosine,low,high\n1,0.5,,\n2,0.25,,\n");
    let arrays = unpacked(&get(&server, &address("npz")).await.body);
    assert_eq!(arrays["cosine"].numbers(), [0.5, 0.25]);
    assert!(arrays["low"].numbers().iter().all(|low| low.is_nan()), "no intervals were drawn");
    let tex = get(&server, &address("tex")).await.text();
    assert!(tex.contains("\n1 0.500000\n2 0.250000\n") && tex.contains("{best};") && tex.contains("{last};"), "{tex}");
    let lens = format!("/runs/{run}?inputs=clean&order=similarity&cell=3,5");
    let svg = get(&server, &format!("/api/runs/{run}/cells?i=3&j=5&inputs=clean&order=similarity&format=svg")).await;
    assert_eq!(Provenance::read(&svg.body).unwrap().view.to_string(), lens);
}

#[tokio::test]
async fn accuracies_of_classes_are_drawn_and_told_against_a_baseline() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let (query, page) = (format!("base={run}.e1.adversarial"), format!("/attributions/{run}.e2.adversarial"));
    let address = |form: &str| format!("/api/attributions/{run}.e2.adversarial.{form}?{query}&chart=classes");
    let told = check(&server, address, &format!("{page}?{query}")).await;
    assert_eq!(told.checkpoints.len(), 2);
    let [now, before]: [Value; 2] = [
        get(&server, &format!("/api/attributions/{run}.e2.adversarial")).await.json(),
        get(&server, &format!("/api/attributions/{run}.e1.adversarial")).await.json(),
    ];
    let csv = get(&server, &address("csv")).await.text();
    let lines: Vec<&str> = table(&csv).lines().collect();
    assert_eq!((lines[0], lines.len()), ("class,images,accuracy,baseline", now["class_names"].as_array().unwrap().len() + 1));
    let row = [&now["class_names"][1], &now["class_counts"][1], &now["class_accuracy"][1], &before["class_accuracy"][1]];
    assert_eq!(lines[2], row.map(|value| value.to_string().replace('"', "")).join(","));
    let alone = get(&server, &format!("/api/attributions/{run}.e2.adversarial.csv?chart=classes")).await.text();
    assert!(table(&alone).starts_with("class,images,accuracy\n"), "{alone}");
    // A matrix as numbers needs no baseline, whatever the query says.
    for form in ["", ".csv", ".npz", ".npy"] {
        get(&server, &format!("/api/attributions/{run}.e2.adversarial{form}?base={run}.e99.adversarial")).await;
    }
}

#[tokio::test]
async fn curves_tell_the_view_of_their_run() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let told = check(&server, |form| format!("/api/runs/{run}/curves?format={form}"), &format!("/runs/{run}")).await;
    assert_eq!(told.checkpoints.len(), 2, "best and last");
    let query = "epoch=2&inputs=clean&order=similarity";
    check(&server, |form| format!("/api/runs/{run}/curves?format={form}&{query}"), &format!("/runs/{run}?{query}")).await;
    let csv = get(&server, &format!("/api/runs/{run}/curves?format=csv")).await.text();
    let lines: Vec<&str> = table(&csv).lines().collect();
    let head = "epoch,test_robust_accuracy,test_clean_accuracy,train_robust_accuracy,train_clean_accuracy,cas,train_loss,test_loss";
    assert_eq!((lines[0], lines.len()), (head, 3));
    let metrics: Value = get(&server, &format!("/api/runs/{run}/metrics")).await.json();
    let robust = metrics["epochs"][1]["test_robust_accuracy"].as_f64().unwrap();
    assert!(lines[2].starts_with(&format!("2,{robust},")), "{csv}");
    let arrays = unpacked(&get(&server, &format!("/api/runs/{run}/curves?format=npz")).await.body);
    assert_eq!(arrays["test_robust_accuracy"].numbers()[1], robust);
    assert_eq!((arrays["train_loss"].numbers()[1], arrays["test_loss"].numbers()[1]), (1.5, 1.25));
    server.get(&format!("/api/runs/{run}/curves?format=pdf")).await.assert_problem(400, "invalid-query", Some("format"));
    server.get("/api/runs/none/curves").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn a_curve_over_eps_grows_and_tells_its_checkpoint() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    let config = json!({"kind": "eps_curve", "name": "gated", "checkpoint": format!("{trained}.best"), "norm": "linf", "eps": [0, 8, 16]});
    let answer = server.post("/api/runs", &config).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let run = answer.json::<Run>().id;
    server.until_running(&run).await;
    let address = format!("/api/runs/{run}/eps-curve");
    let none: Value = get(&server, &address).await.json();
    assert_eq!(none, json!([]));

    let points = [fixtures::eps_point(0.0, 900), fixtures::eps_point(8.0, 470)];
    let lines: String = points.iter().map(|point| serde_json::to_string(&Record::EpsPoint(point.clone())).unwrap() + "\n").collect();
    OpenOptions::new().append(true).open(server.run_dir(&run).join("metrics.jsonl")).unwrap().write_all(lines.as_bytes()).unwrap();
    let found: Value = get(&server, &address).await.json();
    assert_eq!(found, json!(points), "no sign: larger radii are still to come");
    for chart in ["accuracy", "cas"] {
        let told = check(&server, |form| format!("{address}?chart={chart}&format={form}"), &format!("/runs/{run}")).await;
        assert_eq!((told.checkpoints.len(), told.checkpoints[0].sha256.as_str()), (1, "ab"));
        let csv = get(&server, &format!("{address}?chart={chart}&format=csv")).await.text();
        let lines: Vec<&str> = table(&csv).lines().collect();
        let head = "norm,eps,step_size,steps,images,correct,accuracy,accuracy_low,accuracy_high,loss,cas,cas_normalized,cas_low,cas_high";
        assert_eq!((lines[0], lines.len()), (head, 3));
        assert!(lines[1].starts_with("linf,0,,0,1000,900,0.9,") && lines[2].ends_with(",1,20,0.2,19,21"), "{csv}");
    }
    let tex = get(&server, &format!("{address}?format=tex")).await.text();
    assert!(tex.contains("xticklabels={{0/255},{8/255}}") && tex.contains("y error plus=up"), "{tex}");
    server.get(&format!("{address}?format=npy")).await.assert_problem(400, "invalid-query", Some("format"));
    server.get(&format!("{address}?chart=loss")).await.assert_problem(400, "invalid-query", Some("chart"));
    server.get(&format!("/api/runs/{trained}/eps-curve")).await.assert_problem(404, "result-not-found", Some("id"));
    std::fs::write(server.run_dir(&run).join("go"), "").unwrap();
    server.until(&run, |run| run.state == RunState::Succeeded).await;
}

#[tokio::test]
async fn a_transfer_matrix_is_exported_as_numbers_by_source_and_target() {
    let server = TestServer::start().await;
    let trained = server.finish("done").await.id;
    let config = json!({"kind": "transfer", "name": "done", "checkpoints": [format!("{trained}.e1"), format!("{trained}.e2")]});
    let answer = server.post("/api/runs", &config).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let run = answer.json::<Run>().id;
    server.until(&run, |run| run.state == RunState::Succeeded).await;
    let address = format!("/api/runs/{run}/transfer");
    server.get(&address).await.assert_problem(404, "result-not-found", Some("id"));

    let mut transfer = fixtures::transfer(2);
    let rows = std::mem::take(&mut transfer.rows);
    let records = [Record::Transfer(transfer)].into_iter().chain(rows.into_iter().map(Record::TransferRow));
    let lines: String = records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect();
    OpenOptions::new().append(true).open(server.run_dir(&run).join("metrics.jsonl")).unwrap().write_all(lines.as_bytes()).unwrap();
    let found: Transfer = get(&server, &address).await.json();
    assert_eq!(found, fixtures::transfer(2));
    let told = check(&server, |form| format!("{address}?format={form}"), &format!("/runs/{run}")).await;
    assert_eq!(told.checkpoints, found.checkpoints);
    let csv = get(&server, &format!("{address}?format=csv")).await.text();
    assert_eq!(table(&csv), "source,at-1.e1,at-1.e2\nclean,0.9,0.9\nat-1.e1,0.4,0.61\nat-1.e2,0.6,0.4\n");
    let arrays = unpacked(&get(&server, &format!("{address}?format=npz")).await.body);
    assert_eq!((arrays["accuracy"].numbers(), arrays["clean"].numbers()), (vec![0.4, 0.61, 0.6, 0.4], vec![0.9, 0.9]));
    assert!(arrays["accuracy"].header.contains("'shape': (2, 2)"));
    let npy = get(&server, &format!("{address}?format=npy")).await.body;
    assert!(npy.ends_with(&arrays["accuracy"].values));
    let tex = get(&server, &format!("{address}?format=tex")).await.text();
    assert!(tex.contains("yticklabels={clean,{epoch 1},{epoch 2}}") && tex.contains("\n0 -1 90.00\n1 -1 90.00\n0 0 40.00\n"), "{tex}");
    server.get("/api/runs/none/transfer").await.assert_problem(404, "run-not-found", Some("id"));
}

#[tokio::test]
async fn curves_are_drawn_as_far_as_they_are_in_sight_and_switched_on() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let compared = format!("a={run}.e1.adversarial&b={run}.e2.adversarial");
    for (address, page) in [
        (format!("/api/runs/{run}/curves?"), format!("/runs/{run}?")),
        (format!("/api/comparisons?{compared}&chart=curves&"), format!("/compare?{compared}&")),
    ] {
        let whole = get(&server, &format!("{address}format=svg")).await.text();
        for text in ["loss", "CAS"] {
            assert!(whole.contains(&format!(">\n{text}\n<")), "{text} is missing");
        }
        let lens = "epochs=1-2&losses=log&hide=cas,test_loss";
        check(&server, |form| format!("{address}format={form}&{lens}"), &format!("{page}{lens}")).await;
        let part = get(&server, &format!("{address}format=svg&{lens}")).await.text();
        assert!(part.contains(">\nloss (log)\n<") && !part.contains(">\nCAS\n<"), "{part}");
        let tex = get(&server, &format!("{address}format=tex&{lens}")).await.text();
        assert!(tex.contains("xmin=1, xmax=2") && tex.contains("ymode=log") && tex.contains("\n1 1.500000\n2 1.500000\n"), "{tex}");
        assert!(!tex.contains("1.250000"), "what is switched off is not in LaTeX either");
        // Numbers are whole, whatever is in sight.
        let csv = get(&server, &format!("{address}format=csv&{lens}")).await.text();
        assert!(csv.contains(",1.5,1.25"), "{csv}");
    }
}

#[tokio::test]
async fn a_run_whose_loss_exploded_says_so_though_its_worker_did_not() {
    let server = TestServer::start().await;
    let lines = std::fs::read_to_string(server.dir.path().join("metrics.jsonl")).unwrap();
    let diverged = lines.replacen("\"train_loss\":1.5", "\"train_loss\":1e31", 1);
    std::fs::write(server.dir.path().join("metrics.jsonl"), diverged).unwrap();
    let run = server.finish("done").await;
    assert_eq!(run.summary.broke_down, Some(1));
    let svg = get(&server, &format!("/api/runs/{}/curves", run.id)).await.text();
    assert!(svg.contains(">\ntraining broke down\n<") && svg.contains(">\nloss (log)\n<"), "{svg}");
    let csv = get(&server, &format!("/api/runs/{}/curves?format=csv", run.id)).await.text();
    assert!(csv.contains(",10000000000000000000000000000000,"), "{csv}");
}

/// A server whose worker writes a matrix over classes of other names.
async fn with_class_names(names: [&str; 10]) -> (TestServer, RunId) {
    let server = TestServer::start().await;
    let path = server.dir.path().join("attributions/e1.adversarial.json");
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    file["class_names"] = serde_json::json!(names);
    std::fs::write(&path, file.to_string()).unwrap();
    let run = server.finish("done").await.id;
    (server, run)
}

#[tokio::test]
async fn names_of_every_script_are_in_every_form() {
    let long = "a very long name ".repeat(20);
    let names = ["猫", "русский", "🐈", "שלום עולם", "cafe\u{301}", "<b>&\"'", "$x_1^2$ \\ #%{}~", "two\nlines\u{8}", &long, "𐌰"];
    let (server, run) = with_class_names(names).await;
    let id = format!("{run}.e1.adversarial");
    for chart in ["matrix", "classes"] {
        let address = |form: &str| format!("/api/attributions/{id}.{form}?chart={chart}");
        check(&server, address, &format!("/attributions/{id}")).await;
        let svg = get(&server, &address("svg")).await.text();
        for text in ["猫", "русский", "🐈", "שלום עולם", "&lt;b&gt;&amp;"] {
            assert!(svg.contains(text), "{text} is not in the SVG");
        }
        let tex = get(&server, &address("tex")).await.text();
        assert!(tex.contains("% Compile with lualatex or xelatex") && tex.contains("\\usepackage{fontspec}"), "{tex}");
        for text in ["{猫}{Mao}", "{русский}{russkii}", "{🐈}{cat2}", "\\fromright{שלום עולם}", "café", "\\$x\\_1\\textasciicircum{}2\\$"]
        {
            assert!(tex.contains(text), "{text} is not in {tex}");
        }
        let csv = get(&server, &address("csv")).await.text();
        assert!(csv.contains("猫") && csv.contains("𐌰"));
        let array = if chart == "matrix" { "classes" } else { "class" };
        assert!(unpacked(&get(&server, &address("npz")).await.body)[array].letters().contains('猫'));
    }
    // Plain names need nothing.
    let (server, run) = with_class_names(["cat", "dog", "Müller", "d", "e", "f", "g", "h", "i", "j"]).await;
    let tex = get(&server, &format!("/api/attributions/{run}.e1.adversarial.tex")).await.text();
    assert!(tex.contains("% Compile with pdflatex") && !tex.contains("fontspec"), "{tex}");
}

#[tokio::test]
async fn no_class_name_is_a_formula_in_csv() {
    let names = ["=1+1", "+2", "-cat", "@SUM(A1)", "\tx", "\rx", "7", "h", "i", "-1.5"];
    let (server, run) = with_class_names(names).await;
    for (address, cells) in [
        (format!("/api/attributions/{run}.e1.adversarial.csv"), names.len()),
        (format!("/api/attributions/{run}.e1.adversarial.csv?chart=classes"), 0),
    ] {
        let csv = get(&server, &address).await.text();
        let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(csv.as_bytes());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let column: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
        assert_eq!(column, ["'=1+1", "+2", "'-cat", "'@SUM(A1)", "'\tx", "'\rx", "7", "h", "i", "-1.5"]);
        assert!(cells == 0 || head[1..] == column, "{head:?}");
    }
}

#[tokio::test]
async fn theory_is_drawn_and_told_without_a_run() {
    let server = TestServer::start().await;
    let query = "mean=2&eps=0.4&loss=cross_entropy&label_smoothing=0.1";
    for chart in ["weights", "chance"] {
        check(&server, |form| format!("/api/theory?{query}&chart={chart}&format={form}"), &format!("/theory?{query}")).await;
    }
    let course: Vec<Value> = get(&server, "/api/theory?eps=0.2").await.json();
    assert_eq!((course.len(), &course[0]["theorem"]["specific"]), (21, &Value::from(2.0)));
    let csv = get(&server, "/api/theory?format=csv").await.text();
    assert!(table(&csv).starts_with("eps,w1_theorem,w2_theorem,w1_simulated,") && table(&csv).lines().count() == 22, "{csv}");
    for (query, field) in
        [("mean=0", "mean"), ("eps=x", "eps"), ("loss=hinge", "loss"), ("label_smoothing=1", "label_smoothing"), ("mu=1", "mu")]
    {
        server.get(&format!("/api/theory?{query}")).await.assert_problem(400, "invalid-query", Some(field));
    }
}

#[tokio::test]
async fn charts_of_a_sweep_tell_what_they_are_over() {
    let server = TestServer::start().await;
    let axes = serde_json::json!([{"field": "attack.eps", "values": ["4/255", "8/255"]}, {"field": "seed", "values": [0, 1]}]);
    let sweep = serde_json::json!({"config": crate::support::config("done"), "axes": axes});
    let answer = server.post("/api/sweeps", &sweep).await;
    let sweep: shared::api::Sweep = answer.json();
    for run in &sweep.runs {
        server.until(&run.id, |run| run.state.is_finished()).await;
    }
    let id = &sweep.id;
    for chart in ["accuracy", "cas", "epochs"] {
        let address = |form: &str| format!("/api/sweeps/{id}/chart?chart={chart}&over=attack.eps&format={form}");
        let told = check(&server, address, &format!("/sweeps/{id}?over=attack.eps")).await;
        assert_eq!(told.configs.len(), 4);
    }
    let csv = get(&server, &format!("/api/sweeps/{id}/chart?format=csv")).await.text();
    assert_eq!(table(&csv).lines().next(), Some("series,inputs,x,mean,low,high,runs"));
    assert!(csv.contains("Best,test,4/255,0.5,0.5,0.5,2\n"), "{csv}");
    let epochs = get(&server, &format!("/api/sweeps/{id}/chart?chart=epochs&format=csv")).await.text();
    assert!(epochs.contains("4/255,test,2,0.25,") && epochs.contains("4/255,train,2,0.5,"), "{epochs}");
    let tex = get(&server, &format!("/api/sweeps/{id}/chart?format=tex")).await.text();
    assert!(tex.contains("xticklabels={{4/255},{8/255}}"), "{tex}");
    server.get(&format!("/api/sweeps/{id}/chart?over=model.width")).await.assert_problem(400, "invalid-query", Some("over"));
}

#[tokio::test]
async fn figures_refuse_parameters_that_are_none_of_theirs() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let id = format!("{run}.e1.adversarial");
    for query in [
        "color=red",
        "threshold=2",
        "ramp=hot",
        "region=1",
        "base=x",
        "blocks=yes",
        "show=both",
        "order=a&order=b",
        "epochs=9-3",
        "losses=ln",
        "hide=all",
    ] {
        let field = query.split('=').next();
        for uri in [
            format!("/api/attributions/{id}.svg?{query}"),
            format!("/api/comparisons?a={id}&b={id}&format=svg&{query}"),
            format!("/api/runs/{run}/curves?{query}"),
            format!("/api/theory?format=svg&{query}"),
        ] {
            server.get(&uri).await.assert_problem(400, "invalid-query", field);
        }
    }
}

#[tokio::test]
async fn figures_do_not_tell_folders_of_the_server() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    for name in ["train.bin", "test.bin"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let mut config = crate::support::config("done");
    config["data"] = serde_json::json!({"dataset": "cifar100", "path": folder.path()});
    let run: shared::api::Run = server.post("/api/runs", &config).await.json();
    server.until(&run.id, |run| run.state.is_finished()).await;
    let svg = get(&server, &format!("/api/runs/{}/curves", run.id)).await.text();
    assert!(!svg.contains(folder.path().to_str().unwrap()));
}

#[tokio::test]
async fn relations_between_classes_are_told_and_drawn_where_the_file_has_them() {
    let server = TestServer::start().await;
    let run = server.finish("done").await.id;
    let address = |form: &str| format!("/api/attributions/{run}.e1.adversarial.{form}?chart=attribution_traffic");
    server.get(&address("svg")).await.assert_problem(400, "invalid-query", Some("chart"));
    let interference = format!("/api/attributions/{run}.e1.adversarial/interference");
    assert_eq!(get(&server, &interference).await.json::<Interference>().associations, []);
    let sides = format!("a={run}.e1.adversarial&b={run}.e2.adversarial");
    let compared = |form: &str| format!("/api/comparisons?{sides}&chart=interference&format={form}");
    server.get(&compared("csv")).await.assert_problem(400, "invalid-query", Some("chart"));

    let mut file = attribution(1);
    file.weight_matrix = Some(file.matrix.clone());
    let count = |i: usize, j: usize| match i.abs_diff(j) {
        0 => 20,
        2 => 5,
        _ => 1,
    };
    file.confusion = (0..10).map(|i| (0..10).map(|j| count(i, j)).collect()).collect();
    std::fs::write(server.run_dir(&run).join("attributions/e1.adversarial.json"), serde_json::to_vec(&file).unwrap()).unwrap();
    let found: Interference = get(&server, &interference).await.json();
    assert_eq!((found.permutations, found.associations.len()), (999, 3));
    for &Association { x, y, rank_correlation, p } in &found.associations {
        // Classes at the ends have fewer neighbors, so their traffic has other ranks.
        let least = if y == Relation::Weights { 1.0 - 1e-9 } else { 0.6 };
        assert!(rank_correlation >= least && p <= 0.01, "{x} and {y}: {rank_correlation}, {p}");
    }
    check(&server, address, &format!("/attributions/{run}.e1.adversarial")).await;
    let csv = get(&server, &address("csv")).await.text();
    assert!(table(&csv).starts_with("class_i,class_j,attribution,traffic\n"), "{csv}");
    assert_eq!(table(&csv).lines().count(), 46);

    let course = |form: &str| format!("/api/runs/{run}/interference?x=attribution&y=traffic&format={form}");
    let cells: Vec<EpochCell> = get(&server, &course("json")).await.json();
    let [only] = &cells[..] else { panic!("the other epochs have no confusion: {cells:?}") };
    assert!(only.epoch == 1 && only.value > 0.6 && only.interval.is_none(), "{only:?}");
    check(&server, course, &format!("/runs/{run}")).await;

    // Beside each other on a comparison, of which the second side has no relations.
    check(&server, compared, &format!("/compare?{sides}")).await;
    let csv = get(&server, &compared("csv")).await.text();
    let row = |Association { x, y, rank_correlation, p }: &Association| format!("{run}.e1.adversarial,{x},{y},{rank_correlation},{p}");
    let expected: Vec<String> =
        ["attribution,x,y,rank_correlation,p".to_owned()].into_iter().chain(found.associations.iter().map(row)).collect();
    assert_eq!(table(&csv).lines().collect::<Vec<_>>(), expected);
    server.get(&compared("npy")).await.assert_problem(400, "invalid-query", Some("format"));
    assert_eq!(get(&server, &course("json").replace("traffic", "features")).await.json::<Vec<EpochCell>>(), []);
    server.get(&course("json").replace("traffic", "logits")).await.assert_problem(400, "invalid-query", Some("y"));

    // The lens says which of the matrices of the file is drawn and written.
    let traffic = get(&server, &format!("/api/attributions/{run}.e1.adversarial.csv?cells=traffic")).await.text();
    let first = table(&traffic).lines().nth(1).unwrap().to_owned();
    let cell: f64 = first.split(',').nth(2).unwrap().parse().unwrap();
    let total = f64::from(file.confusion[0].iter().sum::<u32>() + file.confusion[1].iter().sum::<u32>());
    assert_eq!(cell, 2.0 / total, "{first}");
    let drawn = get(&server, &format!("/api/attributions/{run}.e1.adversarial.svg?cells=traffic&traffic=1")).await.text();
    assert!(drawn.contains("Traffic of the attack · epoch 1") && drawn.contains("<circle"), "{drawn}");
    server.get(&format!("/api/attributions/{run}.e1.adversarial.svg?cells=logit")).await.assert_problem(
        400,
        "invalid-query",
        Some("cells"),
    );
}
