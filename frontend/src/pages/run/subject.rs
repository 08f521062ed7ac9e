//! The checkpoints that a measurement is of.

use leptos::prelude::*;
use shared::view::{CheckpointRef, Which};

use crate::place;

#[component]
pub fn Subject(
    checkpoints: Vec<CheckpointRef>,
    /// Whether there is a way to them.
    own: bool,
) -> impl IntoView {
    let one = |checkpoint: CheckpointRef| {
        let text = checkpoint.to_string();
        let address = match checkpoint.which {
            Which::Epoch(epoch) => format!("{}?epoch={epoch}", place::run(&checkpoint.run)),
            Which::Best | Which::Last => place::run(&checkpoint.run),
        };
        match own {
            true => view! { <a href=place::href(&address)>{text}</a> }.into_any(),
            false => view! { <span>{text}</span> }.into_any(),
        }
    };
    let label = if checkpoints.len() == 1 { "Checkpoint" } else { "Checkpoints" };
    view! {
        <p class="muted subject">{label}": "{checkpoints.into_iter().map(one).collect_view()}</p>
    }
}
