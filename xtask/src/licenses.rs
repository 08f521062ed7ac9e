//! The licenses of everything that is compiled into the programs, for those who are given them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::layout::Layout;
use crate::process::answer;

/// The programs, and for which target each is compiled.
const PROGRAMS: [(&str, &[&str]); 2] = [("", &["server", "engine"]), ("wasm32-unknown-unknown", &["frontend"])];
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "unlicense"];

/// Returns one text: each license, and the packages that it is of.
pub fn of_dependencies(layout: &Layout) -> Result<String> {
    let host = host()?;
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut without_text: BTreeSet<String> = BTreeSet::new();
    for (target, roots) in PROGRAMS {
        let target = if target.is_empty() { host.as_str() } else { target };
        let mut cargo = layout.cargo();
        cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
        let metadata: Value = serde_json::from_str(&answer(&mut cargo)?).context("cargo metadata did not answer in JSON")?;
        for package in dependencies(&metadata, roots) {
            let [name, version, license, manifest] =
                ["name", "version", "license", "manifest_path"].map(|field| package[field].as_str().unwrap_or_default());
            // Our own license lies beside.
            if package["source"].is_null() {
                continue;
            }
            let folder = Path::new(manifest).parent().context("a package has a folder")?;
            let entry = format!("{name} {version} ({license})");
            let texts = texts(folder)?;
            if texts.is_empty() {
                without_text.insert(entry);
                continue;
            }
            for text in texts {
                by_text.entry(text).or_default().insert(entry.clone());
            }
        }
    }
    let mut all = "The worker holds the data set Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning \
                   Repository, 1998, CC BY 4.0.\n\nCrossLens is compiled with the packages below. Each text is followed by the next after a line \
                   of dashes.\n"
        .to_owned();
    for (text, packages) in by_text {
        let packages: Vec<String> = packages.into_iter().collect();
        all += &format!("\n{}\n{}\n\n{}\n", "-".repeat(80), packages.join("\n"), text.trim());
    }
    let without_text: Vec<String> = without_text.into_iter().collect();
    all += &format!(
        "\n{}\nThese name their license, in parentheses, and hold no text of it.\n\n{}\n",
        "-".repeat(80),
        without_text.join("\n")
    );
    Ok(all)
}

/// Returns the packages that `roots` are compiled with: no tools and nothing for tests.
fn dependencies<'a>(metadata: &'a Value, roots: &[&str]) -> Vec<&'a Value> {
    let packages: BTreeMap<&str, &Value> =
        list(&metadata["packages"]).iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).iter().filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let is_root = |package: &Value| package["source"].is_null() && package["name"].as_str().is_some_and(|name| roots.contains(&name));
    let mut waiting: Vec<&str> = packages.iter().filter(|(_, package)| is_root(package)).map(|(id, _)| *id).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !found.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        let compiled_in = |dependency: &&Value| list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
        waiting.extend(list(&node["deps"]).iter().filter(compiled_in).filter_map(|dependency| dependency["pkg"].as_str()));
    }
    found.into_iter().filter_map(|id| packages.get(id).copied()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the license files of a package.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|known| name.starts_with(known)) && entry.file_type()?.is_file() {
            texts.push(String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        }
    }
    Ok(texts)
}

fn host() -> Result<String> {
    let said = answer(Command::new("rustc").arg("-vV"))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say for which system it compiles")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_are_those_that_are_compiled_in() {
        let dependency = |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [
                { "id": "server", "name": "server", "source": null },
                { "id": "axum", "name": "axum", "source": "registry" },
                { "id": "tower", "name": "tower", "source": "registry" },
                { "id": "tempfile", "name": "tempfile", "source": "registry" },
                { "id": "leptos", "name": "leptos", "source": "registry" }
            ],
            "resolve": { "nodes": [
                { "id": "server", "deps": [dependency("axum", Value::Null), dependency("tempfile", json!("dev"))] },
                { "id": "axum", "deps": [dependency("tower", Value::Null)] },
                { "id": "tower", "deps": [] }
            ] }
        });
        let names: Vec<&str> = dependencies(&metadata, &["server"]).iter().filter_map(|package| package["name"].as_str()).collect();
        assert_eq!(names, ["axum", "server", "tower"]);
    }
}
