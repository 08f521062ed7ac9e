//! Adversarial training and class-wise feature attribution on libtorch.
//!
//! The engine works on tensors and files. It has no HTTP and no async code, and needs no server: the binary
//! `worker` runs the configuration of a run directory ([`job::run`]), and everything it does is a function of
//! this crate.
//!
//! - Train: load images with [`data::load`], create a [`train::State`], call [`train::fit`]. [`model`]
//!   contains the networks, [`attack`] the PGD attack.
//! - Measure: [`evaluate`] measures loss, accuracy and features. [`robustness`] measures the accuracy under
//!   several attacks, including [`autoattack`].
//! - Attribute: [`attribution`] computes the matrix C and CAS from features. [`linear_probe`] provides
//!   features of earlier stages, [`pair`] compares two classes, [`grad_cam`] shows positions in an image.
//! - Stop and continue: [`stop`] requests it, a [`train::State`] and [`kept`] batches continue.
//! - Files: [`checkpoint`] and [`run_dir`] write them. [`tensor_file`] and [`import`] read networks that were
//!   trained elsewhere.
//!
//! Configurations are the types of [`shared::config`]. This example trains a small network on the embedded
//! digits for one epoch, and computes CAS under attack on test images:
//!
//! ```
//! use engine::stop::Stop;
//! use engine::data;
//! use engine::train::{Event, State, Teachers, fit};
//! use shared::config::{Aggregation, RunConfig, Subset};
//! use tch::{Device, Kind};
//!
//! // The same JSON as in the `config.json` of a run directory.
//! let config = RunConfig::parse(&serde_json::json!({
//!     "kind": "train",
//!     "data": { "dataset": "digits", "train_samples": 200, "test_samples": 100 },
//!     "model": { "architecture": "preact_resnet_small", "width": 4 },
//!     "training": { "method": "pgd_at", "epochs": 1, "batch_size": 50 },
//!     "attack": { "norm": "linf", "eps": "32/255", "steps": 3 },
//!     "attribution": { "inputs": ["adversarial"] }
//! }));
//! let config = config.expect("the configuration is valid");
//! let config = config.as_train().expect("its kind is `train`");
//!
//! let data = data::load(&config.data, config.seed)?;
//! let mut state = State::new(config, &data.info, Kind::Float, Device::Cpu);
//! let mut cas = Vec::new();
//! fit(config, &data, &Teachers::default(), &mut state, None, &Stop::default(), &mut |event| {
//!     if let Event::Epoch { report, .. } = event
//!         && let Some(evaluation) = &report.evaluation
//!     {
//!         println!("epoch {}: robust accuracy {:.3}", report.epoch, evaluation.test_robust.accuracy());
//!         for (_inputs, samples) in &evaluation.samples {
//!             let classes = samples.of_classes(Subset::All).attribute(Aggregation::AverageThenCosine);
//!             cas.push(classes.matrix.cas());
//!         }
//!     }
//!     Ok(())
//! })?;
//!
//! assert_eq!(state.epoch, 1);
//! // CAS of K = 10 classes is between 0 and K (K - 1).
//! assert!((0.0..=90.0).contains(&cas[0]));
//! # Ok::<(), engine::Error>(())
//! ```

pub mod attack;
pub mod attribution;
pub mod autoattack;
pub mod bench;
pub mod checkpoint;
mod cuda_graph;
pub mod data;
pub mod device;
mod error;
pub mod evaluate;
pub mod grad_cam;
pub mod import;
pub mod job;
pub mod kept;
pub mod linear_probe;
pub mod model;
pub mod optim;
pub mod pair;
pub mod random;
pub mod robustness;
pub mod run_dir;
mod shim;
mod speed;
pub mod stop;
pub mod tensor_file;
pub mod train;

pub use error::Error;
