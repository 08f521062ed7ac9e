//! One button that measures checkpoints as papers report them: AutoAttack of each, and Grad-CAM of those of a run
//! beside each other.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Run, path};
use shared::config::{EvaluateConfig, RunConfig, SaliencyConfig};
use shared::format;
use shared::id::CheckpointRef;
use shared::problem::Problem;

use crate::api;
use crate::load::refusal;
use crate::viewer::use_is_owner;

/// Above this number of runs, the button asks before it queues them: standard AutoAttack takes hours.
const MOST_UNASKED: usize = 8;

#[component]
pub fn MeasureButton(
    /// The checkpoints of each run, such as its best and its last; empty while there are none.
    #[prop(into)]
    checkpoints: Signal<Vec<Vec<CheckpointRef>>>,
) -> impl IntoView {
    let is_owner = use_is_owner();
    let configs = Memo::new(move |_| checkpoints.with(|checkpoints| configs(checkpoints)));
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
        _ => "AutoAttack and Grad-CAM".to_owned(),
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
                    title="AutoAttack of each checkpoint, and Grad-CAM of those of a run on the same images"
                >{text}</button>
                <div role="status">{said}</div>
                {refusal(problem)}
            </div>
        }
    };
    move || some.get().then(content)
}

/// Standard AutoAttack for each checkpoint, and Grad-CAM for each run that has several.
fn configs(runs: &[Vec<CheckpointRef>]) -> Vec<RunConfig> {
    let evaluations = runs.iter().flatten().map(|checkpoint| RunConfig::Evaluate(Box::new(EvaluateConfig::of(checkpoint.clone()))));
    let several = runs.iter().filter(|checkpoints| checkpoints.len() > 1);
    evaluations.chain(several.map(|checkpoints| RunConfig::Saliency(Box::new(SaliencyConfig::of(checkpoints.clone()))))).collect()
}

#[cfg(test)]
mod tests {
    use shared::config::RunKind;
    use shared::fixtures;
    use shared::id::Which;

    use super::*;

    #[test]
    fn best_and_last_of_each_run_are_attacked_and_looked_at_beside_each_other() {
        let of = |run: &str, which: &[Which]| -> Vec<CheckpointRef> {
            which.iter().map(|which| CheckpointRef { run: fixtures::run_id(run), which: *which }).collect()
        };
        let made = configs(&[of("r-1", &[Which::Best, Which::Last]), of("r-2", &[Which::Last])]);
        let kinds: Vec<RunKind> = made.iter().map(RunConfig::kind).collect();
        assert_eq!(kinds, [RunKind::Evaluate, RunKind::Evaluate, RunKind::Evaluate, RunKind::Saliency]);
        assert!(made.iter().all(|config| config.validate().is_empty()));
        let needed: Vec<String> = made[3].needs().into_iter().map(|(_, checkpoint)| checkpoint.to_string()).collect();
        assert_eq!(needed, ["r-1.best", "r-1.last"]);
        assert!(configs(&[]).is_empty());
    }
}
