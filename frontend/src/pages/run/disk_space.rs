//! The disk space that a run takes, and a warning while the disk may not hold it.

use leptos::prelude::*;
use shared::api::{DiskUse, Run, RunDisk, path};
use shared::format;
use shared::record::Metrics;

use crate::load::{fetched, told};

/// Asks again when a checkpoint or matrix was written or removed, and when the state has changed.
fn use_disk(run: Memo<Run>, metrics: Memo<Metrics>) -> Memo<Option<RunDisk>> {
    let seen = Memo::new(move |_| {
        let files = metrics.with(|metrics| (metrics.checkpoints.len(), metrics.attributions.len()));
        run.with(|run| (path::run_disk(&run.id), run.state, files))
    });
    let disk = fetched::<RunDisk>(move || Some(seen.get().0));
    Memo::new(move |_| disk.ready())
}

/// What the run takes, by kind of file; a warning above it if there may be too little space.
#[component]
pub fn DiskSpace(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let disk = use_disk(run, metrics);
    let warning = Memo::new(move |_| disk.with(|disk| disk.as_ref().and_then(|disk| disk.warning.clone())));
    let total = move || disk.with(|disk| disk.as_ref().map(|disk| format!(": {}", format::bytes(disk.used.total_bytes()))));
    let fact = |(name, value): (&'static str, String)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    let rows = move || disk.with(|disk| disk.as_ref().map(facts).unwrap_or_default()).into_iter().map(fact).collect_view();
    view! {
        {move || warning.get().map(|warning| view! { <div class="notice notice-warning" role="status"><p>{told(&warning)}</p></div> })}
        <details class="disclosure panel">
            <summary>"Disk space"{total}</summary>
            <dl class="facts">{rows}</dl>
        </details>
    }
}

/// The kinds of files with their size, then what is to come and what is free.
fn facts(disk: &RunDisk) -> Vec<(&'static str, String)> {
    let RunDisk { used, estimate, free_bytes, warning: _ } = disk;
    let DiskUse { checkpoints_bytes, attributions_bytes, state_bytes, other_bytes } = *used;
    let mut facts = vec![
        ("Checkpoints", format::bytes(checkpoints_bytes)),
        ("Attributions", format::bytes(attributions_bytes)),
        ("State to go on from", format::bytes(state_bytes)),
        ("Records, log and others", format::bytes(other_bytes)),
    ];
    facts.extend(estimate.as_ref().map(|estimate| {
        let (leaves, most) = (format::bytes(estimate.leaves.total_bytes()), format::bytes(estimate.most_bytes));
        ("Expected", format!("about {leaves} at the end, up to {most} before"))
    }));
    facts.push(("Free on this disk", format::bytes(*free_bytes)));
    facts
}

#[cfg(test)]
mod tests {
    use shared::api::DiskEstimate;

    use super::*;

    #[test]
    fn every_kind_of_file_is_told_and_what_is_to_come() {
        let used = DiskUse { checkpoints_bytes: 2 << 20, attributions_bytes: 1 << 10, state_bytes: 0, other_bytes: 512 };
        let mut disk = RunDisk { used, estimate: None, free_bytes: 1 << 30, warning: None };
        let said = |disk: &RunDisk| facts(disk).into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        assert_eq!(said(&disk), ["2.0 MiB", "1.0 KiB", "0 B", "512 B", "1.0 GiB"]);
        disk.estimate = Some(DiskEstimate {
            checkpoints: 2,
            checkpoint_bytes: 1 << 20,
            matrices: 4,
            leaves: used,
            state_bytes: 2 << 20,
            most_bytes: 7 << 20,
        });
        assert_eq!(said(&disk)[4], "about 2.0 MiB at the end, up to 7.0 MiB before");
    }
}
