//! What `torch.save` has written, by version: a ZIP archive, a stream of pickles (until 1.5), a tar archive (before 0.1.10).
//!
//! Each keeps one pickle that describes what was saved, and the numbers of each storage somewhere in the file.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use datasets::pickle::{Node, Pickle, PickleError};
use flate2::read::DeflateDecoder;
use flate2::{Crc, CrcReader};
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::names::{self, Contents};
use super::values::{self, Storage, Strided, Values};
use super::{MOST_BYTES, TORCH_SCRIPT, what};

/// The most bytes of a pickle, numbers of tensors aside, and the most values of all pickles of a file: several times what the largest file
/// of a network with its optimizer has.
const MOST_PICKLE_BYTES: u64 = 100 << 20;
const MOST_VALUES: usize = 8_000_000;
/// Of a pickle, whose length no file tells, as much is read at first.
const FIRST_BYTES: u64 = 4096;

/// An open file: what was saved, and where its numbers are.
#[derive(Debug)]
pub struct Saved {
    pub format: &'static str,
    pub contents: Contents,
    pub numbers: Numbers,
}

/// Where the bytes of each storage are in the file.
#[derive(Debug)]
pub struct Numbers {
    file: File,
    places: HashMap<String, Place>,
    /// Storages whose checksum is right.
    checked: RefCell<HashSet<String>>,
    /// The last storage that had to be unpacked.
    unpacked: RefCell<Option<(String, Vec<u8>)>>,
}

#[derive(Debug)]
struct Place {
    start: u64,
    /// In the file, and unpacked.
    stored: u64,
    length: u64,
    deflated: bool,
    crc: Option<u32>,
}

/// A part of a file that holds pickles, and numbers between them.
struct Pickles<'f> {
    file: &'f File,
    at: u64,
    end: u64,
    /// Values that were read so far.
    values: usize,
}

/// In words for a person, to stand after the name of the file.
type Problem = String;

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const EXPECTED: &str = "safetensors or a file of torch.save is expected";

/// Opens a file by what it begins with. `start`: its first bytes.
pub fn open(file: File, start: &[u8]) -> Result<Saved, Problem> {
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return open_zip(file);
    }
    if start.get(257..262) == Some(b"ustar") {
        return open_tar(file);
    }
    // Protocols 0 and 1 write the number in digits.
    let in_digits = b"119547037146038801333356";
    let begin = &start[..start.len().min(64)];
    if begin.windows(MAGIC.len()).any(|bytes| bytes == MAGIC) || begin.windows(in_digits.len()).any(|bytes| bytes == in_digits) {
        return open_stream(file);
    }
    if let Some(what) = what::named(start) {
        return Err(format!("is {what} ({EXPECTED})"));
    }
    // A pickle of something else, where it is one.
    let end = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let what = Pickles { file: &file, at: 0, end, values: 0 }.next("file", |values| what::value(&values, values.pickle.root()));
    Err(match what {
        Ok(what) => format!("is a pickle of {what}, which torch.save has not written ({EXPECTED})"),
        Err(_) => format!("is {} ({EXPECTED})", what::guessed(start)),
    })
}

fn pickled(name: &str, error: &dyn Display) -> Problem {
    format!("cannot be read as a checkpoint: of its `{name}`, {error}")
}

fn open_zip(file: File) -> Result<Saved, Problem> {
    let unreadable = |error: &dyn Display| format!("cannot be read as a checkpoint: as a ZIP archive it is damaged: {error}");
    let handle = file.try_clone().map_err(|error| unreadable(&error))?;
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(handle, &mut buffer)
        .map_err(|_| "cannot be read as a checkpoint: it begins as a ZIP archive, and its end is missing: it is cut off".to_owned())?;
    let mut entries = archive.entries(&mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().map_err(|error| unreadable(&error))? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        found.push((name, entry.wayfinder(), entry.compression_method(), entry.crc32()));
    }
    let mut places = HashMap::new();
    for (name, wayfinder, method, crc) in &found {
        let deflated = match *method {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            _ => continue,
        };
        let entry = archive.get_entry(*wayfinder).map_err(|error| unreadable(&error))?;
        let (start, end) = entry.compressed_data_range();
        let length = wayfinder.uncompressed_size_hint();
        places.insert(name.clone(), Place { start, stored: end.saturating_sub(start), length, deflated, crc: Some(*crc) });
    }
    let numbers = |places| Numbers { file, places, checked: RefCell::default(), unpacked: RefCell::default() };
    let root = places.keys().filter_map(|name| name.strip_suffix("data.pkl")).filter(|root| root.is_empty() || root.ends_with('/'));
    let Some(root) = root.min_by_key(|root| root.len()).map(str::to_owned) else {
        let names: Vec<String> = found.iter().map(|(name, ..)| name.clone()).collect();
        return Err(format!("{} ({EXPECTED})", what::archive("ZIP", &names)));
    };
    let scripted = places.contains_key(&format!("{root}constants.pkl"));
    let all = numbers(places);
    let whole = |name: &str| {
        let name = format!("{root}{name}");
        let length = all.places.get(&name).map_or(0, |place| place.length);
        if length > MOST_PICKLE_BYTES {
            return Err(format!("cannot be read as a checkpoint: its `{name}` has {length} bytes; at most {MOST_PICKLE_BYTES} are read"));
        }
        all.read(&name, 0, length).map_err(|error| format!("cannot be read as a checkpoint: its `{name}` is damaged: {error}"))
    };
    if all.places.contains_key(&format!("{root}byteorder")) && whole("byteorder")? == b"big" {
        return Err("was written on a machine of the other byte order, big-endian, and cannot be read".to_owned());
    }
    let described = whole("data.pkl")?;
    let pickle = Pickle::read(&described, MOST_VALUES).map_err(|error| pickled("data.pkl", &error))?;
    let contents = names::contents(&Values { pickle, tensors: None });
    let prefix = format!("{root}data/");
    let places = all.places.into_iter().filter_map(|(name, place)| Some((name.strip_prefix(&prefix)?.to_owned(), place))).collect();
    let format = if scripted { TORCH_SCRIPT } else { "PyTorch" };
    Ok(Saved { format, contents, numbers: Numbers { places, ..all } })
}

fn open_stream(file: File) -> Result<Saved, Problem> {
    let end = file.metadata().map_err(|error| pickled("header", &error))?.len();
    let mut pickles = Pickles { file: &file, at: 0, end, values: 0 };
    // The magic number, the version, and what the machine is like.
    pickles.next("magic number", |_| ())?;
    pickles.next("version", |_| ())?;
    let big_endian = pickles.next("system", |system| is_big_endian(&system))?;
    let (contents, sizes) = pickles.next("object", |values| {
        let size = |storage: Storage<'_>| Some((storage.key.into_owned(), values::element_size(storage.type_name)?));
        (names::contents(&values), values.storages().filter_map(size).collect::<HashMap<String, u64>>())
    })?;
    let keys = pickles.next("storage keys", |values| {
        let keys = values.pickle.items(values.pickle.root()).unwrap_or_default();
        keys.iter().map(|key| values.key(*key).unwrap_or_default().into_owned()).collect::<Vec<String>>()
    })?;
    if big_endian {
        return Err("was written on a machine of the other byte order, big-endian, and cannot be read".to_owned());
    }
    let mut places = HashMap::new();
    for key in keys {
        let Some(size) = sizes.get(&key) else {
            return Err(format!("cannot be read as a checkpoint: its storage `{key}` is of a type that is not known"));
        };
        places.insert(key, pickles.storage(*size)?);
    }
    let numbers = Numbers { file, places, checked: RefCell::default(), unpacked: RefCell::default() };
    Ok(Saved { format: "PyTorch before 1.6", contents, numbers })
}

fn is_big_endian(system: &Values<'_>) -> bool {
    let Values { pickle, .. } = system;
    let mut pairs = pickle.pairs(pickle.root()).into_iter().flatten();
    pairs.any(|(key, value)| pickle.text(key) == Some("little_endian") && matches!(pickle.node(value), Node::Bool(false)))
}

/// `sys_info`, `storages`, `tensors` and `pickle`, which names the tensors by number.
fn open_tar(file: File) -> Result<Saved, Problem> {
    let damaged = |error: &dyn Display| format!("cannot be read as a checkpoint: as a tar archive it is damaged: {error}");
    let length = file.metadata().map_err(|error| damaged(&error))?.len();
    let mut handle = file.try_clone().map_err(|error| damaged(&error))?;
    handle.rewind().map_err(|error| damaged(&error))?;
    let mut archive = tar::Archive::new(handle);
    let mut members: HashMap<String, Range<u64>> = HashMap::new();
    let mut names = Vec::new();
    // Another archive may have any number of members.
    for entry in archive.entries_with_seek().map_err(|error| damaged(&error))?.take(1000) {
        let entry = entry.map_err(|error| damaged(&error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        let start = entry.raw_file_position();
        members.insert(name.clone(), start..start.saturating_add(entry.size()).min(length));
        names.push(name);
    }
    let member = |name: &str, values: usize| match members.get(name) {
        Some(Range { start, end }) => Ok(Pickles { file: &file, at: *start, end: *end, values }),
        None => Err(format!("{} ({EXPECTED})", what::archive("tar", &names))),
    };
    let wrong = |name: &'static str| format!("cannot be read as a checkpoint: its `{name}` is not what PyTorch before 0.1.10 wrote");
    member("pickle", 0)?;

    let count = |values: Values<'_>| values.int(values.pickle.root());
    let mut places = HashMap::new();
    let mut kinds = HashMap::new();
    let mut storages = member("storages", 0)?;
    for _ in 0..storages.next("storages", count)?.ok_or_else(|| wrong("storages"))? {
        let about = storages.next("storages", |values| {
            let [key, _, class] = values.pickle.items(values.pickle.root())? else { return None };
            let (_, type_name) = values.pickle.global(*class)?;
            Some((values.int(*key)?, values::kind_of_storage(type_name), values::element_size(type_name)?))
        })?;
        let (key, kind, size) = about.ok_or_else(|| wrong("storages"))?;
        places.insert(key.to_string(), storages.storage(size)?);
        kinds.insert(key, kind);
    }
    let mut tensors = HashMap::new();
    let mut listed = member("tensors", storages.values)?;
    for _ in 0..listed.next("tensors", count)?.ok_or_else(|| wrong("tensors"))? {
        let about = listed.next("tensors", |values| {
            let [key, storage, _] = values.pickle.items(values.pickle.root())? else { return None };
            values.int(*key).zip(values.int(*storage))
        })?;
        let (key, storage) = about.ok_or_else(|| wrong("tensors"))?;
        // Four bytes of it are the number of axes.
        let axes = listed.number("tensors")? as i32;
        if !(0..=16).contains(&axes) {
            return Err(wrong("tensors"));
        }
        let mut numbers = |count| (0..count).map(|_| listed.number("tensors")).collect::<Result<Vec<_>, _>>();
        let (shape, strides, offset) = (numbers(axes)?, numbers(axes)?, numbers(1)?[0]);
        if shape.iter().chain(&strides).chain([&offset]).any(|length| *length < 0) {
            return Err(wrong("tensors"));
        }
        let kind = kinds.get(&storage).copied().flatten();
        tensors.insert(key.to_string(), Strided { storage: storage.to_string(), kind, offset, shape, strides });
    }
    let mut saved = member("pickle", listed.values)?;
    let contents = saved.next("pickle", |values| names::contents(&Values { tensors: Some(&tensors), ..values }))?;
    let numbers = Numbers { file, places, checked: RefCell::default(), unpacked: RefCell::default() };
    Ok(Saved { format: "PyTorch before 0.1.10", contents, numbers })
}

impl Pickles<'_> {
    /// Reads the next pickle and gives what `then` makes of it. `name`: what it is in the file.
    fn next<T>(&mut self, name: &str, then: impl FnOnce(Values<'_>) -> T) -> Result<T, Problem> {
        let left = self.end.saturating_sub(self.at);
        let most = left.min(MOST_PICKLE_BYTES);
        let mut length = most.min(FIRST_BYTES);
        loop {
            let mut bytes = vec![0; length as usize];
            self.file.read_exact_at(&mut bytes, self.at).map_err(|error| pickled(name, &error))?;
            let pickle = match Pickle::read(&bytes, MOST_VALUES) {
                Err(PickleError::CutOff) if length < most => {
                    length = most.min(16 * length);
                    continue;
                }
                Err(PickleError::CutOff) if length < left => {
                    return Err(pickled(name, &format!("it is no pickle: it has more than {MOST_PICKLE_BYTES} bytes")));
                }
                pickle => pickle.map_err(|error| pickled(name, &error))?,
            };
            self.at += pickle.size_bytes() as u64;
            self.values += pickle.ids().len();
            if self.values > MOST_VALUES {
                return Err(pickled(name, &PickleError::TooManyValues { most: MOST_VALUES }));
            }
            return Ok(then(Values { pickle, tensors: None }));
        }
    }

    /// The next eight bytes.
    fn number(&mut self, name: &str) -> Result<i64, Problem> {
        let mut bytes = [0; 8];
        if self.end.saturating_sub(self.at) < 8 {
            return Err(pickled(name, &PickleError::CutOff));
        }
        self.file.read_exact_at(&mut bytes, self.at).map_err(|error| pickled(name, &error))?;
        self.at += 8;
        Ok(i64::from_le_bytes(bytes))
    }

    /// The next numbers of a storage, of `size` bytes each, after their number.
    fn storage(&mut self, size: u64) -> Result<Place, Problem> {
        let bytes = (self.number("storages")? as u64).saturating_mul(size);
        let start = self.at;
        if bytes > self.end - start {
            return Err(pickled("storages", &PickleError::CutOff));
        }
        self.at += bytes;
        Ok(Place { start, stored: bytes, length: bytes, deflated: false, crc: None })
    }
}

impl Numbers {
    /// `length` bytes of a storage from `start` on.
    pub fn read(&self, key: &str, start: u64, length: u64) -> io::Result<Vec<u8>> {
        let cut_off = || io::Error::new(io::ErrorKind::UnexpectedEof, format!("the storage `{key}` is not all there"));
        let place = self.places.get(key).ok_or_else(cut_off)?;
        let end = start.checked_add(length).filter(|end| *end <= place.length && *end <= MOST_BYTES).ok_or_else(cut_off)?;
        if place.deflated {
            let mut unpacked = self.unpacked.borrow_mut();
            if unpacked.as_ref().is_none_or(|(known, _)| known != key) {
                *unpacked = Some((key.to_owned(), self.unpack(key, place)?));
            }
            let bytes = unpacked.as_ref().and_then(|(_, bytes)| bytes.get(start as usize..end as usize)).ok_or_else(cut_off)?;
            return Ok(bytes.to_vec());
        }
        if let Some(expected) = place.crc
            && !self.checked.borrow().contains(key)
        {
            let mut reader = CrcReader::new(Section { file: &self.file, at: place.start, left: place.stored });
            io::copy(&mut reader, &mut io::sink())?;
            check(reader.crc(), expected, key)?;
            self.checked.borrow_mut().insert(key.to_owned());
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, place.start + start).map_err(|_| cut_off())?;
        Ok(bytes)
    }

    fn unpack(&self, key: &str, place: &Place) -> io::Result<Vec<u8>> {
        let section = Section { file: &self.file, at: place.start, left: place.stored };
        let mut reader = CrcReader::new(DeflateDecoder::new(section).take(place.length.min(MOST_BYTES)));
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        if let Some(expected) = place.crc {
            check(reader.crc(), expected, key)?;
        }
        Ok(bytes)
    }
}

fn check(found: &Crc, expected: u32, key: &str) -> io::Result<()> {
    if found.sum() == expected {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("the storage `{key}` does not have the checksum that was written with it")))
}

/// A part of a file, read at its place and not at the file's cursor.
struct Section<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
