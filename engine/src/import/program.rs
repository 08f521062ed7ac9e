//! Reads a program that is imported: see [`crate::model::Network::of_program`].

use std::fs;
use std::path::Path;

use shared::format;
use shared::inspection::Inspection;

use super::reading::{Reading, Request, checkpoint_error};
use crate::Error;
use crate::model::Network;
use crate::tensor_file::{TORCH_SCRIPT, TensorFile};

/// Loads the program at `path`, and says what it is.
pub(super) fn read(path: &Path, request: &Request<'_>) -> Result<Reading, Error> {
    let file = TensorFile::open(path)?;
    if file.format() != TORCH_SCRIPT {
        let problem = format!("is {}, and no program: leave out `program`, and it is read as data", file.format());
        return Err(checkpoint_error(path, problem));
    }
    // What runs is what is kept, even if the file changes meanwhile.
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let network = Network::of_program(&bytes, request.info, request.device).map_err(|problem| checkpoint_error(path, problem))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let facts = vec![
        format!(
            "`{name}` (TorchScript) is a program with {} parameters, {} features and {} classes. It is run and not read: it can be \
             evaluated and attributed, and neither its weights nor its stages are known.",
            format::count(network.parameter_count()),
            network.feature_dim(),
            network.classes(),
        ),
        "It takes pixels in [0, 1] and normalizes them itself.".to_owned(),
    ];
    let inspection = Inspection {
        format: file.format().to_owned(),
        networks: Vec::new(),
        facts,
        questions: Vec::new(),
        checkpoints: Vec::new(),
        architecture: None,
        depth: None,
        width: None,
        classes: network.classes() as u32,
        parameters: network.parameter_count(),
        normalization: None,
        test_images: None,
    };
    Ok(Reading { network, model: None, program: Some(bytes), inspection, undecided_without_images: false })
}
