//! Image folders and Tiny-ImageNet-200.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use shared::dataset::{Dataset, passed_over_text};
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

/// Creates `train` and `val` with classes `bird` and `cat`, two pictures each.
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

/// Creates three classes with two training images and one validation image each. Image i of class c has one
/// color, with red given by c and green by i.
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

/// Encodes a picture of one color as BMP: 24 bits per pixel, rows from the bottom, blue first.
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
    check_folder(|folder| fs::remove_dir_all(folder.join("val/cat")).unwrap(), &["val: lacks classes that", "train has: cat"]);
    let other = |folder: &Path| {
        fs::rename(folder.join("val/cat"), folder.join("val/dog")).unwrap();
        fs::create_dir(folder.join("val/cow")).unwrap();
    };
    check_folder(other, &["val: has classes that", "train does not have: cow, dog; it lacks classes that", "train has: cat"]);
    let emptied = |folder: &Path| {
        fs::remove_file(folder.join("train/cat/1.JPG")).unwrap();
        fs::remove_file(folder.join("train/cat/2.png")).unwrap();
    };
    check_folder(
        emptied,
        &["train/cat", "holds no image; JPEG, PNG", "Not read: hidden files (1: .hidden.png); files that end in .txt (1: notes.txt)"],
    );
    let linked = |folder: &Path| symlink("/nowhere/at/all.png", folder.join("train/cat/3.png")).unwrap();
    check_folder(linked, &["train/cat/3.png", "is a link to a file that does not exist"]);
    check_folder(|folder| fs::remove_dir_all(folder.join("train/cat")).unwrap(), &["train", "1 class folders"]);
}

#[test]
fn a_folder_says_what_it_holds_instead() {
    check_folder(
        |folder| fs::rename(folder.join("train"), folder.join("pictures")).unwrap(),
        &["holds no folder train", "holds pictures, val"],
    );
    let archive = |folder: &Path| {
        fs::remove_dir_all(folder.join("train")).unwrap();
        fs::write(folder.join("train.tar"), [[b' '; 257].as_slice(), b"ustar"].concat()).unwrap();
    };
    check_folder(archive, &["holds the archive train.tar; unpack it there"]);
}

/// Creates files at the given paths. A picture's color is its position in the list; files that are not
/// pictures are empty.
fn folder_of(paths: &[&[u8]]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, path) in (0..).zip(paths) {
        let path = folder.path().join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let content = if path.extension().is_some_and(|ending| ending == "txt") { Vec::new() } else { bmp(8, [index, 0, 0]) };
        fs::write(path, content).unwrap();
    }
    folder
}

/// Returns the position in the list of the file that each image comes from.
fn places(samples: &datasets::Samples) -> Vec<u8> {
    all(samples).unwrap().chunks(3 * 64).map(|image| image[0]).collect()
}

#[test]
fn pictures_at_any_depth_come_in_the_order_of_torchvision() {
    // `sorted(os.walk(class))` compares whole paths: "-" comes before "/", capital before small letters.
    let folder = folder_of(&[
        b"train/a/2.png",
        b"train/a/deep/er/1.JPeG",
        b"train/a/deep/3.TIFF",
        b"train/a/deep-1/0.ppm",
        b"train/a/10.pgm",
        b"train/a/Z.webp",
        b"train/b/images/x.tif",
        b"val/a/0.bmp",
        b"val/b/0.jpg",
    ]);
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 8).unwrap();
    assert_eq!(places(&contents.train), [4, 0, 5, 2, 3, 1, 6]);
    assert_eq!((contents.train.labels(), places(&contents.test)), ([0, 0, 0, 0, 0, 0, 1].as_slice(), vec![7, 8]));
    assert_eq!(contents.passed_over, []);
}

#[test]
fn names_that_are_no_text_come_where_python_puts_them_and_are_shown_with_their_bytes() {
    let folder = folder_of(&[
        b"train/caf\xe9/\xff.png",
        b"train/caf\xe9/z.png",
        "train/café/0.png".as_bytes(),
        "train/\u{e000}/0.png".as_bytes(),
        b"val/caf\xe9/0.png",
        "val/café/0.png".as_bytes(),
        "val/\u{e000}/0.png".as_bytes(),
    ]);
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 8).unwrap();
    assert_eq!(contents.class_names, ["café", "caf\\xe9", "\u{e000}"]);
    assert_eq!((places(&contents.train), places(&contents.test)), (vec![2, 1, 0, 3], vec![5, 4, 6]));
    fs::write(folder.path().join(OsStr::from_bytes(b"train/caf\xe9/z.png")), "text").unwrap();
    check_refused(Dataset::ImageFolder, folder.path(), &["train/caf\\xe9/z.png: is not a readable picture"]);
}

#[test]
fn links_to_folders_and_files_are_followed_but_not_in_circles() {
    let folder = folder_of(&[b"train/a/0.png", b"train/b/0.png", b"more/deep/0.png", b"val/a/0.png", b"val/b/0.png"]);
    let link = |to: &str, at: &str| symlink(folder.path().join(to), folder.path().join(at)).unwrap();
    link("more", "train/a/1");
    link("more/deep/0.png", "train/b/1.png");
    link("train/a", "more/deep/back");
    link("more", "train/c");
    link("val/a", "val/c");
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 8).unwrap();
    assert_eq!((contents.class_names.len(), places(&contents.train)), (3, vec![0, 2, 1, 2, 2, 0]));
    let text = passed_over_text(&contents.passed_over).unwrap();
    assert!(text.contains("links that lead back to a folder above them (2, such as train/a/1/deep/back"), "{text}");
}

#[test]
fn what_is_not_read_is_counted_with_an_example() {
    let folder = folder_of(&[
        b"train/a/0.png",
        b"train/a/1.gif",
        b"train/a/deep/2.gif",
        b"train/a/Thumbs.db",
        b"train/a/.ipynb_checkpoints/0-checkpoint.png",
        b"train/a/._0.png",
        b"train/a/README",
        b"train/b/0.png",
        b"train/.ipynb_checkpoints/x.png",
        b"train/__MACOSX/a/x.png",
        b"train/labels.txt",
        b"validation/a/0.png",
        b"validation/b/0.png",
        b"validation/b/\xff.txt",
        b"test/a/0.png",
    ]);
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 8).unwrap();
    assert_eq!((contents.class_names.len(), places(&contents.train), places(&contents.test)), (2, vec![0, 7], vec![11, 12]));
    let mut parts: Vec<String> = contents.passed_over.iter().map(|kind| kind.text()).collect();
    parts.sort_unstable();
    assert_eq!(
        parts,
        [
            "files beside the folders of classes (1: train/labels.txt)",
            "files that end in .db (1: train/a/Thumbs.db)",
            "files that end in .gif (2, such as train/a/1.gif)",
            "files that end in .txt (1: validation/b/\\xff.txt)",
            "files that end like no picture (1: train/a/README)",
            "folders beside validation, which is tested with (1: test)",
            "hidden files (1: train/a/._0.png)",
            "hidden folders (3, such as train/.ipynb_checkpoints)",
        ]
    );
}

#[test]
fn only_further_kinds_are_counted_together() {
    let paths: Vec<String> = ('a'..='n').map(|ending| format!("train/a/0.{ending}")).collect();
    let mut paths: Vec<&[u8]> = paths.iter().map(String::as_bytes).collect();
    paths.extend([&b"train/a/0.png"[..], b"train/b/0.a", b"train/b/0.png", b"val/a/0.png", b"val/b/0.png"]);
    let contents = datasets::open(Dataset::ImageFolder, folder_of(&paths).path(), 8).unwrap();
    let text = passed_over_text(&contents.passed_over).unwrap();
    assert!(text.starts_with("Not read: files that end in .a (2, such as train/a/0.a); files that end in .b (1: "), "{text}");
    assert!(text.ends_with("other files (2, such as train/a/0.m)."), "{text}");
}

#[test]
fn the_folder_to_test_with_has_many_names_and_the_folder_above_will_do() {
    for name in ["val", "valid", "validation", "test", "Val", "TEST"] {
        let above = tempfile::tempdir().unwrap();
        let inside = above.path().join("pets");
        fs::rename(image_folder().keep(), &inside).unwrap();
        fs::rename(inside.join("val"), inside.join("0")).unwrap();
        fs::rename(inside.join("0"), inside.join(name)).unwrap();
        fs::create_dir(above.path().join("__MACOSX")).unwrap();
        assert_eq!(datasets::open(Dataset::ImageFolder, above.path(), 16).unwrap().test.len(), 4, "{name}");
    }
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

/// Sorts the validation images into class folders, as common scripts do with the published layout.
fn sort_validation(folder: &Path, inside: &str) {
    for (class, wnid) in (0..).zip(["n02", "n01", "n03"]) {
        let target = folder.join("val").join(wnid).join(inside);
        fs::create_dir_all(&target).unwrap();
        fs::rename(folder.join(format!("val/images/val_{class}.JPEG")), target.join(format!("val_{class}.JPEG"))).unwrap();
    }
}

#[test]
fn tiny_imagenet_is_read_with_its_validation_images_sorted_into_classes() {
    for (inside, annotations, images) in [("", false, false), ("images", false, false), ("", true, true), ("images", true, false)] {
        let folder = tiny_imagenet();
        sort_validation(folder.path(), inside);
        if !annotations {
            fs::remove_file(folder.path().join("val/val_annotations.txt")).unwrap();
        }
        if !images {
            fs::remove_dir(folder.path().join("val/images")).unwrap();
        }
        let contents = datasets::open(Dataset::TinyImagenet, folder.path(), 64).unwrap();
        assert_eq!((contents.test.labels(), contents.train.len()), ([0, 1, 2].as_slice(), 6));
        assert_eq!(all(&contents.test).unwrap().chunks(3 * 4096).map(|image| image[0]).collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(contents.passed_over, []);
    }
}

#[test]
fn tiny_imagenet_says_what_its_lists_do_not_name() {
    let folder = tiny_imagenet();
    fs::create_dir_all(folder.path().join("train/n04/images")).unwrap();
    fs::write(folder.path().join("train/n01/n01_boxes.txt"), "").unwrap();
    fs::write(folder.path().join("val/images/val_9.JPEG"), "").unwrap();
    let contents = datasets::open(Dataset::TinyImagenet, folder.path(), 64).unwrap();
    assert_eq!((contents.train.len(), contents.test.len()), (6, 3));
    assert_eq!(
        passed_over_text(&contents.passed_over).unwrap(),
        "Not read: folders of classes that wnids.txt does not name (1: train/n04); \
         pictures that val_annotations.txt does not name (1: val/images/val_9.JPEG)."
    );
    sort_validation(folder.path(), "");
    fs::remove_file(folder.path().join("val/images/val_9.JPEG")).unwrap();
    fs::remove_dir_all(folder.path().join("val/n03")).unwrap();
    check_refused(Dataset::TinyImagenet, folder.path(), &["val/n03", "is missing"]);
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
    check_tiny(
        |folder| fs::remove_file(folder.join("val/val_annotations.txt")).unwrap(),
        &["holds no val/val_annotations.txt, and no class folder in val"],
    );
    check_tiny(|folder| fs::write(folder.join("wnids.txt"), "<!DOCTYPE html>\n").unwrap(), &["wnids.txt: is an HTML page"]);
    check_tiny(annotations("val_9.JPEG\tn03\t0\t0\t63\t63\n"), &["val/images/val_9.JPEG", "is missing", "line 1"]);
    check_tiny(annotations("val_0.JPEG\tn02\nval_1.JPEG\tn77\n"), &["val_annotations.txt", "`n77` in line 2", "wnids.txt"]);
    check_tiny(annotations("val_0.JPEG n02\n"), &["val_annotations.txt", "line 1 `val_0.JPEG n02`", "tab"]);
    check_tiny(annotations(""), &["val_annotations.txt", "no images"]);
    check_tiny(|folder| fs::write(folder.join("words.txt"), "n01\tcrane\n").unwrap(), &["words.txt", "no words for `n02`"]);
    check_tiny(|folder| fs::remove_dir_all(folder.join("train/n03")).unwrap(), &["train/n03", "is missing"]);
    check_tiny(|folder| fs::write(folder.join("train/n03/images/n03_1.JPEG"), bmp(32, [0; 3])).unwrap(), &["n03_1.JPEG", "32×32", "64×64"]);
}
