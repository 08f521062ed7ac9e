//! The checkpoints that a measurement is about.

use leptos::prelude::*;
use shared::id::{CheckpointRef, Which};

use crate::urls;
use crate::viewer::use_is_owner;

#[component]
pub fn MeasuredCheckpoints(checkpoints: Vec<CheckpointRef>) -> impl IntoView {
    let is_owner = use_is_owner();
    let one = |checkpoint: CheckpointRef| {
        let text = checkpoint.to_string();
        let address = match checkpoint.which {
            Which::Epoch(epoch) => format!("{}?epoch={epoch}", urls::run(&checkpoint.run)),
            Which::Best | Which::Last => urls::run(&checkpoint.run),
        };
        match is_owner {
            true => view! { <a href=urls::href(&address)>{text}</a> }.into_any(),
            false => view! { <span>{text}</span> }.into_any(),
        }
    };
    let label = if checkpoints.len() == 1 { "Checkpoint" } else { "Checkpoints" };
    view! {
        <p class="muted subject">{label}": "{checkpoints.into_iter().map(one).collect_view()}</p>
    }
}
