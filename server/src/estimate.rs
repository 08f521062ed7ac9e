//! How long runs will take, by their own pace or by that of earlier runs with the same work on the same
//! device. Makes no other guesses.

use serde_json::Value;
use shared::api::{DeviceQueue, Estimate, EstimateBasis, Lane, QueuedRun, RunRow, RunState};
use shared::config::RunConfig;

use crate::db::DoneRun;

/// Fields that change neither the duration of an epoch nor that of a run without epochs.
const FREE: [&str; 19] = [
    "/name",
    "/seed",
    "/sweep",
    "/device",
    "/attack/eps",
    "/attack/step_size",
    "/attack/norm",
    "/attack/random_start",
    "/evaluation/step_size",
    "/checkpoints",
    "/data/path",
    "/training/epochs",
    "/training/learning_rate",
    "/training/momentum",
    "/training/weight_decay",
    "/training/milestones",
    "/training/decay_factor",
    "/training/label_smoothing",
    "/training/trades_beta",
];

/// Durations of earlier runs.
#[derive(Debug, Default)]
pub struct Experience {
    done: Vec<(String, Value, f64)>,
}

impl Experience {
    pub fn of(runs: Vec<DoneRun>) -> Self {
        let paced = |run: DoneRun| (run.device, work(&run.config), run.seconds / f64::from(run.config.epochs().max(1)));
        Experience { done: runs.into_iter().map(paced).collect() }
    }

    /// Seconds of a whole run of this configuration on a device: the median of runs with the same work.
    fn seconds(&self, config: &RunConfig, device: &str) -> Option<f64> {
        let wanted = work(config);
        let same = self.done.iter().filter(|(known, work, _)| known == device && *work == wanted);
        let mut paces: Vec<f64> = same.map(|(_, _, pace)| *pace).collect();
        paces.sort_by(f64::total_cmp);
        let pace = *paces.get(paces.len() / 2)?;
        Some(pace * f64::from(config.epochs().max(1)))
    }

    fn estimate(&self, run: &RunRow, config: &RunConfig) -> Option<Estimate> {
        if run.state == RunState::Running
            && let Some(seconds) = run.seconds_left
        {
            return Some(Estimate { seconds, basis: EstimateBasis::Progress });
        }
        // A resumed run has done a part already.
        let seconds = self.seconds(config, &run.device)? * (1.0 - run.fraction_done);
        Some(Estimate { seconds, basis: EstimateBasis::EarlierRuns })
    }
}

/// Groups the runs of a queue by lane, in order, and adds up when each will finish.
///
/// `moves`: whether queued runs start, which they do not without a worker or in a paused queue.
pub fn queues(lanes: Vec<Lane>, runs: Vec<(RunRow, RunConfig)>, experience: &Experience, moves: bool) -> Vec<DeviceQueue> {
    let of_lane = |Lane { name, kind, text, at_once, auto: _, trouble }: Lane| DeviceQueue {
        device: name,
        name: Some(text),
        kind: Some(kind),
        trouble,
        at_once,
        runs: Vec::new(),
    };
    let unknown = |device: String| DeviceQueue { device, name: None, kind: None, trouble: None, at_once: None, runs: Vec::new() };
    let mut queues: Vec<DeviceQueue> = lanes.into_iter().map(of_lane).collect();
    for (run, config) in runs {
        let place = queues.iter().position(|queue| queue.device == run.device).unwrap_or_else(|| {
            queues.push(unknown(run.device.clone()));
            queues.len() - 1
        });
        let queue = &mut queues[place];
        let estimate = experience.estimate(&run, &config);
        let start = if run.state == RunState::Running { Some(0.0) } else { free_in(queue).filter(|_| moves && queue.trouble.is_none()) };
        let finishes_in_secs = start.zip(estimate.as_ref()).map(|(start, estimate)| start + estimate.seconds);
        queue.runs.push(QueuedRun { run, estimate, finishes_in_secs });
    }
    queues
}

/// Seconds until a lane has room for another run after those of its queue; `None` if that is unknown.
fn free_in(queue: &DeviceQueue) -> Option<f64> {
    // Its engine decides, among the jobs of others.
    let at_once = queue.at_once?;
    let mut ends = queue.runs.iter().map(|run| run.finishes_in_secs).collect::<Option<Vec<f64>>>()?;
    ends.sort_by(f64::total_cmp);
    // All but the last few have ended when the next one starts.
    Some(ends.len().checked_sub(at_once as usize).map_or(0.0, |place| ends[place]))
}

/// The part of a configuration that determines the duration of an epoch.
fn work(config: &RunConfig) -> Value {
    let mut work = config.to_json();
    for field in FREE {
        let Some((parent, name)) = field.rsplit_once('/') else { continue };
        if let Some(Value::Object(parent)) = work.pointer_mut(parent) {
            parent.remove(name);
        }
    }
    // The epoch of a measured checkpoint does not matter; its run does, as networks differ.
    if let Some(checkpoint) = work.get("checkpoint").and_then(Value::as_str).and_then(|name| Some(name.rsplit_once('.')?.0.to_owned())) {
        work["checkpoint"] = checkpoint.into();
    }
    work
}

#[cfg(test)]
mod tests {
    use shared::api::{LaneKind, Run, RunSummary};
    use shared::fixtures;
    use shared::preset;

    use super::*;

    fn config(epochs: u32, seed: u32, steps: u32) -> RunConfig {
        let RunConfig::Train(mut config) = preset::demo().config else { panic!("the demo trains") };
        (config.training.epochs, config.seed, config.attack.steps) = (epochs, seed, steps);
        RunConfig::Train(config)
    }

    fn run(state: RunState, config: RunConfig, summary: RunSummary) -> (RunRow, RunConfig) {
        let run = Run { state, config: config.clone(), summary, ..fixtures::run("at-digits-7f3a") };
        (RunRow::of(run, "cpu".into(), 1), config)
    }

    fn done(seconds: f64) -> DoneRun {
        DoneRun { device: "cpu".into(), config: config(10, 0, 10), seconds }
    }

    fn lane(at_once: Option<u32>) -> Lane {
        Lane { name: "cpu".into(), kind: LaneKind::Local, text: "2 CPU threads".into(), at_once, auto: true, trouble: None }
    }

    #[track_caller]
    fn check(earlier: Vec<DoneRun>, runs: Vec<(RunRow, RunConfig)>, moves: bool, expected: &[Option<f64>]) {
        check_lane(lane(Some(1)), earlier, runs, moves, expected);
    }

    #[track_caller]
    fn check_lane(lane: Lane, earlier: Vec<DoneRun>, runs: Vec<(RunRow, RunConfig)>, moves: bool, expected: &[Option<f64>]) {
        let queues = queues(vec![lane], runs, &Experience::of(earlier), moves);
        assert_eq!(queues.len(), 1);
        assert_eq!(queues[0].runs.iter().map(|run| run.finishes_in_secs).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_run_finishes_after_those_before_it() {
        let running = || run(RunState::Running, config(10, 0, 10), RunSummary { seconds_left: Some(5.0), ..RunSummary::default() });
        let queued = |epochs| run(RunState::Queued, config(epochs, 1, 10), RunSummary::default());
        // Twice the epochs take twice as long; the seed changes nothing.
        check(vec![done(20.0)], vec![running(), queued(20), queued(10)], true, &[Some(5.0), Some(45.0), Some(65.0)]);
        check(vec![done(20.0)], vec![running(), queued(20)], false, &[Some(5.0), None]);
        // Of two places one is free at once, the other after 5 s.
        check_lane(
            lane(Some(2)),
            vec![done(20.0)],
            vec![running(), queued(5), queued(20), queued(10)],
            true,
            &[Some(5.0), Some(10.0), Some(45.0), Some(30.0)],
        );
        // An engine starts a run when it pleases.
        check_lane(lane(None), vec![done(20.0)], vec![running(), queued(5)], true, &[Some(5.0), None]);
        let halfway = run(RunState::Queued, config(10, 0, 10), RunSummary { fraction_done: 0.5, ..RunSummary::default() });
        check(vec![done(20.0)], vec![halfway], true, &[Some(10.0)]);
    }

    #[test]
    fn the_median_of_earlier_runs_counts() {
        let queued = run(RunState::Queued, config(10, 1, 10), RunSummary::default());
        check(vec![done(20.0), done(1000.0), done(30.0)], vec![queued], true, &[Some(30.0)]);
    }

    #[test]
    fn what_nothing_tells_is_unknown_and_so_is_all_after_it() {
        let other = run(RunState::Queued, config(10, 0, 7), RunSummary::default());
        let known = run(RunState::Queued, config(10, 0, 10), RunSummary::default());
        check(vec![done(20.0)], vec![other, known.clone()], true, &[None, None]);
        check(Vec::new(), vec![known], true, &[None]);
    }

    #[test]
    fn runs_of_a_device_that_is_gone_have_a_queue_of_their_own() {
        let (mut row, config) = run(RunState::Queued, config(10, 0, 10), RunSummary::default());
        row.device = "cuda:0".into();
        let queues = queues(vec![lane(Some(1))], vec![(row, config)], &Experience::default(), true);
        let devices: Vec<(&str, usize)> = queues.iter().map(|queue| (queue.device.as_str(), queue.runs.len())).collect();
        assert_eq!(devices, [("cpu", 0), ("cuda:0", 1)]);
    }
}
