//! Writes and reads checkpoints: a safetensors file with PyTorch's tensor names, and a JSON sidecar that
//! describes it.
//!
//! PyTorch reads them with `network.load_state_dict(load_file(path), strict=True)`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
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
    /// The normalization is always given in numbers. `None` if the checkpoint is a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelConfig>,
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
    let bytes = serialize(path, tensors, HashMap::from([("format".to_owned(), "pt".to_owned())]))?;
    write_whole(path, &bytes)?;
    Ok(Written { size_bytes: bytes.len() as u64, sha256: sha256(&bytes) })
}

/// Loads a checkpoint into `network`, converting it to the network's device and kind.
///
/// Fails without changing the network if a tensor is missing, unexpected or of another shape. The error lists
/// all of them. Also fails if the file does not have the hash that its description gives, if one is passed.
pub fn load(path: &Path, sha256: Option<&str>, network: &Network) -> Result<(), Error> {
    let file = match sha256 {
        None => TensorFile::open(path)?,
        Some(expected) => TensorFile::safetensors(path, read_whole(path, expected)?)?,
    };
    file.load_by_name(&handles(network))
}

/// Reads a file. Fails if it does not have this hash.
pub(crate) fn read_whole(path: &Path, expected: &str) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let found = sha256(&bytes);
    if found == expected {
        return Ok(bytes);
    }
    Err(checkpoint_error(path, format!("is damaged: its SHA-256 is {found}, and was {expected} when it was saved")))
}

/// Key in the metadata of a sealed file.
const SEAL: &str = "sha256";

/// Writes tensors of the CPU as a safetensors file whose metadata holds the hash of the file, atomically.
pub(crate) fn save_sealed(path: &Path, tensors: &[(String, Tensor)], mut metadata: HashMap<String, String>) -> Result<(), Error> {
    // The hash is that of the file with zeros in its place.
    metadata.insert(SEAL.to_owned(), NO_SEAL.to_owned());
    let mut bytes = serialize(path, tensors, metadata)?;
    let digest = sha256(&bytes);
    let place = seal(&bytes).expect("it was just put into the metadata");
    bytes[place].copy_from_slice(digest.as_bytes());
    write_whole(path, &bytes)
}

/// Opens a file of [`save_sealed`]. Fails if it does not have the hash that it holds. Files that earlier
/// versions saved without a hash are not checked.
pub(crate) fn open_sealed(path: &Path) -> Result<TensorFile, Error> {
    let mut bytes = fs::read(path).map_err(Error::io(path))?;
    if let Some(place) = seal(&bytes) {
        let expected = bytes[place.clone()].to_vec();
        bytes[place].copy_from_slice(NO_SEAL.as_bytes());
        if sha256(&bytes).as_bytes() != expected {
            return Err(checkpoint_error(path, format!("is damaged: its SHA-256 is not the one that it was saved with; {REMOVE}")));
        }
    }
    TensorFile::safetensors(path, bytes).map_err(|error| match error {
        Error::Checkpoint { path, problem } => Error::Checkpoint { path, problem: format!("{problem}; {REMOVE}") },
        error => error,
    })
}

/// What to do about a sealed file that cannot be used.
const REMOVE: &str = "remove it to begin again without it";

const NO_SEAL: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Finds the hash in the header of a sealed file. `None` if there is none.
fn seal(bytes: &[u8]) -> Option<Range<usize>> {
    const LENGTH: usize = size_of::<u64>();
    // Inside a text of the metadata, the quotes would be escaped.
    let key = format!("\"{SEAL}\":\"");
    let length = u64::from_le_bytes(bytes.get(..LENGTH)?.try_into().ok()?);
    let header = bytes.get(LENGTH..LENGTH.checked_add(usize::try_from(length).ok()?)?)?;
    let start = LENGTH + header.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    (start + NO_SEAL.len() <= bytes.len()).then_some(start..start + NO_SEAL.len())
}

/// Returns the hash in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serializes tensors of the CPU as a safetensors file. `path` is its name in messages.
fn serialize(path: &Path, tensors: &[(String, Tensor)], metadata: HashMap<String, String>) -> Result<Vec<u8>, Error> {
    let raw: Vec<(Dtype, Vec<usize>, Vec<u8>)> = tensors.iter().map(|(_, tensor)| dtype_shape_bytes(tensor)).collect::<Result<_, _>>()?;
    let views = tensors
        .iter()
        .zip(&raw)
        .map(|((name, _), (dtype, shape, bytes))| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
    views
        .and_then(|views| safetensors::serialize(views, Some(metadata)))
        .map_err(|error| checkpoint_error(path, format!("cannot be written: {error}")))
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
