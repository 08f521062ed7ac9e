//! The sections of a training run's form.

use leptos::prelude::*;
use shared::api::{Device, Health, WorkerStatus};
use shared::config::{Architecture, Method, Norm, RunConfig};

use super::data::DataSection;
use super::section::{Section, options};
use crate::components::field::{CheckField, EntryField, SelectField, SizeField, TextField, use_form};
use crate::form::Kind;
use crate::load::fetched;

#[component]
pub fn TrainSections() -> impl IntoView {
    view! {
        <DataSection/>
        <ModelSection/>
        <TrainingSection/>
        <AttackSection/>
        <EvaluationSection/>
        <KeepSection/>
        <RunSection/>
    }
}

#[component]
fn ModelSection() -> impl IntoView {
    let architectures = Architecture::ALL;
    view! {
        <Section title="Model">
            <SelectField
                path="model.architecture" label="Architecture" options=options(&architectures, Architecture::label)
                hint="The small one is for images of 8×8 and 16×16."
            />
            <TextField path="model.width" label="Width" kind=Kind::Number hint="Channels of the first stage; 64 is the published network."/>
        </Section>
    }
}

#[component]
fn TrainingSection() -> impl IntoView {
    view! {
        <Section title="Training" text="Stochastic gradient descent with momentum.">
            <SelectField path="training.method" label="Method" options=options(&Method::ALL, Method::label)/>
            <TextField path="training.epochs" label="Epochs" kind=Kind::Number/>
            <TextField path="training.batch_size" label="Batch size" kind=Kind::Number/>
            <TextField path="training.learning_rate" label="Learning rate" kind=Kind::Number/>
            <TextField
                path="training.milestones" label="Milestones" kind=Kind::Numbers
                hint="Epochs after which the learning rate is multiplied by the decay factor, with commas between."
            />
            <TextField path="training.decay_factor" label="Decay factor" kind=Kind::Number/>
            <TextField path="training.momentum" label="Momentum" kind=Kind::Number/>
            <TextField path="training.weight_decay" label="Weight decay" kind=Kind::Number/>
        </Section>
    }
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
    let rule = Signal::derive(move || match form.config.with(RunConfig::parse) {
        Ok(RunConfig::Train(config)) => format!("Empty: {}, the paper's rule.", config.measuring_attack().step_size().long()),
        _ => "Empty: eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.".to_owned(),
    });
    view! {
        <Section title="Evaluation" text="The attack that robust accuracy and adversarial attributions are measured with, at the norm and eps above.">
            <TextField path="evaluation.every" label="Every … epochs" kind=Kind::Number/>
            <TextField path="evaluation.steps" label="Steps" kind=Kind::Number/>
            <SizeField path="evaluation.step_size" label="Step size" otherwise=rule/>
            <CheckField path="evaluation.random_start" label="Random start"/>
        </Section>
    }
}

#[component]
fn KeepSection() -> impl IntoView {
    view! {
        <Section title="Checkpoints and attribution" text="The best and the last checkpoint are always kept.">
            <TextField path="checkpoints.every" label="Also keep every … epochs" kind=Kind::Number hint="0 keeps none by count."/>
            <TextField path="checkpoints.epochs" label="Also keep epochs" kind=Kind::Numbers hint="With commas between."/>
            <EntryField path="attribution.inputs" entry="adversarial" label="Attribution of adversarial inputs" hint="Test images under the evaluation attack: what the paper shows."/>
            <EntryField path="attribution.inputs" entry="clean" label="Attribution of clean inputs"/>
        </Section>
    }
}

#[component]
fn RunSection() -> impl IntoView {
    let health = fetched::<Health>(|| Some("api/health".to_owned()));
    let devices = Signal::derive(move || match health.ready().map(|health| health.worker) {
        Some(WorkerStatus::Ready(probe)) => {
            let names: Vec<String> = probe.devices.iter().map(|Device { id, name }| format!("{id} ({name})")).collect();
            format!("auto, or one of: {}.", names.join(", "))
        }
        _ => "auto takes CUDA where there is a device, else the CPU.".to_owned(),
    });
    let title = Signal::derive(move || match use_form().config.with(RunConfig::parse) {
        Ok(config) => format!("Empty: named after data, method and eps. Now: {}", config.title()),
        Err(_) => "Empty: named after data, method and eps.".to_owned(),
    });
    view! {
        <Section title="Run">
            <div class="field-wide"><TextField path="name" label="Name" kind=Kind::Text hint=title/></div>
            <TextField path="seed" label="Seed" kind=Kind::Number/>
            <TextField path="device" label="Device" kind=Kind::Text hint=devices/>
        </Section>
    }
}
