//! Files of data sets as labels and bytes of pixels: the engine makes tensors of them, the server counts and shows them.
//!
//! Knows no tensors and no network. What is read is data: nothing in a file runs. Python's pickles, which PyTorch writes too, are read by
//! [`pickle`].

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
use shared::dataset::{Dataset, PassedOver};

/// What can be wrong with the files of a data set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder is missing or not what it should be.
    #[error("{}: {problem}", listing::shown(path.as_os_str()))]
    File { path: PathBuf, problem: String },
    #[error("`{}` is generated: it has no files", .0.id())]
    NoFiles(Dataset),
}

/// A data set whose labels have been read; photographs are decoded when they are asked for.
#[derive(Debug)]
pub struct Contents {
    pub class_names: Vec<String>,
    /// Channels, height, width.
    pub shape: [u32; 3],
    /// The byte of a pixel that is 1.
    pub white: u8,
    pub train: Samples,
    pub test: Samples,
    /// What lies in the folder and was not read, by kind.
    pub passed_over: Vec<PassedOver>,
}

/// Images with their labels.
#[derive(Debug)]
pub struct Samples {
    labels: Vec<u32>,
    shape: [u32; 3],
    pixels: Pixels,
}

#[derive(Debug)]
enum Pixels {
    /// Image by image: channel by channel, each row by row.
    Here(Vec<u8>),
    /// A picture for each image.
    InFiles { paths: Vec<PathBuf>, fit: picture::Fit },
}

impl Samples {
    /// The class of each image, an index of the class names.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many images each of `classes` classes has.
    pub fn counts(&self, classes: usize) -> Vec<u32> {
        let mut counts = vec![0; classes];
        for label in &self.labels {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// The pixels of the images at `indices`, one image after the other: channel by channel, each row by row.
    ///
    /// Pictures are decoded on all cores.
    pub fn pixels(&self, indices: &[usize]) -> Result<Vec<u8>, Error> {
        let size = size_of_image(self.shape);
        match &self.pixels {
            Pixels::Here(all) => Ok(indices.iter().flat_map(|index| &all[index * size..][..size]).copied().collect()),
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

    fn here(labels: Vec<u32>, pixels: Vec<u8>, shape: [u32; 3]) -> Self {
        Samples { labels, shape, pixels: Pixels::Here(pixels) }
    }

    fn in_files(labels: Vec<u32>, paths: Vec<PathBuf>, shape: [u32; 3], fit: picture::Fit) -> Self {
        Samples { labels, shape, pixels: Pixels::InFiles { paths, fit } }
    }
}

impl Contents {
    /// One image as a PNG file, gray or RGB; `pixels` as [`Samples::pixels`] gives them.
    pub fn png(&self, pixels: &[u8]) -> Vec<u8> {
        picture::png(pixels, self.shape, self.white)
    }
}

/// Reads what a data set holds; `side` is what the images of an image folder are resized and cropped to.
///
/// `folder` is the one with the files or the one above it; it is not looked at for what is embedded.
pub fn open(dataset: Dataset, folder: &Path, side: u32) -> Result<Contents, Error> {
    let folder = match dataset {
        Dataset::Digits => return Ok(digits::contents()),
        Dataset::Synthetic => return Err(Error::NoFiles(dataset)),
        _ => locate(dataset, folder)?,
    };
    match dataset {
        Dataset::Cifar10 | Dataset::Cifar100 => cifar::open(dataset, &folder),
        Dataset::Svhn => svhn::open(&folder),
        Dataset::TinyImagenet => tree::open_tiny_imagenet(&folder),
        Dataset::ImageFolder => tree::open_image_folder(&folder, side),
        Dataset::Digits | Dataset::Synthetic => Err(Error::NoFiles(dataset)),
    }
}

/// Finds the files of a data set in `folder`, in the folder of its archive inside, or in the only folder inside: looks at names only.
///
/// Says what is missing where they are not all there, and what is there instead.
pub fn locate(dataset: Dataset, folder: &Path) -> Result<PathBuf, Error> {
    if !folder.is_dir() {
        let what = content::of_file(folder).map(|what| format!("; it is {what}")).filter(|_| folder.is_file());
        return Err(bad(folder, format!("is not a folder on this machine{}", what.unwrap_or_default())));
    }
    let Some(problem) = missing(dataset, folder) else { return Ok(folder.to_owned()) };
    let of_archive = archive_folders(dataset).iter().map(|name| folder.join(name)).find(|inside| inside.is_dir());
    if let Some(inside) = of_archive {
        return match missing(dataset, &inside) {
            None => Ok(inside),
            Some(problem) => Err(bad(&inside, problem + &instead(dataset, &inside))),
        };
    }
    let mut inside = listing::folders(folder, &mut listing::Notes::new(folder))?.into_iter().map(|name| folder.join(name));
    match (inside.next(), inside.next()) {
        (Some(only), None) if missing(dataset, &only).is_none() => Ok(only),
        _ => Err(bad(folder, problem + &instead(dataset, folder))),
    }
}

fn missing(dataset: Dataset, folder: &Path) -> Option<String> {
    match dataset {
        Dataset::Cifar10 | Dataset::Cifar100 => cifar::missing(dataset, folder),
        Dataset::Svhn => svhn::missing(folder),
        Dataset::TinyImagenet => tree::missing_in_tiny_imagenet(folder),
        Dataset::ImageFolder => tree::missing_in_image_folder(folder),
        Dataset::Digits | Dataset::Synthetic => Some("is not needed".to_owned()),
    }
}

/// What a folder holds in place of a data set: the files of another one, or an archive.
fn instead(dataset: Dataset, folder: &Path) -> String {
    if let Some(other) = Dataset::ALL.into_iter().find(|other| *other != dataset && missing(*other, folder).is_none()) {
        return format!(". It holds the files of another data set: {}", other.info().title);
    }
    const ENDINGS: [&str; 9] = ["tar", "gz", "tgz", "bz2", "xz", "zip", "7z", "rar", "zst"];
    let named = |path: &PathBuf| path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)));
    let archive = |path: &PathBuf| named(path) && content::of_file(path).is_some_and(|what| what.contains("unpack it"));
    match listing::entries(folder).unwrap_or_default().into_iter().find(archive) {
        Some(archive) => format!(". It holds the archive {}; unpack it there", listing::shown(archive.file_name().unwrap_or_default())),
        None => String::new(),
    }
}

/// The folders that the published archives unpack to.
fn archive_folders(dataset: Dataset) -> &'static [&'static str] {
    match dataset {
        Dataset::Cifar10 => &["cifar-10-batches-bin", "cifar-10-batches-py"],
        Dataset::Cifar100 => &["cifar-100-binary", "cifar-100-python"],
        Dataset::TinyImagenet => &["tiny-imagenet-200"],
        Dataset::Digits | Dataset::Synthetic | Dataset::Svhn | Dataset::ImageFolder => &[],
    }
}

fn size_of_image(shape: [u32; 3]) -> usize {
    shape.iter().product::<u32>() as usize
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| bad(path, format!("cannot be read: {error}")))
}

fn bad(path: &Path, problem: impl Into<String>) -> Error {
    Error::File { path: path.to_owned(), problem: problem.into() }
}
