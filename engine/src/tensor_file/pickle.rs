//! Pickles as data: what Python's `pickle` would build, without running any of it.
//!
//! A class or function that a pickle names becomes an [`Value::Object`] that only remembers its name, unless it is one of the few by which
//! `torch.save` writes tensors and dictionaries. Format: <https://docs.python.org/3/library/pickletools.html>. Knows nothing of files.

use std::collections::HashMap;
use std::io::{self, Read};
use std::rc::Rc;

use tch::Kind;

/// The most bytes of a pickle, numbers of tensors aside, and the most values that it may make: several times what the largest file of a
/// network with its optimizer has.
pub const MOST_BYTES: u64 = 100 << 20;
const MOST_VALUES: usize = 8_000_000;

/// The place of a value among those of its pickle: containers are named by it, so that they can hold themselves.
pub type Id = u32;

/// A value as Python has it, as far as networks need it.
#[derive(Clone, Debug)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    /// A tuple, list or set.
    Sequence(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, `collections.OrderedDict`.
    Class(Rc<str>),
    Object(Box<Object>),
    Storage(Storage),
    Tensor(Box<Strided>),
}

/// An instance of a class that means nothing here.
#[derive(Clone, Debug)]
pub struct Object {
    pub class: Rc<str>,
    /// Its attributes.
    pub state: Option<Id>,
    /// Its entries, where it is a kind of dictionary or list.
    pub entries: Vec<(Id, Id)>,
    pub elements: Vec<Id>,
}

/// Where numbers are kept.
#[derive(Clone, Debug)]
pub struct Storage {
    pub key: Rc<str>,
    /// Absent for types that no network here has, and for storages without a type.
    pub kind: Option<Kind>,
    /// Such as `FloatStorage`.
    pub type_name: Rc<str>,
    /// Elements before the part of the storage that this is a view of.
    pub offset: i64,
}

/// A tensor whose numbers have not been read.
#[derive(Clone, Debug)]
pub struct Strided {
    pub storage: Rc<str>,
    /// Absent for types that no network here has.
    pub kind: Option<Kind>,
    pub offset: i64,
    pub shape: Vec<i64>,
    pub strides: Vec<i64>,
}

/// Everything that a pickle has made.
#[derive(Debug, Default)]
pub struct Values(Vec<Value>);

impl std::ops::Index<Id> for Values {
    type Output = Value;

    fn index(&self, id: Id) -> &Value {
        &self.0[id as usize]
    }
}

/// Why something is no pickle, in words for a person.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    #[error("it ends in the middle of a pickle: it is cut off")]
    CutOff,
    #[error("{0}")]
    Io(io::Error),
    #[error("it is no pickle: {0}")]
    Damaged(String),
}

impl From<io::Error> for PickleError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { PickleError::CutOff } else { PickleError::Io(error) }
    }
}

fn damaged<T>(problem: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::Damaged(problem.into()))
}

impl Values {
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self[id] {
            Value::Text(text) => Some(text),
            // Python 2 wrote its texts as bytes.
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<i64> {
        match self[id] {
            Value::Int(number) => Some(number),
            Value::Bool(flag) => Some(flag.into()),
            _ => None,
        }
    }

    pub fn sequence(&self, id: Id) -> Option<&[Id]> {
        match &self[id] {
            Value::Sequence(ids) => Some(ids),
            _ => None,
        }
    }

    /// Every storage that is named.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.0.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    fn ints(&self, id: Id) -> Option<Vec<i64>> {
        self.sequence(id)?.iter().map(|id| self.int(*id)).collect()
    }

    fn add(&mut self, value: Value) -> Result<Id, PickleError> {
        if self.0.len() >= MOST_VALUES {
            return damaged(format!("it has more than {MOST_VALUES} values"));
        }
        self.0.push(value);
        Ok(self.0.len() as Id - 1)
    }
}

/// What a persistent id stands for, by its place among the values.
type Persistent<'a> = &'a dyn Fn(&Values, Id) -> Option<Value>;

/// Reads the next pickle of `source` and returns its value. `persistent` gives what a persistent id stands for, in files before PyTorch
/// 0.1.10; without it the ids are those of storages.
pub fn read(values: &mut Values, source: &mut impl Read, persistent: Option<Persistent<'_>>) -> Result<Id, PickleError> {
    let mut machine =
        Machine { values, source: source.take(MOST_BYTES), persistent, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let result = machine.run();
    match result {
        Err(PickleError::CutOff) if machine.source.limit() == 0 => damaged(format!("it has more than {MOST_BYTES} bytes")),
        result => result,
    }
}

struct Machine<'a, R> {
    values: &'a mut Values,
    source: io::Take<R>,
    persistent: Option<Persistent<'a>>,
    stack: Vec<Id>,
    /// The stacks below each mark.
    marks: Vec<Vec<Id>>,
    memo: HashMap<u64, Id>,
}

impl<R: Read> Machine<'_, R> {
    fn run(&mut self) -> Result<Id, PickleError> {
        loop {
            let [code] = self.bytes()?;
            match code {
                b'.' => return self.pop(),
                b'(' => self.marks.push(std::mem::take(&mut self.stack)),
                b'0' => {
                    if self.stack.pop().is_none() {
                        self.pop_to_mark()?;
                    }
                }
                b'1' => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.stack.push(top);
                }
                // Numbers.
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' => {
                    let [number] = self.bytes()?;
                    self.push(Value::Int(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.bytes()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'J' => {
                    let number = i32::from_le_bytes(self.bytes()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'G' => {
                    let number = f64::from_be_bytes(self.bytes()?);
                    self.push(Value::Float(number))?;
                }
                b'I' | b'L' => {
                    let line = self.line()?;
                    let value = match line.as_str() {
                        "00" => Value::Bool(false),
                        "01" => Value::Bool(true),
                        line => match line.trim_end_matches('L').parse() {
                            Ok(number) => Value::Int(number),
                            Err(_) => self.object("int")?,
                        },
                    };
                    self.push(value)?;
                }
                b'F' => {
                    let line = self.line()?;
                    let Ok(number) = line.parse() else { return damaged(format!("`{line}` is no number")) };
                    self.push(Value::Float(number))?;
                }
                0x8a => {
                    let [length] = self.bytes()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.bytes()?);
                    self.long(length.into())?;
                }
                // Texts and bytes.
                b'X' => {
                    let length = u32::from_le_bytes(self.bytes()?);
                    self.text(length.into())?;
                }
                0x8c => {
                    let [length] = self.bytes()?;
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.bytes()?);
                    self.text(length)?;
                }
                b'U' | b'C' => {
                    let [length] = self.bytes()?;
                    self.raw(length.into())?;
                }
                b'T' | b'B' => {
                    let length = u32::from_le_bytes(self.bytes()?);
                    self.raw(length.into())?;
                }
                0x8e | 0x96 => {
                    let length = u64::from_le_bytes(self.bytes()?);
                    self.raw(length)?;
                }
                b'S' => {
                    let line = self.line()?;
                    let text = line.trim_matches(['\'', '"']);
                    self.push(Value::Text(text.into()))?;
                }
                b'V' => {
                    let line = self.line()?;
                    self.push(Value::Text(line.as_str().into()))?;
                }
                // Containers.
                b')' | b']' | 0x8f => self.push(Value::Sequence(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b't' | b'l' | 0x91 => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Sequence(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let Some(start) = self.stack.len().checked_sub(count) else { return damaged("its stack is too short") };
                    let items = self.stack.split_off(start);
                    self.push(Value::Sequence(items))?;
                }
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_to_mark()?;
                    self.append(&items)?;
                }
                // What was made before.
                b'p' => {
                    let index = self.index()?;
                    self.remember(index)?;
                }
                b'q' => {
                    let [index] = self.bytes()?;
                    self.remember(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.bytes()?);
                    self.remember(index.into())?;
                }
                0x94 => self.remember(self.memo.len() as u64)?,
                b'g' => {
                    let index = self.index()?;
                    self.recall(index)?;
                }
                b'h' => {
                    let [index] = self.bytes()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.bytes()?);
                    self.recall(index.into())?;
                }
                // Classes and what is made of them.
                b'c' => {
                    let class = self.global()?;
                    self.push(Value::Class(class))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Some(name), Some(module)) = (self.values.text(name), self.values.text(module)) else {
                        return damaged("a class has no name");
                    };
                    let class = format!("{module}.{name}").into();
                    self.push(Value::Class(class))?;
                }
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                0x92 => {
                    let (_named, arguments, callable) = (self.pop()?, self.pop()?, self.pop()?);
                    self.call(callable, arguments)?;
                }
                b'i' => {
                    let class = self.global()?;
                    let items = self.pop_to_mark()?;
                    let (callable, arguments) = (self.values.add(Value::Class(class))?, self.values.add(Value::Sequence(items))?);
                    self.call(callable, arguments)?;
                }
                b'o' => {
                    let mut items = self.pop_to_mark()?;
                    if items.is_empty() {
                        return damaged("an object has no class");
                    }
                    let callable = items.remove(0);
                    let arguments = self.values.add(Value::Sequence(items))?;
                    self.call(callable, arguments)?;
                }
                b'b' => {
                    let (state, object) = (self.pop()?, self.top()?);
                    if let Value::Object(object) = &mut self.values.0[object as usize] {
                        object.state = Some(state);
                    }
                }
                b'P' => {
                    let line = self.line()?;
                    let id = self.values.add(Value::Text(line.as_str().into()))?;
                    self.load_persistent(id)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.load_persistent(id)?;
                }
                // Extensions, which a program would have to register first.
                0x82..=0x84 => {
                    let length = [1, 2, 4][usize::from(code - 0x82)];
                    self.take(length)?;
                    let object = self.object("an extension")?;
                    self.push(object)?;
                }
                // What was kept out of the pickle.
                0x97 => {
                    let object = self.object("a buffer")?;
                    self.push(object)?;
                }
                0x98 => {}
                0x80 => drop(self.bytes::<1>()?),
                0x95 => drop(self.bytes::<8>()?),
                other => return damaged(format!("no pickle has the instruction {other:#04x}")),
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Grows with what is there: a length alone costs nothing.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, PickleError> {
        let mut bytes = Vec::new();
        self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(PickleError::CutOff) }
    }

    fn line(&mut self) -> Result<String, PickleError> {
        let mut line = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
                [byte] => line.push(byte),
            }
        }
    }

    fn index(&mut self) -> Result<u64, PickleError> {
        let line = self.line()?;
        line.parse().or_else(|_| damaged(format!("`{line}` is no index")))
    }

    fn global(&mut self) -> Result<Rc<str>, PickleError> {
        let (module, name) = (self.line()?, self.line()?);
        Ok(format!("{module}.{name}").into())
    }

    fn long(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        let value = if bytes.len() <= 8 {
            let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
            let mut whole = [sign; 8];
            whole[..bytes.len()].copy_from_slice(&bytes);
            Value::Int(i64::from_le_bytes(whole))
        } else {
            self.object("int")?
        };
        self.push(value)
    }

    fn text(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        self.push(Value::Text(String::from_utf8_lossy(&bytes).as_ref().into()))
    }

    fn raw(&mut self, length: u64) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        self.push(Value::Bytes(bytes.into()))
    }

    fn push(&mut self, value: Value) -> Result<(), PickleError> {
        let id = self.values.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        self.stack.pop().map_or_else(|| damaged("its stack is too short"), Ok)
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack.last().copied().map_or_else(|| damaged("its stack is too short"), Ok)
    }

    /// What was pushed after the last mark.
    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let Some(below) = self.marks.pop() else { return damaged("a mark is missing") };
        Ok(std::mem::replace(&mut self.stack, below))
    }

    fn remember(&mut self, index: u64) -> Result<(), PickleError> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<(), PickleError> {
        let Some(id) = self.memo.get(&index) else { return damaged(format!("it recalls {index}, which it has not made")) };
        self.stack.push(*id);
        Ok(())
    }

    fn append(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let top = self.top()?;
        match &mut self.values.0[top as usize] {
            Value::Sequence(ids) => ids.extend(items),
            Value::Object(object) => object.elements.extend(items),
            _ => return damaged("it appends to something that is no list"),
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let top = self.top()?;
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match &mut self.values.0[top as usize] {
            Value::Dict(entries) => entries.extend(pairs),
            Value::Object(object) => object.entries.extend(pairs),
            _ => return damaged("it sets the key of something that is no dictionary"),
        }
        Ok(())
    }

    fn object(&self, class: &str) -> Result<Value, PickleError> {
        Ok(Value::Object(Box::new(Object { class: class.into(), state: None, entries: Vec::new(), elements: Vec::new() })))
    }

    fn load_persistent(&mut self, id: Id) -> Result<(), PickleError> {
        let found = match self.persistent {
            Some(persistent) => persistent(self.values, id),
            None => self.persistent_value(id),
        };
        let value = found.map_or_else(|| self.object("something kept elsewhere"), Ok)?;
        self.push(value)
    }

    /// `('storage', type, key, location, numel[, view])`, or `('module', class, …)` with the source of a class.
    fn persistent_value(&self, id: Id) -> Option<Value> {
        let values = &*self.values;
        match (values.sequence(id)?, values.text(*values.sequence(id)?.first()?)?) {
            ([_, class, ..], "module") => Some(values[*class].clone()),
            ([_, class, key, _, _, view @ ..], "storage") => {
                let Value::Class(class) = &values[*class] else { return None };
                let key: Rc<str> = match &values[*key] {
                    Value::Int(key) => key.to_string().into(),
                    _ => values.text(*key)?.into(),
                };
                let type_name = class.rsplit('.').next().unwrap_or_default();
                // (key, offset, elements) of an early file.
                let offset = match view.first().and_then(|view| values.sequence(*view)) {
                    Some([_, offset, _]) => values.int(*offset)?,
                    _ => 0,
                };
                Some(Value::Storage(Storage { key, kind: kind_of_storage(type_name), type_name: type_name.into(), offset }))
            }
            _ => None,
        }
    }

    /// What a class or function would return. Nothing is called: a few are known, and the rest are remembered by name.
    fn call(&mut self, callable: Id, arguments: Id) -> Result<(), PickleError> {
        let value = match &self.values[callable] {
            Value::Class(class) => {
                let class = class.clone();
                match self.known(&class, arguments) {
                    Some(value) => value,
                    None => Value::Object(Box::new(Object { class, state: None, entries: Vec::new(), elements: Vec::new() })),
                }
            }
            _ => self.object("what an object returns")?,
        };
        self.push(value)
    }

    fn known(&self, class: &str, arguments: Id) -> Option<Value> {
        let values = &*self.values;
        let arguments = values.sequence(arguments)?;
        let first = arguments.first().copied();
        match class {
            "collections.OrderedDict" | "builtins.dict" | "__builtin__.dict" => {
                let pair = |id: &Id| match values.sequence(*id)? {
                    [key, value] => Some((*key, *value)),
                    _ => None,
                };
                let entries = match first {
                    Some(pairs) => values.sequence(pairs)?.iter().map(pair).collect::<Option<_>>()?,
                    None => Vec::new(),
                };
                Some(Value::Dict(entries))
            }
            "collections.defaultdict" => Some(Value::Dict(Vec::new())),
            "torch.Size" | "builtins.list" | "builtins.tuple" | "builtins.set" | "__builtin__.set" => Some(values[first?].clone()),
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => self.tensor(arguments, None),
            "torch._utils._rebuild_tensor_v3" => self.tensor(arguments, arguments.get(6).copied()),
            "torch._utils._rebuild_parameter"
            | "torch._utils._rebuild_parameter_with_state"
            | "torch.nn.parameter.Parameter"
            | "torch.nn.parameter.Buffer"
            | "torch.autograd.variable.Variable" => match &values[first?] {
                tensor @ Value::Tensor(_) => Some(tensor.clone()),
                _ => None,
            },
            // (function, type, arguments, state) of a subclass of Tensor.
            "torch._tensor._rebuild_from_type_v2" | "torch._tensor._rebuild_from_type" => {
                let [function, _, inner, ..] = arguments else { return None };
                let Value::Class(function) = &values[*function] else { return None };
                if function.contains("_rebuild_from_type") { None } else { self.known(function, *inner) }
            }
            _ => None,
        }
    }

    /// `(storage, offset, shape, strides, …)`.
    fn tensor(&self, arguments: &[Id], dtype: Option<Id>) -> Option<Value> {
        let values = &*self.values;
        let [storage, offset, shape, strides, rest @ ..] = arguments else { return None };
        let Value::Storage(Storage { key, kind, offset: view, .. }) = &values[*storage] else { return None };
        let (shape, strides) = (values.ints(*shape)?, values.ints(*strides)?);
        if shape.len() != strides.len() || shape.iter().chain(&strides).any(|length| *length < 0) {
            return None;
        }
        let kind = match dtype {
            Some(dtype) => match &values[dtype] {
                Value::Class(dtype) => kind_of_dtype(dtype.strip_prefix("torch.")?),
                _ => None,
            },
            None => *kind,
        };
        // The last argument may say that the numbers are to be conjugated or negated.
        let plain = !rest.iter().skip(2).any(|id| matches!(&values[*id], Value::Dict(entries) if !entries.is_empty()));
        let offset = values.int(*offset)?.checked_add(*view).filter(|offset| *offset >= 0)?;
        Some(Value::Tensor(Box::new(Strided { storage: key.clone(), kind: kind.filter(|_| plain), offset, shape, strides })))
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
