//! SVHN: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.

use super::digits::DIGITS;
use super::published::{Packing, Published, PublishedFile};
use super::{Classes, Facts, FileLayout};

pub(super) const FACTS: Facts = Facts {
    title: "SVHN",
    short_title: "SVHN",
    description: "99,289 photographs of house numbers cropped to one digit, 32×32.",
    layout: FileLayout::Svhn,
    shape: [3, 32, 32],
    classes: Classes::Named(&DIGITS),
    superclasses: &[],
    train_samples: Some(73_257),
    test_samples: Some(26_032),
    mean: &[0.5, 0.5, 0.5],
    std: &[0.5, 0.5, 0.5],
    // A mirrored digit is no digit.
    flips: false,
    license: "Netzer et al., Reading Digits in Natural Images, 2011: for non-commercial use",
    how_to_get: Some(
        "Download train_32x32.mat and test_32x32.mat from http://ufldl.stanford.edu/housenumbers and give the folder that holds \
         both.",
    ),
    archive_folders: &[],
    published: Some(Published {
        base: "http://ufldl.stanford.edu/housenumbers/",
        // Checksums from torchvision.
        files: &[
            PublishedFile { name: "train_32x32.mat", size_bytes: 182_040_794, md5: Some("e26dedcc434d2e4c54c9b2d4a06d8373") },
            PublishedFile { name: "test_32x32.mat", size_bytes: 64_275_384, md5: Some("eb5a983be6a315427106f1b164d9cef3") },
        ],
        packing: Packing::None,
    }),
};
