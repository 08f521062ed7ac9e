//! The page about the server: worker, devices, lanes, memory and disk.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Device, Lane, LaneTrial, Lanes, Memory, Probe, Storage, System, WorkerStatus, path};
use shared::format;
use shared::problem::Problem;

use crate::browser::{every, use_title};
use crate::components::health::ServerProblems;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::load::{Placeholder, fetched, refusal, shown, told};
use crate::{api, dates};

/// Rarely, because each request adds up the size of all runs.
const REFRESH: Duration = Duration::from_secs(20);

#[component]
pub fn SystemPage() -> impl IntoView {
    use_title(|| "System".to_owned());
    let system = fetched::<System>(|| Some(path::system()));
    every(REFRESH, move || system.reload());
    view! {
        <header class="page-header"><h1>"System"</h1></header>
        {shown(system, Placeholder::Panels, |system| view! { <Known system/> })}
        <LanesPanel/>
    }
}

#[component]
fn Known(system: System) -> impl IntoView {
    let figures = figures(&system);
    let System { version, started_at, uptime_secs, platform, processors, memory, worker, worker_program, storage, problems } = system;
    let server = facts(vec![
        ("Version", version),
        ("Started", format!("{} UTC, {} ago", dates::minute(&started_at), format::duration(uptime_secs as f64))),
        ("Machine", format!("{platform}, {processors} processors")),
    ]);
    let memory_used = memory.total_bytes.saturating_sub(memory.available_bytes);
    let Storage { data_dir, datasets_dir, runs, runs_bytes, total_bytes, free_bytes } = storage;
    let folders = facts(vec![
        ("Runs and database", data_dir),
        ("Data sets", datasets_dir),
        ("Run directories", format!("{}, {}", format::count(runs.into()), format::bytes(runs_bytes))),
    ]);
    view! {
        <ServerProblems problems=Signal::stored(problems)/>
        <KeyFigures figures=Signal::stored(figures)/>
        <div class="pair-of-panels">
            <section class="panel">
                <h2>"Worker"</h2>
                {worker_view(worker, worker_program)}
            </section>
            <div class="stack">
                <section class="panel">
                    <h2>"Server"</h2>
                    {server}
                    {meter("Memory in use", memory_used, memory.total_bytes)}
                </section>
                <section class="panel">
                    <h2>"Disk"</h2>
                    {folders}
                    {meter("Disk in use", total_bytes.saturating_sub(free_bytes), total_bytes)}
                </section>
            </div>
        </div>
    }
}

/// Where runs can go, with a trial of each lane.
#[component]
fn LanesPanel() -> impl IntoView {
    let lanes = fetched::<Lanes>(|| Some(path::lanes()));
    every(REFRESH, move || lanes.reload());
    let problem = RwSignal::new(None::<Problem>);
    let read = move |_| {
        spawn_local(async move {
            let _ = problem.try_set(api::post_empty(&path::lanes_read()).await.err());
            lanes.reload();
        });
    };
    let file = move || lanes.ready().and_then(|lanes| lanes.file);
    let names = Memo::new(move |_| lanes.ready().into_iter().flat_map(|lanes| lanes.lanes).map(|lane| lane.name).collect::<Vec<_>>());
    let row = move |name: String| {
        let found = {
            let name = name.clone();
            Memo::new(move |_| lanes.ready().and_then(|lanes| lanes.lanes.into_iter().find(|lane| lane.name == name)))
        };
        view! { <LaneRow name lane=found/> }
    };
    view! {
        <section class="panel" aria-labelledby="lanes">
            <div class="panel-header">
                <h2 id="lanes">"Lanes"</h2>
                <Show when=move || file().is_some()>
                    <button class="button button-small" type="button" on:click=read>"Read the file again"</button>
                </Show>
            </div>
            <p class="muted">
                {move || match file() {
                    Some(file) => format!("Where runs can go. Those beyond this machine are described in {file}."),
                    None => "Where runs can go. Clusters and other hosts are described in a file: see docs/cluster.md.".to_owned(),
                }}
            </p>
            {refusal(problem)}
            <div class="table-box" role="region" aria-label="Lanes" tabindex="0">
                <table class="table table-dense card-table">
                    <thead>
                        <tr><th scope="col">"Lane"</th><th scope="col">"Kind"</th><th scope="col">"What it offers"</th><th scope="col">"State"</th><th scope="col"><span class="visually-hidden">"Trial"</span></th></tr>
                    </thead>
                    <tbody><For each=move || names.get() key=Clone::clone children=row/></tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn LaneRow(name: String, lane: Memo<Option<Lane>>) -> impl IntoView {
    let trial = RwSignal::new(None::<Result<LaneTrial, Problem>>);
    let trying = RwSignal::new(false);
    let label = format!("Try it: {name}");
    let address = path::lane_try(&name);
    let press = move |_| {
        let address = address.clone();
        trying.set(true);
        trial.set(None);
        spawn_local(async move {
            let answer = api::post::<LaneTrial>(&address, &()).await;
            let _ = trial.try_set(Some(answer));
            let _ = trying.try_set(false);
        });
    };
    let said = move || {
        trial.get().map(|trial| match trial {
            Ok(trial) => view! { <p>{trial_text(&trial)}</p> }.into_any(),
            Err(problem) => view! { <p class="field-error">{told(&problem.detail)}</p> }.into_any(),
        })
    };
    let part = move |part: fn(&Lane) -> String| move || lane.with(|lane| lane.as_ref().map(part));
    view! {
        <tr>
            <th scope="row"><code>{name}</code></th>
            <td data-label="Kind">{part(|lane| lane.kind.label().to_owned())}</td>
            <td class="device-name" data-label="What it offers">{part(offers)}</td>
            <td class="device-name" data-label="State">
                {part(|lane| lane.trouble.as_ref().map_or_else(|| "ready".to_owned(), |why| format!("down: {why}")))}
                <div aria-live="polite">{said}</div>
            </td>
            <td class="actions">
                <button class="button button-small" type="button" aria-label=label disabled=trying on:click=press>
                    {move || if trying.get() { "Trying …" } else { "Try it" }}
                </button>
            </td>
        </tr>
    }
}

/// What a lane offers, and how much of it at once.
fn offers(lane: &Lane) -> String {
    let at_once = match lane.at_once {
        Some(1) => ", one run at once".to_owned(),
        Some(count) => format!(", {count} runs at once"),
        None => String::new(),
    };
    let auto = if lane.auto { "" } else { ", not by auto" };
    format!("{}{at_once}{auto}", lane.text)
}

fn trial_text(LaneTrial { probe, seconds }: &LaneTrial) -> String {
    let devices: Vec<String> = probe.devices.iter().map(|device| format!("{} ({})", device.id, device.name)).collect();
    format!("A worker with libtorch {} found {} within {}.", probe.libtorch, devices.join(", "), format::duration(*seconds))
}

/// The key figures, mostly how much is left.
fn figures(system: &System) -> Vec<Figure> {
    let System { memory: Memory { total_bytes, available_bytes }, storage, worker, uptime_secs, .. } = system;
    let (status, note) = match worker {
        WorkerStatus::Starting => ("Starting".to_owned(), "being asked what it can do".to_owned()),
        WorkerStatus::Broken { .. } => ("Broken".to_owned(), "no run can train here".to_owned()),
        WorkerStatus::Ready(probe) => {
            let gpus = probe.devices.iter().filter(|device| device.id != "cpu").count();
            let devices = if gpus == 0 { "on the CPU".to_owned() } else { format!("with {gpus} GPU{}", if gpus == 1 { "" } else { "s" }) };
            ("Ready".to_owned(), devices)
        }
    };
    vec![
        Figure::new("Worker", status, note),
        Figure::new("Memory available", format::bytes(*available_bytes), format!("of {}", format::bytes(*total_bytes))),
        Figure::new("Disk free", format::bytes(storage.free_bytes), format!("of {}", format::bytes(storage.total_bytes))),
        Figure::new("Runs take", format::bytes(storage.runs_bytes), format!("{} directories", format::count(storage.runs.into()))),
        Figure::new("Up for", format::duration(*uptime_secs as f64), String::new()),
    ]
}

fn worker_view(worker: WorkerStatus, program: String) -> AnyView {
    let program = ("Program", program);
    match worker {
        WorkerStatus::Starting => view! {
            <p class="muted">"The worker is being asked what it can do; loading libtorch takes some seconds."</p>
            {facts(vec![program])}
        }
        .into_any(),
        WorkerStatus::Broken { message } => view! {
            <div class="notice notice-error" role="alert">
                <h3 class="notice-title">"No run can train here"</h3>
                <p>{message}</p>
            </div>
            {facts(vec![program])}
            <p class="muted">"Mend it, then start the server again: it asks the worker once, at its start."</p>
        }
        .into_any(),
        WorkerStatus::Ready(Probe { engine, libtorch, devices }) => {
            let row = |Device { id, name, memory_bytes, multiply_adds_per_sec, bf16 }: Device| {
                view! {
                    <tr>
                        <th scope="row"><code>{id}</code></th>
                        <td class="device-name" data-label="Name">{name}</td>
                        <td class="number" data-label="Memory">{memory_bytes.map_or_else(|| "the machine's".to_owned(), format::bytes)}</td>
                        <td class="number" data-label="Speed">{multiply_adds_per_sec.map_or_else(|| "–".to_owned(), |speed| format!("{:.0} GMAC/s", speed / 1e9))}</td>
                        <td data-label="bfloat16">{if bf16 { "yes" } else { "no" }}</td>
                    </tr>
                }
            };
            view! {
                {facts(vec![("Engine", engine), ("libtorch", libtorch), program])}
                <div class="table-box" role="region" aria-label="Devices" tabindex="0">
                    <table class="table table-dense card-table">
                        <thead><tr><th scope="col">"Device"</th><th scope="col">"Name"</th><th scope="col" class="number">"Memory"</th><th scope="col" class="number">"Speed"</th><th scope="col">"bfloat16"</th></tr></thead>
                        <tbody>{devices.into_iter().map(row).collect_view()}</tbody>
                    </table>
                </div>
            }
            .into_any()
        }
    }
}

fn facts(facts: Vec<(&'static str, String)>) -> impl IntoView {
    let fact = |(name, value): (&'static str, String)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> };
    view! { <dl class="facts">{facts.into_iter().map(fact).collect_view()}</dl> }
}

fn meter(label: &'static str, used: u64, total: u64) -> impl IntoView {
    let share = used as f64 / total.max(1) as f64;
    let text = format!("{} of {} ({})", format::bytes(used), format::bytes(total), format::percent(share));
    view! {
        <div class="meter">
            <span>{label}</span>
            <meter min="0" max="1" high="0.9" optimum="0" value=share.to_string() aria-label=label></meter>
            <span class="muted">{text}</span>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use shared::api::LaneKind;

    use super::*;

    #[test]
    fn a_lane_says_what_it_offers_and_its_trial_what_was_found() {
        let lane = |at_once, auto| Lane {
            name: "a".into(),
            kind: LaneKind::Slurm,
            text: "partition gpu".into(),
            at_once,
            auto,
            multiply_adds_per_sec: None,
            trouble: None,
        };
        assert_eq!(offers(&lane(None, true)), "partition gpu");
        assert_eq!(offers(&lane(Some(1), false)), "partition gpu, one run at once, not by auto");
        let device = Device { id: "cuda:0".into(), name: "A100".into(), memory_bytes: None, multiply_adds_per_sec: None, bf16: false };
        let probe = Probe { engine: String::new(), libtorch: "2.11.0".into(), devices: vec![device] };
        assert_eq!(
            trial_text(&LaneTrial { probe, seconds: 3.0 }),
            format!("A worker with libtorch 2.11.0 found cuda:0 (A100) within {}.", format::duration(3.0))
        );
    }

    #[test]
    fn the_figures_say_what_is_left_and_whether_it_works() {
        let device = |id: &str| Device { id: id.into(), name: id.into(), memory_bytes: None, multiply_adds_per_sec: None, bf16: false };
        let system = |worker| System {
            version: "0.1.0".into(),
            started_at: String::new(),
            uptime_secs: 90,
            platform: "linux x86_64".into(),
            processors: 2,
            memory: Memory { total_bytes: 4 << 30, available_bytes: 1 << 30 },
            worker,
            worker_program: String::new(),
            storage: Storage {
                data_dir: String::new(),
                datasets_dir: String::new(),
                runs: 3,
                runs_bytes: 1 << 20,
                total_bytes: 1 << 40,
                free_bytes: 1 << 39,
            },
            problems: Vec::new(),
        };
        let said = |worker| figures(&system(worker)).iter().map(|figure| format!("{}: {}", figure.value, figure.note)).collect::<Vec<_>>();
        let probe = Probe { engine: String::new(), libtorch: String::new(), devices: vec![device("cuda:0"), device("cpu")] };
        let ready = said(WorkerStatus::Ready(probe));
        assert_eq!(
            ready,
            ["Ready: with 1 GPU", "1.0 GiB: of 4.0 GiB", "512.0 GiB: of 1024.0 GiB", "1.0 MiB: 3 directories", "1 min 30 s: "]
        );
        assert_eq!(said(WorkerStatus::Broken { message: String::new() })[0], "Broken: no run can train here");
    }
}
