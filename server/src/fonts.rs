//! Fonts of pictures: those of the program, then those of the machine. Letters that no font has are
//! transliterated.
//!
//! The fonts of the program have Latin, Greek and Cyrillic letters and many symbols, so that figures look
//! alike on every machine.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use deunicode::deunicode_char;
use resvg::usvg::FontResolver;
use resvg::usvg::fontdb::{Database, FaceInfo, ID, Style, Weight};
use skrifa::{FontRef, MetadataProvider};
use unicode_script::{Script, UnicodeScript};

use crate::latex::is_invisible;

struct Fonts {
    database: Arc<Database>,
    /// Fonts to search, in order: those of the program, then regular ones of the machine.
    order: Vec<ID>,
    /// The font of each letter that was looked up.
    of_letter: Mutex<HashMap<char, Option<ID>>>,
}

static FONTS: LazyLock<Fonts> = LazyLock::new(|| {
    let mut database = Database::new();
    database.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    // Has signs that the first font lacks, such as ℓ and ∞.
    database.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
    database.load_font_data(epaint_default_fonts::NOTO_EMOJI_REGULAR.to_vec());
    let family = database.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
    let own: Vec<ID> = database.faces().map(|face| face.id).collect();
    database.load_system_fonts();
    // After `load_system_fonts`, which sets the families that the machine prefers.
    if let Some(family) = family {
        database.set_sans_serif_family(family.clone());
        database.set_serif_family(family);
    }
    let mut others: Vec<&FaceInfo> = database.faces().filter(|face| !own.contains(&face.id) && !has_only_bitmaps(face)).collect();
    let plainness = |face: &FaceInfo| {
        let name = face.post_script_name.clone();
        (face.style != Style::Normal, face.weight.0.abs_diff(Weight::NORMAL.0), face.monospaced, !name.contains("Sans"), name)
    };
    others.sort_by_cached_key(|face| plainness(face));
    let order = own.into_iter().chain(others.into_iter().map(|face| face.id)).collect();
    Fonts { order, database: Arc::new(database), of_letter: Mutex::default() }
});

/// Fonts of colored bitmaps cannot be drawn.
fn has_only_bitmaps(face: &FaceInfo) -> bool {
    face.post_script_name.contains("ColorEmoji") || face.post_script_name.contains("LastResort")
}

/// All available fonts.
pub fn all() -> Arc<Database> {
    FONTS.database.clone()
}

/// Finds the font of each letter in the same order everywhere, whatever the fonts of the letters around it.
pub fn resolver() -> FontResolver<'static> {
    let select_fallback = |letter: char, used: &[ID], _: &mut Arc<Database>| of_letter(letter).filter(|font| !used.contains(font));
    FontResolver { select_font: FontResolver::default_font_selector(), select_fallback: Box::new(select_fallback) }
}

fn of_letter(letter: char) -> Option<ID> {
    // A thread that panicked leaves only correct entries in the map.
    let mut known = FONTS.of_letter.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(letter).or_insert_with(|| FONTS.order.iter().copied().find(|font| has(*font, letter)))
}

fn has(font: ID, letter: char) -> bool {
    let glyph = |data: &[u8], index: u32| FontRef::from_index(data, index).ok().and_then(|font| font.charmap().map(letter));
    FONTS.database.with_face_data(font, glyph).flatten().is_some()
}

/// The drawing with letters that no font has written in Latin letters; a line below names their scripts.
pub fn drawable(svg: &str) -> Cow<'_, str> {
    with_letters(svg, |letter| of_letter(letter).is_some())
}

fn with_letters(svg: &str, is_known: impl Fn(char) -> bool) -> Cow<'_, str> {
    let plain = |letter: char| letter.is_ascii() || is_invisible(letter) || letter.is_whitespace();
    // The first tag has the text for screen readers, which needs no font.
    let shown = svg.split_once('>').map_or(svg, |(_, shown)| shown);
    let letters: BTreeSet<char> = shown.chars().filter(|letter| !plain(*letter)).collect();
    let missing: BTreeSet<char> = letters.into_iter().filter(|letter| !is_known(*letter)).collect();
    if missing.is_empty() {
        return Cow::Borrowed(svg);
    }
    let mut text = String::with_capacity(svg.len());
    for letter in svg.chars() {
        match missing.contains(&letter) {
            true => text += &in_latin(letter),
            false => text.push(letter),
        }
    }
    Cow::Owned(noted(&text, &missing).unwrap_or(text))
}

/// As escaped XML.
fn in_latin(letter: char) -> String {
    match deunicode_char(letter).map(|latin| latin.replace('&', "&amp;").replace('<', "&lt;")) {
        Some(latin) if !latin.trim().is_empty() => latin,
        // Combining marks are left out.
        Some(_) => String::new(),
        None => format!("U+{:04X}", u32::from(letter)),
    }
}

/// The drawing with a line below it that names the missing scripts; `None` if the drawing has no size.
fn noted(svg: &str, missing: &BTreeSet<char>) -> Option<String> {
    const LINE: f64 = 22.0;
    let length = |name: &str| svg.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse::<f64>().ok();
    let (width, height) = (length("width")?, length("height")?);
    let script = |letter: &char| match letter.script() {
        Script::Common | Script::Inherited | Script::Unknown => "symbols".to_owned(),
        script => script.full_name().replace('_', " "),
    };
    let scripts = missing.iter().map(script).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    let note = format!("In Latin letters, for want of a font on the server: {scripts}. The SVG has the names as they are.");
    // Letters of this font are about half as wide as high.
    let size = ((width - 16.0) / (0.52 * note.chars().count() as f64)).clamp(4.0, 11.0);
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>{svg}\
         <text x=\"8\" y=\"{}\" font-family=\"sans-serif\" font-size=\"{size:.1}\" fill=\"#444\">{note}</text></svg>",
        height + LINE,
        height + LINE - 7.0,
    ))
}

#[cfg(test)]
mod tests {
    use resvg::usvg::fontdb::{Family, Query};

    use super::*;

    #[test]
    fn latin_greek_and_cyrillic_letters_and_pictures_need_no_font_of_the_machine() {
        let own: Vec<ID> = FONTS.order[..3].to_vec();
        for letter in "Łąß ΔελτΩ русскийЖЫЭЯҐ ℓ∞−·…→Δ₀ 🐈❤".chars().filter(|letter| *letter != ' ') {
            let font = of_letter(letter);
            assert!(font.is_some_and(|font| own.contains(&font)), "{letter} is in {font:?}");
        }
    }

    #[test]
    fn texts_are_drawn_with_the_font_of_the_program_whatever_the_machine_prefers() {
        let family = |name: &str| {
            let family = match name {
                "sans-serif" => Family::SansSerif,
                "serif" => Family::Serif,
                other => Family::Name(other),
            };
            FONTS.database.query(&Query { families: &[family], ..Query::default() })
        };
        assert_eq!((family("sans-serif"), family("serif")), (Some(FONTS.order[0]), Some(FONTS.order[0])));
    }

    #[test]
    fn letters_that_no_font_has_are_given_in_latin_and_said() {
        let svg = "<svg width=\"300\" height=\"200\" viewBox=\"0 0 1200 800\" xmlns=\"http://www.w3.org/2000/svg\"><text>\n猫 cat é\u{200d}\n</text></svg>";
        assert_eq!(with_letters(svg, |_| true), svg);
        let drawn = with_letters(svg, |letter| letter == 'é');
        assert!(drawn.contains(">\nMao  cat é\u{200d}\n<") && drawn.contains("for want of a font on the server: Han."), "{drawn}");
        assert!(drawn.contains("height=\"222\"") && drawn.contains("height=\"200\""));
        assert!(resvg::usvg::Tree::from_str(&drawn, &resvg::usvg::Options::default()).is_ok());
        assert_eq!((in_latin('\u{10ffff}'), in_latin('&')), ("U+10FFFF".to_owned(), "&amp;".to_owned()));
    }
}
