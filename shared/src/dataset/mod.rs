//! The data sets CrossLens knows, one file each: names, shapes, classes, normalization, license, and where to get them.

mod cifar10;
mod cifar100;
mod digits;
mod image_folder;
pub mod published;
mod svhn;
mod synthetic;
mod tiny_imagenet;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use published::Published;

/// A data set by name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    Display,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Dataset {
    /// 1,797 handwritten digits, 8×8 gray levels, embedded.
    Digits,
    /// Generated 32×32 images whose class-specific and shared features are known by construction.
    Synthetic,
    /// CIFAR-10 from a folder, binary or Python layout.
    Cifar10,
    /// CIFAR-100 from a folder, binary or Python layout, with the 100 fine classes.
    Cifar100,
    /// Tiny-ImageNet-200 from its folder: as published, where validation images lie flat beside a list of labels, or with these sorted
    /// into folders of classes.
    TinyImagenet,
    /// SVHN from its two cropped-digit files.
    Svhn,
    /// Any folder with `train/CLASS` and `val/CLASS`, `validation/CLASS` or `test/CLASS`, pictures at any depth, as torchvision's
    /// `ImageFolder` reads them.
    ImageFolder,
}

/// Where the images of a data set come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Embedded,
    Generated,
    Folder,
}

/// What is fixed about a data set, whatever a run does with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DatasetInfo {
    pub id: Dataset,
    pub title: String,
    pub description: String,
    pub source: Source,
    /// Channels, height, width.
    pub shape: [u32; 3],
    /// K; absent where only the files know.
    pub classes: Option<u32>,
    /// Empty where only the files know.
    pub class_names: Vec<String>,
    /// Groups of classes with their names, such as the 20 superclasses of CIFAR-100; empty where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superclasses: Vec<Superclass>,
    /// Images for training when nothing limits them; absent where only the files know.
    pub train_samples: Option<u32>,
    pub test_samples: Option<u32>,
    /// Per channel, of pixels in [0, 1].
    pub mean: Vec<f64>,
    pub std: Vec<f64>,
    pub license: String,
    /// How to get the data, for data sets from a folder.
    pub how_to_get: Option<String>,
}

/// A group of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Superclass {
    pub name: String,
    /// Indices of classes.
    pub classes: Vec<u32>,
}

/// Files or folders of one kind that lie in the folder of a data set and are not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PassedOver {
    /// In the plural, such as `files that end in .gif`.
    pub what: String,
    pub count: u32,
    /// One of them, relative to the folder.
    pub example: String,
}

impl PassedOver {
    /// Such as `files that end in .gif (3, such as train/cat/a.gif)`.
    pub fn text(&self) -> String {
        let PassedOver { what, count, example } = self;
        if *count == 1 { format!("{what} (1: {example})") } else { format!("{what} ({count}, such as {example})") }
    }
}

/// Everything that was passed over, in one sentence; none where nothing was.
pub fn passed_over_text(list: &[PassedOver]) -> Option<String> {
    let all = list.iter().map(PassedOver::text).collect::<Vec<_>>().join("; ");
    (!list.is_empty()).then(|| format!("Not read: {all}."))
}

/// Everything fixed about a data set, in one table: each data set has its own in a file of this folder.
#[derive(Debug)]
pub struct Facts {
    pub title: &'static str,
    /// The title as part of the name of a run.
    pub short_title: &'static str,
    pub description: &'static str,
    pub layout: FileLayout,
    /// Channels, height, width.
    pub shape: [u32; 3],
    pub classes: Classes,
    /// Names of superclasses with the names of their classes.
    superclasses: &'static [(&'static str, &'static [&'static str])],
    /// Images for training when nothing limits them; `None` where only the files know.
    pub train_samples: Option<u32>,
    pub test_samples: Option<u32>,
    /// Per channel, of pixels in [0, 1].
    pub mean: &'static [f64],
    pub std: &'static [f64],
    /// Whether a mirrored image is still one of its class: augmentation then flips half of the images.
    pub flips: bool,
    pub license: &'static str,
    /// How to get the data, for data sets from a folder.
    pub how_to_get: Option<&'static str>,
    /// The folders that the published archives unpack to.
    pub archive_folders: &'static [&'static str],
    pub published: Option<Published>,
}

/// What is known of the classes without the files.
#[derive(Clone, Copy, Debug)]
pub enum Classes {
    Named(&'static [&'static str]),
    /// Their number; the names are in the files.
    Counted(u32),
    InFiles,
}

/// How the files of a data set are laid out. The crate `datasets` reads each layout.
#[derive(Clone, Copy, Debug)]
pub enum FileLayout {
    Embedded,
    Generated,
    /// Batches of 32×32 images, in the binary or the Python version.
    Cifar(CifarFiles),
    /// `train_32x32.mat` and `test_32x32.mat`.
    Svhn,
    /// `train/CLASS/images`, and `val` flat beside a list of labels or in folders of classes.
    TinyImagenet,
    /// As torchvision's `ImageFolder` reads it.
    ImageFolder,
}

/// The files of a data set in the layout of CIFAR.
#[derive(Clone, Copy, Debug)]
pub struct CifarFiles {
    /// Without the `.bin` of the binary version.
    pub train: &'static [&'static str],
    pub test: &'static str,
    /// Binary version: bytes before the pixels; the last of them is the label.
    pub label_bytes: usize,
    /// Python version: the key of the labels.
    pub label_field: &'static str,
}

impl Dataset {
    pub const ALL: &[Self] = Self::VARIANTS;

    pub fn facts(self) -> &'static Facts {
        match self {
            Dataset::Digits => &digits::FACTS,
            Dataset::Synthetic => &synthetic::FACTS,
            Dataset::Cifar10 => &cifar10::FACTS,
            Dataset::Cifar100 => &cifar100::FACTS,
            Dataset::TinyImagenet => &tiny_imagenet::FACTS,
            Dataset::Svhn => &svhn::FACTS,
            Dataset::ImageFolder => &image_folder::FACTS,
        }
    }

    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn source(self) -> Source {
        match self.facts().layout {
            FileLayout::Embedded => Source::Embedded,
            FileLayout::Generated => Source::Generated,
            FileLayout::Cifar(_) | FileLayout::Svhn | FileLayout::TinyImagenet | FileLayout::ImageFolder => Source::Folder,
        }
    }

    /// The facts that pages show and networks are built by.
    pub fn info(self) -> DatasetInfo {
        let facts = self.facts();
        let (classes, class_names) = match facts.classes {
            Classes::Named(names) => (Some(names.len() as u32), owned(names)),
            Classes::Counted(count) => (Some(count), Vec::new()),
            Classes::InFiles => (None, Vec::new()),
        };
        DatasetInfo {
            id: self,
            title: facts.title.into(),
            description: facts.description.into(),
            source: self.source(),
            shape: facts.shape,
            classes,
            class_names,
            superclasses: facts.superclasses(),
            train_samples: facts.train_samples,
            test_samples: facts.test_samples,
            mean: facts.mean.to_vec(),
            std: facts.std.to_vec(),
            license: facts.license.into(),
            how_to_get: facts.how_to_get.map(Into::into),
        }
    }
}

impl Facts {
    fn superclasses(&self) -> Vec<Superclass> {
        let Classes::Named(names) = self.classes else { return Vec::new() };
        let index = |name: &&str| names.iter().position(|class| class == name).expect("a superclass is of known classes") as u32;
        let superclass =
            |(name, classes): &(&str, &[&str])| Superclass { name: (*name).to_owned(), classes: classes.iter().map(index).collect() };
        self.superclasses.iter().map(superclass).collect()
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The superclasses of the data set that has exactly these classes in this order; `None` if no known one has, or it has no superclasses.
pub fn superclasses_of(class_names: &[String]) -> Option<Vec<Superclass>> {
    let mut facts = Dataset::ALL.iter().map(|dataset| dataset.facts());
    let same = |facts: &&Facts| matches!(facts.classes, Classes::Named(names) if class_names.iter().eq(names.iter()));
    facts.find(|facts| !facts.superclasses.is_empty() && same(facts)).map(Facts::superclasses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fine_class_is_in_one_superclass() {
        for (dataset, facts) in Dataset::ALL.iter().map(|dataset| (dataset, dataset.facts())) {
            let (false, Classes::Named(names)) = (facts.superclasses.is_empty(), facts.classes) else {
                assert!(facts.superclasses.is_empty(), "{dataset} has superclasses of unnamed classes");
                continue;
            };
            let mut classes: Vec<u32> = facts.superclasses().into_iter().flat_map(|superclass| superclass.classes).collect();
            classes.sort_unstable();
            assert_eq!(classes, (0..names.len() as u32).collect::<Vec<_>>(), "{dataset}");
        }
    }

    #[test]
    fn superclasses_are_found_by_the_names_of_the_classes() {
        let mut names = Dataset::Cifar100.info().class_names;
        assert_eq!(superclasses_of(&names).unwrap().len(), 20);
        names.swap(0, 1);
        assert_eq!(superclasses_of(&names), None);
        assert_eq!(superclasses_of(&Dataset::Cifar10.info().class_names), None);
    }

    #[test]
    fn an_id_is_what_configurations_write() {
        for dataset in Dataset::ALL {
            assert_eq!(serde_json::to_value(dataset).unwrap(), dataset.id());
        }
    }
}
