//! Whether the page belongs to the owner or to a reader of a share.

use leptos::prelude::*;

/// Who looks at a view that can also be shared. Provided as context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Can open every page, run and file.
    Owner,
    /// Has only what the share contains.
    ShareReader,
}

/// Whether other pages, runs and files can be requested.
pub fn use_is_owner() -> bool {
    expect_context::<Viewer>() == Viewer::Owner
}
