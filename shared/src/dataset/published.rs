//! Where the authors of a data set publish it, and the checksums of their files.

use crate::api::DownloadOffer;

/// The published files of one data set and how they are packed.
#[derive(Debug)]
pub struct Published {
    /// The address before the names of the files, with a slash at its end.
    pub base: &'static str,
    pub files: &'static [PublishedFile],
    pub packing: Packing,
}

#[derive(Debug)]
pub struct PublishedFile {
    pub name: &'static str,
    pub size_bytes: u64,
    /// In lower-case hexadecimal; `None` if its authors publish none.
    pub md5: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// The files are the data.
    None,
    TarGz,
    Zip,
}

impl Published {
    /// The addresses of the files, at `mirror` if there is one, else at their authors'.
    pub fn urls(&self, mirror: Option<&str>) -> Vec<String> {
        let base = mirror.unwrap_or(self.base).trim_end_matches('/');
        self.files.iter().map(|file| format!("{base}/{}", file.name)).collect()
    }

    pub fn offer(&self, mirror: Option<&str>) -> DownloadOffer {
        DownloadOffer {
            urls: self.urls(mirror),
            size_bytes: self.files.iter().map(|file| file.size_bytes).sum(),
            verified: self.files.iter().all(|file| file.md5.is_some()),
        }
    }
}
