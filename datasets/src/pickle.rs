//! Python's pickles as data, protocols 0 to 5. A pickle is a program that calls classes and functions by their names: here those calls
//! are written down, not made. Knows nothing of files, NumPy or PyTorch.
//!
//! What a pickle takes in memory grows with its bytes, whatever lengths and repetitions it declares.
//! Format: <https://docs.python.org/3/library/pickletools.html>. Our own code, because the crates that read pickles keep either the
//! arguments of an object or its state, and an array needs both.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

/// Letters that a message has of a text, and of the names of a module and of what is in it.
const LONGEST_TEXT: usize = 40;
const LONGEST_NAME: usize = 200;

/// The index of a value among those of its pickle. Values refer to each other by it, since a pickle may name one several times, or
/// inside itself.
pub type Id = u32;

/// The pairs of a dictionary: those it was made from, each a value of its own, and those that were set in it.
type Pairs<'p> = (&'p [Id], &'p [(Id, Id)]);

/// A value. What it contains is named by its [`Id`].
#[derive(Debug)]
pub enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Also bytearrays, and the text of Python 2.
    Bytes(Cow<'a, [u8]>),
    Text(Cow<'a, str>),
    /// A list or a set.
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function: the texts of its module and its name.
    Global([Id; 2]),
    Object(Box<Object>),
    /// What the program keeps elsewhere under this id.
    Persistent(Id),
    /// What the pickle alone does not tell, in words.
    Unknown(&'static str),
}

/// What would have been called, and what would have been done to what that returns.
#[derive(Debug)]
pub struct Object {
    pub callable: Id,
    /// A tuple; without the arguments that are passed by name.
    pub args: Id,
    /// Attributes in most cases; NumPy's classes have their own form.
    pub state: Option<Id>,
    /// Elements that were added to it, where it is a kind of list.
    pub items: Vec<Id>,
    /// Entries that were set in it, where it is a kind of dictionary.
    pub pairs: Vec<(Id, Id)>,
}

/// Why bytes are no pickle that can be read.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    #[error("it ends in the middle of a pickle: it is cut off")]
    CutOff,
    #[error("it is a pickle of protocol {0}; 0 to 5 are read")]
    Protocol(u8),
    #[error("it is no pickle: it has more than {most} values")]
    TooManyValues { most: usize },
    #[error("it is no pickle: {0}")]
    Damaged(String),
}

/// A pickle that has been read.
#[derive(Debug)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
    size_bytes: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that `bytes` begin with, of at most `most` values; what comes after it is not looked at.
    pub fn read(bytes: &'a [u8], most: usize) -> Result<Self, PickleError> {
        let machine = Machine { rest: bytes, most, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        let (nodes, root, rest) = machine.run()?;
        Ok(Pickle { nodes, root, size_bytes: bytes.len() - rest.len() })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    /// How many of the bytes that it was read from are its own.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// All values.
    pub fn ids(&self) -> Range<Id> {
        0..self.nodes.len() as Id
    }

    pub fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id as usize]
    }

    /// Module and name of a class or function.
    pub fn global(&self, id: Id) -> Option<(&str, &str)> {
        let Node::Global([module, name]) = self.node(id) else { return None };
        self.text(*module).zip(self.text(*name))
    }

    /// What an object is made by, with the arguments and the object itself.
    pub fn call(&self, id: Id) -> Option<((&str, &str), &[Id], &Object)> {
        let Node::Object(object) = self.node(id) else { return None };
        let Node::Tuple(args) = self.node(object.args) else { return None };
        Some((self.global(object.callable)?, args, object))
    }

    /// The values of a list, a tuple, or an object that items were added to.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            Node::Object(object) if !object.items.is_empty() => Some(&object.items),
            _ => None,
        }
    }

    /// Whether a value is a dictionary of one of Python's own classes.
    pub fn is_dict(&self, id: Id) -> bool {
        const CLASSES: [(&str, &str); 4] =
            [("collections", "OrderedDict"), ("collections", "defaultdict"), ("builtins", "dict"), ("__builtin__", "dict")];
        matches!(self.node(id), Node::Dict(_)) || self.call(id).is_some_and(|(class, ..)| CLASSES.contains(&class))
    }

    /// Keys and values of a dictionary of any class.
    pub fn pairs(&self, id: Id) -> Option<impl Iterator<Item = (Id, Id)>> {
        let (listed, set) = self.pairs_as_written(id)?;
        let pair = |id: &Id| Some(<(Id, Id)>::from(<[Id; 2]>::try_from(self.items(*id)?).ok()?));
        Some(listed.iter().map_while(pair).chain(set.iter().copied()))
    }

    /// The pairs that a dictionary was made from, as Python 2 pickles an `OrderedDict`, and those that were set in it.
    fn pairs_as_written(&self, id: Id) -> Option<Pairs<'_>> {
        match self.node(id) {
            Node::Dict(pairs) => Some((&[], pairs)),
            Node::Object(object) if self.is_dict(id) => {
                let listed = self.call(id).and_then(|(_, args, _)| self.items(*args.first()?));
                Some((listed.unwrap_or_default(), &object.pairs))
            }
            Node::Object(object) if !object.pairs.is_empty() => Some((&[], &object.pairs)),
            _ => None,
        }
    }

    /// A text of Python 2 or 3.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            Node::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// What a value is, for a message. Takes no longer for large values.
    pub fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(true) => "True".to_owned(),
            Node::Bool(false) => "False".to_owned(),
            Node::Int(value) => value.to_string(),
            Node::Float(value) => format!("{value:?}"),
            Node::Bytes(bytes) if bytes.len() > LONGEST_TEXT => format!("{} bytes", bytes.len()),
            Node::Bytes(bytes) => format!("`{}`", bytes.escape_ascii()),
            Node::Text(text) => format!("`{}`", shortened(text, LONGEST_TEXT)),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::Global(_) => format!("`{}`", self.path(id).unwrap_or_default()),
            Node::Dict(_) => self.describe_dict(id),
            Node::Object(_) if self.is_dict(id) => self.describe_dict(id),
            Node::Object(object) => {
                self.path(object.callable).map_or_else(|| "an object".to_owned(), |path| format!("an object made by `{path}`"))
            }
            Node::Persistent(_) => "an object that lies outside the file".to_owned(),
            Node::Unknown(what) => (*what).to_owned(),
        }
    }

    /// Module and name of a class or function with a dot between, for a message.
    pub fn path(&self, id: Id) -> Option<String> {
        let (module, name) = self.global(id)?;
        Some(format!("{}.{}", shortened(module, LONGEST_NAME), shortened(name, LONGEST_NAME)))
    }

    fn describe_dict(&self, id: Id) -> String {
        let (listed, set) = self.pairs_as_written(id).unwrap_or_default();
        let count = listed.len() + set.len();
        let first = self.pairs(id).into_iter().flatten().take(3);
        let keys: Vec<String> =
            first.filter_map(|(key, _)| self.text(key)).map(|key| format!("`{}`", shortened(key, LONGEST_TEXT))).collect();
        match count {
            0 => "an empty dictionary".to_owned(),
            _ if keys.is_empty() => format!("a dictionary of {count}"),
            _ => format!("a dictionary with {}{}", keys.join(", "), if count > keys.len() { " …" } else { "" }),
        }
    }
}

fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Pickle's stack machine.
struct Machine<'a> {
    rest: &'a [u8],
    most: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark; what lies below the last is out of reach.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Gives all values, the outermost one, and the bytes that are left. Names of operations as Python's `pickletools` has them.
    fn run(mut self) -> Result<(Vec<Node<'a>>, Id, &'a [u8]), PickleError> {
        loop {
            let [operation] = self.fixed()?;
            match operation {
                // PROTO
                0x80 => {
                    let [protocol] = self.fixed()?;
                    if protocol > 5 {
                        return Err(PickleError::Protocol(protocol));
                    }
                }
                // FRAME, READONLY_BUFFER
                0x95 => drop(self.fixed::<8>()?),
                0x98 => {}
                // STOP
                b'.' => {
                    let [root] = self.last()?;
                    return Ok((self.nodes, root, self.rest));
                }
                // MARK, POP, POP_MARK, DUP
                b'(' => {
                    self.check(self.marks.len())?;
                    self.marks.push(self.stack.len());
                }
                b'0' => {
                    if self.marks.last() == Some(&self.stack.len()) {
                        self.marks.pop();
                    } else {
                        self.last::<1>()?;
                    }
                }
                b'1' => drop(self.marked()?),
                b'2' => self.stack.push(self.top()?),
                // PUT, BINPUT, LONG_BINPUT, MEMOIZE
                b'p' | b'q' | b'r' | 0x94 => {
                    let index = self.index(operation)?;
                    self.check(self.memo.len())?;
                    self.memo.insert(index, self.top()?);
                }
                // GET, BINGET, LONG_BINGET
                b'g' | b'h' | b'j' => {
                    let index = self.index(operation)?;
                    let Some(id) = self.memo.get(&index) else { return damaged(format!("it recalls {index}, which it has not made")) };
                    self.stack.push(*id);
                }
                // APPEND; APPENDS and ADDITEMS
                b'a' => {
                    let item = self.last::<1>()?;
                    self.append(&item)?;
                }
                b'e' | 0x90 => {
                    let items = self.marked()?;
                    self.append(&items)?;
                }
                // DICT, SETITEM, SETITEMS
                b'd' => {
                    let items = self.marked()?;
                    self.push(Node::Dict(Vec::new()))?;
                    self.set(&items)?;
                }
                b's' => {
                    let items = self.last::<2>()?;
                    self.set(&items)?;
                }
                b'u' => {
                    let items = self.marked()?;
                    self.set(&items)?;
                }
                // BUILD
                b'b' => {
                    let [state] = self.last()?;
                    let object = self.top()?;
                    if let Node::Object(object) = &mut self.nodes[object as usize] {
                        object.state = Some(state);
                    }
                }
                other => {
                    let node = self.made_by(other)?;
                    self.push(node)?;
                }
            }
        }
    }

    /// The value that an operation puts on the stack.
    fn made_by(&mut self, operation: u8) -> Result<Node<'a>, PickleError> {
        Ok(match operation {
            // NONE, NEWTRUE, NEWFALSE
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            // INT, LONG: in digits
            b'I' => match self.line()? {
                b"00" => Node::Bool(false),
                b"01" => Node::Bool(true),
                digits => integer(digits),
            },
            b'L' => {
                let digits = self.line()?;
                integer(digits.strip_suffix(b"L").unwrap_or(digits))
            }
            // BININT, BININT1, BININT2, LONG1, LONG4
            b'J' => Node::Int(i32::from_le_bytes(self.fixed()?).into()),
            b'K' => Node::Int(u8::from_le_bytes(self.fixed()?).into()),
            b'M' => Node::Int(u16::from_le_bytes(self.fixed()?).into()),
            0x8a => long(self.counted::<1>()?),
            0x8b => long(self.counted::<4>()?),
            // FLOAT, BINFLOAT
            b'F' => Node::Float(self.number()?),
            b'G' => Node::Float(f64::from_be_bytes(self.fixed()?)),
            // STRING; SHORT_BINBYTES and SHORT_BINSTRING; BINBYTES and BINSTRING; BINBYTES8 and BYTEARRAY8
            b'S' => Node::Bytes(unescaped(self.line()?).into()),
            b'C' | b'U' => Node::Bytes(self.counted::<1>()?.into()),
            b'B' | b'T' => Node::Bytes(self.counted::<4>()?.into()),
            0x8e | 0x96 => Node::Bytes(self.counted::<8>()?.into()),
            // UNICODE, SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
            b'V' => Node::Text(raw_unicode(self.line()?).into()),
            0x8c => Node::Text(String::from_utf8_lossy(self.counted::<1>()?)),
            b'X' => Node::Text(String::from_utf8_lossy(self.counted::<4>()?)),
            0x8d => Node::Text(String::from_utf8_lossy(self.counted::<8>()?)),
            // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
            b')' => Node::Tuple(Vec::new()),
            b't' => Node::Tuple(self.marked()?),
            0x85 => Node::Tuple(self.last::<1>()?.into()),
            0x86 => Node::Tuple(self.last::<2>()?.into()),
            0x87 => Node::Tuple(self.last::<3>()?.into()),
            // EMPTY_LIST and EMPTY_SET, LIST and FROZENSET, EMPTY_DICT
            b']' | 0x8f => Node::List(Vec::new()),
            b'l' | 0x91 => Node::List(self.marked()?),
            b'}' => Node::Dict(Vec::new()),
            // GLOBAL, STACK_GLOBAL
            b'c' => self.named()?,
            0x93 => {
                let names: [Id; 2] = self.last()?;
                if !names.iter().all(|name| matches!(self.nodes[*name as usize], Node::Text(_))) {
                    return damaged("a class has no name");
                }
                Node::Global(names)
            }
            // REDUCE and NEWOBJ, NEWOBJ_EX, OBJ, INST
            b'R' | 0x81 => {
                let [callable, args] = self.last()?;
                object(callable, args)
            }
            0x92 => {
                let [callable, args, _by_name] = self.last()?;
                object(callable, args)
            }
            b'o' => {
                let mut args = self.marked()?;
                if args.is_empty() {
                    return damaged("an object has no class");
                }
                object(args.remove(0), self.add(Node::Tuple(args))?)
            }
            b'i' => {
                let class = self.named()?;
                let args = self.marked()?;
                object(self.add(class)?, self.add(Node::Tuple(args))?)
            }
            // PERSID, BINPERSID
            b'P' => {
                let id = Node::Text(String::from_utf8_lossy(self.line()?));
                Node::Persistent(self.add(id)?)
            }
            b'Q' => {
                let [id] = self.last()?;
                Node::Persistent(id)
            }
            // EXT1, EXT2, EXT4, NEXT_BUFFER
            0x82..=0x84 => {
                self.take(1 << (operation - 0x82))?;
                Node::Unknown("an object that only the program that wrote the file knows")
            }
            0x97 => Node::Unknown("a buffer that was written outside the file"),
            other => return damaged(format!("no pickle has the instruction {other:#04x}")),
        })
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(PickleError::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], PickleError> {
        Ok(self.take(COUNT)?.try_into().expect("as many bytes were taken"))
    }

    /// Bytes after their number, which itself has `WIDTH` bytes.
    fn counted<const WIDTH: usize>(&mut self) -> Result<&'a [u8], PickleError> {
        let mut count = [0; 8];
        count[..WIDTH].copy_from_slice(&self.fixed::<WIDTH>()?);
        self.take(usize::try_from(u64::from_le_bytes(count)).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or(PickleError::CutOff)?;
        let line = &self.take(length + 1)?[..length];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn number<T: FromStr>(&mut self) -> Result<T, PickleError> {
        let line = String::from_utf8_lossy(self.line()?);
        line.trim().parse().or_else(|_| damaged(format!("`{}` is no number", shortened(&line, LONGEST_TEXT))))
    }

    /// The place in the memo that an operation names.
    fn index(&mut self, operation: u8) -> Result<u64, PickleError> {
        match operation {
            b'p' | b'g' => self.number(),
            b'q' | b'h' => Ok(u8::from_le_bytes(self.fixed()?).into()),
            b'r' | b'j' => Ok(u32::from_le_bytes(self.fixed()?).into()),
            // MEMOIZE: the next one.
            _ => Ok(self.memo.len() as u64),
        }
    }

    fn named(&mut self) -> Result<Node<'a>, PickleError> {
        let (module, name) = (self.line()?, self.line()?);
        let mut text = |line| self.add(Node::Text(String::from_utf8_lossy(line)));
        Ok(Node::Global([text(module)?, text(name)?]))
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), PickleError> {
        let id = self.add(node)?;
        self.stack.push(id);
        Ok(())
    }

    fn add(&mut self, node: Node<'a>) -> Result<Id, PickleError> {
        self.check(self.nodes.len())?;
        self.nodes.push(node);
        Ok(self.nodes.len() as Id - 1)
    }

    /// Whether there may be one more.
    fn check(&self, count: usize) -> Result<(), PickleError> {
        if count < self.most { Ok(()) } else { Err(PickleError::TooManyValues { most: self.most }) }
    }

    fn top(&self) -> Result<Id, PickleError> {
        self.stack[self.floor()..].last().copied().map_or_else(|| damaged("its stack is too short"), Ok)
    }

    /// Takes the last values off the stack.
    fn last<const COUNT: usize>(&mut self) -> Result<[Id; COUNT], PickleError> {
        match self.stack[self.floor()..].last_chunk() {
            Some(last) => {
                let last = *last;
                self.stack.truncate(self.stack.len() - COUNT);
                Ok(last)
            }
            None => damaged("its stack is too short"),
        }
    }

    /// Takes everything above the last mark off the stack.
    fn marked(&mut self) -> Result<Vec<Id>, PickleError> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.split_off(mark)),
            None => damaged("a mark is missing"),
        }
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn append(&mut self, more: &[Id]) -> Result<(), PickleError> {
        let top = self.top()?;
        match &mut self.nodes[top as usize] {
            Node::List(items) => items.extend(more),
            Node::Object(object) => object.items.extend(more),
            _ => return damaged("it appends to something that is no list"),
        }
        Ok(())
    }

    fn set(&mut self, flat: &[Id]) -> Result<(), PickleError> {
        let (pairs, []) = flat.as_chunks::<2>() else { return damaged("a key has no value") };
        let pairs = pairs.iter().map(|[key, value]| (*key, *value));
        let top = self.top()?;
        match &mut self.nodes[top as usize] {
            Node::Dict(known) => known.extend(pairs),
            Node::Object(object) => object.pairs.extend(pairs),
            _ => return damaged("it sets the key of something that is no dictionary"),
        }
        Ok(())
    }
}

fn damaged<T>(problem: impl Into<String>) -> Result<T, PickleError> {
    Err(PickleError::Damaged(problem.into()))
}

fn object(callable: Id, args: Id) -> Node<'static> {
    Node::Object(Box::new(Object { callable, args, state: None, items: Vec::new(), pairs: Vec::new() }))
}

const TOO_LARGE: Node<'static> = Node::Unknown("a whole number of more than 64 bits");

fn integer(digits: &[u8]) -> Node<'static> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.trim().parse().ok()).map_or(TOO_LARGE, Node::Int)
}

/// A whole number in two's complement, the lowest byte first.
fn long(bytes: &[u8]) -> Node<'static> {
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut padded = [if negative { 0xff } else { 0 }; 8];
    match padded.get_mut(..bytes.len()) {
        Some(part) => part.copy_from_slice(bytes),
        None => return TOO_LARGE,
    }
    Node::Int(i64::from_le_bytes(padded))
}

/// The bytes of a literal of Python 2, with its quotes around it.
fn unescaped(literal: &[u8]) -> Vec<u8> {
    let quoted = literal.len() >= 2 && matches!(literal[0], b'\'' | b'"') && literal.ends_with(&literal[..1]);
    let mut rest = if quoted { &literal[1..literal.len() - 1] } else { literal };
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'\\', [b'x', after @ ..]) if after.len() >= 2 => (digits(&after[..2], 16), &after[2..]),
            (b'\\', [b'0'..=b'7', ..]) => {
                let length = after.iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
                (digits(&after[..length], 8), &after[length..])
            }
            (b'\\', [letter, after @ ..]) => (named(*letter), after),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// The byte of an escape of one letter; any other stands for itself.
fn named(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 0x07,
        b'b' => 0x08,
        b'v' => 0x0b,
        b'f' => 0x0c,
        other => other,
    }
}

fn digits(digits: &[u8], radix: u32) -> u8 {
    std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, radix).ok()).unwrap_or_default() as u8
}

/// Latin-1, where `\u` and four digits or `\U` and eight stand for other letters.
fn raw_unicode(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let [first, after @ ..] = rest {
        let length = match (first, after.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => 0,
        };
        let code = after.get(1..1 + length).filter(|_| length > 0);
        let letter = code.and_then(|code| u32::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match letter {
            Some(letter) => {
                text.push(char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &after[1 + length..];
            }
            None => {
                text.push(char::from(*first));
                rest = after;
            }
        }
    }
    text
}
