//! CIFAR-10 from a folder, in the two layouts its author publishes: binary (`data_batch_1.bin`) and Python pickles (`data_batch_1`).
//!
//! Files may hold fewer images than the published ones, so that a small copy works. Pickles are read as data; nothing in them runs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_pickle::{DeOptions, HashableValue, Value};
use shared::dataset::DatasetInfo;

use super::Split;
use crate::Error;

const TRAIN_FILES: [&str; 5] = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"];
const TEST_FILE: &str = "test_batch";

#[derive(Clone, Copy)]
enum Layout {
    Binary,
    Python,
}

/// Labels and pixels, image by image: red, green, blue, each row by row.
#[derive(Default)]
struct Batch {
    labels: Vec<u8>,
    pixels: Vec<u8>,
}

/// Training and test images of the folder, whichever layout it has.
pub(super) fn load(folder: &Path, info: &DatasetInfo) -> Result<(Split, Split), Error> {
    let layout = layout_of(folder)?;
    let read = |names: &[&str]| -> Result<Split, Error> {
        let mut all = Batch::default();
        for name in names {
            let batch = match layout {
                Layout::Binary => read_binary(&folder.join(format!("{name}.bin")), info)?,
                Layout::Python => read_pickle(&folder.join(name), info)?,
            };
            all.labels.extend(batch.labels);
            all.pixels.extend(batch.pixels);
        }
        let labels: Vec<i64> = all.labels.iter().map(|label| i64::from(*label)).collect();
        Ok(Split::of_bytes(&all.pixels, u8::MAX, &labels, info.shape))
    };
    Ok((read(&TRAIN_FILES)?, read(&[TEST_FILE])?))
}

fn layout_of(folder: &Path) -> Result<Layout, Error> {
    if !folder.is_dir() {
        return Err(bad(folder, "is not a folder; name the one that holds the CIFAR-10 files"));
    }
    if folder.join(format!("{}.bin", TRAIN_FILES[0])).exists() {
        Ok(Layout::Binary)
    } else if folder.join(TRAIN_FILES[0]).exists() {
        Ok(Layout::Python)
    } else {
        Err(bad(folder, "holds neither data_batch_1.bin (binary version) nor data_batch_1 (Python version)"))
    }
}

/// Records of one byte for the label and one for each pixel.
fn read_binary(path: &Path, info: &DatasetInfo) -> Result<Batch, Error> {
    let bytes = read(path)?;
    let record = 1 + pixels_per_image(info);
    if bytes.is_empty() || bytes.len() % record != 0 {
        return Err(bad(path, format!("has {} bytes, which is not a number of records of {record}; it may be cut off", bytes.len())));
    }
    let mut batch = Batch::default();
    for record in bytes.chunks(record) {
        batch.labels.push(record[0]);
        batch.pixels.extend(&record[1..]);
    }
    check_labels(path, &batch.labels, info)?;
    Ok(batch)
}

/// A dictionary with the list `labels` and the array `data` of N rows.
fn read_pickle(path: &Path, info: &DatasetInfo) -> Result<Batch, Error> {
    // An array is pickled as a call of NumPy with its state; the state, kept as a tuple, holds the bytes.
    let options = DeOptions::new().keep_restore_state().replace_unresolved_globals();
    let Value::Dict(mut fields) = serde_pickle::value_from_slice(&read(path)?, options)
        .map_err(|error| bad(path, format!("is not a readable pickle, it may be cut off: {error}")))?
    else {
        return Err(bad(path, "is a pickle, but not of a dictionary"));
    };
    let mut field = |name: &str| {
        // Python 2 wrote the published files, where a name is bytes.
        fields
            .remove(&HashableValue::Bytes(name.into()))
            .or_else(|| fields.remove(&HashableValue::String(name.into())))
            .ok_or_else(|| bad(path, format!("has no field `{name}`")))
    };
    let labels = match field("labels")? {
        Value::List(values) => values
            .into_iter()
            .map(|value| match value {
                Value::I64(label) => u8::try_from(label).map_err(|_| bad(path, format!("has the label {label}; labels are 0 to 9"))),
                other => Err(bad(path, format!("has the label `{other}`, which is not a whole number"))),
            })
            .collect::<Result<Vec<u8>, Error>>()?,
        _ => return Err(bad(path, "has a field `labels` that is not a list")),
    };
    check_labels(path, &labels, info)?;
    let (bytes, by_column) = array_bytes(field("data")?).ok_or_else(|| bad(path, "has a field `data` that is not an array of bytes"))?;
    let columns = pixels_per_image(info);
    if labels.is_empty() || bytes.len() != labels.len() * columns {
        return Err(bad(path, format!("has {} labels and {} pixels; each image has {columns}", labels.len(), bytes.len())));
    }
    let pixels = if by_column {
        (0..labels.len())
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| bytes[column * labels.len() + row])
            .collect()
    } else {
        bytes
    };
    Ok(Batch { labels, pixels })
}

/// The bytes of a pickled NumPy array, and whether they go down the columns: (version, shape, type, by column, bytes).
fn array_bytes(value: Value) -> Option<(Vec<u8>, bool)> {
    let Value::Tuple(state) = value else { return None };
    match <[Value; 5]>::try_from(state).ok()? {
        [_, _, _, Value::Bool(by_column), Value::Bytes(bytes)] => Some((bytes, by_column)),
        _ => None,
    }
}

fn check_labels(path: &Path, labels: &[u8], info: &DatasetInfo) -> Result<(), Error> {
    match labels.iter().position(|label| usize::from(*label) >= info.class_names.len()) {
        Some(index) => Err(bad(path, format!("has the label {} at image {index}; labels are 0 to 9", labels[index]))),
        None => Ok(()),
    }
}

fn pixels_per_image(info: &DatasetInfo) -> usize {
    info.shape.iter().product::<u32>() as usize
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| bad(path, format!("cannot be read: {error}")))
}

fn bad(path: &Path, problem: impl Into<String>) -> Error {
    Error::DataFile { path: PathBuf::from(path), problem: problem.into() }
}
