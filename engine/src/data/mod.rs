//! Loads data sets as tensors of pixels in `[0, 1]` with labels, and selects images from them.

pub mod augment;
mod noise;
pub mod synthetic;

use std::ops::Range;
use std::path::Path;

use datasets::{Contents, Samples};
use shared::config::{DataConfig, SplitName};
use shared::dataset::{DatasetInfo, PassedOver, Source};
use tch::{Device, Kind, Tensor};

use crate::Error;

/// Images with their labels.
///
/// Pixels read as bytes stay bytes until they are selected. This takes a quarter of the memory and gives the
/// same numbers.
#[derive(Debug)]
pub struct Split {
    /// `[N, C, H, W]`: uint8 values from 0 to `white`, or floats in `[0, 1]`.
    pixels: Tensor,
    /// The byte value that stands for 1, as a float32 scalar on the device of the pixels. `None` if the
    /// pixels are floats.
    white: Option<Tensor>,
    /// Class of each image, `[N]`, int64.
    pub labels: Tensor,
}

/// The images that a run trains on and measures with.
#[derive(Debug)]
pub struct Data {
    pub info: DatasetInfo,
    pub train: Split,
    /// Training images held out to select the best checkpoint. Label noise does not change their labels.
    pub holdout: Option<Split>,
    pub test: Split,
    /// Number of training labels that label noise replaced.
    pub noisy_labels: u32,
    /// Files in the data set's folder that were not read, by kind.
    pub passed_over: Vec<PassedOver>,
}

impl Split {
    /// Creates a split from float images in `[0, 1]`, `[N, C, H, W]`, and labels, `[N]`.
    pub fn new(images: Tensor, labels: Tensor) -> Self {
        Split { pixels: images, white: None, labels }
    }

    /// Creates a split from bytes between 0 and `white`: image by image, channel by channel, row by row.
    fn of_bytes(pixels: &[u8], white: u8, labels: &[i64], shape: [u32; 3]) -> Self {
        let [channels, height, width] = shape.map(i64::from);
        let pixels = Tensor::from_slice(pixels).view([labels.len() as i64, channels, height, width]);
        Split { pixels, white: Some(Tensor::from(f32::from(white))), labels: Tensor::from_slice(labels) }
    }

    /// Converts pixels of this split to floats in `[0, 1]`.
    fn floats(&self, pixels: Tensor) -> Tensor {
        match &self.white {
            // The divisor is a tensor: on CUDA, division by a number multiplies by its reciprocal and changes
            // the last bits.
            Some(white) => pixels.to_kind(Kind::Float) / white,
            None => pixels,
        }
    }

    /// Returns all images as floats in `[0, 1]`, `[N, C, H, W]`. Makes a copy if they are stored as bytes.
    pub fn images(&self) -> Tensor {
        self.floats(self.pixels.shallow_clone())
    }
    /// Returns N, the number of images.
    pub fn len(&self) -> i64 {
        self.labels.size()[0]
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_device(&self, device: Device) -> Self {
        Split {
            pixels: self.pixels.to_device(device),
            white: self.white.as_ref().map(|white| white.to_device(device)),
            labels: self.labels.to_device(device),
        }
    }

    /// Returns the images and labels at `indices`, `[B]`.
    pub fn select(&self, indices: &Tensor) -> (Tensor, Tensor) {
        (self.floats(self.pixels.index_select(0, indices)), self.labels.index_select(0, indices))
    }

    /// Returns `length` consecutive images and labels, starting at index `first`.
    pub fn narrow(&self, first: i64, length: i64) -> (Tensor, Tensor) {
        (self.floats(self.pixels.narrow(0, first, length)), self.labels.narrow(0, first, length))
    }

    /// Returns a random order of the images, `[N]`. Draws from the default generator of the CPU.
    pub fn shuffled_order(&self) -> Tensor {
        Tensor::randperm(self.len(), (Kind::Int64, Device::Cpu)).to_device(self.labels.device())
    }

    /// Returns the split of the images at `rows`, stored as in this split.
    pub(crate) fn at(&self, rows: &[usize]) -> Self {
        self.at_indices(&rows.iter().map(|row| *row as i64).collect::<Vec<_>>())
    }

    /// Returns a split of other images, floats in `[0, 1]`, with the labels of this split.
    pub(crate) fn with_images(&self, images: Tensor) -> Self {
        Split::new(images, self.labels.shallow_clone())
    }

    fn at_indices(&self, indices: &[i64]) -> Self {
        let indices = Tensor::from_slice(indices).to_device(self.labels.device());
        let white = self.white.as_ref().map(Tensor::shallow_clone);
        Split { pixels: self.pixels.index_select(0, &indices), white, labels: self.labels.index_select(0, &indices) }
    }

    pub(crate) fn label_list(&self) -> Vec<i64> {
        let mut labels = vec![0; self.len() as usize];
        let count = labels.len();
        self.labels.copy_data(&mut labels, count);
        labels
    }
}

impl Data {
    pub fn to_device(&self, device: Device) -> Self {
        Data {
            info: self.info.clone(),
            train: self.train.to_device(device),
            holdout: self.holdout.as_ref().map(|holdout| holdout.to_device(device)),
            test: self.test.to_device(device),
            noisy_labels: self.noisy_labels,
            passed_over: self.passed_over.clone(),
        }
    }
}

impl Data {
    /// Returns one split. With `samples`, takes that many images, equally many of each class as far as
    /// possible.
    ///
    /// Fails if the split does not exist or has fewer images.
    pub fn into_split(self, name: SplitName, samples: Option<u32>) -> Result<Split, Error> {
        let none = || Error::Data("no training images are held out; set `data.holdout_samples`".to_owned());
        let split = match name {
            SplitName::Test => self.test,
            SplitName::Train => self.train,
            SplitName::Holdout => self.holdout.ok_or_else(none)?,
        };
        if samples.is_none() { Ok(split) } else { subset(&split, samples, &name.label().to_lowercase().replace(" images", ""), &self.info) }
    }
}

/// Loads or generates the images of `config` on the CPU.
///
/// The selection of images does not depend on `seed`, so that runs with different seeds use the same images:
/// the first of each class in the order of the data set. The first of those are held out. `seed` determines
/// generated images and label noise. Only selected images are decoded. `info` of the result gives the
/// classes, numbers and shape that the files have.
pub fn load(config: &DataConfig, seed: u32) -> Result<Data, Error> {
    let DataConfig { dataset, path, train_samples, test_samples, label_noise, holdout_samples, image_size: _, augment: _ } = config;
    let mut info = dataset.info();
    let mut passed_over = Vec::new();
    let (train, test) = match dataset.source() {
        Source::Generated => {
            let make = |part, samples: Option<u32>| synthetic::images(seed, part, samples.unwrap_or_default());
            let train = make(synthetic::Part::Train, train_samples.or(info.train_samples));
            let test = make(synthetic::Part::Test, test_samples.or(info.test_samples));
            check_every_class(&train.label_list(), "training", &info)?;
            check_every_class(&test.label_list(), "test", &info)?;
            (train, test)
        }
        Source::Embedded | Source::Folder => {
            if dataset.source() == Source::Folder && path.is_none() {
                return Err(Error::Data(format!("{} is read from a folder; set `data.path` to that folder", info.title)));
            }
            let contents = datasets::open(*dataset, Path::new(path.as_deref().unwrap_or_default()), config.shape()[1])?;
            info.class_names.clone_from(&contents.class_names);
            info.classes = Some(contents.class_names.len() as u32);
            info.shape = contents.shape;
            info.train_samples = Some(contents.train.len() as u32);
            info.test_samples = Some(contents.test.len() as u32);
            passed_over.clone_from(&contents.passed_over);
            let train = read(&contents, &contents.train, *train_samples, "training", &info)?;
            (train, read(&contents, &contents.test, *test_samples, "test", &info)?)
        }
    };

    let mut holdout = None;
    let mut train = train;
    if *holdout_samples > 0 {
        let held = by_rank(&train.label_list());
        let (held, rest) = held
            .split_at_checked(*holdout_samples as usize)
            .ok_or_else(|| Error::Data(format!("{holdout_samples} images cannot be held out of {} training images", train.len())))?;
        let (held, rest) = (sorted(held), sorted(rest));
        holdout = Some(train.at_indices(&held));
        train = train.at_indices(&rest);
        check_every_class(&train.label_list(), "training", &info)?;
    }
    let noisy_labels = noise::replace_labels(&mut train.labels, *label_noise, info.class_names.len() as i64, seed);
    Ok(Data { info, train, holdout, test, noisy_labels, passed_over })
}

/// Loads or generates only test images, at most `count`: the first of each class, then the second of each,
/// and so on.
///
/// Any number of them from the start has nearly equally many images of each class. All of them are also test
/// images of [`load`].
pub fn load_sample(config: &DataConfig, seed: u32, count: u32) -> Result<(DatasetInfo, Split), Error> {
    let count = config.test_samples.map_or(count, |samples| samples.min(count)) as usize;
    let mut info = config.dataset.info();
    if config.dataset.source() == Source::Generated {
        let samples = config.test_samples.or(info.test_samples).unwrap_or_default();
        let test = synthetic::images(seed, synthetic::Part::Test, samples);
        let order = by_rank(&test.label_list());
        return Ok((info, test.at_indices(&order[..count.min(order.len())])));
    }
    if config.dataset.source() == Source::Folder && config.path.is_none() {
        return Err(Error::Data(format!("{} is read from a folder; set `data.path` to that folder", info.title)));
    }
    let contents = datasets::open(config.dataset, Path::new(config.path.as_deref().unwrap_or_default()), config.shape()[1])?;
    info.class_names.clone_from(&contents.class_names);
    info.shape = contents.shape;
    let labels: Vec<i64> = contents.test.labels().iter().map(|label| i64::from(*label)).collect();
    let order: Vec<usize> = by_rank(&labels).into_iter().take(count).map(|index| index as usize).collect();
    let labels: Vec<i64> = order.iter().map(|index| labels[*index]).collect();
    let split = Split::of_bytes(&contents.test.pixels(&order)?, contents.white, &labels, contents.shape);
    Ok((info, split))
}

/// Splits `count` images into the fewest batches of at most `batch_size`, of nearly equal size.
///
/// Equal sizes avoid a last batch of one image, for which batch statistics are undefined. If batches of one
/// image are still unavoidable (three images in batches of two), the batches become larger than `batch_size`.
pub fn batches(count: i64, batch_size: i64) -> Vec<Range<i64>> {
    let parts = ((count + batch_size - 1) / batch_size).min((count / 2).max(1));
    (0..parts).map(|part| count * part / parts..count * (part + 1) / parts).collect()
}

/// Reads `count` images of an opened data set, or all if `count` is `None`.
fn read(contents: &Contents, samples: &Samples, count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Split, Error> {
    let labels: Vec<i64> = samples.labels().iter().map(|label| i64::from(*label)).collect();
    let indices: Vec<usize> = choose(&labels, count, name, info)?.into_iter().map(|index| index as usize).collect();
    let labels: Vec<i64> = indices.iter().map(|index| labels[*index]).collect();
    Ok(Split::of_bytes(&samples.pixels(&indices)?, contents.white, &labels, contents.shape))
}

/// Selects `count` images of a split, or all if `count` is `None`.
fn subset(split: &Split, count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Split, Error> {
    Ok(split.at_indices(&choose(&split.label_list(), count, name, info)?))
}

/// Selects `count` images, equally many of each class as far as possible. Returns their indices in rising
/// order.
///
/// Selects all if `count` is `None`. Fails if there are fewer images or if a class has none.
fn choose(labels: &[i64], count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Vec<i64>, Error> {
    let order = by_rank(labels);
    let count = count.map_or(order.len(), |count| count as usize);
    let chosen = order
        .get(..count)
        .ok_or_else(|| Error::Data(format!("{count} {name} images were requested, but {} has only {}", info.title, order.len())))?;
    let chosen = sorted(chosen);
    check_every_class(&chosen.iter().map(|index| labels[*index as usize]).collect::<Vec<_>>(), name, info)?;
    Ok(chosen)
}

/// Sorts indices by their rank within their class: the first image of each class, then the second of each,
/// and so on.
fn by_rank(labels: &[i64]) -> Vec<i64> {
    let mut seen = std::collections::HashMap::new();
    let mut ranked: Vec<(usize, i64, i64)> = (0..)
        .zip(labels)
        .map(|(index, label)| {
            let rank = seen.entry(*label).or_insert(0usize);
            *rank += 1;
            (*rank, *label, index)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, index)| index).collect()
}

fn sorted(indices: &[i64]) -> Vec<i64> {
    let mut indices = indices.to_vec();
    indices.sort_unstable();
    indices
}

/// Fails if a class has no image among `labels`.
fn check_every_class(labels: &[i64], name: &str, info: &DatasetInfo) -> Result<(), Error> {
    let missing = (0..).zip(&info.class_names).find(|(class, _)| !labels.contains(class));
    missing.map_or(Ok(()), |(_, class)| Err(Error::Data(format!("no {name} image is of class `{class}`"))))
}
