//! Fields that choose checkpoints of existing runs.

use leptos::prelude::*;
use shared::api::{CheckpointInfo, RunRow, path};
use shared::config::RunKind;
use shared::format;
use shared::id::{CheckpointRef, RunId, Which};

use crate::components::field::{field_id, use_form};
use crate::components::run_picker::RunPicker;
use crate::form;
use crate::load::{Load, fetched};
use crate::rows::{Rows, use_rows};

/// The runs that may have checkpoints, kept up to date while the form is open.
pub fn runs_with_checkpoints() -> Rows {
    let rows = use_rows();
    rows.keep_fresh();
    rows
}

fn has_checkpoints(run: &RunRow) -> bool {
    match run.kind {
        RunKind::Train => run.epoch > 0,
        RunKind::Import => run.state.is_finished(),
        // Only the program that trains an external run knows its network.
        RunKind::Attribute
        | RunKind::Evaluate
        | RunKind::EpsCurve
        | RunKind::Saliency
        | RunKind::Pair
        | RunKind::Transfer
        | RunKind::External => false,
    }
}

/// A field for one checkpoint at a path of the configuration.
#[component]
pub fn CheckpointField(
    path: &'static str,
    label: &'static str,
    runs: Rows,
    /// Label of the option "none"; if empty, a checkpoint must be chosen.
    #[prop(optional)]
    none: &'static str,
) -> impl IntoView {
    let form = use_form();
    let value = Memo::new(move |_| form.text(path));
    // A required field stays in the configuration even if empty, so that its error message is easy to
    // understand.
    let set = Callback::new(move |(text,): (String,)| form.set(path, (none.is_empty() || !text.is_empty()).then(|| text.into())));
    let messages = Memo::new(move |_| form.errors.with(|errors| form::messages(errors, path)));
    view! { <Picker id=field_id(path) label=label.to_owned() runs value=value.into() set none messages/> }
}

/// A list of several checkpoints in the configuration.
#[component]
pub fn CheckpointList(path: &'static str, runs: Rows, most: usize) -> impl IntoView {
    let form = use_form();
    let list = Memo::new(move |_| {
        form.config.with(|config| {
            let list = form::at(config, path).and_then(serde_json::Value::as_array);
            list.into_iter().flatten().map(|value| form::text_of(Some(value))).collect::<Vec<_>>()
        })
    });
    let set = move |list: Vec<String>| form.set(path, Some(list.into()));
    let messages = Memo::new(move |_| form.errors.with(|errors| form::messages(errors, path)));
    let indices = Memo::new(move |_| (0..list.with(Vec::len)).collect::<Vec<_>>());
    let full = Memo::new(move |_| indices.with(Vec::len) >= most);
    let no_messages = Memo::new(|_| Vec::new());
    let row = move |index: usize| {
        let value = Signal::derive(move || list.with(|list| list.get(index).cloned().unwrap_or_default()));
        let choose = Callback::new(move |(text,): (String,)| {
            let mut list = list.get_untracked();
            list[index] = text;
            set(list);
        });
        let remove = move |_: leptos::ev::MouseEvent| {
            let mut list = list.get_untracked();
            list.remove(index);
            set(list);
        };
        view! {
            <div class="field-wide checkpoint-row">
                <Picker
                    id=format!("{}-{index}", field_id(path)) label=format!("Checkpoint {}", index + 1) runs value set=choose none="" messages=no_messages
                />
                <button class="button" type="button" aria-label=format!("Remove checkpoint {}", index + 1) on:click=remove>"Remove"</button>
            </div>
        }
    };
    let add = move |_: leptos::ev::MouseEvent| {
        let mut list = list.get_untracked();
        // Suggest the last checkpoint after the best one: the two are usually compared.
        let other = list.last().and_then(|last| last.strip_suffix(".best")).map(|run| format!("{run}.last"));
        list.push(other.unwrap_or_default());
        set(list);
    };
    view! {
        <For each=move || indices.get() key=ToString::to_string children=row/>
        <div class="field-wide">
            <p class="actions">
                <button class="button" type="button" id=field_id(path) disabled=move || full.get() on:click=add>"Add a checkpoint"</button>
            </p>
            <div class="field-error">
                {move || messages.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
            </div>
        </div>
    }
}

/// Chooses a run and one of its checkpoints.
#[component]
fn Picker(
    id: String,
    label: String,
    runs: Rows,
    value: Signal<String>,
    set: Callback<(String,)>,
    none: &'static str,
    messages: Memo<Vec<String>>,
) -> impl IntoView {
    let chosen = Memo::new(move |_| value.get().parse::<CheckpointRef>().ok());
    let run = Memo::new(move |_| chosen.get().map(|chosen| chosen.run));
    let checkpoints = fetched::<Vec<CheckpointInfo>>(move || run.get().map(|run| path::run_checkpoints(&run)));
    let which_options = move || {
        let known =
            checkpoints.ready().filter(|list| list.first().is_none_or(|first| Some(&first.run) == run.get().as_ref())).unwrap_or_default();
        which_options(&known, chosen.get().map(|chosen| chosen.which))
    };
    let choose_run = Callback::new(move |(run,): (Option<RunId>,)| {
        let which = chosen.get_untracked().map_or(Which::Best, |chosen| match chosen.which {
            Which::Epoch(_) => Which::Best,
            which => which,
        });
        set.run((run.map(|run| CheckpointRef { run, which }.to_string()).unwrap_or_default(),));
    });
    let choose_which = move |event| {
        if let Some(run) = run.get_untracked() {
            set.run((format!("{run}.{}", event_target_value(&event)),));
        }
    };
    let nothing = Memo::new(move |_| {
        let offered = || runs.table.with(|table| table.values().any(|entry| has_checkpoints(&entry.run)));
        none.is_empty() && runs.phase.get() == Load::Ready(()) && run.with(Option::is_none) && !offered()
    });
    let which_id = format!("{id}-which");
    let invalid = Signal::derive(move || messages.with(|messages| !messages.is_empty()).then_some("true"));
    view! {
        <div class="field field-wide">
            <div class="picker">
                <div class="field"><RunPicker id label rows=runs value=run choose=choose_run offers=has_checkpoints none invalid/></div>
                <div class="field">
                    <label class="field-label" for=which_id.clone()>"Epoch"</label>
                    <select class="input" id=which_id disabled=move || run.with(Option::is_none) on:change=choose_which>
                        {move || which_options()
                            .into_iter()
                            .map(|(value, text, selected)| view! { <option value=value prop:selected=selected>{text}</option> })
                            .collect_view()}
                    </select>
                </div>
            </div>
            {move || nothing.get().then(|| view! { <p class="field-hint">"No run has kept a checkpoint yet: train one, or import one."</p> })}
            <div class="field-error">
                {move || messages.get().into_iter().map(|message| view! { <p>{message}</p> }).collect_view()}
            </div>
        </div>
    }
}

/// Best, last and every kept epoch: value, label, and whether it is chosen.
fn which_options(known: &[CheckpointInfo], chosen: Option<Which>) -> Vec<(String, String, bool)> {
    let text = |name: &str, checkpoint: Option<&CheckpointInfo>| match checkpoint {
        Some(checkpoint) => match checkpoint.robust_accuracy {
            Some(robust) => format!("{name} (epoch {}, robust {})", checkpoint.epoch, format::percent(robust)),
            None => format!("{name} (epoch {})", checkpoint.epoch),
        },
        None => name.to_owned(),
    };
    let is = |which| chosen == Some(which);
    // If no epoch was evaluated, the best checkpoint is the last.
    let best_is_gone =
        known.iter().any(|checkpoint| checkpoint.robust_accuracy.is_some()) && !known.iter().any(|checkpoint| checkpoint.is_best);
    let best = if best_is_gone { "Best (not kept)" } else { "Best" };
    let mut options = vec![
        ("best".to_owned(), text(best, known.iter().find(|checkpoint| checkpoint.is_best)), is(Which::Best)),
        ("last".to_owned(), text("Last", known.iter().find(|checkpoint| checkpoint.is_last)), is(Which::Last)),
    ];
    let epoch = |epoch: u32| (format!("e{epoch}"), format!("Epoch {epoch}"), is(Which::Epoch(epoch)));
    options.extend(known.iter().map(|checkpoint| epoch(checkpoint.epoch)));
    if let Some(Which::Epoch(chosen)) = chosen
        && known.iter().all(|checkpoint| checkpoint.epoch != chosen)
    {
        options.push(epoch(chosen));
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_that_is_named_is_an_option_even_before_the_others_are_known() {
        let chosen = |known: &[CheckpointInfo], which| {
            let options = which_options(known, Some(which));
            options.into_iter().filter(|option| option.2).map(|option| (option.0, option.1)).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[], Which::Epoch(7)), [("e7".to_owned(), "Epoch 7".to_owned())]);
        let best = CheckpointInfo {
            id: "at-1.e7".parse().unwrap(),
            run: "at-1".parse().unwrap(),
            epoch: 7,
            is_best: true,
            is_last: false,
            size_bytes: 1,
            sha256: String::new(),
            clean_accuracy: None,
            robust_accuracy: Some(0.5),
            signs: Vec::new(),
            attributions: Vec::new(),
        };
        assert_eq!(chosen(std::slice::from_ref(&best), Which::Best), [("best".to_owned(), "Best (epoch 7, robust 50.0 %)".to_owned())]);
        assert_eq!(which_options(std::slice::from_ref(&best), Some(Which::Epoch(7))).len(), 3, "it is named once");
        let other = CheckpointInfo { is_best: false, ..best };
        assert_eq!(chosen(&[other], Which::Best), [("best".to_owned(), "Best (not kept)".to_owned())]);
    }
}
