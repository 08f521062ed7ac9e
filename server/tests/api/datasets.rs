//! Data sets: pointing to folders, downloads from a server of the test's own, and what the files hold.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use shared::api::{DatasetFiles, DatasetStatus, DatasetSummary, DownloadStep, Run};
use shared::dataset::{Dataset, PassedOver};
use tokio::sync::Notify;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::{DEADLINE, TestServer, config, request};

/// How the other side answers.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// As it should, whole or in part.
    Good,
    /// Half of the file, then nothing once the test says so.
    BreaksOff,
    /// A piece of the file every now and then.
    Slow,
    NotFound,
}

/// Serves one content under every name and notes the ranges asked for.
#[derive(Clone)]
struct Mirror {
    content: Bytes,
    manner: Arc<Mutex<Manner>>,
    ranges: Arc<Mutex<Vec<String>>>,
    break_off: Arc<Notify>,
    address: String,
}

impl Mirror {
    async fn start(content: Vec<u8>, manner: Manner) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/files", listener.local_addr().unwrap());
        let mirror = Mirror {
            content: content.into(),
            manner: Arc::new(Mutex::new(manner)),
            ranges: Arc::default(),
            break_off: Arc::default(),
            address,
        };
        let router = Router::new().route("/files/{name}", get(answer)).with_state(mirror.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        mirror
    }

    async fn server(&self) -> TestServer {
        TestServer::start_with(|settings| settings.datasets_mirror = Some(self.address.clone())).await
    }
}

async fn answer(State(mirror): State<Mirror>, UrlPath(name): UrlPath<String>, headers: HeaderMap) -> Response {
    assert!(name.contains('.'), "{name}");
    let range = headers.get(header::RANGE).map_or(String::new(), |range| range.to_str().unwrap().to_owned());
    mirror.ranges.lock().unwrap().push(range.clone());
    let (all, manner) = (mirror.content.len(), *mirror.manner.lock().unwrap());
    if manner == Manner::NotFound {
        return StatusCode::NOT_FOUND.into_response();
    }
    let start: usize = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).map_or(0, |start| start.parse().unwrap());
    if start >= all {
        return (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{all}"))]).into_response();
    }
    let status = if range.is_empty() { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let rest = mirror.content.slice(start..);
    let headers = [
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_LENGTH, rest.len().to_string()),
        (header::CONTENT_RANGE, format!("bytes {start}-{}/{all}", all - 1)),
    ];
    let body = match manner {
        Manner::BreaksOff => {
            let half = rest.slice(..rest.len() / 2);
            let broken = async move {
                mirror.break_off.notified().await;
                Err(std::io::Error::other("broken"))
            };
            Body::from_stream(stream::iter([Ok(half)]).chain(stream::once(broken)))
        }
        Manner::Slow => {
            let pieces = stream::iter(0..).then(move |index| {
                let piece = rest.slice(index..index + 1);
                async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    Ok::<_, std::io::Error>(piece)
                }
            });
            Body::from_stream(pieces)
        }
        Manner::Good | Manner::NotFound => Body::from(rest),
    };
    (status, headers, body).into_response()
}

async fn status(server: &TestServer, dataset: Dataset) -> DatasetStatus {
    let list: Vec<DatasetStatus> = server.get("/api/datasets").await.json();
    list.into_iter().find(|status| status.info.id == dataset).unwrap()
}

async fn until(server: &TestServer, dataset: Dataset, condition: impl Fn(&DatasetFiles) -> bool) -> DatasetFiles {
    let start = Instant::now();
    loop {
        let files = status(server, dataset).await.files;
        if condition(&files) {
            return files;
        }
        assert!(start.elapsed() < DEADLINE, "still {files:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Starts a download, waits for its end, and gives how it ended.
async fn download(server: &TestServer, dataset: Dataset) -> DatasetFiles {
    let answer = server.call(Method::POST, &format!("/api/datasets/{}/download", dataset.id())).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    until(server, dataset, |files| !matches!(files, DatasetFiles::Downloading { .. })).await
}

#[track_caller]
fn assert_problem(files: &DatasetFiles, parts: &[&str]) -> u64 {
    let DatasetFiles::Missing { partial_bytes, problem: Some(problem) } = files else { panic!("{files:?}") };
    for part in parts {
        assert!(problem.contains(part), "`{part}` is not in: {problem}");
    }
    *partial_bytes
}

async fn point(server: &TestServer, dataset: Dataset, path: &str) -> crate::support::Answer {
    let request = request(Method::PUT, &format!("/api/datasets/{}/folder", dataset.id())).header(header::CONTENT_TYPE, "application/json");
    server.send(request.body(Body::from(json!({"path": path}).to_string())).unwrap()).await
}

/// Any picture: a PNG of one of the embedded digits.
fn picture(index: usize) -> Vec<u8> {
    let digits = datasets::open(Dataset::Digits, Path::new(""), 0).unwrap();
    digits.png(&digits.train.pixels(&[index]).unwrap())
}

/// `train/CLASS` and `val/CLASS` of two classes.
fn image_folder(folder: &Path) {
    for (part, class, images) in [("train", "bird", 3), ("train", "cat", 2), ("val", "bird", 1), ("val", "cat", 2)] {
        let target = folder.join(part).join(class);
        fs::create_dir_all(&target).unwrap();
        (0..images).for_each(|index| fs::write(target.join(format!("{index}.png")), picture(index)).unwrap());
    }
}

/// Tiny-ImageNet's layout with two classes, packed; `more` is one more file.
fn tiny_imagenet(more: &str) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut file = |name: &str, content: &[u8]| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    };
    let inside = |name: &str| format!("tiny-imagenet-200/{name}");
    file(&inside("wnids.txt"), b"n01\nn02\n");
    file(&inside("words.txt"), b"n01\tcrane\nn02\tgoldfish\n");
    file(&inside("val/val_annotations.txt"), b"val_0.JPEG\tn01\t0\t0\t9\t9\nval_1.JPEG\tn02\t0\t0\t9\t9\n");
    for name in ["val/images/val_0.JPEG", "val/images/val_1.JPEG", "train/n01/images/a.JPEG", "train/n02/images/b.JPEG"] {
        file(&inside(name), &picture(3));
    }
    file(more, b"more");
    archive.finish().unwrap().into_inner()
}

#[tokio::test]
async fn the_list_says_where_each_data_set_is() {
    let server = TestServer::start().await;
    let list: Vec<DatasetStatus> = server.get("/api/datasets").await.json();
    assert_eq!(list.iter().map(|status| status.info.id).collect::<Vec<_>>(), Dataset::ALL);
    for DatasetStatus { info, files, download } in list {
        match info.id {
            Dataset::Digits => assert_eq!((files, download), (DatasetFiles::Embedded, None)),
            Dataset::Synthetic => assert_eq!((files, download), (DatasetFiles::Generated, None)),
            id => {
                assert_eq!(files, DatasetFiles::Missing { partial_bytes: 0, problem: None });
                assert_eq!(download.is_some(), id != Dataset::ImageFolder);
            }
        }
    }
    let offer = status(&server, Dataset::Cifar10).await.download.unwrap();
    assert_eq!((offer.urls, offer.verified), (vec!["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned()], true));
    server.get("/api/datasets/imagenet/summary").await.assert_problem(404, "dataset-not-found", Some("id"));
}

#[tokio::test]
async fn a_folder_that_was_pointed_to_is_remembered_and_goes_into_runs_that_name_none() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let mut body = config("done");
    body["data"] = json!({"dataset": "image_folder", "image_size": 8});
    body["model"] = json!({"architecture": "preact_resnet_small"});

    let problem = server.post("/api/runs", &body).await.assert_problem(422, "invalid-run", Some("data.path"));
    assert!(problem.detail.contains("this server has no folder"), "{problem:?}");
    let refused = |path: &str| path.to_owned();
    for (path, part) in [("pictures", "not an absolute path"), ("/no/such/folder", "is not a folder"), (&path, "no folder train")] {
        let problem = point(&server, Dataset::ImageFolder, &refused(path)).await.assert_problem(422, "invalid-folder", Some("path"));
        assert!(problem.detail.contains(part), "{problem:?}");
    }
    image_folder(folder.path());
    let pointed: DatasetStatus = point(&server, Dataset::ImageFolder, &path).await.json();
    assert_eq!(pointed.files, DatasetFiles::Ready { path: path.clone(), pointed: true });

    let server = server.restart(|_| {}).await;
    let run: Run = server.post("/api/runs", &body).await.json();
    assert_eq!(run.config.data().unwrap().path.as_deref(), Some(path.as_str()));
    let written: Value = serde_json::from_slice(&fs::read(server.run_dir(&run.id).join("config.json")).unwrap()).unwrap();
    assert_eq!(written["data"]["path"], path);

    fs::remove_dir_all(folder.path().join("val")).unwrap();
    let files = status(&server, Dataset::ImageFolder).await.files;
    assert!(matches!(&files, DatasetFiles::Broken { message, pointed: true, .. } if message.contains("neither val nor test")), "{files:?}");
    let problem = server.post("/api/runs", &body).await.assert_problem(422, "invalid-run", Some("data.path"));
    assert!(problem.detail.contains("neither val nor test"), "{problem:?}");
    let forgotten: DatasetStatus = server.call(Method::DELETE, "/api/datasets/image_folder/folder").await.json();
    assert_eq!(forgotten.files, DatasetFiles::Missing { partial_bytes: 0, problem: None });
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_where_it_was() {
    let archive = tiny_imagenet("tiny-imagenet-200/more.txt");
    let mirror = Mirror::start(archive.clone(), Manner::BreaksOff).await;
    let server = mirror.server().await;
    let half = archive.len() as u64 / 2;
    server.call(Method::POST, "/api/datasets/tiny_imagenet/download").await;
    until(&server, Dataset::TinyImagenet, |files| matches!(files, DatasetFiles::Downloading { bytes, .. } if *bytes == half)).await;
    mirror.break_off.notify_one();
    let files = until(&server, Dataset::TinyImagenet, |files| !matches!(files, DatasetFiles::Downloading { .. })).await;
    assert_eq!(assert_problem(&files, &["tiny-imagenet-200.zip broke off", "Download again"]), half);

    *mirror.manner.lock().unwrap() = Manner::Good;
    let own = server.dir.path().canonicalize().unwrap().join("data/datasets/tiny_imagenet/tiny-imagenet-200");
    let ready = DatasetFiles::Ready { path: own.to_str().unwrap().to_owned(), pointed: false };
    assert_eq!(download(&server, Dataset::TinyImagenet).await, ready);
    assert_eq!(*mirror.ranges.lock().unwrap(), [String::new(), format!("bytes={half}-")]);
    let left: Vec<_> = fs::read_dir(server.dir.path().join("data/datasets")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["tiny_imagenet"]);
    assert_eq!(fs::read(own.join("more.txt")).unwrap(), b"more");

    server.call(Method::POST, "/api/datasets/tiny_imagenet/download").await.assert_problem(409, "not-downloadable", Some("id"));
}

#[tokio::test]
async fn what_was_received_whole_is_not_received_again() {
    let archive = tiny_imagenet("tiny-imagenet-200/more.txt");
    let mirror = Mirror::start(archive.clone(), Manner::Good).await;
    let server = mirror.server().await;
    let partial = server.dir.path().join("data/datasets/.tiny_imagenet.part");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("tiny-imagenet-200.zip"), &archive).unwrap();
    assert!(matches!(download(&server, Dataset::TinyImagenet).await, DatasetFiles::Ready { .. }));
    assert_eq!(*mirror.ranges.lock().unwrap(), [format!("bytes={}-", archive.len())]);
}

#[tokio::test]
async fn what_differs_from_its_published_checksum_is_removed() {
    let mirror = Mirror::start(b"The quick brown fox jumps over the lazy dog".to_vec(), Manner::Good).await;
    let server = mirror.server().await;
    let files = download(&server, Dataset::Cifar10).await;
    // The checksum of that sentence as RFC 1321's many implementations have it.
    let parts = ["MD5 checksum 9e107d9d372bb6826bd81d3542a419d6", "c32a1d4ab5d03f1284b67883e8d87530 is published"];
    assert_eq!(assert_problem(&files, &parts), 0);
}

#[tokio::test]
async fn an_archive_that_is_none_or_leads_out_or_holds_something_else_is_removed() {
    let mut something_else = ZipWriter::new(Cursor::new(Vec::new()));
    something_else.start_file("tiny-imagenet-200/wnids.txt", SimpleFileOptions::default()).unwrap();
    let something_else = something_else.finish().unwrap().into_inner();
    for (content, part) in [
        (b"<html>Log in to this network first</html>".to_vec(), "not a readable archive"),
        (tiny_imagenet("../../../evil.txt"), "leads out of its folder"),
        (something_else, "holds no words.txt"),
    ] {
        let mirror = Mirror::start(content, Manner::Good).await;
        let server = mirror.server().await;
        assert_eq!(assert_problem(&download(&server, Dataset::TinyImagenet).await, &[part, "removed"]), 0);
        assert!(!server.dir.path().join("data/datasets/tiny_imagenet").exists());
        assert!(!server.dir.path().join("evil.txt").exists() && !server.dir.path().join("data/evil.txt").exists());
    }
}

#[tokio::test]
async fn without_a_way_to_the_files_people_are_told_to_point_to_a_folder() {
    let mirror = Mirror::start(b"content".to_vec(), Manner::NotFound).await;
    let server = mirror.server().await;
    assert_problem(&download(&server, Dataset::Svhn).await, &["train_32x32.mat answered 404", "use the folder they are in"]);

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = TestServer::start_with(|settings| settings.datasets_mirror = Some(format!("http://{nobody}"))).await;
    assert_problem(&download(&server, Dataset::Svhn).await, &["cannot be reached", "use the folder they are in"]);
    for dataset in ["digits", "synthetic", "image_folder"] {
        let answer = server.call(Method::POST, &format!("/api/datasets/{dataset}/download")).await;
        answer.assert_problem(409, "not-downloadable", Some("id"));
    }
}

#[tokio::test]
async fn a_canceled_download_keeps_what_came_until_it_is_discarded() {
    let mirror = Mirror::start(tiny_imagenet("tiny-imagenet-200/more.txt"), Manner::Slow).await;
    let server = mirror.server().await;
    let uri = "/api/datasets/tiny_imagenet/download";
    server.call(Method::POST, uri).await;
    let total = Some(mirror.content.len() as u64);
    let going = |files: &DatasetFiles| matches!(files, DatasetFiles::Downloading { step: DownloadStep::Receiving, bytes: 3.., total_bytes, resumable: true } if *total_bytes == total);
    until(&server, Dataset::TinyImagenet, going).await;
    assert_eq!(server.call(Method::POST, uri).await.status, StatusCode::ACCEPTED, "one that is on its way goes on");
    server.call(Method::DELETE, uri).await;
    let missing = |files: &DatasetFiles| matches!(files, DatasetFiles::Missing { partial_bytes: 3.., problem: None });
    until(&server, Dataset::TinyImagenet, missing).await;
    let discarded: DatasetStatus = server.call(Method::DELETE, uri).await.json();
    assert_eq!(discarded.files, DatasetFiles::Missing { partial_bytes: 0, problem: None });
}

#[tokio::test]
async fn a_summary_counts_classes_and_shows_images() {
    let server = TestServer::start().await;
    let digits: DatasetSummary = server.get("/api/datasets/digits/summary?samples=12").await.json();
    assert_eq!(digits.class_names.len(), 10);
    let [train, test] = digits.splits.as_slice() else { panic!("{digits:?}") };
    assert_eq!((train.class_counts.iter().sum::<u32>(), test.class_counts.iter().sum::<u32>()), (1198, 599));
    assert_eq!(train.samples.iter().map(|sample| sample.label).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    assert!(train.samples.iter().all(|sample| sample.png.starts_with("iVBORw0KGgo")), "each is a PNG file in base64");

    let generated: DatasetSummary = server.get("/api/datasets/synthetic/summary").await.json();
    assert_eq!((generated.splits[0].class_counts.as_slice(), generated.splits[0].samples.len()), ([200; 10].as_slice(), 0));

    server.get("/api/datasets/image_folder/summary").await.assert_problem(409, "dataset-not-ready", Some("id"));
    server.get("/api/datasets/digits/summary?samples=201").await.assert_problem(400, "invalid-query", Some("samples"));
    let folder = tempfile::tempdir().unwrap();
    image_folder(folder.path());
    point(&server, Dataset::ImageFolder, folder.path().to_str().unwrap()).await;
    let images: DatasetSummary = server.get("/api/datasets/image_folder/summary").await.json();
    assert_eq!(images.class_names, ["bird", "cat"]);
    assert_eq!(
        (images.splits[0].class_counts.as_slice(), images.splits[1].class_counts.as_slice()),
        ([3, 2].as_slice(), [1, 2].as_slice())
    );
    assert_eq!((images.splits[0].samples.len(), images.passed_over), (5, Vec::new()));

    // What is not read is counted, with an example.
    for name in ["1.gif", "2.gif"] {
        fs::write(folder.path().join("train/cat").join(name), "").unwrap();
    }
    let images: DatasetSummary = server.get("/api/datasets/image_folder/summary").await.json();
    let gifs = PassedOver { what: "files that end in .gif".to_owned(), count: 2, example: "train/cat/1.gif".to_owned() };
    assert_eq!(images.passed_over, [gifs]);

    fs::write(folder.path().join("train/cat/0.png"), "text").unwrap();
    let problem = server.get("/api/datasets/image_folder/summary").await.assert_problem(409, "dataset-not-ready", Some("id"));
    assert!(problem.detail.contains("train/cat/0.png") && problem.detail.contains("not a readable picture"), "{problem:?}");
}
