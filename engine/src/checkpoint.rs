//! Checkpoints: safetensors under PyTorch's names, with a sidecar in JSON that says what the file is.
//!
//! `load_state_dict(load_file(f), strict=True)` of a PyTorch PreActResNet accepts them.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::config::ModelConfig;
use shared::dataset::Dataset;
use shared::record;
use tch::{Kind, Tensor, no_grad};

use crate::Error;
use crate::model::Network;

/// What stands beside a checkpoint, so that the two files can be understood away from their run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    pub checkpoint: record::Checkpoint,
    /// Absent where the network was trained elsewhere and nothing is known.
    pub metrics: Option<record::Epoch>,
    /// With the normalization written out.
    pub model: ModelConfig,
    pub dataset: Dataset,
    pub class_names: Vec<String>,
    pub engine: String,
}

/// Size and hash of a file written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub size_bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// Writes the tensors of a network as safetensors; the file appears whole or not at all.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<Written, Error> {
    // What PyTorch's own writer says; some readers ask for it.
    save_tensors(path, tensors, HashMap::from([("format".to_owned(), "pt".to_owned())]))
}

/// Writes any tensors on the CPU, with metadata for whoever reads them.
pub(crate) fn save_tensors(path: &Path, tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<Written, Error> {
    let raw: Vec<(Dtype, Vec<usize>, Vec<u8>)> = tensors.iter().map(|(_, tensor)| raw(tensor)).collect::<Result<_, _>>()?;
    let views = tensors
        .iter()
        .zip(&raw)
        .map(|((name, _), (dtype, shape, bytes))| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| bad(path, format!("cannot be written: {error}")))?;
    write_whole(path, &bytes)?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { size_bytes: bytes.len() as u64, sha256 })
}

/// Reads a checkpoint into `network`, on whose device and in whose kind it stays.
///
/// Nothing is changed unless every tensor fits; what does not is listed whole.
pub fn load(path: &Path, network: &Network) -> Result<(), Error> {
    let tensors: Vec<(String, Tensor)> = network.entries().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect();
    load_tensors(path, &tensors).map(|_| ())
}

/// Reads a file into tensors by their names, as [`load`] does, and returns its metadata.
pub(crate) fn load_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<HashMap<String, String>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let unreadable = |error| bad(path, format!("is not a readable safetensors file: {error}"));
    let file = SafeTensors::deserialize(&bytes).map_err(unreadable)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(unreadable)?;

    let found: BTreeSet<&str> = file.names().into_iter().collect();
    let expected: BTreeSet<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    let mut problems = Vec::new();
    let mut listed = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            problems.push(format!("{what} {}", names.join(", ")));
        }
    };
    listed("lacks", expected.difference(&found).map(|name| format!("`{name}`")).collect());
    listed("has the unexpected", found.difference(&expected).map(|name| format!("`{name}`")).collect());
    let mut values = Vec::new();
    let mut misshapen = Vec::new();
    for (name, tensor) in tensors {
        let Ok(view) = file.tensor(name) else { continue };
        let shape: Vec<i64> = view.shape().iter().map(|length| *length as i64).collect();
        match kind_of(view.dtype()) {
            None => misshapen.push(format!("`{name}` of the type {:?}", view.dtype())),
            Some(_) if shape != tensor.size() => {
                misshapen.push(format!("`{name}` of shape {shape:?} where the network has {:?}", tensor.size()));
            }
            Some(kind) => values.push((tensor, Tensor::f_from_data_size(view.data(), &shape, kind)?)),
        }
    }
    listed("has", misshapen);
    if !problems.is_empty() {
        return Err(bad(path, problems.join("; ")));
    }
    no_grad(|| {
        for (tensor, value) in values {
            tensor.shallow_clone().copy_(&value);
        }
    });
    Ok(header.metadata().clone().unwrap_or_default())
}

/// Writes a file that a reader sees whole or not at all: beside it first, then renamed over it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(Error::io(path))
}

fn raw(tensor: &Tensor) -> Result<(Dtype, Vec<usize>, Vec<u8>), Error> {
    let dtype = match tensor.kind() {
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        _ => Dtype::I64,
    };
    let tensor = tensor.contiguous();
    let mut bytes = vec![0; tensor.numel() * dtype.bitsize() / 8];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok((dtype, tensor.size().into_iter().map(|length| length as usize).collect(), bytes))
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
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
