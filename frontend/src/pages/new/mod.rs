//! The page for a new run of any kind: start from a preset, a checkpoint or another run, edit, check and
//! submit.

mod checkpoint;
mod data;
mod import;
mod inspection;
mod measure;
mod presets;
mod run_form;
mod section;
mod series;
mod sweep;
mod train;

use std::collections::BTreeSet;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;
use serde_json::Value;
use shared::api::{Run, path};
use shared::config::{
    AttributeConfig, DataConfig, EpsCurveConfig, EvaluateConfig, ImportConfig, PairConfig, RunConfig, RunKind, SaliencyConfig,
    TransferConfig,
};
use shared::dataset::Dataset;
use shared::id::{CheckpointId, RunId};
use shared::preset::Preset;

use self::presets::{Chosen, Presets};
use self::run_form::RunForm;
use crate::browser::use_title;
use crate::components::health::WorkerBanner;
use crate::load::{Failure, Load, Placeholder, Skeleton, fetched, shown};
use crate::{form, sweep_form, urls};

const FIRST_PRESET: &str = "demo";

/// Where the initial values of the form come from.
#[derive(Clone, Debug, PartialEq)]
enum Origin {
    Preset {
        id: String,
        small: bool,
    },
    Run {
        id: RunId,
        fork: Option<Fork>,
    },
    /// A kind of run other than training, for these checkpoints.
    Kind {
        kind: RunKind,
        checkpoints: Vec<String>,
    },
}

/// How a run goes on from a checkpoint of another.
#[derive(Clone, Debug, PartialEq)]
struct Fork {
    epoch: u32,
    /// Features to leave out, besides those that the other run leaves out.
    without: Vec<u32>,
}

impl Origin {
    /// Reads the origin from URL parameters. `get` returns the value of a parameter.
    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        let kind = get("kind").and_then(|id| id.parse().ok()).filter(|kind: &RunKind| kind.is_submitted());
        let named = get("preset");
        match (get("from").and_then(|run| run.parse().ok()), kind) {
            (Some(id), _) => {
                let without = || get("without").unwrap_or_default().split(',').filter_map(|feature| feature.parse().ok()).collect();
                let fork = get("fork").and_then(|epoch| epoch.parse().ok());
                Origin::Run { id, fork: fork.map(|epoch| Fork { epoch, without: without() }) }
            }
            (None, Some(kind)) if kind != RunKind::Train && named.is_none() => {
                let checkpoints = get("checkpoint").unwrap_or_default();
                let checkpoints = checkpoints.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                Origin::Kind { kind, checkpoints }
            }
            (None, _) => {
                let small = get("form").as_deref() == Some("small");
                Origin::Preset { id: named.unwrap_or_else(|| FIRST_PRESET.to_owned()), small }
            }
        }
    }
}

/// A configuration of a kind. Checkpoints that are still to be chosen are empty strings.
fn blank(kind: RunKind, checkpoints: &[String]) -> Value {
    // A configuration names its checkpoint. This one is replaced below.
    let any = || "run.best".parse().expect("it is a checkpoint");
    let config = match kind {
        // No tab leads to a run of another program.
        RunKind::Train | RunKind::External => shared::preset::demo().config,
        RunKind::Attribute => RunConfig::Attribute(Box::new(AttributeConfig::of(any()))),
        RunKind::Evaluate => RunConfig::Evaluate(Box::new(EvaluateConfig::of(any()))),
        RunKind::EpsCurve => RunConfig::EpsCurve(Box::new(EpsCurveConfig::of(any()))),
        RunKind::Saliency => RunConfig::Saliency(Box::new(SaliencyConfig::of(Vec::new()))),
        RunKind::Pair => RunConfig::Pair(Box::new(PairConfig::of(Vec::new(), Vec::new()))),
        RunKind::Transfer => RunConfig::Transfer(Box::new(TransferConfig::of(Vec::new()))),
        RunKind::Import => RunConfig::Import(Box::new(ImportConfig::of(String::new(), DataConfig::of(Dataset::Cifar10)))),
    };
    let mut config = config.to_json();
    match kind {
        RunKind::Attribute | RunKind::Evaluate | RunKind::EpsCurve => {
            form::set_at(&mut config, "checkpoint", Some(checkpoints.first().cloned().unwrap_or_default().into()));
        }
        RunKind::Saliency | RunKind::Pair | RunKind::Transfer => {
            form::set_at(&mut config, "checkpoints", Some(checkpoints.to_vec().into()))
        }
        RunKind::Train | RunKind::Import | RunKind::External => {}
    }
    config
}

/// The configuration of a run that starts from a checkpoint of a training run; `None` if the run does not train.
fn forked(run: &Run, fork: &Fork) -> Option<Value> {
    let Fork { epoch, without } = fork;
    let left_out: BTreeSet<u32> = without.iter().chain(&run.config.as_train()?.training.left_out_features).copied().collect();
    let mut config = run.config.to_json();
    let start = CheckpointId { run: run.id.clone(), epoch: *epoch };
    form::set_at(&mut config, "start_from", Some(start.to_string().into()));
    if !left_out.is_empty() {
        form::set_at(&mut config, "training.left_out_features", Some(left_out.into_iter().collect::<Vec<_>>().into()));
    }
    // Its own title says where it starts, and its sweep would not have planned it.
    form::set_at(&mut config, "name", Some("".into()));
    form::set_at(&mut config, "sweep", None);
    Some(config)
}

/// Name of the form of a fork.
fn form_name(id: &RunId, Fork { epoch, without }: &Fork) -> String {
    let left_out = if without.is_empty() { String::new() } else { format!(" without {without:?}") };
    format!("fork of {id} at {epoch}{left_out}")
}

/// What a fork does, before the title of the run that it comes from.
fn purpose(Fork { epoch, without }: &Fork) -> String {
    match without.len() {
        0 => format!("Goes on from epoch {epoch} of "),
        1 => format!("Goes on without feature {} from epoch {epoch} of ", without[0]),
        count => format!("Goes on without {count} features from epoch {epoch} of "),
    }
}

#[component]
pub fn NewPage() -> impl IntoView {
    use_title(|| "New run".to_owned());
    let query = use_query_map();
    let origin = Memo::new(move |_| query.with(|query| Origin::of(|name| query.get(name))));
    // The presets are open if the URL names no starting point.
    let browsing = Memo::new(move |_| query.with(|query| query.get("preset").is_none() && query.get("from").is_none()));
    let presets = fetched::<Vec<Preset>>(|| Some(path::presets()));
    view! {
        <header class="page-header"><h1>"New run"</h1></header>
        <WorkerBanner/>
        {shown(presets, Placeholder::Rows, move |presets| view! { <Start presets origin browsing/> })}
    }
}

/// The choice of what to run, and the form for it.
#[component]
fn Start(presets: Vec<Preset>, origin: Memo<Origin>, browsing: Memo<bool>) -> impl IntoView {
    let from = fetched::<Run>(move || match origin.get() {
        Origin::Run { id, .. } => Some(path::run(&id)),
        Origin::Preset { .. } | Origin::Kind { .. } => None,
    });
    let presets = StoredValue::new(presets);
    let find = move |id: &str| presets.with_value(|presets| presets.iter().find(|preset| preset.id == id).cloned());
    let kind = Memo::new(move |_| match origin.get() {
        Origin::Preset { id, .. } => find(&id).map_or(RunKind::Train, |preset| preset.config.kind()),
        Origin::Run { .. } => from.ready().map_or(RunKind::Train, |run| run.config.kind()),
        Origin::Kind { kind, .. } => kind,
    });
    let content = move || match origin.get() {
        Origin::Preset { id, small } => match find(&id) {
            Some(preset) => {
                let small = small && preset.small.is_some();
                let config = preset.small.as_ref().filter(|_| small).unwrap_or(&preset.config).to_json();
                let rows = preset.sweep.iter().map(|axis| sweep_form::row(axis, small)).collect();
                let smaller = (preset.small.is_some() && !small).then(|| format!("new?preset={id}&form=small"));
                view! { <Chosen preset small/><RunForm name=format!("preset {id} {small}") config rows smaller/> }.into_any()
            }
            None => {
                view! { <p class="notice notice-error" role="alert">{format!("There is no preset `{id}`: choose one of those above.")}</p> }
                    .into_any()
            }
        },
        Origin::Run { id, fork } => match from.state.get() {
            Load::Ready(run) if run.id == id => {
                let (config, name, what) = match fork.and_then(|fork| Some((forked(&run, &fork)?, fork))) {
                    Some((config, fork)) => (config, form_name(&id, &fork), purpose(&fork)),
                    None => (run.config.to_json(), format!("from {id}"), "A copy of ".to_owned()),
                };
                view! {
                    <p class="origin">{what}<a href=urls::href(&urls::run(&run.id))>{run.title}</a>"."</p>
                    <RunForm name config rows=Vec::new() smaller=None/>
                }
                .into_any()
            }
            Load::Failed(problem) => view! { <Failure problem retry=move || from.reload()/> }.into_any(),
            Load::Ready(_) | Load::Loading => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
        },
        Origin::Kind { kind, checkpoints } => {
            let name = format!("{} {}", kind.id(), checkpoints.join(","));
            view! { <RunForm name config=blank(kind, &checkpoints) rows=Vec::new() smaller=None/> }.into_any()
        }
    };
    view! {
        <nav class="tabs tabs-kinds" aria-label="Kinds of runs">
            {RunKind::ALL
                .iter()
                .copied()
                .filter(|kind| kind.is_submitted())
                .map(|tab| {
                    let href = if tab == RunKind::Train { "new".to_owned() } else { format!("new?kind={}", tab.id()) };
                    let current = move || (kind.get() == tab).then_some("page");
                    view! { <a class="tab" href=href aria-current=current>{tab.label()}</a> }
                })
                .collect_view()}
        </nav>
        <Show when=move || kind.get() == RunKind::Train || !browsing.get()>
            <Presets presets origin open=browsing/>
        </Show>
        {move || content()}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &[(&str, &str)], expected: Origin) {
        let get = |name: &str| query.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(Origin::of(get), expected);
    }

    #[test]
    fn the_address_says_what_the_form_starts_from() {
        let preset = |id: &str, small| Origin::Preset { id: id.into(), small };
        check(&[], preset("demo", false));
        check(&[("preset", "l2"), ("form", "small")], preset("l2", true));
        let run = |fork: Option<(u32, &[u32])>| {
            let fork = fork.map(|(epoch, without)| Fork { epoch, without: without.to_vec() });
            Origin::Run { id: "at-1".parse().unwrap(), fork }
        };
        check(&[("from", "at-1"), ("preset", "l2")], run(None));
        check(&[("from", "at-1"), ("fork", "12")], run(Some((12, &[]))));
        check(&[("from", "at-1"), ("fork", "12"), ("without", "3,17")], run(Some((12, &[3, 17]))));
        check(&[("kind", "train")], preset("demo", false));
        let evaluate = |checkpoints: &[&str]| Origin::Kind {
            kind: RunKind::Evaluate,
            checkpoints: checkpoints.iter().map(|name| (*name).to_owned()).collect(),
        };
        check(&[("kind", "evaluate")], evaluate(&[]));
        check(&[("kind", "evaluate"), ("checkpoint", "at-1.best,at-1.last")], evaluate(&["at-1.best", "at-1.last"]));
    }

    #[test]
    fn a_fork_has_the_configuration_of_its_run_and_names_the_checkpoint() {
        let mut run = shared::fixtures::run("at-1");
        let RunConfig::Train(config) = &mut run.config else { panic!("the demo trains") };
        config.sweep = Some("seeds".parse().unwrap());
        let child = |run: &Run, without: &[u32]| {
            let config = forked(run, &Fork { epoch: 12, without: without.to_vec() }).unwrap();
            RunConfig::parse(&config).unwrap()
        };
        let plain = child(&run, &[]);
        assert_eq!(plain.title(), "Digits · PGD AT · ℓ∞ 25.5/255 · from at-1.e12");
        let [plain, parent] = [&plain, &run.config].map(|config| config.as_train().unwrap());
        assert_eq!((&plain.sweep, &plain.training), (&None, &parent.training));

        // What the parent leaves out stays out.
        let without = child(&run, &[3, 17]);
        assert_eq!(without.as_train().unwrap().training.left_out_features, [3, 17]);
        run.config = without;
        assert_eq!(child(&run, &[5, 17]).title(), "Digits · PGD AT · ℓ∞ 25.5/255 · without features 3, 5, 17 · from at-1.e12");
    }

    #[test]
    fn only_a_training_run_is_gone_on_with() {
        let mut run = shared::fixtures::run("import-1");
        run.config = RunConfig::Import(Box::new(ImportConfig::of("/x.pth".into(), DataConfig::of(Dataset::Cifar10))));
        assert_eq!(forked(&run, &Fork { epoch: 12, without: vec![3] }), None);
    }

    #[test]
    fn a_blank_run_lacks_only_what_has_to_be_chosen() {
        let wrong = |kind, checkpoints: &[&str]| {
            let checkpoints: Vec<String> = checkpoints.iter().map(|name| (*name).to_owned()).collect();
            let errors = RunConfig::parse(&blank(kind, &checkpoints)).err().unwrap_or_default();
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(wrong(RunKind::Evaluate, &[]), ["checkpoint"]);
        assert_eq!(wrong(RunKind::EpsCurve, &[]), ["checkpoint"]);
        assert_eq!(wrong(RunKind::Saliency, &[]), ["checkpoints"]);
        assert_eq!(wrong(RunKind::Pair, &["at-1.best"]), ["pairs"]);
        assert_eq!(wrong(RunKind::Transfer, &["at-1.best"]), ["checkpoints"]);
        assert_eq!(wrong(RunKind::Import, &[]), ["source"]);
        for kind in [RunKind::Train, RunKind::Attribute, RunKind::Evaluate, RunKind::EpsCurve, RunKind::Saliency] {
            assert!(wrong(kind, &["at-1.best"]).is_empty(), "{kind:?}");
        }
    }
}
