//! Removes the palette from a TIFF file, because the TIFF decoder does not support palettes. It then decodes
//! the palette indices as a gray picture. Adobe, TIFF revision 6.0, sections 2 and 5.

const PHOTOMETRIC: u16 = 262;
const COLOR_MAP: u16 = 320;
const OF_PALETTE: u16 = 3;
const BLACK_IS_ZERO: u16 = 1;
const COLORS: usize = 256;

/// Marks the first picture in the file as gray and returns its palette. `None` if it has no palette of 256
/// colors.
pub(crate) fn take(file: &mut [u8]) -> Option<Vec<[u8; 3]>> {
    let big_endian = file.starts_with(b"MM");
    let short = |file: &[u8], at: usize| {
        let bytes = file.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |file: &[u8], at: usize| {
        let bytes = file.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) } as usize)
    };
    // Entries have 12 bytes: tag, type, count, and the value or its position.
    let entries = long(file, 4)?;
    let count = usize::from(short(file, entries)?);
    let entry = |tag: u16| (0..count).map(|index| entries + 2 + 12 * index).find(|at| short(file, *at) == Some(tag));
    let photometric = entry(PHOTOMETRIC).filter(|at| short(file, at + 8) == Some(OF_PALETTE))? + 8;
    let map = entry(COLOR_MAP).filter(|at| long(file, at + 4) == Some(3 * COLORS))?;
    let map = long(file, map + 8)?;
    // The palette lists all reds, then all greens, then all blues, with 16 bits each.
    let level = |channel: usize, color: usize| Some((short(file, map + 2 * (channel * COLORS + color))? >> 8) as u8);
    let color = |color: usize| Some([level(0, color)?, level(1, color)?, level(2, color)?]);
    let palette = (0..COLORS).map(color).collect::<Option<Vec<_>>>()?;
    let gray = if big_endian { BLACK_IS_ZERO.to_be_bytes() } else { BLACK_IS_ZERO.to_le_bytes() };
    file[photometric..photometric + 2].copy_from_slice(&gray);
    Some(palette)
}
