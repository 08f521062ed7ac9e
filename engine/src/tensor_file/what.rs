//! What a file is that is no checkpoint, in words for whoever hoped that it was one.

use datasets::pickle::Id;

use super::values::{Value, Values};

/// How files begin that people take for checkpoints, or that stand in their place after a download.
const STARTS: [(&[u8], &str); 24] = [
    (b"version https://git-lfs", "a pointer of Git LFS, a few lines that stand for the real file; run `git lfs pull` where it comes from"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras and MATLAB 7.3 write"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF file of llama.cpp"),
    (b"TFL3", "a TensorFlow Lite file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"OBJ\x01", "an Avro file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"LMDB", "an LMDB database"),
    (b"Obj\x01", "an Avro file"),
];

/// What a file is that begins in a known way.
pub fn named(start: &[u8]) -> Option<String> {
    if start.is_empty() {
        return Some("empty".to_owned());
    }
    if start.iter().all(|byte| *byte == 0) {
        return Some("nothing but zeros at its start, as a download leaves that did not come to its end".to_owned());
    }
    if let Some((_, what)) = STARTS.iter().find(|(known, _)| start.starts_with(known)) {
        return Some((*what).to_owned());
    }
    // Flatbuffers have their name after four bytes.
    if start.get(4..8) == Some(b"TFL3") {
        return Some("a TensorFlow Lite file".to_owned());
    }
    let text = start.trim_ascii_start();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let lower = text[..text.len().min(200)].to_ascii_lowercase();
    if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") || lower.windows(5).any(|bytes| bytes == b"<html") {
        let title = title(start).map(|title| format!(" with the title `{title}`")).unwrap_or_default();
        return Some(format!("an HTML page{title}, as a download leaves that was refused or needs a click"));
    }
    if lower.starts_with(b"<?xml") || lower.starts_with(b"<error") {
        return Some("an XML document".to_owned());
    }
    if (text.starts_with(b"{") || text.starts_with(b"[")) && is_text(text) {
        return Some(format!("JSON text, which begins with {}", quoted(text)));
    }
    // The fields of ONNX's outermost message: the version, then the producer's name.
    if let [0x08, 1..=20, 0x12, length, ..] = start
        && start.get(4..4 + usize::from(*length)).is_some_and(|producer| producer.iter().all(u8::is_ascii_graphic))
    {
        return Some("an ONNX file".to_owned());
    }
    None
}

/// What a file is that does not begin in a known way.
pub fn guessed(start: &[u8]) -> String {
    if is_text(start) { format!("text, which begins with {}", quoted(start)) } else { "of an unknown kind".to_owned() }
}

/// An archive of other things than PyTorch's.
pub fn archive(kind: &str, names: &[String]) -> String {
    let inside: Vec<String> = names.iter().filter(|name| !name.ends_with('/')).take(3).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > inside.len() { " and more" } else { "" };
    if names.is_empty() {
        return format!("is an empty {kind} archive, not a checkpoint");
    }
    format!("is a {kind} archive of {}{more}, not a checkpoint: unpack it, and import a file that is inside", inside.join(", "))
}

/// What a pickle holds.
pub fn value(values: &Values<'_>, id: Id) -> String {
    let path = |class: Option<Id>| class.and_then(|class| values.pickle.path(class));
    match values.value(id) {
        Value::Tensor(tensor) => format!("a tensor of shape {:?}", tensor.shape),
        Value::Storage(_) => "a storage".to_owned(),
        Value::Sequence(items) => format!("a list of {}", items.len()),
        Value::Class(class) => format!("the class `{}`", path(Some(class)).unwrap_or_default()),
        Value::Object(object) => {
            path(values.class(object)).map_or_else(|| "an object".to_owned(), |class| format!("an object of `{class}`"))
        }
        Value::Dict(_) | Value::Other => values.pickle.describe(id),
    }
}

fn title(html: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(html);
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower[start..].find("</title>")?;
    let title = text[start..end].trim();
    (!title.is_empty()).then(|| title.chars().take(80).collect())
}

/// Printable throughout; a letter may be cut at the end.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|char| !char.is_control() || char.is_whitespace())
}

fn quoted(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line: String = text.trim().lines().next().unwrap_or_default().chars().take(40).collect();
    format!("`{}`", line.replace('`', "'"))
}
