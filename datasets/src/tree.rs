//! Data sets with a folder of pictures for each class: image folders, and Tiny-ImageNet-200.
//!
//! The validation images of Tiny-ImageNet lie in one folder with a list of their classes. They may also be
//! sorted into folders of classes, as many people do.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use shared::dataset::{Dataset, passed_over_text};

use crate::listing::{ENDINGS_IN_WORDS, Notes, display_name, entries, folders, is_hidden, pictures};
use crate::picture::Fit;
use crate::{Contents, Error, Samples, content, file_error};

const TRAIN: &str = "train";
/// Names of the test folder of an image folder. The first existing one is used.
const TEST_FOLDERS: [&str; 4] = ["val", "valid", "validation", "test"];
const VALIDATION: &str = "val";
const IMAGES: &str = "val/images";
const ANNOTATIONS: &str = "val/val_annotations.txt";

pub(crate) fn missing_in_image_folder(folder: &Path) -> Option<String> {
    let layout = "images lie in train/CLASS and in val/CLASS, valid/CLASS, validation/CLASS or test/CLASS";
    let found = || {
        let entries = entries(folder).unwrap_or_default();
        let names = entries.iter().filter(|path| path.is_dir()).filter_map(|path| path.file_name()).filter(|name| !is_hidden(name));
        let names: Vec<String> = names.map(display_name).collect();
        match names.len() {
            0 => "holds no folders".to_owned(),
            1..=6 => format!("holds {}", names.join(", ")),
            more => format!("holds {} and {} more folders", names[..5].join(", "), more - 5),
        }
    };
    match (find_folder(folder, TRAIN), TEST_FOLDERS.into_iter().any(|name| find_folder(folder, name).is_some())) {
        (Some(_), true) => None,
        (None, _) => Some(format!("holds no folder train; {layout}. The folder {}", found())),
        (Some(_), false) => {
            Some(format!("holds a folder train, but neither val nor test, valid or validation; {layout}. The folder {}", found()))
        }
    }
}

/// Finds a folder by name. Ignores case if no folder has exactly this name.
fn find_folder(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.is_dir() {
        return Some(exact);
    }
    let named = |path: &PathBuf| path.file_name().is_some_and(|found| found.eq_ignore_ascii_case(name)) && path.is_dir();
    entries(folder).ok()?.into_iter().find(named)
}

/// Opens `train/CLASS` and `val/CLASS` like torchvision's `ImageFolder`.
///
/// Classes are the folders in the order of their names. Every picture at any depth below such a folder
/// belongs to its class.
pub(crate) fn open_image_folder(folder: &Path, side: u32) -> Result<Contents, Error> {
    let mut notes = Notes::new(folder);
    let train = find_folder(folder, TRAIN).unwrap_or_else(|| folder.join(TRAIN));
    let mut tests = TEST_FOLDERS.into_iter().filter_map(|name| find_folder(folder, name));
    let test = tests.next().unwrap_or_else(|| folder.join(TEST_FOLDERS[0]));
    for unread in tests {
        notes.pass_over(&format!("folders beside {}, which is tested with", display_name(test.file_name().unwrap_or_default())), &unread);
    }
    let classes = folders(&train, &mut notes)?;
    if classes.len() < 2 {
        return Err(file_error(&train, format!("holds {} class folders; at least two are needed", classes.len())));
    }
    let of_test = folders(&test, &mut notes)?;
    let lacking = |of: &[OsString], from: &[OsString]| listed(&of.iter().filter(|class| !from.contains(class)).collect::<Vec<_>>());
    match (lacking(&of_test, &classes), lacking(&classes, &of_test)) {
        (None, None) => {}
        (unknown, absent) => {
            let unknown = unknown.map(|names| format!("has classes that {} does not have: {names}", train.display()));
            let absent = absent.map(|names| format!("lacks classes that {} has: {names}", train.display()));
            return Err(file_error(&test, unknown.into_iter().chain(absent).collect::<Vec<_>>().join("; it ")));
        }
    }
    let shape = [3, side, side];
    let mut samples = |part: &Path| samples(classes.iter().map(|class| part.join(class)), shape, Fit::Crop, &mut notes);
    let (train, test) = (samples(&train)?, samples(&test)?);
    let class_names = classes.iter().map(|class| display_name(class)).collect();
    Ok(Contents { class_names, shape, white: u8::MAX, train, test, passed_over: notes.into_kinds() })
}

/// Lists the first names and the number of further ones. `None` if there are no names.
fn listed(names: &[&OsString]) -> Option<String> {
    const MOST: usize = 5;
    let first = names.iter().take(MOST).map(|name| display_name(name)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        1..=MOST => Some(first),
        more => Some(format!("{first} and {} more", more - MOST)),
    }
}

pub(crate) fn missing_in_tiny_imagenet(folder: &Path) -> Option<String> {
    const LAYOUT: &str =
        "Tiny-ImageNet has wnids.txt, words.txt, train/WNID/images, and val/images with val/val_annotations.txt or val/WNID";
    let absent = ["wnids.txt", "words.txt", TRAIN, VALIDATION].into_iter().find(|name| !folder.join(name).exists());
    if let Some(absent) = absent {
        return Some(format!("holds no {absent}; {LAYOUT}"));
    }
    let by_class = entries(&folder.join(VALIDATION)).unwrap_or_default().into_iter().any(|path| path.is_dir() && !path.ends_with(IMAGES));
    let absent = [ANNOTATIONS, IMAGES].into_iter().find(|name| !folder.join(name).exists()).filter(|_| !by_class)?;
    Some(format!("holds no {absent}, and no class folder in val; {LAYOUT}"))
}

/// Opens the published layout, or one whose validation images are sorted into folders of classes.
///
/// The validation images are the test images, because the labels of the published test images are not public.
pub(crate) fn open_tiny_imagenet(folder: &Path) -> Result<Contents, Error> {
    let shape = Dataset::TinyImagenet.info().shape;
    let mut notes = Notes::new(folder);
    let list = folder.join("wnids.txt");
    let text = text(&list)?;
    let wnids: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if wnids.len() < 2 {
        return Err(file_error(&list, format!("names {} classes; at least two are needed", wnids.len())));
    }
    let train = of_classes(&folder.join(TRAIN), &wnids, shape, &mut notes)?;
    let images = folder.join(IMAGES);
    let flat = if folder.join(ANNOTATIONS).is_file() && images.is_dir() { pictures(&images, &mut notes)? } else { Vec::new() };
    let sorted = wnids.iter().any(|wnid| folder.join(VALIDATION).join(wnid).is_dir());
    let test = if flat.is_empty() && sorted {
        of_classes(&folder.join(VALIDATION), &wnids, shape, &mut notes)?
    } else {
        annotated(folder, flat, &wnids, shape, &mut notes)?
    };
    let class_names = words(&folder.join("words.txt"), &wnids)?;
    Ok(Contents { class_names, shape, white: u8::MAX, train, test, passed_over: notes.into_kinds() })
}

/// Reads the pictures in `part/WNID` or `part/WNID/images`. Notes folders of unknown classes.
fn of_classes(part: &Path, wnids: &[&str], shape: [u32; 3], notes: &mut Notes) -> Result<Samples, Error> {
    for path in entries(part)?.iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default();
        // An empty `val/images` may be left over from the published layout.
        if !wnids.iter().any(|wnid| name == *wnid) && name != "images" {
            notes.pass_over("folders of classes that wnids.txt does not name", path);
        }
    }
    samples(wnids.iter().map(|wnid| part.join(wnid)), shape, Fit::Exact, notes)
}

/// Reads the test images that `val_annotations.txt` lists: in each line the file name, a tab and the class.
/// The bounding box after them is ignored.
fn annotated(folder: &Path, flat: Vec<PathBuf>, wnids: &[&str], shape: [u32; 3], notes: &mut Notes) -> Result<Samples, Error> {
    let classes: HashMap<&str, u32> = wnids.iter().copied().zip(0..).collect();
    let images = folder.join(IMAGES);
    let mut there: HashMap<OsString, PathBuf> =
        flat.into_iter().map(|path| (path.file_name().unwrap_or_default().to_owned(), path)).collect();
    let mut named = HashSet::new();
    let list = folder.join(ANNOTATIONS);
    let (mut labels, mut paths) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text(&list)?.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut columns = line.split('\t');
        let (Some(name), Some(wnid)) = (columns.next(), columns.next()) else {
            return Err(file_error(&list, format!("has the line {number} `{line}`; a name and a class with a tab between were expected")));
        };
        let Some(class) = classes.get(wnid.trim()) else {
            return Err(file_error(&list, format!("has the class `{wnid}` in line {number}, which wnids.txt does not name")));
        };
        let Some(path) = there.get(OsStr::new(name)) else {
            return Err(file_error(&images.join(name), format!("is missing; {ANNOTATIONS} names it in line {number}")));
        };
        labels.push(*class);
        paths.push(path.clone());
        named.insert(name.to_owned());
    }
    if labels.is_empty() {
        return Err(file_error(&list, "names no images; it may be cut off"));
    }
    there.retain(|name, _| !name.to_str().is_some_and(|name| named.contains(name)));
    let mut unnamed: Vec<PathBuf> = there.into_values().collect();
    unnamed.sort_unstable();
    unnamed.iter().for_each(|path| notes.pass_over("pictures that val_annotations.txt does not name", path));
    Ok(Samples::in_files(labels, paths, shape, Fit::Exact))
}

/// Returns the names of the classes: the first of the words for each. Adds the class id if another class has
/// the same name.
fn words(path: &Path, wnids: &[&str]) -> Result<Vec<String>, Error> {
    let text = text(path)?;
    let known: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let first = |wnid: &&str| {
        let words = known.get(wnid).ok_or_else(|| file_error(path, format!("has no words for `{wnid}`, which wnids.txt names")))?;
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

/// Lists the pictures of all classes, from one folder for each.
fn samples(folders: impl Iterator<Item = PathBuf>, shape: [u32; 3], fit: Fit, notes: &mut Notes) -> Result<Samples, Error> {
    let (mut labels, mut paths) = (Vec::new(), Vec::new());
    for (class, folder) in (0..).zip(folders) {
        if !folder.is_dir() {
            return Err(file_error(&folder, "is missing; every class needs a folder with images"));
        }
        let found = pictures(&folder, notes)?;
        if found.is_empty() {
            let mut here = Notes::new(&folder);
            pictures(&folder, &mut here)?;
            let instead = passed_over_text(&here.into_kinds()).map(|text| format!(". {}", text.trim_end_matches('.')));
            return Err(file_error(&folder, format!("holds no image; {ENDINGS_IN_WORDS} can be read{}", instead.unwrap_or_default())));
        }
        labels.extend(std::iter::repeat_n(class, found.len()));
        paths.extend(found);
    }
    Ok(Samples::in_files(labels, paths, shape, fit))
}

/// Reads a text file. If it is of another type, the error says which.
fn text(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|error| match content::identify_file(path) {
        Some(what) => file_error(path, format!("is {what}")),
        None => file_error(path, format!("cannot be read: {error}")),
    })?;
    match content::identify(text.as_bytes()) {
        Some(what) if !text.is_empty() => Err(file_error(path, format!("is {what}"))),
        _ => Ok(text),
    }
}
