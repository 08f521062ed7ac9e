//! Checkpoints: safetensors under PyTorch's names, with a sidecar in JSON that says what the file is.
//!
//! `load_state_dict(load_file(f), strict=True)` of the PyTorch network accepts them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::config::{ModelConfig, PgdConfig};
use shared::dataset::Dataset;
use shared::record;
use tch::{Kind, Tensor};

use crate::Error;
use crate::model::Network;
use crate::tensor_file::TensorFile;

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
    /// What it is measured with, in the threat model it was trained for; absent where only its run knows.
    #[serde(default)]
    pub attack: Option<PgdConfig>,
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
    TensorFile::open(path)?.load_by_name(&handles(network))
}

/// Reads a file into tensors by their names, as [`load`] does, and returns its metadata.
pub(crate) fn load_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<HashMap<String, String>, Error> {
    let file = TensorFile::open(path)?;
    file.load_by_name(tensors)?;
    Ok(file.into_metadata())
}

/// The tensors of a network, shared, by their names.
pub(crate) fn handles(network: &Network) -> Vec<(String, Tensor)> {
    network.entries().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect()
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

fn bad(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}
