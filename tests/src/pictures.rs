//! Writes image folders like those that people have, in a format that needs no library.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Writes four images of 8×8 pixels, each in a single gray, as 24-bit BMP.
pub fn write_pictures(folder: &Path, gray: u8) -> Result<()> {
    const SIDE: u32 = 8;
    fs::create_dir_all(folder)?;
    for index in 0..4_u8 {
        let size = SIDE * SIDE * 3;
        let header = [54 + size, 0, 54, 40, SIDE, SIDE, 1 | 24 << 16, 0, size, 0, 0, 0, 0];
        let mut file = b"BM".to_vec();
        file.extend(header.iter().flat_map(|word: &u32| word.to_le_bytes()));
        file.extend(vec![gray + index; size as usize]);
        fs::write(folder.join(format!("{index}.bmp")), file)?;
    }
    Ok(())
}
