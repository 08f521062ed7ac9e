//! The keyboard shortcuts: one list, the dialog that shows it, and whether a key press is text input.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlInputElement, KeyboardEvent};

use crate::components::dialog::Dialog;

/// Where a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere,
    Table,
    Matrix,
    Dossier,
    Curves,
    Scrubber,
    Palette,
}

/// A shortcut and its effect.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Alternative keys for the same effect, as printed; the parts of `Shift+↑` are pressed together.
    pub keys: &'static [&'static str],
    pub does: &'static str,
    pub scope: Scope,
}

/// All shortcuts, in the order of the dialog.
pub const KEYS: [Key; 28] = [
    Key { keys: &["Ctrl+K", "⌘+K"], does: "Open the command palette", scope: Scope::Everywhere },
    Key { keys: &["?"], does: "Show the keys", scope: Scope::Everywhere },
    Key { keys: &["Esc"], does: "Close a dialog or a menu", scope: Scope::Everywhere },
    Key { keys: &["↑", "↓"], does: "Previous or next run", scope: Scope::Table },
    Key { keys: &["Shift+↑", "Shift+↓"], does: "Choose it as well", scope: Scope::Table },
    Key { keys: &["Shift+Space"], does: "Choose every run from the last one to this", scope: Scope::Table },
    Key { keys: &["↑", "↓", "←", "→"], does: "Move to the next cell", scope: Scope::Matrix },
    Key { keys: &["Shift+↑", "Shift+↓", "Shift+←", "Shift+→"], does: "Pan", scope: Scope::Matrix },
    Key { keys: &["+"], does: "Zoom in", scope: Scope::Matrix },
    Key { keys: &["−"], does: "Zoom out", scope: Scope::Matrix },
    Key { keys: &["0"], does: "Show the whole matrix", scope: Scope::Matrix },
    Key { keys: &["/"], does: "Find a class by its name", scope: Scope::Matrix },
    Key { keys: &["Enter"], does: "Select the cell", scope: Scope::Matrix },
    Key { keys: &["Esc"], does: "Clear the selection", scope: Scope::Matrix },
    Key { keys: &["O"], does: "Next order", scope: Scope::Matrix },
    Key { keys: &["S"], does: "Next scale", scope: Scope::Matrix },
    Key { keys: &["D"], does: "Difference to the baseline", scope: Scope::Matrix },
    Key { keys: &["["], does: "Previous pair by change", scope: Scope::Dossier },
    Key { keys: &["]"], does: "Next pair by change", scope: Scope::Dossier },
    Key { keys: &["←", "→"], does: "Previous or next epoch", scope: Scope::Curves },
    Key { keys: &["Enter"], does: "Go to the checkpoint", scope: Scope::Curves },
    Key { keys: &["+", "−"], does: "Zoom in or out", scope: Scope::Curves },
    Key { keys: &["Shift+←", "Shift+→"], does: "Earlier or later epochs", scope: Scope::Curves },
    Key { keys: &["0", "Esc"], does: "Show all epochs", scope: Scope::Curves },
    Key { keys: &["Space"], does: "Play or pause", scope: Scope::Scrubber },
    Key { keys: &["←", "→"], does: "Previous or next checkpoint", scope: Scope::Scrubber },
    Key { keys: &["↑", "↓"], does: "Previous or next entry", scope: Scope::Palette },
    Key { keys: &["Enter"], does: "Open the entry", scope: Scope::Palette },
];

impl Scope {
    const ALL: [Scope; 7] =
        [Scope::Everywhere, Scope::Table, Scope::Matrix, Scope::Dossier, Scope::Curves, Scope::Scrubber, Scope::Palette];

    fn title(self) -> &'static str {
        match self {
            Scope::Everywhere => "Everywhere",
            Scope::Table => "On the boxes of the table of runs",
            Scope::Matrix => "In a matrix",
            Scope::Dossier => "In the dossier of a pair",
            Scope::Curves => "In the curves of a run",
            Scope::Scrubber => "In the scrubber under the curves",
            Scope::Palette => "In the command palette",
        }
    }
}

/// Whether a key press goes into a text input, so that it is a letter and not a shortcut.
pub fn is_typing(event: &KeyboardEvent) -> bool {
    let Some(element) = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok()) else { return false };
    let kind = element.dyn_ref::<HtmlInputElement>().map(HtmlInputElement::type_);
    takes_letters(&element.tag_name(), kind.as_deref(), element.is_content_editable())
}

fn takes_letters(tag: &str, input_type: Option<&str>, editable: bool) -> bool {
    match (tag, input_type) {
        ("INPUT", Some("checkbox" | "radio" | "range" | "button" | "submit" | "file" | "color")) => editable,
        ("INPUT" | "SELECT" | "TEXTAREA", _) => true,
        _ => editable,
    }
}

/// The dialog of shortcuts, opened by `?`.
#[component]
pub fn KeysDialog(open: RwSignal<bool>) -> impl IntoView {
    let group = |scope: Scope| {
        let row = |key: &Key| {
            let keys = key.keys.iter().map(|keys| view! { <span class="key-choice">{chord(keys)}</span> }).collect_view();
            view! { <div><dt>{keys}</dt><dd>{key.does}</dd></div> }
        };
        let rows = KEYS.iter().filter(|key| key.scope == scope).map(row).collect_view();
        view! { <section class="keys-group"><h3>{scope.title()}</h3><dl class="keys">{rows}</dl></section> }
    };
    view! {
        <Dialog open close=move || open.set(false) title="Keys">
            <div class="keys-groups">{Scope::ALL.map(group).collect_view()}</div>
        </Dialog>
    }
}

/// Keys that are pressed together.
fn chord(keys: &'static str) -> impl IntoView {
    // The plus sign alone is a key, not a separator.
    let parts: Vec<&str> = if keys == "+" { vec![keys] } else { keys.split('+').collect() };
    parts.into_iter().map(|key| view! { <kbd>{key}</kbd> }).collect_view()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_in_one_place() {
        let mut known: Vec<(Scope, &str)> = Vec::new();
        for key in KEYS {
            for name in key.keys {
                assert!(!known.contains(&(key.scope, *name)), "{name} in {:?}", key.scope);
                known.push((key.scope, *name));
            }
        }
        assert!(Scope::ALL.iter().all(|scope| KEYS.iter().any(|key| key.scope == *scope)));
    }

    #[test]
    fn letters_in_fields_are_no_commands() {
        for (tag, kind, typing) in [
            ("INPUT", Some("text"), true),
            ("INPUT", Some("search"), true),
            ("SELECT", None, true),
            ("TEXTAREA", None, true),
            ("INPUT", Some("checkbox"), false),
            ("BUTTON", None, false),
            ("CANVAS", None, false),
        ] {
            assert_eq!(takes_letters(tag, kind, false), typing, "{tag} {kind:?}");
        }
        assert!(takes_letters("DIV", None, true));
    }
}
