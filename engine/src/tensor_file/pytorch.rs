//! What `torch.save` has written, by version: a ZIP archive, a stream of pickles (until 1.5), a tar archive (before 0.1.10).
//!
//! Each keeps one pickle that describes what was saved, and the numbers of each storage somewhere in the file.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use flate2::read::DeflateDecoder;
use flate2::{Crc, CrcReader};
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::pickle::{self, Id, PickleError, Strided, Value, Values};
use super::{MOST_BYTES, what};

/// An open file: what was saved, and where its numbers are.
#[derive(Debug)]
pub struct Saved {
    pub format: &'static str,
    pub values: Values,
    pub root: Id,
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

/// In words for a person, to stand after the name of the file.
type Problem = String;

const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const EXPECTED: &str = "safetensors or a file of torch.save is expected";

/// Opens a file by what it begins with. `start`: its first bytes.
pub fn open(mut file: File, start: &[u8]) -> Result<Saved, Problem> {
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
    let mut values = Values::default();
    match file.seek(SeekFrom::Start(0)).map_err(PickleError::from).and_then(|_| pickle::read(&mut values, &mut BufReader::new(&file), None))
    {
        Ok(root) => {
            let what = what::value(&values, root);
            Err(format!("is a pickle of {what}, which torch.save has not written ({EXPECTED})"))
        }
        Err(_) => Err(format!("is {} ({EXPECTED})", what::guessed(start))),
    }
}

fn pickled(name: &str, error: &PickleError) -> Problem {
    format!("cannot be read as a checkpoint: of its `{name}`, {error}")
}

fn open_zip(file: File) -> Result<Saved, Problem> {
    let unreadable = |error: &dyn std::fmt::Display| format!("cannot be read as a checkpoint: as a ZIP archive it is damaged: {error}");
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
        if length > pickle::MOST_BYTES {
            return Err(format!(
                "cannot be read as a checkpoint: its `{name}` has {length} bytes; at most {} are read",
                pickle::MOST_BYTES
            ));
        }
        all.read(&name, 0, length).map_err(|error| format!("cannot be read as a checkpoint: its `{name}` is damaged: {error}"))
    };
    if all.places.contains_key(&format!("{root}byteorder")) && whole("byteorder")? == b"big" {
        return Err("was written on a machine of the other byte order, big-endian, and cannot be read".to_owned());
    }
    let mut values = Values::default();
    let described = whole("data.pkl")?;
    let saved = pickle::read(&mut values, &mut described.as_slice(), None).map_err(|error| pickled("data.pkl", &error))?;
    let prefix = format!("{root}data/");
    let places = all.places.into_iter().filter_map(|(name, place)| Some((name.strip_prefix(&prefix)?.to_owned(), place))).collect();
    let format = if scripted { "TorchScript" } else { "PyTorch" };
    Ok(Saved { format, values, root: saved, numbers: Numbers { places, ..all } })
}

fn open_stream(file: File) -> Result<Saved, Problem> {
    let mut values = Values::default();
    let failed = |error: PickleError| pickled("header", &error);
    let length = file.metadata().map_err(|error| failed(error.into()))?.len();
    let mut source = BufReader::new(&file);
    source.seek(SeekFrom::Start(0)).map_err(|error| failed(error.into()))?;
    // The magic number, the version, and what the machine is like.
    let mut next = |source: &mut BufReader<&File>, name| pickle::read(&mut values, source, None).map_err(|error| pickled(name, &error));
    next(&mut source, "magic number")?;
    next(&mut source, "version")?;
    let system = next(&mut source, "system")?;
    let root = next(&mut source, "object")?;
    let keys = next(&mut source, "storage keys")?;
    if is_big_endian(&values, system) {
        return Err("was written on a machine of the other byte order, big-endian, and cannot be read".to_owned());
    }
    let sizes: HashMap<String, u64> =
        values.storages().filter_map(|storage| Some((storage.key.to_string(), pickle::element_size(&storage.type_name)?))).collect();
    let mut places = HashMap::new();
    let mut start = source.stream_position().map_err(|error| failed(error.into()))?;
    for key in values.sequence(keys).unwrap_or_default() {
        let key = match &values[*key] {
            Value::Int(key) => key.to_string(),
            _ => values.text(*key).unwrap_or_default().to_owned(),
        };
        let mut count = [0; 8];
        file.read_exact_at(&mut count, start).map_err(|error| pickled("storages", &error.into()))?;
        start += 8;
        let Some(size) = sizes.get(&key) else {
            return Err(format!("cannot be read as a checkpoint: its storage `{key}` is of a type that is not known"));
        };
        let bytes = u64::from_le_bytes(count).saturating_mul(*size);
        if start.saturating_add(bytes) > length {
            return Err(pickled("storages", &PickleError::CutOff));
        }
        places.insert(key, Place { start, stored: bytes, length: bytes, deflated: false, crc: None });
        start += bytes;
    }
    drop(source);
    let numbers = Numbers { file, places, checked: RefCell::default(), unpacked: RefCell::default() };
    Ok(Saved { format: "PyTorch before 1.6", values, root, numbers })
}

fn is_big_endian(values: &Values, system: Id) -> bool {
    let Value::Dict(entries) = &values[system] else { return false };
    entries.iter().any(|(key, value)| values.text(*key) == Some("little_endian") && matches!(values[*value], Value::Bool(false)))
}

/// `sys_info`, `storages`, `tensors` and `pickle`, which names the tensors by number.
fn open_tar(file: File) -> Result<Saved, Problem> {
    let damaged = |error: &dyn std::fmt::Display| format!("cannot be read as a checkpoint: as a tar archive it is damaged: {error}");
    let mut handle = file.try_clone().map_err(|error| damaged(&error))?;
    handle.seek(SeekFrom::Start(0)).map_err(|error| damaged(&error))?;
    let mut archive = tar::Archive::new(handle);
    let mut members: HashMap<String, (u64, u64)> = HashMap::new();
    let mut names = Vec::new();
    // Another archive may have any number of members.
    for entry in archive.entries_with_seek().map_err(|error| damaged(&error))?.take(1000) {
        let entry = entry.map_err(|error| damaged(&error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        members.insert(name.clone(), (entry.raw_file_position(), entry.size()));
        names.push(name);
    }
    let member = |name: &str| {
        let Some((start, length)) = members.get(name) else {
            return Err(format!("{} ({EXPECTED})", what::archive("tar", &names)));
        };
        let mut handle = &file;
        handle.seek(SeekFrom::Start(*start)).map_err(|error| damaged(&error))?;
        Ok(BufReader::new(handle).take(*length))
    };
    let mut values = Values::default();
    let wrong = |name: &'static str| format!("cannot be read as a checkpoint: its `{name}` is not what PyTorch before 0.1.10 wrote");
    member("pickle")?;

    let mut places = HashMap::new();
    let mut kinds = HashMap::new();
    let mut storages = member("storages")?;
    let read = |values: &mut Values, source: &mut io::Take<BufReader<&File>>, name: &'static str| {
        pickle::read(values, source, None).map_err(|error| pickled(name, &error))
    };
    let number = |source: &mut io::Take<BufReader<&File>>, name: &'static str| {
        let mut bytes = [0; 8];
        source.read_exact(&mut bytes).map_err(|error| pickled(name, &error.into()))?;
        Ok::<_, Problem>(i64::from_le_bytes(bytes))
    };
    let count = read(&mut values, &mut storages, "storages")?;
    for _ in 0..values.int(count).ok_or_else(|| wrong("storages"))? {
        let about = read(&mut values, &mut storages, "storages")?;
        let [key, _, class] = values.sequence(about).unwrap_or_default() else { return Err(wrong("storages")) };
        let (Some(key), Value::Class(class)) = (values.int(*key), &values[*class]) else { return Err(wrong("storages")) };
        let type_name = class.rsplit('.').next().unwrap_or_default();
        let kind = pickle::kind_of_storage(type_name);
        let size = pickle::element_size(type_name).ok_or_else(|| wrong("storages"))?;
        let bytes = (number(&mut storages, "storages")? as u64).saturating_mul(size);
        let (first, length) = members["storages"];
        let start = first + length - storages.limit();
        if bytes > storages.limit() {
            return Err(pickled("storages", &PickleError::CutOff));
        }
        io::copy(&mut storages.by_ref().take(bytes), &mut io::sink()).map_err(|error| damaged(&error))?;
        places.insert(key.to_string(), Place { start, stored: bytes, length: bytes, deflated: false, crc: None });
        kinds.insert(key, kind);
    }
    let mut tensors: HashMap<String, Strided> = HashMap::new();
    let mut listed = member("tensors")?;
    let count = read(&mut values, &mut listed, "tensors")?;
    for _ in 0..values.int(count).ok_or_else(|| wrong("tensors"))? {
        let about = read(&mut values, &mut listed, "tensors")?;
        let [key, storage, _] = values.sequence(about).unwrap_or_default() else { return Err(wrong("tensors")) };
        let (Some(key), Some(storage)) = (values.int(*key), values.int(*storage)) else { return Err(wrong("tensors")) };
        // Four bytes of it are the number of axes.
        let axes = number(&mut listed, "tensors")? as i32;
        if !(0..=16).contains(&axes) {
            return Err(wrong("tensors"));
        }
        let mut numbers = |count| (0..count).map(|_| number(&mut listed, "tensors")).collect::<Result<Vec<_>, _>>();
        let (shape, strides, offset) = (numbers(axes)?, numbers(axes)?, numbers(1)?[0]);
        if shape.iter().chain(&strides).chain([&offset]).any(|length| *length < 0) {
            return Err(wrong("tensors"));
        }
        let kind = kinds.get(&storage).copied().flatten();
        tensors.insert(key.to_string(), Strided { storage: storage.to_string().into(), kind, offset, shape, strides });
    }
    let find = |values: &Values, id: Id| {
        // Classes come as (class, file, source).
        let key = match values.sequence(id) {
            Some(parts) => return parts.first().map(|class| values[*class].clone()),
            None => values.int(id).map(|key| key.to_string()).or_else(|| values.text(id).map(str::to_owned))?,
        };
        tensors.get(&key).map(|tensor| Value::Tensor(Box::new(tensor.clone())))
    };
    let root = pickle::read(&mut values, &mut member("pickle")?, Some(&find)).map_err(|error| pickled("pickle", &error))?;
    let numbers = Numbers { file, places, checked: RefCell::default(), unpacked: RefCell::default() };
    Ok(Saved { format: "PyTorch before 0.1.10", values, root, numbers })
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
