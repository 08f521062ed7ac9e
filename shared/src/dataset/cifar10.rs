//! CIFAR-10: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, <https://www.cs.toronto.edu/~kriz/cifar.html>.

use super::published::{Packing, Published, PublishedFile};
use super::{CifarFiles, Classes, Facts, FileLayout};

pub(super) const FACTS: Facts = Facts {
    title: "CIFAR-10",
    short_title: "CIFAR-10",
    description: "60,000 color photographs of 10 classes, 32×32. The data set of the paper's main experiments.",
    layout: FileLayout::Cifar(CifarFiles {
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        label_bytes: 1,
        label_field: "labels",
    }),
    shape: [3, 32, 32],
    classes: Classes::Named(&["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]),
    superclasses: &[],
    train_samples: Some(50_000),
    test_samples: Some(10_000),
    // The values that the public robustness code normalizes with.
    mean: &[0.4914, 0.4822, 0.4465],
    std: &[0.2471, 0.2435, 0.2616],
    flips: true,
    license: "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    how_to_get: Some(
        "Download the binary or the Python version from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it on the server, \
         and give the folder that holds data_batch_1.bin (binary) or data_batch_1 (Python).",
    ),
    archive_folders: &["cifar-10-batches-bin", "cifar-10-batches-py"],
    // The binary version: smaller to unpack and faster to read.
    published: Some(Published {
        base: "https://www.cs.toronto.edu/~kriz/",
        files: &[PublishedFile { name: "cifar-10-binary.tar.gz", size_bytes: 170_052_171, md5: Some("c32a1d4ab5d03f1284b67883e8d87530") }],
        packing: Packing::TarGz,
    }),
};
