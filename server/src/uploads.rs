//! Files and folders of files that were sent to be inspected, kept for a while so that they need not be sent again to import them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::id::random_hex;

/// How long a file is kept after its last use: a form stays open over lunch.
const KEPT_FOR: Duration = Duration::from_secs(2 * 60 * 60);
/// Files kept at once; the least recently used one is removed first.
const MOST: usize = 8;

#[derive(Clone, Debug, Default)]
pub struct Uploads(Arc<Mutex<HashMap<String, Kept>>>);

#[derive(Debug)]
struct Kept {
    /// Removed with its content when dropped.
    _folder: TempDir,
    file: PathBuf,
    used: Instant,
}

impl Uploads {
    /// Keeps a file with its folder; returns a name that nobody can guess.
    pub fn keep(&self, folder: TempDir, file: PathBuf) -> String {
        let id = random_hex();
        self.with(|kept| {
            while kept.len() >= MOST {
                let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| id.clone()) else { break };
                kept.remove(&oldest);
            }
            kept.insert(id.clone(), Kept { _folder: folder, file, used: Instant::now() });
        });
        self.forget_later();
        id
    }

    /// The file of a name.
    pub fn file(&self, id: &str) -> Option<PathBuf> {
        let found = self.with(|kept| {
            let kept = kept.get_mut(id)?;
            kept.used = Instant::now();
            Some(kept.file.clone())
        });
        self.forget_later();
        found
    }

    /// Forgets a file that has been moved elsewhere.
    pub fn remove(&self, id: &str) {
        self.with(|kept| drop(kept.remove(id)));
    }

    fn forget_later(&self) {
        let uploads = self.clone();
        tokio::spawn(async move {
            sleep(KEPT_FOR + Duration::from_secs(1)).await;
            uploads.with(|kept| kept.retain(|_, kept| kept.used.elapsed() < KEPT_FOR));
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, Kept>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A safe file name for an upload, made from any name that was sent. The name does not matter: the content
/// tells the kind of file.
pub fn file_name(given: &str) -> String {
    const LONGEST: usize = 200;
    // Some browsers send the whole path.
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = name.chars().map(|char| if char.is_control() { '_' } else { char }).collect();
    let plain = plain.trim().trim_start_matches('.');
    // The end of a long name tells more than its start.
    let start = (plain.len().saturating_sub(LONGEST)..=plain.len()).find(|start| plain.is_char_boundary(*start)).unwrap_or_default();
    match plain[start..].trim_start_matches('.') {
        "" => "checkpoint".to_owned(),
        name => name.to_owned(),
    }
}

/// The name of the folder that a file was sent with, if it has one.
pub fn folder_name(given: &str) -> Option<String> {
    let (folder, _) = given.rsplit_once(['/', '\\'])?;
    let name = file_name(folder.trim_end_matches(['/', '\\']));
    (!folder.is_empty()).then_some(name)
}

/// Removes the folder from a message: whoever sent the file does not know it.
pub fn without_folder(message: &str, folder: &Path) -> String {
    message.replace(&format!("{}/", folder.display()), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        assert_eq!(file_name(given), expected);
    }

    #[test]
    fn any_name_becomes_that_of_a_file_in_its_folder() {
        for name in [
            "pytorch_model.bin",
            "model_best.pth.tar",
            "checkpoint_76.tar",
            "last.ckpt",
            "MODEL.PTH",
            "ckpt.t7",
            "checkpoint.pt.best",
            "net",
            "мо дель.pth",
        ] {
            check(name, name);
        }
        check("C:\\net.pth", "net.pth");
        check("../../etc/passwd", "passwd");
        check("..", "checkpoint");
        check("a/..", "checkpoint");
        check("", "checkpoint");
        check(".pth", "pth");
        check("a\u{0}b\n.pth", "a_b_.pth");
        assert_eq!(file_name(&"é".repeat(300)).len(), 200);
    }

    #[test]
    fn a_folder_before_a_name_names_the_series() {
        for (given, expected) in
            [("prn18/epoch_5.pth", Some("prn18")), ("a\\b\\c.pth", Some("b")), ("epoch_5.pth", None), ("../x.pth", Some("checkpoint"))]
        {
            assert_eq!(folder_name(given).as_deref(), expected, "{given}");
        }
    }

    #[tokio::test]
    async fn the_file_looked_at_longest_ago_makes_room_for_a_new_one() {
        let uploads = Uploads::default();
        let keep = |name: &str| {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join(name);
            std::fs::write(&file, name).unwrap();
            uploads.keep(folder, file)
        };
        let ids: Vec<String> = (0..MOST).map(|index| keep(&index.to_string())).collect();
        let (first, second) = (uploads.file(&ids[0]).unwrap(), uploads.file(&ids[1]).unwrap());
        uploads.file(&ids[0]);
        for id in &ids[2..] {
            uploads.file(id);
        }
        let newest = keep("more");
        assert_eq!((uploads.file(&ids[1]), second.exists()), (None, false), "its file is gone too");
        assert!(first.exists() && uploads.file(&newest).is_some());
        uploads.remove(&newest);
        assert_eq!(uploads.file(&newest), None);
    }
}
