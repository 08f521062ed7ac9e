//! Lists the pictures below a folder in the order of torchvision's `ImageFolder`, and counts the files that
//! are passed over.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shared::dataset::PassedOver;
use walkdir::WalkDir;

use crate::{Error, file_error};

/// File name endings of pictures: those of torchvision's `IMG_EXTENSIONS`.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];
pub(crate) const ENDINGS_IN_WORDS: &str = "JPEG, PNG, BMP, WebP, TIFF, PPM and PGM";
/// Largest number of kinds of passed over files. Once it is reached, files of further kinds are counted as
/// `other files`.
const MOST_KINDS: usize = 12;
/// Longest part after the last dot that counts as an ending.
const LONGEST_ENDING: usize = 8;
const FOLDERS_OF_ARCHIVES: &str = "__MACOSX";
/// Lists of bounding boxes, one in each class of Tiny-ImageNet. They are expected, so they are not counted.
const BOXES: &str = "_boxes.txt";

/// Counts files that are not read, by kind.
#[derive(Debug)]
pub(crate) struct Notes<'a> {
    root: &'a Path,
    kinds: Vec<PassedOver>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(root: &'a Path) -> Self {
        Notes { root, kinds: Vec::new() }
    }

    /// Counts `path` as passed over. `what` names its kind in the plural, for example `hidden files`.
    pub(crate) fn pass_over(&mut self, what: &str, path: &Path) {
        let is_known = self.kinds.iter().any(|kind| kind.what == what);
        let what = if is_known || self.kinds.len() < MOST_KINDS { what } else { "other files" };
        match self.kinds.iter_mut().find(|kind| kind.what == what) {
            Some(kind) => kind.count += 1,
            None => {
                let example = display_name(path.strip_prefix(self.root).unwrap_or(path).as_os_str());
                self.kinds.push(PassedOver { what: what.to_owned(), count: 1, example });
            }
        }
    }

    /// Counts a file that is not a picture. Its kind is given by its ending.
    pub(crate) fn pass_over_file(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default();
        let ending = name.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default();
        let ending = str::from_utf8(ending).ok().filter(|ending| ending.len() < name.len() && (1..=LONGEST_ENDING).contains(&ending.len()));
        match ending {
            Some(ending) => self.pass_over(&format!("files that end in .{}", ending.to_ascii_lowercase()), path),
            None => self.pass_over("files that end like no picture", path),
        }
    }

    pub(crate) fn into_kinds(self) -> Vec<PassedOver> {
        self.kinds
    }
}

/// Lists the names of the folders directly inside `part` that can hold pictures, in Python's order.
pub(crate) fn folders(part: &Path, notes: &mut Notes) -> Result<Vec<OsString>, Error> {
    let mut folders = Vec::new();
    for path in entries(part)? {
        let name = path.file_name().unwrap_or_default();
        match path.is_dir() {
            true if is_tool_folder(name) => notes.pass_over("hidden folders", &path),
            true => folders.push(name.to_owned()),
            false if is_hidden(name) => notes.pass_over("hidden files", &path),
            false => notes.pass_over("files beside the folders of classes", &path),
        }
    }
    Ok(folders)
}

/// Lists all pictures at any depth below `folder`, in the order of `sorted(os.walk(folder,
/// followlinks=True))`.
///
/// Links that lead back to a folder above them are not followed.
pub(crate) fn pictures(folder: &Path, notes: &mut Notes) -> Result<Vec<PathBuf>, Error> {
    let mut pictures = Vec::new();
    let walk = WalkDir::new(folder).follow_links(true).min_depth(1);
    // A fixed order gives the same examples of passed over files each time.
    let mut walk = walk.sort_by(|a, b| compare_as_python(a.file_name(), b.file_name())).into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder);
                if error.loop_ancestor().is_some() {
                    notes.pass_over("links that lead back to a folder above them", path);
                } else if path.is_symlink() && !is_picture(path.file_name().unwrap_or_default()) {
                    notes.pass_over("links to nothing", path);
                } else if path.is_symlink() {
                    return Err(file_error(path, "is a link to a file that does not exist"));
                } else {
                    return Err(file_error(path, format!("cannot be listed: {error}")));
                }
                continue;
            }
        };
        let (path, name, kind) = (entry.path(), entry.file_name(), entry.file_type());
        if kind.is_dir() {
            if is_tool_folder(name) {
                notes.pass_over("hidden folders", path);
                walk.skip_current_dir();
            }
        } else if is_hidden(name) {
            notes.pass_over("hidden files", path);
        } else if !is_picture(name) {
            if !name.as_bytes().ends_with(BOXES.as_bytes()) {
                notes.pass_over_file(path);
            }
        } else if !kind.is_file() {
            notes.pass_over("pipes and devices", path);
        } else {
            pictures.push(entry.into_path());
        }
    }
    let folder_of = |path: &Path| path.parent().unwrap_or(path).as_os_str().to_owned();
    pictures.sort_by_cached_key(|path| (code_points(&folder_of(path)), code_points(path.file_name().unwrap_or_default())));
    Ok(pictures)
}

/// Lists the paths of all entries of a folder, in Python's order.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error: std::io::Error| file_error(folder, format!("cannot be listed: {error}"));
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort_by(|a, b| compare_as_python(a.file_name().unwrap_or_default(), b.file_name().unwrap_or_default()));
    Ok(paths)
}

/// Returns whether a file name has the ending of a picture.
pub(crate) fn is_picture(name: &OsStr) -> bool {
    let ending = name.as_bytes().rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    !is_hidden(name) && ending.len() < name.len() && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known.as_bytes()))
}

pub(crate) fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

/// Returns whether a program created the folder: hidden folders such as `.ipynb_checkpoints`, and macOS's
/// additions to archives.
fn is_tool_folder(name: &OsStr) -> bool {
    is_hidden(name) || name == FOLDERS_OF_ARCHIVES
}

/// Converts a file name to text. Invalid bytes are written as in Python: `caf\xe9`.
pub(crate) fn display_name(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Compares names as Python does: by code points, in which an invalid byte counts as U+DC00 plus its value.
pub(crate) fn compare_as_python(a: &OsStr, b: &OsStr) -> Ordering {
    code_points(a).cmp(&code_points(b))
}

fn code_points(name: &OsStr) -> Vec<u32> {
    let mut points = Vec::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        points.extend(chunk.valid().chars().map(u32::from));
        points.extend(chunk.invalid().iter().map(|byte| 0xdc00 + u32::from(*byte)));
    }
    points
}
