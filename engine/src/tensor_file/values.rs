//! What the values of a pickle of `torch.save` stand for: storages, tensors, and what a few classes of Python make. Knows nothing of files.
//!
//! Everything is told when it is asked for, and nothing is copied that a file may name from many places.

use std::borrow::Cow;
use std::collections::HashMap;

use datasets::pickle::{Id, Node, Object, Pickle};
use tch::Kind;

/// As many axes as PyTorch computes with.
const MOST_AXES: usize = 64;
/// `torch.save` calls its storages by numbers.
const LONGEST_KEY: usize = 100;
/// Calls within each other that stand for one value; a parameter of a subclass of tensors has three.
const DEEPEST: usize = 16;

/// A pickle of `torch.save`.
#[derive(Debug)]
pub struct Values<'a> {
    pub pickle: Pickle<'a>,
    /// In files before PyTorch 0.1.10, whose persistent ids are those of tensors; without it they are those of storages.
    pub tensors: Option<&'a HashMap<String, Strided>>,
}

/// A value as networks need it.
#[derive(Debug)]
pub enum Value<'v> {
    Tensor(Strided),
    Storage(Storage<'v>),
    /// A tuple, list or set.
    Sequence(&'v [Id]),
    /// A dictionary of Python's own classes.
    Dict(Id),
    /// A class or function.
    Class(Id),
    /// An instance of a class that means nothing here.
    Object(&'v Object),
    /// A number, a text, or what the file alone does not tell.
    Other,
}

/// Where numbers are kept.
#[derive(Debug)]
pub struct Storage<'v> {
    pub key: Cow<'v, str>,
    /// Such as `FloatStorage`.
    pub type_name: &'v str,
    /// Elements before the part of the storage that this is a view of.
    pub offset: i64,
}

/// A tensor whose numbers have not been read.
#[derive(Clone, Debug)]
pub struct Strided {
    pub storage: String,
    /// Absent for types that no network here has.
    pub kind: Option<Kind>,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

impl Values<'_> {
    pub fn value(&self, id: Id) -> Value<'_> {
        self.value_within(id, DEEPEST)
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self.pickle.node(id) {
            Node::Int(number) => Some(*number),
            Node::Bool(flag) => Some((*flag).into()),
            _ => None,
        }
    }

    /// A number or a text as a text.
    pub fn key(&self, id: Id) -> Option<Cow<'_, str>> {
        match self.pickle.node(id) {
            Node::Int(key) => Some(Cow::Owned(key.to_string())),
            _ => self.pickle.text(id).map(Cow::Borrowed),
        }
    }

    /// Every storage that is named.
    pub fn storages(&self) -> impl Iterator<Item = Storage<'_>> {
        self.pickle.ids().filter_map(|id| self.storage(id))
    }

    /// The class of an object.
    pub fn class(&self, object: &Object) -> Option<Id> {
        match self.pickle.node(object.callable) {
            Node::Global(_) => Some(object.callable),
            Node::Persistent(id) => match self.persistent(*id)? {
                Value::Class(class) => Some(class),
                _ => None,
            },
            _ => None,
        }
    }

    fn value_within(&self, id: Id, deepest: usize) -> Value<'_> {
        match self.pickle.node(id) {
            Node::List(items) | Node::Tuple(items) => Value::Sequence(items),
            Node::Dict(_) => Value::Dict(id),
            Node::Global(_) => Value::Class(id),
            Node::Persistent(id) => self.persistent(*id).unwrap_or(Value::Other),
            Node::Object(_) if self.pickle.is_dict(id) => Value::Dict(id),
            Node::Object(object) => self.made_by(object, deepest).unwrap_or(Value::Object(object)),
            _ => Value::Other,
        }
    }

    fn storage(&self, id: Id) -> Option<Storage<'_>> {
        let Node::Persistent(id) = self.pickle.node(id) else { return None };
        match self.persistent(*id)? {
            Value::Storage(storage) => Some(storage),
            _ => None,
        }
    }

    /// What a persistent id stands for: `('storage', type, key, location, numel[, view])`, or `('module', class, …)` with the source of a
    /// class; before 0.1.10 the number of a tensor, or `(class, file, source)`.
    fn persistent(&self, id: Id) -> Option<Value<'_>> {
        let class = |id: Id| matches!(self.pickle.node(id), Node::Global(_)).then_some(Value::Class(id));
        let parts = self.pickle.items(id);
        if let Some(tensors) = self.tensors {
            return match parts {
                Some(parts) => class(*parts.first()?),
                None => tensors.get(self.key(id)?.as_ref()).cloned().map(Value::Tensor),
            };
        }
        match (self.pickle.text(*parts?.first()?)?, parts?) {
            ("module", [_, of, ..]) => class(*of),
            ("storage", [_, of, key, _, _, view @ ..]) => {
                // (key, offset, elements) of an early file.
                let offset = match view.first().and_then(|view| self.pickle.items(*view)) {
                    Some([_, offset, _]) => self.int(*offset)?,
                    _ => 0,
                };
                let key = self.key(*key).filter(|key| key.len() <= LONGEST_KEY)?;
                Some(Value::Storage(Storage { key, type_name: self.pickle.global(*of)?.1, offset }))
            }
            _ => None,
        }
    }

    fn made_by(&self, object: &Object, deepest: usize) -> Option<Value<'_>> {
        let Node::Tuple(args) = self.pickle.node(object.args) else { return None };
        self.returned(self.class(object)?, args, deepest.checked_sub(1)?)
    }

    /// What a class or function would return, where it is known.
    fn returned(&self, callable: Id, args: &[Id], deepest: usize) -> Option<Value<'_>> {
        match (self.pickle.global(callable)?, args) {
            (("torch", "Size") | ("builtins", "list" | "tuple" | "set") | ("__builtin__", "set"), [first, ..]) => {
                Some(self.value_within(*first, deepest))
            }
            (("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2"), _) => self.tensor(args, None),
            (("torch._utils", "_rebuild_tensor_v3"), _) => self.tensor(args, args.get(6).copied()),
            (
                ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
                | ("torch.nn.parameter", "Parameter" | "Buffer")
                | ("torch.autograd.variable", "Variable"),
                [first, ..],
            ) => match self.value_within(*first, deepest) {
                tensor @ Value::Tensor(_) => Some(tensor),
                _ => None,
            },
            // (function, type, arguments, state) of a subclass of Tensor.
            (("torch._tensor", "_rebuild_from_type_v2" | "_rebuild_from_type"), [function, _, inner, ..]) => {
                let (_, name) = self.pickle.global(*function)?;
                if name.starts_with("_rebuild_from_type") { None } else { self.returned(*function, self.pickle.items(*inner)?, deepest) }
            }
            _ => None,
        }
    }

    /// `(storage, offset, shape, strides, …)`.
    fn tensor(&self, args: &[Id], dtype: Option<Id>) -> Option<Value<'_>> {
        let [storage, offset, shape, strides, rest @ ..] = args else { return None };
        let storage = self.storage(*storage)?;
        let (shape, strides) = (self.lengths(*shape)?, self.lengths(*strides)?);
        if shape.len() != strides.len() {
            return None;
        }
        let kind = match dtype {
            Some(dtype) => match self.pickle.global(dtype) {
                Some(("torch", name)) => kind_of_dtype(name),
                Some(_) => return None,
                None => None,
            },
            None => kind_of_storage(storage.type_name),
        };
        // The last argument may say that the numbers are to be conjugated or negated.
        let set = |id: &Id| self.pickle.is_dict(*id) && self.pickle.pairs(*id).is_some_and(|mut pairs| pairs.next().is_some());
        let plain = !rest.iter().skip(2).take(2).any(set);
        let offset = self.int(*offset)?.checked_add(storage.offset).filter(|offset| *offset >= 0)?;
        Some(Value::Tensor(Strided { storage: storage.key.into_owned(), kind: kind.filter(|_| plain), offset, shape, strides }))
    }

    /// A shape, or strides.
    fn lengths(&self, id: Id) -> Option<Vec<i64>> {
        let items = match self.pickle.call(id) {
            Some((("torch", "Size"), [first, ..], _)) => self.pickle.items(*first),
            _ => self.pickle.items(id),
        };
        let length = |id: &Id| self.int(*id).filter(|length| *length >= 0);
        items.filter(|items| items.len() <= MOST_AXES)?.iter().map(length).collect()
    }
}

/// Of `torch.FloatStorage`, `torch.cuda.FloatStorage` and the like; also the types of tensors, `torch.FloatTensor`.
pub fn kind_of_storage(type_name: &str) -> Option<Kind> {
    match type_name.strip_suffix("Storage").or_else(|| type_name.strip_suffix("Tensor"))? {
        "Float" => Some(Kind::Float),
        "Double" => Some(Kind::Double),
        "Half" => Some(Kind::Half),
        "BFloat16" => Some(Kind::BFloat16),
        "Long" => Some(Kind::Int64),
        "Int" => Some(Kind::Int),
        "Short" => Some(Kind::Int16),
        "Char" => Some(Kind::Int8),
        "Byte" => Some(Kind::Uint8),
        "Bool" => Some(Kind::Bool),
        _ => None,
    }
}

fn kind_of_dtype(name: &str) -> Option<Kind> {
    match name {
        "float32" | "float" => Some(Kind::Float),
        "float64" | "double" => Some(Kind::Double),
        "float16" | "half" => Some(Kind::Half),
        "bfloat16" => Some(Kind::BFloat16),
        "int64" | "long" => Some(Kind::Int64),
        "int32" | "int" => Some(Kind::Int),
        "int16" | "short" => Some(Kind::Int16),
        "int8" => Some(Kind::Int8),
        "uint8" => Some(Kind::Uint8),
        "bool" => Some(Kind::Bool),
        _ => None,
    }
}

/// Bytes of an element.
pub fn element_size(type_name: &str) -> Option<u64> {
    match type_name.strip_suffix("Storage")? {
        "ComplexDouble" => Some(16),
        "ComplexFloat" => Some(8),
        "QInt32" => Some(4),
        "QInt8" | "QUInt8" | "Untyped" => Some(1),
        _ => kind_of_storage(type_name).map(|kind| kind.elt_size_in_bytes() as u64),
    }
}
