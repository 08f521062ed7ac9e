//! Where a run is on its lane, in words.

use leptos::prelude::*;
use shared::api::{Job, JobStanding, Run};

use crate::dates;

/// Tells where a run is that was handed over to the engine of a lane; nothing of runs of this machine.
#[component]
pub fn JobLine(#[prop(into)] run: Memo<Run>) -> impl IntoView {
    let text = Memo::new(move |_| run.with(|run| run.job.as_ref().and_then(job_text)));
    move || text.get().map(|text| view! { <p class="muted">{text}</p> })
}

/// For example `Waits as Slurm job 17_0: it is next. Expected to start at 2026-12-01 01:00 UTC.`
pub fn job_text(job: &Job) -> Option<String> {
    let number = job.id.as_ref().map_or_else(String::new, |id| format!(" as job {id}"));
    let mut sentences = Vec::new();
    match &job.standing {
        JobStanding::Submitting => sentences.push("It is being handed over.".to_owned()),
        JobStanding::Waiting { reason, starts_at } => {
            let reason = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
            sentences.push(format!("Waits{number}{reason}."));
            sentences.extend(starts_at.as_ref().map(|time| format!("Expected to start at {} UTC.", dates::minute(time))));
        }
        JobStanding::Running { node: None, ends_at: None } if job.id.is_none() => {}
        JobStanding::Running { node, ends_at } => {
            let node = node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
            sentences.push(format!("Runs{number}{node}."));
            sentences
                .extend(ends_at.as_ref().map(|time| format!("Its time is up at {} UTC; then it is submitted again.", dates::minute(time))));
        }
        JobStanding::Over => {}
    }
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    if job.resubmissions > 0 {
        sentences.push(format!("Submitted again {}, as its time was up.", times(job.resubmissions)));
    }
    if job.interruptions > 0 {
        sentences.push(format!("Made room for others or lost its node {}.", times(job.interruptions)));
    }
    (!sentences.is_empty()).then(|| sentences.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(standing: JobStanding, id: Option<&str>, counts: (u32, u32), expected: Option<&str>) {
        let (resubmissions, interruptions) = counts;
        let job = Job { name: "crosslens-1.0".into(), id: id.map(str::to_owned), standing, resubmissions, interruptions };
        assert_eq!(job_text(&job).as_deref(), expected);
    }

    #[test]
    fn a_job_says_where_it_is_and_what_has_happened_to_it() {
        let reason = Some("it is next, as soon as resources are free".to_owned());
        check(
            JobStanding::Waiting { reason, starts_at: Some("2026-12-01T01:00:00Z".into()) },
            Some("17_0"),
            (0, 0),
            Some("Waits as job 17_0: it is next, as soon as resources are free. Expected to start at 2026-12-01 01:00 UTC."),
        );
        check(
            JobStanding::Running { node: Some("n3".into()), ends_at: None },
            Some("17_0"),
            (2, 1),
            Some("Runs as job 17_0 on n3. Submitted again 2 times, as its time was up. Made room for others or lost its node once."),
        );
        check(JobStanding::Running { node: None, ends_at: None }, None, (0, 0), None);
        check(JobStanding::Over, Some("17_0"), (0, 0), None);
    }
}
