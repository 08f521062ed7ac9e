//! CIFAR-10 and CIFAR-100 in both layouts, and all ways in which their files can be invalid.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use shared::dataset::Dataset;
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

const PIXELS: usize = 3072;
const FILES: [&str; 6] = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// Writes a pickle of protocol 2, as Python 2 and NumPy wrote the published files: a dictionary whose array
/// is built by NumPy's `_reconstruct` and a state.
fn pickle(field: &str, labels: &[u8], pixels: &[u8], by_column: bool) -> Vec<u8> {
    let text = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
    let long = |value: usize| [b"J".as_slice(), &(value as u32).to_le_bytes()].concat();
    let mut file = b"\x80\x02}(".to_vec();
    file.extend([text("batch_label"), text("made for a test")].concat());
    file.extend([text(field), b"](".to_vec()].concat());
    for label in labels {
        file.extend([b'K', *label]);
    }
    file.push(b'e');
    file.extend(text("data"));
    file.extend(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R");
    // The state: version, shape, dtype (a call with its own state), order, bytes.
    file.extend(b"(K\x01");
    file.extend([long(labels.len()), long(PIXELS), b"\x86".to_vec()].concat());
    file.extend(b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
    file.push(if by_column { 0x88 } else { 0x89 });
    file.extend([b"T".as_slice(), &(pixels.len() as u32).to_le_bytes(), pixels].concat());
    file.extend(b"tbu.");
    file
}

/// Ten images, one of each class. Image i of file f has the value 10·f + i in red at row 0, column 1, and 255
/// elsewhere.
fn images(file: usize) -> (Vec<u8>, Vec<u8>) {
    let mut pixels = vec![255; 10 * PIXELS];
    for image in 0..10 {
        pixels[image * PIXELS + 1] = (10 * file + image) as u8;
    }
    ((0..10).collect(), pixels)
}

fn binary_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in FILES.iter().enumerate() {
        let (labels, pixels) = images(index);
        let records: Vec<u8> = labels.iter().zip(pixels.chunks(PIXELS)).flat_map(|(label, pixels)| [&[*label], pixels].concat()).collect();
        fs::write(folder.path().join(format!("{name}.bin")), records).unwrap();
    }
    folder
}

fn python_folder(by_column: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, name) in FILES.iter().enumerate() {
        let (labels, mut pixels) = images(index);
        if by_column {
            pixels = (0..PIXELS)
                .flat_map(|column| (0..10).map(move |row| (row, column)))
                .map(|(row, column)| pixels[row * PIXELS + column])
                .collect();
        }
        fs::write(folder.path().join(name), pickle("labels", &labels, &pixels, by_column)).unwrap();
    }
    folder
}

#[test]
fn both_layouts_and_both_orders_of_arrays_give_the_same_images() {
    for folder in [binary_folder(), python_folder(false), python_folder(true)] {
        let contents = datasets::open(Dataset::Cifar10, folder.path(), 32).unwrap();
        assert_eq!((contents.train.len(), contents.test.len(), contents.class_names.len()), (50, 10, 10));
        let pixels = [all(&contents.train).unwrap(), all(&contents.test).unwrap()].concat();
        for (index, image) in pixels.chunks(PIXELS).enumerate() {
            let expected: Vec<u8> = (0..PIXELS).map(|pixel| if pixel == 1 { index as u8 } else { 255 }).collect();
            assert!(image == expected, "image {index}");
        }
        assert_eq!(contents.train.labels(), (0..50).map(|index| index % 10).collect::<Vec<_>>());
    }
}

#[test]
fn cifar_100_takes_the_fine_labels_of_both_layouts() {
    let (fine, pixels): (Vec<u8>, Vec<u8>) = ((0..100).rev().collect(), (0..100 * PIXELS).map(|pixel| (pixel / PIXELS) as u8).collect());
    let [binary, python] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for name in ["train", "test"] {
        let record = |index: usize| [&[index as u8 / 5, fine[index]], &pixels[index * PIXELS..][..PIXELS]].concat();
        fs::write(binary.path().join(format!("{name}.bin")), (0..100).flat_map(record).collect::<Vec<u8>>()).unwrap();
        fs::write(python.path().join(name), pickle("fine_labels", &fine, &pixels, false)).unwrap();
    }
    for folder in [&binary, &python] {
        let contents = datasets::open(Dataset::Cifar100, folder.path(), 32).unwrap();
        assert_eq!((contents.class_names.len(), contents.test.counts(100)), (100, vec![1; 100]));
        assert_eq!(contents.train.labels(), (0..100).rev().collect::<Vec<_>>());
        assert_eq!(all(&contents.test).unwrap(), pixels);
    }
    fs::write(python.path().join("train"), pickle("labels", &fine, &pixels, false)).unwrap();
    check_refused(Dataset::Cifar100, python.path(), &["train", "no field `fine_labels`"]);
    fs::write(binary.path().join("test.bin"), [0, 100].iter().chain(&pixels[..PIXELS]).copied().collect::<Vec<u8>>()).unwrap();
    check_refused(Dataset::Cifar100, binary.path(), &["test.bin", "label 100 at image 0", "0 to 99"]);
}

/// Damages a folder with `spoil`. The error message must contain all `parts`.
#[track_caller]
fn check(folder: TempDir, spoil: impl FnOnce(&Path), parts: &[&str]) {
    spoil(folder.path());
    check_refused(Dataset::Cifar10, folder.path(), parts);
}

#[test]
fn a_folder_without_the_files_says_what_it_should_hold() {
    check(tempfile::tempdir().unwrap(), |_| {}, &["data_batch_1.bin (binary version)", "data_batch_1 (Python version)"]);
    check(binary_folder(), |folder| fs::remove_dir_all(folder).unwrap(), &["is not a folder"]);
    check(
        binary_folder(),
        |folder| fs::remove_file(folder.join("data_batch_4.bin")).unwrap(),
        &["holds no data_batch_4.bin", "binary version"],
    );
    check(python_folder(false), |folder| fs::remove_file(folder.join("test_batch")).unwrap(), &["holds no test_batch", "Python version"]);
}

#[test]
fn a_file_that_is_cut_off_is_named() {
    let cut = |name: &'static str| {
        move |folder: &Path| {
            let bytes = fs::read(folder.join(name)).unwrap();
            fs::write(folder.join(name), &bytes[..bytes.len() - 100]).unwrap();
        }
    };
    check(binary_folder(), cut("data_batch_2.bin"), &["data_batch_2.bin", "has 30630 bytes", "3073", "cut off"]);
    check(python_folder(false), cut("data_batch_2"), &["data_batch_2", "ends too early", "cut off"]);
    check(binary_folder(), |folder| fs::write(folder.join("test_batch.bin"), []).unwrap(), &["test_batch.bin", "is an empty file"]);
}

#[test]
fn a_label_out_of_range_is_named_with_its_image() {
    let (mut labels, pixels) = images(0);
    labels[3] = 77;
    let file = pickle("labels", &labels, &pixels, false);
    check(python_folder(false), |folder| fs::write(folder.join("data_batch_1"), file).unwrap(), &["label 77 at image 3", "0 to 9"]);
    check(
        binary_folder(),
        |folder| {
            let mut bytes = fs::read(folder.join("test_batch.bin")).unwrap();
            bytes[3073 * 3] = 10;
            fs::write(folder.join("test_batch.bin"), bytes).unwrap();
        },
        &["test_batch.bin", "label 10 at image 3"],
    );
}

#[test]
fn a_pickle_of_something_else_is_named() {
    let with = |bytes: Vec<u8>| move |folder: &Path| fs::write(folder.join("data_batch_1"), bytes).unwrap();
    check(python_folder(false), with(b"\x80\x02K\x01.".to_vec()), &["a pickle of 1, not of a dictionary"]);
    check(python_folder(false), with(b"\x80\x06}.".to_vec()), &["protocol 6", "0 to 5"]);
    check(python_folder(false), with(b"\x80\x02}.".to_vec()), &["no field `labels`"]);
    check(python_folder(false), with(b"\x80\x02}(U\x06labelsK\x01u.".to_vec()), &["`labels` that is 1; a list or an array"]);
    check(python_folder(false), with(b"\x80\x02}(U\x06labels](U\x01aeu.".to_vec()), &["`labels` that holds `a`", "not a whole number"]);
    check(python_folder(false), with(b"\x80\x02}(U\x06labels](K\x01eU\x04dataK\x01u.".to_vec()), &["`data` that is 1; an array of uint8"]);
    check(python_folder(false), with(b"(lp1\n~garbage".to_vec()), &["data_batch_1", "not a readable pickle"]);
    // Lengths and memo numbers that exceed the file.
    check(python_folder(false), with(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()), &["ends too early"]);
    check(python_folder(false), with(b"\x80\x02h\x07.".to_vec()), &["not a readable pickle"]);
    let (labels, pixels) = images(0);
    check(python_folder(false), with(pickle("labels", &labels[..9], &pixels, false)), &["shape [9, 3072] that has 30720 bytes"]);
}

/// Creates a folder in which every batch is the fixture `name`.
fn batches(name: &str) -> TempDir {
    let mut batch = Vec::new();
    let file = fs::File::open(fixtures().join(format!("batches/{name}.gz"))).unwrap();
    GzDecoder::new(file).read_to_end(&mut batch).unwrap();
    let folder = tempfile::tempdir().unwrap();
    FILES.iter().for_each(|file| fs::write(folder.path().join(file), &batch).unwrap());
    folder
}

#[test]
fn every_pickle_of_a_batch_gives_the_same_images_and_labels() {
    let pixel = |image: usize, index: usize| {
        let (channel, row, column) = (index / 1024, index / 32 % 32, index % 32);
        (80 * channel + image + if row < 2 { 20 } else { 0 } + if column < 5 { 7 } else { 0 }) as u8
    };
    let expected: Vec<u8> = (0..2).flat_map(|image| (0..PIXELS).map(move |index| pixel(image, index))).collect();
    let names = fs::read_dir(fixtures().join("batches")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| !name.starts_with("refused")).map(|name| name.replace(".gz", "")).collect();
    assert!(names.len() > 40, "{names:?}");
    for name in names {
        let contents = datasets::open(Dataset::Cifar10, batches(&name).path(), 32).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((contents.test.labels(), contents.train.len()), ([7, 2].as_slice(), 10), "{name}");
        assert!(all(&contents.test).unwrap() == expected, "{name}");
    }
    assert!(!Path::new("executed").exists());
}

#[test]
fn a_pickle_that_is_no_batch_says_what_its_fields_are() {
    let check = |name: &str, parts: &[&str]| check_refused(Dataset::Cifar10, batches(name).path(), parts);
    check("refused-float32", &["data_batch_1", "`data` that is an array of float32; uint8"]);
    check("refused-int64", &["`data` that is an array of int64; uint8"]);
    check("refused-shape", &["`data`", "shape [32, 32, 3, 2]", "[2, 32, 32, 3]"]);
    check("refused-list", &["`data` that is a list of 2; an array of uint8"]);
    check("refused-one-hot", &["`labels`", "shape [2, 10]; one number for each image"]);
    check("refused-fraction", &["`labels` that holds 2.5, which is not a whole number"]);
    check("refused-executable", &["`labels` that is an object made by `posix.mkdir`"]);
    check("refused-elsewhere", &["`data`", "a buffer that was written outside the file"]);
    check("refused-fine", &["no field `labels`, but `fine_labels`", "CIFAR-100"]);
    assert!(!Path::new("executed").exists());
}

#[test]
fn a_file_is_what_its_content_says_whatever_its_name() {
    // Python files with the names of the binary version, and the reverse.
    let folder = batches("protocol-4");
    FILES.iter().for_each(|file| fs::rename(folder.path().join(file), folder.path().join(format!("{file}.bin"))).unwrap());
    assert_eq!(datasets::open(Dataset::Cifar10, folder.path(), 32).unwrap().test.labels(), [7, 2]);
    let folder = binary_folder();
    FILES.iter().for_each(|file| fs::rename(folder.path().join(format!("{file}.bin")), folder.path().join(file)).unwrap());
    assert_eq!(datasets::open(Dataset::Cifar10, folder.path(), 32).unwrap().test.len(), 10);
}

#[test]
fn what_is_no_file_of_cifar_is_named() {
    let with = |content: &'static [u8]| move |folder: &Path| fs::write(folder.join("data_batch_2"), content).unwrap();
    check(python_folder(false), with(b"<!DOCTYPE html>\n<title>Sign in</title>"), &["data_batch_2: is an HTML page"]);
    check(
        python_folder(false),
        with(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        &["is a Git LFS pointer", "git lfs pull"],
    );
    check(python_folder(false), with(b"\x1f\x8b\x08\0\0\0\0\0"), &["is a gzip archive; unpack it first"]);
    check(python_folder(false), with(&[0; 5000]), &["nothing but zeros"]);
    let record = |labels: &[u8]| [labels, &[9; PIXELS]].concat();
    check(
        binary_folder(),
        |folder| fs::write(folder.join("data_batch_1.bin"), record(&[3, 4])).unwrap(),
        &["3074 bytes", "record size 3073", "record size of CIFAR-100"],
    );
}

#[test]
fn a_folder_with_something_else_says_what_that_is() {
    // The downloaded archive, inside the folder and given instead of the folder.
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("cifar-10-python.tar.gz");
    fs::write(&archive, b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    check_refused(Dataset::Cifar10, folder.path(), &["holds neither", "holds the archive cifar-10-python.tar.gz; unpack it there"]);
    check_refused(Dataset::Cifar10, &archive, &["is not a folder on this machine; it is a gzip archive"]);
    check_refused(Dataset::Cifar100, binary_folder().path(), &["neither train.bin", "files of another data set: CIFAR-10"]);
    let hundred = tempfile::tempdir().unwrap();
    ["train", "test"].iter().for_each(|name| fs::write(hundred.path().join(name), b"").unwrap());
    check_refused(Dataset::Cifar10, hundred.path(), &["neither data_batch_1.bin", "files of another data set: CIFAR-100"]);
}
