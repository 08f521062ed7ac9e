//! The tensors in what `torch.save` has saved, by name: keys of dictionaries and attributes of modules, with dots between.

use std::collections::{BTreeMap, HashSet};

use super::pickle::{Id, Object, Strided, Value, Values};
use super::what;

/// Deeper than anything people save; a file may hold itself.
const DEEPEST: usize = 100;
/// Values looked at, some of them again and again where a file names them from many places.
const MOST_VISITS: usize = 4_000_000;
/// A list of as many numbers may be a mean or a deviation of channels.
const MOST_CHANNELS: usize = 4;

/// What was found.
#[derive(Debug, Default)]
pub struct Contents {
    /// Each with the name of the dictionary or module that holds it, `state_dict.`.
    pub tensors: BTreeMap<String, (String, Strided)>,
    /// Short lists of numbers.
    pub lists: BTreeMap<String, Vec<f64>>,
    /// What is no tensor and holds none, by name, with what it is.
    pub values: Vec<(String, String)>,
}

/// Walks through everything that was saved.
pub fn contents(values: &Values, root: Id) -> Contents {
    let mut walk = Walk { values, contents: Contents::default(), path: HashSet::new(), visits: 0 };
    walk.visit(root, "", Holder::Dict(""), true);
    walk.contents
}

/// What holds a value, by its name.
#[derive(Clone, Copy)]
enum Holder<'a> {
    /// A dictionary or list.
    Dict(&'a str),
    /// A module, or another object with attributes: what they hold is one state dict, that of the outermost.
    Module(&'a str),
}

struct Walk<'a> {
    values: &'a Values,
    contents: Contents,
    /// What is being looked into.
    path: HashSet<Id>,
    visits: usize,
}

impl Walk<'_> {
    /// Returns whether there are tensors at or under a value. `name` ends with a dot, or is empty; `listed`: whether values that are no
    /// tensors are worth a word.
    fn visit(&mut self, id: Id, name: &str, holder: Holder<'_>, listed: bool) -> bool {
        self.visits += 1;
        if self.visits > MOST_VISITS || self.path.len() >= DEEPEST || !self.path.insert(id) {
            return false;
        }
        let found = match &self.values[id] {
            Value::Tensor(tensor) => {
                let own = name.strip_suffix('.').unwrap_or("tensor").to_owned();
                let (Holder::Dict(container) | Holder::Module(container)) = holder;
                self.contents.tensors.insert(own, (container.to_owned(), (**tensor).clone()));
                true
            }
            Value::Dict(entries) => self.entries(entries, name, Holder::Dict(name), listed),
            Value::Sequence(items) => {
                if let Some(numbers) = self.numbers(items) {
                    self.contents.lists.insert(name.trim_end_matches('.').to_owned(), numbers);
                }
                let mut any = false;
                for (index, item) in items.iter().enumerate() {
                    any |= self.child(*item, &format!("{name}{index}."), Holder::Dict(name), false);
                }
                any
            }
            Value::Object(object) => {
                let outermost = match holder {
                    Holder::Dict(_) => name,
                    Holder::Module(container) => container,
                };
                match module(self.values, object) {
                    Some(module) => self.module(module, name, Holder::Module(outermost)),
                    None => self.attributes(object, name, Holder::Module(outermost)),
                }
            }
            _ => false,
        };
        self.path.remove(&id);
        found
    }

    /// Visits what a container holds, and lists it where there are no tensors in it.
    fn child(&mut self, id: Id, name: &str, holder: Holder<'_>, listed: bool) -> bool {
        let before = self.contents.values.len();
        let found = self.visit(id, name, holder, listed);
        if !found {
            self.contents.values.truncate(before);
            if listed {
                let what = what::value(self.values, id);
                self.contents.values.push((name.trim_end_matches('.').to_owned(), what));
            }
        }
        found
    }

    fn entries(&mut self, entries: &[(Id, Id)], name: &str, holder: Holder<'_>, listed: bool) -> bool {
        let mut any = false;
        for (key, value) in entries {
            let key = key_text(self.values, *key);
            any |= self.child(*value, &format!("{name}{key}."), holder, listed);
        }
        any
    }

    /// What `state_dict()` of a module that was saved whole would give.
    fn module(&mut self, module: Module<'_>, name: &str, holder: Holder<'_>) -> bool {
        let mut any = false;
        for (key, value) in module.parameters.iter().chain(module.buffers) {
            let key = key_text(self.values, *key);
            if matches!(self.values[*value], Value::Tensor(_)) && !module.passing.contains(&key) {
                any |= self.visit(*value, &format!("{name}{key}."), holder, false);
            }
        }
        for (key, value) in module.modules {
            let key = key_text(self.values, *key);
            any |= self.child(*value, &format!("{name}{key}."), holder, false);
        }
        any
    }

    /// An object that is no module may hold one, and one of TorchScript is nothing else.
    fn attributes(&mut self, object: &Object, name: &str, holder: Holder<'_>) -> bool {
        let mut any = self.entries(&object.entries, name, holder, false);
        for (index, item) in object.elements.iter().enumerate() {
            any |= self.child(*item, &format!("{name}{index}."), holder, false);
        }
        let parts = object.state.map(|state| match &self.values[state] {
            // (attributes, slots)
            Value::Sequence(parts) => parts.clone(),
            _ => vec![state],
        });
        for part in parts.unwrap_or_default() {
            if let Value::Dict(entries) = &self.values[part] {
                any |= self.entries(entries, name, holder, false);
            }
        }
        any
    }

    fn numbers(&self, items: &[Id]) -> Option<Vec<f64>> {
        let number = |id: &Id| match self.values[*id] {
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        };
        let numbers: Option<Vec<f64>> = items.iter().take(MOST_CHANNELS + 1).map(number).collect();
        numbers.filter(|numbers| (1..=MOST_CHANNELS).contains(&numbers.len()))
    }
}

/// A `torch.nn.Module`, by the attributes that hold its tensors.
struct Module<'a> {
    parameters: &'a [(Id, Id)],
    buffers: &'a [(Id, Id)],
    modules: &'a [(Id, Id)],
    /// Buffers that are not part of its state.
    passing: Vec<String>,
}

fn module<'a>(values: &'a Values, object: &'a Object) -> Option<Module<'a>> {
    let Value::Dict(attributes) = &values[object.state?] else { return None };
    let attribute = |name: &str| attributes.iter().find(|(key, _)| values.text(*key) == Some(name)).map(|(_, value)| *value);
    let entries = |id: Id| match &values[id] {
        Value::Dict(entries) => Some(entries.as_slice()),
        Value::Object(object) => Some(object.entries.as_slice()),
        _ => None,
    };
    let passing = attribute("_non_persistent_buffers_set").map(|id| match &values[id] {
        Value::Sequence(names) => names.iter().map(|name| key_text(values, *name)).collect(),
        _ => Vec::new(),
    });
    Some(Module {
        parameters: entries(attribute("_parameters")?)?,
        buffers: attribute("_buffers").and_then(entries).unwrap_or_default(),
        modules: entries(attribute("_modules")?)?,
        passing: passing.unwrap_or_default(),
    })
}

/// A key of a dictionary; those that are no texts only lead to what lies under them.
fn key_text(values: &Values, id: Id) -> String {
    match &values[id] {
        Value::Sequence(items) if items.len() <= 4 => {
            format!("({})", items.iter().map(|item| what::value(values, *item)).collect::<Vec<_>>().join(", "))
        }
        Value::Object(object) => object.class.to_string(),
        Value::Class(class) => class.to_string(),
        _ => values.text(id).map_or_else(|| what::value(values, id), str::to_owned),
    }
}
