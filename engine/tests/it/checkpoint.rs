//! Writing and reading checkpoints.

use engine::checkpoint::{load, save};
use engine::model::Network;
use sha2::{Digest as _, Sha256};
use shared::config::{Architecture, BatchNormMode, ModelConfig};
use shared::dataset::Dataset;
use tch::{Device, Kind, Tensor};

use crate::small_network;

fn network(dataset: Dataset, width: u32, seed: u32) -> Network {
    let config = ModelConfig { width: Some(width), ..ModelConfig::of(Architecture::PreactResnetSmall) };
    Network::new(&config, &dataset.info(), seed, Kind::Float, Device::Cpu)
}

#[test]
fn a_checkpoint_read_back_gives_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e1.safetensors");
    let (saved, read) = (network(Dataset::Digits, 4, 1), network(Dataset::Digits, 4, 2));
    let images = Tensor::rand([5, 1, 8, 8], (Kind::Float, Device::Cpu));
    saved.forward(&images, BatchNormMode::Train);
    let written = save(&path, &saved.snapshot()).unwrap();
    load(&path, None, &read).unwrap();

    assert_eq!(saved.forward(&images, BatchNormMode::Eval).logits, read.forward(&images, BatchNormMode::Eval).logits);
    assert_eq!(saved.snapshot(), read.snapshot());
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(written.size_bytes, bytes.len() as u64);
    assert_eq!(written.sha256, Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the file");
}

#[test]
fn names_and_their_order_are_those_of_pytorchs_state_dict() {
    let network = small_network(Dataset::Digits, Kind::Float);
    let names: Vec<&str> = network.entries().iter().map(|entry| entry.name.as_str()).collect();
    let norm = |name: &str| ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"].map(|leaf| format!("{name}.{leaf}"));
    let mut expected = vec!["conv1.weight".to_owned()];
    for stage in 1..=3 {
        expected.extend(norm(&format!("layer{stage}.0.bn1")));
        expected.push(format!("layer{stage}.0.conv1.weight"));
        expected.extend(norm(&format!("layer{stage}.0.bn2")));
        expected.push(format!("layer{stage}.0.conv2.weight"));
        if stage > 1 {
            expected.push(format!("layer{stage}.0.shortcut.0.weight"));
        }
    }
    expected.extend(norm("bn"));
    expected.extend(["linear.weight".to_owned(), "linear.bias".to_owned()]);
    assert_eq!(names, expected);
}

#[test]
fn a_checkpoint_of_another_network_says_all_that_does_not_fit_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let mut tensors = network(Dataset::Digits, 8, 1).snapshot();
    tensors.retain(|(name, _)| name != "bn.bias");
    tensors.push(("head.weight".to_owned(), Tensor::zeros([2], (Kind::Float, Device::Cpu))));
    save(&path, &tensors).unwrap();

    let network = network(Dataset::Digits, 4, 1);
    let before = network.snapshot();
    let message = load(&path, None, &network).unwrap_err().to_string();
    for part in [
        "other.safetensors",
        r#"Missing key(s) in state_dict: "bn.bias""#,
        r#"Unexpected key(s) in state_dict: "head.weight""#,
        "size mismatch for conv1.weight: copying a param with shape [8, 1, 3, 3]",
        "current model is [4, 1, 3, 3]",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(network.snapshot(), before);
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.safetensors");
    let network = network(Dataset::Digits, 4, 1);
    save(&path, &network.snapshot()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(load(&path, None, &network).unwrap_err().to_string().contains("not a readable safetensors file"));
    assert!(load(&folder.path().join("none"), None, &network).unwrap_err().to_string().contains("none"));
}
