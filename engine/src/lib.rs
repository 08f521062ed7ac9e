//! Adversarial training and class-wise feature attribution on libtorch.
//!
//! Knows tensors and files, no HTTP and no async. The binary `worker` runs a configuration in a directory;
//! everything it does can be called from here.

pub mod attack;
pub mod attribution;
pub mod autoattack;
pub mod cancel;
pub mod checkpoint;
pub mod data;
pub mod device;
mod error;
pub mod evaluate;
pub mod grad_cam;
pub mod import;
pub mod job;
pub mod linear_probe;
pub mod model;
pub mod optim;
pub mod pair;
pub mod random;
pub mod robustness;
pub mod run_dir;
pub mod tensor_file;
pub mod train;

pub use error::Error;
