//! 1,797 handwritten digits of 8×8 pixels, embedded. E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine
//! Learning Repository 1998, CC BY 4.0.

use shared::dataset::DatasetInfo;

use super::Split;
use crate::Error;

const FILE: &str = include_str!("../../data/digits.csv");
/// Pixels are counts of 0 to 16 dark points in a 4×4 cell.
const WHITE: u8 = 16;

/// Training and test images: every third one, from the third, is for testing.
pub(super) fn load(info: &DatasetInfo) -> Result<(Split, Split), Error> {
    let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for (index, row) in csv::Reader::from_reader(FILE.as_bytes()).deserialize::<Vec<u8>>().enumerate() {
        let row = row.map_err(|error| Error::Data(format!("the embedded digits cannot be read: {error}")))?;
        let Some((label, pixels)) = row.split_last() else { continue };
        let (images, labels) = &mut parts[usize::from(index % 3 == 2)];
        images.extend(pixels);
        labels.push(i64::from(*label));
    }
    let [train, test] = parts.map(|(images, labels)| Split::of_bytes(&images, WHITE, &labels, info.shape));
    Ok((train, test))
}
