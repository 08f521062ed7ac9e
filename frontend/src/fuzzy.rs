//! Fuzzy matching for the command palette: how well a typed query fits a text.

/// Returns a score, higher for a better match; `None` if a word's letters do not occur in `text` in this
/// order.
///
/// Both arguments must be lower case. Spaces separate the words of the query, and each word must match by
/// itself. Letters at the start of a word and consecutive letters score most. Among equal matches the shorter
/// text wins.
pub fn score(query: &str, text: &str) -> Option<i32> {
    let mut total = 0;
    for word in query.split_whitespace() {
        total += word_score(word, text)?;
    }
    Some(total - (text.len() as i32) / 8)
}

fn word_score(word: &str, text: &str) -> Option<i32> {
    const WHOLE: i32 = 40;
    const FOLLOWS: i32 = 8;
    const BEGINS: i32 = 10;
    const LETTER: i32 = 1;
    // A word that occurs as typed scores higher than one whose letters are scattered.
    if let Some(start) = text.find(word) {
        let bonus = if begins_word(text, start) { BEGINS } else { 0 };
        return Some(WHOLE + bonus + (word.len() as i32) * FOLLOWS);
    }
    let mut score = 0;
    let mut from = 0;
    for letter in word.chars() {
        let start = from + text[from..].find(letter)?;
        score += LETTER;
        if start == from && start > 0 {
            score += FOLLOWS;
        }
        if begins_word(text, start) {
            score += BEGINS;
        }
        from = start + letter.len_utf8();
    }
    Some(score)
}

fn begins_word(text: &str, start: usize) -> bool {
    text[..start].chars().next_back().is_none_or(|before| before.is_ascii() && !before.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The matching texts, best first.
    fn ranked<'a>(query: &str, texts: &[&'a str]) -> Vec<&'a str> {
        let mut found: Vec<(i32, &str)> = texts.iter().filter_map(|text| Some((score(query, text)?, *text))).collect();
        found.sort_by_key(|(score, _)| -score);
        found.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn letters_have_to_occur_in_their_order() {
        assert!(score("atd", "at-digits").is_some());
        assert_eq!(score("dta", "at-digits"), None);
        assert_eq!(score("digits cifar", "at-digits"), None, "every word has to fit");
        assert!(score("digits at", "at-digits").is_some(), "words may come in another order");
        assert!(score("", "anything").is_some());
        assert!(score("ε", "radius ε 8").is_some());
    }

    #[test]
    fn whole_words_come_before_beginnings_and_these_before_scattered_letters() {
        assert_eq!(ranked("data", &["update area", "demo at a table", "data sets"]), ["data sets", "demo at a table", "update area"]);
        assert_eq!(ranked("rs", &["rides", "run sweep", "cursor"]), ["cursor", "run sweep", "rides"], "as typed, by initials, scattered");
        assert_eq!(ranked("queue", &["queue of runs and more", "queue"]), ["queue", "queue of runs and more"]);
    }
}
