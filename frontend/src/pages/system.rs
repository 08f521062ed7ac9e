//! The page about the server: worker, devices, memory and disk.

use std::time::Duration;

use leptos::prelude::*;
use shared::api::{Device, Memory, Probe, Storage, System, WorkerStatus, path};
use shared::format;

use crate::browser::{every, use_title};
use crate::components::health::ServerProblems;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::dates;
use crate::load::{Placeholder, fetched, shown};

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
            let row = |Device { id, name, memory_bytes, bf16: _ }: Device| {
                view! {
                    <tr>
                        <th scope="row"><code>{id}</code></th>
                        <td class="device-name">{name}</td>
                        <td class="number">{memory_bytes.map_or_else(|| "the machine's".to_owned(), format::bytes)}</td>
                    </tr>
                }
            };
            view! {
                {facts(vec![("Engine", engine), ("libtorch", libtorch), program])}
                <div class="table-box" role="region" aria-label="Devices" tabindex="0">
                    <table class="table table-dense">
                        <thead><tr><th scope="col">"Device"</th><th scope="col">"Name"</th><th scope="col" class="number">"Memory"</th></tr></thead>
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
    use super::*;

    #[test]
    fn the_figures_say_what_is_left_and_whether_it_works() {
        let device = |id: &str| Device { id: id.into(), name: id.into(), memory_bytes: None, bf16: false };
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
