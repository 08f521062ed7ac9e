//! Handwritten digits, embedded in the program.

use super::{Classes, Facts, FileLayout};

pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

pub(super) const FACTS: Facts = Facts {
    title: "Handwritten digits, 8×8",
    short_title: "Digits",
    description: "1,797 scanned digits of 43 writers in 17 gray levels. Small enough to train on a laptop in seconds. \
                  A third of each class is kept for testing.",
    layout: FileLayout::Embedded,
    shape: [1, 8, 8],
    classes: Classes::Named(&DIGITS),
    superclasses: &[],
    train_samples: Some(1198),
    test_samples: Some(599),
    mean: &[0.5],
    std: &[0.5],
    // A mirrored digit is no digit.
    flips: false,
    license: "CC BY 4.0, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998",
    how_to_get: None,
    archive_folders: &[],
    published: None,
};
