//! The page of data sets: which are on the server, what they contain, and how to get the others.

use std::time::Duration;

use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{DatasetFiles, DatasetFolder, DatasetStatus, DatasetSummary, DownloadStep, SplitSummary, path};
use shared::dataset::{Dataset, DatasetInfo, PassedOver};
use shared::format;
use shared::problem::Problem;

use crate::api;
use crate::browser::{every, focus, use_title};
use crate::latest::latest;
use crate::load::{Failure, Fetched, Placeholder, Skeleton, fetched, shown};

/// Interval of requests for the progress of a download.
const REFRESH: Duration = Duration::from_millis(700);

#[component]
pub fn DataPage() -> impl IntoView {
    use_title(|| "Data".to_owned());
    let datasets = followed_datasets();
    // The cards stay while their content changes.
    let ids = Memo::new(move |_| datasets.ready().map(|list| list.into_iter().map(|status| status.info.id).collect::<Vec<_>>()));
    let failed = Memo::new(move |_| datasets.problem());
    view! {
        <header class="page-header">
            <div>
                <h1>"Data"</h1>
                <p class="subline">"Images to train and test on. Runs take the folder that is known here unless they name their own."</p>
            </div>
        </header>
        {move || match (ids.get(), failed.get()) {
            (_, Some(problem)) => view! { <Failure problem retry=move || datasets.reload()/> }.into_any(),
            (None, None) => view! { <Skeleton placeholder=Placeholder::Rows/> }.into_any(),
            (Some(ids), None) => view! {
                <ul class="datasets">
                    {ids.into_iter().map(|id| view! { <li><Card id datasets/></li> }).collect_view()}
                </ul>
            }
            .into_any(),
        }}
    }
}

/// The data sets with the state of their files, asked for again while one is downloaded.
pub fn followed_datasets() -> Fetched<Vec<DatasetStatus>> {
    let datasets = fetched::<Vec<DatasetStatus>>(|| Some(path::datasets()));
    every(REFRESH, move || {
        let downloading = |list: Vec<DatasetStatus>| list.iter().any(|status| matches!(status.files, DatasetFiles::Downloading { .. }));
        if untrack(|| datasets.ready()).is_some_and(downloading) {
            datasets.reload();
        }
    });
    datasets
}

#[component]
fn Card(id: Dataset, datasets: Fetched<Vec<DatasetStatus>>) -> impl IntoView {
    let found = move || datasets.ready().and_then(|list| list.into_iter().find(|status| status.info.id == id));
    let status = latest(untrack(found)?, found);
    let files = Memo::new(move |_| status.get().files);
    let there = Memo::new(move |_| files.get().are_ready());
    let info = id.info();
    let title_id = format!("dataset-{}", id.id());
    let card = view! {
        <section class="panel dataset" aria-labelledby=title_id.clone()>
            <header class="panel-header">
                <h2 id=title_id.clone()>{info.title.clone()}</h2>
                {move || {
                    let (word, class) = files.with(badge);
                    view! { <span class=format!("badge {class}")>{word}</span> }
                }}
            </header>
            <p>{info.description.clone()}</p>
            <Facts info/>
            <Obtain id status datasets/>
            <Show when=move || there.get()><Inside id/></Show>
        </section>
    };
    Some(card)
}

/// Where the files of a data set are or what they lack, and what can be done about it.
#[component]
pub fn Obtain(id: Dataset, status: Memo<DatasetStatus>, datasets: Fetched<Vec<DatasetStatus>>) -> impl IntoView {
    let files = Memo::new(move |_| status.get().files);
    // The problem of the last action, if the server refused it.
    let refused = RwSignal::new(None::<Problem>);
    view! {
        {move || view! { <Where files=files.get() info=id.info()/> }}
        {move || refused.get().map(|problem| view! { <p class="field-error" role="alert">{problem.detail}</p> })}
        <Actions id status datasets refused/>
    }
}

#[component]
fn Facts(info: DatasetInfo) -> impl IntoView {
    let count = |count: Option<u32>| count.map_or_else(|| "as in the folder".to_owned(), |count| format::count(count.into()));
    let [channels, height, width] = info.shape;
    let color = if channels == 1 { "gray" } else { "color" };
    let size = if info.id == Dataset::ImageFolder { "as the run says".to_owned() } else { format!("{height}×{width}, {color}") };
    let facts = [
        ("Classes", count(info.classes)),
        ("Training images", count(info.train_samples)),
        ("Test images", count(info.test_samples)),
        ("Size", size),
        ("License", info.license),
    ];
    view! {
        <dl class="dataset-facts">
            {facts.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
        </dl>
    }
}

/// The folder of the files, or why there is none.
#[component]
fn Where(files: DatasetFiles, info: DatasetInfo) -> impl IntoView {
    match files {
        DatasetFiles::Embedded | DatasetFiles::Generated => ().into_any(),
        DatasetFiles::Ready { path, .. } => view! { <p class="dataset-path">"Folder "<code>{path}</code></p> }.into_any(),
        DatasetFiles::Missing { problem, .. } => view! {
            {problem.map(|problem| view! {
                <div class="notice notice-error" role="status"><p>{problem}"."</p></div>
            })}
            <p class="muted">{info.how_to_get}</p>
        }
        .into_any(),
        DatasetFiles::Downloading { step, bytes, total_bytes, .. } => {
            let text = progress(step, bytes, total_bytes);
            view! {
                <div class="progress dataset-progress">
                    <progress max=total_bytes.map(|total| total.to_string()) value=total_bytes.map(|_| bytes.to_string()) aria-label=text.clone()></progress>
                    <span class="progress-text">{text.clone()}</span>
                </div>
            }
            .into_any()
        }
        DatasetFiles::Broken { message, .. } => view! {
            <div class="notice notice-error" role="status">
                <h3 class="notice-title">"This folder cannot be used"</h3>
                <p>{message}"."</p>
            </div>
        }
        .into_any(),
    }
}

/// Buttons for the files of a data set.
#[component]
fn Actions(
    id: Dataset,
    status: Memo<DatasetStatus>,
    datasets: Fetched<Vec<DatasetStatus>>,
    refused: RwSignal<Option<Problem>>,
) -> impl IntoView {
    let pointing = RwSignal::new(false);
    let act = move |method: fn(String) -> Request, address: fn(Dataset) -> String| {
        move |_| {
            let address = address(id);
            spawn_local(async move {
                let answer = method(address).send().await;
                let _ = refused.try_set(answer.err());
                datasets.reload();
            });
        }
    };
    let offers = Memo::new(move |_| status.with(offers));
    let buttons = move || {
        let button = |offer: Offer| {
            let label = offer.label();
            match offer {
                Offer::Download { .. } => {
                    view! { <button class="button" type="button" on:click=act(Request::Post, path::dataset_download)>{label}</button> }
                        .into_any()
                }
                Offer::Cancel | Offer::Discard => {
                    view! { <button class="button" type="button" on:click=act(Request::Delete, path::dataset_download)>{label}</button> }
                        .into_any()
                }
                Offer::Forget => {
                    view! { <button class="button" type="button" on:click=act(Request::Delete, path::dataset_folder)>{label}</button> }
                        .into_any()
                }
                Offer::Point { .. } => {
                    let open = move |_| {
                        pointing.update(|open| *open = !*open);
                        if pointing.get_untracked() {
                            request_animation_frame(move || focus(&folder_id(id)));
                        }
                    };
                    let expanded = move || pointing.get().to_string();
                    view! { <button class="button" type="button" aria-expanded=expanded on:click=open>{label}</button> }.into_any()
                }
            }
        };
        let offers = offers.get();
        (!offers.is_empty()).then(|| view! { <p class="actions">{offers.into_iter().map(button).collect_view()}</p> })
    };
    view! {
        {move || buttons()}
        <Show when=move || pointing.get()><FolderForm id pointing datasets/></Show>
    }
}

/// A request without a body.
#[derive(Clone, Debug)]
enum Request {
    Post(String),
    Delete(String),
}

impl Request {
    async fn send(self) -> Result<(), Problem> {
        match self {
            Request::Post(address) => api::post_empty(&address).await,
            Request::Delete(address) => api::delete(&address).await,
        }
    }
}

fn folder_id(id: Dataset) -> String {
    format!("folder-{}", id.id())
}

/// A form for the folder that contains the files.
#[component]
fn FolderForm(id: Dataset, pointing: RwSignal<bool>, datasets: Fetched<Vec<DatasetStatus>>) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let problem = RwSignal::new(None::<Problem>);
    let busy = RwSignal::new(false);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let Some(path) = input.get_untracked().map(|input| input.value().trim().to_owned()).filter(|_| !busy.get_untracked()) else {
            return;
        };
        busy.set(true);
        spawn_local(async move {
            match api::put::<DatasetStatus>(&path::dataset_folder(id), &DatasetFolder { path }).await {
                Ok(_) => {
                    let _ = pointing.try_set(false);
                    datasets.reload();
                }
                Err(refused) => {
                    let _ = problem.try_set(Some(refused));
                    let _ = busy.try_set(false);
                    focus(&folder_id(id));
                }
            }
        });
    };
    let error_id = format!("{}-error", folder_id(id));
    let described = error_id.clone();
    view! {
        <form class="dataset-folder" novalidate on:submit=submit>
            <div class="field">
                <label class="field-label" for=folder_id(id)>"Folder on the server"</label>
                <input
                    class="input"
                    id=folder_id(id)
                    type="text"
                    autocomplete="off"
                    spellcheck="false"
                    placeholder="/data/…"
                    node_ref=input
                    aria-invalid=move || problem.with(Option::is_some).then_some("true")
                    aria-describedby=move || problem.with(Option::is_some).then(|| described.clone())
                    on:input=move |_| problem.set(None)
                />
                <div class="field-error" id=error_id aria-live="polite">{move || problem.get().map(|problem| view! { <p>{problem.detail}</p> })}</div>
            </div>
            <button class="button button-primary" type="submit" disabled=move || busy.get()>"Use this folder"</button>
        </form>
    }
}

/// Samples and counts of a data set. Loaded when opened.
#[component]
fn Inside(id: Dataset) -> impl IntoView {
    let details = NodeRef::<html::Details>::new();
    let asked = RwSignal::new(false);
    let summary = fetched::<DatasetSummary>(move || asked.get().then(|| format!("{}?samples=20", path::dataset_summary(id))));
    let toggled = move |_| {
        if details.get_untracked().is_some_and(|details| details.open()) {
            asked.set(true);
        }
    };
    view! {
        <details class="disclosure" node_ref=details on:toggle=toggled>
            <summary>"Look inside"</summary>
            {move || asked.get().then(|| shown(summary, Placeholder::Rows, move |summary| view! { <Summary id summary/> }))}
        </details>
    }
}

#[component]
fn Summary(id: Dataset, summary: DatasetSummary) -> impl IntoView {
    let DatasetSummary { class_names, splits, passed_over } = summary;
    let names = StoredValue::new(class_names.clone());
    let samples = splits.first().map(|split| split.samples.clone()).unwrap_or_default();
    let images = samples
        .into_iter()
        .map(|sample| {
            let name = names.with_value(|names| names.get(sample.label as usize).cloned().unwrap_or_default());
            view! {
                <li>
                    <img class="sample" src=format!("data:image/png;base64,{}", sample.png) alt="" width="64" height="64"/>
                    <span title=name.clone()>{name.clone()}</span>
                </li>
            }
        })
        .collect_view();
    let most = splits.iter().flat_map(|split| &split.class_counts).copied().max().unwrap_or(1).max(1);
    let count =
        |split: Option<&SplitSummary>, class: usize| split.and_then(|split| split.class_counts.get(class)).copied().unwrap_or_default();
    let rows = class_names
        .into_iter()
        .enumerate()
        .map(|(class, name)| {
            let (train, test) = (count(splits.first(), class), count(splits.get(1), class));
            view! {
                <tr>
                    <th scope="row">{name}</th>
                    <td class="bar-cell"><span class="bar" style:width=format!("{:.1}%", 100.0 * f64::from(train) / f64::from(most))></span></td>
                    <td class="number">{format::count(train.into())}</td>
                    <td class="number">{format::count(test.into())}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="dataset-inside">
            {if id == Dataset::Synthetic {
                view! { <p class="muted">"Made anew for each run from its seed: there are no files to show."</p> }.into_any()
            } else {
                view! { <ul class="samples" aria-label="Training images">{images}</ul> }.into_any()
            }}
            <p class="muted">{balance(&splits)}</p>
            {(!passed_over.is_empty()).then(|| view! { <Unread passed_over/> })}
            <div class="table-box table-box-tall" role="region" aria-label="Images of each class" tabindex="0">
                <table class="table table-dense">
                    <thead>
                        <tr>
                            <th scope="col">"Class"</th>
                            <td></td>
                            <th scope="col" class="number">"Training"</th>
                            <th scope="col" class="number">"Test"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </div>
    }
}

/// Files of the folder that are not read, so that nobody wonders about missing images.
#[component]
fn Unread(passed_over: Vec<PassedOver>) -> impl IntoView {
    let item = |kind: PassedOver| {
        let such_as = if kind.count == 1 { ": " } else { ", such as " };
        view! { <li>{kind.what}" ("{format::count(kind.count.into())}{such_as}<code>{kind.example}</code>")"</li> }
    };
    view! {
        <div class="notice" role="note">
            <h3 class="notice-title">"Not read in this folder"</h3>
            <ul>{passed_over.into_iter().map(item).collect_view()}</ul>
        </div>
    }
}

/// A button that is offered in the current state.
#[derive(Clone, Debug, PartialEq)]
enum Offer {
    Download { size_bytes: u64, partial_bytes: u64 },
    Discard,
    Cancel,
    Point { another: bool },
    Forget,
}

impl Offer {
    fn label(&self) -> String {
        match self {
            Offer::Download { size_bytes, partial_bytes: 0 } => format!("Download ({})", format::bytes(*size_bytes)),
            Offer::Download { size_bytes, partial_bytes } => {
                format!("Go on downloading ({} of {})", format::bytes(*partial_bytes), format::bytes(*size_bytes))
            }
            Offer::Discard => "Discard what came".to_owned(),
            Offer::Cancel => "Cancel".to_owned(),
            Offer::Point { another: false } => "Use a folder…".to_owned(),
            Offer::Point { another: true } => "Use another folder…".to_owned(),
            Offer::Forget => "Forget this folder".to_owned(),
        }
    }
}

fn offers(status: &DatasetStatus) -> Vec<Offer> {
    let download = |partial_bytes| status.download.as_ref().map(|offer| Offer::Download { size_bytes: offer.size_bytes, partial_bytes });
    match &status.files {
        DatasetFiles::Embedded | DatasetFiles::Generated => Vec::new(),
        DatasetFiles::Downloading { .. } => vec![Offer::Cancel],
        DatasetFiles::Missing { partial_bytes, .. } => {
            let discard = (*partial_bytes > 0).then_some(Offer::Discard);
            download(*partial_bytes).into_iter().chain(discard).chain([Offer::Point { another: false }]).collect()
        }
        DatasetFiles::Ready { pointed, .. } => {
            [Offer::Point { another: true }].into_iter().chain(pointed.then_some(Offer::Forget)).collect()
        }
        DatasetFiles::Broken { pointed: true, .. } => vec![Offer::Point { another: true }, Offer::Forget],
        DatasetFiles::Broken { pointed: false, .. } => download(0).into_iter().chain([Offer::Point { another: true }]).collect(),
    }
}

/// Label and style class of a state.
fn badge(files: &DatasetFiles) -> (&'static str, &'static str) {
    match files {
        DatasetFiles::Embedded => ("Built in", "badge-succeeded"),
        DatasetFiles::Generated => ("Generated", "badge-succeeded"),
        DatasetFiles::Ready { .. } => ("Ready", "badge-succeeded"),
        DatasetFiles::Missing { .. } => ("Not here", "badge-queued"),
        DatasetFiles::Downloading { .. } => ("Downloading", "badge-running"),
        DatasetFiles::Broken { .. } => ("Broken", "badge-failed"),
    }
}

fn progress(step: DownloadStep, bytes: u64, total_bytes: Option<u64>) -> String {
    let step = match step {
        DownloadStep::Receiving => "Receiving",
        DownloadStep::Verifying => "Verifying the checksum",
        DownloadStep::Unpacking => "Unpacking",
    };
    match total_bytes {
        Some(total) => format!("{step}: {} of {}", format::bytes(bytes), format::bytes(total)),
        None => format!("{step}: {}", format::bytes(bytes)),
    }
}

/// A sentence on how many images each class has.
fn balance(splits: &[SplitSummary]) -> String {
    let of = |split: &SplitSummary, what: &str| {
        let (least, most) = (split.class_counts.iter().min().copied()?, split.class_counts.iter().max().copied()?);
        let count = |value: u32| format::count(value.into());
        Some(if least == most { format!("{} {what}", count(most)) } else { format!("{} to {} {what}", count(least), count(most)) })
    };
    let parts: Vec<String> = splits.iter().zip(["for training", "for testing"]).filter_map(|(split, what)| of(split, what)).collect();
    format!("Images of each class: {}.", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::DownloadOffer;
    use shared::config::SplitName;

    fn labels(files: DatasetFiles) -> Vec<String> {
        let download = Some(DownloadOffer { urls: Vec::new(), size_bytes: 170_000_000, verified: true });
        offers(&DatasetStatus { info: Dataset::Cifar10.info(), files, download }).iter().map(Offer::label).collect()
    }

    #[test]
    fn each_state_offers_what_helps() {
        assert!(labels(DatasetFiles::Embedded).is_empty());
        let missing = |partial_bytes| labels(DatasetFiles::Missing { partial_bytes, problem: None });
        assert_eq!(missing(0), ["Download (162.1 MiB)", "Use a folder…"]);
        assert_eq!(missing(1 << 20), ["Go on downloading (1.0 MiB of 162.1 MiB)", "Discard what came", "Use a folder…"]);
        let downloading = DatasetFiles::Downloading { step: DownloadStep::Receiving, bytes: 1, total_bytes: None, resumable: true };
        assert_eq!(labels(downloading), ["Cancel"]);
        assert_eq!(labels(DatasetFiles::Ready { path: "/d".into(), pointed: false }), ["Use another folder…"]);
        let broken = |pointed| labels(DatasetFiles::Broken { path: "/d".into(), message: String::new(), pointed });
        assert_eq!(broken(true), ["Use another folder…", "Forget this folder"]);
        assert_eq!(broken(false), ["Download (162.1 MiB)", "Use another folder…"]);
    }

    #[test]
    fn a_data_set_that_nobody_publishes_offers_no_download() {
        let files = DatasetFiles::Missing { partial_bytes: 0, problem: None };
        let status = DatasetStatus { info: Dataset::ImageFolder.info(), files, download: None };
        assert_eq!(offers(&status), [Offer::Point { another: false }]);
    }

    #[test]
    fn the_sentence_about_classes_says_whether_they_are_equal() {
        let split = |counts: &[u32]| SplitSummary { split: SplitName::Train, class_counts: counts.to_vec(), samples: Vec::new() };
        assert_eq!(
            balance(&[split(&[5000, 5000]), split(&[1000, 1000])]),
            "Images of each class: 5\u{2009}000 for training, 1\u{2009}000 for testing."
        );
        assert_eq!(balance(&[split(&[3, 9]), split(&[2, 2])]), "Images of each class: 3 to 9 for training, 2 for testing.");
    }

    #[test]
    fn progress_says_the_step_and_how_far_it_is() {
        assert_eq!(progress(DownloadStep::Receiving, 1 << 20, Some(4 << 20)), "Receiving: 1.0 MiB of 4.0 MiB");
        assert_eq!(progress(DownloadStep::Unpacking, 1 << 20, None), "Unpacking: 1.0 MiB");
    }
}
