//! Describes in sentences what a run will do. Counts are computed from the configuration, not estimated; disk
//! space is estimated by the server.

use shared::api::{DiskEstimate, RunEstimate};
use shared::config::{Inputs, RunConfig, TrainConfig};
use shared::format;

use crate::names;

/// Number of images put through the network: forward passes and, for attack and training steps, backward
/// passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passes {
    training: u64,
    /// The part of `training` that trains teachers first.
    teachers: u64,
    evaluation: u64,
}

/// What a run does, in sentences.
pub fn sentences(config: &RunConfig) -> Vec<String> {
    match config {
        RunConfig::Train(config) => passes(config).map(in_words).unwrap_or_default(),
        RunConfig::Attribute(config) => {
            let inputs: Vec<&str> = config.inputs.iter().map(|inputs| inputs.id()).collect();
            let attack = match &config.attack {
                _ if !config.inputs.contains(&Inputs::Adversarial) => String::new(),
                Some(attack) => format!(", attacked by PGD-{} in {}", attack.steps, attack.threat()),
                None => ", attacked as its own run measures".to_owned(),
            };
            let matrices = if inputs.len() == 1 { "One matrix" } else { "Two matrices" };
            vec![format!("{matrices} of {} inputs: {}{attack}.", inputs.join(" and "), names::split(config.split).to_ascii_lowercase())]
        }
        RunConfig::Evaluate(config) => {
            let images = match config.samples {
                Some(samples) => format!("{} of the {}", format::count(samples.into()), names::split(config.split).to_ascii_lowercase()),
                None => format!("all {}", names::split(config.split).to_ascii_lowercase()),
            };
            let pgd = config.pgd.as_ref().map(|pgd| match pgd.restarts {
                1 => format!("PGD-{}", pgd.steps),
                restarts => format!("PGD-{} with {restarts} starts", pgd.steps),
            });
            let attacks = config.autoattack.iter().map(|attack| attack.with_effort(config.square_queries));
            let attacks: Vec<String> = pgd.into_iter().chain(attacks).collect();
            vec![
                format!("Clean accuracy of {images}, then {}.", attacks.join(", ")),
                "Each attack runs on the images that those before it have left: the more robust the network, the longer it takes."
                    .to_owned(),
            ]
        }
        RunConfig::Saliency(config) => {
            let checkpoints = match config.checkpoints.len() {
                1 => "one checkpoint".to_owned(),
                count => format!("{count} checkpoints"),
            };
            vec![format!(
                "Grad-CAM of {} {} of each class, {}, at {checkpoints}.",
                config.images_per_class,
                if config.images_per_class == 1 { "image" } else { "images" },
                names::split(config.split).to_ascii_lowercase()
            )]
        }
        RunConfig::Pair(config) => {
            let (pairs, checkpoints) = (config.pairs.len(), config.checkpoints.len());
            vec![format!(
                "{} of classes at {}: their {} are attacked as they are, then once without the shared dimensions and three times without others.",
                if pairs == 1 { "One pair".to_owned() } else { format!("{pairs} pairs") },
                if checkpoints == 1 { "one checkpoint" } else { "two checkpoints" },
                names::split(config.split).to_ascii_lowercase()
            )]
        }
        // It costs nothing here.
        RunConfig::External(_) => Vec::new(),
        RunConfig::Import(config) => {
            let measured = if config.attribution.inputs.is_empty() {
                "Measures nothing yet."
            } else {
                "Then measures the matrices of every checkpoint."
            };
            vec![format!("Reads the file without executing anything in it. {measured}")]
        }
    }
}

fn in_words(passes: Passes) -> Vec<String> {
    let Passes { training, teachers, evaluation } = passes;
    let all = format!(
        "Puts {} images through the network to train and {} to evaluate, attack steps counted.",
        format::count(training),
        format::count(evaluation),
    );
    let teachers = (teachers > 0).then(|| format!("Of the former, {} are for teachers that are trained first.", format::count(teachers)));
    [Some(all), teachers].into_iter().flatten().collect()
}

/// Counts the passes of a training run; `None` if the number of images is unknown.
fn passes(config: &TrainConfig) -> Option<Passes> {
    let info = config.data.dataset.info();
    let holdout = u64::from(config.data.holdout_samples);
    let train = u64::from(config.data.train_samples.or(info.train_samples)?).saturating_sub(holdout);
    let test = u64::from(config.data.test_samples.or(info.test_samples)?);
    let training = &config.training;
    let epochs = u64::from(training.epochs);
    let steps = u64::from(config.attack.steps);
    let method = training.method.facts();
    let attack = if method.adversarial { steps + u64::from(method.extra_attack_passes) } else { 0 };
    let update = u64::from(method.update_passes);
    let mut of_image = epochs * (attack + update);
    // AWP computes the loss once more to find the weight perturbation.
    if let Some(awp) = &training.awp {
        of_image += update * epochs.saturating_sub(awp.warmup_epochs.into());
    }
    let mut teachers = 0;
    if let Some(distillation) = &training.distillation {
        let teacher_epochs = distillation.teacher_epochs.map_or(epochs, u64::from);
        if distillation.standard_teacher.is_none() {
            teachers += train * teacher_epochs;
        }
        if distillation.robust_teacher.is_none() {
            teachers += train * teacher_epochs * (steps + 1);
        }
        of_image += 2 * epochs;
    }
    let evaluated = (1..=training.epochs).filter(|epoch| config.evaluates_epoch(*epoch)).count() as u64;
    let measuring = u64::from(config.evaluation.steps);
    Some(Passes {
        training: train * of_image + teachers,
        teachers,
        evaluation: evaluated * (train + test * (measuring + 2) + holdout * (measuring + 1)),
    })
}

/// What the runs of a form leave on the disk, and what is free; `None` if nobody knows.
pub fn disk_space(estimate: &RunEstimate) -> Option<String> {
    let RunEstimate { runs, disk, free_bytes, .. } = estimate;
    let DiskEstimate { checkpoints, checkpoint_bytes, matrices, leaves, most_bytes, .. } = disk.as_ref()?;
    let (begin, running, size) = match runs {
        1 => ("Leaves".to_owned(), "it runs", ""),
        runs => (format!("All {runs} runs together leave"), "they run", "up to "),
    };
    let matrices = match matrices {
        0 => String::new(),
        matrices => format!(" and {} matrices", format::count((*matrices).into())),
    };
    Some(format!(
        "{begin} about {} on the disk: {} checkpoints of {size}{}{matrices}. While {running}, up to {} is taken; {} is free.",
        format::bytes(leaves.total_bytes()),
        format::count((*checkpoints).into()),
        format::bytes(*checkpoint_bytes),
        format::bytes(*most_bytes),
        format::bytes(*free_bytes)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::DiskUse;
    use shared::config::{AwpConfig, DistillationConfig, EvaluateConfig, Method, RestartedPgdConfig};
    use shared::preset;

    /// Checks the demo: 200 training and 599 test images, 150 epochs with PGD-10, every third evaluated with
    /// PGD-20.
    #[track_caller]
    fn check(edit: impl Fn(&mut TrainConfig), training: u64, teachers: u64) {
        let mut config = preset::demo().config.as_train().unwrap().clone();
        edit(&mut config);
        let found = passes(&config).unwrap();
        assert_eq!((found.training, found.teachers), (training, teachers));
    }

    #[test]
    fn every_pass_of_every_image_is_counted() {
        check(|_| {}, 200 * 150 * 11, 0);
        check(|config| config.training.method = Method::Standard, 200 * 150, 0);
        check(|config| config.training.method = Method::Trades, 200 * 150 * 13, 0);
        check(|config| config.training.awp = Some(AwpConfig::default()), 200 * (150 * 11 + 140), 0);
        let own_teachers = 200 * 150 * 12;
        check(|config| config.training.distillation = Some(DistillationConfig::default()), 200 * 150 * 13 + own_teachers, own_teachers);
        let named = |config: &mut TrainConfig| {
            let teacher = "at-1.best".parse().ok();
            config.training.distillation =
                Some(DistillationConfig { standard_teacher: teacher.clone(), robust_teacher: teacher, ..DistillationConfig::default() });
        };
        check(named, 200 * 150 * 13, 0);
        let evaluation = passes(preset::demo().config.as_train().unwrap()).unwrap().evaluation;
        assert_eq!(evaluation, 50 * (200 + 599 * 22));
    }

    #[test]
    fn disk_space_is_told_for_one_run_and_for_a_sweep() {
        let leaves = DiskUse { checkpoints_bytes: 2 << 20, attributions_bytes: 1 << 20, state_bytes: 0, other_bytes: 0 };
        let disk =
            DiskEstimate { checkpoints: 2, checkpoint_bytes: 1 << 20, matrices: 4, leaves, state_bytes: 2 << 20, most_bytes: 8 << 20 };
        let mut estimate = RunEstimate { runs: 1, disk: Some(disk), expected_bytes: 0, free_bytes: 1 << 30, warning: None };
        assert_eq!(
            disk_space(&estimate).unwrap(),
            "Leaves about 3.0 MiB on the disk: 2 checkpoints of 1.0 MiB and 4 matrices. While it runs, up to 8.0 MiB is taken; 1.0 GiB is free."
        );
        estimate.runs = 3;
        let said = disk_space(&estimate).unwrap();
        assert!(said.starts_with("All 3 runs together leave about") && said.contains("of up to 1.0 MiB"), "{said}");
        estimate.disk = None;
        assert_eq!(disk_space(&estimate), None);
    }

    #[test]
    fn an_evaluation_names_its_attacks_in_their_order() {
        let pgd = Some(RestartedPgdConfig { restarts: 5, ..RestartedPgdConfig::default() });
        let config = EvaluateConfig { samples: Some(1000), pgd, ..EvaluateConfig::of("at-1.best".parse().unwrap()) };
        let said = sentences(&RunConfig::Evaluate(Box::new(config)));
        assert!(
            said[0].starts_with("Clean accuracy of 1\u{2009}000 of the test images, then PGD-20 with 5 starts, APGD-CE (100 steps), "),
            "{said:?}"
        );
        assert!(said[0].ends_with("Square (5\u{2009}000 queries)."), "{said:?}");
    }
}
