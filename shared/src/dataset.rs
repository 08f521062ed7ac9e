//! The data sets CrossLens knows: names, shapes, classes, and where each comes from.

use serde::{Deserialize, Serialize};

/// A data set by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Embedded,
    Generated,
    Folder,
}

/// What is fixed about a data set, whatever a run does with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Superclass {
    pub name: String,
    /// Indices of classes.
    pub classes: Vec<u32>,
}

/// Files or folders of one kind that lie in the folder of a data set and are not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

impl Dataset {
    pub const ALL: [Dataset; 7] = [
        Dataset::Digits,
        Dataset::Synthetic,
        Dataset::Cifar10,
        Dataset::Cifar100,
        Dataset::TinyImagenet,
        Dataset::Svhn,
        Dataset::ImageFolder,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Dataset::Digits => "digits",
            Dataset::Synthetic => "synthetic",
            Dataset::Cifar10 => "cifar10",
            Dataset::Cifar100 => "cifar100",
            Dataset::TinyImagenet => "tiny_imagenet",
            Dataset::Svhn => "svhn",
            Dataset::ImageFolder => "image_folder",
        }
    }

    /// The data set of this name.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.id() == id)
    }

    /// As part of the name of a run.
    pub fn short_title(self) -> &'static str {
        match self {
            Dataset::Digits => "Digits",
            Dataset::Synthetic => "Shared features",
            Dataset::Cifar10 => "CIFAR-10",
            Dataset::Cifar100 => "CIFAR-100",
            Dataset::TinyImagenet => "Tiny-ImageNet",
            Dataset::Svhn => "SVHN",
            Dataset::ImageFolder => "Images",
        }
    }

    pub fn source(self) -> Source {
        match self {
            Dataset::Digits => Source::Embedded,
            Dataset::Synthetic => Source::Generated,
            Dataset::Cifar10 | Dataset::Cifar100 | Dataset::TinyImagenet | Dataset::Svhn | Dataset::ImageFolder => Source::Folder,
        }
    }

    pub fn info(self) -> DatasetInfo {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match self {
            Dataset::Digits => DatasetInfo {
                id: self,
                title: "Handwritten digits, 8×8".into(),
                description: "1,797 scanned digits of 43 writers in 17 gray levels. Small enough to train on a laptop in seconds. \
                              A third of each class is kept for testing."
                    .into(),
                source: self.source(),
                shape: [1, 8, 8],
                classes: Some(10),
                superclasses: Vec::new(),
                class_names: names(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
                train_samples: Some(1198),
                test_samples: Some(599),
                mean: vec![0.5],
                std: vec![0.5],
                license: "CC BY 4.0, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998".into(),
                how_to_get: None,
            },
            Dataset::Synthetic => DatasetInfo {
                id: self,
                title: "Shared features, 32×32".into(),
                description: "Generated images of 10 classes. Each class has one pattern of its own, and the pairs (0,1), (2,3), … \
                              share another, so that which classes the matrix should join is known beforehand."
                    .into(),
                source: self.source(),
                shape: [3, 32, 32],
                classes: Some(10),
                superclasses: Vec::new(),
                class_names: (0..10).map(|class| format!("{} of pair {}", if class % 2 == 0 { "A" } else { "B" }, class / 2 + 1)).collect(),
                train_samples: Some(2000),
                test_samples: Some(500),
                mean: vec![0.5, 0.5, 0.5],
                std: vec![0.25, 0.25, 0.25],
                license: "none needed: generated from the seed".into(),
                how_to_get: None,
            },
            Dataset::Cifar10 => DatasetInfo {
                id: self,
                title: "CIFAR-10".into(),
                description: "60,000 color photographs of 10 classes, 32×32. The data set of the paper's main experiments.".into(),
                source: self.source(),
                shape: [3, 32, 32],
                classes: Some(10),
                superclasses: Vec::new(),
                class_names: names(&["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
                train_samples: Some(50_000),
                test_samples: Some(10_000),
                // The values the public robustness code normalizes with.
                mean: vec![0.4914, 0.4822, 0.4465],
                std: vec![0.2471, 0.2435, 0.2616],
                license: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009".into(),
                how_to_get: Some(
                    "Download the binary or the Python version from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it on the server, \
                     and give the folder that holds data_batch_1.bin (binary) or data_batch_1 (Python)."
                        .into(),
                ),
            },
            Dataset::Cifar100 => DatasetInfo {
                id: self,
                title: "CIFAR-100".into(),
                description: "60,000 color photographs of 100 classes in 20 superclasses, 32×32.".into(),
                source: self.source(),
                shape: [3, 32, 32],
                classes: Some(100),
                superclasses: cifar100_superclasses(),
                class_names: names(&CIFAR100_CLASSES),
                train_samples: Some(50_000),
                test_samples: Some(10_000),
                // The values the public robustness code normalizes with.
                mean: vec![0.5070751592371323, 0.48654887331495095, 0.4409178433670343],
                std: vec![0.2673342858792401, 0.2564384629170883, 0.27615047132568404],
                license: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009".into(),
                how_to_get: Some(
                    "Download the binary or the Python version from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it on the server, \
                     and give the folder that holds train.bin (binary) or train (Python)."
                        .into(),
                ),
            },
            Dataset::TinyImagenet => DatasetInfo {
                id: self,
                title: "Tiny-ImageNet-200".into(),
                description: "110,000 color photographs of 200 classes, 64×64; the validation images serve for testing.".into(),
                source: self.source(),
                shape: [3, 64, 64],
                classes: Some(200),
                superclasses: Vec::new(),
                class_names: Vec::new(),
                train_samples: Some(100_000),
                test_samples: Some(10_000),
                // Of ImageNet, as PyTorch's own models have it.
                mean: vec![0.485, 0.456, 0.406],
                std: vec![0.229, 0.224, 0.225],
                license: "Stanford CS231n, from ImageNet: for research".into(),
                how_to_get: Some(
                    "Download http://cs231n.stanford.edu/tiny-imagenet-200.zip, unpack it on the server, and give the folder that holds \
                     wnids.txt, train and val."
                        .into(),
                ),
            },
            Dataset::Svhn => DatasetInfo {
                id: self,
                title: "SVHN".into(),
                description: "99,289 photographs of house numbers cropped to one digit, 32×32.".into(),
                source: self.source(),
                shape: [3, 32, 32],
                classes: Some(10),
                superclasses: Vec::new(),
                class_names: names(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
                train_samples: Some(73_257),
                test_samples: Some(26_032),
                mean: vec![0.5, 0.5, 0.5],
                std: vec![0.5, 0.5, 0.5],
                license: "Netzer et al., Reading Digits in Natural Images, 2011: for non-commercial use".into(),
                how_to_get: Some(
                    "Download train_32x32.mat and test_32x32.mat from http://ufldl.stanford.edu/housenumbers and give the folder that holds \
                     both."
                        .into(),
                ),
            },
            Dataset::ImageFolder => DatasetInfo {
                id: self,
                title: "A folder of images".into(),
                description: "Any images: one folder for each class inside train and inside val, valid, validation or test, as torchvision's \
                              ImageFolder reads them; JPEG, PNG, BMP, WebP, TIFF, PPM or PGM."
                    .into(),
                source: self.source(),
                shape: [3, 32, 32],
                classes: None,
                superclasses: Vec::new(),
                class_names: Vec::new(),
                train_samples: None,
                test_samples: None,
                mean: vec![0.485, 0.456, 0.406],
                std: vec![0.229, 0.224, 0.225],
                license: "your own".into(),
                how_to_get: Some(
                    "Put the images on the server as train/CLASS/* and val/CLASS/* (or valid, validation, test) and give the folder.".into(),
                ),
            },
        }
    }
}

/// The superclasses of the data set that has exactly these classes in this order; none where no known one has, or has superclasses.
pub fn superclasses_of(class_names: &[String]) -> Option<Vec<Superclass>> {
    class_names.iter().eq(CIFAR100_CLASSES.iter()).then(cifar100_superclasses)
}

fn cifar100_superclasses() -> Vec<Superclass> {
    let index = |name: &str| CIFAR100_CLASSES.iter().position(|class| *class == name).expect("a superclass is of known classes") as u32;
    let superclass = |(name, classes): &(&str, [&str; 5])| Superclass { name: (*name).to_owned(), classes: classes.map(index).to_vec() };
    CIFAR100_SUPERCLASSES.iter().map(superclass).collect()
}

/// As <https://www.cs.toronto.edu/~kriz/cifar.html> lists them, in the order of the coarse labels.
const CIFAR100_SUPERCLASSES: [(&str, [&str; 5]); 20] = [
    ("aquatic mammals", ["beaver", "dolphin", "otter", "seal", "whale"]),
    ("fish", ["aquarium fish", "flatfish", "ray", "shark", "trout"]),
    ("flowers", ["orchid", "poppy", "rose", "sunflower", "tulip"]),
    ("food containers", ["bottle", "bowl", "can", "cup", "plate"]),
    ("fruit and vegetables", ["apple", "mushroom", "orange", "pear", "sweet pepper"]),
    ("household electrical devices", ["clock", "keyboard", "lamp", "telephone", "television"]),
    ("household furniture", ["bed", "chair", "couch", "table", "wardrobe"]),
    ("insects", ["bee", "beetle", "butterfly", "caterpillar", "cockroach"]),
    ("large carnivores", ["bear", "leopard", "lion", "tiger", "wolf"]),
    ("large man-made outdoor things", ["bridge", "castle", "house", "road", "skyscraper"]),
    ("large natural outdoor scenes", ["cloud", "forest", "mountain", "plain", "sea"]),
    ("large omnivores and herbivores", ["camel", "cattle", "chimpanzee", "elephant", "kangaroo"]),
    ("medium-sized mammals", ["fox", "porcupine", "possum", "raccoon", "skunk"]),
    ("non-insect invertebrates", ["crab", "lobster", "snail", "spider", "worm"]),
    ("people", ["baby", "boy", "girl", "man", "woman"]),
    ("reptiles", ["crocodile", "dinosaur", "lizard", "snake", "turtle"]),
    ("small mammals", ["hamster", "mouse", "rabbit", "shrew", "squirrel"]),
    ("trees", ["maple tree", "oak tree", "palm tree", "pine tree", "willow tree"]),
    ("vehicles 1", ["bicycle", "bus", "motorcycle", "pickup truck", "train"]),
    ("vehicles 2", ["lawn mower", "rocket", "streetcar", "tank", "tractor"]),
];

/// The fine classes in the order of their labels.
const CIFAR100_CLASSES: [&str; 100] = [
    "apple",
    "aquarium fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak tree",
    "orange",
    "orchid",
    "otter",
    "palm tree",
    "pear",
    "pickup truck",
    "pine tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow tree",
    "wolf",
    "woman",
    "worm",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fine_class_is_in_one_superclass() {
        let mut classes: Vec<u32> = cifar100_superclasses().into_iter().flat_map(|superclass| superclass.classes).collect();
        classes.sort_unstable();
        assert_eq!(classes, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn superclasses_are_found_by_the_names_of_the_classes() {
        let mut names = CIFAR100_CLASSES.map(str::to_owned).to_vec();
        assert_eq!(superclasses_of(&names).unwrap().len(), 20);
        names.swap(0, 1);
        assert_eq!(superclasses_of(&names), None);
    }
}
