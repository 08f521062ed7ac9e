//! SVHN in files written by SciPy: compressed or not, with labels as bytes or as floats.

use std::fs;
use std::io::Read;

use flate2::read::GzDecoder;
use shared::dataset::{Dataset, passed_over_text};
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

/// Copies the data set's folder and changes one of its files with `spoil`.
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

/// Returns the position of a byte sequence.
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
    check("test_32x32.mat", |bytes| bytes[0..128].fill(b' '), &["test_32x32.mat", "is not a MATLAB 5 file"]);
    check("test_32x32.mat", |bytes| bytes[124..128].copy_from_slice(b"\x01\0MI"), &["big-endian"]);
    check("test_32x32.mat", |bytes| *bytes = b"<html><body>404</body></html>".to_vec(), &["is an HTML page"]);
    check("test_32x32.mat", |bytes| *bytes = b"version https://git-lfs.github.com/spec/v1\n".to_vec(), &["is a Git LFS pointer"]);
    check("train_32x32.mat", |bytes| *bytes = Vec::new(), &["is an empty file"]);
}

#[test]
fn labels_and_sizes_that_do_not_fit_are_named() {
    let check = |spoil: fn(&mut Vec<u8>), parts: &[&str]| check_refused(Dataset::Svhn, spoiled("test_32x32.mat", spoil).path(), parts);
    check(|bytes| set_label(bytes, 11.0), &["label 11 at image 1", "1 to 10 or 0 to 9"]);
    check(|bytes| set_label(bytes, 2.5), &["`y`", "holds 2.5; whole numbers"]);
    check(
        |bytes| {
            let size = find(bytes, &[32, 0, 0, 0, 32, 0, 0, 0]);
            bytes[size] = 16;
        },
        &["`X` of size [16, 32, 3, 2]", "[32, 32, 3, 2]"],
    );
}

#[test]
fn a_file_of_version_7_3_says_how_to_save_it_again() {
    // Beginning of a MATLAB 7.3 file: a text, then HDF5 at byte 512.
    let mut file = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".to_vec();
    file.resize(512, b' ');
    file[124..128].copy_from_slice(b"\0\x02IM");
    file.extend(b"\x89HDF\r\n\x1a\n");
    let parts =
        ["train_32x32.mat: is a MATLAB 7.3 file (HDF5)", "save('train_32x32.mat', 'X', 'y', '-v7')", "scipy.io.savemat('train_32x32.mat'"];
    check_refused(Dataset::Svhn, spoiled("train_32x32.mat", |bytes| *bytes = file.clone()).path(), &parts);
    // h5py writes the same without MATLAB's text.
    check_refused(
        Dataset::Svhn,
        spoiled("train_32x32.mat", |bytes| *bytes = file[512..].to_vec()).path(),
        &["is an HDF5 file; save it again"],
    );
}

/// Creates a folder in which both files are the fixture `name`.
fn labels(name: &str) -> TempDir {
    let mut file = Vec::new();
    let packed = fs::File::open(fixtures().join(format!("labels/{name}.mat.gz"))).unwrap();
    GzDecoder::new(packed).read_to_end(&mut file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    ["train_32x32.mat", "test_32x32.mat"].iter().for_each(|name| fs::write(folder.path().join(name), &file).unwrap());
    folder
}

#[test]
fn labels_of_every_type_are_read_with_0_or_10_for_the_digit_0() {
    for kind in ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "packed-int64", "one-axis"]
    {
        let svhn = datasets::open(Dataset::Svhn, labels(kind).path(), 32).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!((svhn.train.labels(), svhn.test.labels()), ([0, 3].as_slice(), [0, 3].as_slice()), "{kind}");
    }
    assert_eq!(datasets::open(Dataset::Svhn, labels("from-0").path(), 32).unwrap().test.labels(), [0, 3]);
    check_refused(Dataset::Svhn, labels("refused-both").path(), &["label 0 at image 0", "10 at image 1"]);
    check_refused(Dataset::Svhn, labels("refused-pixels").path(), &["`X` of float64; uint8"]);
    check_refused(Dataset::Svhn, labels("refused-order").path(), &["`X` of size [2, 32, 32, 3]", "[32, 32, 3, 2]"]);
}

#[test]
fn the_additional_images_are_not_read_and_that_is_said() {
    let folder = labels("int64");
    fs::write(folder.path().join("extra_32x32.mat"), "").unwrap();
    let passed_over = datasets::open(Dataset::Svhn, folder.path(), 32).unwrap().passed_over;
    assert_eq!(passed_over_text(&passed_over).unwrap(), "Not read: additional training images (1: extra_32x32.mat).");
}

fn set_label(bytes: &mut [u8], label: f64) {
    let start = find(bytes, &3f64.to_le_bytes());
    bytes[start..start + 8].copy_from_slice(&label.to_le_bytes());
}
