//! The checkpoints that a measurement is about.

use leptos::prelude::*;
use shared::id::CheckpointRef;

use crate::urls;
use crate::viewer::use_is_owner;

#[component]
pub fn MeasuredCheckpoints(checkpoints: Vec<CheckpointRef>) -> impl IntoView {
    let label = if checkpoints.len() == 1 { "Checkpoint" } else { "Checkpoints" };
    let names = checkpoints.into_iter().map(|checkpoint| view! { <CheckpointName checkpoint/> }).collect_view();
    view! {
        <p class="muted subject">{label}": "{names}</p>
    }
}

/// The name of a checkpoint; for the owner it leads to its page.
#[component]
pub fn CheckpointName(checkpoint: CheckpointRef) -> impl IntoView {
    let name = checkpoint.to_string();
    match use_is_owner() {
        true => view! { <a href=urls::href(&urls::checkpoint(&checkpoint))>{name}</a> }.into_any(),
        false => view! { <span>{name}</span> }.into_any(),
    }
}
