//! The section for the data set of a run.

use leptos::prelude::*;
use shared::api::{DatasetFiles, DatasetStatus, path};
use shared::dataset::{Dataset, Source};
use shared::format;

use super::section::Section;
use crate::components::field::{CheckField, SelectField, TextField, use_form};
use crate::form::{self, Kind};
use crate::load::fetched;

#[component]
pub fn DataSection() -> impl IntoView {
    let form = use_form();
    let datasets = fetched::<Vec<DatasetStatus>>(|| Some(path::datasets()));
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
    let known = Memo::new(move |_| datasets.ready().and_then(|list| list.into_iter().find(|status| Some(status.info.id) == dataset.get())));
    let folder_hint = Signal::derive(move || match known.get().map(|status| status.files) {
        Some(DatasetFiles::Ready { path, .. }) => format!("Empty: {path}."),
        _ => info().and_then(|info| info.how_to_get).unwrap_or_default(),
    });
    let not_here = move || known.get().is_some_and(|status| !status.files.are_ready());
    let sized = move || dataset.get() == Some(Dataset::ImageFolder);
    let all = |count: Option<u32>| count.map(|count| format!("Empty: all {}.", format::count(count.into()))).unwrap_or_default();
    let options = Dataset::ALL.iter().map(|dataset| (dataset.to_string(), dataset.info().title)).collect();
    view! {
        <Section title="Data">
            <div class="field-wide"><SelectField path="data.dataset" label="Data set" options hint=about choose/></div>
            <Show when=in_folder>
                <div class="field-wide">
                    <TextField path="data.path" label="Folder on the server" kind=Kind::Path hint=folder_hint placeholder="/data/…"/>
                    <Show when=not_here>
                        <p class="field-hint"><a href="data">"Get it or point to its folder on the Data page"</a>", then this can stay empty."</p>
                    </Show>
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
