//! Generated images whose class-specific and shared features are known.

use super::{Classes, Facts, FileLayout};

pub(super) const FACTS: Facts = Facts {
    title: "Shared features, 32×32",
    short_title: "Shared features",
    description: "Generated images of 10 classes. Each class has one pattern of its own, and the pairs (0,1), (2,3), … \
                  share another, so that which classes the matrix should join is known beforehand.",
    layout: FileLayout::Generated,
    shape: [3, 32, 32],
    classes: Classes::Named(&[
        "A of pair 1",
        "B of pair 1",
        "A of pair 2",
        "B of pair 2",
        "A of pair 3",
        "B of pair 3",
        "A of pair 4",
        "B of pair 4",
        "A of pair 5",
        "B of pair 5",
    ]),
    superclasses: &[],
    train_samples: Some(2000),
    test_samples: Some(500),
    mean: &[0.5, 0.5, 0.5],
    std: &[0.25, 0.25, 0.25],
    // A mirrored pattern is another pattern.
    flips: false,
    license: "none needed: generated from the seed",
    how_to_get: None,
    archive_folders: &[],
    published: None,
};
