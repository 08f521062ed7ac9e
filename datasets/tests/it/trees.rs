//! Image folders and Tiny-ImageNet-200.

use std::fs;
use std::path::Path;

use shared::dataset::Dataset;
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

/// `train` and `val` with the classes `bird` and `cat`, two pictures each.
fn image_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["train/cat", "train/bird", "val/bird", "val/cat"] {
        let class = folder.path().join(class);
        fs::create_dir_all(&class).unwrap();
        fs::copy(fixtures().join("pictures/plain.png"), class.join("2.png")).unwrap();
        fs::copy(fixtures().join("pictures/photo.jpg"), class.join("1.JPG")).unwrap();
        fs::write(class.join(".hidden.png"), "").unwrap();
        fs::write(class.join("notes.txt"), "").unwrap();
    }
    folder
}

/// Three classes of two training and one validation image; image i of class c is of one color, c in red and i in green.
fn tiny_imagenet() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, class: u8, image: u8| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bmp(64, [10 * class, image, 255])).unwrap();
    };
    let wnids = ["n02", "n01", "n03"];
    for (class, wnid) in (0..).zip(wnids) {
        for image in 0..2 {
            write(&format!("train/{wnid}/images/{wnid}_{image}.JPEG"), class, image);
        }
        write(&format!("val/images/val_{class}.JPEG"), class, 7);
    }
    let text = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    text("wnids.txt", "n02\nn01\nn03\n");
    text("words.txt", "n00\tentity\nn01\tcrane, wading bird\nn02\tgoldfish, Carassius auratus\nn03\tcrane\n");
    text("val/val_annotations.txt", "val_2.JPEG\tn03\t0\t0\t63\t63\nval_0.JPEG\tn02\t0\t0\t63\t63\nval_1.JPEG\tn01\t0\t0\t63\t63\n");
    folder
}

/// A picture of one color: 24 bits, rows from the bottom, blue first.
fn bmp(side: u32, [red, green, blue]: [u8; 3]) -> Vec<u8> {
    let size = side * side * 3;
    let words = [54 + size, 0, 54, 40, side, side, 1 | 24 << 16, 0, size, 0, 0, 0, 0];
    let mut file = b"BM".to_vec();
    file.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
    file.extend([blue, green, red].repeat((side * side) as usize));
    file
}

#[test]
fn classes_are_the_folders_in_the_order_of_their_names() {
    let folder = image_folder();
    for side in [16, 32, 40] {
        let contents = datasets::open(Dataset::ImageFolder, folder.path(), side).unwrap();
        assert_eq!((contents.class_names.as_slice(), contents.shape), (["bird".to_owned(), "cat".to_owned()].as_slice(), [3, side, side]));
        assert_eq!((contents.train.labels(), contents.test.counts(2)), ([0, 0, 1, 1].as_slice(), vec![2, 2]));
        assert_eq!(all(&contents.train).unwrap().len(), 4 * 3 * (side * side) as usize);
    }
    fs::rename(folder.path().join("val"), folder.path().join("test")).unwrap();
    assert_eq!(datasets::open(Dataset::ImageFolder, folder.path(), 16).unwrap().test.len(), 4);
}

#[track_caller]
fn check_folder(spoil: impl FnOnce(&Path), parts: &[&str]) {
    let folder = image_folder();
    spoil(folder.path());
    check_refused(Dataset::ImageFolder, folder.path(), parts);
}

#[test]
fn an_image_folder_says_what_it_lacks() {
    check_refused(Dataset::ImageFolder, Path::new("/nowhere/at/all"), &["/nowhere/at/all", "is not a folder"]);
    check_folder(|folder| fs::remove_dir_all(folder.join("train")).unwrap(), &["no folder train", "val/CLASS"]);
    check_folder(|folder| fs::remove_dir_all(folder.join("val")).unwrap(), &["neither val nor test"]);
    check_folder(|folder| fs::remove_dir_all(folder.join("val/cat")).unwrap(), &["val/cat", "is missing"]);
    check_folder(|folder| fs::create_dir(folder.join("val/dog")).unwrap(), &["val/dog", "is a class that", "train does not have"]);
    let emptied = |folder: &Path| {
        fs::remove_file(folder.join("train/cat/1.JPG")).unwrap();
        fs::remove_file(folder.join("train/cat/2.png")).unwrap();
    };
    check_folder(emptied, &["train/cat", "holds no image"]);
    check_folder(|folder| fs::remove_dir_all(folder.join("train/cat")).unwrap(), &["train", "1 folders of classes"]);
}

#[test]
fn a_file_that_is_no_picture_or_cut_off_is_named() {
    check_folder(|folder| fs::write(folder.join("train/cat/2.png"), "text").unwrap(), &["train/cat/2.png", "not a readable picture"]);
    let cut = |folder: &Path| {
        let path = folder.join("val/bird/2.png");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    check_folder(cut, &["val/bird/2.png", "cut off"]);
}

#[test]
fn tiny_imagenet_takes_its_classes_from_wnids_and_its_test_images_from_the_validation_list() {
    let folder = tiny_imagenet();
    let contents = datasets::open(Dataset::TinyImagenet, folder.path(), 64).unwrap();
    assert_eq!(contents.class_names, ["goldfish", "crane (n01)", "crane (n03)"]);
    assert_eq!((contents.train.labels(), contents.test.labels()), ([0, 0, 1, 1, 2, 2].as_slice(), [2, 0, 1].as_slice()));
    let color = |pixels: Vec<u8>| [pixels[0], pixels[4096], pixels[8192]];
    assert_eq!(color(contents.train.pixels(&[3]).unwrap()), [10, 1, 255]);
    assert_eq!(color(contents.test.pixels(&[0]).unwrap()), [20, 7, 255]);
}

#[test]
fn the_folder_above_that_of_the_archive_will_do() {
    let above = tempfile::tempdir().unwrap();
    fs::rename(tiny_imagenet().keep(), above.path().join("tiny-imagenet-200")).unwrap();
    let located = datasets::locate(Dataset::TinyImagenet, above.path()).unwrap();
    assert_eq!(located, above.path().join("tiny-imagenet-200"));
    assert_eq!(datasets::open(Dataset::TinyImagenet, above.path(), 64).unwrap().train.len(), 6);
}

#[track_caller]
fn check_tiny(spoil: impl FnOnce(&Path), parts: &[&str]) {
    let folder = tiny_imagenet();
    spoil(folder.path());
    check_refused(Dataset::TinyImagenet, folder.path(), parts);
}

#[test]
fn tiny_imagenet_says_which_file_is_wrong() {
    let annotations = |text: &'static str| move |folder: &Path| fs::write(folder.join("val/val_annotations.txt"), text).unwrap();
    check_tiny(|folder| fs::remove_file(folder.join("wnids.txt")).unwrap(), &["holds no wnids.txt"]);
    check_tiny(|folder| fs::remove_file(folder.join("val/val_annotations.txt")).unwrap(), &["holds no val/val_annotations.txt"]);
    check_tiny(annotations("val_9.JPEG\tn03\t0\t0\t63\t63\n"), &["val/images/val_9.JPEG", "is missing", "line 1"]);
    check_tiny(annotations("val_0.JPEG\tn02\nval_1.JPEG\tn77\n"), &["val_annotations.txt", "`n77` in line 2", "wnids.txt"]);
    check_tiny(annotations("val_0.JPEG n02\n"), &["val_annotations.txt", "line 1 `val_0.JPEG n02`", "tab"]);
    check_tiny(annotations(""), &["val_annotations.txt", "no images"]);
    check_tiny(|folder| fs::write(folder.join("words.txt"), "n01\tcrane\n").unwrap(), &["words.txt", "no words for `n02`"]);
    check_tiny(|folder| fs::remove_dir_all(folder.join("train/n03")).unwrap(), &["train/n03/images", "is missing"]);
    check_tiny(|folder| fs::write(folder.join("train/n03/images/n03_1.JPEG"), bmp(32, [0; 3])).unwrap(), &["n03_1.JPEG", "32×32", "64×64"]);
}
