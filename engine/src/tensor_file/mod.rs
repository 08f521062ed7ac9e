//! Files of named tensors: safetensors, and whatever `torch.save` has ever written. Nothing that is read is executed.
//!
//! A file is told by its content, not by its name. Opening one reads names, types and shapes; the numbers follow when they are asked for.

mod names;
mod pytorch;
mod values;
mod what;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Kind, Tensor, no_grad};

use self::pytorch::{Numbers, Saved};
use self::values::Strided;
use crate::Error;
use crate::checkpoint;
use crate::model::Network;

/// The largest file read, and the largest tensor: several times the largest network known here. A file can declare more than it holds.
const MOST_BYTES: u64 = 4 << 30;
/// What a file is told by; a tar archive names itself within them.
const BEGINNING_BYTES: u64 = 512;
/// Names that a message lists before it only counts.
const MOST_NAMES: usize = 40;

/// The format of files that hold a program beside their tensors.
pub(crate) const TORCH_SCRIPT: &str = "TorchScript";

/// An open file of tensors.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// Such as `safetensors`.
    format: &'static str,
    tensors: BTreeMap<String, Stored>,
    lists: BTreeMap<String, Vec<f64>>,
    values: Vec<(String, String)>,
    metadata: HashMap<String, String>,
    /// What [`Content::Bytes`] points into.
    bytes: Vec<u8>,
    /// Where the numbers of [`Content::InFile`] are.
    numbers: Option<Numbers>,
}

/// A tensor that has not been read yet.
#[derive(Debug)]
pub struct Stored {
    pub shape: Vec<i64>,
    /// What the name of the dictionary or module that holds it begins with: `state_dict.`.
    pub container: String,
    /// Absent for types that no network here has.
    kind: Option<Kind>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Range<usize>),
    InFile(Strided),
}

impl TensorFile {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let metadata = file.metadata().map_err(Error::io(path))?;
        if !metadata.is_file() {
            return Err(bad(path, "is not a file".to_owned()));
        }
        if metadata.len() > MOST_BYTES {
            return Err(bad(path, format!("has {} bytes; at most {MOST_BYTES} are read", metadata.len())));
        }
        let mut start = Vec::new();
        file.by_ref().take(BEGINNING_BYTES).read_to_end(&mut start).map_err(Error::io(path))?;
        // Eight bytes of length, then JSON.
        let safetensors = start.get(8) == Some(&b'{') && start.get(6..8) == Some(&[0, 0]) && !start.starts_with(b"PK");
        if safetensors { TensorFile::safetensors(path, fs::read(path).map_err(Error::io(path))?) } else { open_pytorch(path, file, &start) }
    }

    /// Opens a safetensors file that has been read: `bytes` is its content, `path` its name in messages.
    pub(crate) fn safetensors(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let unreadable = |error| bad(path, format!("is not a readable safetensors file: {error}"));
        let file = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let stored = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
            let stored = Stored {
                shape: view.shape().iter().map(|length| *length as i64).collect(),
                container: String::new(),
                kind: kind_of_safetensors(view.dtype()),
                content: Content::Bytes(start..start + view.data().len()),
            };
            (name, stored)
        };
        let tensors = file.tensors().into_iter().map(stored).collect();
        Ok(TensorFile {
            path: path.to_owned(),
            format: "safetensors",
            tensors,
            lists: BTreeMap::new(),
            values: Vec::new(),
            metadata,
            bytes,
            numbers: None,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What kind of file it is, such as `safetensors`.
    pub fn format(&self) -> &'static str {
        self.format
    }

    /// Its tensors by name. Those of nested dictionaries have the keys that lead to them before their names: `state_dict.conv1.weight`.
    pub fn tensors(&self) -> &BTreeMap<String, Stored> {
        &self.tensors
    }

    /// Lists of one to four numbers, by name.
    pub fn lists(&self) -> &BTreeMap<String, Vec<f64>> {
        &self.lists
    }

    /// What the file holds beside its tensors: names, and what there is in words, such as `150` or `an object of torch.optim.sgd.SGD`.
    pub fn values(&self) -> &[(String, String)] {
        &self.values
    }

    /// Reads a tensor that the file has.
    pub fn read(&self, name: &str) -> Result<Tensor, Error> {
        let stored = self.tensors.get(name).ok_or_else(|| bad(&self.path, format!("has no tensor `{name}`")))?;
        let kind = stored.kind.ok_or_else(|| bad(&self.path, format!("has `{name}` of a type that no network has")))?;
        if stored.numel().saturating_mul(kind.elt_size_in_bytes() as i64) > MOST_BYTES as i64 {
            return Err(bad(&self.path, format!("declares `{name}` of shape {:?}; at most {MOST_BYTES} bytes are read", stored.shape)));
        }
        match &stored.content {
            Content::Bytes(range) => Ok(Tensor::f_from_data_size(&self.bytes[range.clone()], &stored.shape, kind)?),
            Content::InFile(strided) => self.read_strided(strided, kind, &stored.shape),
        }
    }

    /// From the first number that the tensor has to the last, and then those that it has.
    fn read_strided(&self, strided: &Strided, kind: Kind, shape: &[i64]) -> Result<Tensor, Error> {
        let damaged = |error: &dyn std::fmt::Display| bad(&self.path, format!("is damaged or cut off: {error}"));
        let size = kind.elt_size_in_bytes() as i64;
        let numel = shape.iter().product::<i64>();
        if numel == 0 {
            return Ok(Tensor::f_zeros(shape, (kind, tch::Device::Cpu))?);
        }
        let reach = shape
            .iter()
            .zip(&strided.strides)
            .try_fold(1_i64, |reach, (length, stride)| reach.checked_add((length - 1).checked_mul(*stride)?));
        let span = reach.and_then(|reach| Some((strided.offset.checked_mul(size)?, reach.checked_mul(size)?)));
        let Some(((start, length), numbers)) = span.zip(self.numbers.as_ref()) else { return Err(damaged(&"it is larger than any file")) };
        let bytes = numbers.read(&strided.storage, start as u64, length as u64).map_err(|error| damaged(&error))?;
        let span = Tensor::f_from_data_size(&bytes, &[length / size], kind)?;
        Ok(span.f_as_strided(shape, &strided.strides, None::<i64>)?.f_contiguous()?)
    }

    /// Whether two tensors hold the same numbers in the same shape.
    pub fn same(&self, one: &str, other: &str) -> Result<bool, Error> {
        let (Some(first), Some(second)) = (self.tensors.get(one), self.tensors.get(other)) else { return Ok(false) };
        if first.shape != second.shape || first.kind != second.kind {
            return Ok(false);
        }
        if let (Content::InFile(first), Content::InFile(second)) = (&first.content, &second.content)
            && (&first.storage, first.offset, &first.strides) == (&second.storage, second.offset, &second.strides)
        {
            return Ok(true);
        }
        Ok(self.read(one)? == self.read(other)?)
    }

    /// What the writer has put down beside the tensors; only safetensors have it.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Reads every tensor of the file into `network`, on whose device and in whose kind they stay. `names`: what each is called in the
    /// file, by its name in the network.
    ///
    /// Nothing is changed unless every tensor fits; what does not is listed whole, in the words of PyTorch. Counters of batches may be
    /// missing, which PyTorch once did not write.
    pub fn load_into(&self, network: &Network, names: &BTreeMap<String, String>) -> Result<(), Error> {
        self.load(&checkpoint::handles(network), names)
    }

    /// As [`TensorFile::load_into`], under the names that the file has.
    pub(crate) fn load_by_name(&self, tensors: &[(String, Tensor)]) -> Result<(), Error> {
        self.load(tensors, &self.tensors.keys().map(|name| (name.clone(), name.clone())).collect())
    }

    fn load(&self, tensors: &[(String, Tensor)], names: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut missing = Vec::new();
        let mut mismatched = Vec::new();
        let mut fitting = Vec::new();
        for (key, tensor) in tensors {
            let Some((name, stored)) = names.get(key).and_then(|name| Some((name, self.tensors.get(name)?))) else {
                if !key.ends_with("num_batches_tracked") {
                    missing.push(format!("\"{key}\""));
                }
                continue;
            };
            let (found, expected) = (&stored.shape, tensor.size());
            if *found != expected {
                mismatched.push(format!(
                    "size mismatch for {key}: copying a param with shape {found:?} from checkpoint, the shape in current model is {expected:?}"
                ));
            } else {
                fitting.push((tensor, name));
            }
        }
        let known: BTreeSet<&String> = tensors.iter().map(|(key, _)| key).collect();
        let unexpected: Vec<String> = names.keys().filter(|name| !known.contains(name)).map(|name| format!("\"{name}\"")).collect();
        let mut problems = Vec::new();
        if !missing.is_empty() {
            problems.push(format!("Missing key(s) in state_dict: {}", listed(&missing, ", ")));
        }
        if !unexpected.is_empty() {
            problems.push(format!("Unexpected key(s) in state_dict: {}", listed(&unexpected, ", ")));
        }
        if !mismatched.is_empty() {
            problems.push(listed(&mismatched, "; "));
        }
        if !problems.is_empty() {
            return Err(bad(&self.path, format!("does not fit the network: {}", problems.join(". "))));
        }
        let values = fitting.into_iter().map(|(tensor, name)| Ok((tensor, self.read(name)?))).collect::<Result<Vec<_>, Error>>()?;
        no_grad(|| {
            for (tensor, value) in values {
                tensor.shallow_clone().copy_(&value);
            }
        });
        Ok(())
    }
}

impl Stored {
    pub fn numel(&self) -> i64 {
        self.shape.iter().fold(1, |product: i64, length| product.saturating_mul(*length))
    }
}

fn listed(items: &[String], separator: &str) -> String {
    match items.len().checked_sub(MOST_NAMES) {
        None | Some(0) => items.join(separator),
        Some(more) => format!("{}{separator}and {more} more", items[..MOST_NAMES].join(separator)),
    }
}

/// `start`: what the file begins with.
fn open_pytorch(path: &Path, file: File, start: &[u8]) -> Result<TensorFile, Error> {
    let Saved { format, contents, numbers } = pytorch::open(file, start).map_err(|problem| bad(path, problem))?;
    let stored = |(name, (container, strided)): (String, (String, Strided))| {
        (name, Stored { shape: strided.shape.clone(), container, kind: strided.kind, content: Content::InFile(strided) })
    };
    let tensors = contents.tensors.into_iter().map(stored).collect();
    Ok(TensorFile {
        path: path.to_owned(),
        format,
        tensors,
        lists: contents.lists,
        values: contents.values,
        metadata: HashMap::new(),
        bytes: Vec::new(),
        numbers: Some(numbers),
    })
}

fn kind_of_safetensors(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F64 => Some(Kind::Double),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::I64 => Some(Kind::Int64),
        _ => None,
    }
}

fn bad(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}
