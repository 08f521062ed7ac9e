//! Reads the files of data sets as labels and bytes of pixels. The engine converts them to tensors; the
//! server counts and shows them.
//!
//! Knows nothing of tensors and networks. Never executes code from a file. [`pickle`] reads Python's pickles,
//! which PyTorch writes too.

mod cifar;
mod content;
mod digits;
mod listing;
mod matlab;
mod numpy;
mod palette;
pub mod pickle;
mod picture;
mod svhn;
mod tree;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use shared::dataset::{Dataset, FileLayout, PassedOver};

/// A problem with the files of a data set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder is missing or has unexpected content.
    #[error("{}: {problem}", listing::display_name(path.as_os_str()))]
    File { path: PathBuf, problem: String },
    /// The data set is generated, so it has no files.
    #[error("`{}` is generated: it has no files", .0.id())]
    NoFiles(Dataset),
}

/// An opened data set. Labels are in memory; picture files are decoded only when their pixels are requested.
#[derive(Debug)]
pub struct Contents {
    pub class_names: Vec<String>,
    /// Channels, height and width.
    pub shape: [u32; 3],
    /// The byte value that stands for 1: 16 for the digits, 255 otherwise.
    pub white: u8,
    pub train: Samples,
    pub test: Samples,
    /// Files in the folder that were not read, by kind.
    pub passed_over: Vec<PassedOver>,
}

/// The images of a split with their labels.
#[derive(Debug)]
pub struct Samples {
    labels: Vec<u32>,
    shape: [u32; 3],
    pixels: Pixels,
}

#[derive(Debug)]
enum Pixels {
    /// In memory: image by image, channel by channel, row by row.
    InMemory(Vec<u8>),
    /// One picture file for each image.
    InFiles { paths: Vec<PathBuf>, fit: picture::Fit },
}

impl Samples {
    /// Returns the class of each image, as an index into the class names.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Counts the images of each of `classes` classes.
    pub fn counts(&self, classes: usize) -> Vec<u32> {
        let mut counts = vec![0; classes];
        for label in &self.labels {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// Returns the pixels of the images at `indices`: image by image, channel by channel, row by row.
    ///
    /// Decodes picture files in parallel on all cores. Fails if a file is not a readable picture.
    pub fn pixels(&self, indices: &[usize]) -> Result<Vec<u8>, Error> {
        let size = size_of_image(self.shape);
        match &self.pixels {
            Pixels::InMemory(all) => Ok(indices.iter().flat_map(|index| &all[index * size..][..size]).copied().collect()),
            Pixels::InFiles { paths, fit } => {
                let mut pixels = vec![0; indices.len() * size];
                pixels
                    .par_chunks_mut(size)
                    .zip(indices)
                    .try_for_each(|(target, index)| picture::decode(&paths[*index], *fit, self.shape, target))?;
                Ok(pixels)
            }
        }
    }

    fn in_memory(labels: Vec<u32>, pixels: Vec<u8>, shape: [u32; 3]) -> Self {
        Samples { labels, shape, pixels: Pixels::InMemory(pixels) }
    }

    fn in_files(labels: Vec<u32>, paths: Vec<PathBuf>, shape: [u32; 3], fit: picture::Fit) -> Self {
        Samples { labels, shape, pixels: Pixels::InFiles { paths, fit } }
    }
}

impl Contents {
    /// Encodes one image as a PNG file, gray or RGB. `pixels` are those of one image in the layout of
    /// [`Samples::pixels`].
    pub fn png(&self, pixels: &[u8]) -> Vec<u8> {
        picture::png(pixels, self.shape, self.white)
    }
}

/// Opens a data set: reads its labels, and its pixels unless they are in picture files.
///
/// `folder` holds the files, or is the folder above them; embedded data sets ignore it. `side` is the side to
/// which images of an image folder are resized and cropped; other data sets ignore it.
pub fn open(dataset: Dataset, folder: &Path, side: u32) -> Result<Contents, Error> {
    let located = || locate(dataset, folder);
    match dataset.facts().layout {
        FileLayout::Embedded => Ok(digits::contents()),
        FileLayout::Generated => Err(Error::NoFiles(dataset)),
        FileLayout::Cifar(files) => cifar::open(dataset, &files, &located()?),
        FileLayout::Svhn => svhn::open(&located()?),
        FileLayout::TinyImagenet => tree::open_tiny_imagenet(&located()?),
        FileLayout::ImageFolder => tree::open_image_folder(&located()?, side),
    }
}

/// Finds the files of a data set by their names: in `folder`, in the folder that its archive unpacks to, or
/// in the only folder inside.
///
/// The error says which file is missing, and which other data set or archive is there instead.
pub fn locate(dataset: Dataset, folder: &Path) -> Result<PathBuf, Error> {
    if !folder.is_dir() {
        let what = content::identify_file(folder).map(|what| format!("; it is {what}")).filter(|_| folder.is_file());
        return Err(file_error(folder, format!("is not a folder on this machine{}", what.unwrap_or_default())));
    }
    let Some(problem) = missing(dataset, folder) else { return Ok(folder.to_owned()) };
    let of_archive = dataset.facts().archive_folders.iter().map(|name| folder.join(name)).find(|inside| inside.is_dir());
    if let Some(inside) = of_archive {
        return match missing(dataset, &inside) {
            None => Ok(inside),
            Some(problem) => Err(file_error(&inside, problem + &found_instead(dataset, &inside))),
        };
    }
    let mut inside = listing::folders(folder, &mut listing::Notes::new(folder))?.into_iter().map(|name| folder.join(name));
    match (inside.next(), inside.next()) {
        (Some(only), None) if missing(dataset, &only).is_none() => Ok(only),
        _ => Err(file_error(folder, problem + &found_instead(dataset, folder))),
    }
}

/// Says which files of the data set are missing in `folder`. `None` if all are there.
fn missing(dataset: Dataset, folder: &Path) -> Option<String> {
    match dataset.facts().layout {
        FileLayout::Cifar(files) => cifar::missing(dataset, &files, folder),
        FileLayout::Svhn => svhn::missing(folder),
        FileLayout::TinyImagenet => tree::missing_in_tiny_imagenet(folder),
        FileLayout::ImageFolder => tree::missing_in_image_folder(folder),
        FileLayout::Embedded | FileLayout::Generated => Some("is not needed".to_owned()),
    }
}

/// Says what a folder holds instead of the data set: the files of another one, or an archive. Empty if
/// neither.
fn found_instead(dataset: Dataset, folder: &Path) -> String {
    if let Some(other) = Dataset::ALL.iter().copied().find(|other| *other != dataset && missing(*other, folder).is_none()) {
        return format!(". It holds the files of another data set: {}", other.info().title);
    }
    const ENDINGS: [&str; 9] = ["tar", "gz", "tgz", "bz2", "xz", "zip", "7z", "rar", "zst"];
    let named = |path: &PathBuf| path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let archive = |path: &PathBuf| named(path) && content::identify_file(path).is_some_and(|what| what.contains("unpack it"));
    match listing::entries(folder).unwrap_or_default().into_iter().find(archive) {
        Some(archive) => {
            format!(". It holds the archive {}; unpack it there", listing::display_name(archive.file_name().unwrap_or_default()))
        }
        None => String::new(),
    }
}

fn size_of_image(shape: [u32; 3]) -> usize {
    shape.iter().product::<u32>() as usize
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| file_error(path, format!("cannot be read: {error}")))
}

fn file_error(path: &Path, problem: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), problem: problem.into() }
}
