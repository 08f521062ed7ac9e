//! Which network a file of tensors holds, told from names and shapes.

use std::collections::{BTreeMap, BTreeSet};

use shared::config::{Architecture, DEIT_HEADS, ModelConfig, Normalization};
use tch::Kind;

use crate::Error;
use crate::tensor_file::TensorFile;

/// A network found in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// With the width written out, and the normalization where the file has one.
    pub model: ModelConfig,
    pub classes: i64,
    /// What each tensor is called in the file, by its name in the network.
    pub names: BTreeMap<String, String>,
    /// What stands before the names of the network, such as `state_dict.module.`.
    pub prefix: String,
    /// Where other networks of the file stand, in the same way.
    pub others: Vec<String>,
    /// Whether the file has a normalization of its own.
    pub normalized: bool,
}

/// How the tensors of a family of networks are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// ResNets, pre-activation or not.
    Residual,
    Wide,
    /// Vision transformers as timm names them, and as torchvision does.
    Timm,
    Torchvision,
}

impl Family {
    const ALL: [Family; 4] = [Family::Residual, Family::Wide, Family::Timm, Family::Torchvision];

    /// The tensor that each network of the family has exactly once.
    fn anchor(self) -> &'static str {
        match self {
            Family::Residual => "layer1.0.conv1.weight",
            Family::Wide => "block1.layer.0.conv1.weight",
            Family::Timm => "blocks.0.attn.qkv.weight",
            Family::Torchvision => "encoder.layers.encoder_layer_0.self_attention.in_proj_weight",
        }
    }
}

/// What weights are kept under in files with more, the likeliest first; of several networks the first of these is taken.
const CONTAINERS: [&str; 8] = ["state_dict", "model_state_dict", "model", "net", "params", "best", "last", "ema"];

/// Finds the network in a file. What `asked` says is believed; the rest is told from names and shapes.
pub fn detect(file: &TensorFile, asked: Option<&ModelConfig>) -> Result<Found, Error> {
    let bad = |problem: String| Error::Checkpoint { path: file.path().to_owned(), problem };
    let mut networks: Vec<(String, Family)> = Vec::new();
    for name in file.tensors().keys() {
        for family in Family::ALL {
            if let Some(prefix) = name.strip_suffix(family.anchor()).filter(|prefix| prefix.is_empty() || prefix.ends_with('.')) {
                networks.push((prefix.to_owned(), family));
            }
        }
    }
    networks.sort_by_key(|(prefix, _)| (rank(prefix), prefix.len()));
    let Some((prefix, family)) = networks.first().cloned() else {
        let what = match file.tensors().keys().next() {
            None => "holds no tensors".to_owned(),
            Some(name) => format!("holds tensors such as `{name}`"),
        };
        return Err(bad(format!("{what}, and no network known here; known are {}", known())));
    };
    let others = networks[1..].iter().map(|(prefix, _)| prefix.clone()).collect();

    let own = normalization(file, &prefix)?;
    let taken: BTreeSet<&str> = own.iter().flat_map(|(names, _)| names.iter().map(String::as_str)).collect();
    let mut names = BTreeMap::new();
    for name in file.tensors().keys().filter(|name| !taken.contains(name.as_str())) {
        if let Some(renamed) = name.strip_prefix(&prefix).and_then(|name| rename(family, name)) {
            names.insert(renamed, name.clone());
        }
    }
    let length = |name: &str, axis: usize| names.get(name).and_then(|name| file.tensors()[name].shape.get(axis)).copied();
    let (architecture, width) = match asked {
        Some(model) => (model.architecture, i64::from(model.width())),
        None => architecture(family, &names, &length).map_err(&bad)?,
    };
    let read_out = match architecture {
        Architecture::PreactResnet18 | Architecture::PreactResnetSmall | Architecture::Resnet18 => "linear.weight",
        Architecture::WideResnet28 | Architecture::WideResnet34 => "fc.weight",
        Architecture::DeitTiny => "head.weight",
    };
    let classes = length(read_out, 0).ok_or_else(|| {
        bad(format!("does not fit the network: Missing key(s) in state_dict: \"{read_out}\", whose rows are the classes"))
    })?;
    // Of a width that a file merely declares, the network alone could fill the memory.
    let most = 4 * i64::from(architecture.published_width());
    if !(1..=most).contains(&width) {
        return Err(bad(format!("declares {} of width {width}; 1 to {most} are read", architecture.label())));
    }
    let normalized = own.is_some();
    let asked_normalization = asked.and_then(|model| model.normalization.clone());
    let normalization = asked_normalization.or(own.map(|(_, normalization)| normalization));
    let model = ModelConfig { architecture, width: Some(width as u32), normalization };
    Ok(Found { model, classes, names, prefix, others, normalized })
}

fn known() -> String {
    Architecture::ALL.map(Architecture::label).join(", ")
}

/// The place of the outermost known container, the plain network before all.
fn rank(prefix: &str) -> usize {
    let mut known = prefix.split('.').filter_map(|part| CONTAINERS.iter().position(|container| *container == part));
    let wrapped = |part: &str| part.is_empty() || ["module", "_orig_mod"].contains(&part) || part.parse::<u32>().is_ok();
    match known.next() {
        Some(place) => place + 1,
        None if prefix.split('.').all(wrapped) => 0,
        None => CONTAINERS.len() + 1,
    }
}

/// The name that the network here has for a tensor of the file; none for what its forward pass does not use.
fn rename(family: Family, name: &str) -> Option<String> {
    let root = |from: &str, to: &str| name.strip_prefix(from).map(|rest| format!("{to}{rest}"));
    match family {
        // torchvision calls them `downsample` and `fc`.
        Family::Residual => Some(root("fc.", "linear.").unwrap_or_else(|| name.replace(".downsample.", ".shortcut."))),
        // The code of TRADES makes a fourth group and never uses it.
        Family::Wide if name.starts_with("sub_block1.") => None,
        Family::Wide => Some(root("linear.", "fc.").unwrap_or_else(|| name.to_owned())),
        Family::Timm => Some(name.to_owned()),
        Family::Torchvision => Some(rename_torchvision(name)),
    }
}

fn rename_torchvision(name: &str) -> String {
    const ROOTS: [(&str, &str); 5] = [
        ("class_token", "cls_token"),
        ("encoder.pos_embedding", "pos_embed"),
        ("conv_proj.", "patch_embed.proj."),
        ("encoder.ln.", "norm."),
        ("heads.head.", "head."),
    ];
    const PARTS: [(&str, &str); 8] = [
        ("ln_1.", "norm1."),
        ("ln_2.", "norm2."),
        ("self_attention.in_proj_", "attn.qkv."),
        ("self_attention.out_proj.", "attn.proj."),
        ("mlp.0.", "mlp.fc1."),
        ("mlp.3.", "mlp.fc2."),
        // Until torchvision 0.12.
        ("mlp.linear_1.", "mlp.fc1."),
        ("mlp.linear_2.", "mlp.fc2."),
    ];
    let replaced =
        |name: &str, table: &[(&str, &str)]| table.iter().find_map(|(from, to)| name.strip_prefix(from).map(|rest| format!("{to}{rest}")));
    let block = name.strip_prefix("encoder.layers.encoder_layer_").and_then(|rest| rest.split_once('.'));
    match block {
        Some((index, part)) => format!("blocks.{index}.{}", replaced(part, &PARTS).unwrap_or_else(|| part.to_owned())),
        None => replaced(name, &ROOTS).unwrap_or_else(|| name.to_owned()),
    }
}

/// Architecture and width. `names`: the tensors under the names of the network here; `length`: of a tensor along an axis.
fn architecture(
    family: Family,
    names: &BTreeMap<String, String>,
    length: &dyn Fn(&str, usize) -> Option<i64>,
) -> Result<(Architecture, i64), String> {
    let has = |name: &str| names.contains_key(name);
    // How many of PREFIX0, PREFIX1, … stand before SUFFIX.
    let count = |prefix: &str, suffix: &str| (0..).take_while(|index| has(&format!("{prefix}{index}{suffix}"))).count();
    let unknown = |what: String| format!("holds {what}, which is not known here; known are {}", known());
    match family {
        Family::Residual => {
            let blocks: Vec<usize> =
                (1..).map(|stage| count(&format!("layer{stage}."), ".conv1.weight")).take_while(|blocks| *blocks > 0).collect();
            let rectified = has("bn1.weight");
            let architecture = match (blocks.as_slice(), rectified) {
                _ if has("layer1.0.conv3.weight") => return Err(unknown(format!("a residual network of {blocks:?} bottleneck blocks"))),
                ([2, 2, 2, 2], true) => Architecture::Resnet18,
                ([2, 2, 2, 2], false) => Architecture::PreactResnet18,
                ([1, 1, 1], false) => Architecture::PreactResnetSmall,
                _ => return Err(unknown(format!("a residual network of {blocks:?} blocks in its stages"))),
            };
            Ok((architecture, length("layer1.0.conv1.weight", 0).unwrap_or_default()))
        }
        Family::Wide => {
            let architecture = match count("block1.layer.", ".conv1.weight") {
                4 => Architecture::WideResnet28,
                5 => Architecture::WideResnet34,
                blocks => return Err(unknown(format!("a WideResNet-{}", 6 * blocks + 4))),
            };
            Ok((architecture, length("block1.layer.0.conv1.weight", 0).unwrap_or_default()))
        }
        Family::Timm | Family::Torchvision => {
            let blocks = count("blocks.", ".attn.qkv.weight");
            let width = length("blocks.0.attn.qkv.weight", 1).unwrap_or_default();
            match (blocks, width) {
                // As many blocks, and no shape tells how many heads.
                (12, 384 | 768) => {
                    Err(unknown(format!("a vision transformer with tokens of {width}, DeiT-{}", if width == 384 { 'S' } else { 'B' })))
                }
                (12, _) if width % i64::from(DEIT_HEADS) == 0 => Ok((Architecture::DeitTiny, width)),
                _ => Err(unknown(format!("a vision transformer of {blocks} blocks with tokens of {width}"))),
            }
        }
    }
}

/// The normalization that a file has around its network, with the names of its two tensors: buffers of a layer before the network, or of
/// the module that holds it.
fn normalization(file: &TensorFile, prefix: &str) -> Result<Option<([String; 2], Normalization)>, Error> {
    const PAIRS: [[&str; 2]; 3] = [["mean", "std"], ["mu", "sigma"], ["_mean", "_std"]];
    const MOST_CHANNELS: i64 = 4;
    let ends = prefix.char_indices().filter(|(_, char)| *char == '.').map(|(index, _)| index + 1);
    // The innermost module first.
    let mut holders: Vec<&str> = [0].into_iter().chain(ends).map(|end| &prefix[..end]).collect();
    holders.reverse();
    for holder in holders {
        for name in file.tensors().keys() {
            for [mean, std] in PAIRS {
                let Some(inside) = name.strip_prefix(holder).and_then(|name| name.strip_suffix(mean)) else { continue };
                // Directly in the holder, or in a layer of it.
                if !(inside.is_empty() || inside.ends_with('.') && inside.matches('.').count() == 1) {
                    continue;
                }
                let names = [name.clone(), format!("{holder}{inside}{std}")];
                let small = |name: &String| file.tensors().get(name).is_some_and(|stored| (1..=MOST_CHANNELS).contains(&stored.numel()));
                if names.iter().all(small) {
                    let [mean, std] = [values(file, &names[0])?, values(file, &names[1])?];
                    return Ok(Some((names, Normalization { mean, std })));
                }
            }
        }
    }
    Ok(None)
}

/// The numbers of a small tensor, float32 ones in the fewest digits that tell them apart.
fn values(file: &TensorFile, name: &str) -> Result<Vec<f64>, Error> {
    let tensor = file.read(name)?.flatten(0, -1);
    let single = tensor.kind() != Kind::Double;
    let exact = (0..tensor.numel() as i64).map(|index| tensor.double_value(&[index]));
    let shortest = |value: f64| (value as f32).to_string().parse().unwrap_or(value);
    Ok(exact.map(|value| if single { shortest(value) } else { value }).collect())
}
