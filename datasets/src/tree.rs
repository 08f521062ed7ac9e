//! Pictures in a folder for each class: any image folder, and Tiny-ImageNet-200, whose validation images lie flat beside their list.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use shared::dataset::Dataset;

use crate::picture::{Fit, is_picture};
use crate::{Contents, Error, Samples, bad};

const TRAIN: &str = "train";
/// What an image folder tests with, the first that is there.
const TEST_FOLDERS: [&str; 2] = ["val", "test"];
const ANNOTATIONS: &str = "val/val_annotations.txt";

pub(crate) fn missing_in_image_folder(folder: &Path) -> Option<String> {
    let there = |name: &str| folder.join(name).is_dir();
    match (there(TRAIN), TEST_FOLDERS.into_iter().any(there)) {
        (true, true) => None,
        (false, _) => Some("holds no folder train; images lie in train/CLASS and in val/CLASS or test/CLASS".to_owned()),
        (true, false) => Some("holds a folder train, but neither val nor test; images lie in val/CLASS or test/CLASS".to_owned()),
    }
}

/// `train/CLASS/*` and `val/CLASS/*` or `test/CLASS/*`; classes are the folders in the order of their names.
pub(crate) fn open_image_folder(folder: &Path, side: u32) -> Result<Contents, Error> {
    let train = folder.join(TRAIN);
    let test = folder.join(TEST_FOLDERS.into_iter().find(|name| folder.join(name).is_dir()).unwrap_or(TEST_FOLDERS[0]));
    let class_names = names(&train, |path, _| path.is_dir())?;
    if class_names.len() < 2 {
        return Err(bad(&train, format!("holds {} folders of classes; two or more are needed", class_names.len())));
    }
    if let Some(unknown) = names(&test, |path, _| path.is_dir())?.iter().find(|name| !class_names.contains(name)) {
        return Err(bad(&test.join(unknown), format!("is a class that {} does not have", train.display())));
    }
    let shape = [3, side, side];
    let samples = |part: &Path| samples(class_names.iter().map(|name| part.join(name)), shape, Fit::Crop);
    Ok(Contents { train: samples(&train)?, test: samples(&test)?, class_names, shape, white: u8::MAX })
}

pub(crate) fn missing_in_tiny_imagenet(folder: &Path) -> Option<String> {
    let absent = ["wnids.txt", "words.txt", TRAIN, "val/images", ANNOTATIONS].into_iter().find(|name| !folder.join(name).exists())?;
    Some(format!("holds no {absent}; Tiny-ImageNet has wnids.txt, words.txt, train/WNID/images, val/images and {ANNOTATIONS}"))
}

/// The published layout; the validation images, whose labels are public, serve for testing.
pub(crate) fn open_tiny_imagenet(folder: &Path) -> Result<Contents, Error> {
    let shape = Dataset::TinyImagenet.info().shape;
    let list = folder.join("wnids.txt");
    let text = text(&list)?;
    let wnids: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if wnids.len() < 2 {
        return Err(bad(&list, format!("names {} classes; two or more are needed", wnids.len())));
    }
    let train = samples(wnids.iter().map(|wnid| folder.join(TRAIN).join(wnid).join("images")), shape, Fit::Exact)?;
    let test = annotated(folder, &wnids, shape)?;
    Ok(Contents { class_names: words(&folder.join("words.txt"), &wnids)?, shape, white: u8::MAX, train, test })
}

/// `val_annotations.txt`: a line for each image, its name and its class with a tab between, then a box that is not used.
fn annotated(folder: &Path, wnids: &[&str], shape: [u32; 3]) -> Result<Samples, Error> {
    let classes: HashMap<&str, u32> = wnids.iter().copied().zip(0..).collect();
    let images = folder.join("val/images");
    let there: HashSet<String> = names(&images, |_, name| is_picture(name))?.into_iter().collect();
    let list = folder.join(ANNOTATIONS);
    let (mut labels, mut paths) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text(&list)?.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut columns = line.split('\t');
        let (Some(name), Some(wnid)) = (columns.next(), columns.next()) else {
            return Err(bad(&list, format!("has the line {number} `{line}`; a name and a class with a tab between were expected")));
        };
        let Some(class) = classes.get(wnid.trim()) else {
            return Err(bad(&list, format!("has the class `{wnid}` in line {number}, which wnids.txt does not name")));
        };
        if !there.contains(name) {
            return Err(bad(&images.join(name), format!("is missing; {ANNOTATIONS} names it in line {number}")));
        }
        labels.push(*class);
        paths.push(images.join(name));
    }
    if labels.is_empty() {
        return Err(bad(&list, "names no images; it may be cut off"));
    }
    Ok(Samples::in_files(labels, paths, shape, Fit::Exact))
}

/// What each class is called: the first of its words, with the class behind it where another has the same.
fn words(path: &Path, wnids: &[&str]) -> Result<Vec<String>, Error> {
    let text = text(path)?;
    let known: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let first = |wnid: &&str| {
        let words = known.get(wnid).ok_or_else(|| bad(path, format!("has no words for `{wnid}`, which wnids.txt names")))?;
        Ok(words.split(',').next().unwrap_or(words).trim().to_owned())
    };
    let names = wnids.iter().map(first).collect::<Result<Vec<String>, Error>>()?;
    let mut seen: HashMap<&str, u32> = HashMap::new();
    names.iter().for_each(|name| *seen.entry(name).or_default() += 1);
    Ok(names
        .iter()
        .zip(wnids)
        .map(|(name, wnid)| if seen[name.as_str()] > 1 { format!("{name} ({wnid})") } else { name.clone() })
        .collect())
}

/// The pictures of one folder for each class, in the order of their names.
fn samples(folders: impl Iterator<Item = PathBuf>, shape: [u32; 3], fit: Fit) -> Result<Samples, Error> {
    let (mut labels, mut paths) = (Vec::new(), Vec::new());
    for (class, folder) in (0..).zip(folders) {
        if !folder.is_dir() {
            return Err(bad(&folder, "is missing; every class needs a folder with images"));
        }
        let names = names(&folder, |_, name| is_picture(name))?;
        if names.is_empty() {
            return Err(bad(&folder, "holds no image; PNG, JPEG, BMP and WebP are read"));
        }
        labels.extend(std::iter::repeat_n(class, names.len()));
        paths.extend(names.iter().map(|name| folder.join(name)));
    }
    Ok(Samples::in_files(labels, paths, shape, fit))
}

/// Names of what is in a folder, sorted; hidden entries and names that are no text are passed over.
fn names(folder: &Path, wanted: impl Fn(&Path, &str) -> bool) -> Result<Vec<String>, Error> {
    let unreadable = |error: std::io::Error| bad(folder, format!("cannot be listed: {error}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && wanted(&entry.path(), &name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| bad(path, format!("cannot be read: {error}")))
}
