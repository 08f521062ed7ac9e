//! A picture in a file as red, green and blue, and back.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageEncoder, ImageReader, RgbImage, codecs::png::PngEncoder};

use crate::{Error, bad};

/// What is done with a picture of another size.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fit {
    /// It is an error.
    Exact,
    /// Resized so that the shorter side fits, then cropped around the center.
    Crop,
}

/// The endings of names that count as pictures.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// Whether a file is called like a picture; files that an operating system hides are not.
pub(crate) fn is_picture(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    !name.starts_with('.') && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Decodes a picture into `target`: red, green, blue, each row by row. Gray becomes three equal channels, transparency is dropped.
pub(crate) fn decode(path: &Path, fit: Fit, [_, height, width]: [u32; 3], target: &mut [u8]) -> Result<(), Error> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let decoded = reader.map_err(|error| bad(path, format!("cannot be read: {error}")))?.decode();
    let picture = decoded.map_err(|error| bad(path, format!("is not a readable picture; it may be cut off: {error}")))?.into_rgb8();
    let picture = match fit {
        _ if picture.dimensions() == (width, height) => picture,
        Fit::Exact => {
            let (found_width, found_height) = picture.dimensions();
            return Err(bad(path, format!("is {found_width}×{found_height} pixels; {width}×{height} were expected")));
        }
        Fit::Crop => resize_and_crop(&picture, width),
    };
    let plane = target.len() / 3;
    for (index, pixel) in picture.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            target[channel * plane + index] = value;
        }
    }
    Ok(())
}

/// As torchvision's `Resize(side)` and `CenterCrop(side)`: bilinear with its triangle widened when shrinking.
fn resize_and_crop(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scaled = |length: u32| (u64::from(side) * u64::from(length) / u64::from(width.min(height))) as u32;
    let (width, height) = (scaled(width), scaled(height));
    let resized = imageops::resize(picture, width, height, FilterType::Triangle);
    let start = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
    imageops::crop_imm(&resized, start(width), start(height), side, side).to_image()
}

/// A PNG file of one image, gray or RGB, whose pixels go up to `white`.
pub(crate) fn png(pixels: &[u8], [channels, height, width]: [u32; 3], white: u8) -> Vec<u8> {
    let (channels, plane) = (channels as usize, (height * width) as usize);
    let level = |value: u8| (u32::from(value) * 255 / u32::from(white)) as u8;
    let interleaved: Vec<u8> =
        (0..plane).flat_map(|index| (0..channels).map(move |channel| level(pixels[channel * plane + index]))).collect();
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Cursor::new(Vec::new());
    PngEncoder::new(&mut file).write_image(&interleaved, width, height, color).expect("the pixels fill the image");
    file.into_inner()
}
