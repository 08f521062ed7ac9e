//! Decoding, resizing and cropping against what Pillow and torchvision's rules make of the same files.

use std::fs;

use shared::dataset::Dataset;

use crate::{all, fixtures};

/// Bytes by which a lossless picture may differ: Pillow resizes in fixed point.
const LOSSLESS: i32 = 2;
/// The same for JPEG: decoders may round differently, and upsample color differently.
const JPEG: i32 = 8;

#[test]
fn pictures_of_every_kind_are_what_torchvision_makes_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["gray.JPEG", "gray.png", "palette.png", "photo.jpg", "plain.bmp", "plain.png", "plain.webp", "tiny.png", "transparent.png"];
    for (part, from, ending) in [("train", "pictures", ""), ("val", "expected", ".png")] {
        for class in ["one", "two"] {
            let target = folder.path().join(part).join(class);
            fs::create_dir_all(&target).unwrap();
            let names = if class == "one" { names.as_slice() } else { &["upright.png"] };
            for name in names {
                fs::copy(fixtures().join(from).join(format!("{name}{ending}")), target.join(format!("{name}{ending}"))).unwrap();
            }
        }
    }
    let contents = datasets::open(Dataset::ImageFolder, folder.path(), 32).unwrap();
    assert_eq!(
        (contents.train.labels(), contents.test.labels()),
        ([0; 9].iter().chain(&[1]).copied().collect::<Vec<u32>>().as_slice(), contents.train.labels())
    );
    let (found, expected) = (all(&contents.train).unwrap(), all(&contents.test).unwrap());
    for (index, name) in names.iter().chain(&["upright.png"]).enumerate() {
        let pixels = index * 3072..(index + 1) * 3072;
        let differences =
            found[pixels.clone()].iter().zip(&expected[pixels]).map(|(found, expected)| (i32::from(*found) - i32::from(*expected)).abs());
        let allowed = if name.ends_with("png") || name.ends_with("bmp") || name.ends_with("webp") { LOSSLESS } else { JPEG };
        let most = differences.max().unwrap();
        assert!(most <= allowed, "{name} differs by {most}");
    }
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
    // And a colored one.
    fs::write(folder.path().join("train/a/digit.png"), read.png(&read.train.pixels(&[1]).unwrap())).unwrap();
    assert_eq!(read.train.pixels(&[0]).unwrap(), levels.repeat(3));
}
