//! Tiny-ImageNet-200, as Stanford's course CS231n publishes it.

use super::published::{Packing, Published, PublishedFile};
use super::{Classes, Facts, FileLayout};

pub(super) const FACTS: Facts = Facts {
    title: "Tiny-ImageNet-200",
    short_title: "Tiny-ImageNet",
    description: "110,000 color photographs of 200 classes, 64×64; the validation images serve for testing.",
    layout: FileLayout::TinyImagenet,
    shape: [3, 64, 64],
    classes: Classes::Counted(200),
    superclasses: &[],
    train_samples: Some(100_000),
    test_samples: Some(10_000),
    // The values for ImageNet of PyTorch's own models.
    mean: &[0.485, 0.456, 0.406],
    std: &[0.229, 0.224, 0.225],
    flips: true,
    license: "Stanford CS231n, from ImageNet: for research",
    how_to_get: Some(
        "Download http://cs231n.stanford.edu/tiny-imagenet-200.zip, unpack it on the server, and give the folder that holds \
         wnids.txt, train and val.",
    ),
    archive_folders: &["tiny-imagenet-200"],
    published: Some(Published {
        base: "http://cs231n.stanford.edu/",
        // Its authors publish no checksum; the archive has its own.
        files: &[PublishedFile { name: "tiny-imagenet-200.zip", size_bytes: 248_100_043, md5: None }],
        packing: Packing::Zip,
    }),
};
