//! Buttons that queue the measurements of checkpoints at once, with their usual settings.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Run, path};
use shared::config::{EpsCurveConfig, EvaluateConfig, RunConfig, SaliencyConfig, TransferConfig};
use shared::format;
use shared::id::CheckpointRef;
use shared::problem::Problem;

use crate::api;
use crate::load::refusal;
use crate::viewer::use_is_owner;

/// Above this number of runs, a button asks before it queues them: standard AutoAttack takes hours.
const MOST_UNASKED: usize = 8;

/// What a button measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// As papers report checkpoints: standard AutoAttack of each, and Grad-CAM of those of a run beside each other.
    Reported,
    /// Accuracy and CAS of each over the radius of the attack.
    EpsCurve,
    /// How adversarial images of the checkpoints of each run transfer between them.
    Transfer,
}

#[component]
pub fn MeasureButton(
    measurement: Measurement,
    /// The checkpoints of each run, such as its best and its last; empty while there are none.
    #[prop(into)]
    checkpoints: Signal<Vec<Vec<CheckpointRef>>>,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let configs = Memo::new(move |_| checkpoints.with(|checkpoints| measurement.configs(checkpoints)));
    let some = Memo::new(move |_| is_owner && configs.with(|configs| !configs.is_empty()));
    let asking = RwSignal::new(false);
    let busy = RwSignal::new(false);
    let queued = RwSignal::new(0);
    let problem = RwSignal::new(None::<Problem>);
    let submit = move || {
        let configs = configs.get_untracked();
        asking.set(false);
        busy.set(true);
        queued.set(0);
        problem.set(None);
        spawn_local(async move {
            for config in configs {
                match api::post::<Run>(&path::runs(), &config).await {
                    Ok(_) => drop(queued.try_update(|queued| *queued += 1)),
                    Err(refused) => {
                        let _ = problem.try_set(Some(refused));
                        break;
                    }
                }
            }
            let _ = busy.try_set(false);
        });
    };
    let press = move |_| {
        if !asking.get_untracked() && configs.with_untracked(Vec::len) > MOST_UNASKED { asking.set(true) } else { submit() }
    };
    let text = move || match configs.with(Vec::len) {
        count if asking.get() => format!("Queue {} runs?", format::count(count as u64)),
        _ => measurement.label().to_owned(),
    };
    let said = move || {
        let count = queued.get();
        (count > 0).then(|| {
            let runs = if count == 1 { "run is" } else { "runs are" };
            view! { <p class="muted">{format!("{count} {runs} in the ")}<a href="queue">"queue"</a>"."</p> }
        })
    };
    let content = move || {
        view! {
            <div class="measure-button">
                <button
                    class="button button-small" type="button" disabled=move || busy.get() on:click=press on:blur=move |_| asking.set(false)
                    title=measurement.hint()
                >{text}</button>
                <div role="status">{said}</div>
                {refusal(problem)}
            </div>
        }
    };
    move || some.get().then(content)
}

impl Measurement {
    fn label(self) -> &'static str {
        match self {
            Measurement::Reported => "AutoAttack and Grad-CAM",
            Measurement::EpsCurve => "Curve over eps",
            Measurement::Transfer => "Transfer between its checkpoints",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Measurement::Reported => "AutoAttack of each checkpoint, and Grad-CAM of those of a run on the same images",
            Measurement::EpsCurve => "Accuracy and CAS of each checkpoint under PGD from radius 0 to twice the usual one",
            Measurement::Transfer => "Attacks images on each kept checkpoint, up to 40 of them, and classifies them with all",
        }
    }

    /// The runs that measure the checkpoints of each run.
    fn configs(self, runs: &[Vec<CheckpointRef>]) -> Vec<RunConfig> {
        let each = runs.iter().flatten().cloned();
        match self {
            Measurement::Reported => {
                let several = runs.iter().filter(|checkpoints| checkpoints.len() > 1);
                each.map(|checkpoint| RunConfig::Evaluate(Box::new(EvaluateConfig::of(checkpoint))))
                    .chain(several.map(|checkpoints| RunConfig::Saliency(Box::new(SaliencyConfig::of(checkpoints.clone())))))
                    .collect()
            }
            Measurement::EpsCurve => each.map(|checkpoint| RunConfig::EpsCurve(Box::new(EpsCurveConfig::of(checkpoint)))).collect(),
            Measurement::Transfer => {
                let several = runs.iter().filter(|checkpoints| checkpoints.len() > 1);
                let some = several.map(|checkpoints| evenly(checkpoints, TransferConfig::MOST_CHECKPOINTS));
                some.map(|checkpoints| RunConfig::Transfer(Box::new(TransferConfig::of(checkpoints)))).collect()
            }
        }
    }
}

/// At most `most` of the checkpoints, in even steps from the first to the last.
fn evenly(checkpoints: &[CheckpointRef], most: usize) -> Vec<CheckpointRef> {
    let count = checkpoints.len().min(most);
    (0..count).map(|index| checkpoints[index * (checkpoints.len() - 1) / (count - 1).max(1)].clone()).collect()
}

#[cfg(test)]
mod tests {
    use shared::config::RunKind;
    use shared::fixtures;
    use shared::id::Which;

    use super::*;

    #[test]
    fn best_and_last_of_each_run_are_measured() {
        let of = |run: &str, which: &[Which]| -> Vec<CheckpointRef> {
            which.iter().map(|which| CheckpointRef { run: fixtures::run_id(run), which: *which }).collect()
        };
        let check = |measurement: Measurement, expected: &[RunKind]| {
            let made = measurement.configs(&[of("r-1", &[Which::Best, Which::Last]), of("r-2", &[Which::Last])]);
            assert_eq!(made.iter().map(RunConfig::kind).collect::<Vec<_>>(), expected);
            assert!(made.iter().all(|config| config.validate().is_empty()) && measurement.configs(&[]).is_empty());
            made
        };
        check(Measurement::EpsCurve, &[RunKind::EpsCurve; 3]);
        check(Measurement::Transfer, &[RunKind::Transfer]);
        let epochs: Vec<Which> = (1..=100).map(Which::Epoch).collect();
        let made = Measurement::Transfer.configs(&[of("r-1", &epochs)]);
        let needed: Vec<String> = made[0].needs().into_iter().map(|(_, checkpoint)| checkpoint.to_string()).collect();
        assert_eq!((needed.len(), needed[0].as_str(), needed[39].as_str()), (40, "r-1.e1", "r-1.e100"));
        assert!(made[0].validate().is_empty());
        let made = check(Measurement::Reported, &[RunKind::Evaluate, RunKind::Evaluate, RunKind::Evaluate, RunKind::Saliency]);
        let needed: Vec<String> = made[3].needs().into_iter().map(|(_, checkpoint)| checkpoint.to_string()).collect();
        assert_eq!(needed, ["r-1.best", "r-1.last"]);
    }
}
