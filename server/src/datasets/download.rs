//! Gets the published files of a data set: received, verified, unpacked, put in place. Blocks; knows nothing of requests to this server.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use md5::{Digest, Md5};
use shared::api::{DatasetFiles, DownloadStep};
use shared::dataset::Dataset;
use shared::dataset::published::{Packing, Published, PublishedFile};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::unpack::unpack;
use crate::id::hex;

const CHUNK_BYTES: usize = 1 << 16;
/// Far more than any published file has.
const MOST_BYTES: u64 = 4 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long nothing may come.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const ELSEWHERE: &str =
    "Where the server has no way there, get the files on another machine, put them on the server, and use the folder they are in";

/// What is downloaded, and where to.
#[derive(Clone, Debug)]
pub struct Place {
    pub dataset: Dataset,
    pub published: &'static Published,
    pub mirror: Option<String>,
    /// The folder of all data sets.
    pub root: PathBuf,
}

/// A download on its way: how far it is, and whether it is to stop.
#[derive(Debug)]
pub struct Job {
    canceled: AtomicBool,
    progress: Mutex<Progress>,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    step: DownloadStep,
    bytes: u64,
    total_bytes: Option<u64>,
    resumable: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    Canceled,
    /// What happened, in a sentence.
    Problem(String),
}

impl Place {
    /// What has been received, until it is complete.
    pub fn partial(&self) -> PathBuf {
        self.root.join(format!(".{}.part", self.dataset.id()))
    }

    /// What has been unpacked, until it is complete.
    fn fresh(&self) -> PathBuf {
        self.root.join(format!(".{}.new", self.dataset.id()))
    }

    /// The server's own folder of the data set.
    pub fn own(&self) -> PathBuf {
        self.root.join(self.dataset.id())
    }
}

impl Job {
    pub fn new() -> Self {
        let progress = Progress { step: DownloadStep::Receiving, bytes: 0, total_bytes: None, resumable: false };
        Job { canceled: AtomicBool::new(false), progress: Mutex::new(progress) }
    }

    pub fn cancel(&self) {
        self.canceled.store(true, Ordering::Relaxed);
    }

    pub fn state(&self) -> DatasetFiles {
        let Progress { step, bytes, total_bytes, resumable } = *self.progress.lock().expect("nothing panics while it is held");
        DatasetFiles::Downloading { step, bytes, total_bytes, resumable }
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().expect("nothing panics while it is held"));
    }

    fn begin(&self, step: DownloadStep, total_bytes: Option<u64>) {
        self.update(|progress| *progress = Progress { step, bytes: 0, total_bytes, ..*progress });
    }

    fn check(&self) -> Result<(), Failure> {
        if self.canceled.load(Ordering::Relaxed) { Err(Failure::Canceled) } else { Ok(()) }
    }
}

/// Downloads a data set into its own folder, going on where an earlier download stopped.
///
/// What has been received stays after a cancel or a broken connection, and goes where it turned out to be wrong.
pub fn download(place: &Place, job: &Job) -> Result<(), Failure> {
    let (partial, fresh, own) = (place.partial(), place.fresh(), place.own());
    let files: Vec<(&PublishedFile, PathBuf)> = place.published.files.iter().map(|file| (file, partial.join(file.name))).collect();
    fs::create_dir_all(&partial).map_err(on_disk(&partial))?;
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(READ_TIMEOUT))
        .timeout_per_read(Some(READ_TIMEOUT))
        .build()
        .into();
    let urls = place.published.urls(place.mirror.as_deref());
    let mut before = 0;
    for (index, (url, (_, path))) in urls.iter().zip(&files).enumerate() {
        let after = place.published.files[index + 1..].iter().map(|file| file.size_bytes).sum();
        receive(&agent, url, path, (before, after), job)?;
        before += size(path);
    }

    job.begin(DownloadStep::Verifying, Some(before));
    for (file, path) in &files {
        verify(file, path, job)?;
    }

    remove(&fresh)?;
    fs::create_dir_all(&fresh).map_err(on_disk(&fresh))?;
    job.begin(DownloadStep::Unpacking, None);
    for (file, path) in &files {
        if place.published.packing == Packing::None {
            let target = fresh.join(file.name);
            fs::rename(path, &target).map_err(on_disk(&target))?;
            continue;
        }
        let proceed = |bytes| {
            job.update(|progress| progress.bytes = bytes);
            job.check().is_ok()
        };
        if let Err(problem) = unpack(path, place.published.packing, &fresh, &proceed) {
            remove(&fresh)?;
            job.check()?;
            remove(path)?;
            return Err(Failure::Problem(format!("{} {problem}. It was removed; download it again", file.name)));
        }
    }
    if let Err(error) = datasets::locate(place.dataset, &fresh) {
        let what = error.to_string().replace(&*fresh.to_string_lossy(), "what was downloaded");
        remove(&fresh)?;
        remove(&partial)?;
        return Err(Failure::Problem(format!("{what}. It was removed")));
    }
    remove(&own)?;
    fs::rename(&fresh, &own).map_err(on_disk(&own))?;
    remove(&partial)
}

/// Receives a file, or the rest of it. `before` and `after` are the bytes of other files, for the progress.
fn receive(agent: &Agent, url: &str, path: &Path, (before, after): (u64, u64), job: &Job) -> Result<(), Failure> {
    job.check()?;
    let have = size(path);
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| Failure::Problem(format!("{url} cannot be reached: {error}. {ELSEWHERE}")))?;
    let range = text(&response, header::CONTENT_RANGE);
    let goes_on = response.status() == StatusCode::PARTIAL_CONTENT && range.starts_with(&format!("bytes {have}-"));
    match response.status() {
        StatusCode::OK => {}
        StatusCode::PARTIAL_CONTENT if goes_on => {}
        // It is complete, or is no part of what is there now.
        StatusCode::RANGE_NOT_SATISFIABLE if range == format!("bytes */{have}") => return Ok(()),
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if have > 0 => {
            remove(path)?;
            return receive(agent, url, path, (before, after), job);
        }
        status => return Err(Failure::Problem(format!("{url} answered {status}. {ELSEWHERE}"))),
    }
    let start = if goes_on { have } else { 0 };
    let total = text(&response, header::CONTENT_LENGTH).parse::<u64>().ok().map(|rest| start + rest);
    job.update(|progress| {
        progress.total_bytes = total.map(|total| before + total + after);
        progress.resumable = goes_on || text(&response, header::ACCEPT_RANGES) == "bytes";
    });
    let mut file = File::options().create(true).write(true).append(goes_on).truncate(!goes_on).open(path).map_err(on_disk(path))?;
    let mut reader = response.into_body().into_reader();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = start;
    loop {
        job.check()?;
        job.update(|progress| progress.bytes = before + bytes);
        let broken = |why: String| {
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            Failure::Problem(format!("{url} broke off after {bytes}{of} bytes: {why}. Download again to go on"))
        };
        let count = match reader.read(&mut chunk) {
            Ok(0) if total.is_some_and(|total| bytes < total) => return Err(broken("the connection was closed".to_owned())),
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) => return Err(broken(error.to_string())),
        };
        file.write_all(&chunk[..count]).map_err(on_disk(path))?;
        bytes += count as u64;
        if bytes > MOST_BYTES {
            remove(path)?;
            return Err(Failure::Problem(format!("{url} does not end: it was removed after {bytes} bytes")));
        }
    }
}

/// Holds a file to its published checksum, where there is one.
fn verify(file: &PublishedFile, path: &Path, job: &Job) -> Result<(), Failure> {
    let Some(published) = file.md5 else { return Ok(()) };
    let mut content = File::open(path).map_err(on_disk(path))?;
    let mut hash = Md5::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        job.check()?;
        let count = content.read(&mut chunk).map_err(on_disk(path))?;
        if count == 0 {
            break;
        }
        hash.update(&chunk[..count]);
        job.update(|progress| progress.bytes += count as u64);
    }
    let found = hex(hash.finalize());
    if found == published {
        return Ok(());
    }
    remove(path)?;
    Err(Failure::Problem(format!(
        "{} has the MD5 checksum {found}, and {published} is published. It was removed; download it again",
        file.name
    )))
}

fn text(response: &Response<Body>, name: header::HeaderName) -> String {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// The bytes of a file; none where it is not there.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Removes a file or a folder with all that is in it, if it is there.
pub fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(on_disk(path)(error)),
        _ => Ok(()),
    }
}

fn on_disk(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::Problem(format!("{} cannot be written: {error}", path.display()))
}
