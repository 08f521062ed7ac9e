//! Decoding, resizing and cropping, compared with Pillow and torchvision on the same files.

use std::fs;

use shared::dataset::Dataset;
use tempfile::TempDir;

use crate::{all, check_refused, fixtures};

/// Allowed difference of bytes in a lossless picture. Pillow resizes with fixed point numbers.
const LOSSLESS: i32 = 2;
/// Allowed difference in a JPEG picture. Decoders may round and upsample colors differently.
const JPEG: i32 = 8;

#[test]
fn pictures_of_every_kind_are_what_torchvision_makes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut names: Vec<String> =
        fs::read_dir(fixtures().join("pictures")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names.len(), 24);
    for (part, from, ending) in [("train", "pictures", ""), ("val", "expected", ".png")] {
        for class in ["one", "two"] {
            let target = folder.path().join(part).join(class);
            fs::create_dir_all(&target).unwrap();
            for name in &names {
                fs::copy(fixtures().join(from).join(format!("{name}{ending}")), target.join(format!("{name}{ending}"))).unwrap();
            }
        }
    }
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 32).unwrap();
    assert_eq!((contents.train.counts(2), contents.test.counts(2)), (vec![24, 24], vec![24, 24]));
    let (found, expected) = (all(&contents.train).unwrap(), all(&contents.test).unwrap());
    for (index, name) in names.iter().enumerate() {
        let pixels = index * 3072..(index + 1) * 3072;
        let differences =
            found[pixels.clone()].iter().zip(&expected[pixels]).map(|(found, expected)| (i32::from(*found) - i32::from(*expected)).abs());
        let lossy = ["photo.jpg", "gray.JPEG", "ink.jpg"].contains(&name.as_str());
        let most = differences.max().unwrap();
        assert!(most <= if lossy { JPEG } else { LOSSLESS }, "{name} differs by {most}");
    }
}

/// Creates an image folder with one picture in each class, and `content` as a further training picture of
/// `a`.
fn folder_with(name: &str, content: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["train/a", "train/b", "val/a", "val/b"] {
        fs::create_dir_all(folder.path().join(class)).unwrap();
        fs::copy(fixtures().join("pictures/tiny.png"), folder.path().join(class).join("tiny.png")).unwrap();
    }
    fs::write(folder.path().join("train/a").join(name), content).unwrap();
    folder
}

#[test]
fn a_picture_that_is_cut_off_is_refused_whatever_its_kind() {
    for name in
        ["photo.jpg", "gray.JPEG", "ink.jpg", "plain.png", "plain.bmp", "plain.webp", "plain.ppm", "gray.pgm", "packed.tif", "animated.jpg"]
    {
        let whole = fs::read(fixtures().join("pictures").join(name)).unwrap();
        // For JPEG, Pillow notices even a single missing byte. Other formats end with a marker without
        // information.
        for kept in [whole.len() / 2, whole.len() - if ["photo.jpg", "gray.JPEG", "ink.jpg"].contains(&name) { 1 } else { 40 }] {
            let folder = folder_with(name, &whole[..kept]);
            check_refused(Dataset::ImageFolder, folder.path(), &[&format!("train/a/{name}: is not a readable picture"), "cut off"]);
        }
    }
}

#[test]
fn what_is_no_picture_is_named() {
    let check = |content: &[u8], part: &str| {
        let folder = folder_with("x.png", content);
        check_refused(Dataset::ImageFolder, folder.path(), &["train/a/x.png: is not a readable picture; it is", part]);
    };
    check(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a Git LFS pointer");
    check(b"<!DOCTYPE html><html></html>", "an HTML page");
    check(b"", "an empty file");
    check(b"P4 0 35\n", "0×35 pixels");
    check(b"PK\x03\x04 and more of an archive", "a ZIP archive");
}

#[test]
fn a_picture_that_would_take_all_memory_is_refused() {
    // A PNG that really has its size, and one that claims to be larger than its data.
    let png = |width: u32, height: u32| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&vec![0; (width * height) as usize]).unwrap();
        writer.finish().unwrap();
        file
    };
    let long = png(1, 2_000_000);
    assert!(long.len() < 200_000, "{}", long.len());
    let folder = folder_with("long.png", &long);
    check_refused(Dataset::ImageFolder, folder.path(), &["train/a/long.png: is 1×2000000 pixels", "long and thin"]);
    let mut wide = png(1, 1);
    let size = wide.windows(4).position(|word| word == b"IHDR").unwrap() + 4;
    wide[size..size + 8].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let mut checksum = flate2::Crc::new();
    checksum.update(&wide[size - 4..size + 13]);
    wide[size + 13..size + 17].copy_from_slice(&checksum.sum().to_be_bytes());
    check_refused(Dataset::ImageFolder, folder_with("wide.png", &wide).path(), &["is 65535×65535 pixels; pictures this large"]);
}

#[test]
fn a_png_of_an_image_reads_back_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let digits = datasets::open(Dataset::Digits, folder.path(), 0).unwrap();
    let pixels = digits.test.pixels(&[5]).unwrap();
    for class in ["train/a", "train/b", "test/a", "test/b"] {
        fs::create_dir_all(folder.path().join(class)).unwrap();
        fs::write(folder.path().join(class).join("digit.png"), digits.png(&pixels)).unwrap();
    }
    let read = datasets::open(Dataset::ImageFolder, folder.path(), 8).unwrap();
    let levels: Vec<u8> = pixels.iter().map(|pixel| (u32::from(*pixel) * 255 / 16) as u8).collect();
    assert_eq!(read.train.pixels(&[1]).unwrap(), levels.repeat(3));
    // The same with a color picture.
    fs::write(folder.path().join("train/a/digit.png"), read.png(&read.train.pixels(&[1]).unwrap())).unwrap();
    assert_eq!(read.train.pixels(&[0]).unwrap(), levels.repeat(3));
}
