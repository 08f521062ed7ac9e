//! The sections for a training run.

use leptos::prelude::*;
use serde_json::{Value, json};
use shared::api::{Run, path};
use shared::config::{
    Activation, Architecture, ArchitectureFacts, AwpConfig, DistillationConfig, Method, Norm, Precision, RunConfig, Schedule,
    WeightAveragingConfig,
};
use shared::id::CheckpointRef;

use super::checkpoint::{CheckpointField, runs_with_checkpoints};
use super::data::DataSection;
use super::section::{FoldedSection, RunSection, Section, options};
use crate::components::field::{BlockField, CheckField, EntryField, SelectField, SizeField, TextField, use_form};
use crate::form::{self, Kind};
use crate::load::fetched;

#[component]
pub fn TrainSections() -> impl IntoView {
    view! {
        <StartSection/>
        <DataSection/>
        <ModelSection/>
        <TrainingSection/>
        <AttackSection/>
        <OptimizerSection/>
        <AdditionsSection/>
        <EvaluationSection/>
        <KeepSection/>
        <RunSection/>
    }
}

/// The checkpoint that the run starts from. Chosen, it fills in the data set and the network of its run.
#[component]
fn StartSection() -> impl IntoView {
    let form = use_form();
    let runs = runs_with_checkpoints();
    let parent = Memo::new(move |_| form.text("start_from").parse::<CheckpointRef>().ok().map(|start| start.run));
    let run = fetched::<Run>(move || parent.get().map(|run| path::run(&run)));
    Effect::new(move || {
        if let Some(run) = run.ready().filter(|run| Some(&run.id) == parent.get().as_ref()) {
            let parent = run.config.to_json();
            form.config.maybe_update(|config| form::take_from_parent(config, &parent));
        }
    });
    view! {
        <Section
            title="Start"
            text="From a checkpoint, training goes on with the next epoch and its learning rate. Momentum and weight averaging start anew: a \
                  checkpoint does not hold them. Data set and network stay those of its run."
        >
            <CheckpointField path="start_from" label="Start from the checkpoint of" runs none="Initial weights"/>
        </Section>
    }
}

#[component]
fn ModelSection() -> impl IntoView {
    view! { <Section title="Model"><ModelFields/></Section> }
}

/// The fields of a network, at `model`.
#[component]
pub fn ModelFields() -> impl IntoView {
    let form = use_form();
    let facts = Memo::new(move |_| form.text("model.architecture").parse::<Architecture>().ok());
    let facts = move || facts.get().map(Architecture::facts);
    let width = Signal::derive(move || {
        let hint = |facts: &ArchitectureFacts| format!("{}. Empty: {}, the published network.", facts.width_label, facts.published_width);
        facts().map(hint).unwrap_or_default()
    });
    let published_depth = move || facts().and_then(|facts| facts.published_depth);
    let depth =
        Signal::derive(move || published_depth().map(|depth| format!("Number of layers, 6n + 4. Empty: {depth}.")).unwrap_or_default());
    let choose = Callback::new(move |(architecture,): (String,)| form.update(|config| form::switch_architecture(config, &architecture)));
    view! {
        <SelectField
            path="model.architecture" label="Architecture" options=options(Architecture::ALL, Architecture::label) choose
            hint="The small one is for images of 8×8 and 16×16."
        />
        <Show when=move || published_depth().is_some()>
            <TextField path="model.depth" label="Depth" kind=Kind::Number hint=depth/>
        </Show>
        <TextField path="model.width" label="Width" kind=Kind::Number hint=width/>
        <Show when=move || facts().is_some_and(|facts| facts.has_activations)>
            <SelectField path="model.activation" label="Activation" options=activations()/>
        </Show>
        <BlockField path="model.normalization" label="Own normalization" hint="Off: the data set's mean and standard deviation." initial=normalization>
            <TextField path="model.normalization.mean" label="Mean of each channel" kind=Kind::Numbers/>
            <TextField path="model.normalization.std" label="Standard deviation of each channel" kind=Kind::Numbers/>
        </BlockField>
    }
}

fn activations() -> Vec<(String, String)> {
    let published = (String::new(), "As published".to_owned());
    [published].into_iter().chain(options(Activation::ALL, Activation::label)).collect()
}

/// The identity: mean 0 and standard deviation 1.
fn normalization() -> Value {
    json!({"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]})
}

#[component]
fn TrainingSection() -> impl IntoView {
    let form = use_form();
    let method = Memo::new(move |_| form.text("training.method"));
    let choose_method = Callback::new(move |(method,): (String,)| form.update(|config| form::switch_method(config, &method)));
    let schedule = Memo::new(move |_| form.text("training.schedule"));
    let choose_schedule = Callback::new(move |(schedule,): (String,)| form.update(|config| form::switch_schedule(config, &schedule)));
    view! {
        <Section title="Training" text="Stochastic gradient descent with momentum.">
            <SelectField path="training.method" label="Method" options=options(Method::ALL, Method::label) choose=choose_method/>
            <Show when=move || method.with(|method| method.parse().is_ok_and(|method: Method| method.facts().uses_trades_beta))>
                <TextField path="training.trades_beta" label="β of TRADES" kind=Kind::Number hint="Weighs robustness against clean accuracy; 6 as published."/>
            </Show>
            <TextField path="training.epochs" label="Epochs" kind=Kind::Number/>
            <TextField path="training.batch_size" label="Batch size" kind=Kind::Number/>
            <TextField path="training.learning_rate" label="Learning rate" kind=Kind::Number/>
            <SelectField path="training.schedule" label="Schedule" options=options(Schedule::ALL, Schedule::label) choose=choose_schedule/>
            <Show when=move || schedule.with(|schedule| schedule.is_empty() || schedule == Schedule::Milestones.id())>
                <TextField
                    path="training.milestones" label="Milestones" kind=Kind::Numbers
                    hint="Epochs after which the learning rate is multiplied by the decay factor, with commas between."
                />
                <TextField path="training.decay_factor" label="Decay factor" kind=Kind::Number/>
            </Show>
        </Section>
    }
}

#[component]
fn OptimizerSection() -> impl IntoView {
    let form = use_form();
    let set = Signal::derive(move || {
        let text = |path| form.config.with(|config| form::text_of(form::at(config, path)));
        let precision = match form.parsed.get() {
            Ok(RunConfig::Train(config)) => config.precision,
            _ => Precision::default(),
        };
        let (momentum, decay) = (text("training.momentum"), text("training.weight_decay"));
        format!("momentum {momentum}, weight decay {decay}, {}", precision.label())
    });
    view! {
        <FoldedSection title="Optimizer and number format" set>
            <TextField path="training.momentum" label="Momentum" kind=Kind::Number/>
            <TextField path="training.weight_decay" label="Weight decay" kind=Kind::Number/>
            <SelectField
                path="precision" label="Precision" options=options(Precision::ALL, Precision::label)
                hint="bfloat16: less exact passes in training and its attacks, meant for GPUs and for processors with AMX. Published numbers are float32."
            />
        </FoldedSection>
    }
}

/// Optional additions to the training recipe; most runs use none.
#[component]
fn AdditionsSection() -> impl IntoView {
    let form = use_form();
    let on = Signal::derive(move || match form.config.with(additions) {
        on if on.is_empty() => "none".to_owned(),
        on => on.join(", "),
    });
    view! {
        <FoldedSection title="Additions" set=on>
            <TextField path="training.label_smoothing" label="Label smoothing" kind=Kind::Number hint="Of each label's weight, spread over all classes; 0 is none."/>
            <TextField path="training.mixup" label="Mixup α" kind=Kind::Number hint="Pairs of images are mixed before the attack; 0 is none."/>
            <TextField
                path="training.cas_weight" label="λ of CAS" kind=Kind::Number
                hint="Subtracts λ times the mean cosine of classes in the batch from the loss: above 0, shared features are rewarded, below 0 punished; empty is none."
            />
            <TextField
                path="training.left_out_features" label="Features left out" kind=Kind::Numbers
                hint="Indices of penultimate features whose columns of W are 0 and stay 0, rising, with commas between; the dossier of a pair names those that its classes share. Empty: none."
            />
            <TextField path="training.gradient_clip" label="Gradient clip" kind=Kind::Number hint="Largest ℓ2 norm of the gradient. Empty: none."/>
            <BlockField
                path="training.distillation" label="Knowledge distillation" initial=distillation
                hint="Learns from a standard and a robust teacher beside the labels (Chen et al. 2021)."
            >
                <DistillationFields/>
            </BlockField>
            <BlockField
                path="training.weight_averaging" label="Weight averaging (EMA)" initial=weight_averaging
                hint="Evaluates and keeps a moving average of the weights."
            >
                <TextField path="training.weight_averaging.decay" label="Decay" kind=Kind::Number hint="What is left of the average at each step."/>
                <TextField path="training.weight_averaging.start_epoch" label="After epoch" kind=Kind::Number hint="Before it the weights themselves are evaluated."/>
            </BlockField>
            <BlockField
                path="training.awp" label="Adversarial weight perturbation (AWP)" initial=awp
                hint="Perturbs the weights against the loss as well (Wu et al. 2020): one more pass a step."
            >
                <TextField path="training.awp.gamma" label="γ" kind=Kind::Number hint="Size relative to the norm of each layer; 0.01 for AT, 0.005 for TRADES."/>
                <TextField path="training.awp.warmup_epochs" label="Epochs without it" kind=Kind::Number/>
            </BlockField>
        </FoldedSection>
    }
}

/// The additions that are on.
fn additions(config: &Value) -> Vec<String> {
    let share = |path| form::at(config, path).and_then(Value::as_f64).filter(|share| *share != 0.0);
    let is_on = |path| form::at(config, path).is_some_and(|value| !value.is_null());
    let shares = [
        ("training.label_smoothing", "label smoothing"),
        ("training.mixup", "mixup"),
        ("training.cas_weight", "λ of CAS"),
        ("training.gradient_clip", "gradient clip"),
    ];
    let left_out = form::at(config, "training.left_out_features").and_then(Value::as_array).map_or(0, Vec::len);
    let left_out = (left_out > 0).then(|| format!("{left_out} features left out"));
    let shares = shares.into_iter().filter_map(|(path, name)| share(path).map(|share| format!("{name} {share}")));
    let parts = [("training.distillation", "distillation"), ("training.weight_averaging", "weight averaging"), ("training.awp", "AWP")];
    let parts = parts.into_iter().filter(|(path, _)| is_on(path)).map(|(_, name)| name.to_owned());
    shares.chain(left_out).chain(parts).collect()
}

#[component]
fn DistillationFields() -> impl IntoView {
    let runs = runs_with_checkpoints();
    view! {
        <CheckpointField path="training.distillation.standard_teacher" label="Standard teacher" runs none="Train one first, without an attack"/>
        <CheckpointField path="training.distillation.robust_teacher" label="Robust teacher" runs none="Train one first, with this attack"/>
        <TextField path="training.distillation.teacher_epochs" label="Epochs of a teacher" kind=Kind::Number hint="Where it is trained first. Empty: as many as the student."/>
        <TextField path="training.distillation.standard_weight" label="Weight, standard" kind=Kind::Number/>
        <TextField path="training.distillation.robust_weight" label="Weight, robust" kind=Kind::Number hint="The rest of 1 is the labels'."/>
        <TextField path="training.distillation.temperature" label="Temperature" kind=Kind::Number/>
    }
}

fn distillation() -> Value {
    json!(DistillationConfig::default())
}

fn weight_averaging() -> Value {
    json!(WeightAveragingConfig::default())
}

fn awp() -> Value {
    json!(AwpConfig::default())
}

#[component]
fn AttackSection() -> impl IntoView {
    let batch_norm = vec![("train".to_owned(), "Train mode, as published".to_owned()), ("eval".to_owned(), "Eval mode".to_owned())];
    view! {
        <Section title="Threat model and attack" text="The ball that the adversary moves in, and the attack that training uses inside it.">
            <SelectField path="attack.norm" label="Norm" options=options(&[Norm::Linf, Norm::L2], Norm::symbol)/>
            <SizeField path="attack.eps" label="Radius eps"/>
            <SizeField path="attack.step_size" label="Step size"/>
            <TextField path="attack.steps" label="Steps" kind=Kind::Number/>
            <SelectField
                path="attack.batch_norm" label="Batch norm during the attack" options=batch_norm
                hint="In train mode every step of the attack also moves the running statistics."
            />
            <CheckField path="attack.random_start" label="Random start" hint="Begins at a random point of the ball."/>
        </Section>
    }
}

#[component]
fn EvaluationSection() -> impl IntoView {
    let form = use_form();
    let rule = Signal::derive(move || match form.parsed.get() {
        Ok(RunConfig::Train(config)) => {
            format!("Empty: {}, the paper's rule.", config.measuring_attack().step_size().long(config.attack.norm))
        }
        _ => "Empty: eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.".to_owned(),
    });
    let set = Signal::derive(move || match form.parsed.get() {
        Ok(RunConfig::Train(config)) => {
            let eps = config.evaluation.eps.map(|eps| format!(" at {}", eps.long(config.attack.norm)));
            format!("PGD-{}{}, {}", config.evaluation.steps, eps.unwrap_or_default(), every(config.evaluation.every))
        }
        _ => String::new(),
    });
    view! {
        <FoldedSection title="Evaluation" set text="The attack that robust accuracy and adversarial attributions are measured with, in the norm above.">
            <TextField path="evaluation.every" label="Every … epochs" kind=Kind::Number/>
            <SizeField
                path="evaluation.eps" label="Radius eps"
                otherwise=Signal::stored("Empty: the radius of the training attack. The paper's public code takes 8/255 for each.".to_owned())
            />
            <TextField path="evaluation.steps" label="Steps" kind=Kind::Number/>
            <SizeField path="evaluation.step_size" label="Step size" otherwise=rule/>
            <CheckField path="evaluation.random_start" label="Random start"/>
        </FoldedSection>
    }
}

/// In words, every how many epochs.
fn every(epochs: u32) -> String {
    match epochs {
        1 => "every epoch".to_owned(),
        epochs => format!("every {epochs} epochs"),
    }
}

#[component]
fn KeepSection() -> impl IntoView {
    let form = use_form();
    let set = Signal::derive(move || match form.parsed.get() {
        Ok(RunConfig::Train(config)) => {
            let counted = (config.checkpoints.every > 0).then(|| format!(", {}", every(config.checkpoints.every)));
            let measured = match config.attribution.inputs.len() {
                0 => "no attribution".to_owned(),
                _ if config.attribution.every > 0 => format!("attribution {}", every(config.attribution.every)),
                _ => "attribution of these".to_owned(),
            };
            format!("best, last{}; {measured}", counted.unwrap_or_default())
        }
        _ => String::new(),
    });
    view! {
        <FoldedSection title="Checkpoints and attribution" set text="The best and the last checkpoint are always kept.">
            <TextField path="checkpoints.every" label="Also keep every … epochs" kind=Kind::Number hint="0 keeps none by count."/>
            <TextField
                path="checkpoints.at_most" label="Of these, at most …" kind=Kind::Number
                hint="The newest of those by count; older ones are removed, and their matrices unless “Attribution every … epochs” keeps them. Empty: all."
            />
            <TextField path="checkpoints.epochs" label="Also keep epochs" kind=Kind::Numbers hint="With commas between. These stay, whatever the number of others."/>
            <EntryField path="attribution.inputs" entry="adversarial" label="Attribution of adversarial inputs" hint="Test images under the evaluation attack: what the paper shows."/>
            <EntryField path="attribution.inputs" entry="clean" label="Attribution of clean inputs"/>
            <TextField
                path="attribution.every" label="Attribution every … epochs" kind=Kind::Number
                hint="Beside kept checkpoints, of evaluated epochs; 0 only of kept ones. The evaluation's passes serve for it: it costs a file, no time."
            />
            <TextField
                path="attribution.bootstrap" label="Bootstrap resamples" kind=Kind::Number
                hint="For intervals of CAS and of each cell; 0 gives none. 200 cost a moment a matrix."
            />
        </FoldedSection>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_that_are_on_are_named() {
        let named = |training: Value| additions(&json!({"training": training}));
        assert!(named(json!({"label_smoothing": 0.0, "awp": null, "left_out_features": []})).is_empty());
        let mut all = json!({"label_smoothing": 0.1, "mixup": 1, "cas_weight": -0.5, "gradient_clip": 0.5, "awp": {}, "distillation": {}, "weight_averaging": {}});
        all["left_out_features"] = json!([3, 17]);
        assert_eq!(
            named(all).join(", "),
            "label smoothing 0.1, mixup 1, λ of CAS -0.5, gradient clip 0.5, 2 features left out, distillation, weight averaging, AWP"
        );
    }
}
