//! What a figure was drawn from, inside its file. `shared::provenance` reads it back out of pictures.

use anyhow::Context;
use shared::provenance::{APPLICATION, Provenance};

/// The SVG with its provenance in a `metadata` element at its end.
pub fn with_metadata(svg: &str, provenance: &Provenance) -> anyhow::Result<String> {
    let text = serde_json::to_string(provenance)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (picture, end) = svg.rsplit_once("</svg>").context("the drawing has no end")?;
    Ok(format!("{picture}<metadata id=\"{}\">{text}</metadata>\n</svg>{end}", APPLICATION.to_lowercase()))
}

/// The PNG with its provenance in an `iTXt` chunk behind its header: <https://www.w3.org/TR/png-3/#11iTXt>.
pub fn with_chunk(png: &[u8], provenance: &Provenance) -> anyhow::Result<Vec<u8>> {
    /// The signature, and the header with its length, name and checksum.
    const HEADER: usize = 8 + 4 + 4 + 13 + 4;
    let (header, rest) = png.split_at_checked(HEADER).context("the picture has no header")?;
    // Not compressed, in no language, under no other keyword.
    let mut chunk = [b"iTXt", APPLICATION.as_bytes(), b"\0\0\0\0\0"].concat();
    chunk.extend(serde_json::to_vec(provenance)?);
    let length = u32::try_from(chunk.len() - 4)?;
    let mut checksum = flate2::Crc::new();
    checksum.update(&chunk);
    Ok([header, &length.to_be_bytes(), &chunk, &checksum.sum().to_be_bytes(), rest].concat())
}

/// Lines of comments that begin with `sign`, for the head of a text.
pub fn comments(sign: &str, provenance: &Provenance) -> serde_json::Result<String> {
    let Provenance { application, view, checkpoints, configs } = provenance;
    let mut lines = vec![format!("Drawn by {application}"), format!("View: {view}")];
    lines.extend(checkpoints.iter().map(|checkpoint| format!("Checkpoint: {}, SHA-256 {}", checkpoint.id, checkpoint.sha256)));
    for (run, config) in configs {
        // JSON on one line has no line breaks of its own.
        lines.push(format!("Configuration of {run}: {}", serde_json::to_string(config)?));
    }
    Ok(lines.into_iter().map(|line| format!("{sign} {line}\n")).collect())
}
