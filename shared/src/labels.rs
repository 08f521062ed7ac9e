//! Rules for the title, tags and notes that people give a run.

use serde::{Deserialize, Serialize};

use crate::api::RunChange;
use crate::builtin::lowercase;
use crate::problem::FieldError;

pub const LONGEST_TITLE: usize = 80;
pub const LONGEST_TAG: usize = 32;
pub const MOST_TAGS: usize = 12;
pub const LONGEST_NOTES: usize = 4000;

/// What people have written on a run: the content of [`crate::rundir::LABELS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    pub title: String,
    pub tags: Vec<String>,
    pub notes: String,
}

/// Removes surplus spaces and repeated tags. Error: all wrong fields.
pub fn checked(change: RunChange) -> Result<RunChange, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut fail = |field: &str, message: String| errors.push(FieldError::new(field, message));
    let RunChange { title, tags, notes } = change;

    let title = title.map(|title| title.trim().to_owned());
    if let Some(title) = &title {
        match title.chars().count() {
            0 => fail("title", "is empty; a run has a title".to_owned()),
            length if length > LONGEST_TITLE => fail("title", format!("has {length} characters; at most {LONGEST_TITLE}")),
            _ => {}
        }
        if title.chars().any(char::is_control) {
            fail("title", format!("{title:?} holds a line break or another control character"));
        }
    }
    let tags = tags.map(|tags| {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.is_empty()) {
            if !kept.iter().any(|known| lowercase(known) == lowercase(tag)) {
                kept.push(tag.to_owned());
            }
        }
        kept
    });
    if let Some(tags) = &tags {
        if tags.len() > MOST_TAGS {
            fail("tags", format!("holds {} tags; at most {MOST_TAGS}", tags.len()));
        }
        for tag in tags {
            let length = tag.chars().count();
            if length > LONGEST_TAG {
                fail("tags", format!("`{tag}` has {length} characters; at most {LONGEST_TAG}"));
            }
            if let Some(bad) = tag.chars().find(|letter| matches!(letter, ',' | '"') || letter.is_control()) {
                fail("tags", format!("`{tag}` holds {bad:?}; a tag has no commas, quotation marks or line breaks"));
            }
        }
    }
    let notes = notes.map(|notes| notes.trim().to_owned());
    if let Some(length) = notes.as_ref().map(|notes| notes.chars().count()).filter(|length| *length > LONGEST_NOTES) {
        fail("notes", format!("has {length} characters; at most {LONGEST_NOTES}"));
    }
    if errors.is_empty() { Ok(RunChange { title, tags, notes }) } else { Err(errors) }
}

/// Tags after removals and additions. Upper and lower case are equal.
pub fn retagged(tags: Vec<String>, add: &[String], remove: &[String]) -> Vec<String> {
    let holds = |list: &[String], tag: &String| list.iter().any(|known| lowercase(known) == lowercase(tag));
    let mut kept: Vec<String> = tags.into_iter().filter(|tag| !holds(remove, tag)).collect();
    for tag in add {
        if !holds(&kept, tag) {
            kept.push(tag.clone());
        }
    }
    kept
}

/// Splits typed tags at commas.
pub fn tags(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: RunChange, field: &str, part: &str) {
        let errors = checked(change).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].field, field);
        assert!(errors[0].message.contains(part), "{errors:?}");
    }

    #[test]
    fn spaces_and_repetitions_are_dropped() {
        let change = RunChange { title: Some(" A run ".into()), tags: Some(tags(" paper, ,Paper,two words ")), notes: Some("\n".into()) };
        let expected =
            RunChange { title: Some("A run".into()), tags: Some(vec!["paper".into(), "two words".into()]), notes: Some("".into()) };
        assert_eq!(checked(change), Ok(expected));
        assert_eq!(checked(RunChange::default()), Ok(RunChange::default()), "what is absent stays absent");
    }

    #[test]
    fn tags_are_removed_before_others_are_added() {
        let list = |text: &str| tags(text);
        assert_eq!(retagged(list("a, Paper"), &list("paper, b, B"), &list("A")), ["Paper", "b"]);
        assert_eq!(retagged(list("a"), &list("a"), &list("a")), ["a"]);
    }

    #[test]
    fn what_cannot_be_is_named_with_its_field_and_value() {
        let title = |text: String| RunChange { title: Some(text), ..RunChange::default() };
        refused(title("  ".into()), "title", "is empty");
        refused(title("x".repeat(81)), "title", "81 characters; at most 80");
        refused(title("two\nlines".into()), "title", "two\\nlines");
        let tags = |tags: Vec<String>| RunChange { tags: Some(tags), ..RunChange::default() };
        refused(tags((0..13).map(|tag| tag.to_string()).collect()), "tags", "13 tags; at most 12");
        refused(tags(vec!["x".repeat(33)]), "tags", "33 characters; at most 32");
        refused(tags(vec!["a,b".into()]), "tags", "`a,b` holds ','");
        refused(RunChange { notes: Some("x".repeat(4001)), ..RunChange::default() }, "notes", "4001 characters; at most 4000");
    }
}
