//! The provenance of figures: collects it for a page and writes it into files. `shared::provenance` reads it
//! from pictures.

use std::collections::BTreeMap;
use std::io;

use anyhow::Context;
use serde::Serialize;
use serde_json::ser::Formatter;
use shared::api::Attribution;
use shared::id::RunId;
use shared::provenance::{APPLICATION, CheckpointHash, Page, Provenance};
use shared::view::View;

use crate::problem::ApiError;
use crate::shared_views::public_run;
use crate::state::AppState;

/// The provenance of a figure of a view, whose numbers are of `checkpoints`. Each is named once.
pub async fn of_view(state: &AppState, view: View, checkpoints: impl IntoIterator<Item = CheckpointHash>) -> Result<Provenance, ApiError> {
    let mut named: Vec<CheckpointHash> = Vec::new();
    for checkpoint in checkpoints {
        // Old files do not tell.
        if !checkpoint.sha256.is_empty() && !named.contains(&checkpoint) {
            named.push(checkpoint);
        }
    }
    let runs = view.runs();
    Ok(Provenance { checkpoints: named, ..of_page(state, Page::View(view), &runs).await? })
}

/// The provenance of a figure of a page that is about `runs` and no checkpoint of them.
pub async fn of_page(state: &AppState, view: Page, runs: &[RunId]) -> Result<Provenance, ApiError> {
    let mut configs = BTreeMap::new();
    for id in runs {
        configs.insert(id.clone(), public_run(state, id).await?.config.to_json());
    }
    Ok(Provenance { application: APPLICATION.to_owned(), view, checkpoints: Vec::new(), configs })
}

/// The checkpoint that an attribution is of.
pub fn checkpoint(Attribution { context, file }: &Attribution) -> CheckpointHash {
    CheckpointHash { id: file.checkpoint_id(&context.run), sha256: file.checkpoint_sha256.clone() }
}

/// The SVG with its provenance in a `metadata` element at its end.
pub fn with_metadata(svg: &str, provenance: &Provenance) -> anyhow::Result<String> {
    let text = serde_json::to_string(provenance)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (picture, end) = svg.rsplit_once("</svg>").context("the drawing has no end")?;
    Ok(format!("{picture}<metadata id=\"{}\">{text}</metadata>\n</svg>{end}", APPLICATION.to_lowercase()))
}

/// The PNG with its provenance in an `iTXt` chunk behind its header: <https://www.w3.org/TR/png-3/#11iTXt>.
pub fn with_chunk(png: &[u8], provenance: &Provenance) -> anyhow::Result<Vec<u8>> {
    /// Length of the signature and of the header with its length, name and checksum.
    const HEADER: usize = 8 + 4 + 4 + 13 + 4;
    let (header, rest) = png.split_at_checked(HEADER).context("the picture has no header")?;
    // Not compressed, without language and translated keyword.
    let mut chunk = [b"iTXt", APPLICATION.as_bytes(), b"\0\0\0\0\0"].concat();
    chunk.extend(serde_json::to_vec(provenance)?);
    let length = u32::try_from(chunk.len() - 4)?;
    let mut checksum = flate2::Crc::new();
    checksum.update(&chunk);
    Ok([header, &length.to_be_bytes(), &chunk, &checksum.sum().to_be_bytes(), rest].concat())
}

/// Comment lines that begin with `sign`, for the head of a text file.
pub fn comments(sign: &str, provenance: &Provenance) -> serde_json::Result<String> {
    let Provenance { application, view, checkpoints, configs } = provenance;
    let mut lines = vec![format!("Drawn by {application}"), format!("View: {view}")];
    lines.extend(checkpoints.iter().map(|checkpoint| format!("Checkpoint: {}, SHA-256 {}", checkpoint.id, checkpoint.sha256)));
    for (run, config) in configs {
        lines.push(format!("Configuration of {run}: {}", on_one_line(config)?));
    }
    Ok(lines.into_iter().map(|line| format!("{sign} {line}\n")).collect())
}

/// JSON on one line for CSV: a spreadsheet that splits it at commas finds no separator and no formula in its
/// texts.
fn on_one_line(value: &serde_json::Value) -> serde_json::Result<String> {
    let mut line = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut line, Cells))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Writes separators of cells, and a character that begins a formula at the start of a text, as escapes such
/// as `\u002c`.
struct Cells;

impl Formatter for Cells {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for (index, letter) in fragment.char_indices() {
            let separates = matches!(letter, ',' | ';');
            if separates || (index == 0 && matches!(letter, '=' | '+' | '-' | '@')) {
                write!(writer, "\\u{:04x}", u32::from(letter))?;
            } else {
                writer.write_all(letter.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }
}
