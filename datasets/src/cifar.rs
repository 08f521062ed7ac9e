//! CIFAR-10 and CIFAR-100 in the two layouts their author publishes: binary (`data_batch_1.bin`) and Python pickles (`data_batch_1`).
//! A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! Files may hold fewer images than the published ones, so that a small copy works. Pickles are read as data; nothing in them runs.

use std::path::Path;

use serde_pickle::{DeOptions, HashableValue, Value};
use shared::dataset::Dataset;

use crate::{Contents, Error, Samples, bad, read, size_of_image};

const SHAPE: [u32; 3] = [3, 32, 32];

/// How the files of one of the two data sets are called and what is in them.
struct Files {
    train: &'static [&'static str],
    test: &'static str,
    /// In the binary version: bytes before the pixels, the last of which is the label.
    label_bytes: usize,
    /// In the Python version.
    label_field: &'static str,
}

#[derive(Clone, Copy)]
enum Layout {
    Binary,
    Python,
}

/// Labels and pixels, image by image: red, green, blue, each row by row.
#[derive(Default)]
struct Batch {
    labels: Vec<u32>,
    pixels: Vec<u8>,
}

impl Files {
    fn of(dataset: Dataset) -> Self {
        match dataset {
            Dataset::Cifar100 => Files { train: &["train"], test: "test", label_bytes: 2, label_field: "fine_labels" },
            _ => Files {
                train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
                test: "test_batch",
                label_bytes: 1,
                label_field: "labels",
            },
        }
    }

    fn all(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test])
    }

    fn layout(&self, folder: &Path) -> Option<Layout> {
        let there = |layout: Layout| folder.join(layout.file(self.train[0])).is_file();
        [Layout::Binary, Layout::Python].into_iter().find(|layout| there(*layout))
    }
}

impl Layout {
    fn file(self, name: &str) -> String {
        match self {
            Layout::Binary => format!("{name}.bin"),
            Layout::Python => name.to_owned(),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Layout::Binary => "binary version",
            Layout::Python => "Python version",
        }
    }
}

pub(crate) fn missing(dataset: Dataset, folder: &Path) -> Option<String> {
    let files = Files::of(dataset);
    let first = files.train[0];
    let Some(layout) = files.layout(folder) else {
        return Some(format!("holds neither {first}.bin (binary version) nor {first} (Python version)"));
    };
    let absent = files.all().map(|name| layout.file(name)).find(|file| !folder.join(file).is_file())?;
    Some(format!("holds no {absent}, which belongs to the {} of {}", layout.title(), dataset.short_title()))
}

pub(crate) fn open(dataset: Dataset, folder: &Path) -> Result<Contents, Error> {
    let files = Files::of(dataset);
    let class_names = dataset.info().class_names;
    let layout = files.layout(folder).unwrap_or(Layout::Binary);
    let batches = |names: &[&str]| -> Result<Samples, Error> {
        let mut all = Batch::default();
        for name in names {
            let path = folder.join(layout.file(name));
            let batch = match layout {
                Layout::Binary => read_binary(&path, &files)?,
                Layout::Python => read_pickle(&path, &files)?,
            };
            check_labels(&path, &batch.labels, class_names.len())?;
            all.labels.extend(batch.labels);
            all.pixels.extend(batch.pixels);
        }
        Ok(Samples::here(all.labels, all.pixels, SHAPE))
    };
    let (train, test) = (batches(files.train)?, batches(&[files.test])?);
    Ok(Contents { class_names, shape: SHAPE, white: u8::MAX, train, test })
}

/// Records of the label's bytes and one byte for each pixel.
fn read_binary(path: &Path, files: &Files) -> Result<Batch, Error> {
    let bytes = read(path)?;
    let record = files.label_bytes + size_of_image(SHAPE);
    if bytes.is_empty() || bytes.len() % record != 0 {
        return Err(bad(path, format!("has {} bytes, which is not a number of records of {record}; it may be cut off", bytes.len())));
    }
    let mut batch = Batch::default();
    for record in bytes.chunks(record) {
        let (labels, pixels) = record.split_at(files.label_bytes);
        batch.labels.push(u32::from(labels[files.label_bytes - 1]));
        batch.pixels.extend(pixels);
    }
    Ok(batch)
}

/// A dictionary with a list of labels and the array `data` of N rows.
fn read_pickle(path: &Path, files: &Files) -> Result<Batch, Error> {
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
    let labels = match field(files.label_field)? {
        Value::List(values) => values
            .into_iter()
            .map(|value| match value {
                Value::I64(label) => u32::try_from(label).map_err(|_| bad(path, format!("has the label {label}"))),
                other => Err(bad(path, format!("has the label `{other}`, which is not a whole number"))),
            })
            .collect::<Result<Vec<u32>, Error>>()?,
        _ => return Err(bad(path, format!("has a field `{}` that is not a list", files.label_field))),
    };
    let (bytes, by_column) = array_bytes(field("data")?).ok_or_else(|| bad(path, "has a field `data` that is not an array of bytes"))?;
    let columns = size_of_image(SHAPE);
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

fn check_labels(path: &Path, labels: &[u32], classes: usize) -> Result<(), Error> {
    match labels.iter().position(|label| *label as usize >= classes) {
        Some(index) => Err(bad(path, format!("has the label {} at image {index}; labels are 0 to {}", labels[index], classes - 1))),
        None => Ok(()),
    }
}
