//! Whose page it is: one's own, or a share that someone else reads.

use leptos::prelude::*;

/// Who looks at a view that can also be shared: a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// May ask for every page, run and file.
    Owner,
    /// Has what came with the link and nothing else.
    ShareReader,
}

/// Whether other pages, runs and files can be asked for.
pub fn use_is_owner() -> bool {
    expect_context::<Viewer>() == Viewer::Owner
}
