//! How much a training run computes, counted from its configuration.

use crate::config::{NetworkSize, TrainConfig};

/// A forward pass and the backward pass to the input, as a multiple of a forward pass.
const ATTACK_STEP: u64 = 2;
/// A forward pass and the backward pass to the input and the weights.
const UPDATE: u64 = 3;

/// Number of images put through the network: forward passes and, for attack and training steps, backward
/// passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes {
    pub training: u64,
    /// The part of `training` that trains teachers first.
    pub teachers: u64,
    pub evaluation: u64,
    /// All of them in units of a forward pass, with backward passes counted as one or two more.
    pub forwards: u64,
}

impl Passes {
    /// Counts the passes of a training run; `None` if the number of images is unknown.
    pub fn of(config: &TrainConfig) -> Option<Self> {
        let info = config.data.dataset.info();
        let holdout = u64::from(config.data.holdout_samples);
        let train = u64::from(config.data.train_samples.or(info.train_samples)?).saturating_sub(holdout);
        let test = u64::from(config.data.test_samples.or(info.test_samples)?);
        let training = &config.training;
        let before = config.first_epoch() - 1;
        let epochs = u64::from(config.own_epochs());
        let steps = u64::from(config.attack.steps);
        let method = training.method.facts();
        let (attack, extra) = if method.adversarial { (steps, u64::from(method.extra_attack_passes)) } else { (0, 0) };
        let update = u64::from(method.update_passes);
        let mut of_image = Count::default();
        of_image.add(epochs * attack, ATTACK_STEP);
        of_image.add(epochs * extra, 1);
        of_image.add(epochs * update, UPDATE);
        // AWP computes the loss once more to find the weight perturbation.
        if let Some(awp) = &training.awp {
            of_image.add(update * u64::from(training.epochs.saturating_sub(awp.warmup_epochs.max(before))), UPDATE);
        }
        let mut teacher = Count::default();
        if let Some(distillation) = &training.distillation {
            let teacher_epochs = u64::from(distillation.teacher_epochs.unwrap_or(training.epochs));
            if distillation.standard_teacher.is_none() {
                teacher.add(teacher_epochs, UPDATE);
            }
            if distillation.robust_teacher.is_none() {
                teacher.add(teacher_epochs * steps, ATTACK_STEP);
                teacher.add(teacher_epochs, UPDATE);
            }
            of_image.add(2 * epochs, 1);
        }
        let evaluated = (config.first_epoch()..=training.epochs).filter(|epoch| config.evaluates_epoch(*epoch)).count() as u64;
        let measuring = u64::from(config.evaluation.steps);
        let mut evaluation = Count::default();
        evaluation.add(evaluated * (train + 2 * test + holdout), 1);
        evaluation.add(evaluated * measuring * (test + holdout), ATTACK_STEP);
        Some(Passes {
            training: train * (of_image.passes + teacher.passes),
            teachers: train * teacher.passes,
            evaluation: evaluation.passes,
            forwards: train * (of_image.forwards + teacher.forwards) + evaluation.forwards,
        })
    }
}

/// Products that a training run computes; `None` if the number of images is unknown.
pub fn multiply_adds(config: &TrainConfig) -> Option<f64> {
    // Where only files tell the number of classes, any will do: the last layer hardly counts.
    let classes = config.data.dataset.info().classes.unwrap_or(10);
    let size = NetworkSize::of(&config.model, config.data.shape(), classes);
    Some(Passes::of(config)?.forwards as f64 * size.multiply_adds as f64)
}

#[derive(Default)]
struct Count {
    passes: u64,
    forwards: u64,
}

impl Count {
    fn add(&mut self, passes: u64, forwards: u64) {
        self.passes += passes;
        self.forwards += passes * forwards;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AwpConfig, DistillationConfig, Method};
    use crate::preset;

    /// Checks the demo: 200 training and 599 test images, 150 epochs with PGD-10, every third evaluated with
    /// PGD-20.
    #[track_caller]
    fn check(edit: impl Fn(&mut TrainConfig), training: u64, teachers: u64, forwards: u64) {
        let mut config = preset::demo().config.as_train().unwrap().clone();
        edit(&mut config);
        let found = Passes::of(&config).unwrap();
        let evaluation = 50 * (200 + 599 * 22);
        let evaluation_forwards = 50 * (200 + 599 * 42);
        let expected = Passes { training, teachers, evaluation, forwards: 200 * 150 * forwards + evaluation_forwards };
        assert_eq!(found, expected);
    }

    #[test]
    fn every_pass_of_every_image_is_counted() {
        check(|_| {}, 200 * 150 * 11, 0, 23);
        check(|config| config.training.method = Method::Standard, 200 * 150, 0, 3);
        check(|config| config.training.method = Method::Trades, 200 * 150 * 13, 0, 27);
        let awp = |config: &mut TrainConfig| config.training.awp = Some(AwpConfig { warmup_epochs: 0, ..AwpConfig::default() });
        check(awp, 200 * 150 * 12, 0, 26);
        let own_teachers = 200 * 150 * 12;
        let distilled = |config: &mut TrainConfig| config.training.distillation = Some(DistillationConfig::default());
        check(distilled, 200 * 150 * 13 + own_teachers, own_teachers, 25 + 3 + 23);
        let named = |config: &mut TrainConfig| {
            let teacher = "at-1.best".parse().ok();
            config.training.distillation =
                Some(DistillationConfig { standard_teacher: teacher.clone(), robust_teacher: teacher, ..DistillationConfig::default() });
        };
        check(named, 200 * 150 * 13, 0, 25);
    }
}
