//! The checkpoints of a folder that is to be imported: which of them, and of which epoch each is.

use leptos::prelude::*;
use serde_json::{Value, json};
use shared::format;
use shared::inspection::{FoundCheckpoint, Inspection};
use shared::problem::FieldError;

use crate::components::field::{field_id, use_form};
use crate::form;
use crate::load::told;

const PATH: &str = "checkpoints";

/// A checkpoint as the configuration has it.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    file: String,
    used: bool,
    /// A number, or what a person has written in its place; `None` if it is not known.
    epoch: Option<Value>,
}

/// The list in the configuration; `None` if it has none.
fn listed(config: &Value) -> Option<&Vec<Value>> {
    form::at(config, PATH).and_then(Value::as_array).filter(|list| !list.is_empty())
}

fn row(found: &FoundCheckpoint, config: &Value) -> Row {
    let file = found.file.clone();
    let entry = |list: &Vec<Value>| list.iter().find(|entry| entry["file"] == file.as_str()).cloned();
    match listed(config).map(entry) {
        None => Row { used: found.used, epoch: found.epoch.map(Value::from), file },
        Some(None) => Row { used: false, epoch: found.epoch.map(Value::from), file },
        Some(Some(entry)) => Row { used: true, epoch: entry.get("epoch").cloned(), file },
    }
}

/// Changes a checkpoint. The configuration lists them all from then on, unless they are as they were found.
fn change(config: &mut Value, found: &[FoundCheckpoint], file: &str, change: impl FnOnce(&mut Row)) {
    let mut rows: Vec<Row> = found.iter().map(|found| row(found, config)).collect();
    if let Some(row) = rows.iter_mut().find(|row| row.file == file) {
        change(row);
    }
    let as_found = found.iter().zip(&rows).all(|(found, row)| row.used == found.used && row.epoch == found.epoch.map(Value::from));
    let entry = |row: &Row| match &row.epoch {
        Some(epoch) => json!({"file": row.file, "epoch": epoch}),
        None => json!({"file": row.file}),
    };
    let list: Vec<Value> = rows.iter().filter(|row| row.used).map(entry).collect();
    form::set_at(config, PATH, (!as_found).then(|| list.into()));
}

/// What keeps the checkpoints of a folder from being imported.
pub fn errors(found: &[FoundCheckpoint], config: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut any = found.is_empty();
    for found in found {
        let row = row(found, config);
        any |= row.used;
        let wrong = match (&found.problem, &row.epoch) {
            (Some(problem), _) => Some(problem.as_str()),
            (None, None) if listed(config).is_none() => Some(found.note.as_str()),
            _ => None,
        };
        errors.extend(wrong.filter(|_| row.used).map(|wrong| FieldError::new(PATH, format!("`{}` {wrong}", row.file))));
    }
    if !any {
        errors.push(FieldError::new(PATH, "has none of the folder; choose at least one"));
    }
    errors
}

/// The messages about the list, with the names of the files in it.
fn messages(errors: &[FieldError], config: &Value) -> Vec<String> {
    let message = |error: &FieldError| {
        let place = error.field.strip_prefix(PATH)?;
        let index = place.strip_prefix('[').and_then(|place| place.split_once(']'));
        let entry = index.and_then(|(index, _)| listed(config)?.get(index.parse::<usize>().ok()?));
        let named = entry.and_then(|entry| entry["file"].as_str()).filter(|file| !error.message.contains(file));
        Some(named.map_or_else(|| error.message.clone(), |file| format!("`{file}`: the epoch {}", error.message)))
    };
    errors.iter().filter_map(message).collect()
}

/// The checkpoints of the folder as a table, with the epoch of each to correct.
#[component]
pub fn SeriesTable(found: Memo<Option<Inspection>>) -> impl IntoView {
    let form = use_form();
    let checkpoints = Memo::new(move |_| found.get().map(|inspection| inspection.checkpoints).unwrap_or_default());
    let messages = Memo::new(move |_| form.errors.with(|errors| form.config.with(|config| messages(errors, config))));
    let line = move |file: String| {
        let file = StoredValue::new(file);
        let now = move || checkpoints.with(|found| found.iter().find(|found| file.with_value(|file| found.file == *file)).cloned());
        let row = Memo::new(move |_| now().map(|found| form.config.with(|config| row(&found, config))));
        let used = move || row.with(|row| row.as_ref().is_some_and(|row| row.used));
        let epoch = move || row.with(|row| form::text_of(row.as_ref().and_then(|row| row.epoch.as_ref())));
        let alter = move |alter: &dyn Fn(&mut Row)| {
            let found = checkpoints.get_untracked();
            form.update(|config| file.with_value(|file| change(config, &found, file, alter)));
        };
        let choose = move |event| {
            let on = event_target_checked(&event);
            alter(&move |row| row.used = on);
        };
        let write = move |event| {
            let epoch = form::parse_text(form::Kind::Number, &event_target_value(&event));
            alter(&|row| {
                row.epoch.clone_from(&epoch);
                // Whoever gives a file an epoch wants it.
                row.used |= epoch.is_some();
            });
        };
        let said = move || {
            let found = now()?;
            let (text, wrong) = match found.problem {
                Some(problem) => (problem, used()),
                None => {
                    (found.note, used() && found.epoch.is_none() && row.with(|row| row.as_ref().is_some_and(|row| row.epoch.is_none())))
                }
            };
            Some(view! { <span class:field-error=wrong>{told(&text)}</span> })
        };
        let name = file.get_value();
        let size = now().map(|found| format::bytes(found.size_bytes));
        view! {
            <tr>
                <th scope="row"><label class="reading"><input type="checkbox" prop:checked=used on:change=choose/><span>{name.clone()}</span></label></th>
                <td>
                    <input
                        class="input input-number" type="text" inputmode="numeric" autocomplete="off" aria-label=format!("Epoch of {name}")
                        prop:value=epoch on:input=write
                    />
                </td>
                <td class="number">{size}</td>
                <td class="series-remark">{said}</td>
            </tr>
        }
    };
    let count = move || {
        let used = checkpoints.with(|found| form.config.with(|config| found.iter().filter(|found| row(found, config).used).count()));
        format!("{used} of {} files are imported, in the order of their epochs.", checkpoints.with(Vec::len))
    };
    let files = move || checkpoints.with(|found| found.iter().map(|found| found.file.clone()).collect::<Vec<_>>());
    view! {
        <Show when=move || checkpoints.with(|found| !found.is_empty())>
            <fieldset class="field-wide" id=field_id(PATH) tabindex="-1">
                <legend class="field-label">"Checkpoints"</legend>
                <div class="table-box table-box-tall" tabindex="0" role="region" aria-label="Checkpoints of the folder">
                    <table class="table table-dense series-table">
                        <thead>
                            <tr><th scope="col">"File"</th><th scope="col">"Epoch"</th><th scope="col" class="number">"Size"</th><th scope="col">"Remark"</th></tr>
                        </thead>
                        <tbody><For each=files key=String::clone children=line/></tbody>
                    </table>
                </div>
                <p class="field-hint">{count}</p>
                <div class="field-error">{move || messages.get().into_iter().map(|message| view! { <p>{told(&message)}</p> }).collect_view()}</div>
            </fieldset>
        </Show>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, epoch: Option<u32>, problem: Option<&str>) -> FoundCheckpoint {
        let note = if epoch.is_none() { "has no number in its name" } else { "" };
        FoundCheckpoint {
            file: file.to_owned(),
            epoch,
            used: true,
            note: note.to_owned(),
            problem: problem.map(str::to_owned),
            size_bytes: 1,
        }
    }

    #[test]
    fn a_corrected_epoch_lists_all_files_and_taking_it_back_none() {
        let found = [found("a.pth", Some(5), None), found("b.pth", Some(10), None)];
        let mut config = json!({});
        change(&mut config, &found, "b.pth", |row| row.epoch = Some(12.into()));
        assert_eq!(config["checkpoints"], json!([{"file": "a.pth", "epoch": 5}, {"file": "b.pth", "epoch": 12}]));
        change(&mut config, &found, "a.pth", |row| row.used = false);
        assert_eq!(config["checkpoints"], json!([{"file": "b.pth", "epoch": 12}]));
        change(&mut config, &found, "a.pth", |row| row.used = true);
        change(&mut config, &found, "b.pth", |row| row.epoch = Some(10.into()));
        assert_eq!(config, json!({}));
    }

    #[test]
    fn a_file_without_an_epoch_or_with_a_problem_is_an_error_until_it_is_given_one_or_left_out() {
        let found = [found("a_5.pth", Some(5), None), found("b.pth", None, None), found("c_7.pth", Some(7), Some("is damaged"))];
        let mut config = json!({});
        let said = |config: &Value| errors(&found, config).into_iter().map(|error| error.message).collect::<Vec<_>>();
        assert_eq!(said(&config), ["`b.pth` has no number in its name", "`c_7.pth` is damaged"]);
        change(&mut config, &found, "b.pth", |row| row.epoch = Some(6.into()));
        assert_eq!(said(&config), ["`c_7.pth` is damaged"]);
        change(&mut config, &found, "c_7.pth", |row| row.used = false);
        assert_eq!(said(&config), [""; 0]);
        change(&mut config, &found, "b.pth", |row| row.epoch = None);
        let wrong = FieldError::new("checkpoints[1].epoch", "is missing");
        assert_eq!(messages(&[wrong], &config), ["`b.pth`: the epoch is missing"]);
        let left: Vec<FoundCheckpoint> = found.iter().cloned().map(|found| FoundCheckpoint { used: false, ..found }).collect();
        assert_eq!(errors(&left, &json!({}))[0].field, "checkpoints");
        assert_eq!(errors(&[], &json!({})), []);
    }
}
