//! Arrays as NumPy reads them: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::Write;

use shared::chart::numbers::{Array, Values};
use zip::ZipWriter;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;

/// An array as an `.npy` file, in version 1.0 of the format.
pub fn file(array: &Array) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    const PREFIX: usize = 10;
    let (kind, values) = bytes(&array.values);
    let shape = array.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    // In Python a tuple of one number needs a comma.
    let end = if array.shape.len() == 1 { "," } else { "" };
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}{end}), }}");
    let padding = (ALIGNMENT - (PREFIX + header.len() + 1) % ALIGNMENT) % ALIGNMENT;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("the header of a few dimensions has less than 200 bytes");
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header.as_bytes(), &values].concat()
}

/// NumPy's name of the type, and the bytes of the values.
fn bytes(values: &Values) -> (String, Vec<u8>) {
    match values {
        Values::Numbers(numbers) => ("<f8".into(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect()),
        Values::Integers(integers) => ("<i8".into(), integers.iter().flat_map(|integer| integer.to_le_bytes()).collect()),
        // UTF-32, all as long as the longest text; NumPy has no text type of length 0.
        Values::Texts(texts) => {
            let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
            let letters = |text: &String| text.chars().chain(std::iter::repeat('\0')).take(longest).collect::<Vec<_>>();
            (format!("<U{longest}"), texts.iter().flat_map(letters).flat_map(|letter| u32::from(letter).to_le_bytes()).collect())
        }
    }
}

/// Named arrays as an `.npz` file: a ZIP archive of `.npy` files.
pub fn archive<'a>(arrays: impl Iterator<Item = (&'a str, &'a Array)>) -> ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default())?;
        archive.write_all(&file(array))?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(array: &Array, header: &str, values: &[u8]) {
        let file = file(array);
        let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
        let (head, rest) = file[10..].split_at(length);
        let head = std::str::from_utf8(head).unwrap();
        assert_eq!(head.trim_end(), header);
        assert_eq!(((10 + length) % 64, head.ends_with('\n')), (0, true));
        assert_eq!(rest, values);
    }

    #[test]
    fn arrays_of_any_shape_and_kind_have_the_header_and_the_bytes_that_numpy_expects() {
        let numbers = Array { shape: vec![1, 2], values: Values::Numbers(vec![0.5, -1.0]) };
        check(
            &numbers,
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }",
            &[0.5_f64.to_le_bytes(), (-1.0_f64).to_le_bytes()].concat(),
        );
        let integers = Array::column(Values::Integers(vec![-2]));
        check(&integers, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }", &(-2_i64).to_le_bytes());
        let texts = Array::texts(&["ε".to_owned(), "ab".to_owned()]);
        let letters = [0x3b5_u32, 0, 97, 98].map(u32::to_le_bytes).concat();
        check(&texts, "{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }", &letters);
        check(&Array::text("a".into()), "{'descr': '<U1', 'fortran_order': False, 'shape': (), }", &97_u32.to_le_bytes());
        check(&Array::texts(&[]), "{'descr': '<U1', 'fortran_order': False, 'shape': (0,), }", &[]);
    }
}
