//! Python's pickles as data, protocols 0 to 5. A pickle is a program that calls classes and functions by their names: here those calls
//! are written down, not made.
//!
//! Our own code, because the crates that read pickles keep either the arguments of an object or its state, and an array needs both.

use std::borrow::Cow;
use std::collections::HashMap;

/// Far more values than a batch of CIFAR has, whose pixels are one.
const MOST_VALUES: usize = 1 << 22;

/// A place in [`Pickle::nodes`]. Values refer to each other by it, since a pickle may name one several times, or inside itself.
pub(crate) type Id = usize;

#[derive(Debug)]
pub(crate) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Also bytearrays, and the text of Python 2.
    Bytes(Cow<'a, [u8]>),
    Text(String),
    /// A list or a set.
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, such as `numpy.ndarray`.
    Global(String),
    Call(Call),
    /// What the file alone does not tell, in words.
    Elsewhere(&'static str),
}

/// An object: what would have been called, and what would have been done to what it gives.
#[derive(Debug)]
pub(crate) struct Call {
    callable: Id,
    args: Id,
    pub(crate) state: Option<Id>,
    items: Vec<Id>,
    pairs: Vec<(Id, Id)>,
}

#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle; says what is wrong where it is none or ends too early.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        Machine { rest: bytes, ..Machine::default() }.run()
    }

    pub(crate) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id]
    }

    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// What a call calls, with its arguments.
    pub(crate) fn call(&self, id: Id) -> Option<(&str, &[Id], &Call)> {
        let Node::Call(call) = self.node(id) else { return None };
        let Node::Global(name) = self.node(call.callable) else { return None };
        let Node::Tuple(args) = self.node(call.args) else { return None };
        Some((name, args, call))
    }

    /// The values of a list, a tuple, or an object that items were added to.
    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) => Some(items),
            Node::Call(call) if !call.items.is_empty() => Some(&call.items),
            _ => None,
        }
    }

    /// Keys and values of a dictionary of any class.
    pub(crate) fn pairs(&self, id: Id) -> Option<Vec<(Id, Id)>> {
        match self.node(id) {
            Node::Dict(pairs) => Some(pairs.clone()),
            Node::Call(call) if !call.pairs.is_empty() => Some(call.pairs.clone()),
            // Python 2 pickles an `OrderedDict` as a call with a list of pairs.
            Node::Call(_) => {
                let (_, args, _) = self.call(id).filter(|(name, ..)| *name == "collections.OrderedDict")?;
                let pair = |pair: &Id| Some(<(Id, Id)>::from(<[Id; 2]>::try_from(self.items(*pair)?).ok()?));
                self.items(*args.first()?)?.iter().map(pair).collect()
            }
            _ => None,
        }
    }

    /// Bytes, in every way that protocols have of writing them.
    pub(crate) fn bytes(&self, id: Id) -> Option<Cow<'_, [u8]>> {
        match self.node(id) {
            Node::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Node::Call(_) => {
                let (name, args, _) = self.call(id)?;
                if !matches!(
                    name,
                    "_codecs.encode" | "builtins.bytes" | "__builtin__.bytes" | "builtins.bytearray" | "__builtin__.bytearray"
                ) {
                    return None;
                }
                match args.first().map(|id| self.node(*id)) {
                    None => Some(Cow::Borrowed(&[])),
                    Some(Node::Bytes(bytes)) => Some(Cow::Borrowed(bytes)),
                    // In Latin-1: a character for each byte.
                    Some(Node::Text(text)) => {
                        text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<_>>>().map(Cow::Owned)
                    }
                    Some(_) => None,
                }
            }
            _ => None,
        }
    }

    /// A text of Python 2 or 3.
    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            Node::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// What a value is, for a message.
    pub(crate) fn describe(&self, id: Id) -> String {
        match self.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(true) => "True".to_owned(),
            Node::Bool(false) => "False".to_owned(),
            Node::Int(value) => value.to_string(),
            Node::Float(value) => value.to_string(),
            Node::Bytes(bytes) if bytes.len() > 40 => format!("{} bytes", bytes.len()),
            Node::Bytes(bytes) => format!("`{}`", bytes.escape_ascii()),
            Node::Text(text) if text.chars().count() > 40 => format!("`{}…`", text.chars().take(40).collect::<String>()),
            Node::Text(text) => format!("`{text}`"),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::Dict(pairs) => format!("a dictionary of {}", pairs.len()),
            Node::Global(name) => format!("`{name}`"),
            Node::Call(_) => self.call(id).map_or_else(|| "an object".to_owned(), |(name, ..)| format!("an object made by `{name}`")),
            Node::Elsewhere(what) => (*what).to_owned(),
        }
    }
}

/// Pickle's stack machine.
#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<'a> Machine<'a> {
    /// Names of operations as Python's `pickletools` has them.
    fn run(mut self) -> Result<Pickle<'a>, String> {
        loop {
            let [operation] = self.fixed()?;
            match operation {
                // PROTO
                0x80 => {
                    let [protocol] = self.fixed()?;
                    if protocol > 5 {
                        return Err(format!("is a pickle of protocol {protocol}; 0 to 5 are read"));
                    }
                }
                // FRAME
                0x95 => drop(self.fixed::<8>()?),
                // STOP; what comes after it is not looked at, as in Python.
                b'.' => {
                    let root = self.pop()?;
                    return Ok(Pickle { nodes: self.nodes, root });
                }
                // MARK, POP, POP_MARK, DUP
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    if self.marks.last() == Some(&self.stack.len()) {
                        self.marks.pop();
                    } else {
                        self.pop()?;
                    }
                }
                b'1' => drop(self.marked()?),
                b'2' => self.stack.push(self.top()?),
                // PUT, BINPUT, LONG_BINPUT, MEMOIZE
                b'p' => {
                    let index = self.number()?;
                    self.memoize(index)?;
                }
                b'q' => {
                    let [index] = self.fixed()?;
                    self.memoize(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.fixed()?);
                    self.memoize(index.into())?;
                }
                0x94 => self.memoize(self.memo.len() as u64)?,
                // GET, BINGET, LONG_BINGET
                b'g' => {
                    let index = self.number()?;
                    self.recall(index)?;
                }
                b'h' => {
                    let [index] = self.fixed()?;
                    self.recall(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.fixed()?);
                    self.recall(index.into())?;
                }
                // NONE, NEWTRUE, NEWFALSE
                b'N' => self.push(Node::None)?,
                0x88 => self.push(Node::Bool(true))?,
                0x89 => self.push(Node::Bool(false))?,
                // INT, LONG, FLOAT: lines of text
                b'I' => {
                    let node = match self.line()? {
                        b"00" => Node::Bool(false),
                        b"01" => Node::Bool(true),
                        digits => integer(digits),
                    };
                    self.push(node)?;
                }
                b'L' => {
                    let digits = self.line()?;
                    self.push(integer(digits.strip_suffix(b"L").unwrap_or(digits)))?;
                }
                b'F' => {
                    let value = self.number()?;
                    self.push(Node::Float(value))?;
                }
                // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
                b'J' => {
                    let value = i32::from_le_bytes(self.fixed()?);
                    self.push(Node::Int(value.into()))?;
                }
                b'K' => {
                    let [value] = self.fixed()?;
                    self.push(Node::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.fixed()?);
                    self.push(Node::Int(value.into()))?;
                }
                0x8a => {
                    let bytes = self.counted::<1>()?;
                    self.push(long(bytes))?;
                }
                0x8b => {
                    let bytes = self.counted::<4>()?;
                    self.push(long(bytes))?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.fixed()?);
                    self.push(Node::Float(value))?;
                }
                // STRING, UNICODE: lines of text
                b'S' => {
                    let text = unescaped(self.line()?);
                    self.push(Node::Bytes(Cow::Owned(text)))?;
                }
                b'V' => {
                    let text = raw_unicode(self.line()?);
                    self.push(Node::Text(text))?;
                }
                // SHORT_BINBYTES and SHORT_BINSTRING, BINBYTES and BINSTRING, BINBYTES8 and BYTEARRAY8
                b'C' | b'U' => {
                    let bytes = self.counted::<1>()?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                b'B' | b'T' => {
                    let bytes = self.counted::<4>()?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                0x8e | 0x96 => {
                    let bytes = self.counted::<8>()?;
                    self.push(Node::Bytes(Cow::Borrowed(bytes)))?;
                }
                // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
                0x8c => {
                    let text = String::from_utf8_lossy(self.counted::<1>()?).into_owned();
                    self.push(Node::Text(text))?;
                }
                b'X' => {
                    let text = String::from_utf8_lossy(self.counted::<4>()?).into_owned();
                    self.push(Node::Text(text))?;
                }
                0x8d => {
                    let text = String::from_utf8_lossy(self.counted::<8>()?).into_owned();
                    self.push(Node::Text(text))?;
                }
                // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
                b')' => self.push(Node::Tuple(Vec::new()))?,
                b't' => {
                    let items = self.marked()?;
                    self.push(Node::Tuple(items))?;
                }
                0x85..=0x87 => {
                    let items = self.last(usize::from(operation - 0x84))?;
                    self.push(Node::Tuple(items))?;
                }
                // EMPTY_LIST and EMPTY_SET, LIST and FROZENSET, APPEND, APPENDS and ADDITEMS
                b']' | 0x8f => self.push(Node::List(Vec::new()))?,
                b'l' | 0x91 => {
                    let items = self.marked()?;
                    self.push(Node::List(items))?;
                }
                b'a' => {
                    let items = self.last(1)?;
                    self.append(items)?;
                }
                b'e' | 0x90 => {
                    let items = self.marked()?;
                    self.append(items)?;
                }
                // EMPTY_DICT, DICT, SETITEM, SETITEMS
                b'}' => self.push(Node::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.marked()?;
                    self.push(Node::Dict(Vec::new()))?;
                    self.set(&items)?;
                }
                b's' => {
                    let items = self.last(2)?;
                    self.set(&items)?;
                }
                b'u' => {
                    let items = self.marked()?;
                    self.set(&items)?;
                }
                // GLOBAL, STACK_GLOBAL
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(global(module, name))?;
                }
                0x93 => {
                    let [module, name] = self.last(2)?[..] else { return Err(damaged()) };
                    let part = |id: Id| match &self.nodes[id] {
                        Node::Text(text) => Ok(text.as_bytes()),
                        Node::Bytes(bytes) => Ok(bytes.as_ref()),
                        _ => Err(damaged()),
                    };
                    let node = global(part(module)?, part(name)?);
                    self.push(node)?;
                }
                // REDUCE and NEWOBJ, NEWOBJ_EX, OBJ, INST
                b'R' | 0x81 => {
                    let [callable, args] = self.last(2)?[..] else { return Err(damaged()) };
                    self.note(callable, args)?;
                }
                0x92 => {
                    let [callable, args, _named] = self.last(3)?[..] else { return Err(damaged()) };
                    self.note(callable, args)?;
                }
                b'o' => {
                    let mut args = self.marked()?;
                    if args.is_empty() {
                        return Err(damaged());
                    }
                    let callable = args.remove(0);
                    self.push(Node::Tuple(args))?;
                    let args = self.pop()?;
                    self.note(callable, args)?;
                }
                b'i' => {
                    let (module, name) = (self.line()?, self.line()?);
                    let args = self.marked()?;
                    self.push(global(module, name))?;
                    self.push(Node::Tuple(args))?;
                    let [callable, args] = self.last(2)?[..] else { return Err(damaged()) };
                    self.note(callable, args)?;
                }
                // BUILD
                b'b' => {
                    let state = self.pop()?;
                    let object = self.top()?;
                    if let Node::Call(call) = &mut self.nodes[object] {
                        call.state = Some(state);
                    }
                }
                // PERSID, BINPERSID, EXT1, EXT2, EXT4, NEXT_BUFFER, READONLY_BUFFER
                b'P' => {
                    self.line()?;
                    self.push(Node::Elsewhere("an object that lies outside the file"))?;
                }
                b'Q' => {
                    self.pop()?;
                    self.push(Node::Elsewhere("an object that lies outside the file"))?;
                }
                0x82..=0x84 => {
                    self.take([1, 2, 4][usize::from(operation - 0x82)])?;
                    self.push(Node::Elsewhere("an object that only the program that wrote the file knows"))?;
                }
                0x97 => self.push(Node::Elsewhere("a buffer that was written outside the file"))?,
                0x98 => {}
                _ => return Err(damaged()),
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], String> {
        Ok(self.take(COUNT)?.try_into().expect("as many bytes were taken"))
    }

    /// Bytes after their number, which itself has `WIDTH` bytes.
    fn counted<const WIDTH: usize>(&mut self) -> Result<&'a [u8], String> {
        let mut count = [0; 8];
        count[..WIDTH].copy_from_slice(&self.fixed::<WIDTH>()?);
        self.take(usize::try_from(u64::from_le_bytes(count)).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a [u8], String> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(cut_off)?;
        let line = &self.take(length + 1)?[..length];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, String> {
        std::str::from_utf8(self.line()?).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(damaged)
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), String> {
        if self.nodes.len() == MOST_VALUES {
            return Err(format!("is a pickle of more than {MOST_VALUES} values"));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn note(&mut self, callable: Id, args: Id) -> Result<(), String> {
        self.push(Node::Call(Call { callable, args, state: None, items: Vec::new(), pairs: Vec::new() }))
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(damaged)
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(damaged)
    }

    fn last(&mut self, count: usize) -> Result<Vec<Id>, String> {
        let start = self.stack.len().checked_sub(count).ok_or_else(damaged)?;
        Ok(self.stack.split_off(start))
    }

    /// Everything above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(damaged)?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, more: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(items) => items.extend(more),
            Node::Call(call) => call.items.extend(more),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn set(&mut self, flat: &[Id]) -> Result<(), String> {
        let (more, []) = flat.as_chunks::<2>() else { return Err(damaged()) };
        let more = more.iter().map(|[key, value]| (*key, *value));
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(pairs) => pairs.extend(more),
            Node::Call(call) => call.pairs.extend(more),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn memoize(&mut self, index: u64) -> Result<(), String> {
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<(), String> {
        self.stack.push(*self.memo.get(&index).ok_or_else(damaged)?);
        Ok(())
    }
}

fn cut_off() -> String {
    "is a pickle that ends too early; it may be cut off".to_owned()
}

fn damaged() -> String {
    "is not a readable pickle; it may be damaged or another file".to_owned()
}

fn global(module: &[u8], name: &[u8]) -> Node<'static> {
    Node::Global(format!("{}.{}", String::from_utf8_lossy(module), String::from_utf8_lossy(name)))
}

const TOO_LARGE: Node<'static> = Node::Elsewhere("a whole number of more than 64 bits");

fn integer(digits: &[u8]) -> Node<'static> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).map_or(TOO_LARGE, Node::Int)
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
