//! Cells for spreadsheets: texts that are not read as formulas, and numbers in plain notation.

use std::borrow::Cow;

/// First characters that make a spreadsheet read a text as a formula or start a new cell:
/// <https://owasp.org/www-community/attacks/CSV_Injection>.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A text as a cell. A text that looks like a formula gets a leading apostrophe; numbers are unchanged.
///
/// A text that already has apostrophes before such a character gets one more: removing one always restores
/// the text.
pub fn text_cell(text: &str) -> Cow<'_, str> {
    let is_formula = text.trim_start_matches('\'').starts_with(FORMULA) && !is_number(text);
    if is_formula { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// A displayed text as a cell: `−0.40` becomes `-0.40`, `1 234` becomes `1234`, and an en dash (missing)
/// becomes empty.
pub fn shown_cell(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text == "–" {
        return Cow::Borrowed("");
    }
    let plain = plain_numbers(text);
    let number = plain.strip_suffix(" %").map(|number| (number, "%")).or_else(|| plain.strip_suffix(" pp").map(|number| (number, "")));
    match number {
        Some((number, unit)) if is_number(number) => Cow::Owned(format!("{number}{unit}")),
        _ => match plain {
            Cow::Owned(plain) => Cow::Owned(text_cell(&plain).into_owned()),
            Cow::Borrowed(plain) => text_cell(plain),
        },
    }
}

/// Rewrites each number in a text in ASCII: a hyphen as minus sign, and no spaces between groups of digits.
pub fn plain_numbers(text: &str) -> Cow<'_, str> {
    const SPACES: [char; 3] = ['\u{a0}', '\u{2009}', '\u{202f}'];
    if !text.contains('−') && !text.contains(SPACES) {
        return Cow::Borrowed(text);
    }
    let letters: Vec<char> = text.chars().collect();
    let digit = |index: Option<usize>| index.and_then(|index| letters.get(index)).is_some_and(char::is_ascii_digit);
    let mut plain = String::with_capacity(text.len());
    for (index, letter) in letters.iter().enumerate() {
        match letter {
            '−' if digit(Some(index + 1)) || letters.get(index + 1) == Some(&'.') => plain.push('-'),
            space if SPACES.contains(space) && digit(index.checked_sub(1)) && digit(Some(index + 1)) => {}
            other => plain.push(*other),
        }
    }
    Cow::Owned(plain)
}

/// Whether a text is just a decimal number.
fn is_number(text: &str) -> bool {
    crate::builtin::number(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_no_formulas() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+1 and more", "'+1 and more"),
            ("-cat", "'-cat"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tcat", "'\tcat"),
            ("\r=1", "'\r=1"),
            ("＝1＋1", "'＝1＋1"),
            ("'=1", "''=1"),
            ("-1", "-1"),
            ("+1.5e3", "+1.5e3"),
            ("-1-1", "'-1-1"),
            ("'cat'", "'cat'"),
            ("cat = dog", "cat = dog"),
            ("", ""),
        ] {
            assert_eq!(text_cell(text), cell, "{text:?}");
        }
    }

    #[test]
    fn what_a_page_shows_is_copied_as_numbers() {
        for (text, cell) in [
            ("−0.400", "-0.400"),
            ("+2.13", "+2.13"),
            ("71.6 %", "71.6%"),
            ("−11.1 pp", "-11.1"),
            ("1\u{2009}234\u{2009}567", "1234567"),
            ("2e−9", "2e-9"),
            ("–", ""),
            ("=1+1", "'=1+1"),
            ("14.73 −0.53", "14.73 -0.53"),
            ("CAS / K(K−1)", "CAS / K(K-1)"),
            ("A − B", "A − B"),
            ("−x", "−x"),
            ("cat", "cat"),
        ] {
            assert_eq!(shown_cell(text), cell, "{text:?}");
        }
    }
}
