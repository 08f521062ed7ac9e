//! Where the authors of data sets publish them, and what their files are held to.

use shared::api::DownloadOffer;
use shared::dataset::Dataset;

/// The files of one data set and what becomes of them.
#[derive(Debug)]
pub struct Published {
    /// With a slash at its end.
    pub base: &'static str,
    pub files: &'static [PublishedFile],
    pub packing: Packing,
}

#[derive(Debug)]
pub struct PublishedFile {
    pub name: &'static str,
    pub size_bytes: u64,
    /// In lower-case hexadecimal; absent where none is published.
    pub md5: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// The files are the data.
    None,
    TarGz,
    Zip,
}

impl Published {
    pub fn of(dataset: Dataset) -> Option<&'static Published> {
        match dataset {
            Dataset::Cifar10 => Some(&CIFAR_10),
            Dataset::Cifar100 => Some(&CIFAR_100),
            Dataset::TinyImagenet => Some(&TINY_IMAGENET),
            Dataset::Svhn => Some(&SVHN),
            Dataset::Digits | Dataset::Synthetic | Dataset::ImageFolder => None,
        }
    }

    /// The addresses of the files, at `mirror` instead of their authors' where there is one.
    pub fn urls(&self, mirror: Option<&str>) -> Vec<String> {
        let base = mirror.unwrap_or(self.base).trim_end_matches('/');
        self.files.iter().map(|file| format!("{base}/{}", file.name)).collect()
    }

    pub fn offer(&self, mirror: Option<&str>) -> DownloadOffer {
        DownloadOffer {
            urls: self.urls(mirror),
            size_bytes: self.files.iter().map(|file| file.size_bytes).sum(),
            verified: self.files.iter().all(|file| file.md5.is_some()),
        }
    }
}

// The binary versions: smaller to unpack and faster to read. Checksums from <https://www.cs.toronto.edu/~kriz/cifar.html>.
const CIFAR_10: Published = Published {
    base: "https://www.cs.toronto.edu/~kriz/",
    files: &[PublishedFile { name: "cifar-10-binary.tar.gz", size_bytes: 170_052_171, md5: Some("c32a1d4ab5d03f1284b67883e8d87530") }],
    packing: Packing::TarGz,
};

const CIFAR_100: Published = Published {
    base: "https://www.cs.toronto.edu/~kriz/",
    files: &[PublishedFile { name: "cifar-100-binary.tar.gz", size_bytes: 168_513_733, md5: Some("03b5dce01913d631647c71ecec9e9cb8") }],
    packing: Packing::TarGz,
};

/// Its authors publish no checksum: the archive's own and the layout have to do.
const TINY_IMAGENET: Published = Published {
    base: "http://cs231n.stanford.edu/",
    files: &[PublishedFile { name: "tiny-imagenet-200.zip", size_bytes: 248_100_043, md5: None }],
    packing: Packing::Zip,
};

/// Checksums as torchvision has them.
const SVHN: Published = Published {
    base: "http://ufldl.stanford.edu/housenumbers/",
    files: &[
        PublishedFile { name: "train_32x32.mat", size_bytes: 182_040_794, md5: Some("e26dedcc434d2e4c54c9b2d4a06d8373") },
        PublishedFile { name: "test_32x32.mat", size_bytes: 64_275_384, md5: Some("eb5a983be6a315427106f1b164d9cef3") },
    ],
    packing: Packing::None,
};
