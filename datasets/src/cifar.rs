//! CIFAR-10 and CIFAR-100 in the two layouts their author publishes: binary (`data_batch_1.bin`) and Python pickles (`data_batch_1`).
//! A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>.
//!
//! Files may hold fewer images than the published ones, so that a small copy works. Which of the two a file is, its content says. Pickles
//! are read as data; nothing in them runs.

use std::path::Path;

use shared::dataset::Dataset;

use crate::numpy::{self, Array};
use crate::pickle::{Id, Node, Pickle, PickleError};
use crate::{Contents, Error, Samples, bad, content, read, size_of_image};

const SHAPE: [u32; 3] = [3, 32, 32];
const CHANNELS: usize = 3;
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// In the binary version, no file begins with as high a byte: CIFAR-10 has labels up to 9, CIFAR-100 superclasses up to 19. In the Python
/// version every file does.
const LEAST_OF_PICKLES: u8 = 20;

/// Far more values than a batch has, whose pixels are one.
const MOST_VALUES: usize = 1 << 22;

/// How the files of one of the two data sets are called and what is in them.
struct Files {
    train: &'static [&'static str],
    test: &'static str,
    /// In the binary version: bytes before the pixels, the last of which is the label.
    label_bytes: usize,
    /// In the Python version.
    label_field: &'static str,
    /// The other of the two data sets.
    other: Dataset,
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
            Dataset::Cifar100 => {
                Files { train: &["train"], test: "test", label_bytes: 2, label_field: "fine_labels", other: Dataset::Cifar10 }
            }
            _ => Files {
                train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
                test: "test_batch",
                label_bytes: 1,
                label_field: "labels",
                other: Dataset::Cifar100,
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
            let bytes = read(&path)?;
            let batch = match bytes.first() {
                Some(first) if *first >= LEAST_OF_PICKLES => read_pickle(&bytes, &files),
                _ => read_binary(&bytes, &files),
            };
            // What a file is says more than that it cannot be read.
            let batch = batch.map_err(|problem| match content::of(&bytes).filter(|what| !what.contains("pickle")) {
                Some(what) => bad(&path, format!("is {what}")),
                None => bad(&path, problem),
            })?;
            check_labels(&path, &batch.labels, class_names.len())?;
            all.labels.extend(batch.labels);
            all.pixels.extend(batch.pixels);
        }
        Ok(Samples::here(all.labels, all.pixels, SHAPE))
    };
    let (train, test) = (batches(files.train)?, batches(&[files.test])?);
    Ok(Contents { class_names, shape: SHAPE, white: u8::MAX, train, test, passed_over: Vec::new() })
}

/// Records of the label's bytes and one byte for each pixel.
fn read_binary(bytes: &[u8], files: &Files) -> Result<Batch, String> {
    let other = Files::of(files.other);
    let record = |files: &Files| files.label_bytes + size_of_image(SHAPE);
    if bytes.is_empty() || !bytes.len().is_multiple_of(record(files)) {
        let hint = if !bytes.is_empty() && bytes.len().is_multiple_of(record(&other)) {
            format!("it is one of records of {}, which {} has", record(&other), files.other.short_title())
        } else {
            "it may be cut off".to_owned()
        };
        return Err(format!("has {} bytes, which is not a number of records of {}; {hint}", bytes.len(), record(files)));
    }
    let mut batch = Batch::default();
    for record in bytes.chunks(record(files)) {
        let (labels, pixels) = record.split_at(files.label_bytes);
        batch.labels.push(u32::from(labels[files.label_bytes - 1]));
        batch.pixels.extend(pixels);
    }
    Ok(batch)
}

/// A dictionary with labels and the array `data`.
fn read_pickle(bytes: &[u8], files: &Files) -> Result<Batch, String> {
    let pickle = Pickle::read(bytes, MOST_VALUES).map_err(|error| match error {
        PickleError::CutOff => "is a pickle that ends too early; it may be cut off".to_owned(),
        PickleError::Protocol(protocol) => format!("is a pickle of protocol {protocol}; 0 to 5 are read"),
        PickleError::TooManyValues { most } => format!("is a pickle of more than {most} values"),
        PickleError::Damaged(_) => "is not a readable pickle; it may be damaged or another file".to_owned(),
    })?;
    let root = pickle.root();
    let pairs = pickle.pairs(root).ok_or_else(|| format!("is a pickle of {}, not of a dictionary", pickle.describe(root)))?;
    let pairs: Vec<(Id, Id)> = pairs.collect();
    // Python 2 wrote the published files, where a name is bytes. Of a name written twice, Python keeps the last.
    let find = |name: &str| pairs.iter().rev().find(|(key, _)| pickle.text(*key) == Some(name)).map(|(_, value)| *value);
    let field = |name: &str| {
        find(name).ok_or_else(|| {
            let other = Files::of(files.other);
            let hint = find(other.label_field).filter(|_| name == files.label_field);
            let hint = hint.map(|_| format!(", but `{}`, as a file of {} has", other.label_field, files.other.short_title()));
            format!("has no field `{name}`{}", hint.unwrap_or_default())
        })
    };
    let name = files.label_field;
    let labels = labels(&pickle, field(name)?).map_err(|problem| format!("has a field `{name}` that {problem}"))?;
    let pixels = pixels(&pickle, field("data")?, labels.len()).map_err(|problem| format!("has a field `data` that {problem}"))?;
    Ok(Batch { labels, pixels })
}

/// Labels as a list or tuple, of numbers of Python or NumPy, or as an array.
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

/// The pixels of `count` images: channel by channel, each row by row.
///
/// How an array has them is told by its shape: `[N, 3072]`, `[N, 3, 32, 32]` or, with the channels last, `[N, 32, 32, 3]`.
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
    // Steps from one image, channel, row and column to the next.
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
        Some(index) => Err(bad(path, format!("has the label {} at image {index}; labels are 0 to {}", labels[index], classes - 1))),
        None => Ok(()),
    }
}
