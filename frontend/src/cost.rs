//! Describes in sentences what a run will do. Counts are computed from the configuration, not estimated; time and
//! disk space are estimated by the server.

use shared::api::{DiskEstimate, EstimateBasis, RunEstimate, TimeEstimate};
use shared::config::{EvaluateConfig, Inputs, Norm, RunConfig, SplitName};
use shared::format;
use shared::passes::Passes;

use crate::names;

/// What a run does, in sentences.
pub fn sentences(config: &RunConfig) -> Vec<String> {
    match config {
        RunConfig::Train(config) => Passes::of(config).map(in_words).unwrap_or_default(),
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
            let images = images(config.samples, config.split);
            let pgd = config.pgd.as_ref().map(|pgd| match pgd.restarts {
                1 => format!("PGD-{}", pgd.steps),
                restarts => format!("PGD-{} with {restarts} starts", pgd.steps),
            });
            let attacks = config.autoattack.iter().map(|attack| attack.with_effort(config.square_queries));
            let attacks: Vec<String> = pgd.into_iter().chain(attacks).collect();
            let check = config.self_check.then(|| {
                let images = format::count(EvaluateConfig::CHECKED_IMAGES as u64);
                format!("Then it checks itself on at most {images} images: PGD-20, PGD-100 and PGD-20 at a large radius.")
            });
            [
                format!("Clean accuracy of {images}, then {}.", attacks.join(", ")),
                "Each attack runs on the images that those before it have left: the more robust the network, the longer it takes."
                    .to_owned(),
            ]
            .into_iter()
            .chain(check)
            .collect()
        }
        RunConfig::EpsCurve(config) => {
            // Of both norms there are equally many radii.
            let radii = config.radii(config.norm.unwrap_or(Norm::Linf)).len();
            let images = images(config.samples, config.split);
            vec![format!("Accuracy and CAS of {images} under PGD-{} at {radii} radii, from the smallest to the largest.", config.steps)]
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
        RunConfig::Transfer(config) => {
            let images = images(config.samples, config.split);
            vec![format!("Attacks {images} on each of {0} checkpoints, and classifies them with all {0}.", config.checkpoints.len())]
        }
        // It costs nothing here.
        RunConfig::External(_) => Vec::new(),
        RunConfig::Import(config) => {
            let measured = if config.attribution.inputs.is_empty() {
                "Measures nothing yet."
            } else {
                "Then measures the matrices of every checkpoint."
            };
            vec![format!("Reads the files without executing anything in them. {measured}")]
        }
    }
}

/// So many images of a split, in words.
fn images(samples: Option<u32>, split: SplitName) -> String {
    let split = names::split(split).to_ascii_lowercase();
    match samples {
        Some(samples) => format!("{} of the {split}", format::count(samples.into())),
        None => format!("all {split}"),
    }
}

fn in_words(passes: Passes) -> Vec<String> {
    let Passes { training, teachers, evaluation, .. } = passes;
    let all = format!(
        "Puts {} images through the network to train and {} to evaluate, attack steps counted.",
        format::count(training),
        format::count(evaluation),
    );
    let teachers = (teachers > 0).then(|| format!("Of the former, {} are for teachers that are trained first.", format::count(teachers)));
    [Some(all), teachers].into_iter().flatten().collect()
}

/// Time and disk space of the runs of a form in a few words; empty if nobody knows.
pub fn in_short(estimate: &RunEstimate) -> String {
    let time = estimate.time.as_ref().map(|time| format!("{} on {}", format::roughly(time.seconds), time.device));
    let space = estimate.disk.as_ref().map(|disk| format::bytes(disk.most_bytes));
    time.into_iter().chain(space).collect::<Vec<_>>().join(", ")
}

/// How long the runs of a form will take; `None` if nobody knows.
pub fn time(estimate: &RunEstimate) -> Option<String> {
    let TimeEstimate { seconds, device, basis } = estimate.time.as_ref()?;
    let takes = match estimate.runs {
        1 => "Takes".to_owned(),
        runs => format!("All {runs} runs together take"),
    };
    let why = match basis {
        EstimateBasis::Progress | EstimateBasis::EarlierRuns => "as earlier runs of this kind did",
        EstimateBasis::OtherRuns => "by its speed in earlier runs",
        EstimateBasis::Measurement => "by a short measurement of its speed",
    };
    Some(format!("{takes} {} on {device}, {why}.", format::roughly(*seconds)))
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
    use shared::config::RestartedPgdConfig;

    #[test]
    fn time_and_disk_space_are_told_for_one_run_and_for_a_sweep() {
        let leaves = DiskUse { checkpoints_bytes: 2 << 20, attributions_bytes: 1 << 20, state_bytes: 0, other_bytes: 0 };
        let disk =
            DiskEstimate { checkpoints: 2, checkpoint_bytes: 1 << 20, matrices: 4, leaves, state_bytes: 2 << 20, most_bytes: 8 << 20 };
        let mut estimate = RunEstimate { runs: 1, disk: Some(disk), time: None, expected_bytes: 0, free_bytes: 1 << 30, warning: None };
        assert_eq!(
            disk_space(&estimate).unwrap(),
            "Leaves about 3.0 MiB on the disk: 2 checkpoints of 1.0 MiB and 4 matrices. While it runs, up to 8.0 MiB is taken; 1.0 GiB is free."
        );
        estimate.runs = 3;
        let said = disk_space(&estimate).unwrap();
        assert!(said.starts_with("All 3 runs together leave about") && said.contains("of up to 1.0 MiB"), "{said}");
        assert_eq!((time(&estimate), in_short(&estimate).as_str()), (None, "8.0 MiB"));
        estimate.time = Some(TimeEstimate { seconds: 8e6, device: "cpu".into(), basis: EstimateBasis::Measurement });
        assert_eq!(time(&estimate).unwrap(), "All 3 runs together take about 3 months on cpu, by a short measurement of its speed.");
        assert_eq!(in_short(&estimate), "about 3 months on cpu, 8.0 MiB");
        estimate.disk = None;
        assert_eq!((disk_space(&estimate), in_short(&estimate).as_str()), (None, "about 3 months on cpu"));
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
        assert!(said[2].starts_with("Then it checks itself on at most 200 images"), "{said:?}");
    }
}
