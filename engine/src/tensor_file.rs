//! Files of named tensors: safetensors, and whatever `torch.save` has ever written. Nothing that is read is executed.
//!
//! A file is told by its content, not by its name. Opening one reads names, types and shapes; the numbers follow when they are asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, FileFormat, PytorchReader};
use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Kind, Tensor, no_grad};

use crate::Error;
use crate::checkpoint;
use crate::model::Network;

/// The largest file read, and the most that its tensors may come to: several times the largest network known here. A file can declare
/// more than it holds.
const MOST_BYTES: u64 = 4 << 30;
/// Names that a message lists before it only counts.
const MOST_NAMES: usize = 40;

/// An open file of tensors.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    /// Such as `safetensors`.
    format: &'static str,
    tensors: BTreeMap<String, Stored>,
    metadata: HashMap<String, String>,
    /// What [`Content::Bytes`] points into.
    bytes: Vec<u8>,
}

/// A tensor that has not been read yet.
#[derive(Debug)]
pub struct Stored {
    pub shape: Vec<i64>,
    /// Absent for types that no network here has.
    kind: Option<Kind>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Range<usize>),
    InFile(pytorch_reader::Tensor),
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
        file.by_ref().take(9).read_to_end(&mut start).map_err(Error::io(path))?;
        // Eight bytes of length, then JSON.
        let opened = if start.get(8) == Some(&b'{') && !start.starts_with(b"PK") { open_safetensors(path) } else { open_pytorch(path) }?;
        let declared = opened.tensors.values().fold(0, |sum: u64, stored| sum.saturating_add(stored.declared_bytes()));
        if declared > MOST_BYTES {
            return Err(bad(path, format!("declares tensors of {declared} bytes; at most {MOST_BYTES} are read")));
        }
        Ok(opened)
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

    /// Reads a tensor that the file has.
    pub fn read(&self, name: &str) -> Result<Tensor, Error> {
        let stored = self.tensors.get(name).ok_or_else(|| bad(&self.path, format!("has no tensor `{name}`")))?;
        let kind = stored.kind.ok_or_else(|| bad(&self.path, format!("has `{name}` of a type that no network has")))?;
        let owned;
        let bytes = match &stored.content {
            Content::Bytes(range) => &self.bytes[range.clone()],
            Content::InFile(tensor) => {
                owned = tensor.read().map_err(|error| bad(&self.path, format!("is damaged or cut off: {error}")))?;
                &owned
            }
        };
        Ok(Tensor::f_from_data_size(bytes, &stored.shape, kind)?)
    }

    /// What the writer has put down beside the tensors; only safetensors have it.
    pub fn into_metadata(self) -> HashMap<String, String> {
        self.metadata
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

    fn declared_bytes(&self) -> u64 {
        const LARGEST: u64 = 8;
        (self.numel() as u64).saturating_mul(LARGEST)
    }
}

fn listed(items: &[String], separator: &str) -> String {
    match items.len().checked_sub(MOST_NAMES) {
        None | Some(0) => items.join(separator),
        Some(more) => format!("{}{separator}and {more} more", items[..MOST_NAMES].join(separator)),
    }
}

fn open_safetensors(path: &Path) -> Result<TensorFile, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let unreadable = |error| bad(path, format!("is not a readable safetensors file: {error}"));
    let file = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let stored = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let start = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let stored = Stored {
            shape: view.shape().iter().map(|length| *length as i64).collect(),
            kind: kind_of_safetensors(view.dtype()),
            content: Content::Bytes(start..start + view.data().len()),
        };
        (name, stored)
    };
    let tensors = file.tensors().into_iter().map(stored).collect();
    Ok(TensorFile { path: path.to_owned(), format: "safetensors", tensors, metadata, bytes })
}

fn open_pytorch(path: &Path) -> Result<TensorFile, Error> {
    let reader = PytorchReader::new(path)
        .map_err(|error| bad(path, format!("cannot be read as a checkpoint; safetensors or a file of torch.save is expected: {error}")))?;
    let format = match reader.metadata().format_type {
        FileFormat::Zip => "PyTorch",
        FileFormat::Legacy => "PyTorch before 1.6",
        FileFormat::Tar => "PyTorch before 0.1.10",
        FileFormat::Pickle => "a pickle",
    };
    let stored = |(name, tensor): (String, pytorch_reader::Tensor)| {
        let shape = tensor.shape().iter().map(|length| i64::try_from(*length).unwrap_or(i64::MAX)).collect();
        (name, Stored { shape, kind: kind_of_pytorch(tensor.dtype()), content: Content::InFile(tensor) })
    };
    let tensors = reader.into_tensors().into_iter().map(stored).collect();
    Ok(TensorFile { path: path.to_owned(), format, tensors, metadata: HashMap::new(), bytes: Vec::new() })
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

fn kind_of_pytorch(dtype: DType) -> Option<Kind> {
    match dtype {
        DType::F32 => Some(Kind::Float),
        DType::F64 => Some(Kind::Double),
        DType::F16 => Some(Kind::Half),
        DType::BF16 => Some(Kind::BFloat16),
        DType::I64 => Some(Kind::Int64),
        DType::I32 => Some(Kind::Int),
        _ => None,
    }
}

fn bad(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}
