//! SVHN, cropped digits: two MATLAB files with `X`, 32×32×3×N, and `y`, where 10 stands for the digit 0.
//! Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.

use std::path::Path;

use shared::dataset::Dataset;

use crate::matlab::{self, Array};
use crate::{Contents, Error, Samples, bad, read, size_of_image};

const TRAIN: &str = "train_32x32.mat";
const TEST: &str = "test_32x32.mat";
const SIDE: usize = 32;

pub(crate) fn missing(folder: &Path) -> Option<String> {
    let absent = [TRAIN, TEST].into_iter().find(|file| !folder.join(file).is_file())?;
    Some(format!("holds no {absent}; SVHN is read from {TRAIN} and {TEST}"))
}

pub(crate) fn open(folder: &Path) -> Result<Contents, Error> {
    let info = Dataset::Svhn.info();
    let samples = |file| samples(&folder.join(file), info.shape);
    Ok(Contents { train: samples(TRAIN)?, test: samples(TEST)?, class_names: info.class_names, shape: info.shape, white: u8::MAX })
}

fn samples(path: &Path, shape: [u32; 3]) -> Result<Samples, Error> {
    let mut arrays = matlab::arrays(&read(path)?).map_err(|problem| bad(path, problem))?;
    let mut take = |name: &str| -> Result<Array, Error> {
        let index = arrays.iter().position(|array| array.name == name);
        index.map(|index| arrays.swap_remove(index)).ok_or_else(|| bad(path, format!("has no array `{name}`; it may be cut off")))
    };
    let (images, labels) = (take("X")?, take("y")?);
    let labels = labels.whole_numbers().ok_or_else(|| bad(path, "has an array `y` that is not of whole numbers"))?;
    let size = images.size.clone();
    let expected = [SIDE, SIDE, 3, labels.len()];
    // MATLAB leaves out a last dimension of 1.
    let given = if size.len() == 3 { [size.as_slice(), &[1]].concat() } else { size };
    let columns = images.bytes().filter(|bytes| given == expected && bytes.len() == labels.len() * size_of_image(shape));
    let columns = columns.ok_or_else(|| {
        bad(path, format!("has an array `X` of size {given:?}; with {} labels it is {expected:?}, of bytes", labels.len()))
    })?;
    let labels = (0..).zip(labels).map(|(index, label)| match label {
        10 => Ok(0),
        1..=9 => Ok(label as u32),
        _ => Err(bad(path, format!("has the label {label} at image {index}; labels are 1 to 10"))),
    });
    let labels = labels.collect::<Result<Vec<u32>, Error>>()?;
    // From columns to rows: in MATLAB's order the row runs fastest.
    let planes = columns.as_chunks::<{ SIDE * SIDE }>().0;
    let pixels = planes.iter().flat_map(|plane| (0..SIDE * SIDE).map(move |index| plane[index % SIDE * SIDE + index / SIDE])).collect();
    Ok(Samples::here(labels, pixels, shape))
}
