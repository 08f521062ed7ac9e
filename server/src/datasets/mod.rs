//! Data sets on this server: which folders hold them, what is in those, and downloads of the published ones.
//!
//! The server owns one folder for all, with a folder for each inside. Folders that people pointed to are remembered in a file.

mod download;
mod unpack;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use datasets::{Contents, Samples};
use shared::api::{DatasetFiles, DatasetStatus, DatasetSummary, SampleImage, SplitSummary};
use shared::config::{DataConfig, SplitName};
use shared::dataset::{Dataset, Source};

use download::{Failure, Job, Place};

#[derive(Clone, Debug)]
pub struct Datasets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    mirror: Option<String>,
    /// Where `folders` is kept.
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// That people pointed to.
    folders: BTreeMap<Dataset, PathBuf>,
    downloads: BTreeMap<Dataset, Arc<Job>>,
    /// Why the last download of a data set ended.
    problems: BTreeMap<Dataset, String>,
}

/// Why a download does not start.
#[derive(Debug, thiserror::Error)]
pub enum NoDownload {
    #[error("{0} is not published as a file to download; {1}")]
    NotPublished(&'static str, String),
    #[error("{0} is already at `{1}`")]
    There(&'static str, String),
    #[error("{0} points to `{1}`; forget that folder first")]
    Pointed(&'static str, String),
}

impl Datasets {
    /// Opens the folder of all data sets and reads which others people pointed to.
    pub fn open(root: &Path, file: PathBuf, mirror: Option<String>) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        // An absolute path: workers may start in another folder than the server.
        let root = root.canonicalize()?;
        let folders = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Datasets(Arc::new(Inner { root, mirror, file, known: Mutex::new(Known { folders, ..Known::default() }) })))
    }

    pub fn statuses(&self) -> Vec<DatasetStatus> {
        Dataset::ALL.iter().map(|dataset| self.status(*dataset)).collect()
    }

    pub fn status(&self, dataset: Dataset) -> DatasetStatus {
        let download = dataset.facts().published.as_ref().map(|published| published.offer(self.0.mirror.as_deref()));
        DatasetStatus { info: dataset.info(), files: self.files(dataset), download }
    }

    fn files(&self, dataset: Dataset) -> DatasetFiles {
        match dataset.source() {
            Source::Embedded => return DatasetFiles::Embedded,
            Source::Generated => return DatasetFiles::Generated,
            Source::Folder => {}
        }
        let (pointed, problem) = {
            let known = self.known();
            if let Some(job) = known.downloads.get(&dataset) {
                return job.state();
            }
            (known.folders.get(&dataset).cloned(), known.problems.get(&dataset).cloned())
        };
        let own = self.0.root.join(dataset.id());
        let folder = match &pointed {
            Some(folder) => folder,
            None if own.is_dir() => &own,
            None => return DatasetFiles::Missing { partial_bytes: self.partial_bytes(dataset), problem },
        };
        match datasets::locate(dataset, folder) {
            Ok(found) => DatasetFiles::Ready { path: text(&found), pointed: pointed.is_some() },
            Err(error) => DatasetFiles::Broken { path: text(folder), message: error.to_string(), pointed: pointed.is_some() },
        }
    }

    /// Writes the known folder into `data` where it names none. Says what is missing where there is none, or where the one it names is not
    /// what the data set needs.
    pub fn complete(&self, data: &mut DataConfig) -> Result<(), String> {
        let dataset = data.dataset;
        if dataset.source() != Source::Folder {
            return Ok(());
        }
        let title = dataset.facts().short_title;
        if let Some(path) = &data.path {
            return check_folder(dataset, path);
        }
        match self.files(dataset) {
            DatasetFiles::Ready { path, .. } => data.path = Some(path),
            DatasetFiles::Downloading { .. } => {
                return Err(format!("is missing; {title} is being downloaded: wait for it or name another folder"));
            }
            DatasetFiles::Broken { message, .. } => return Err(format!("is missing, and the known folder cannot be used: {message}")),
            _ => return Err(format!("is missing; this server has no folder of {title} yet: name one, or get it on the Data page")),
        }
        Ok(())
    }

    /// Remembers the folder of a data set; says what it lacks where it does not hold one.
    pub fn point(&self, dataset: Dataset, path: &str) -> io::Result<Result<(), String>> {
        if let Err(problem) = check_folder(dataset, path) {
            return Ok(Err(problem));
        }
        let mut known = self.known();
        known.folders.insert(dataset, PathBuf::from(path));
        known.problems.remove(&dataset);
        self.keep(&known)?;
        Ok(Ok(()))
    }

    /// Forgets the folder that somebody pointed to; its files stay.
    pub fn forget(&self, dataset: Dataset) -> io::Result<()> {
        let mut known = self.known();
        known.folders.remove(&dataset);
        self.keep(&known)
    }

    fn keep(&self, known: &Known) -> io::Result<()> {
        let fresh = self.0.file.with_extension("json.new");
        fs::write(&fresh, serde_json::to_string_pretty(&known.folders)? + "\n")?;
        fs::rename(fresh, &self.0.file)
    }

    /// Starts to download a data set on a thread of its own; one that is on its way goes on.
    pub fn start_download(&self, dataset: Dataset) -> Result<(), NoDownload> {
        let title = dataset.facts().short_title;
        let Some(published) = dataset.facts().published.as_ref() else {
            let otherwise = dataset.info().how_to_get.unwrap_or_else(|| "it is built in".to_owned());
            return Err(NoDownload::NotPublished(title, otherwise));
        };
        match self.files(dataset) {
            DatasetFiles::Ready { path, .. } => return Err(NoDownload::There(title, path)),
            DatasetFiles::Broken { path, pointed: true, .. } => return Err(NoDownload::Pointed(title, path)),
            _ => {}
        }
        let mut known = self.known();
        if known.downloads.contains_key(&dataset) {
            return Ok(());
        }
        let job = Arc::new(Job::new());
        known.downloads.insert(dataset, job.clone());
        known.problems.remove(&dataset);
        drop(known);
        let place = Place { dataset, published, mirror: self.0.mirror.clone(), root: self.0.root.clone() };
        let store = self.clone();
        // A thread that the runtime does not wait for: what it has received stays when the server ends.
        std::thread::spawn(move || {
            let outcome = download::download(&place, &job);
            let mut known = store.known();
            known.downloads.remove(&dataset);
            match outcome {
                Ok(()) => tracing::info!("{title} was downloaded to {}", place.own().display()),
                Err(Failure::Canceled) => tracing::info!("the download of {title} was canceled"),
                Err(Failure::Problem(problem)) => {
                    tracing::warn!("the download of {title} failed: {problem}");
                    known.problems.insert(dataset, problem);
                }
            }
        });
        Ok(())
    }

    /// Stops a download and keeps what it has received; where none is on its way, removes what an earlier one has left.
    pub fn cancel_download(&self, dataset: Dataset) -> anyhow::Result<()> {
        let mut known = self.known();
        if let Some(job) = known.downloads.get(&dataset) {
            job.cancel();
            return Ok(());
        }
        known.problems.remove(&dataset);
        match download::remove(&self.partial(dataset)) {
            Ok(()) | Err(Failure::Canceled) => Ok(()),
            Err(Failure::Problem(problem)) => Err(anyhow::anyhow!(problem)),
        }
    }

    /// What the files hold: classes, their counts, and `samples` images of each split. Reads all labels; blocks.
    ///
    /// Says what is wrong where the files are not there or not what they should be.
    pub fn summary(&self, dataset: Dataset, samples: usize) -> Result<DatasetSummary, String> {
        let folder = match self.files(dataset) {
            DatasetFiles::Generated => return Ok(generated(dataset)),
            DatasetFiles::Embedded => PathBuf::new(),
            DatasetFiles::Ready { path, .. } => PathBuf::from(path),
            DatasetFiles::Broken { message, .. } => return Err(message),
            DatasetFiles::Missing { .. } | DatasetFiles::Downloading { .. } => {
                return Err(format!("{} is not on this server yet", dataset.facts().short_title));
            }
        };
        let contents = datasets::open(dataset, &folder, dataset.info().shape[1]).map_err(|error| error.to_string())?;
        let split = |split, all: &Samples| split_summary(split, &contents, all, samples).map_err(|error| error.to_string());
        let splits = vec![split(SplitName::Train, &contents.train)?, split(SplitName::Test, &contents.test)?];
        Ok(DatasetSummary { splits, class_names: contents.class_names, passed_over: contents.passed_over })
    }

    fn partial(&self, dataset: Dataset) -> PathBuf {
        self.0.root.join(format!(".{}.part", dataset.id()))
    }

    fn partial_bytes(&self, dataset: Dataset) -> u64 {
        let entries = fs::read_dir(self.partial(dataset)).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().expect("nothing panics while it is held")
    }
}

fn check_folder(dataset: Dataset, path: &str) -> Result<(), String> {
    if !Path::new(path).is_absolute() {
        return Err(format!("`{path}` is not an absolute path"));
    }
    datasets::locate(dataset, Path::new(path)).map(drop).map_err(|error| error.to_string())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Classes in turn, as the engine makes them.
fn generated(dataset: Dataset) -> DatasetSummary {
    let info = dataset.info();
    let classes = info.class_names.len() as u32;
    let split = |split, samples: Option<u32>| {
        let samples = samples.unwrap_or_default();
        let class_counts = (0..classes).map(|class| samples / classes + u32::from(class < samples % classes)).collect();
        SplitSummary { split, class_counts, samples: Vec::new() }
    };
    let splits = vec![split(SplitName::Train, info.train_samples), split(SplitName::Test, info.test_samples)];
    DatasetSummary { class_names: info.class_names, splits, passed_over: Vec::new() }
}

fn split_summary(split: SplitName, contents: &Contents, all: &Samples, count: usize) -> Result<SplitSummary, datasets::Error> {
    let chosen = spread(all.labels(), contents.class_names.len(), count);
    let pixels = all.pixels(&chosen)?;
    let size = pixels.len() / chosen.len().max(1);
    let image =
        |(index, pixels): (&usize, &[u8])| SampleImage { label: all.labels()[*index], png: BASE64_STANDARD.encode(contents.png(pixels)) };
    let samples = chosen.iter().zip(pixels.chunks(size.max(1))).map(image).collect();
    Ok(SplitSummary { split, class_counts: all.counts(contents.class_names.len()), samples })
}

/// Indices of `count` images: the first ones of classes spread evenly, then the second ones, and so on; fewer where there are fewer.
fn spread(labels: &[u32], classes: usize, count: usize) -> Vec<usize> {
    let mut of_class = vec![Vec::new(); classes];
    for (index, label) in labels.iter().enumerate() {
        of_class[*label as usize].push(index);
    }
    let place = |number: usize| if count <= classes { (number * classes / count, 0) } else { (number % classes, number / classes) };
    (0..count).map(place).filter_map(|(class, rank)| of_class[class].get(rank).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_over_the_classes() {
        let labels: Vec<u32> = (0..12).map(|index| index / 3).collect();
        assert_eq!(spread(&labels, 4, 2), [0, 6]);
        assert_eq!(spread(&labels, 4, 6), [0, 3, 6, 9, 1, 4]);
        assert_eq!(spread(&labels, 4, 100).len(), 12);
        assert!(spread(&[], 4, 10).is_empty());
    }
}
