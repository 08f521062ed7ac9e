//! Presets on the command line.

use std::fmt::Write;

use anyhow::Context;
use shared::preset;

/// All presets, each with its name, whether it has a small form, and its title.
pub fn list() -> String {
    let presets = preset::all();
    let width = presets.iter().map(|preset| preset.id.len()).max().unwrap_or_default();
    presets.iter().fold(String::new(), |mut text, preset| {
        let small = if preset.small.is_some() { "--small" } else { "" };
        writeln!(text, "{:width$}  {small:7}  {}", preset.id, preset.title).expect("a text takes everything");
        text
    })
}

/// The configuration of a preset as the `config.json` of a run directory. Error: there is no such preset, or
/// it has no small form.
pub fn config(id: &str, small: bool) -> anyhow::Result<String> {
    let preset = preset::all().into_iter().find(|preset| preset.id == id);
    let preset = preset.with_context(|| format!("there is no preset `{id}`; without a name, all are listed"))?;
    let config = if small { preset.small.with_context(|| format!("`{id}` has no small form; leave --small out"))? } else { preset.config };
    Ok(format!("{:#}", config.to_json()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use shared::config::RunConfig;

    use super::*;

    #[test]
    fn every_preset_is_listed_and_printed_as_a_configuration() {
        let listed = list();
        assert_eq!(listed.lines().count(), preset::all().len());
        for preset in preset::all() {
            assert!(listed.lines().any(|line| line.split(' ').next() == Some(&preset.id)), "{listed}");
            for (small, expected) in [(false, Some(&preset.config)), (true, preset.small.as_ref())] {
                let printed = config(&preset.id, small).ok().map(|text| serde_json::from_str::<Value>(&text).unwrap());
                assert_eq!(printed.map(|value| RunConfig::try_from(value).unwrap()).as_ref(), expected, "{}", preset.id);
            }
        }
    }

    #[test]
    fn a_preset_that_is_not_there_is_named() {
        assert_eq!(config("cifar11", false).unwrap_err().to_string(), "there is no preset `cifar11`; without a name, all are listed");
    }
}
