//! CIFAR-10 and CIFAR-100 in the two versions that their author publishes: binary (`data_batch_1.bin`) and
//! Python pickles (`data_batch_1`). A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images,
//! 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! A file may hold fewer images than the published one, so that a small copy works. Its content decides which
//! version it has. Pickles are read as data; no code in them is executed.

use std::path::Path;

use shared::dataset::{CifarFiles, Dataset, FileLayout};

use crate::numpy::{self, Array};
use crate::pickle::{Id, Node, Pickle, PickleError};
use crate::{Contents, Error, Samples, content, file_error, read, size_of_image};

const SHAPE: [u32; 3] = [3, 32, 32];
const CHANNELS: usize = 3;
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// Smallest first byte of a pickle. Files of the binary version begin with a smaller byte: a label up to 9 in
/// CIFAR-10, a superclass up to 19 in CIFAR-100.
const LEAST_OF_PICKLES: u8 = 20;

/// Limit on the values of a pickle, far more than a batch has: its pixels are one value.
const MOST_VALUES: usize = 1 << 22;

#[derive(Clone, Copy)]
enum Version {
    Binary,
    Python,
}

/// Labels and pixels of a file. Pixels: image by image, channel by channel (red, green, blue), row by row.
#[derive(Default)]
struct Batch {
    labels: Vec<u32>,
    pixels: Vec<u8>,
}

/// Returns the version whose first file is in `folder`. `None` if there is neither.
fn version(files: &CifarFiles, folder: &Path) -> Option<Version> {
    [Version::Binary, Version::Python].into_iter().find(|version| folder.join(version.file(files.train[0])).is_file())
}

/// Returns title and files of the other CIFAR data sets, to recognize a file of the wrong one.
fn others(files: &CifarFiles) -> impl Iterator<Item = (&'static str, CifarFiles)> {
    let field = files.label_field;
    Dataset::ALL.iter().map(|dataset| dataset.facts()).filter_map(move |facts| match facts.layout {
        FileLayout::Cifar(other) if other.label_field != field => Some((facts.short_title, other)),
        _ => None,
    })
}

impl Version {
    fn file(self, name: &str) -> String {
        match self {
            Version::Binary => format!("{name}.bin"),
            Version::Python => name.to_owned(),
        }
    }

    fn title(self) -> &'static str {
        match self {
            Version::Binary => "binary version",
            Version::Python => "Python version",
        }
    }
}

pub(crate) fn missing(dataset: Dataset, files: &CifarFiles, folder: &Path) -> Option<String> {
    let first = files.train[0];
    let Some(version) = version(files, folder) else {
        return Some(format!("holds neither {first}.bin (binary version) nor {first} (Python version)"));
    };
    let absent = files.train.iter().chain([&files.test]).map(|name| version.file(name)).find(|file| !folder.join(file).is_file())?;
    Some(format!("holds no {absent}, which is part of the {} of {}", version.title(), dataset.facts().short_title))
}

pub(crate) fn open(dataset: Dataset, files: &CifarFiles, folder: &Path) -> Result<Contents, Error> {
    let class_names = dataset.info().class_names;
    let version = version(files, folder).unwrap_or(Version::Binary);
    let batches = |names: &[&str]| -> Result<Samples, Error> {
        let mut all = Batch::default();
        for name in names {
            let path = folder.join(version.file(name));
            let bytes = read(&path)?;
            let batch = match bytes.first() {
                Some(first) if *first >= LEAST_OF_PICKLES => read_pickle(&bytes, files),
                _ => read_binary(&bytes, files),
            };
            // A recognized file type is a better explanation than the reader's problem.
            let batch = batch.map_err(|problem| match content::identify(&bytes).filter(|what| !what.contains("pickle")) {
                Some(what) => file_error(&path, format!("is {what}")),
                None => file_error(&path, problem),
            })?;
            check_labels(&path, &batch.labels, class_names.len())?;
            all.labels.extend(batch.labels);
            all.pixels.extend(batch.pixels);
        }
        Ok(Samples::in_memory(all.labels, all.pixels, SHAPE))
    };
    let (train, test) = (batches(files.train)?, batches(&[files.test])?);
    Ok(Contents { class_names, shape: SHAPE, white: u8::MAX, train, test, passed_over: Vec::new() })
}

/// Reads records that consist of the label bytes and one byte for each color value.
fn read_binary(bytes: &[u8], files: &CifarFiles) -> Result<Batch, String> {
    let record = |files: &CifarFiles| files.label_bytes + size_of_image(SHAPE);
    if bytes.is_empty() || !bytes.len().is_multiple_of(record(files)) {
        let fits = |(_, other): &(&str, CifarFiles)| !bytes.is_empty() && bytes.len().is_multiple_of(record(other));
        let hint = match others(files).find(fits) {
            Some((title, other)) => format!("it is a multiple of {}, the record size of {title}", record(&other)),
            None => "it may be cut off".to_owned(),
        };
        return Err(format!("has {} bytes, which is not a multiple of the record size {}; {hint}", bytes.len(), record(files)));
    }
    let mut batch = Batch::default();
    for record in bytes.chunks(record(files)) {
        let (labels, pixels) = record.split_at(files.label_bytes);
        batch.labels.push(u32::from(labels[files.label_bytes - 1]));
        batch.pixels.extend(pixels);
    }
    Ok(batch)
}

/// Reads a pickled dictionary with labels and the array `data`.
fn read_pickle(bytes: &[u8], files: &CifarFiles) -> Result<Batch, String> {
    let pickle = Pickle::read(bytes, MOST_VALUES).map_err(|error| match error {
        PickleError::CutOff => "is a pickle that ends too early; it may be cut off".to_owned(),
        PickleError::Protocol(protocol) => format!("is a pickle of protocol {protocol}; 0 to 5 are read"),
        PickleError::TooManyValues { most } => format!("is a pickle of more than {most} values"),
        PickleError::Damaged(_) => "is not a readable pickle; it may be damaged or another file".to_owned(),
    })?;
    let root = pickle.root();
    let pairs = pickle.pairs(root).ok_or_else(|| format!("is a pickle of {}, not of a dictionary", pickle.describe(root)))?;
    let pairs: Vec<(Id, Id)> = pairs.collect();
    // In the published files, written by Python 2, names are bytes. If a name occurs twice, Python keeps the
    // last value.
    let find = |name: &str| pairs.iter().rev().find(|(key, _)| pickle.text(*key) == Some(name)).map(|(_, value)| *value);
    let field = |name: &str| {
        find(name).ok_or_else(|| {
            let other = others(files).find(|(_, other)| name == files.label_field && find(other.label_field).is_some());
            let hint = other.map(|(title, other)| format!(", but `{}`, as a file of {title} has", other.label_field));
            format!("has no field `{name}`{}", hint.unwrap_or_default())
        })
    };
    let name = files.label_field;
    let labels = labels(&pickle, field(name)?).map_err(|problem| format!("has a field `{name}` that {problem}"))?;
    let pixels = pixels(&pickle, field("data")?, labels.len()).map_err(|problem| format!("has a field `data` that {problem}"))?;
    Ok(Batch { labels, pixels })
}

/// Reads labels from a list or tuple of Python or NumPy numbers, or from an array.
fn labels(pickle: &Pickle<'_>, id: Id) -> Result<Vec<u32>, String> {
    let values = match pickle.items(id).or_else(|| numpy::objects(pickle, id)) {
        Some(items) => items.iter().map(|item| label(pickle, *item)).collect::<Result<Vec<i64>, String>>()?,
        None => match Array::of(pickle, id) {
            Some(array) => array?.whole_numbers()?,
            None => return Err(format!("is {}; a list or an array of whole numbers was expected", pickle.describe(id))),
        },
    };
    if values.is_empty() {
        return Err("is empty".to_owned());
    }
    values.into_iter().map(|value| u32::try_from(value).map_err(|_| format!("holds {value}, which is not a label"))).collect()
}

fn label(pickle: &Pickle<'_>, id: Id) -> Result<i64, String> {
    let number = match pickle.node(id) {
        Node::Int(value) => Some(*value),
        Node::Bool(value) => Some((*value).into()),
        Node::Float(value) => numpy::whole(*value),
        Node::Object(_) => match Array::of(pickle, id) {
            Some(array) => <[i64; 1]>::try_from(array?.whole_numbers()?).ok().map(|[value]| value),
            None => None,
        },
        _ => None,
    };
    number.ok_or_else(|| format!("holds {}, which is not a whole number", pickle.describe(id)))
}

/// Reads the pixels of `count` images: image by image, channel by channel, row by row.
///
/// The shape of the array decides how its values are ordered: `[N, 3072]`, `[N, 3, 32, 32]`, or `[N, 32, 32,
/// 3]` with the channels last.
fn pixels(pickle: &Pickle<'_>, id: Id, count: usize) -> Result<Vec<u8>, String> {
    let Some(array) = Array::of(pickle, id) else {
        return Err(format!("is {}; an array of uint8 was expected", pickle.describe(id)));
    };
    let array = array?;
    let Some((bytes, steps)) = array.bytes() else {
        return Err(format!("is an array of {}; uint8, from 0 to 255, was expected", array.kind()));
    };
    let size = CHANNELS * PLANE;
    let shape = &array.shape;
    // Distances in the array from one image, channel, row and column to the next.
    let step = |axis: usize| steps[axis];
    let steps = match shape[..] {
        [total] if total == count * size => [size, PLANE, SIDE, 1],
        [n, length] if (n, length) == (count, size) => [step(0), PLANE * step(1), SIDE * step(1), step(1)],
        [n, CHANNELS, PLANE] if n == count => [step(0), step(1), SIDE * step(2), step(2)],
        [n, PLANE, CHANNELS] if n == count => [step(0), step(2), SIDE * step(1), step(1)],
        [n, CHANNELS, SIDE, SIDE] if n == count => [step(0), step(1), step(2), step(3)],
        [n, SIDE, SIDE, CHANNELS] if n == count => [step(0), step(3), step(1), step(2)],
        _ => {
            return Err(format!(
                "is an array of shape {shape:?}; with {count} labels, [{count}, {size}], [{count}, {CHANNELS}, {SIDE}, {SIDE}] or \
                 [{count}, {SIDE}, {SIDE}, {CHANNELS}] was expected"
            ));
        }
    };
    if steps == [size, PLANE, SIDE, 1] {
        return Ok(bytes.to_vec());
    }
    let [image, channel, row, column] = steps;
    let mut pixels = Vec::with_capacity(bytes.len());
    for start in (0..count).map(|index| index * image) {
        for start in (0..CHANNELS).map(|index| start + index * channel) {
            for start in (0..SIDE).map(|index| start + index * row) {
                pixels.extend((0..SIDE).map(|index| bytes[start + index * column]));
            }
        }
    }
    Ok(pixels)
}

fn check_labels(path: &Path, labels: &[u32], classes: usize) -> Result<(), Error> {
    match labels.iter().position(|label| *label as usize >= classes) {
        Some(index) => Err(file_error(path, format!("has the label {} at image {index}; labels are 0 to {}", labels[index], classes - 1))),
        None => Ok(()),
    }
}
