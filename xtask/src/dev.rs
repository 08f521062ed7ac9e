//! `cargo xtask dev`: rebuilds the frontend when one of its files changes, and reloads the open pages.
//!
//! Does not rebuild server and worker: after a change of those, start it again.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecursiveMode, Watcher};

use crate::layout::Layout;
use crate::progress::Progress;
use crate::wasm;
use crate::web::{self, Effort};

/// The folders that the frontend is built from.
const SOURCES: [&str; 3] = ["frontend", "shared", "style"];
/// Pause without changes before a build starts: editors write a file in several steps, and a checkout writes
/// many files.
const QUIET: Duration = Duration::from_millis(100);
/// A file that changes with every build; [`RELOAD_SCRIPT`] reads it.
const STAMP: &str = "build.txt";
const RELOAD_SCRIPT: &str = r#"// Added by `cargo xtask dev`: reloads the page after each build.
let shown = null;
setInterval(async () => {
  try {
    const response = await fetch("build.txt", { cache: "no-store" });
    if (!response.ok) return;
    const built = await response.text();
    if (shown !== null && built !== shown) location.reload();
    shown = built;
  } catch {
    // The server is being restarted, or the files are being exchanged.
  }
}, 250);
"#;

/// Watches the sources in a separate thread as long as the process runs.
pub fn rebuild_on_change(layout: &Layout, progress: &Progress) -> Result<()> {
    let (layout, progress) = (layout.clone(), progress.clone());
    let compiler = wasm::prepare(&layout, &progress)?;
    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(&event.kind)) {
            // The receiver lives as long as the process.
            let _ = sender.send(());
        }
    })?;
    for name in SOURCES {
        let folder = layout.root.join(name);
        watcher.watch(&folder, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    progress.say("dev", &format!("watching {}", SOURCES.join(", ")));
    thread::spawn(move || {
        // The watcher stops when it is dropped.
        let _watcher = watcher;
        while wait(&changes) {
            let start = Instant::now();
            match web::build(&layout, &progress, &compiler, Effort::Quick) {
                Ok(()) => progress.say("dev", &format!("rebuilt in {:.1} s", start.elapsed().as_secs_f64())),
                // The compiler has already printed the error. The next change starts a new build.
                Err(error) => progress.say("dev", &format!("{error:#}")),
            }
        }
    });
    Ok(())
}

/// Waits for a change, and then until nothing more changes. Returns false if no change can come any more.
fn wait(changes: &Receiver<()>) -> bool {
    if changes.recv().is_err() {
        return false;
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    true
}

/// Whether an event is a change. Reading a file, as the compiler does, is an event too.
fn is_change(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))
}

/// Adds a script to a built web folder that reloads the page when `key` changes.
pub fn add_reload(web: &Path, key: &str) -> Result<()> {
    let index = web.join("index.html");
    let page = fs::read_to_string(&index)?;
    let page = page.replacen("</head>", "<script type=\"module\" src=\"reload.js\"></script>\n  </head>", 1);
    fs::write(index, page)?;
    fs::write(web.join("reload.js"), RELOAD_SCRIPT)?;
    fs::write(web.join(STAMP), key)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_quick_build_looks_for_the_next() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("index.html"), "<html><head><title>a</title></head><body></body></html>").unwrap();
        add_reload(dir.path(), "0123").unwrap();
        let page = fs::read_to_string(dir.path().join("index.html")).unwrap();
        assert!(page.contains("<script type=\"module\" src=\"reload.js\"></script>\n  </head>"), "{page}");
        let script = fs::read_to_string(dir.path().join("reload.js")).unwrap();
        assert!(script.contains(&format!("fetch(\"{STAMP}\"")), "{script}");
        assert_eq!(fs::read_to_string(dir.path().join(STAMP)).unwrap(), "0123");
    }

    #[test]
    fn changes_in_a_row_are_one() {
        let (sender, changes) = mpsc::channel();
        sender.send(()).unwrap();
        sender.send(()).unwrap();
        assert!(wait(&changes));
        assert!(changes.try_recv().is_err());
        drop(sender);
        assert!(!wait(&changes));
    }
}
