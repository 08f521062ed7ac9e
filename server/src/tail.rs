//! Follows a file of lines that grows. Knows nothing of runs or HTTP.

use std::io::{self, SeekFrom};
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::task::spawn_blocking;

use crate::plain_file;

/// Most bytes that are read at once.
const CHUNK_BYTES: u64 = 4 << 20;

/// A reader of complete lines. Leaves an incomplete last line for later: such is a file that is being
/// written.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    offset: u64,
    lines: u64,
    partial: Vec<u8>,
}

/// Where a line begins in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineStart {
    /// Lines before it.
    pub lines: u64,
    /// Bytes before it.
    pub bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Number in the file, from 1.
    pub number: u64,
    pub text: String,
}

impl Tail {
    /// Follows a file from its start. It need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Tail { path, offset: 0, lines: 0, partial: Vec::new() }
    }

    /// Follows a file from where a line begins.
    pub fn from(path: PathBuf, start: LineStart) -> Self {
        Tail { path, offset: start.bytes, lines: start.lines, partial: Vec::new() }
    }

    /// Where the lines that were returned end.
    pub fn end(&self) -> LineStart {
        LineStart { lines: self.lines, bytes: self.offset - self.partial.len() as u64 }
    }

    /// Returns the lines that were completed since the last call.
    ///
    /// A large file takes several calls; the last one returns no lines.
    pub async fn read(&mut self) -> io::Result<Vec<Line>> {
        loop {
            let path = self.path.clone();
            let mut file = match spawn_blocking(move || plain_file::open(&path)).await? {
                Ok(file) => File::from_std(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            file.seek(SeekFrom::Start(self.offset)).await?;
            let read = file.take(CHUNK_BYTES).read_to_end(&mut self.partial).await?;
            self.offset += read as u64;
            let lines = self.complete_lines();
            // A line longer than a chunk needs further chunks.
            if !lines.is_empty() || (read as u64) < CHUNK_BYTES {
                return Ok(lines);
            }
        }
    }

    fn complete_lines(&mut self) -> Vec<Line> {
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        let mut lines = Vec::new();
        for text in complete[..end].split(|byte| *byte == b'\n') {
            self.lines += 1;
            lines.push(Line { number: self.lines, text: String::from_utf8_lossy(text).trim_end().to_owned() });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Appends pieces to a file and gives what is read after each.
    async fn check(pieces: &[&str], expected: &[&[(u64, &str)]]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.read().await.unwrap(), [], "a file that does not exist has no lines");
        let mut file = std::fs::File::create(path).unwrap();
        for (piece, expected) in pieces.iter().zip(expected) {
            file.write_all(piece.as_bytes()).unwrap();
            let lines = tail.read().await.unwrap();
            let read: Vec<(u64, &str)> = lines.iter().map(|line| (line.number, line.text.as_str())).collect();
            assert_eq!(read, *expected, "after {piece:?}");
        }
    }

    #[tokio::test]
    async fn lines_come_once_they_are_complete() {
        check(&["a\nb\n", "", "c", "d\ne", "\n"], &[&[(1, "a"), (2, "b")], &[], &[], &[(3, "cd")], &[(4, "e")]]).await;
    }

    #[tokio::test]
    async fn empty_lines_count_and_a_letter_may_be_torn() {
        check(&["\n\r\n", "caf\u{e9}\n"], &[&[(1, ""), (2, "")], &[(3, "café")]]).await;
    }

    #[tokio::test]
    async fn a_line_longer_than_a_chunk_comes_whole() {
        let long = "x".repeat(CHUNK_BYTES as usize + 10);
        check(&[&format!("{long}\n")], &[&[(1, &long)]]).await;
    }
}
