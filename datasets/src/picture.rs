//! Decodes pictures to RGB, resizes them, and encodes images as PNG.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;

use image::codecs::png::PngEncoder;
use image::imageops::{self, FilterType};
use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits, Luma, LumaA,
    Pixel, Rgb, RgbImage, Rgba,
};

use crate::{Error, content, file_error, palette, read};

/// Memory limit for decoding and scaling a picture. It allows a photograph of 13,000×13,000 pixels.
const MOST_BYTES: u64 = 512 << 20;
/// Pictures that need more memory than this are decoded one at a time.
const MANY_BYTES: u64 = 64 << 20;
static LARGE: Mutex<()> = Mutex::new(());

/// How pictures of another size are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fit {
    /// They are an error.
    Exact,
    /// The shorter side is resized to fit, then the center is cropped.
    Crop,
}

/// Decodes a picture into `target`: channel by channel (red, green, blue), row by row. Colors are those of
/// Pillow's `convert("RGB")`.
pub(crate) fn decode(path: &Path, fit: Fit, [_, height, width]: [u32; 3], target: &mut [u8]) -> Result<(), Error> {
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    if length > MOST_BYTES {
        return Err(file_error(path, format!("has {length} bytes; pictures this large cannot be read")));
    }
    let mut file = read(path)?;
    let unreadable = |error| match error {
        ImageError::Unsupported(_) => file_error(path, format!("is a picture of an unsupported type: {error}")),
        error => file_error(path, format!("is not a readable picture; it may be cut off: {error}")),
    };
    let Ok(format) = image::guess_format(&file) else {
        let what = content::identify(&file).map_or_else(|| "its type is not recognized".to_owned(), |what| format!("it is {what}"));
        return Err(file_error(path, format!("is not a readable picture; {what}")));
    };
    if format == ImageFormat::Jpeg && !has_end(&file) {
        return Err(file_error(path, "is not a readable picture; it is cut off: its end marker is missing"));
    }
    let palette = if format == ImageFormat::Tiff { palette::take(&mut file) } else { None };
    let mut decoder = ImageReader::with_format(Cursor::new(file), format).into_decoder().map_err(unreadable)?;
    decoder.set_limits(Limits::default()).map_err(unreadable)?;
    let size = decoder.dimensions();
    if size.0 == 0 || size.1 == 0 {
        return Err(file_error(path, format!("is not a readable picture; it is {}×{} pixels", size.0, size.1)));
    }
    let scaled = scaled(size, width);
    let bytes = decoder.total_bytes().max(bytes_to_scale(size, scaled));
    if bytes > MOST_BYTES {
        let problem = format!("is {}×{} pixels; pictures this large, or this long and thin, cannot be read", size.0, size.1);
        return Err(file_error(path, problem));
    }
    // Decoding large pictures on all cores at once would need too much memory.
    let _one_at_a_time = (bytes > MANY_BYTES).then(|| LARGE.lock());
    let mut picture = rgb(DynamicImage::from_decoder(decoder).map_err(unreadable)?, format);
    if let Some(palette) = palette {
        picture.pixels_mut().for_each(|pixel| *pixel = Rgb(palette[usize::from(pixel.0[0])]));
    }
    let picture = match fit {
        _ if size == (width, height) => picture,
        Fit::Exact => {
            return Err(file_error(path, format!("is {}×{} pixels; {width}×{height} were expected", size.0, size.1)));
        }
        Fit::Crop => resize_and_crop(&picture, scaled, width),
    };
    let plane = target.len() / 3;
    for (index, pixel) in picture.pixels().enumerate() {
        for (channel, value) in pixel.0.into_iter().enumerate() {
            target[channel * plane + index] = value;
        }
    }
    Ok(())
}

/// Returns whether a JPEG file reaches its end marker. Pillow refuses files without it; the decoder used here
/// would fill the rest with gray.
///
/// ISO/IEC 10918-1, annex B: a file consists of segments, which state their length, and scans. In a scan,
/// 0xff begins a marker unless 0 or a restart code follows.
fn has_end(file: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        let Some(start) = rest.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 1 | 0xd0..=0xd7 | 0xff)) else {
            return false;
        };
        if rest[start + 1] == END {
            return true;
        }
        let Some([high, low, ..]) = rest.get(start + 2..) else { return false };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(start + 2 + length..).unwrap_or_default();
    }
}

/// Converts a picture to RGB as Pillow does. Gray becomes three equal channels, and transparency is dropped.
///
/// For 16-bit values, Pillow uses the upper byte. Exceptions: gray without transparency is clamped to 255,
/// and PPM is scaled.
fn rgb(picture: DynamicImage, format: ImageFormat) -> RgbImage {
    let upper = |value: u16| (value >> 8) as u8;
    match picture {
        DynamicImage::ImageLuma16(gray) => mapped(&gray, |Luma([value])| Rgb([(*value).min(255) as u8; 3])),
        DynamicImage::ImageLumaA16(gray) => mapped(&gray, |LumaA([value, _])| Rgb([upper(*value); 3])),
        DynamicImage::ImageRgb16(color) if format != ImageFormat::Pnm => mapped(&color, |Rgb(values)| Rgb(values.map(upper))),
        DynamicImage::ImageRgba16(color) => mapped(&color, |Rgba([red, green, blue, _])| Rgb([*red, *green, *blue].map(upper))),
        other => other.into_rgb8(),
    }
}

fn mapped<P: Pixel<Subpixel = u16>>(picture: &ImageBuffer<P, Vec<u16>>, pixel: impl Fn(&P) -> Rgb<u8>) -> RgbImage {
    let (width, height) = picture.dimensions();
    let values = picture.pixels().flat_map(|found| pixel(found).0).collect();
    RgbImage::from_raw(width, height, values).expect("three values for each pixel")
}

/// Returns the size that torchvision's `Resize(side)` gives: the shorter side is `side`.
fn scaled((width, height): (u32, u32), side: u32) -> (u64, u64) {
    let scaled = |length: u32| u64::from(side) * u64::from(length) / u64::from(width.min(height).max(1));
    (scaled(width), scaled(height))
}

/// Returns an upper bound of the memory for scaling: four floats per pixel, of the picture scaled only in
/// height or of the result, whichever is larger.
fn bytes_to_scale((width, _): (u32, u32), (scaled_width, scaled_height): (u64, u64)) -> u64 {
    u64::from(width).max(scaled_width).saturating_mul(scaled_height).saturating_mul(16)
}

/// Resizes and crops like torchvision's `Resize(side)` and `CenterCrop(side)`: bilinear, with a wider
/// triangle when shrinking.
fn resize_and_crop(picture: &RgbImage, (width, height): (u64, u64), side: u32) -> RgbImage {
    let (width, height) = (width as u32, height as u32);
    let resized = imageops::resize(picture, width, height, FilterType::Triangle);
    let start = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
    imageops::crop_imm(&resized, start(width), start(height), side, side).to_image()
}

/// Encodes an image as a PNG file, gray or RGB. Pixel values are between 0 and `white`.
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
