//! Texts of any script for LaTeX.
//!
//! pdfLaTeX knows the letters of Western Europe and refuses to compile a document with any other. LuaLaTeX
//! and XeLaTeX know all, but their fonts do not, and leave letters out without an error. So a text of another
//! script is written twice: as it is, for the engines that may have a font for it, and in Latin letters for
//! where there is none. The document compiles with each engine, and no name is lost.

use std::collections::{BTreeMap, BTreeSet};

use deunicode::deunicode_with_tofu_cow;
use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, UnicodeScript};
use unicode_segmentation::UnicodeSegmentation;

/// A text, escaped for LaTeX.
pub fn escaped(text: &str) -> String {
    let printed = |letter: char| if letter.is_control() { ' ' } else { letter };
    let text: String = text.nfc().map(printed).filter(|letter| !turns_direction(*letter)).collect();
    let mut latex = String::with_capacity(text.len());
    let mut run = String::new();
    for cluster in text.graphemes(true) {
        match plain(cluster) {
            // A space between words of one script belongs to that script, or words from right to left would
            // change places.
            Some(_) if cluster == " " && !run.is_empty() => run.push(' '),
            Some(plain) => {
                push_run(&mut latex, &mut run);
                latex += &plain;
            }
            None => {
                if !run.is_empty() && script(&run) != script(cluster) {
                    push_run(&mut latex, &mut run);
                }
                run += cluster;
            }
        }
    }
    push_run(&mut latex, &mut run);
    latex
}

/// Comment for the head of a document: the engine to compile it with.
pub fn engine(picture: &str) -> &'static str {
    if scripts(picture).is_empty() {
        "% Compile with pdflatex, or with lualatex where there are hundreds of classes.\n"
    } else {
        "% Compile with lualatex or xelatex: they print names of other scripts as they are, in the first installed font of those listed below. \
         With pdflatex, or without such a font, they are in Latin letters.\n"
    }
}

/// Preamble of a document with this picture: macros and fonts of its scripts.
pub fn preamble(picture: &str) -> String {
    let scripts = scripts(picture);
    if scripts.is_empty() {
        return String::new();
    }
    let mut text = r##"\usepackage{iftex}
\makeatletter
\newif\ifhasall
\iftutex
\usepackage{fontspec}
\ifluatex\defaultfontfeatures{Renderer=HarfBuzz}\fi
% Script, letters in hexadecimal, the text, and the text in Latin letters for fonts that have not all of the letters.
\DeclareRobustCommand\other[4]{{\csname font#1\endcsname\hasalltrue
  \@for\letter:=#2\do{\iffontchar\font"\letter\space\else\global\hasallfalse\fi}%
  \ifhasall#3\else\normalfont#4\fi\global\hasalltrue}}
% Script, one of its letters, and a font that is taken where it is installed, has the letter, and none was taken before.
\newcommand\tryfont[3]{\ifcsname font#1\endcsname\else\IfFontExistsTF{#3}{%
  \expandafter\newfontfamily\csname font#1\endcsname{#3}%
  {\csname font#1\endcsname\iffontchar\font"#2 \else\expandafter\global\expandafter\let\csname font#1\endcsname\@undefined\fi}}{}\fi}
\ifluatex
\DeclareRobustCommand\fromright[1]{{\textdir TRT #1}}
\else
\TeXXeTstate=1
\DeclareRobustCommand\fromright[1]{{\beginR #1\endR}}
\fi
"##
    .to_owned();
    for (script, letter) in scripts {
        for font in fonts(&script) {
            text += &format!("\\tryfont{{{script}}}{{{letter}}}{{{font}}}\n");
        }
        text += &format!("\\ifcsname font{script}\\endcsname\\else\\let\\font{script}\\relax\\fi\n");
    }
    text + "\\else\n\\DeclareRobustCommand\\other[4]{#4}\n\\DeclareRobustCommand\\fromright[1]{#1}\n\\fi\n\\makeatother\n"
}

const OTHER: &str = "\\other{";

/// Scripts in a picture that pdfLaTeX cannot print, each with one of its letters in hexadecimal.
fn scripts(picture: &str) -> BTreeMap<String, String> {
    let script = |rest: &str| {
        let (script, rest) = rest.split_once("}{")?;
        // The last letter is the least likely to be in a font of another script.
        Some((script.to_owned(), rest.split_once('}')?.0.rsplit(',').next()?.to_owned()))
    };
    picture.split(OTHER).skip(1).filter_map(script).collect()
}

/// Font families to look for, those with serifs first as in LaTeX's own font.
fn fonts(script: &str) -> Vec<String> {
    const LAST: [&str; 5] = ["DejaVu Serif", "DejaVu Sans", "FreeSerif", "Droid Sans Fallback", "Arial Unicode MS"];
    let known: &[&str] = match script {
        "Han" | "Bopomofo" => &["Noto Serif CJK SC", "Noto Sans CJK SC", "Source Han Serif SC", "FandolSong", "SimSun", "Songti SC"],
        "Hiragana" | "Katakana" => &["Noto Serif CJK JP", "Noto Sans CJK JP", "Source Han Serif JP", "HaranoAjiMincho", "MS Mincho"],
        "Hangul" => &["Noto Serif CJK KR", "Noto Sans CJK KR", "Source Han Serif KR", "Batang", "AppleMyungjo"],
        "Symbol" => &["Noto Emoji", "Symbola", "Segoe UI Emoji", "Noto Sans Symbols2", "Noto Sans Symbols"],
        "Latin" | "Greek" | "Cyrillic" => &["CMU Serif", "Libertinus Serif", "FreeSerif", "Noto Serif"],
        _ => &[],
    };
    let noto = known.is_empty().then(|| format!("Noto Sans {script}"));
    let mut fonts: Vec<String> = Vec::new();
    for name in known.iter().map(|name| (*name).to_owned()).chain(noto).chain(LAST.map(str::to_owned)) {
        if !fonts.contains(&name) {
            fonts.push(name);
        }
    }
    fonts
}

/// Writes and empties a run of letters of one script that pdfLaTeX cannot print.
fn push_run(latex: &mut String, run: &mut String) {
    let text = run.trim_end();
    let letters: BTreeSet<u32> = text.chars().filter(|letter| *letter != ' ' && !is_invisible(*letter)).map(u32::from).collect();
    if !text.is_empty() {
        let codes = letters.iter().map(|code| format!("{code:04X}")).collect::<Vec<_>>().join(",");
        let from_right = text.chars().any(|letter| {
            matches!(letter.script(), Script::Arabic | Script::Hebrew | Script::Syriac | Script::Thaana | Script::Nko | Script::Adlam)
        });
        let shown: String = text.chars().map(|letter| ascii(letter).unwrap_or_else(|| letter.to_string())).collect();
        let shown = if from_right { format!("\\fromright{{{shown}}}") } else { shown };
        *latex += &format!("{OTHER}{}}}{{{codes}}}{{{shown}}}{{{}}}", script(text), latin(text));
    }
    *latex += &run[text.len()..];
    run.clear();
}

/// A text in Latin letters; its code points if it cannot be transliterated.
fn latin(text: &str) -> String {
    let transliterated = deunicode_with_tofu_cow(text, "\u{fffd}");
    let whole = !transliterated.trim().is_empty() && !transliterated.contains('\u{fffd}');
    let latin = if whole { transliterated.trim().to_owned() } else { numbers(text) };
    latin.chars().filter_map(ascii).collect()
}

fn numbers(text: &str) -> String {
    text.chars().filter(|letter| !is_invisible(*letter)).map(|letter| format!("U+{:04X}", u32::from(letter))).collect::<Vec<_>>().join(" ")
}

/// The script of the first letter that has one, as part of the name of a macro.
fn script(text: &str) -> String {
    let own = |letter: char| Some(letter.script()).filter(|script| !matches!(script, Script::Common | Script::Inherited | Script::Unknown));
    let name = text.chars().find_map(own).map_or("Symbol", |script| script.full_name());
    name.chars().filter(char::is_ascii_alphabetic).collect()
}

/// An ASCII character, escaped for LaTeX.
fn ascii(letter: char) -> Option<String> {
    Some(match letter {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{letter}"),
        '\\' => "\\textbackslash{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        '~' => "\\textasciitilde{}".to_owned(),
        '<' => "\\textless{}".to_owned(),
        '>' => "\\textgreater{}".to_owned(),
        '|' => "\\textbar{}".to_owned(),
        '"' => "\\texttt{\\char34}".to_owned(),
        ' '..='~' => letter.to_string(),
        _ => return None,
    })
}

/// A character that every engine prints with LaTeX's own fonts.
fn plain(cluster: &str) -> Option<String> {
    let mut letters = cluster.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else { return None };
    let symbol = match letter {
        '−' => "$-$",
        '·' => "$\\cdot$",
        '→' => "$\\to$",
        'ℓ' => "$\\ell$",
        '∞' => "$\\infty$",
        'Δ' => "$\\Delta$",
        'ε' => "$\\varepsilon$",
        'μ' => "$\\mu$",
        'σ' => "$\\sigma$",
        'λ' => "$\\lambda$",
        '₀' => "$_0$",
        '₁' => "$_1$",
        '₂' => "$_2$",
        '…' => "\\ldots{}",
        '\u{2009}' | '\u{a0}' => "~",
        '–' | '—' | '‘' | '’' | '“' | '”' => return Some(letter.to_string()),
        _ if WESTERN.contains(letter) => return Some(letter.to_string()),
        _ => return ascii(letter),
    };
    Some(symbol.to_owned())
}

/// Letters that Computer Modern has or composes.
const WESTERN: &str = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿĀāĂăĆćĈĉĊċČčĎĒēĔĕĖėĚěĜĝĞğĠġĤĥĨĩĪīĬĭİıĴĵĹĺŁłŃńŇňŌōŎŏŐőŒœŔŕŘřŚśŜŝŞşŠšŤŨũŪūŬŭŮůŰűŴŵŶŷŸŹźŻżŽž";

/// Characters that change others and have no shape of their own: joiners and variation selectors.
pub fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}' | '\u{ad}')
        || turns_direction(letter)
}

/// Characters that change the writing direction: one in a name would turn the names beside it.
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(escaped(text), expected);
    }

    #[test]
    fn texts_are_printed_as_they_are() {
        check("pickup_truck & 50 %", "pickup\\_truck \\& 50 \\%");
        check("a\\b{c}", "a\\textbackslash{}b\\{c\\}");
        check("x^2 ~ #1 $", "x\\textasciicircum{}2 \\textasciitilde{} \\#1 \\$");
        check("B − A, ε₀", "B $-$ A, $\\varepsilon$$_0$");
        check("Müller, café “Łódź”", "Müller, café “Łódź”");
        check("cafe\u{301}", "café");
        check("two\nlines\u{202e}", "two lines");
    }

    #[test]
    fn other_scripts_are_written_twice() {
        check("猫 cat", "\\other{Han}{732B}{猫}{Mao} cat");
        check("русский", "\\other{Cyrillic}{0438,0439,043A,0440,0441,0443}{русский}{russkii}");
        check("🐈", "\\other{Symbol}{1F408}{🐈}{cat2}");
        check("שלום עולם!", "\\other{Hebrew}{05D5,05DC,05DD,05E2,05E9}{\\fromright{שלום עולם}}{shlvm `vlm}!");
        check("猫кот", "\\other{Han}{732B}{猫}{Mao}\\other{Cyrillic}{043A,043E,0442}{кот}{kot}");
        check("❤\u{fe0f}", "\\other{Symbol}{2764}{❤\u{fe0f}}{heart}");
        check("#\u{fe0f}\u{20e3}", "\\other{Symbol}{0023,20E3}{\\#\u{fe0f}\u{20e3}}{\\#}");
    }

    #[test]
    fn a_document_names_the_engine_and_the_fonts_that_it_needs() {
        let picture = format!("title={{{}}}", escaped("猫 and \u{10330}"));
        assert!(engine(&picture).starts_with("% Compile with lualatex or xelatex"));
        let preamble = preamble(&picture);
        assert!(preamble.contains("\\tryfont{Han}{732B}{Noto Serif CJK SC}") && preamble.contains("{Noto Sans Gothic}"), "{preamble}");
        assert_eq!(preamble.matches('{').count(), preamble.matches('}').count());
        assert_eq!((super::preamble("title={cat}"), engine("cat").contains("pdflatex")), (String::new(), true));
    }
}
