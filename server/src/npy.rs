//! Arrays as NumPy reads them.

/// Numbers in rows, in version 1.0 of <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>; as many as the shape says.
pub fn array(shape: &[usize], values: impl Iterator<Item = f64>) -> Vec<u8> {
    const ALIGNMENT: usize = 64;
    const PREFIX: usize = 10;
    let shape = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({shape}), }}");
    let padding = (ALIGNMENT - (PREFIX + header.len() + 1) % ALIGNMENT) % ALIGNMENT;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("the header of a few dimensions has less than 200 bytes");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.flat_map(f64::to_le_bytes));
    bytes
}
