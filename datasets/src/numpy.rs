//! NumPy's arrays and scalars inside pickles: what each was called with, understood.

use std::borrow::Cow;

use crate::pickle::{Id, Node, Pickle};

/// The type of a value, such as `<i8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    letter: u8,
    bytes: usize,
    big_endian: bool,
}

#[derive(Debug)]
pub(crate) struct Array<'a> {
    pub(crate) shape: Vec<usize>,
    kind: Kind,
    /// Fortran's order: the first index runs fastest.
    by_column: bool,
    data: Cow<'a, [u8]>,
}

impl<'a> Array<'a> {
    /// The array that a value is; absent where it is something else. Says what is wrong with an array that cannot be read.
    pub(crate) fn of(pickle: &'a Pickle<'_>, id: Id) -> Option<Result<Self, String>> {
        let (function, args, object) = pickle.call(id)?;
        match function {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Some(Self::of_state(pickle, object.state)),
            // Protocol 5 hands over the buffer of the array: buffer, type, shape, order.
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Some(match args {
                [data, kind, shape, order] => {
                    let by_column = pickle.text(*order) == Some("F");
                    Self::new(pickle, *shape, *kind, by_column, *data)
                }
                _ => Err(unknown()),
            }),
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Some(match args {
                [kind, data] => read_kind(pickle, *kind).and_then(|kind| {
                    let data = bytes(pickle, *data).ok_or_else(unknown)?;
                    Array { shape: Vec::new(), kind, by_column: false, data }.checked()
                }),
                _ => Err(unknown()),
            }),
            _ => None,
        }
    }

    /// Version, shape, type, order, data; the oldest files have no version.
    fn of_state(pickle: &'a Pickle<'_>, state: Option<Id>) -> Result<Self, String> {
        let state = state.and_then(|state| pickle.items(state)).ok_or_else(unknown)?;
        let [shape, kind, by_column, data] = match state {
            [_, shape, kind, by_column, data] | [shape, kind, by_column, data] => [*shape, *kind, *by_column, *data],
            _ => return Err(unknown()),
        };
        let by_column = matches!(pickle.node(by_column), Node::Bool(true) | Node::Int(1));
        Self::new(pickle, shape, kind, by_column, data)
    }

    fn new(pickle: &'a Pickle<'_>, shape: Id, kind: Id, by_column: bool, data: Id) -> Result<Self, String> {
        let length = |id: &Id| match pickle.node(*id) {
            Node::Int(length) => usize::try_from(*length).ok(),
            _ => None,
        };
        let shape = pickle.items(shape).and_then(|shape| shape.iter().map(length).collect::<Option<Vec<_>>>()).ok_or_else(unknown)?;
        let kind = read_kind(pickle, kind)?;
        let data = bytes(pickle, data).ok_or_else(|| format!("is an array whose data is {}", pickle.describe(data)))?;
        Array { shape, kind, by_column, data }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let expected = self.shape.iter().try_fold(self.kind.bytes, |product: usize, length| product.checked_mul(*length));
        if expected == Some(self.data.len()) {
            return Ok(self);
        }
        Err(format!("is an array of {} of shape {:?} that has {} bytes", self.kind.name(), self.shape, self.data.len()))
    }

    /// As NumPy calls it, such as `uint8`.
    pub(crate) fn kind(&self) -> String {
        self.kind.name()
    }

    /// The values, if each is one byte from 0 to 255, in the order they lie in, with the step from one to the next along each axis.
    pub(crate) fn bytes(&self) -> Option<(&[u8], Vec<usize>)> {
        if (self.kind.letter, self.kind.bytes) != (b'u', 1) {
            return None;
        }
        let mut step = 1;
        let mut steps = vec![0; self.shape.len()];
        let mut axes: Vec<usize> = (0..self.shape.len()).collect();
        if !self.by_column {
            axes.reverse();
        }
        for axis in axes {
            steps[axis] = step;
            step *= self.shape[axis];
        }
        Some((&self.data, steps))
    }

    /// The values of an array along one axis as whole numbers, whatever type they have. Says which value or what else is none.
    pub(crate) fn whole_numbers(&self) -> Result<Vec<i64>, String> {
        if self.shape.iter().filter(|length| **length != 1).count() > 1 {
            return Err(format!("is an array of shape {:?}; one number for each image was expected", self.shape));
        }
        let read = self.kind.reader().ok_or_else(|| format!("is an array of {}; whole numbers were expected", self.kind.name()))?;
        self.data.chunks_exact(self.kind.bytes).map(read).collect()
    }
}

impl Kind {
    fn name(self) -> String {
        let Kind { letter, bytes, big_endian: _ } = self;
        let bits = 8 * bytes;
        match letter {
            b'b' => "bool".to_owned(),
            b'i' => format!("int{bits}"),
            b'u' => format!("uint{bits}"),
            b'f' => format!("float{bits}"),
            b'c' => format!("complex{bits}"),
            b'O' => "objects".to_owned(),
            b'S' | b'U' => "text".to_owned(),
            b'M' | b'm' => "times".to_owned(),
            _ => "records".to_owned(),
        }
    }

    /// Reads one value as a whole number; absent for types that hold none.
    fn reader(self) -> Option<impl Fn(&[u8]) -> Result<i64, String>> {
        let Kind { letter, bytes, big_endian } = self;
        if !matches!((letter, bytes), (b'b', 1) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'f', 4 | 8)) {
            return None;
        }
        Some(move |value: &[u8]| {
            // The lowest byte first; a negative number goes on with ones.
            let mut low = [0; 8];
            for (index, byte) in value.iter().enumerate() {
                low[if big_endian { bytes - 1 - index } else { index }] = *byte;
            }
            if letter == b'f' {
                let value = if bytes == 4 { f32::from_le_bytes([low[0], low[1], low[2], low[3]]).into() } else { f64::from_le_bytes(low) };
                return whole(value).ok_or_else(|| format!("holds {value}, which is not a whole number"));
            }
            if letter == b'i' && low[bytes - 1] & 0x80 != 0 {
                low[bytes..].fill(0xff);
            }
            let value = i64::from_le_bytes(low);
            if letter == b'u' && value < 0 { Err(format!("holds {}", value.cast_unsigned())) } else { Ok(value) }
        })
    }
}

/// The values of an array of Python objects.
pub(crate) fn objects<'a>(pickle: &'a Pickle<'_>, id: Id) -> Option<&'a [Id]> {
    let ((_, name), _, object) = pickle.call(id)?;
    let data = *pickle.items(object.state?)?.last().filter(|_| name == "_reconstruct")?;
    matches!(pickle.node(data), Node::List(_)).then(|| pickle.items(data))?
}

/// A number without a fraction as such.
pub(crate) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// `numpy.dtype('u1', …)`, whose state has the order of bytes in its second place.
fn read_kind(pickle: &Pickle<'_>, id: Id) -> Result<Kind, String> {
    let unknown = || "is an array of a type that is not known here".to_owned();
    let (class, args, object) = pickle.call(id).ok_or_else(unknown)?;
    let code = args.first().and_then(|code| pickle.text(*code)).filter(|_| class == ("numpy", "dtype")).ok_or_else(unknown)?;
    let order = object.state.and_then(|state| pickle.items(state)).and_then(|state| pickle.text(*state.get(1)?));
    let code = code.trim_start_matches(['<', '>', '|', '=']);
    let (letter, bytes) = code.split_at_checked(1).ok_or_else(unknown)?;
    let bytes = bytes.parse().map_err(|_| unknown())?;
    Ok(Kind { letter: letter.as_bytes()[0], bytes, big_endian: order == Some(">") })
}

/// Bytes, in every way that protocols have of writing them.
fn bytes<'a>(pickle: &'a Pickle<'_>, id: Id) -> Option<Cow<'a, [u8]>> {
    if let Node::Bytes(bytes) = pickle.node(id) {
        return Some(Cow::Borrowed(bytes));
    }
    let (("_codecs", "encode") | ("builtins" | "__builtin__", "bytes" | "bytearray"), args, _) = pickle.call(id)? else { return None };
    match args.first().map(|id| pickle.node(*id)) {
        None => Some(Cow::Borrowed(&[])),
        Some(Node::Bytes(bytes)) => Some(Cow::Borrowed(bytes)),
        // In Latin-1: a character for each byte.
        Some(Node::Text(text)) => text.chars().map(|letter| u8::try_from(letter).ok()).collect::<Option<Vec<_>>>().map(Cow::Owned),
        Some(_) => None,
    }
}

fn unknown() -> String {
    "is an array written in a way that is not known here".to_owned()
}
