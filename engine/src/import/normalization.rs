//! Finds normalizations that a file stores around its network.

use std::collections::BTreeSet;

use shared::config::Normalization;
use tch::Kind;

use super::detect::Place;
use crate::Error;
use crate::tensor_file::TensorFile;

/// A normalization found in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Names of the tensors or lists it is made of.
    pub names: Vec<String>,
    /// Converted to pixels in `[0, 1]`.
    pub normalization: Normalization,
    /// Sentences about conversions of the numbers in the file.
    pub notes: Vec<String>,
    /// Whether it is part of the network's state dict, and not only stored beside it.
    pub inside: bool,
}

/// Largest number of channels that an image can have.
const MOST_CHANNELS: i64 = 4;
/// PyTorch's default eps of batch normalization. A state dict does not contain it.
const BATCH_NORM_EPS: f64 = 1e-5;
/// Words for the mean in a tensor name, each with the words for the deviation or variance that replace it in
/// the partner's name.
const MEANS: [(&str, &[&str]); 3] = [
    ("mean", &["std", "stddev", "stdev", "std_dev", "sd", "sigma", "deviation", "scale", "var", "variance"]),
    ("mu", &["sigma", "std", "sd", "var"]),
    ("shift", &["scale"]),
];

/// Finds tensors and lists that normalize the images before the network in `place`. `own`: names of the
/// network's tensors.
///
/// Sorted by distance from the network, nearest first. Equal normalizations are returned once.
pub fn candidates(file: &TensorFile, place: &Place, own: &BTreeSet<&str>, channels: usize) -> Result<Vec<Candidate>, Error> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut add = |candidate: Candidate| {
        let known = found.iter_mut().find(|known| known.normalization == candidate.normalization && known.inside == candidate.inside);
        match known {
            Some(known) => known.names.extend(candidate.names.into_iter().filter(|name| !known.names.contains(name)).collect::<Vec<_>>()),
            None => found.push(candidate),
        }
    };
    for holder in holders(&place.prefix) {
        let inside = holder.len() >= place.container.len();
        for name in file.tensors().keys().filter(|name| !own.contains(name.as_str())) {
            let Some(rest) = name.strip_prefix(holder) else { continue };
            let (layer, last) = rest.rsplit_once('.').map_or(("", rest), |(layer, last)| (layer, last));
            // Only directly in the holder, or in a layer directly below it.
            if layer.contains('.') {
                continue;
            }
            let stem = name.strip_suffix(last).unwrap_or_default();
            let candidate = match last {
                "running_mean" => batch_norm(file, stem, channels)?,
                _ => pair(file, stem, last, channels)?,
            };
            // A single number beside the network is a metric, not a normalization of one channel.
            let single = |candidate: &Candidate| {
                candidate.names.iter().all(|name| file.tensors().get(name).is_some_and(|stored| stored.numel() == 1))
            };
            if let Some(mut candidate) = candidate.filter(|candidate| inside || channels == 1 || !single(candidate)) {
                candidate.inside = inside;
                add(candidate);
            }
        }
        // Lists are never part of a state dict, so they are beside the network.
        for (name, mean) in file.lists() {
            let Some(last) = name.strip_prefix(holder).map(|rest| rest.rsplit('.').next().unwrap_or(rest)) else { continue };
            let stem = name.strip_suffix(last).unwrap_or_default();
            for (partner, variance) in partners(last) {
                let partner = format!("{stem}{partner}");
                let Some(std) = file.lists().get(&partner).filter(|std| std.len() == mean.len() && mean.len() == channels) else {
                    continue;
                };
                let made = normalization(mean.clone(), std.clone(), variance, channels);
                if let Some((normalization, notes)) =
                    made.filter(|_| !name[holder.len()..].trim_end_matches(last).trim_end_matches('.').contains('.'))
                {
                    add(Candidate { names: vec![name.clone(), partner], normalization, notes, inside: false });
                }
            }
        }
    }
    Ok(found)
}

/// Returns the prefixes of the modules and dictionaries around a network, innermost first. The last is the
/// empty prefix.
fn holders(prefix: &str) -> Vec<&str> {
    let ends = prefix.char_indices().filter(|(_, char)| *char == '.').map(|(index, _)| index + 1);
    let mut holders: Vec<&str> = [0].into_iter().chain(ends).map(|end| &prefix[..end]).collect();
    holders.reverse();
    holders
}

/// Returns possible names of the deviation that belongs to a mean named `last`, and whether each is a
/// variance.
fn partners(last: &str) -> Vec<(String, bool)> {
    let mut partners = Vec::new();
    for (mean, deviations) in MEANS {
        let upper = mean.to_ascii_uppercase();
        for (mean, is_upper) in [(mean, false), (upper.as_str(), true)] {
            // `mu` also occurs inside other words.
            let found = if mean.len() > 2 { last.contains(mean) } else { last.split('_').any(|part| part == mean) };
            if found {
                partners.extend(deviations.iter().map(|deviation| {
                    let deviation_name = if is_upper { deviation.to_ascii_uppercase() } else { (*deviation).to_owned() };
                    (last.replacen(mean, &deviation_name, 1), deviation.starts_with("var"))
                }));
            }
        }
    }
    partners
}

/// Returns the normalization whose mean is the tensor `{stem}{last}`, if the file has a matching deviation.
fn pair(file: &TensorFile, stem: &str, last: &str, channels: usize) -> Result<Option<Candidate>, Error> {
    let mean_name = format!("{stem}{last}");
    for (partner, variance) in partners(last) {
        let std_name = format!("{stem}{partner}");
        let small = |name: &str| file.tensors().get(name).is_some_and(|stored| (1..=MOST_CHANNELS).contains(&stored.numel()));
        if !(small(&mean_name) && small(&std_name)) {
            continue;
        }
        let (mean, std) = (numbers(file, &mean_name)?, numbers(file, &std_name)?);
        if let Some((normalization, notes)) = normalization(mean, std, variance, channels) {
            return Ok(Some(Candidate { names: vec![mean_name, std_name], normalization, notes, inside: true }));
        }
    }
    Ok(None)
}

/// Returns a batch normalization layer before the network as a normalization, based on its running
/// statistics.
fn batch_norm(file: &TensorFile, stem: &str, channels: usize) -> Result<Option<Candidate>, Error> {
    let named = |part: &str| format!("{stem}{part}");
    let fits = |name: &str| file.tensors().get(name).is_some_and(|stored| stored.shape == [channels as i64]);
    if !(fits(&named("running_mean")) && fits(&named("running_var"))) {
        return Ok(None);
    }
    let mut names = vec![named("running_mean"), named("running_var")];
    let (mut mean, variance) = (numbers(file, &names[0])?, numbers(file, &names[1])?);
    let mut std: Vec<f64> = variance.iter().map(|variance| (variance + BATCH_NORM_EPS).sqrt()).collect();
    let mut note =
        format!("`{}` is a layer of batch normalization before the network, used with its running statistics", stem.trim_end_matches('.'));
    if fits(&named("weight")) && fits(&named("bias")) {
        // (x − m)/s · w + b = (x − (m − b·s/w)) / (s/w).
        let (weight, bias) = (numbers(file, &named("weight"))?, numbers(file, &named("bias"))?);
        for (index, (weight, bias)) in weight.iter().zip(&bias).enumerate() {
            std[index] /= weight;
            mean[index] -= bias * std[index];
        }
        names.extend([named("weight"), named("bias")]);
        note += ", its weight and its bias";
    }
    names.extend([named("num_batches_tracked")].into_iter().filter(|name| file.tensors().contains_key(name)));
    if !mean.iter().chain(&std).all(|number| number.is_finite()) {
        return Ok(None);
    }
    note += &format!(", with PyTorch's default eps {BATCH_NORM_EPS:e}.");
    Ok(Some(Candidate { names, normalization: Normalization { mean, std }, notes: vec![note], inside: true }))
}

/// Converts mean and deviation to pixels in `[0, 1]` and one number per channel. `None` if they cannot be a
/// normalization.
fn normalization(mean: Vec<f64>, std: Vec<f64>, variance: bool, channels: usize) -> Option<(Normalization, Vec<String>)> {
    let mut notes = Vec::new();
    let of_channels = |numbers: Vec<f64>| match numbers.as_slice() {
        [one] => Some(vec![*one; channels]),
        _ => Some(numbers).filter(|numbers| numbers.len() == channels),
    };
    if channels > 1 && mean.len() == 1 {
        notes.push("One number is used for all channels.".to_owned());
    }
    let (mut mean, mut std) = (of_channels(mean)?, of_channels(std)?);
    if variance {
        std.iter_mut().for_each(|variance| *variance = variance.sqrt());
        notes.push("The deviation is the square root of the variance in the file.".to_owned());
    }
    if !mean.iter().chain(&std).all(|number| number.is_finite()) || std.iter().any(|std| *std <= 0.0) {
        return None;
    }
    // Pixels in [0, 1] cannot have such a mean or deviation.
    if mean.iter().any(|mean| mean.abs() > 1.0) || std.iter().any(|std| *std > 2.0) {
        notes.push(format!(
            "The file's numbers are for pixels from 0 to 255, mean {mean:?} and deviation {std:?}; they were divided by 255."
        ));
        mean.iter_mut().chain(std.iter_mut()).for_each(|number| *number /= 255.0);
        if mean.iter().any(|mean| mean.abs() > 1.0) {
            return None;
        }
    }
    Some((Normalization { mean, std }, notes))
}

/// Reads the values of a small tensor. Rounds float32 values to the shortest decimal number that identifies
/// them.
fn numbers(file: &TensorFile, name: &str) -> Result<Vec<f64>, Error> {
    let tensor = file.read(name)?.flatten(0, -1);
    let single = tensor.kind() != Kind::Double;
    let exact = (0..tensor.numel() as i64).map(|index| tensor.double_value(&[index]));
    let shortest = |value: f64| (value as f32).to_string().parse().unwrap_or(value);
    Ok(exact.map(|value| if single { shortest(value) } else { value }).collect())
}
