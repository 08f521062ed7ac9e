//! Runs a robustness evaluation and writes `evaluation.json`.
//!
//! Until it is complete, `evaluation.state.json` holds the intermediate state, from which a restarted worker
//! continues.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use shared::api::EvaluationFile;
use shared::config::{AutoAttack, EvaluateConfig, PgdConfig, STANDARD_QUERIES, ThreatModel};
use shared::format;
use shared::record::{Finished, Notice, NoticeKind, Phase, Progress, Record};
use shared::rundir;
use shared::signs::{self, Sign};

use super::source_checkpoint::SourceCheckpoint;
use crate::Error;
use crate::attack::Attack;
use crate::autoattack::{Ball, apgd};
use crate::checkpoint;
use crate::data::{self, Split};
use crate::device;
use crate::kept::{KeptSearch, SaveTimer};
use crate::robustness::{self, Event, NamedAttack, Plan, State};
use crate::run_dir::RunDir;
use crate::stop::Stop;

const RESULT: &str = rundir::EVALUATION;
const STATE: &str = rundir::EVALUATION_STATE;

/// Content of `evaluation.state.json`.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Saved {
    /// `state` is the JSON of a [`State`], and `sha256` its hash.
    Sealed { checkpoint_sha256: String, state: String, sha256: String },
    /// As earlier versions saved it.
    Unsealed { checkpoint_sha256: String, state: State },
}

/// Evaluates as `config` says. Continues from the state of an earlier worker if there is one.
///
/// Fails with `Error::Stopped` after a stop request. All complete batches are then saved, and a random search
/// on the one under way.
pub(super) fn run(directory: &Path, config: &EvaluateConfig, stop: &Stop) -> Result<(), Error> {
    let begun = Instant::now();
    let device = device::choose(&config.device)?;
    let source = SourceCheckpoint::find(directory, &config.checkpoint)?;
    let mut dir = RunDir::open(directory)?;

    let data = data::load(&source.data(config.data.as_ref())?, source.data_seed())?;
    let network = source.network(&data.info, device)?;
    let (noisy_labels, passed_over) = (data.noisy_labels, data.passed_over.clone());
    let split = data.into_split(config.split, config.samples)?.to_device(device);
    dir.append(&source.started(&network, config.split, &split, noisy_labels))?;
    super::note_passed_over(&mut dir, &passed_over)?;

    let ball = ball(config, &source)?;
    let attacks = attacks(config, ball, network.classes())?;
    let threat = ThreatModel { norm: ball.norm, eps: ball.eps };
    let self_check = config.self_check.then(|| EvaluateConfig::checking_attacks(threat).map(|attack| Attack::to_measure(&attack)));
    let mut state = resume(&dir, &source, &split, &attacks)?;
    if let Some(done) = state.steps.len().checked_sub(1) {
        let message = format!("The evaluation continues where it was stopped: {done} of {} attacks were done.", attacks.len());
        dir.append(&Record::Notice(Notice { kind: NoticeKind::Resumed, epoch: None, message }))?;
    }
    // A killed worker may have saved a step without recording it.
    for step in &state.steps {
        dir.append(&Record::Evaluation(step.clone()))?;
    }
    let spent_before = state.seconds();
    let spent = || spent_before + begun.elapsed().as_secs_f64();
    let mut timer = SaveTimer::start();
    let plan = Plan { attacks: &attacks, self_check: self_check.as_ref(), seed: config.seed };
    let mut search = KeptSearch::in_file(&dir.path(rundir::SEARCH), &source.sidecar.checkpoint.sha256, device);
    let outcome = robustness::run(&network, &split, plan, &mut state, &mut search, stop, &mut |state, event| {
        if matches!(event, Event::Step(_)) || timer.is_due() {
            timer.around(|| save(&dir, &source, state))?;
        }
        match event {
            Event::Batch { done, of } => {
                dir.progress(Progress { phase: Phase::Evaluating, epoch: 0, step: done, steps: of, elapsed_secs: spent() })
            }
            Event::Step(step) => dir.append(&Record::Evaluation(step.clone())),
        }
    });
    if let Err(Error::Stopped(_)) = outcome {
        save(&dir, &source, &state)?;
        search.save()?;
    }
    outcome?;

    if let Some(Sign { message, .. }) = signs::masked_gradients(&state.steps) {
        dir.append(&Record::Notice(Notice { kind: NoticeKind::MaskedGradients, epoch: None, message }))?;
    }
    dir.write_json(RESULT, &result(config, &source, ball, network.classes(), &split, state, self_check.as_ref()))?;
    dir.remove(STATE)?;
    search.remove()?;
    let epoch = source.id.epoch;
    dir.append(&Record::Finished(Finished { best_epoch: epoch, last_epoch: epoch, elapsed_secs: spent() }))
}

/// Returns the threat model of the configuration. The checkpoint's run provides what the configuration leaves
/// out.
fn ball(config: &EvaluateConfig, source: &SourceCheckpoint) -> Result<Ball, Error> {
    let (norm, eps) = match (config.norm, config.eps) {
        (Some(norm), Some(eps)) => (norm, eps),
        (norm, eps) => {
            let known = source.attack(None)?;
            (norm.unwrap_or(known.norm), eps.unwrap_or(known.eps))
        }
    };
    Ok(Ball { norm, eps })
}

/// Returns PGD, then the attacks of AutoAttack that are defined for this number of classes.
fn attacks(config: &EvaluateConfig, ball: Ball, classes: i64) -> Result<Vec<NamedAttack>, Error> {
    let Ball { norm, eps } = ball;
    let pgd = config.pgd.as_ref().map(|pgd| {
        let attack = PgdConfig { norm, eps, step_size: pgd.step_size, steps: pgd.steps, random_start: true };
        NamedAttack::pgd(&Attack::to_measure(&attack), pgd.restarts)
    });
    let of_autoattack =
        config.autoattack.iter().filter_map(|attack| NamedAttack::autoattack(*attack, ball, classes, config.square_queries));
    let attacks: Vec<NamedAttack> = pgd.into_iter().chain(of_autoattack).collect();
    if attacks.is_empty() {
        return Err(Error::Data(format!("{} needs four classes or more; the data has {classes}", AutoAttack::ApgdT.label())));
    }
    Ok(attacks)
}

/// Loads the state of an earlier worker, or starts with an empty one.
fn resume(dir: &RunDir, source: &SourceCheckpoint, split: &Split, attacks: &[NamedAttack]) -> Result<State, Error> {
    let path = dir.path(STATE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(Error::io(&path)(error)),
    };
    let state_error = |problem: String| Error::RunDir { path: path.clone(), problem };
    let unreadable = |error: serde_json::Error| state_error(format!("cannot be read: {error}; remove it to start again"));
    let (checkpoint_sha256, state) = match serde_json::from_str(&text).map_err(unreadable)? {
        Saved::Sealed { state, sha256, .. } if checkpoint::sha256(state.as_bytes()) != sha256 => {
            return Err(state_error("is damaged: its SHA-256 is not the one that it was saved with; remove it to start again".to_owned()));
        }
        Saved::Sealed { checkpoint_sha256, state, .. } => (checkpoint_sha256, serde_json::from_str::<State>(&state).map_err(unreadable)?),
        Saved::Unsealed { checkpoint_sha256, state } => (checkpoint_sha256, state),
    };
    if checkpoint_sha256 != source.sidecar.checkpoint.sha256 {
        return Err(state_error(format!("belongs to another checkpoint than {}; remove it to start again", source.id)));
    }
    if !state.matches(split, attacks) {
        return Err(state_error("belongs to other images or attacks; remove it to start again".to_owned()));
    }
    Ok(state)
}

/// Saves the state for a worker that continues.
fn save(dir: &RunDir, source: &SourceCheckpoint, state: &State) -> Result<(), Error> {
    let state = serde_json::to_string(state).expect("a state has only string keys");
    let checkpoint_sha256 = source.sidecar.checkpoint.sha256.clone();
    dir.write_json(STATE, &Saved::Sealed { checkpoint_sha256, sha256: checkpoint::sha256(state.as_bytes()), state })
}

/// Builds the content of `evaluation.json`.
fn result(
    config: &EvaluateConfig,
    source: &SourceCheckpoint,
    ball: Ball,
    classes: i64,
    split: &Split,
    state: State,
    self_check: Option<&[Attack; 3]>,
) -> EvaluationFile {
    let labels = split.label_list();
    let classes = classes as usize;
    let mut confusion = vec![vec![0; classes]; classes];
    let mut clean = vec![0; classes];
    for ((label, worst), seen) in labels.iter().zip(&state.worst).zip(&state.clean) {
        confusion[*label as usize][*worst as usize] += 1;
        clean[*label as usize] += u32::from(seen == label);
    }
    let counts: Vec<u32> = confusion.iter().map(|row| row.iter().sum()).collect();
    let robust: Vec<u32> = (0..classes).map(|class| confusion[class][class]).collect();
    let share = |hits: u32, of: u32| f64::from(hits) / f64::from(of.max(1));
    let of_each_class = |hits: &[u32]| hits.iter().zip(&counts).map(|(hits, count)| share(*hits, *count)).collect();
    let images = labels.len() as u32;
    let robust_accuracy = share(robust.iter().sum(), images);
    let self_check = self_check.and_then(|attacks| state.self_check(attacks, &labels));
    EvaluationFile {
        checkpoint: source.id.clone(),
        checkpoint_sha256: source.sidecar.checkpoint.sha256.clone(),
        norm: ball.norm,
        eps: ball.eps,
        split: config.split,
        class_names: source.sidecar.class_names.clone(),
        clean_accuracy: share(clean.iter().sum(), images),
        robust_accuracy,
        class_clean_accuracy: of_each_class(&clean),
        class_robust_accuracy: of_each_class(&robust),
        report: report(config, ball, classes, images, &state, robust_accuracy),
        seed: config.seed,
        seconds: state.seconds(),
        signs: signs::of_evaluation(&state.steps, self_check.as_ref()),
        self_check,
        class_counts: counts,
        steps: state.steps,
        confusion,
    }
}

/// Returns the sentence to cite, for example `AutoAttack (standard) robust accuracy at ℓ∞ 8/255 (0.0314) on
/// 10000 test images: 47.8 %`.
fn report(config: &EvaluateConfig, ball: Ball, classes: usize, images: u32, state: &State, accuracy: f64) -> String {
    let all = AutoAttack::standard().iter().all(|attack| config.autoattack.contains(attack));
    let standard = all && config.square_queries == STANDARD_QUERIES && classes as i64 >= apgd::CLASSES_FOR_DLR;
    let attacks: Vec<&str> = state.steps.iter().skip(1).map(|step| step.attack.as_str()).collect();
    let against = match (&config.pgd, standard) {
        (None, true) => "AutoAttack (standard) robust accuracy".to_owned(),
        (Some(_), true) => format!("Robust accuracy against {} and AutoAttack (standard), the worst for each image,", attacks[0]),
        (_, false) => format!("Robust accuracy against {} (not the standard AutoAttack), the worst for each image,", attacks.join("; ")),
    };
    let images = format!("{images} {}", config.split.label().to_lowercase());
    format!("{against} at {} {} on {images}: {}", ball.norm.symbol(), ball.eps.long(ball.norm), format::percent(accuracy))
}
