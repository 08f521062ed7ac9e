//! Reads numeric arrays from MATLAB 5 files, as far as SVHN needs it: little-endian, real, compressed or not.
//! MathWorks, MAT-File Format, <https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf>.

use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::numpy;

/// Bytes before the first element: a text, then version and byte order.
const HEADER_BYTES: usize = 128;
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// Limit on the unpacked size of an array. Arrays of the published files have less than a fourth of this.
const MOST_BYTES: u64 = 1 << 30;

/// A named array. Its values are in MATLAB's order, in which the first index changes fastest.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) size: Vec<usize>,
    kind: u32,
    data: Vec<u8>,
}

/// A data element of a file.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

impl Array {
    /// Returns the values if their type is uint8.
    pub(crate) fn bytes(self) -> Option<Vec<u8>> {
        (self.kind == 2).then_some(self.data)
    }

    /// Returns the name of the type in which the values are stored.
    pub(crate) fn kind(&self) -> String {
        const NAMES: [&str; 13] = [
            "int8", "uint8", "int16", "uint16", "int32", "uint32", "float32", "type 8", "float64", "type 10", "type 11", "int64", "uint64",
        ];
        let name = (self.kind as usize).checked_sub(1).and_then(|index| NAMES.get(index));
        name.map_or_else(|| format!("type {}", self.kind), |name| (*name).to_owned())
    }

    /// Returns the values as integers, for any stored type. The error names a value that is not an integer.
    pub(crate) fn whole_numbers(&self) -> Result<Vec<i64>, String> {
        let data = &self.data;
        let whole = |values: Vec<f64>| {
            let number = |value: f64| numpy::whole(value).ok_or_else(|| format!("holds {value}; whole numbers were expected"));
            values.into_iter().map(number).collect()
        };
        match self.kind {
            1 => Ok(data.iter().map(|byte| i64::from(byte.cast_signed())).collect()),
            2 => Ok(data.iter().map(|byte| i64::from(*byte)).collect()),
            3 => Ok(values(data, |bytes| i64::from(i16::from_le_bytes(bytes)))),
            4 => Ok(values(data, |bytes| i64::from(u16::from_le_bytes(bytes)))),
            5 => Ok(values(data, |bytes| i64::from(i32::from_le_bytes(bytes)))),
            6 => Ok(values(data, |bytes| i64::from(u32::from_le_bytes(bytes)))),
            7 => whole(values(data, |bytes| f32::from_le_bytes(bytes).into())),
            9 => whole(values(data, f64::from_le_bytes)),
            12 => Ok(values(data, i64::from_le_bytes)),
            13 => values(data, u64::from_le_bytes)
                .into_iter()
                .map(|value| i64::try_from(value).map_err(|_| format!("holds {value}, which is too large")))
                .collect(),
            _ => Err(format!("is of {}; whole numbers were expected", self.kind())),
        }
    }
}

/// Reads all arrays of a file. The error says what is wrong with the file.
pub(crate) fn arrays(file: &[u8]) -> Result<Vec<Array>, String> {
    match file.get(124..HEADER_BYTES) {
        Some(b"\0\x01IM") => {}
        Some(b"\x01\0MI") => return Err("is a big-endian MATLAB 5 file; only little-endian ones can be read".to_owned()),
        _ => return Err("is not a MATLAB 5 file; it may be damaged or another file".to_owned()),
    }
    let mut rest = &file[HEADER_BYTES..];
    let mut arrays = Vec::new();
    while !rest.is_empty() {
        let Element { kind, data } = element(&mut rest, false)?;
        match kind {
            COMPRESSED => {
                let mut unpacked = Vec::new();
                let read = ZlibDecoder::new(data).take(MOST_BYTES).read_to_end(&mut unpacked);
                read.map_err(|error| format!("holds an array that cannot be unpacked; it may be cut off: {error}"))?;
                let Element { kind, data } = element(&mut unpacked.as_slice(), false)?;
                arrays.extend((kind == MATRIX).then(|| array(data)).transpose()?);
            }
            MATRIX => arrays.push(array(data)?),
            _ => {}
        }
    }
    Ok(arrays)
}

/// Reads an array, whose elements are flags, size, name and values.
fn array(mut data: &[u8]) -> Result<Array, String> {
    element(&mut data, true)?;
    let size = values(element(&mut data, true)?.data, |bytes| u32::from_le_bytes(bytes) as usize);
    let name = String::from_utf8_lossy(element(&mut data, true)?.data).into_owned();
    let Element { kind, data } = element(&mut data, true)?;
    Ok(Array { name, size, kind, data: data.to_vec() })
}

/// Removes an element from the front of `rest`. Inside an array, elements are `padded` to multiples of eight
/// bytes.
fn element<'a>(rest: &mut &'a [u8], padded: bool) -> Result<Element<'a>, String> {
    let cut_off = || "ends inside an array; it may be cut off".to_owned();
    let tag = rest.get(..8).ok_or_else(cut_off)?;
    let word = |start: usize| u32::from_le_bytes([tag[start], tag[start + 1], tag[start + 2], tag[start + 3]]);
    // Values of up to four bytes are stored in the tag itself. The upper half of its first word is then their
    // length.
    let short = (word(0) >> 16) as usize;
    if short > 0 {
        let data = tag.get(4..4 + short).ok_or_else(cut_off)?;
        *rest = &rest[8..];
        return Ok(Element { kind: word(0) & 0xffff, data });
    }
    let length = word(4) as usize;
    let data = rest.get(8..8 + length).ok_or_else(cut_off)?;
    let end = 8 + if padded { length.next_multiple_of(8) } else { length };
    *rest = rest.get(end..).unwrap_or_default();
    Ok(Element { kind: word(0), data })
}

fn values<const BYTES: usize, T>(data: &[u8], value: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
}
