//! The section for the data set of a run, and what is said of one that is not on the server.

use leptos::prelude::*;
use shared::api::{DatasetFiles, DatasetStatus};
use shared::dataset::{Dataset, Source};
use shared::format;

use super::section::Section;
use crate::components::field::{CheckField, SelectField, TextField, use_form};
use crate::form::{self, Kind};
use crate::latest::latest;
use crate::load::Fetched;
use crate::pages::data::Obtain;

/// The data sets of the server, for all parts of a form.
#[derive(Clone, Copy)]
pub struct Datasets(pub Fetched<Vec<DatasetStatus>>);

impl Datasets {
    /// The data set of a form, once the server has told of it.
    fn of_form(self) -> Option<DatasetStatus> {
        let dataset: Dataset = use_form().text("data.dataset").parse().ok()?;
        self.0.ready()?.into_iter().find(|status| status.info.id == dataset)
    }
}

/// Says before the form is sent that the files of its data set are not on the server, and offers to get them.
#[component]
pub fn MissingData(
    /// Address of the form with generated images, if the preset has one.
    small: Option<String>,
) -> impl IntoView {
    let (form, datasets) = (use_form(), expect_context::<Datasets>());
    let missing = Memo::new(move |_| {
        let status = datasets.of_form().filter(|status| !status.files.are_ready())?;
        // A run of an image folder always names it.
        (form.text("data.path").is_empty() && status.info.id != Dataset::ImageFolder).then_some(status.info.id)
    });
    let small = StoredValue::new(small);
    move || {
        let id = missing.get()?;
        let status = latest(untrack(|| datasets.of_form())?, move || datasets.of_form().filter(|status| status.info.id == id));
        let title = id.info().title;
        let smaller = small.get_value().map(|href| {
            view! { <p>"Or take the "<a href=href>"small form"</a>" of this preset, which generates its images and runs in minutes."</p> }
        });
        Some(view! {
            <section class="notice notice-warning missing-data" aria-label="Data that is missing">
                <h2 class="notice-title">{format!("{title} is not on this server yet")}</h2>
                <Obtain id status datasets=datasets.0/>
                {smaller}
            </section>
        })
    }
}

#[component]
pub fn DataSection() -> impl IntoView {
    let (form, datasets) = (use_form(), expect_context::<Datasets>());
    let dataset = Memo::new(move |_| form.text("data.dataset").parse().ok());
    let info = move || dataset.get().map(Dataset::info);
    let about = Signal::derive(move || info().map(|info| info.description).unwrap_or_default());
    let choose = Callback::new(move |(id,): (String,)| {
        if let Ok(dataset) = id.parse() {
            form.config.update(|config| form::switch_dataset(config, dataset));
            form.edited.run(());
        }
    });
    let in_folder = move || dataset.get().is_some_and(|dataset| dataset.source() == Source::Folder);
    let known = Memo::new(move |_| datasets.of_form());
    let folder_hint = Signal::derive(move || match known.get().map(|status| status.files) {
        Some(DatasetFiles::Ready { path, .. }) => format!("Empty: {path}."),
        _ if dataset.get() == Some(Dataset::ImageFolder) => info().and_then(|info| info.how_to_get).unwrap_or_default(),
        _ => "Empty: the folder that the page Data knows.".to_owned(),
    });
    let sized = move || dataset.get() == Some(Dataset::ImageFolder);
    let all = |count: Option<u32>| count.map(|count| format!("Empty: all {}.", format::count(count.into()))).unwrap_or_default();
    let options = Dataset::ALL.iter().map(|dataset| (dataset.to_string(), dataset.info().title)).collect();
    view! {
        <Section title="Data">
            <div class="field-wide"><SelectField path="data.dataset" label="Data set" options hint=about choose/></div>
            <Show when=in_folder>
                <div class="field-wide">
                    <TextField path="data.path" label="Folder on the server" kind=Kind::Path hint=folder_hint placeholder="/data/…"/>
                </div>
            </Show>
            <Show when=sized>
                <TextField
                    path="data.image_size" label="Image size" kind=Kind::Number
                    hint="The side in pixels that images are resized and cropped to. Empty: 32."
                />
            </Show>
            <TextField
                path="data.train_samples" label="Training images" kind=Kind::Number
                hint=Signal::derive(move || all(info().and_then(|info| info.train_samples)))
            />
            <TextField
                path="data.test_samples" label="Test images" kind=Kind::Number
                hint=Signal::derive(move || all(info().and_then(|info| info.test_samples)))
            />
            <TextField
                path="data.label_noise" label="Label noise" kind=Kind::Number
                hint="Fraction of training labels replaced by another class; a known cause of robust overfitting (Dong et al. 2022)."
            />
            <TextField
                path="data.holdout_samples" label="Held-out images" kind=Kind::Number
                hint="Training images to choose the best checkpoint by. 0 chooses on the test set, as the paper does."
            />
            <CheckField path="data.augment" label="Augment" hint="Random crop with a reflected border and, for photographs, horizontal flip."/>
        </Section>
    }
}
