//! How long runs will take: by their own pace, by that of earlier runs with the same work on the same device, or,
//! before they are submitted, by how much they compute and how fast the device is.

use serde_json::Value;
use shared::api::{DeviceQueue, Estimate, EstimateBasis, Lane, QueuedRun, RunRow, RunState, TimeEstimate};
use shared::config::{Architecture, RunConfig, TrainConfig};
use shared::passes::multiply_adds;

use crate::db::DoneRun;

/// Fields that change neither the duration of an epoch nor that of a run without epochs.
const FREE: [&str; 23] = [
    "/name",
    "/seed",
    "/sweep",
    "/device",
    "/start_from",
    "/attack/eps",
    "/attack/step_size",
    "/attack/norm",
    "/attack/random_start",
    "/evaluation/eps",
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
    "/training/cas_weight",
    "/training/left_out_features",
];

/// Earlier runs that estimates are made from.
pub const MOST_EARLIER: u32 = 500;

/// Shorter runs tell how fast a run begins rather than how fast a device computes.
const TELLING_SECONDS: f64 = 5.0;

/// Durations of earlier runs.
#[derive(Debug, Default)]
pub struct Experience {
    done: Vec<(String, Value, f64)>,
    /// Products per second of those that trained.
    speeds: Vec<(String, Architecture, f64)>,
}

impl Experience {
    pub fn of(runs: Vec<DoneRun>) -> Self {
        let speed = |run: &DoneRun| {
            let config = run.config.as_train().filter(|_| run.seconds >= TELLING_SECONDS)?;
            Some((run.device.clone(), config.model.architecture, multiply_adds(config)? / run.seconds))
        };
        let speeds = runs.iter().filter_map(speed).collect();
        let paced = |run: DoneRun| (run.device, work(&run.config), run.seconds / epochs(&run.config));
        Experience { done: runs.into_iter().map(paced).collect(), speeds }
    }

    /// How long runs will take that are not submitted yet, on a lane. `None` if one of them is like no earlier run and does
    /// not train.
    pub fn time(&self, configs: &[RunConfig], lane: &Lane) -> Option<TimeEstimate> {
        let each = configs.iter().map(|config| self.duration(config, &lane.name, lane.multiply_adds_per_sec));
        let each: Vec<Estimate> = each.collect::<Option<_>>()?;
        // Where an engine decides how many run at once, nobody knows.
        let at_once = lane.at_once.map_or(1, |at_once| at_once as usize);
        // Runs that share a device take as long together as one after the other, or less.
        let seconds = each.iter().map(|estimate| estimate.seconds).sum::<f64>() / at_once.min(each.len()).max(1) as f64;
        let basis = |wanted| each.iter().any(|estimate| estimate.basis == wanted).then_some(wanted);
        let basis = basis(EstimateBasis::Measurement).or(basis(EstimateBasis::OtherRuns)).unwrap_or(EstimateBasis::EarlierRuns);
        Some(TimeEstimate { seconds, device: lane.name.clone(), basis })
    }

    /// How long a run takes from its beginning to its end. `measured`: products per second of the device.
    fn duration(&self, config: &RunConfig, device: &str, measured: Option<f64>) -> Option<Estimate> {
        if let Some(seconds) = self.seconds(config, device) {
            return Some(Estimate { seconds, basis: EstimateBasis::EarlierRuns });
        }
        let train = config.as_train()?;
        let (speed, basis) = self.speed(train.model.architecture, device, measured)?;
        Some(Estimate { seconds: multiply_adds(train)? / speed, basis })
    }

    /// Products per second of a network on a device. Other networks reach other speeds, so a short measurement, with
    /// a block of a common one, tells more than runs of theirs.
    fn speed(&self, architecture: Architecture, device: &str, measured: Option<f64>) -> Option<(f64, EstimateBasis)> {
        let median = |same: bool| {
            let known = self.speeds.iter().filter(|(id, known, _)| id == device && (!same || *known == architecture));
            let mut speeds: Vec<f64> = known.map(|(.., speed)| *speed).collect();
            speeds.sort_by(f64::total_cmp);
            speeds.get(speeds.len() / 2).map(|speed| (*speed, EstimateBasis::OtherRuns))
        };
        let measured = measured.map(|speed| (speed, EstimateBasis::Measurement));
        median(true).or(measured).or_else(|| median(false))
    }

    /// Seconds of a whole run of this configuration on a device: the median of runs with the same work.
    fn seconds(&self, config: &RunConfig, device: &str) -> Option<f64> {
        let wanted = work(config);
        let same = self.done.iter().filter(|(known, work, _)| known == device && *work == wanted);
        let mut paces: Vec<f64> = same.map(|(_, _, pace)| *pace).collect();
        paces.sort_by(f64::total_cmp);
        let pace = *paces.get(paces.len() / 2)?;
        Some(pace * epochs(config))
    }

    fn estimate(&self, run: &RunRow, config: &RunConfig, measured: Option<f64>) -> Option<Estimate> {
        if run.state == RunState::Running
            && let Some(seconds) = run.seconds_left
        {
            return Some(Estimate { seconds, basis: EstimateBasis::Progress });
        }
        let Estimate { seconds, basis } = self.duration(config, &run.device, measured)?;
        // A resumed run has done a part already.
        Some(Estimate { seconds: seconds * (1.0 - run.fraction_done), basis })
    }
}

/// Number of epochs that a run computes; 1 if it does not train.
fn epochs(config: &RunConfig) -> f64 {
    f64::from(config.as_train().map_or(config.epochs(), TrainConfig::own_epochs).max(1))
}

/// Groups the runs of a queue by lane, in order, and adds up when each will finish.
///
/// `moves`: whether queued runs start, which they do not without a worker or in a paused queue.
pub fn queues(lanes: Vec<Lane>, runs: Vec<(RunRow, RunConfig)>, experience: &Experience, moves: bool) -> Vec<DeviceQueue> {
    let measured: Vec<(String, Option<f64>)> = lanes.iter().map(|lane| (lane.name.clone(), lane.multiply_adds_per_sec)).collect();
    let measured = |name: &str| measured.iter().find(|(known, _)| known == name)?.1;
    let of_lane = |Lane { name, kind, text, at_once, auto: _, trouble, multiply_adds_per_sec: _ }: Lane| DeviceQueue {
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
        let estimate = experience.estimate(&run, &config, measured(&run.device));
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
    use std::slice::from_ref;

    use shared::api::{LaneKind, Run, RunSummary};
    use shared::config::{AttributeConfig, ModelConfig};
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
        let (kind, text) = (LaneKind::Local, "2 CPU threads".to_owned());
        Lane { name: "cpu".into(), kind, text, at_once, auto: true, multiply_adds_per_sec: None, trouble: None }
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
        let known = run(RunState::Queued, config(10, 0, 10), RunSummary::default());
        let measuring = RunConfig::Attribute(Box::new(AttributeConfig::of("at-1.best".parse().unwrap())));
        check(vec![done(20.0)], vec![run(RunState::Queued, measuring, RunSummary::default()), known.clone()], true, &[None, None]);
        check(Vec::new(), vec![known], true, &[None]);
    }

    #[test]
    fn work_that_has_never_run_is_estimated_from_what_it_computes() {
        let of = |config: &RunConfig| multiply_adds(config.as_train().unwrap()).unwrap();
        let told = |earlier, configs: &[RunConfig], measured, at_once| {
            let lane = Lane { multiply_adds_per_sec: measured, ..lane(Some(at_once)) };
            Experience::of(earlier).time(configs, &lane).map(|time| (time.seconds, time.basis))
        };
        let (same, less, mut wide) = (config(10, 1, 10), config(10, 0, 7), config(10, 0, 10));
        assert_eq!(told(vec![done(20.0)], from_ref(&same), Some(1.0), 1), Some((20.0, EstimateBasis::EarlierRuns)));
        // The same network at the same speed.
        let expected = 20.0 * of(&less) / of(&same);
        assert_eq!(told(vec![done(20.0)], from_ref(&less), Some(1.0), 1), Some((expected, EstimateBasis::OtherRuns)));
        assert_eq!(
            told(vec![done(20.0)], &[less.clone(), same.clone()], None, 2),
            Some(((20.0 + expected) / 2.0, EstimateBasis::OtherRuns))
        );
        // Another network: the measurement, if there is one.
        if let RunConfig::Train(config) = &mut wide {
            config.model = ModelConfig::of(Architecture::PreactResnet18);
        }
        let measured = told(vec![done(20.0)], &[wide.clone()], Some(of(&wide) / 300.0), 1).unwrap();
        assert_eq!((measured.0.round(), measured.1), (300.0, EstimateBasis::Measurement));
        assert_eq!(told(vec![done(20.0)], &[wide.clone()], None, 1).unwrap().1, EstimateBasis::OtherRuns);
        // Short runs tell nothing of other work.
        assert_eq!(told(vec![done(2.0)], &[wide], None, 1), None);
        assert_eq!(told(vec![done(2.0)], &[same], None, 1), Some((2.0, EstimateBasis::EarlierRuns)));
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
