//! Embedded data set of 1,797 handwritten digits with 8×8 pixels. E. Alpaydin, C. Kaynak: Optical Recognition
//! of Handwritten Digits, UCI Machine Learning Repository 1998, CC BY 4.0.

use shared::dataset::Dataset;

use crate::{Contents, Samples};

const FILE: &str = include_str!("../data/digits.csv");
/// A pixel is the number of dark points, 0 to 16, in a cell of 4×4 points.
const WHITE: u8 = 16;

/// Returns the data set. Every third image, starting with the third, is a test image.
pub(crate) fn contents() -> Contents {
    let info = Dataset::Digits.info();
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (index, row) in csv::Reader::from_reader(FILE.as_bytes()).deserialize::<Vec<u8>>().enumerate() {
        let row = row.expect("the embedded file holds numbers");
        let (label, pixels) = row.split_last().expect("a row has 64 pixels and a label");
        let (all_pixels, labels) = &mut parts[usize::from(index % 3 == 2)];
        all_pixels.extend(pixels);
        labels.push(u32::from(*label));
    }
    let [train, test] = parts.map(|(pixels, labels)| Samples::in_memory(labels, pixels, info.shape));
    Contents { class_names: info.class_names, shape: info.shape, white: WHITE, train, test, passed_over: Vec::new() }
}
