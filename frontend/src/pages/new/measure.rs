//! The sections for runs that measure checkpoints: attribution, evaluation, curves over eps, saliency, pairs and transfer.

use leptos::prelude::*;
use serde_json::{Value, json};
use shared::config::{
    Aggregation, AutoAttack, AutoAttackFacts, DataConfig, Inputs, Norm, PairConfig, PgdConfig, RestartedPgdConfig, SplitName, Subset,
    TransferConfig,
};
use shared::dataset::Dataset;
use shared::eps::Eps;

use super::checkpoint::{CheckpointField, CheckpointList, runs_with_checkpoints};
use super::data::DataSection;
use super::section::{PgdFields, RunSection, Section, options};
use crate::components::field::{BlockField, CheckField, EntryField, SelectField, SizeField, TextField, use_form};
use crate::form::{self, Kind};

const MOST_CHECKPOINTS: usize = 6;

#[component]
pub fn AttributeSections() -> impl IntoView {
    let layers = ["penultimate", "stage1", "stage2", "stage3", "stage4"];
    let label = |layer: &&str| match layer.strip_prefix("stage") {
        Some(stage) => format!("Stage {stage}, averaged over positions"),
        None => "Penultimate features".to_owned(),
    };
    let layers = layers.iter().map(|layer| ((*layer).to_owned(), label(layer))).collect();
    view! {
        <CheckpointSection/>
        <Section title="Images">
            <SplitField/>
            <InputsFields/>
            <AttackBlock/>
            <DataBlock/>
        </Section>
        <OtherData/>
        <Section title="Matrix" text="As the paper has it unless changed.">
            <SelectField path="aggregation" label="Aggregation" options=options(&Aggregation::ALL, Aggregation::label)/>
            <SelectField path="subset" label="Samples" options=options(&Subset::ALL, Subset::label)/>
            <SelectField path="layer" label="Layer" options=layers hint="A stage is read out by a linear map fitted to the training images."/>
            <TextField
                path="bootstrap" label="Bootstrap resamples" kind=Kind::Number
                hint="Of the images, for intervals of CAS and of each cell. 0 gives none."
            />
        </Section>
        <RunSection/>
    }
}

#[component]
pub fn EvaluateSections() -> impl IntoView {
    let form = use_form();
    let order: Vec<&str> = AutoAttack::ALL.iter().map(|attack| attack.id()).collect();
    let attack = |attack: &AutoAttack| {
        let AutoAttackFacts { label, hint, .. } = attack.facts();
        view! { <EntryField path="autoattack" entry=attack.id() label=label hint=hint order=order.clone()/> }
    };
    let attacks: Vec<_> = AutoAttack::ALL.iter().map(attack).collect();
    let standard = move |_| form.set("autoattack", Some(json!(AutoAttack::standard())));
    view! {
        <CheckpointSection/>
        <Section title="Images and threat model">
            <SplitField/>
            <SamplesField/>
            <NormField/>
            <SizeField path="eps" label="Radius eps" otherwise=Signal::stored("Empty: as the checkpoint's run.".to_owned())/>
            <DataBlock/>
        </Section>
        <OtherData/>
        <Section title="AutoAttack" text="Each attack runs on the images that those before it have left. All four together are the standard one.">
            {attacks.collect_view()}
            <TextField path="square_queries" label="Queries of Square" kind=Kind::Number hint="Of each image; 5000 is the standard."/>
            <div class="field"><button class="button" type="button" id="field-autoattack" on:click=standard>"Choose all four"</button></div>
        </Section>
        <Section title="PGD">
            <BlockField path="pgd" label="PGD with restarts" hint="Before AutoAttack: what papers report as PGD-20." initial=pgd>
                <TextField path="pgd.steps" label="Steps" kind=Kind::Number/>
                <TextField path="pgd.restarts" label="Starts" kind=Kind::Number hint="The worst of them counts for each image."/>
                <SizeField path="pgd.step_size" label="Step size" otherwise=Signal::stored(RULE.to_owned())/>
            </BlockField>
        </Section>
        <Section title="Check of the evaluation itself" text="Whether the numbers can be trusted, in words beside them.">
            <CheckField
                path="self_check" label="Check itself"
                hint="On up to 200 of the images: PGD with 20 and with 100 steps from the same starts, and PGD-20 at a radius where a working attack leaves nothing."
            />
        </Section>
        <RunSection/>
    }
}

#[component]
pub fn EpsCurveSections() -> impl IntoView {
    view! {
        <CheckpointSection/>
        <Section title="Images and radii">
            <SplitField/>
            <SamplesField/>
            <NormField/>
            <TextField
                path="eps" label="Radii" kind=Kind::Sizes
                hint="Increasing, such as 0, 4/255, 8/255; 0 are the images as they are. Empty: 0, 1, 2, 4, 6, 8, 10, 12 and 16 of 255 in ℓ∞, 16 times these in ℓ2."
            />
            <DataBlock/>
        </Section>
        <OtherData/>
        <Section title="PGD and intervals">
            <TextField path="steps" label="Steps" kind=Kind::Number/>
            <SizeField path="step_size" label="Step size" otherwise=Signal::stored("Empty: in proportion to the radius, eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.".to_owned())/>
            <TextField path="bootstrap" label="Bootstrap resamples" kind=Kind::Number hint="Of the images, for intervals of CAS. 0 gives none."/>
        </Section>
        <RunSection/>
    }
}

#[component]
pub fn SaliencySections() -> impl IntoView {
    let runs = runs_with_checkpoints();
    let stages = [("", "Last")].into_iter().chain([("1", "1"), ("2", "2"), ("3", "3"), ("4", "4")]);
    let stages = stages.map(|(value, text)| (value.to_owned(), text.to_owned())).collect();
    let form = use_form();
    let choose = Callback::new(move |(stage,): (String,)| form.set("stage", form::parse_text(Kind::Number, &stage)));
    view! {
        <Section title="Checkpoints" text="The same images at two or more checkpoints, of one run or of several.">
            <CheckpointList path="checkpoints" runs most=MOST_CHECKPOINTS/>
        </Section>
        <Section title="Images">
            <SplitField/>
            <TextField path="images_per_class" label="Images of each class" kind=Kind::Number/>
            <InputsFields/>
            <SelectField path="stage" label="Stage" options=stages choose hint="Whose features the map weighs; the last one is the usual."/>
            <AttackBlock/>
            <DataBlock/>
        </Section>
        <OtherData/>
        <RunSection/>
    }
}

#[component]
pub fn PairSections() -> impl IntoView {
    let runs = runs_with_checkpoints();
    view! {
        <Section title="Checkpoints" text="One, or two to be held against each other; the first decides which images are shown.">
            <CheckpointList path="checkpoints" runs most=PairConfig::MOST_CHECKPOINTS/>
        </Section>
        <Section title="Pairs of classes">
            <TextField
                path="pairs" label="Pairs" kind=Kind::Pairs
                hint="Up to ten, by the indices of the classes from 0, the lower first: 3-5, 0-9."
            />
            <TextField
                path="dimensions" label="Dimensions" kind=Kind::Number
                hint="How many are shown and left out. Empty: 10, or half of all where that is fewer."
            />
        </Section>
        <Section title="Images">
            <SplitField/>
            <TextField path="images_per_class" label="Images of each class" kind=Kind::Number/>
            <AttackBlock/>
            <DataBlock/>
        </Section>
        <OtherData/>
        <RunSection/>
    }
}

#[component]
pub fn TransferSections() -> impl IntoView {
    let runs = runs_with_checkpoints();
    view! {
        <Section title="Checkpoints" text="Two or more over the same classes, of one run or of several. Each is attacked, and each classifies the images of all.">
            <CheckpointList path="checkpoints" runs most=TransferConfig::MOST_CHECKPOINTS/>
        </Section>
        <Section title="Images">
            <SplitField/>
            <SamplesField/>
            <AttackBlock/>
            <DataBlock/>
        </Section>
        <OtherData/>
        <RunSection/>
    }
}

const RULE: &str = "Empty: eps/4 for ℓ∞ and eps/8 for ℓ2, the paper's rule.";

fn pgd() -> Value {
    json!(RestartedPgdConfig::default())
}

fn attack() -> Value {
    json!(PgdConfig::of(Norm::Linf, Eps::of_255(8.0)))
}

fn data() -> Value {
    json!(DataConfig::of(Dataset::Cifar10))
}

#[component]
fn CheckpointSection() -> impl IntoView {
    let runs = runs_with_checkpoints();
    view! { <Section title="Checkpoint"><CheckpointField path="checkpoint" label="Run" runs/></Section> }
}

#[component]
fn SplitField() -> impl IntoView {
    let splits = [(SplitName::Test, "Test"), (SplitName::Train, "Training"), (SplitName::Holdout, "Held out")];
    let splits = splits.iter().map(|(split, text)| (form::text_of(Some(&json!(split))), (*text).to_owned())).collect();
    view! { <SelectField path="split" label="Images of" options=splits/> }
}

#[component]
fn SamplesField() -> impl IntoView {
    view! { <TextField path="samples" label="Images" kind=Kind::Number hint="Class by class in equal parts. Empty: all of them."/> }
}

#[component]
fn NormField() -> impl IntoView {
    let norms =
        [(String::new(), "As the checkpoint's run".to_owned())].into_iter().chain(options(&[Norm::Linf, Norm::L2], Norm::symbol)).collect();
    view! { <SelectField path="norm" label="Norm" options=norms/> }
}

#[component]
fn InputsFields() -> impl IntoView {
    view! {
        <EntryField path="inputs" entry=Inputs::Adversarial.id() label="Adversarial inputs" order=vec!["adversarial", "clean"]/>
        <EntryField path="inputs" entry=Inputs::Clean.id() label="Clean inputs" order=vec!["adversarial", "clean"]/>
    }
}

#[component]
fn AttackBlock() -> impl IntoView {
    view! {
        <BlockField path="attack" label="Another attack" hint="Off: the attack that the checkpoint's run measures with." initial=attack>
            <PgdFields/>
        </BlockField>
    }
}

#[component]
fn DataBlock() -> impl IntoView {
    view! { <BlockField path="data" label="Other data" hint="Off: the data of the checkpoint's run." initial=data>""</BlockField> }
}

/// The fields for other data, shown if the configuration has other data.
#[component]
fn OtherData() -> impl IntoView {
    let form = use_form();
    let there = Memo::new(move |_| form.config.with(|config| form::at(config, "data").is_some_and(Value::is_object)));
    view! { <Show when=move || there.get()><DataSection/></Show> }
}
