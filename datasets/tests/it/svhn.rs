//! SVHN in files that SciPy wrote: packed and not, labels as bytes and as floats.

use std::fs;

use shared::dataset::Dataset;
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

/// A copy of the folder with one of its files changed.
fn spoiled(file: &str, spoil: impl FnOnce(&mut Vec<u8>)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train_32x32.mat", "test_32x32.mat"] {
        fs::copy(fixtures().join(name), folder.path().join(name)).unwrap();
    }
    let path = folder.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    spoil(&mut bytes);
    fs::write(path, bytes).unwrap();
    folder
}

/// The position of a sequence of bytes.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn images_come_row_by_row_and_label_10_is_the_digit_0() {
    let svhn = datasets::open(Dataset::Svhn, &fixtures(), 32).unwrap();
    assert_eq!((svhn.train.len(), svhn.test.len(), svhn.class_names.len()), (20, 2, 10));
    assert_eq!(svhn.train.labels()[..11], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    assert_eq!(svhn.test.labels(), [0, 3]);
    let expected: Vec<u8> = (0..20)
        .flat_map(|image| (0..3).flat_map(move |channel| (0..1024).map(move |index| (image, channel, index / 32, index % 32))))
        .map(|(image, channel, row, column)| (row * 7 + column * 3 + channel * 50 + image * 11) as u8)
        .collect();
    assert_eq!(all(&svhn.train).unwrap(), expected);
    assert_eq!(all(&svhn.test).unwrap(), expected[..2 * 3072]);
    assert_eq!(svhn.train.pixels(&[7]).unwrap(), expected[7 * 3072..8 * 3072]);
}

#[test]
fn a_file_that_is_missing_cut_off_or_another_is_named() {
    check_refused(Dataset::Svhn, tempfile::tempdir().unwrap().path(), &["holds no train_32x32.mat"]);
    let check = |file: &str, spoil: fn(&mut Vec<u8>), parts: &[&str]| check_refused(Dataset::Svhn, spoiled(file, spoil).path(), parts);
    check("train_32x32.mat", |bytes| bytes.truncate(bytes.len() - 90), &["train_32x32.mat", "cut off"]);
    check("test_32x32.mat", |bytes| bytes.truncate(3000), &["test_32x32.mat", "cut off"]);
    check("test_32x32.mat", |bytes| bytes.truncate(128), &["test_32x32.mat", "no array `X`"]);
    check("test_32x32.mat", |bytes| bytes[0..128].fill(b' '), &["not a little-endian MATLAB 5 file"]);
}

#[test]
fn labels_and_sizes_that_do_not_fit_are_named() {
    let check = |spoil: fn(&mut Vec<u8>), parts: &[&str]| check_refused(Dataset::Svhn, spoiled("test_32x32.mat", spoil).path(), parts);
    check(|bytes| set_label(bytes, 11.0), &["label 11 at image 1", "1 to 10"]);
    check(|bytes| set_label(bytes, 2.5), &["`y`", "not of whole numbers"]);
    check(
        |bytes| {
            let size = find(bytes, &[32, 0, 0, 0, 32, 0, 0, 0]);
            bytes[size] = 16;
        },
        &["`X` of size [16, 32, 3, 2]", "[32, 32, 3, 2]"],
    );
}

fn set_label(bytes: &mut [u8], label: f64) {
    let start = find(bytes, &3f64.to_le_bytes());
    bytes[start..start + 8].copy_from_slice(&label.to_le_bytes());
}
