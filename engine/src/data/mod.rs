//! Images and labels to train and test on, as tensors of pixels in `[0, 1]`.

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
/// Pixels that come as bytes stay bytes until they are selected: a quarter of the memory, and the same numbers.
#[derive(Debug)]
pub struct Split {
    /// `[N, C, H, W]`: uint8 from 0 to `white`, or floats in `[0, 1]`.
    pixels: Tensor,
    /// The byte that is 1, a float32 scalar on the device of the pixels, for pixels that are bytes.
    white: Option<Tensor>,
    /// `[N]`, int64.
    pub labels: Tensor,
}

/// What a run trains on and is measured with.
#[derive(Debug)]
pub struct Data {
    pub info: DatasetInfo,
    pub train: Split,
    /// Training images set aside to choose the best checkpoint by; their labels are without noise.
    pub holdout: Option<Split>,
    pub test: Split,
    /// Training labels that noise replaced.
    pub noisy_labels: u32,
    /// What lies in the folder of the data set and was not read, by kind.
    pub passed_over: Vec<PassedOver>,
}

impl Split {
    /// Images that are floats in `[0, 1]` already, `[N, C, H, W]`, with their labels, `[N]`.
    pub fn new(images: Tensor, labels: Tensor) -> Self {
        Split { pixels: images, white: None, labels }
    }

    /// Images of `shape` whose pixels run from 0 to `white`, image by image, channel by channel, row by row.
    fn of_bytes(pixels: &[u8], white: u8, labels: &[i64], shape: [u32; 3]) -> Self {
        let [channels, height, width] = shape.map(i64::from);
        let pixels = Tensor::from_slice(pixels).view([labels.len() as i64, channels, height, width]);
        Split { pixels, white: Some(Tensor::from(f32::from(white))), labels: Tensor::from_slice(labels) }
    }

    /// Pixels, or a selection of them, as floats in `[0, 1]`.
    fn floats(&self, pixels: Tensor) -> Tensor {
        match &self.white {
            // Divided by a tensor: a number would be replaced by its reciprocal on CUDA, which changes last bits.
            Some(white) => pixels.to_kind(Kind::Float) / white,
            None => pixels,
        }
    }

    /// All images, `[N, C, H, W]`, float in `[0, 1]`. Copies those that are kept as bytes.
    pub fn images(&self) -> Tensor {
        self.floats(self.pixels.shallow_clone())
    }

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

    /// The images and labels at `indices`, `[B]`.
    pub fn select(&self, indices: &Tensor) -> (Tensor, Tensor) {
        (self.floats(self.pixels.index_select(0, indices)), self.labels.index_select(0, indices))
    }

    /// `length` images and labels from `first` on.
    pub fn narrow(&self, first: i64, length: i64) -> (Tensor, Tensor) {
        (self.floats(self.pixels.narrow(0, first, length)), self.labels.narrow(0, first, length))
    }

    /// A random order of the images, `[N]`; draws from the default generator of the CPU.
    pub fn shuffled_order(&self) -> Tensor {
        Tensor::randperm(self.len(), (Kind::Int64, Device::Cpu)).to_device(self.labels.device())
    }

    /// The images at `rows`, kept as they are kept here.
    pub(crate) fn at(&self, rows: &[usize]) -> Self {
        self.part(&rows.iter().map(|row| *row as i64).collect::<Vec<_>>())
    }

    /// Other images with the same labels, floats in `[0, 1]`.
    pub(crate) fn with_images(&self, images: Tensor) -> Self {
        Split::new(images, self.labels.shallow_clone())
    }

    fn part(&self, indices: &[i64]) -> Self {
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
    /// The images of one use; of them `samples`, class by class in equal parts, or all.
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

/// Reads or makes the images that `config` asks for, on the CPU.
///
/// Which images are chosen does not depend on `seed`, so that runs with different seeds are about the same images: the first of each
/// class in the order of the data set, and the first of those are held out. `seed` decides generated images and noise. Only chosen
/// images are decoded. The returned `info` says what the files hold: classes, numbers and shape.
pub fn load(config: &DataConfig, seed: u32) -> Result<Data, Error> {
    let DataConfig { dataset, path, train_samples, test_samples, label_noise, holdout_samples, image_size: _, augment: _ } = config;
    let mut info = dataset.info();
    let mut passed_over = Vec::new();
    let (train, test) = match dataset.source() {
        Source::Generated => {
            let make = |part, samples: Option<u32>| synthetic::images(seed, part, samples.unwrap_or_default());
            let train = make(synthetic::Part::Train, train_samples.or(info.train_samples));
            let test = make(synthetic::Part::Test, test_samples.or(info.test_samples));
            every_class(&train.label_list(), "training", &info)?;
            every_class(&test.label_list(), "test", &info)?;
            (train, test)
        }
        Source::Embedded | Source::Folder => {
            if dataset.source() == Source::Folder && path.is_none() {
                return Err(Error::Data(format!("{} is read from a folder, and `data.path` names none", info.title)));
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
        holdout = Some(train.part(&held));
        train = train.part(&rest);
        every_class(&train.label_list(), "training", &info)?;
    }
    let noisy_labels = noise::replace_labels(&mut train.labels, *label_noise, info.class_names.len() as i64, seed);
    Ok(Data { info, train, holdout, test, noisy_labels, passed_over })
}

/// Reads or makes at most `count` test images, and no others: the first of each class, then the second of each, so that any part of them
/// from the start on holds all classes alike. They are among those of [`load`].
pub fn load_sample(config: &DataConfig, seed: u32, count: u32) -> Result<(DatasetInfo, Split), Error> {
    let count = config.test_samples.map_or(count, |samples| samples.min(count)) as usize;
    let mut info = config.dataset.info();
    if config.dataset.source() == Source::Generated {
        let samples = config.test_samples.or(info.test_samples).unwrap_or_default();
        let test = synthetic::images(seed, synthetic::Part::Test, samples);
        let order = by_rank(&test.label_list());
        return Ok((info, test.part(&order[..count.min(order.len())])));
    }
    if config.dataset.source() == Source::Folder && config.path.is_none() {
        return Err(Error::Data(format!("{} is read from a folder, and `data.path` names none", info.title)));
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

/// Splits `count` images into batches of nearly equal size, as few as keep each within `batch_size`.
///
/// Equal parts leave no remainder of one, for which batch statistics mean nothing; where a batch of one could not be avoided
/// (three images in batches of two), batches are larger instead.
pub fn batches(count: i64, batch_size: i64) -> Vec<Range<i64>> {
    let parts = ((count + batch_size - 1) / batch_size).min((count / 2).max(1));
    (0..parts).map(|part| count * part / parts..count * (part + 1) / parts).collect()
}

/// `count` images of what a data set holds; all without a count.
fn read(contents: &Contents, samples: &Samples, count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Split, Error> {
    let labels: Vec<i64> = samples.labels().iter().map(|label| i64::from(*label)).collect();
    let indices: Vec<usize> = choose(&labels, count, name, info)?.into_iter().map(|index| index as usize).collect();
    let labels: Vec<i64> = indices.iter().map(|index| labels[*index]).collect();
    Ok(Split::of_bytes(&samples.pixels(&indices)?, contents.white, &labels, contents.shape))
}

/// `count` images of a split; all without a count.
fn subset(split: &Split, count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Split, Error> {
    Ok(split.part(&choose(&split.label_list(), count, name, info)?))
}

/// Indices of `count` images in equal parts of each class as far as the classes go, in the order they had; all without a count.
fn choose(labels: &[i64], count: Option<u32>, name: &str, info: &DatasetInfo) -> Result<Vec<i64>, Error> {
    let order = by_rank(labels);
    let count = count.map_or(order.len(), |count| count as usize);
    let chosen = order
        .get(..count)
        .ok_or_else(|| Error::Data(format!("{count} {name} images were asked for, and {} has {} of them", info.title, order.len())))?;
    let chosen = sorted(chosen);
    every_class(&chosen.iter().map(|index| labels[*index as usize]).collect::<Vec<_>>(), name, info)?;
    Ok(chosen)
}

/// Indices by how many of the same class come before: first the first of each class, then the second of each.
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

fn every_class(labels: &[i64], name: &str, info: &DatasetInfo) -> Result<(), Error> {
    let missing = (0..).zip(&info.class_names).find(|(class, _)| !labels.contains(class));
    missing.map_or(Ok(()), |(_, class)| Err(Error::Data(format!("no {name} image is of class `{class}`"))))
}
