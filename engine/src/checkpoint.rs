//! Writes and reads checkpoints: a safetensors file with PyTorch's tensor names, and a JSON sidecar that
//! describes it.
//!
//! PyTorch reads them with `network.load_state_dict(load_file(path), strict=True)`.

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

/// Description of a checkpoint. It is stored beside the checkpoint, so that both can be used without the run
/// directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    pub checkpoint: record::Checkpoint,
    /// `None` if the network was trained elsewhere and nothing is known about it.
    pub metrics: Option<record::Epoch>,
    /// The normalization is always given in numbers.
    pub model: ModelConfig,
    pub dataset: Dataset,
    pub class_names: Vec<String>,
    /// PGD attack with which the run measures robust accuracy. `None` in files that do not name it; the run's
    /// configuration then does.
    #[serde(default)]
    pub attack: Option<PgdConfig>,
    pub engine: String,
}

/// Size and hash of a file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub size_bytes: u64,
    /// 64 hexadecimal digits.
    pub sha256: String,
}

/// Writes named tensors as a safetensors file, atomically. Returns the size and the hash of the file.
pub fn save(path: &Path, tensors: &[(String, Tensor)]) -> Result<Written, Error> {
    // PyTorch's own writer sets this metadata, and some readers require it.
    save_tensors(path, tensors, HashMap::from([("format".to_owned(), "pt".to_owned())]))
}

/// Writes tensors of the CPU as a safetensors file with the given metadata, atomically.
pub(crate) fn save_tensors(path: &Path, tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<Written, Error> {
    let raw: Vec<(Dtype, Vec<usize>, Vec<u8>)> = tensors.iter().map(|(_, tensor)| dtype_shape_bytes(tensor)).collect::<Result<_, _>>()?;
    let views = tensors
        .iter()
        .zip(&raw)
        .map(|((name, _), (dtype, shape, bytes))| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    let bytes = views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| checkpoint_error(path, format!("cannot be written: {error}")))?;
    write_whole(path, &bytes)?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Written { size_bytes: bytes.len() as u64, sha256 })
}

/// Loads a checkpoint into `network`, converting it to the network's device and kind.
///
/// Fails without changing the network if a tensor is missing, unexpected or of another shape. The error lists
/// all of them.
pub fn load(path: &Path, network: &Network) -> Result<(), Error> {
    TensorFile::open(path)?.load_by_name(&handles(network))
}

/// Loads a file into `tensors` by name, like [`load`]. Returns the metadata of the file.
pub(crate) fn load_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<HashMap<String, String>, Error> {
    let file = TensorFile::open(path)?;
    file.load_by_name(tensors)?;
    Ok(file.into_metadata())
}

/// Returns the tensors of a network with their names. They share memory with the network.
pub(crate) fn handles(network: &Network) -> Vec<(String, Tensor)> {
    network.entries().iter().map(|entry| (entry.name.clone(), entry.tensor.shallow_clone())).collect()
}

/// Writes a file atomically: to `path` with the ending `.part` first, then renamed. Readers never see half of
/// it.
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

fn dtype_shape_bytes(tensor: &Tensor) -> Result<(Dtype, Vec<usize>, Vec<u8>), Error> {
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

fn checkpoint_error(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}
