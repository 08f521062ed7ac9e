//! Bundles the style sheets into one and removes comments. A browser would load imported sheets one after the
//! other.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Returns `style/main.css`, with each import line replaced by the imported sheet.
///
/// Supports lines of the form `@import "name.css";`, with an optional `layer(name)` before the semicolon.
/// Imported sheets cannot import others.
pub fn bundle(dir: &Path) -> Result<String> {
    let main = read(dir, "main.css")?;
    let bundle = inline(&main, |name| {
        let sheet = read(dir, name)?;
        if sheet.lines().any(|line| line.trim_start().starts_with("@import")) {
            bail!("style/{name} has an @import: only style/main.css may");
        }
        Ok(sheet)
    })?;
    Ok(bare(&bundle))
}

/// Removes comments, indentation and empty lines. No string in the sheet may contain the start of a comment.
fn bare(sheet: &str) -> String {
    let mut kept = String::new();
    let mut rest = sheet;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept.lines().map(str::trim).filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect()
}

fn read(dir: &Path, name: &str) -> Result<String> {
    fs::read_to_string(dir.join(name)).with_context(|| format!("cannot read style/{name}"))
}

fn inline(main: &str, mut read: impl FnMut(&str) -> Result<String>) -> Result<String> {
    let mut bundle = String::new();
    for line in main.lines() {
        let Some(import) = line.trim_start().strip_prefix("@import") else {
            bundle.push_str(line);
            bundle.push('\n');
            continue;
        };
        let (name, layer) = parse_import(import).with_context(|| format!("style/main.css: cannot understand `{}`", line.trim()))?;
        let sheet = read(name)?;
        match layer {
            Some(layer) => bundle.push_str(&format!("@layer {layer} {{\n{}\n}}\n", sheet.trim())),
            None => bundle.push_str(&format!("{}\n", sheet.trim())),
        }
    }
    Ok(bundle)
}

/// Parses what follows `@import`: the name of the file, and the layer if there is one.
fn parse_import(import: &str) -> Option<(&str, Option<&str>)> {
    let import = import.trim().strip_suffix(';')?.trim_end();
    let (name, rest) = import.strip_prefix('"')?.split_once('"')?;
    let layer = match rest.trim() {
        "" => None,
        rest => Some(rest.strip_prefix("layer(")?.strip_suffix(')')?),
    };
    Some((name, layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(main: &str, expected: &str) {
        let bundle = inline(main, |name| Ok(format!("/* {name} */\n")));
        assert_eq!(bundle.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn imports_are_replaced_in_their_order() {
        check("@layer base;\n@import \"b.css\";\n@import \"a.css\";\nhtml {}\n", "@layer base;\n/* b.css */\n/* a.css */\nhtml {}\n");
    }

    #[test]
    fn a_layer_is_kept() {
        check("@import \"a.css\" layer(base);", "@layer base {\n/* a.css */\n}\n");
    }

    #[test]
    fn what_no_browser_reads_is_left_out() {
        let sheet = "/* One. */\nhtml {\n  /* Two\n     lines. */\n\n  margin: 0; /* Three. */\n}\n";
        assert_eq!(bare(sheet), "html {\nmargin: 0;\n}\n");
        assert_eq!(bare("body { width: calc(1px * 2 / 3) } /* without an end"), "body { width: calc(1px * 2 / 3) }\n");
    }

    #[test]
    fn an_import_that_is_not_understood_is_named() {
        check("@import \"a.css\" print;", "style/main.css: cannot understand `@import \"a.css\" print;`");
    }

    #[test]
    fn a_missing_sheet_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.css"), "@import \"tokens.css\";").unwrap();
        let error = bundle(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "cannot read style/tokens.css");
    }

    #[test]
    fn an_imported_sheet_cannot_import() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("main.css"), "@import \"a.css\";").unwrap();
        fs::write(dir.path().join("a.css"), "@import \"b.css\";").unwrap();
        let error = bundle(dir.path()).unwrap_err();
        assert_eq!(error.to_string(), "style/a.css has an @import: only style/main.css may");
    }
}
