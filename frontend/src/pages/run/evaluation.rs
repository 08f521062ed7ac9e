//! The result of an evaluation: the accuracy to report, per attack and per class.

use leptos::prelude::*;
use shared::api::{CheckedAttack, EvaluationFile, Run, RunState, SelfCheck, path};
use shared::config::{EvaluateConfig, RunConfig, ThreatModel};
use shared::format;
use shared::record::{EvaluationStep, Metrics};
use shared::signs::{Sign, SignKind, of_evaluation};

use super::measured_checkpoints::MeasuredCheckpoints;
use super::training::Phase;
use crate::components::attack_table::{AttackRow, AttackTable};
use crate::components::heatmap::is_open;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::signs::Signs;
use crate::load::{Placeholder, fetched, shown};

/// With more classes than this, the confusion table is left out because it is too large to read.
const LARGEST_TABLE: usize = 20;
const CONFUSIONS: usize = 12;

#[component]
pub fn EvaluationView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let (id, config) = run.with_untracked(|run| (run.id.clone(), run.config.clone()));
    let RunConfig::Evaluate(config) = config else { return ().into_any() };
    let complete = Memo::new(move |_| run.with(|run| run.state == RunState::Succeeded));
    let file = fetched::<EvaluationFile>(move || complete.get().then(|| path::run_evaluation(&id)));
    let steps = Memo::new(move |_| metrics.with(|metrics| metrics.evaluation.clone()));
    let ended = Memo::new(move |_| run.with(|run| run.state.is_finished()));
    let subject = config.checkpoint.clone();
    let figures = Signal::derive(move || {
        let threat = file.ready().map(|file| file.threat().long());
        figures(&steps.get(), &threat.unwrap_or_else(|| threat_model(&config)), ended.get())
    });
    let report = move || match file.ready() {
        Some(file) => Some(file.report),
        None => so_far(&steps.get()).filter(|_| run.with(|run| run.state == RunState::Running)),
    };
    view! {
        <KeyFigures figures/>
        {move || report().map(|report| view! { <p class="finding" aria-live="polite">{report}</p> })}
        <Signs signs=Signal::derive(move || file.ready().map_or_else(|| signs(&steps.get(), None), |file| signs(&file.steps, file.self_check.as_ref())))/>
        <section class="panel" aria-labelledby="steps-title">
            <div class="panel-header">
                <h2 id="steps-title">"Attack by attack"</h2>
                <Phase run metrics/>
            </div>
            <StepTable steps ended/>
            <MeasuredCheckpoints checkpoints=vec![subject]/>
        </section>
        {move || complete.get().then(|| shown(file, Placeholder::Rows, |file| view! {
            {file.self_check.clone().map(|check| view! { <CheckTable check/> })}
            <ByClass file/>
        }))}
    }
    .into_any()
}

/// The signs of a broken evaluation but that of masked gradients, which a notice of the worker tells.
fn signs(steps: &[EvaluationStep], self_check: Option<&SelfCheck>) -> Vec<Sign> {
    of_evaluation(steps, self_check).into_iter().filter(|sign| sign.kind != SignKind::MaskedGradients).collect()
}

fn threat_model(config: &EvaluateConfig) -> String {
    match (config.threat(), config.eps) {
        (Some(threat), _) => threat.long(),
        (None, Some(eps)) => format!("eps {eps}"),
        (None, None) => "threat model of the checkpoint's run".to_owned(),
    }
}

fn figures(steps: &[EvaluationStep], threat: &str, ended: bool) -> Vec<Figure> {
    let attacked = steps.iter().skip(1).next_back();
    let clean = steps.first();
    vec![
        Figure::new("Robust accuracy", format::percent(attacked.map(|step| step.accuracy)), threat),
        Figure::new("Clean accuracy", format::percent(clean.map(|step| step.accuracy)), "the same images, not attacked"),
        Figure::new(
            "Images",
            clean.map_or_else(|| "–".to_owned(), |step| format::count(step.attacked.into())),
            attacked.map_or_else(
                || if ended { "no attack was done" } else { "no attack is done yet" }.to_owned(),
                |step| format!("after {}", step.attack),
            ),
        ),
    ]
}

/// An interim result while attacks are still to come.
fn so_far(steps: &[EvaluationStep]) -> Option<String> {
    let (first, attacks) = steps.split_first()?;
    let last = attacks.last()?;
    let names: Vec<&str> = attacks.iter().map(|step| step.attack.as_str()).collect();
    let images = format::count(first.attacked.into());
    Some(format!(
        "So far {} of {images} images withstand {}; what is still to come can only lower it.",
        format::percent(last.accuracy),
        names.join(", ")
    ))
}

#[component]
fn StepTable(steps: Memo<Vec<EvaluationStep>>, ended: Memo<bool>) -> impl IntoView {
    let row = |step: EvaluationStep| {
        let EvaluationStep { attack, attacked, broken, accuracy, seconds, broken_gradients: _ } = step;
        view! {
            <tr>
                <th scope="row">{if attack == "clean" { "No attack".to_owned() } else { attack }}</th>
                <td class="number">{format::count(attacked.into())}</td>
                <td class="number">{format::count(broken.into())}</td>
                <td class="bar-cell"><span class="bar" style:width=format!("{:.1}%", accuracy * 100.0)></span></td>
                <td class="number">{format::percent(accuracy)}</td>
                <td class="number">{format::duration(seconds)}</td>
            </tr>
        }
    };
    view! {
        <div class="table-box" role="region" aria-label="Attacks" tabindex="0">
            <table class="table table-dense">
                <thead>
                    <tr>
                        <th scope="col">"Attack"</th>
                        <th scope="col" class="number">"Images attacked"</th>
                        <th scope="col" class="number">"Broken"</th>
                        <td></td>
                        <th scope="col" class="number">"Accuracy after it"</th>
                        <th scope="col" class="number">"Time"</th>
                    </tr>
                </thead>
                <tbody>{move || steps.get().into_iter().map(row).collect_view()}</tbody>
            </table>
            {move || steps.with(Vec::is_empty).then(|| view! { <p class="table-empty">{if ended.get() { "Nothing was measured." } else { "Nothing is measured yet." }}</p> })}
        </div>
    }
}

/// What the evaluation has measured to check itself.
#[component]
fn CheckTable(check: SelfCheck) -> impl IntoView {
    let SelfCheck { images, clean, norm, .. } = check;
    let row = |attack: &CheckedAttack| AttackRow {
        names: [format!("{}, step {}", attack.name(), attack.step_size.long(norm)), ThreatModel { norm, eps: attack.eps }.long()],
        images,
        correct: attack.correct,
        accuracy: attack.accuracy,
        interval: attack.accuracy_interval,
        more: Vec::new(),
        seconds: attack.seconds,
    };
    let rows = [&check.few_steps, &check.many_steps, &check.large_radius].map(row).to_vec();
    view! {
        <section class="panel" aria-labelledby="check-title">
            <h2 id="check-title">"Check of the evaluation itself"</h2>
            <p class="muted">{outcome(&check)}</p>
            <AttackTable label="Check of the evaluation" heads=["Attack", "Radius"] rows/>
            <p class="muted">
                {format!(
                    "On {} of the images, {} of them classified correctly without an attack. Images that are wrong then count as wrong here too.",
                    format::count(images.into()), format::count(clean.into()),
                )}
            </p>
        </section>
    }
}

/// How the attacks with few and with many steps differ, and whether that is chance.
fn outcome(check: &SelfCheck) -> String {
    let SelfCheck { few_steps: few, many_steps: many, only_many, only_few, p, .. } = check;
    format!(
        "From the same starts, only {} fools {}, and only {} fools {}: p = {} in the exact sign test that more steps do not help. A \
         working attack brings accuracy to about 0 at the large radius.",
        many.name(),
        images(*only_many),
        few.name(),
        images(*only_few),
        format::short(*p)
    )
}

fn images(count: u32) -> String {
    if count == 1 { "1 image".to_owned() } else { format!("{} images", format::count(count.into())) }
}

#[component]
fn ByClass(file: EvaluationFile) -> impl IntoView {
    let classes = file.class_names.iter().zip(&file.class_counts).zip(&file.class_clean_accuracy).zip(&file.class_robust_accuracy);
    let rows = classes
        .map(|(((name, count), clean), robust)| {
            view! {
                <tr>
                    <th scope="row">{name.clone()}</th>
                    <td class="number">{format::count(u64::from(*count))}</td>
                    <td class="number">{format::percent(*clean)}</td>
                    <td class="bar-cell">
                        <span class="bar bar-clean" style:width=format!("{:.1}%", clean * 100.0)></span>
                        <span class="bar" style:width=format!("{:.1}%", robust * 100.0)></span>
                    </td>
                    <td class="number">{format::percent(*robust)}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="split">
            <section class="panel">
                <h2>"Accuracy by class"</h2>
                <div class="table-box table-box-tall" role="region" aria-label="Accuracy by class" tabindex="0">
                    <table class="table table-dense">
                        <thead>
                            <tr>
                                <th scope="col">"Class"</th>
                                <th scope="col" class="number">"Images"</th>
                                <th scope="col" class="number">"Clean"</th>
                                <td></td>
                                <th scope="col" class="number">"Robust"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </section>
            <section class="panel">
                <h2>"Where the attacks send images"</h2>
                <Confusion names=file.class_names confusion=file.confusion/>
            </section>
        </div>
    }
}

/// The most frequent confusions, and the full table if there are few classes.
#[component]
fn Confusion(names: Vec<String>, confusion: Vec<Vec<u32>>) -> impl IntoView {
    let most = most_confused(&confusion);
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let lines = most
        .iter()
        .take(CONFUSIONS)
        .map(|(i, j, count, share)| {
            view! {
                <tr>
                    <th scope="row">{format!("{} → {}", name(*i), name(*j))}</th>
                    <td class="bar-cell"><span class="bar bar-increase" style:width=format!("{:.1}%", share * 100.0)></span></td>
                    <td class="number">{format!("{count} ({})", format::percent(*share))}</td>
                </tr>
            }
        })
        .collect_view();
    let open = RwSignal::new(false);
    let small = confusion.len() <= LARGEST_TABLE;
    view! {
        <p class="muted">"Of the images of the first class, how many are taken for the second."</p>
        <div class="table-box table-box-tall" role="region" aria-label="Most frequent confusions" tabindex="0">
            <table class="table table-dense"><tbody>{lines}</tbody></table>
            {most.is_empty().then(|| view! { <p class="table-empty">"No image is taken for another class."</p> })}
        </div>
        {small.then(|| view! {
            <details class="disclosure" on:toggle=move |event| open.set(is_open(&event))>
                <summary>"Confusion matrix"</summary>
                {move || open.get().then(|| view! { <ConfusionTable names=names.clone() confusion=confusion.clone()/> })}
            </details>
        })}
    }
}

/// The confusion table: rows are true classes, columns are predictions.
#[component]
fn ConfusionTable(names: Vec<String>, confusion: Vec<Vec<u32>>) -> impl IntoView {
    let rows = confusion
        .iter()
        .zip(&names)
        .map(|(row, name)| {
            let total = row.iter().sum::<u32>().max(1);
            let cells = row
                .iter()
                .map(|count| {
                    let share = format!("{:.3}", f64::from(*count) / f64::from(total));
                    view! { <td class="number" style=("--share", share)>{*count}</td> }
                })
                .collect_view();
            view! { <tr><th scope="row">{name.clone()}</th>{cells}</tr> }
        })
        .collect_view();
    let heads = names.iter().map(|name| view! { <th scope="col" class="number">{name.clone()}</th> }).collect_view();
    view! {
        <div class="table-box" role="region" aria-label="Confusion matrix" tabindex="0">
            <table class="table table-dense confusion">
                <caption class="caption">"Rows: true class. Columns: prediction under attack."</caption>
                <thead><tr><td></td>{heads}</tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

/// True class, predicted class, number of images and their fraction of the true class; largest fraction
/// first.
fn most_confused(confusion: &[Vec<u32>]) -> Vec<(usize, usize, u32, f64)> {
    let mut pairs = Vec::new();
    for (i, row) in confusion.iter().enumerate() {
        let total = f64::from(row.iter().sum::<u32>().max(1));
        let others = row.iter().enumerate().filter(|(j, count)| *j != i && **count > 0);
        pairs.extend(others.map(|(j, count)| (i, j, *count, f64::from(*count) / total)));
    }
    pairs.sort_by(|a, b| b.3.total_cmp(&a.3));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::config::Norm;
    use shared::eps::Eps;

    fn step(attack: &str, attacked: u32, broken: u32, accuracy: f64) -> EvaluationStep {
        EvaluationStep { attack: attack.into(), attacked, broken, accuracy, seconds: 1.0, broken_gradients: None }
    }

    #[test]
    fn confusions_are_counted_off_the_diagonal_by_their_share() {
        let confusion = [vec![5, 5, 0], vec![0, 90, 10], vec![0, 0, 0]];
        assert_eq!(most_confused(&confusion), [(0, 1, 5, 0.5), (1, 2, 10, 0.1)]);
    }

    #[test]
    fn the_check_says_on_how_many_images_its_attacks_differ() {
        let attack = |steps, correct: u32| CheckedAttack {
            eps: Eps::of_255(8.0),
            step_size: Eps::of_255(2.0),
            steps,
            correct,
            accuracy: f64::from(correct) / 200.0,
            accuracy_interval: [0.0, 1.0],
            broken_gradients: None,
            seconds: 1.0,
        };
        let check = SelfCheck {
            images: 200,
            clean: 180,
            norm: Norm::Linf,
            few_steps: attack(20, 100),
            many_steps: attack(100, 92),
            only_many: 9,
            only_few: 1,
            p: 0.0107,
            large_radius: attack(20, 0),
        };
        let said = outcome(&check);
        assert!(
            said.starts_with("From the same starts, only PGD-100 fools 9 images, and only PGD-20 fools 1 image: p = 0.011 in"),
            "{said}"
        );

        // A notice tells of Square.
        let steps = [step("clean", 1000, 100, 0.9), step("APGD-DLR, targeted", 900, 400, 0.5), step("Square", 500, 10, 0.49)];
        assert_eq!((of_evaluation(&steps, None).len(), signs(&steps, None)), (1, Vec::new()));
        assert_eq!(signs(&steps, Some(&SelfCheck { p: 0.001, ..check })).len(), 1);
    }

    #[test]
    fn a_running_evaluation_promises_no_more_than_it_knows() {
        let steps = [step("clean", 1000, 100, 0.9), step("APGD-CE", 900, 400, 0.5), step("Square", 500, 10, 0.49)];
        assert_eq!(so_far(&steps[..1]), None);
        assert_eq!(
            so_far(&steps).unwrap(),
            "So far 49.0 % of 1\u{2009}000 images withstand APGD-CE, Square; what is still to come can only lower it."
        );
        let values = |steps: &[EvaluationStep]| figures(steps, "ℓ∞", false).into_iter().map(|figure| figure.value).collect::<Vec<_>>();
        assert_eq!(values(&steps), ["49.0 %", "90.0 %", "1\u{2009}000"]);
        assert_eq!(values(&steps[..1]), ["–", "90.0 %", "1\u{2009}000"]);
    }
}
