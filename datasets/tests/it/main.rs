//! Reads small copies of every data set layout, and files that are invalid in every way.

mod cifar;
mod pickle;
mod pictures;
mod svhn;
mod trees;

use std::path::{Path, PathBuf};

use datasets::{Contents, Samples};
use shared::dataset::Dataset;

/// Checks that a folder is refused when it is located, opened or decoded. The message must contain all
/// `parts`.
#[track_caller]
fn check_refused(dataset: Dataset, folder: &Path, parts: &[&str]) {
    let everything = |contents: Contents| all(&contents.train).and(all(&contents.test));
    let message = datasets::open(dataset, folder, 32).and_then(everything).map(drop).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn all(samples: &Samples) -> Result<Vec<u8>, datasets::Error> {
    samples.pixels(&(0..samples.len()).collect::<Vec<_>>())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

#[test]
fn the_digits_are_all_there_with_every_third_for_testing() {
    let digits = datasets::open(Dataset::Digits, Path::new(""), 0).unwrap();
    assert_eq!((digits.train.len(), digits.test.len(), digits.white), (1198, 599, 16));
    // The first and third image of the file. The third is the first test image.
    assert_eq!(all(&digits.train).unwrap()[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    assert_eq!((&digits.train.labels()[..4], &digits.test.labels()[..3]), ([0, 1, 3, 4].as_slice(), [2, 5, 8].as_slice()));
    assert_eq!(digits.train.counts(10).iter().sum::<u32>(), 1198);
}

#[test]
fn what_is_generated_has_no_files() {
    check_refused(Dataset::Synthetic, &fixtures(), &["`synthetic` is", "no files"]);
}
