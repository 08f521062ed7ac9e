//! SVHN, cropped digits: two MATLAB files with the arrays `X`, 32×32×3×N, and `y`. In `y`, the digit 0 is
//! stored as 10 or as 0. Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature
//! Learning, 2011.

use std::path::Path;

use shared::dataset::Dataset;

use crate::listing::Notes;
use crate::matlab::{self, Array};
use crate::{Contents, Error, Samples, content, file_error, read, size_of_image};

const TRAIN: &str = "train_32x32.mat";
const TEST: &str = "test_32x32.mat";
/// Additional training images, which are published with the others but not read.
const EXTRA: &str = "extra_32x32.mat";
const SIDE: usize = 32;

pub(crate) fn missing(folder: &Path) -> Option<String> {
    let absent = [TRAIN, TEST].into_iter().find(|file| !folder.join(file).is_file())?;
    Some(format!("holds no {absent}; SVHN is read from {TRAIN} and {TEST}"))
}

pub(crate) fn open(folder: &Path) -> Result<Contents, Error> {
    let info = Dataset::Svhn.info();
    let samples = |file| samples(&folder.join(file), info.shape);
    let mut notes = Notes::new(folder);
    let extra = folder.join(EXTRA);
    if extra.exists() {
        notes.pass_over("additional training images", &extra);
    }
    let (train, test) = (samples(TRAIN)?, samples(TEST)?);
    Ok(Contents { train, test, class_names: info.class_names, shape: info.shape, white: u8::MAX, passed_over: notes.into_kinds() })
}

fn samples(path: &Path, shape: [u32; 3]) -> Result<Samples, Error> {
    let file = read(path)?;
    let mut arrays = matlab::arrays(&file).map_err(|problem| match content::identify(&file) {
        Some(what) if what.contains("HDF5") => file_error(path, format!("is {what}; {}", save_again(path))),
        Some(what) if !what.contains("MATLAB") => file_error(path, format!("is {what}")),
        _ => file_error(path, problem),
    })?;
    let mut take = |name: &str| -> Result<Array, Error> {
        let index = arrays.iter().position(|array| array.name == name);
        index.map(|index| arrays.swap_remove(index)).ok_or_else(|| file_error(path, format!("has no array `{name}`; it may be cut off")))
    };
    let (images, labels) = (take("X")?, take("y")?);
    let labels = labels.whole_numbers().map_err(|problem| file_error(path, format!("has an array `y` that {problem}")))?;
    let size = images.size.clone();
    let expected = [SIDE, SIDE, 3, labels.len()];
    // MATLAB drops a last dimension of 1.
    let given = if size.len() == 3 { [size.as_slice(), &[1]].concat() } else { size };
    if given != expected {
        return Err(file_error(
            path,
            format!("has an array `X` of size {given:?}; with {} labels, {expected:?} was expected", labels.len()),
        ));
    }
    let kind = images.kind();
    let columns =
        images.bytes().ok_or_else(|| file_error(path, format!("has an array `X` of {kind}; uint8, from 0 to 255, was expected")))?;
    if columns.len() != labels.len() * size_of_image(shape) {
        return Err(file_error(path, format!("has an array `X` of size {given:?} and {} bytes; it may be cut off", columns.len())));
    }
    if let (Some(zero), Some(ten)) = (labels.iter().position(|label| *label == 0), labels.iter().position(|label| *label == 10)) {
        return Err(file_error(
            path,
            format!("has the label 0 at image {zero} and 10 at image {ten}; only one of them can stand for the digit 0"),
        ));
    }
    let labels = (0..).zip(labels).map(|(index, label)| match label {
        10 => Ok(0),
        0..=9 => Ok(label as u32),
        _ => Err(file_error(path, format!("has the label {label} at image {index}; labels are 1 to 10 or 0 to 9"))),
    });
    let labels = labels.collect::<Result<Vec<u32>, Error>>()?;
    // Convert from column order to row order: in MATLAB, the row index changes fastest.
    let planes = columns.as_chunks::<{ SIDE * SIDE }>().0;
    let pixels = planes.iter().flat_map(|plane| (0..SIDE * SIDE).map(move |index| plane[index % SIDE * SIDE + index / SIDE])).collect();
    Ok(Samples::in_memory(labels, pixels, shape))
}

/// Explains how to convert a version 7.3 file to one that can be read, in MATLAB and in Python. Python reads
/// its axes in reverse order.
fn save_again(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "save it again in MATLAB with save('{name}', 'X', 'y', '-v7'), or in Python with import h5py, scipy.io; \
         f = h5py.File('{name}'); X, y = f['X'][()].T, f['y'][()].T; f.close(); scipy.io.savemat('{name}', {{'X': X, 'y': y}})"
    )
}
