//! Which networks a file of tensors holds, told from names and shapes.

use std::collections::BTreeMap;

use shared::config::{Architecture, ModelConfig};

use crate::tensor_file::{TORCH_SCRIPT, TensorFile};

/// How the tensors of a family of networks are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ResNets, pre-activation or not.
    Residual,
    Wide,
    /// DeepMind's WideResNets and PreActResNets.
    DmWide,
    DmResidual,
    /// Vision transformers and XCiT as timm names them, and vision transformers as torchvision does.
    Timm,
    Torchvision,
}

impl Family {
    const ALL: [Family; 6] = [Family::Residual, Family::Wide, Family::DmWide, Family::DmResidual, Family::Timm, Family::Torchvision];

    /// The tensor that each network of the family has exactly once.
    fn anchor(self) -> &'static str {
        match self {
            Family::Residual => "layer1.0.conv1.weight",
            Family::Wide => "block1.layer.0.conv1.weight",
            Family::DmWide => "layer.0.block.0.conv_0.weight",
            Family::DmResidual => "layer_0.0.conv_2d_1.weight",
            Family::Timm => "blocks.0.attn.qkv.weight",
            Family::Torchvision => "encoder.layers.encoder_layer_0.self_attention.in_proj_weight",
        }
    }

    /// What the linear layer that gives the logits is called here, and then in files.
    fn heads(self) -> (&'static str, &'static [&'static str]) {
        match self {
            // torchvision calls it `fc`.
            Family::Residual => ("linear", &["linear", "fc"]),
            Family::Wide => ("fc", &["fc", "linear"]),
            Family::DmWide | Family::DmResidual => ("logits", &["logits"]),
            Family::Timm => ("head", &["head"]),
            Family::Torchvision => ("head", &["heads.head"]),
        }
    }
}

/// Where a network is in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What stands before the names of the network, such as `state_dict.module.`.
    pub prefix: String,
    /// What stands before the names of the dictionary or module that holds it all, such as `state_dict.`.
    pub container: String,
    family: Family,
}

impl Place {
    /// Whether a tensor of the file is part of what is here.
    pub fn owns(&self, file: &TensorFile, name: &str) -> bool {
        name.starts_with(&self.prefix) && file.tensors().get(name).is_some_and(|stored| stored.container == self.container)
    }

    /// The prefix as a configuration names it.
    pub fn id(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }
}

/// What is in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Identified {
    /// Without a normalization.
    pub model: ModelConfig,
    /// The linear layers that may give the logits, as the file calls them, and how many classes each tells apart.
    pub heads: Vec<(String, i64)>,
    /// What each tensor is called in the file, by its name in the network; heads, of which [`with_head`] takes one, by
    /// their names in the file.
    pub names: BTreeMap<String, String>,
    /// Tensors that the code of the family makes and its forward pass does not use.
    pub unused: Vec<String>,
}

/// What weights are kept under in files with more, the likeliest first.
const CONTAINERS: [&str; 8] = ["state_dict", "model_state_dict", "model", "net", "params", "best", "last", "ema"];

/// Finds the networks of a file, the likeliest first.
pub fn places(file: &TensorFile) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for (name, stored) in file.tensors() {
        for family in Family::ALL {
            if let Some(prefix) = name.strip_suffix(family.anchor()).filter(|prefix| prefix.is_empty() || prefix.ends_with('.')) {
                places.push(Place { prefix: prefix.to_owned(), container: stored.container.clone(), family });
            }
        }
    }
    places.sort_by_key(|place| (rank(&place.prefix), place.prefix.len()));
    places
}

/// Why a file has no place, to stand after its name.
pub fn nothing_known(file: &TensorFile) -> String {
    let what = match file.tensors().keys().next() {
        None if file.values().is_empty() => "holds no tensors".to_owned(),
        None => {
            let beside: Vec<String> = file.values().iter().take(3).map(|(name, what)| format!("`{name}`, {what}")).collect();
            format!("holds no tensors, only {}", beside.join("; "))
        }
        Some(name) => format!("holds tensors such as `{name}`"),
    };
    match file.format() {
        TORCH_SCRIPT => format!(
            "{what}, and no network known here. It is a program, TorchScript: set `program` to true to run it where programs are allowed"
        ),
        _ => format!("{what}, and no network known here; known are {}", known()),
    }
}

fn known() -> String {
    Architecture::ALL.iter().map(|architecture| architecture.label()).collect::<Vec<_>>().join(", ")
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

/// Tells what the network in a place is. What `asked` says is believed; the rest is told from names and shapes. The problem stands after
/// the name of the file.
pub fn identify(file: &TensorFile, place: &Place, asked: Option<&ModelConfig>) -> Result<Identified, String> {
    let Place { prefix, container: _, family } = place;
    let shape = |name: &str| file.tensors().get(&format!("{prefix}{name}")).map(|stored| stored.shape.as_slice());
    let mut names = BTreeMap::new();
    let mut unused = Vec::new();
    for name in file.tensors().keys().filter(|name| place.owns(file, name)) {
        let inside = &name[prefix.len()..];
        // The code of TRADES makes a fourth group and never uses it.
        if *family == Family::Wide && inside.starts_with("sub_block1.") {
            unused.push(name.clone());
        } else {
            names.insert(rename(*family, inside), name.clone());
        }
    }
    let length = |name: &str, axis: usize| names.get(name).and_then(|name| file.tensors()[name].shape.get(axis)).copied();
    let model = match asked {
        Some(model) => ModelConfig { normalization: None, ..model.spelled_out() },
        None => architecture(*family, &names, &length)?,
    };
    // Of a width that a file merely declares, the network alone could fill the memory.
    let (width, most) = (model.width(), 4 * model.architecture.facts().published_width);
    if !(1..=most).contains(&width) {
        return Err(format!("declares {} of width {width}; 1 to {most} are read", model.architecture.label()));
    }

    let features = match family {
        Family::Residual => (1..)
            .map_while(|stage| length(&format!("layer{stage}.0.conv2.weight"), 0).or(length(&format!("layer{stage}.0.conv1.weight"), 0)))
            .last(),
        Family::Wide => length("bn1.weight", 0).or_else(|| length("block3.layer.0.conv1.weight", 0)),
        Family::DmWide | Family::DmResidual => length("batchnorm.weight", 0),
        Family::Timm | Family::Torchvision => Some(width.into()),
    };
    let (_, usual) = family.heads();
    let is_head = |name: &str| match shape(&format!("{name}.weight")) {
        Some([classes, inputs]) if features.is_none_or(|features| features == *inputs) => Some(*classes),
        _ => None,
    };
    let mut heads: Vec<(String, i64)> = usual.iter().filter_map(|name| Some(((*name).to_owned(), is_head(name)?))).collect();
    if heads.is_empty() && matches!(family, Family::Residual | Family::Wide | Family::DmWide | Family::DmResidual) {
        let others = file.tensors().keys().filter_map(|name| name.strip_prefix(prefix.as_str())?.strip_suffix(".weight"));
        heads = others.filter(|name| !name.contains('.')).filter_map(|name| Some((name.to_owned(), is_head(name)?))).collect();
    }
    if heads.is_empty() {
        let name = usual[0];
        return Err(format!("does not fit the network: Missing key(s) in state_dict: \"{name}.weight\", whose rows are the classes"));
    }
    Ok(Identified { model, heads, names, unused })
}

/// The tensors of the network with one of its heads, by their names in the network, and those of its other heads.
pub fn with_head(file: &TensorFile, place: &Place, identified: &Identified, head: &str) -> (BTreeMap<String, String>, Vec<String>) {
    let (here, usual) = place.family.heads();
    let own = format!("{}{head}.", place.prefix);
    let of_heads = identified.heads.iter().map(|(name, _)| name.as_str()).chain(usual.iter().copied());
    let others: Vec<String> = of_heads.filter(|other| *other != head).map(|other| format!("{}{other}.", place.prefix)).collect();
    let of_other = |name: &String| others.iter().any(|other| name.starts_with(other));
    let left = file.tensors().keys().filter(|name| of_other(name)).cloned().collect();
    let mut names = identified.names.clone();
    names.retain(|_, name| !of_other(name) && !name.starts_with(&own));
    for name in file.tensors().keys() {
        if let Some(part) = name.strip_prefix(&own) {
            names.insert(format!("{here}.{part}"), name.clone());
        }
    }
    (names, left)
}

/// The name that the network here has for a tensor of the file, heads aside.
fn rename(family: Family, name: &str) -> String {
    match family {
        // torchvision calls them `downsample`.
        Family::Residual => name.replace(".downsample.", ".shortcut."),
        // The published code of XCiT writes it so.
        Family::Timm => name.replacen("pos_embeder.", "pos_embed.", 1),
        Family::Wide | Family::DmWide | Family::DmResidual => name.to_owned(),
        Family::Torchvision => rename_torchvision(name),
    }
}

fn rename_torchvision(name: &str) -> String {
    const ROOTS: [(&str, &str); 4] = [
        ("class_token", "cls_token"),
        ("encoder.pos_embedding", "pos_embed"),
        ("conv_proj.", "patch_embed.proj."),
        ("encoder.ln.", "norm."),
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

/// Architecture, depth and width. `names`: the tensors under the names of the network here; `length`: of a tensor along an axis.
fn architecture(
    family: Family,
    names: &BTreeMap<String, String>,
    length: &dyn Fn(&str, usize) -> Option<i64>,
) -> Result<ModelConfig, String> {
    let has = |name: &str| names.contains_key(name);
    // How many of PREFIX0, PREFIX1, … stand before SUFFIX.
    let count = |prefix: &str, suffix: &str| (0..).take_while(|index| has(&format!("{prefix}{index}{suffix}"))).count();
    let unknown = |what: String| format!("holds {what}, which is not known here; known are {}", known());
    let of_width = |model: ModelConfig, name: &str, axis: usize| {
        let width = length(name, axis).and_then(|width| u32::try_from(width).ok()).unwrap_or_default();
        ModelConfig { width: Some(width), ..model.spelled_out() }
    };
    let wide = |architecture, blocks: usize, name: &str| {
        let depth = u32::try_from(6 * blocks + 4).unwrap_or(u32::MAX);
        of_width(ModelConfig::of_depth(architecture, depth), name, 0)
    };
    match family {
        Family::Residual => {
            let blocks: Vec<usize> =
                (1..).map(|stage| count(&format!("layer{stage}."), ".conv1.weight")).take_while(|blocks| *blocks > 0).collect();
            let architecture = match (blocks.as_slice(), has("bn1.weight"), has("bn.weight")) {
                _ if has("layer1.0.conv3.weight") => return Err(unknown(format!("a residual network of {blocks:?} bottleneck blocks"))),
                ([2, 2, 2, 2], true, _) => Architecture::Resnet18,
                ([2, 2, 2, 2], false, true) => Architecture::PreactResnet18,
                ([2, 2, 2, 2], false, false) => Architecture::FastPreactResnet18,
                ([1, 1, 1], false, _) => Architecture::PreactResnetSmall,
                _ => return Err(unknown(format!("a residual network of {blocks:?} blocks in its stages"))),
            };
            Ok(of_width(ModelConfig::of(architecture), "layer1.0.conv1.weight", 0))
        }
        Family::Wide => {
            let name = "block1.layer.0.conv1.weight";
            Ok(wide(Architecture::WideResnet, count("block1.layer.", ".conv1.weight"), name))
        }
        Family::DmWide => {
            let name = "layer.0.block.0.conv_0.weight";
            Ok(wide(Architecture::DmWideResnet, count("layer.0.block.", ".conv_0.weight"), name))
        }
        Family::DmResidual => {
            let blocks: Vec<usize> =
                (0..).map(|stage| count(&format!("layer_{stage}."), ".conv_2d_1.weight")).take_while(|blocks| *blocks > 0).collect();
            if blocks != [2, 2, 2, 2] {
                return Err(unknown(format!("DeepMind's residual network of {blocks:?} blocks in its stages")));
            }
            Ok(of_width(ModelConfig::of(Architecture::DmPreactResnet18), "layer_0.0.conv_2d_1.weight", 0))
        }
        Family::Timm | Family::Torchvision => {
            let blocks = count("blocks.", ".attn.qkv.weight");
            let width = length("blocks.0.attn.qkv.weight", 1).unwrap_or_default();
            // Attention across channels has a temperature for each head.
            let heads = length("blocks.0.attn.temperature", 0);
            let architecture = match (blocks, width, heads) {
                (12, _, Some(8)) => Architecture::XcitS12,
                (12, _, Some(16)) => Architecture::XcitL12,
                (_, _, Some(heads)) => {
                    return Err(unknown(format!("XCiT of {blocks} blocks and {heads} heads with tokens of {width}")));
                }
                // As many blocks, and no shape tells how many heads.
                (12, 384 | 768, None) => {
                    let size = if width == 384 { 'S' } else { 'B' };
                    return Err(unknown(format!("a vision transformer with tokens of {width}, DeiT-{size}")));
                }
                (12, _, None) if width % i64::from(Architecture::DeitTiny.facts().heads) == 0 => Architecture::DeitTiny,
                _ => return Err(unknown(format!("a vision transformer of {blocks} blocks with tokens of {width}"))),
            };
            Ok(of_width(ModelConfig::of(architecture), "blocks.0.attn.qkv.weight", 1))
        }
    }
}
