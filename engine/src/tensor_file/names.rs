//! The tensors in what `torch.save` has saved, by name: keys of dictionaries and attributes of modules, with dots between.

use std::collections::{BTreeMap, HashSet};

use datasets::pickle::{Id, Node, Object};

use super::values::{Strided, Value, Values};
use super::what;

/// Deeper than anything people save; a file may hold itself.
const DEEPEST: usize = 100;
/// Values and keys looked at, some of them again and again where a file names them from many places; long names and shapes
/// count several times.
const MOST_STEPS: usize = 16_000_000;
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
pub fn contents(values: &Values<'_>) -> Contents {
    let mut walk = Walk { values, contents: Contents::default(), path: HashSet::new(), steps: 0 };
    walk.visit(values.pickle.root(), "", Holder::Dict(""), true);
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
    values: &'a Values<'a>,
    contents: Contents,
    /// What is being looked into.
    path: HashSet<Id>,
    steps: usize,
}

impl<'a> Walk<'a> {
    /// Returns whether there are tensors at or under a value. `name` ends with a dot, or is empty; `listed`: whether values that are no
    /// tensors are worth a word.
    fn visit(&mut self, id: Id, name: &str, holder: Holder<'_>, listed: bool) -> bool {
        if !self.step(name) || self.path.len() >= DEEPEST || !self.path.insert(id) {
            return false;
        }
        let found = match self.values.value(id) {
            Value::Tensor(tensor) => {
                let own = name.strip_suffix('.').unwrap_or("tensor").to_owned();
                let (Holder::Dict(container) | Holder::Module(container)) = holder;
                self.steps += tensor.shape.len();
                self.contents.tensors.insert(own, (container.to_owned(), tensor));
                true
            }
            Value::Dict(dict) => self.entries(dict, name, Holder::Dict(name), listed),
            Value::Sequence(items) => {
                if let Some(numbers) = self.numbers(items) {
                    self.contents.lists.insert(name.trim_end_matches('.').to_owned(), numbers);
                }
                self.elements(items, name, Holder::Dict(name))
            }
            Value::Object(object) => {
                let outermost = match holder {
                    Holder::Dict(_) => name,
                    Holder::Module(container) => container,
                };
                match self.as_module(object) {
                    Some(module) => self.module(module, name, Holder::Module(outermost)),
                    None => self.attributes(id, object, name, Holder::Module(outermost)),
                }
            }
            Value::Storage(_) | Value::Class(_) | Value::Other => false,
        };
        self.path.remove(&id);
        found
    }

    /// Whether a value of this name may still be looked at.
    fn step(&mut self, name: &str) -> bool {
        self.steps += 1 + name.len() / 32;
        self.steps <= MOST_STEPS
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

    fn entries(&mut self, dict: Id, name: &str, holder: Holder<'_>, listed: bool) -> bool {
        let values = self.values;
        let mut any = false;
        for (key, value) in values.pickle.pairs(dict).into_iter().flatten() {
            let key = key_text(values, key);
            if !self.step(&key) {
                break;
            }
            any |= self.child(value, &format!("{name}{key}."), holder, listed);
        }
        any
    }

    fn elements(&mut self, items: &[Id], name: &str, holder: Holder<'_>) -> bool {
        let mut any = false;
        for (index, item) in items.iter().enumerate() {
            if !self.step("") {
                break;
            }
            any |= self.child(*item, &format!("{name}{index}."), holder, false);
        }
        any
    }

    /// What `state_dict()` of a module that was saved whole would give.
    fn module(&mut self, module: Module, name: &str, holder: Holder<'_>) -> bool {
        let values = self.values;
        let pairs = |dict: Option<Id>| dict.and_then(|dict| values.pickle.pairs(dict)).into_iter().flatten();
        let mut any = false;
        for (key, value) in pairs(Some(module.parameters)).chain(pairs(module.buffers)) {
            let key = key_text(values, key);
            if !self.step(&key) {
                break;
            }
            if matches!(values.value(value), Value::Tensor(_)) && !module.passing.contains(&key) {
                any |= self.visit(value, &format!("{name}{key}."), holder, false);
            }
        }
        any | self.entries(module.modules, name, holder, false)
    }

    /// The attributes of a `torch.nn.Module` that hold its tensors; absent for other objects.
    fn as_module(&mut self, object: &Object) -> Option<Module> {
        let values = self.values;
        let state = object.state.filter(|state| values.pickle.is_dict(*state))?;
        let (mut parameters, mut buffers, mut modules, mut passing) = (None, None, None, HashSet::new());
        for (key, value) in values.pickle.pairs(state)? {
            if !self.step("") {
                break;
            }
            let holds = match values.value(value) {
                Value::Dict(dict) => Some(dict),
                Value::Object(_) => Some(value),
                _ => None,
            };
            match values.pickle.text(key) {
                Some("_parameters") => parameters = holds,
                Some("_buffers") => buffers = holds,
                Some("_modules") => modules = holds,
                Some("_non_persistent_buffers_set") => {
                    if let Value::Sequence(names) = values.value(value) {
                        passing = names.iter().map(|name| key_text(values, *name)).take_while(|name| self.step(name)).collect();
                    }
                }
                _ => {}
            }
        }
        Some(Module { parameters: parameters?, buffers, modules: modules?, passing })
    }

    /// An object that is no module may hold one, and one of TorchScript is nothing else.
    fn attributes(&mut self, id: Id, object: &Object, name: &str, holder: Holder<'_>) -> bool {
        let values = self.values;
        let mut any = self.entries(id, name, holder, false) | self.elements(&object.items, name, holder);
        let parts = object.state.as_slice();
        let parts = match parts.first().map(|state| values.value(*state)) {
            // (attributes, slots)
            Some(Value::Sequence(parts)) => parts,
            _ => parts,
        };
        for part in parts {
            if !self.step("") {
                break;
            }
            if let Value::Dict(dict) = values.value(*part) {
                any |= self.entries(dict, name, holder, false);
            }
        }
        any
    }

    fn numbers(&self, items: &[Id]) -> Option<Vec<f64>> {
        let number = |id: &Id| match self.values.pickle.node(*id) {
            Node::Int(number) => Some(*number as f64),
            Node::Float(number) => Some(*number),
            _ => None,
        };
        let numbers: Option<Vec<f64>> = items.iter().take(MOST_CHANNELS + 1).map(number).collect();
        numbers.filter(|numbers| (1..=MOST_CHANNELS).contains(&numbers.len()))
    }
}

/// A `torch.nn.Module`, by the dictionaries that hold its tensors.
struct Module {
    parameters: Id,
    buffers: Option<Id>,
    modules: Id,
    /// Buffers that are not part of its state.
    passing: HashSet<String>,
}

/// A key of a dictionary; those that are no texts only lead to what lies under them.
fn key_text(values: &Values<'_>, id: Id) -> String {
    let path = |class: Option<Id>| class.and_then(|class| values.pickle.path(class));
    let known = match values.value(id) {
        Value::Sequence(items) if items.len() <= 4 => {
            Some(format!("({})", items.iter().map(|item| what::value(values, *item)).collect::<Vec<_>>().join(", ")))
        }
        Value::Object(object) => path(values.class(object)),
        Value::Class(class) => path(Some(class)),
        _ => values.pickle.text(id).map(str::to_owned),
    };
    known.unwrap_or_else(|| what::value(values, id))
}
