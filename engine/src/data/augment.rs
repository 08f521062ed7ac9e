//! Augmentation: random crops of reflection-padded images and horizontal flips, for a whole batch on its
//! device.

use shared::dataset::Dataset;
use tch::{Kind, Tensor};

/// Shifts each image randomly and mirrors half of the images of data sets whose classes allow it.
///
/// `images`: `[N, C, S, S]`. Returns the same shape. Shifts are at most an eighth of the side (4 pixels of
/// 32, 1 of 8), and the border is filled by reflection. Draws from the default generator.
pub fn crop_and_flip(images: &Tensor, dataset: Dataset) -> Tensor {
    let (count, channels, side, _) = images.size4().expect("images have four dimensions");
    let border = side / 8;
    let options = (Kind::Int64, images.device());
    let offsets = || Tensor::randint(2 * border + 1, [count, 1], options);
    let pixels = Tensor::arange(side, options).unsqueeze(0);

    let rows = offsets() + &pixels;
    let columns = if dataset.facts().flips {
        let flipped = Tensor::randint(2, [count, 1], options);
        let mirrored = (side - 1) - 2 * &pixels;
        offsets() + &pixels + flipped * mirrored
    } else {
        offsets() + &pixels
    };

    let padded = images.reflection_pad2d([border, border, border, border]);
    let wide = side + 2 * border;
    let cropped = padded.gather(2, &rows.view([count, 1, side, 1]).expand([count, channels, side, wide], false), false);
    cropped.gather(3, &columns.view([count, 1, 1, side]).expand([count, channels, side, side], false), false)
}
