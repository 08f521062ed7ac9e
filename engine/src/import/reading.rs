//! Reads a network from a file as an import configuration says, and finds the questions that are left open.
//!
//! The facts of the inspection say what is used and what is left out. A file that can be read in several ways
//! is refused until the configuration decides. If images are available, each possible answer comes with its
//! clean accuracy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::config::{
    Activation, BatchNormMode, ImportConfig, ModelConfig, Normalization, NormalizationChoice, NormalizationSource, RunConfig,
};
use shared::dataset::DatasetInfo;
use shared::format;
use shared::inspection::{Answer, FoundNetwork, Inspection, Question};
use shared::problem::FieldError;
use tch::{Device, Kind, Tensor, no_grad};

use super::detect::{self, Identified, Place};
use super::normalization::{self, Candidate};
use super::program;
use crate::Error;
use crate::checkpoint;
use crate::data::Split;
use crate::model::Network;
use crate::tensor_file::TensorFile;

/// A network read from a file, with a description of it.
#[derive(Debug)]
pub struct Reading {
    pub network: Network,
    /// Width and normalization are always given. `None` if the file is a program.
    pub model: Option<ModelConfig>,
    /// The file, if it is a program.
    pub program: Option<Vec<u8>>,
    pub inspection: Inspection,
    /// Whether a question is open, or an assumption was made, that clean accuracy on test images could
    /// decide.
    pub undecided_without_images: bool,
}

/// Test images to compare possible readings on.
#[derive(Debug)]
pub struct Sample<'a> {
    pub images: &'a Split,
    /// Time limit. All readings are measured on the same images, as many as the time allows.
    pub budget: Duration,
}

/// How to read a file.
#[derive(Debug)]
pub struct Request<'a> {
    pub config: &'a ImportConfig,
    pub info: &'a DatasetInfo,
    pub device: Device,
    pub sample: Option<Sample<'a>>,
    /// Whether to measure clean accuracy even if the answer is already known.
    pub measure_all: bool,
    /// Whether the paper's public code wrote the file. It normalizes with the mean and deviation of the data
    /// set.
    pub from_public_code: bool,
    /// What the other files of a series are normalized with, for a file that has no normalization.
    pub as_in_series: Option<NormalizationSource>,
}

/// Images in a forward pass.
const BATCH: i64 = 50;
/// Largest number of test images to compare readings on. The standard error of an accuracy on them is at most
/// 1.6 %.
pub const SAMPLE: u32 = 1000;
/// Longest list of names in a sentence. Further names are only counted.
const MOST_NAMES: usize = 20;

/// Reads a network from the file at `path`.
///
/// `inspection.questions` lists what is undecided. If a question is open, the returned network is one of the
/// possible readings. Fails if the file holds no known network.
pub fn read(path: &Path, request: &Request<'_>) -> Result<Reading, Error> {
    if request.config.program {
        return program::read(path, request);
    }
    let file = TensorFile::open(path)?;
    let places = detect::places(&file);
    if places.is_empty() {
        return Err(checkpoint_error(path, nothing_known(&file)));
    }
    let mut reader = Reader { path, file: &file, request, places: &places, measured_images: 0 };
    reader.read()
}

/// Why a file without a network cannot be imported, to stand after its name.
pub fn nothing_known(file: &TensorFile) -> String {
    let features: Vec<&[i64]> = (0..).map_while(|class| Some(file.tensors().get(&class.to_string())?.shape.as_slice())).collect();
    let dimension = features.first().and_then(|shape| shape.get(1)).filter(|_| features.len() > 1);
    match dimension {
        // The paper's public code saves them under `features/`, a list with a tensor for each class.
        Some(dimension)
            if features.len() == file.tensors().len() && features.iter().all(|shape| shape.len() == 2 && shape[1] == *dimension) =>
        {
            format!(
                "holds features of images, {dimension} of each for {} classes, as the paper's public code saves them in `features/`, and no \
             network: import the model_N.pth that they were computed with, and its matrices are measured here",
                features.len()
            )
        }
        _ => detect::nothing_known(file),
    }
}

/// Describes the network that a file would be imported with, in words that are the same for all checkpoints
/// of one training. The problem stands after the name of the file.
pub fn kind_of_network(file: &TensorFile, config: &ImportConfig) -> Result<String, String> {
    let places = detect::places(file);
    let asked = config.network.as_deref().map(|name| name.trim_end_matches('.'));
    let place = places.iter().find(|place| asked.is_none_or(|name| place.id() == name));
    let place = place.ok_or_else(|| match asked {
        Some(name) => format!("holds no network under `{name}`"),
        None => nothing_known(file),
    })?;
    let identified = detect::identify(file, place, config.model.as_ref())?;
    let mut classes: Vec<String> = identified.heads.iter().map(|(_, classes)| classes.to_string()).collect();
    classes.dedup();
    Ok(format!("{} for {} classes", identified.model.title(), classes.join(" or ")))
}

impl Reading {
    /// What the other files of a series without a normalization of their own are normalized with. `None` if
    /// the configuration or the file says it.
    pub fn normalization_for_series(&self) -> Option<NormalizationSource> {
        let question = self.inspection.questions.iter().find(|question| question.field == "normalization")?;
        let source = question.answer.as_ref().and_then(|answer| serde_json::from_value(answer.clone()).ok())?;
        (source != NormalizationSource::File).then_some(source)
    }

    /// Fails if a question is open, so that the file can be read in several ways.
    pub fn into_decided(self, path: &Path) -> Result<Self, Error> {
        let errors: Vec<FieldError> =
            self.inspection.questions.iter().filter(|question| question.answer.is_none()).map(unanswered).collect();
        if errors.is_empty() { Ok(self) } else { Err(Error::Undecided { path: path.to_owned(), errors }) }
    }
}

/// Describes an open question: the field to set and its possible values.
fn unanswered(question: &Question) -> FieldError {
    let option = |Answer { value, label, clean_accuracy }: &Answer| {
        let accuracy = clean_accuracy.map(|accuracy| format!(", clean accuracy {}", format::percent(accuracy))).unwrap_or_default();
        format!("{value} ({label}{accuracy})")
    };
    let options: Vec<String> = question.options.iter().map(option).collect();
    FieldError::new(&question.field, format!("{} Set `{}` to {}", question.message, question.field, options.join(" or ")))
}

pub(super) fn checkpoint_error(path: &Path, problem: String) -> Error {
    Error::Checkpoint { path: path.to_owned(), problem }
}

struct Reader<'a> {
    path: &'a Path,
    file: &'a TensorFile,
    request: &'a Request<'a>,
    places: &'a [Place],
    /// Number of images that accuracies were measured on. 0 if nothing was measured yet.
    measured_images: u32,
}

/// A network with one of its possible heads and its weights loaded.
struct LoadedNetwork {
    network: Network,
    model: ModelConfig,
    candidates: Vec<Candidate>,
    used: BTreeSet<String>,
    head: String,
    unexpected: Vec<String>,
    other_heads: Vec<String>,
}

/// A normalization that the network may have been trained with.
struct PossibleNormalization {
    value: Value,
    label: String,
    normalization: Normalization,
    /// The normalization in the file. `None` if it does not come from the file.
    candidate: Option<Candidate>,
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<Reading, Error> {
        let config = self.request.config;
        let mut questions = Vec::new();
        let networks = self.networks()?;
        let place = self.choose_network(&networks, &mut questions)?;
        let mut identified = self.identify(place)?;
        let head = self.choose_head(place, &identified, &mut questions)?;
        let activation = self.choose_activation(place, &identified, &head, &mut questions)?;
        identified.model.activation = activation.as_ref().map(|chosen| chosen.activation);
        let mut prepared = self.prepare(place, &identified, &head)?;
        if !prepared.unexpected.is_empty() {
            questions.push(Question {
                field: "strict".to_owned(),
                message: format!("Unexpected key(s) in state_dict: {}.", listed(&prepared.unexpected)),
                options: vec![Answer { value: json!(false), label: "leave them out".to_owned(), clean_accuracy: None }],
                answer: (!config.strict).then(|| json!(false)),
            });
        }
        let (chosen, normalization) = self.choose_normalization(place, &identified, &mut prepared, &mut questions)?;
        prepared.network.normalize_by(&normalization);
        let decided = questions.iter().all(|question| question.answer.is_some());
        let assumed = chosen.assumed || activation.as_ref().is_some_and(|activation| activation.assumed);
        let mut facts = self.facts(place, &networks, &identified, &prepared, &chosen, &questions);
        facts.extend(activation.filter(|chosen| chosen.assumed).map(|ChosenActivation { activation, .. }| {
            match questions.iter().any(|question| question.field == "activation" && question.answer.is_none()) {
                true => "It is not decided yet with which activation it was trained.".to_owned(),
                false => format!("No tensor tells its activation; {} is that of the published weights.", activation.label()),
            }
        }));
        let model = ModelConfig { normalization: Some(normalization.clone()), ..prepared.model };
        let inspection = Inspection {
            format: self.file.format().to_owned(),
            networks,
            facts,
            questions,
            checkpoints: Vec::new(),
            architecture: Some(model.architecture),
            depth: model.depth,
            width: model.width,
            classes: prepared.network.classes() as u32,
            parameters: prepared.network.parameter_count(),
            normalization: decided.then_some(normalization),
            test_images: (self.measured_images > 0).then_some(self.measured_images),
        };
        let undecided_without_images = self.request.sample.is_none() && (!decided || assumed);
        Ok(Reading { network: prepared.network, model: Some(model), program: None, inspection, undecided_without_images })
    }

    fn identify(&self, place: &Place) -> Result<Identified, Error> {
        let asked = self.request.config.model.as_ref();
        detect::identify(self.file, place, asked).map_err(|problem| checkpoint_error(self.path, problem))
    }

    /// Lists the networks in the file, and which of them have equal weights.
    fn networks(&self) -> Result<Vec<FoundNetwork>, Error> {
        let mut networks: Vec<FoundNetwork> = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            let mut same_as = None;
            for (earlier, known) in self.places[..index].iter().zip(&networks) {
                if known.same_as.is_none() && self.same(earlier, place)? {
                    same_as = Some(known.prefix.clone());
                    break;
                }
            }
            networks.push(FoundNetwork { prefix: place.id().to_owned(), same_as });
        }
        Ok(networks)
    }

    fn same(&self, one: &Place, other: &Place) -> Result<bool, Error> {
        let names = |place: &Place| -> Vec<String> {
            let own = self.file.tensors().keys().filter(|name| place.owns(self.file, name) && self.owner_of(name) == Some(place));
            own.map(|name| name[place.prefix.len()..].to_owned()).collect()
        };
        let inside = names(one);
        if inside != names(other) {
            return Ok(false);
        }
        for name in inside {
            if !self.file.same(&format!("{}{name}", one.prefix), &format!("{}{name}", other.prefix))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the place that a tensor belongs to: the innermost if places are nested.
    fn owner_of(&self, name: &str) -> Option<&'a Place> {
        self.places.iter().filter(|place| place.owns(self.file, name)).max_by_key(|place| place.prefix.len())
    }

    fn undecided_error(&self, field: &str, message: String) -> Error {
        Error::Undecided { path: self.path.to_owned(), errors: vec![FieldError::new(field, message)] }
    }

    fn choose_network(&mut self, networks: &[FoundNetwork], questions: &mut Vec<Question>) -> Result<&'a Place, Error> {
        let request = self.request;
        let places = self.places;
        let asked = request.config.network.as_deref().map(|name| name.trim_end_matches('.'));
        let chosen = match asked {
            Some(name) => {
                let missing = || {
                    let known: Vec<String> = places.iter().map(|place| format!("`{}`", place.id())).collect();
                    self.undecided_error("network", format!("`{name}` is not in the file, which holds {}", known.join(", ")))
                };
                Some(places.iter().position(|place| place.id() == name).ok_or_else(missing)?)
            }
            None => networks.iter().skip(1).all(|network| network.same_as.is_some()).then_some(0),
        };
        if places.len() > 1 {
            let mut options = Vec::new();
            for (place, network) in places.iter().zip(networks) {
                let name = if place.prefix.is_empty() { "without a prefix".to_owned() } else { format!("under `{}`", place.id()) };
                let (what, clean_accuracy) = match self.preview(place, chosen.is_none()) {
                    Ok((what, accuracy)) => (what, accuracy),
                    Err(_) => ("a network that does not fit".to_owned(), None),
                };
                let same = network.same_as.as_ref().map(|same| format!(", the same numbers as `{same}`")).unwrap_or_default();
                options.push(Answer { value: json!(place.id()), label: format!("{what} {name}{same}"), clean_accuracy });
            }
            questions.push(Question {
                field: "network".to_owned(),
                message: format!("The file holds {} networks.", places.len()),
                options,
                answer: chosen.map(|index| json!(places[index].id())),
            });
        }
        Ok(&places[chosen.unwrap_or_default()])
    }

    /// Describes one of several networks, with its clean accuracy if that helps to choose one.
    fn preview(&mut self, place: &Place, open: bool) -> Result<(String, Option<f64>), Error> {
        let identified = self.identify(place)?;
        let what = identified.model.title();
        if !open && !self.request.measure_all {
            return Ok((what, None));
        }
        let head = self.choose_head(place, &identified, &mut Vec::new())?;
        let mut prepared = self.prepare(place, &identified, &head)?;
        let first = self.possible_normalizations(&prepared).into_iter().next().map(|entry| entry.normalization);
        let normalization = self.configured_normalization().or(first).unwrap_or_else(|| Normalization::of(self.request.info));
        let right = self.correct_images(&mut prepared.network, &[normalization]);
        Ok((what, right.first().map(|right| fraction_correct(right))))
    }

    fn choose_head(&mut self, place: &Place, identified: &Identified, questions: &mut Vec<Question>) -> Result<String, Error> {
        let Request { config, info, .. } = *self.request;
        let classes = info.class_names.len() as i64;
        let rows =
            |name: &str| match self.file.tensors().get(&format!("{}{name}.weight", place.prefix)).map(|stored| stored.shape.as_slice()) {
                Some([rows, _]) => Some(*rows),
                _ => None,
            };
        let refused = |rows: i64| {
            let names = if classes <= 10 { format!(": {}", info.class_names.join(", ")) } else { String::new() };
            checkpoint_error(self.path, format!("has {rows} classes, but {} has {classes}{names}", info.title))
        };
        let fitting: Vec<&(String, i64)> = identified.heads.iter().filter(|(_, rows)| *rows == classes).collect();
        let chosen = match (&config.head, fitting.as_slice()) {
            (Some(head), _) => match rows(head) {
                Some(rows) if rows == classes => Some(head.clone()),
                Some(rows) => return Err(refused(rows)),
                None => {
                    let known: Vec<String> = identified.heads.iter().map(|(name, _)| format!("`{name}`")).collect();
                    let problem = format!("`{head}` is not a linear layer of the network, which has {}", known.join(", "));
                    return Err(self.undecided_error("head", problem));
                }
            },
            (None, []) => return Err(refused(identified.heads[0].1)),
            (None, [(head, _)]) => Some(head.clone()),
            (None, _) => None,
        };
        if fitting.len() > 1 {
            let mut options = Vec::new();
            for (head, rows) in &fitting {
                let wanted = chosen.is_none() || self.request.measure_all;
                let prepared = wanted.then(|| self.prepare(place, identified, head)).and_then(Result::ok);
                let right = prepared.map(|mut prepared| {
                    let first = self.possible_normalizations(&prepared).into_iter().next().map(|entry| entry.normalization);
                    let normalization = self.configured_normalization().or(first).unwrap_or_else(|| Normalization::of(info));
                    self.correct_images(&mut prepared.network, &[normalization])
                });
                let clean_accuracy = right.and_then(|right| right.first().map(|right| fraction_correct(right)));
                options.push(Answer { value: json!(head), label: format!("`{head}`, {rows} classes"), clean_accuracy });
            }
            questions.push(Question {
                field: "head".to_owned(),
                message: format!("The network has {} linear layers that may compute the logits.", fitting.len()),
                options,
                answer: chosen.as_ref().map(|head| json!(head)),
            });
        }
        let first = fitting.first().map(|(head, _)| head.clone());
        Ok(chosen.or(first).unwrap_or_default())
    }

    /// Chooses an activation where the public code of the architecture has several; `None` elsewhere.
    fn choose_activation(
        &mut self,
        place: &Place,
        identified: &Identified,
        head: &str,
        questions: &mut Vec<Question>,
    ) -> Result<Option<ChosenActivation>, Error> {
        let Request { config, info, measure_all, .. } = *self.request;
        let facts = identified.model.architecture.facts();
        if !facts.has_activations {
            return match config.activation {
                Some(asked) => {
                    let problem = format!("`{}` is not used: {} has one activation", asked.id(), facts.label);
                    Err(self.undecided_error("activation", problem))
                }
                None => Ok(None),
            };
        }
        let asked = config.activation.or(config.model.as_ref().and_then(|model| model.activation));
        let mut right = Vec::new();
        if measure_all || asked.is_none() {
            for activation in Activation::ALL {
                let model = ModelConfig { activation: Some(*activation), ..identified.model.clone() };
                let mut prepared = self.prepare(place, &Identified { model, ..identified.clone() }, head)?;
                let first = self.possible_normalizations(&prepared).into_iter().next().map(|entry| entry.normalization);
                let normalization = self.configured_normalization().or(first).unwrap_or_else(|| Normalization::of(info));
                right.extend(self.correct_images(&mut prepared.network, &[normalization]));
            }
        }
        let published = facts.published_activation;
        let of = |activation: Activation| Activation::ALL.iter().zip(&right).find(|(known, _)| **known == activation);
        let better = |(activation, hits): (&Activation, &Vec<bool>)| {
            *activation != published && of(published).is_some_and(|(_, usual)| noticeably_better(hits, usual))
        };
        let doubtful = Activation::ALL.iter().zip(&right).any(better);
        let answer = asked.or((!doubtful).then_some(published));
        let options = Activation::ALL.iter().map(|activation| Answer {
            value: json!(activation),
            label: activation.label().to_owned(),
            clean_accuracy: of(*activation).map(|(_, hits)| fraction_correct(hits)),
        });
        questions.push(Question {
            field: "activation".to_owned(),
            message: format!("No tensor tells the activation of {}.", facts.label),
            options: options.collect(),
            answer: answer.map(|answer| json!(answer)),
        });
        Ok(Some(ChosenActivation { activation: answer.unwrap_or(published), assumed: asked.is_none() }))
    }

    /// Builds the network at a place and loads its weights.
    fn prepare(&self, place: &Place, identified: &Identified, head: &str) -> Result<LoadedNetwork, Error> {
        let Request { config, info, device, .. } = *self.request;
        let model = identified.model.clone();
        // Validate what was detected like a configuration written by a person.
        let complete = ImportConfig { model: Some(model.clone()), normalization: None, activation: None, ..config.clone() };
        if let Some(error) = RunConfig::Import(Box::new(complete)).validate().first() {
            return Err(checkpoint_error(
                self.path,
                format!("holds {}, and {}: {}", model.architecture.label(), error.field, error.message),
            ));
        }
        let network = Network::new(&model, info, 0, Kind::Float, device);
        let expected: BTreeSet<String> = checkpoint::handles(&network).into_iter().map(|(name, _)| name).collect();
        let (mut names, other_heads) = detect::with_head(self.file, place, identified, head);
        let mut over: Vec<String> = Vec::new();
        names.retain(|key, name| {
            let fits = expected.contains(key);
            if !fits && self.owner_of(name) == Some(place) {
                over.push(name.clone());
            }
            fits
        });
        let own: BTreeSet<&str> = names.values().chain(&identified.unused).chain(&other_heads).map(String::as_str).collect();
        let candidates = normalization::candidates(self.file, place, &own, info.shape[0] as usize)?;
        let normalizes = |name: &String| candidates.iter().any(|candidate| candidate.inside && candidate.names.contains(name));
        let unexpected = over.into_iter().filter(|name| !normalizes(name)).collect();
        self.file.load_into(&network, &names)?;
        let infinite = network.entries().iter().find(|entry| no_grad(|| entry.tensor.isfinite().all()).int64_value(&[]) == 0);
        if let Some(entry) = infinite {
            return Err(checkpoint_error(self.path, format!("has infinite or NaN values in `{}`: its training has diverged", entry.name)));
        }
        let used = names.into_values().collect();
        Ok(LoadedNetwork { network, model, candidates, used, head: head.to_owned(), unexpected, other_heads })
    }

    /// Returns the normalization that the configuration gives in numbers or by name.
    fn configured_normalization(&self) -> Option<Normalization> {
        let config = self.request.config;
        let of_model = config.model.as_ref().and_then(|model| model.normalization.clone());
        of_model.or_else(|| match &config.normalization {
            Some(NormalizationChoice::Given(given)) => Some(given.clone()),
            Some(NormalizationChoice::Of(NormalizationSource::Dataset)) => Some(Normalization::of(self.request.info)),
            Some(NormalizationChoice::Of(NormalizationSource::None)) => Some(Normalization::none(self.request.info.shape[0] as usize)),
            Some(NormalizationChoice::Of(NormalizationSource::File)) | None => None,
        })
    }

    /// Lists the normalizations that the network may have been trained with.
    fn possible_normalizations(&self, prepared: &LoadedNetwork) -> Vec<PossibleNormalization> {
        let info = self.request.info;
        let only = prepared.candidates.len() == 1;
        let mut possible: Vec<PossibleNormalization> = Vec::new();
        for candidate in &prepared.candidates {
            let normalization = candidate.normalization.clone();
            let value = if only { json!(NormalizationSource::File) } else { json!(normalization) };
            let label = format!("the file's, {}", quoted(&candidate.names));
            possible.push(PossibleNormalization { value, label, normalization, candidate: Some(candidate.clone()) });
        }
        let others = [
            (NormalizationSource::Dataset, format!("that of {}", info.title), Normalization::of(info)),
            (NormalizationSource::None, "none, pixels in [0, 1] as they are".to_owned(), Normalization::none(info.shape[0] as usize)),
        ];
        for (source, label, normalization) in others {
            possible.push(PossibleNormalization { value: json!(source), label, normalization, candidate: None });
        }
        possible
    }

    /// Chooses a normalization. Returns it with sentences that explain the choice.
    fn choose_normalization(
        &mut self,
        place: &Place,
        identified: &Identified,
        prepared: &mut LoadedNetwork,
        questions: &mut Vec<Question>,
    ) -> Result<(Chosen, Normalization), Error> {
        let Request { config, info, measure_all, from_public_code, as_in_series, .. } = *self.request;
        let possible = self.possible_normalizations(prepared);
        let inside = possible.iter().filter(|entry| entry.candidate.as_ref().is_some_and(|candidate| candidate.inside)).count();
        let of_file = prepared.candidates.len();
        let is =
            |source: NormalizationSource| move |entry: &PossibleNormalization| entry.candidate.is_none() && entry.value == json!(source);
        let dataset = possible.iter().position(is(NormalizationSource::Dataset)).expect("the list always contains it");
        let none = possible.iter().position(is(NormalizationSource::None)).expect("the list always contains it");
        let asked = config.normalization.as_ref();
        if asked == Some(&NormalizationChoice::Of(NormalizationSource::File)) && of_file != 1 {
            let problem = match of_file {
                0 => "the file has no normalization; set `dataset`, `none`, or the numbers".to_owned(),
                _ => format!("the file has {of_file} normalizations that differ; set the numbers of one of them"),
            };
            return Err(self.undecided_error("normalization", problem));
        }
        let given = self.configured_normalization();
        let open = asked.is_none() && given.is_none();
        let family_none = !identified.unused.is_empty();
        // The file alone decides: it has exactly one normalization, or it comes from the public code. So does
        // the series that it is a part of.
        let settled = open && (inside == 1 || (of_file == 0 && (from_public_code || as_in_series.is_some())));
        let right = if measure_all || open && !settled {
            let each: Vec<Normalization> = possible.iter().map(|entry| entry.normalization.clone()).collect();
            self.correct_images(&mut prepared.network, &each)
        } else {
            Vec::new()
        };
        let better =
            |one: usize, other: usize| right.get(one).zip(right.get(other)).is_some_and(|(one, other)| noticeably_better(one, other));
        let answer = if !open {
            match asked {
                Some(NormalizationChoice::Of(NormalizationSource::File)) => Some(0),
                _ => None,
            }
        } else if settled {
            Some(match as_in_series {
                _ if inside == 1 => 0,
                Some(NormalizationSource::None) => none,
                _ => dataset,
            })
        } else if of_file > 0 {
            None
        } else if family_none {
            (!better(dataset, none)).then_some(none)
        } else {
            (!better(dataset, none) && !better(none, dataset)).then_some(dataset)
        };
        let normalization = match (&given, answer) {
            (Some(given), _) => given.clone(),
            (None, index) => possible[index.unwrap_or_default()].normalization.clone(),
        };
        let sample = self.measured_images;
        let accuracy =
            |index: usize| right.get(index).map(|right| format!("clean accuracy {} with it", format::percent(fraction_correct(right))));
        let compared = match (accuracy(dataset), accuracy(none)) {
            (Some(with), Some(_)) => {
                format!(
                    " On {} test images {with}, {} without any.",
                    format::count(sample.into()),
                    format::percent(fraction_correct(&right[none]))
                )
            }
            _ => String::new(),
        };
        let short = |values: &[f64]| values.iter().map(|value| (value * 1e6).round() / 1e6).collect::<Vec<_>>();
        let numbers = format!("mean {:?}, deviation {:?}", short(&normalization.mean), short(&normalization.std));
        let (text, names) = match (&given, answer) {
            (Some(_), _) => match asked {
                Some(NormalizationChoice::Of(NormalizationSource::Dataset)) => {
                    (format!("The normalization is that of {}, as this import says: {numbers}.{compared}", info.title), Vec::new())
                }
                Some(NormalizationChoice::Of(NormalizationSource::None)) => {
                    (format!("Pixels in [0, 1] are not normalized, as this import says.{compared}"), Vec::new())
                }
                _ => (format!("The normalization is the one given for this import: {numbers}."), Vec::new()),
            },
            (None, None) => ("It is not decided yet with which normalization it was trained.".to_owned(), Vec::new()),
            (None, Some(index)) => match &possible[index].candidate {
                Some(candidate) => {
                    let mut text = format!("Its own normalization is used, {}: {numbers}.", quoted(&candidate.names));
                    candidate.notes.iter().for_each(|note| text += &format!(" {note}"));
                    (text, candidate.names.clone())
                }
                None if as_in_series.is_some() => {
                    let text = if index == none {
                        "pixels in [0, 1] are used as they are".to_owned()
                    } else {
                        format!("that of {} is used", info.title)
                    };
                    (format!("The file has no normalization; {text}, as for the other checkpoints."), Vec::new())
                }
                None if index == none => (
                    format!(
                        "The file has no normalization, and pixels in [0, 1] are used as they are: `{}sub_block1` is made by the code of TRADES, \
                         which trains so, as MART and TRADES-AWP do.{compared}",
                        place.prefix
                    ),
                    Vec::new(),
                ),
                None if from_public_code => (
                    format!(
                        "The file has no normalization; the paper's public code trains with that of {}: {numbers}.{compared}",
                        info.title
                    ),
                    Vec::new(),
                ),
                None => {
                    let why = if compared.is_empty() {
                        " No images are available to check this. Set the normalization if it was trained with another one."
                    } else {
                        " Accuracy does not decide between the two. Set the normalization if it was trained with another one."
                    };
                    let text = format!("The file has no normalization; that of {} is assumed: {numbers}.{compared}{why}", info.title);
                    (text, Vec::new())
                }
            },
        };
        let options = possible.iter().enumerate().map(|(index, entry)| Answer {
            value: entry.value.clone(),
            label: entry.label.clone(),
            clean_accuracy: right.get(index).map(|right| fraction_correct(right)),
        });
        let message = match (of_file, inside) {
            (0, _) if family_none => "The file has no normalization, and comes from code that trains without one.".to_owned(),
            (0, _) => "The file has no normalization and does not say with which one its network was trained.".to_owned(),
            (1, 1) => "The file has a normalization.".to_owned(),
            (1, _) => "The file has a normalization beside the network, which may not belong to its images.".to_owned(),
            (count, _) => format!("The file has {count} normalizations."),
        };
        let answered = match (asked, &given, answer) {
            (Some(choice), ..) => Some(json!(choice)),
            (None, Some(given), _) => Some(json!(given)),
            (None, None, answer) => answer.map(|index| possible[index].value.clone()),
        };
        questions.push(Question { field: "normalization".to_owned(), message, options: options.collect(), answer: answered });
        Ok((Chosen { text, names, assumed: open && !settled }, normalization))
    }

    /// Returns for each normalization which images of the sample are classified correctly. Empty without a
    /// sample.
    fn correct_images(&mut self, network: &mut Network, each: &[Normalization]) -> Vec<Vec<bool>> {
        let Some(Sample { images, budget }) = &self.request.sample else { return Vec::new() };
        let mut right = vec![Vec::new(); each.len()];
        let mut first = 0;
        let begun = Instant::now();
        // With several networks, each is measured once, and the chosen one again.
        let budget = if self.places.len() > 1 { *budget / (self.places.len() as u32 + 3) } else { *budget };
        // Later readings are measured on the same images as the first one.
        let most = if self.measured_images > 0 { i64::from(self.measured_images) } else { images.len() };
        while first < most && (first == 0 || self.measured_images > 0 || begun.elapsed() < budget) {
            let (pixels, labels) = images.narrow(first, BATCH.min(most - first));
            let (pixels, labels) = (pixels.to_device(network.device()), labels.to_device(network.device()));
            for (normalization, right) in each.iter().zip(&mut right) {
                network.normalize_by(normalization);
                let logits = no_grad(|| network.forward(&pixels, BatchNormMode::Eval).logits);
                let hits: Tensor = logits.argmax(-1, false).eq_tensor(&labels);
                right.extend((0..hits.size()[0]).map(|index| hits.int64_value(&[index]) != 0));
            }
            first += pixels.size()[0];
        }
        self.measured_images = first as u32;
        right
    }

    /// Writes sentences about what is used and what is left out.
    fn facts(
        &self,
        place: &Place,
        networks: &[FoundNetwork],
        identified: &Identified,
        prepared: &LoadedNetwork,
        chosen: &Chosen,
        questions: &[Question],
    ) -> Vec<String> {
        let (file, head) = (self.file, prepared.head.as_str());
        let open = |field: &str| questions.iter().any(|question| question.field == field && question.answer.is_none());
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let what = identified.model.title();
        let under = if place.prefix.is_empty() { String::new() } else { format!(", under `{}`", place.id()) };
        let mut facts = vec![format!(
            "`{name}` ({}) holds {what} for {} classes, {} parameters{under}.",
            file.format(),
            prepared.network.classes(),
            format::count(prepared.network.parameter_count()),
        )];
        if open("network") {
            facts.insert(0, "It is not decided yet which network is used. What follows describes the first one.".to_owned());
        }
        facts.push(chosen.text.clone());
        if identified.heads.len() > 1
            || !prepared.other_heads.is_empty()
            || !["linear", "fc", "head", "heads.head", "logits"].contains(&head)
        {
            facts.push(match open("head") {
                true => "It is not decided yet which linear layer computes the logits.".to_owned(),
                false => format!("The logits come from `{head}`."),
            });
        }
        let used = |name: &String| prepared.used.contains(name) || chosen.names.contains(name);
        let mut left: Vec<&String> = file.tensors().keys().filter(|name| !used(name)).collect();
        for (other, network) in self.places.iter().zip(networks).filter(|(other, _)| *other != place) {
            let before = left.len();
            left.retain(|name| !(other.owns(file, name) && self.owner_of(name) == Some(other)));
            let same = if network.same_as.as_deref() == Some(place.id())
                || networks.iter().any(|known| known.prefix == place.id() && known.same_as.as_deref() == Some(other.id()))
            {
                ", which has the same numbers"
            } else {
                ""
            };
            if left.len() < before && !open("network") {
                facts.push(format!("Left out: the network under `{}`{same}.", other.id()));
            }
        }
        let mut take = |what: &str, names: &[String], decided: bool| {
            let before = left.len();
            left.retain(|name| !names.contains(name));
            if left.len() < before && decided {
                facts.push(format!("Left out: {what}, {}.", grouped(&names.iter().collect::<Vec<_>>(), &place.prefix)));
            }
        };
        take("tensors that the network does not have", &prepared.unexpected, !open("strict"));
        take("another head", &prepared.other_heads, !open("head"));
        take("tensors that its code creates but never uses", &identified.unused, true);
        if !left.is_empty() {
            facts.push(format!("Left out of the file: {}.", grouped(&left, &place.prefix)));
        }
        let beside: Vec<String> =
            file.values().iter().filter(|(name, _)| !chosen.names.contains(name)).map(|(name, what)| format!("`{name}`, {what}")).collect();
        if !beside.is_empty() {
            let shown = beside.len().min(MOST_NAMES);
            let more = if beside.len() > shown { format!("; and {} more", beside.len() - shown) } else { String::new() };
            facts.push(format!("Passed over, because it is not a tensor: {}{more}.", beside[..shown].join("; ")));
        }
        facts
    }
}

/// The chosen normalization, explained.
struct Chosen {
    text: String,
    /// Names of the tensors and lists in the file that it is made of.
    names: Vec<String>,
    /// Whether it is an assumption that the file alone does not support.
    assumed: bool,
}

/// The activation of a network whose tensors do not tell it.
struct ChosenActivation {
    activation: Activation,
    /// Whether it is that of the published weights, and nothing says so.
    assumed: bool,
}

/// Returns the fraction of images that were classified correctly.
fn fraction_correct(right: &[bool]) -> f64 {
    right.iter().filter(|right| **right).count() as f64 / right.len().max(1) as f64
}

/// Returns whether `one` is clearly more accurate than `other` on the same images.
///
/// The difference must exceed 1 % of the images and two standard deviations under chance, computed from the
/// images that only one of the two classifies correctly (McNemar 1947,
/// <https://doi.org/10.1007/BF02295996>).
fn noticeably_better(one: &[bool], other: &[bool]) -> bool {
    let only = |one: &[bool], other: &[bool]| one.iter().zip(other).filter(|(one, other)| **one && !**other).count() as f64;
    let (first, second) = (only(one, other), only(other, one));
    first - second > (2.0 * (first + second).sqrt()).max(0.01 * one.len() as f64)
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn listed(names: &[String]) -> String {
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => quoted(names),
        Some(more) => format!("{} and {more} more", quoted(&names[..MOST_NAMES])),
    }
}

/// Lists names. Many names with the same first part are combined. `prefix` is not counted as a part.
fn grouped(names: &[&String], prefix: &str) -> String {
    const FEW: usize = 4;
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        let before = if name.starts_with(prefix) { prefix } else { "" };
        let first = name[before.len()..].split('.').next().unwrap_or_default();
        groups.entry(format!("{before}{first}")).or_default().push(name);
    }
    let texts: Vec<String> = groups
        .iter()
        .flat_map(|(group, inside)| match inside.len() {
            0..=FEW => inside.iter().map(|name| format!("`{name}`")).collect(),
            count => vec![format!("{count} tensors under `{group}`")],
        })
        .collect();
    let shown = texts.len().min(MOST_NAMES);
    let more = if texts.len() > shown { format!(" and {} more", texts.len() - shown) } else { String::new() };
    format!("{}{more}", texts[..shown].join(", "))
}
