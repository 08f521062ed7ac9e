//! Parsers of foreign bytes as functions of bytes, for a fuzzer. Each must end with a value or an error, whatever
//! the bytes are: a panic, an abort, endless work and endless memory are findings.
//!
//! `main` gives them to libFuzzer; the tests here give them their seeds and everything that was ever a finding.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use datasets::pickle::Pickle;
use engine::import::read_text_log;
use engine::tensor_file::TensorFile;
use flate2::read::GzDecoder;
use shared::config::RunConfig;
use shared::dataset::Dataset;
use shared::query::Query;
use shared::record::{Metrics, Record};
use shared::view::View;
use tempfile::TempDir;

/// A parser.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    /// Parses bytes.
    pub parse: fn(&[u8]),
    /// Bytes that it can read, to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 10] = [
    Target { name: "cifar", parse: cifar, seeds: || fixtures("datasets/tests/fixtures/batches") },
    Target { name: "pickle", parse: pickle, seeds: || fixtures("datasets/tests/fixtures/batches") },
    Target { name: "pth", parse: pth, seeds: || fixtures("engine/tests/fixtures/import") },
    Target { name: "safetensors", parse: safetensors, seeds: safetensors_seeds },
    Target { name: "matlab", parse: matlab, seeds: || fixtures("datasets/tests/fixtures") },
    Target { name: "image", parse: image, seeds: || fixtures("datasets/tests/fixtures/pictures") },
    Target { name: "training_log", parse: training_log, seeds: training_log_seeds },
    Target { name: "metrics", parse: metrics, seeds: metrics_seeds },
    Target { name: "config", parse: config, seeds: config_seeds },
    Target { name: "url", parse: url, seeds: url_seeds },
];

/// Longest input that becomes a seed: libFuzzer changes short inputs more often.
const LONGEST_SEED: usize = 64 << 10;

fn cifar(bytes: &[u8]) {
    /// A folder that is a whole data set but for its first file.
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        for name in ["data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
            write(&folder.path().join(name), &[0; 3073]);
        }
        folder
    });
    write(&FOLDER.path().join("data_batch_1"), bytes);
    read_all(Dataset::Cifar10, FOLDER.path());
}

fn pickle(bytes: &[u8]) {
    let Ok(pickle) = Pickle::read(bytes, 1 << 16) else { return };
    for id in pickle.ids() {
        pickle.describe(id);
        pickle.text(id);
        pickle.path(id);
        pickle.pairs(id).map(Iterator::count);
    }
}

fn pth(bytes: &[u8]) {
    tensors(bytes, "network.pth");
}

fn safetensors(bytes: &[u8]) {
    tensors(bytes, "network.safetensors");
}

fn tensors(bytes: &[u8], name: &str) {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room for temporary files"));
    let path = FOLDER.path().join(name);
    write(&path, bytes);
    let Ok(file) = TensorFile::open(&path) else { return };
    for name in file.tensors().keys() {
        // What a file announces can be more than it holds.
        drop(file.read(name));
    }
}

fn matlab(bytes: &[u8]) {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        fs::copy(root().join("datasets/tests/fixtures/test_32x32.mat"), folder.path().join("test_32x32.mat")).expect("a fixture is there");
        folder
    });
    write(&FOLDER.path().join("train_32x32.mat"), bytes);
    read_all(Dataset::Svhn, FOLDER.path());
}

fn image(bytes: &[u8]) {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        for class in ["train/a", "train/b", "val/a", "val/b"] {
            fs::create_dir_all(folder.path().join(class)).expect("there is room for temporary files");
            let tiny = root().join("datasets/tests/fixtures/pictures/tiny.png");
            fs::copy(tiny, folder.path().join(class).join("tiny.png")).expect("a fixture is there");
        }
        folder
    });
    write(&FOLDER.path().join("train/a/tiny.png"), bytes);
    read_all(Dataset::ImageFolder, FOLDER.path());
}

fn training_log(bytes: &[u8]) {
    let Some(log) = read_text_log(&String::from_utf8_lossy(bytes)) else { return };
    assert!(log.epochs.is_sorted_by(|one, next| one.epoch < next.epoch), "each epoch is there once, in order");
}

fn metrics(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    let metrics = Metrics::from_records(lines);
    metrics.fraction_done();
    metrics.seconds_left();
    metrics.all_notices();
}

fn config(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    let Ok(config) = RunConfig::parse(&value) else { return };
    let again = RunConfig::parse(&config.to_json());
    assert_eq!(again.as_ref(), Ok(&config), "what is written is read again");
    config.title();
}

fn url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    Query::parse(text);
    let Ok(view) = text.parse::<View>() else { return };
    assert_eq!(view.to_string().parse::<View>().as_ref(), Ok(&view), "what is written is read again");
}

fn read_all(dataset: Dataset, folder: &Path) {
    let Ok(contents) = datasets::open(dataset, folder, 8) else { return };
    for samples in [&contents.train, &contents.test] {
        samples.counts(contents.class_names.len());
        drop(samples.pixels(&(0..samples.len()).collect::<Vec<_>>()));
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("there is room for temporary files");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder, unpacked where they are packed.
fn fixtures(folder: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(root().join(folder)).expect("the folder of fixtures is there");
    let files = entries.map(|entry| entry.expect("the folder of fixtures can be read").path()).filter(|path| path.is_file());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a fixture can be read");
        let mut unpacked = Vec::new();
        match std::io::Read::read_to_end(&mut GzDecoder::new(&bytes[..]), &mut unpacked) {
            Ok(_) => unpacked,
            Err(_) => bytes,
        }
    };
    files.map(read).filter(|bytes| bytes.len() <= LONGEST_SEED).collect()
}

fn safetensors_seeds() -> Vec<Vec<u8>> {
    let header = br#"{"__metadata__":{"format":"pt"},"linear.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
    vec![[&(header.len() as u64).to_le_bytes()[..], header, &[0; 24]].concat()]
}

fn training_log_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "[2020/02/01 10:00:01] - Epoch \t LR \t \t Train Robust Loss \t Test Robust Acc\n[2020/02/01 10:05:00] - 0 \t 0.1 \t \t 2.1 \t \t 0.29\n",
        "Epoch\tNatural Test Acc\tPGD20 Acc\t\n1.000000\t0.500000\t0.300000\t\n",
        "epoch,lr,train_loss,test acc\n5,0.1,1.5,81.5\n10,0.1,,82\n",
        "Train Epoch: 1 [0/50000 (0%)]\tLoss: 2.3\nTest: Average loss: 1.6, Accuracy: 4500/10000 (45%)\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn metrics_seeds() -> Vec<Vec<u8>> {
    let lines = [
        r#"{"type":"started","device":"cpu","device_name":"2 CPU threads","libtorch":"2.11.0","engine":"0.1.0","parameters":1,"feature_dim":1,"class_names":["0","1"],"train_samples":1,"test_samples":1,"holdout_samples":0,"noisy_labels":0,"epochs":2,"teacher_epochs":0}"#,
        r#"{"type":"progress","phase":"training","epoch":1,"step":1,"steps":2,"elapsed_secs":5.0}"#,
        r#"{"type":"epoch","epoch":1,"learning_rate":0.1,"train_loss":1.5,"train_robust_accuracy":0.5,"test_clean_accuracy":0.75,"test_robust_accuracy":0.5,"test_loss":1.25,"seconds":1.0,"elapsed_secs":1.0}"#,
        r#"{"type":"checkpoint","epoch":1,"file":"checkpoints/e1.safetensors","size_bytes":1,"sha256":""}"#,
        r#"{"type":"attribution","epoch":1,"inputs":"adversarial","file":"attributions/e1.adversarial.json","cas":1.0,"cas_normalized":0.1}"#,
        r#"{"type":"notice","kind":"resumed","epoch":1,"message":""}"#,
        r#"{"type":"checkpoint_removed","epoch":1}"#,
        r#"{"type":"finished","best_epoch":1,"last_epoch":2,"elapsed_secs":1.5}"#,
    ];
    vec![lines.join("\n").into_bytes()]
}

fn config_seeds() -> Vec<Vec<u8>> {
    let of_presets = shared::preset::all().into_iter().map(|preset| preset.config.to_json());
    let measurements = [
        r#"{"kind":"attribute","checkpoint":"at-1.best","inputs":["clean"]}"#,
        r#"{"kind":"evaluate","checkpoint":"at-1.e12"}"#,
        r#"{"kind":"eps_curve","checkpoint":"at-1.last","eps":[0,"8/255"]}"#,
        r#"{"kind":"saliency","checkpoints":["at-1.last"]}"#,
        r#"{"kind":"pair","checkpoints":["at-1.best"],"pairs":[[3,5]]}"#,
        r#"{"kind":"transfer","checkpoints":["at-1.e2","at-2.last"]}"#,
        r#"{"kind":"import","source":"/net.pth","data":{"dataset":"cifar10"}}"#,
    ];
    of_presets.map(|config| config.to_string()).chain(measurements.map(str::to_owned)).map(String::into_bytes).collect()
}

fn url_seeds() -> Vec<Vec<u8>> {
    let texts = [
        "/runs/at-1?epoch=2&show=difference&base=at-1.e1.adversarial&inputs=clean",
        "/attributions/at-1.e2.adversarial?order=similarity&scale=fitted&cell=3,5",
        "/compare?a=at-1.e1.clean&b=at-2.e2.clean&c=at-3.e3.clean&of=c",
        "state:failed gap>0.1 eps<=8/255 -tag:\"two words\" name",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parser_takes_its_seeds_and_what_was_once_a_finding() {
        for Target { name, parse, seeds } in TARGETS {
            let seeds = seeds();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            seeds.iter().for_each(|bytes| parse(bytes));
            let found = Path::new("fuzz/found").join(name);
            if root().join(&found).is_dir() {
                fixtures(&found.to_string_lossy()).iter().for_each(|bytes| parse(bytes));
            }
        }
    }
}
