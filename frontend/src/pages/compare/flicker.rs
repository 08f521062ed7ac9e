//! Shows the baseline and another matrix alternately in the same place, so that changes seem to move.

use std::time::Duration;

use leptos::prelude::*;
use shared::chart::comparison::Panel;

use crate::browser;
use crate::components::explorer::Explorer;
use crate::components::heatmap::HeatmapView;
use crate::latest::latest;

/// Changes per ten seconds, and label. At most three per second: faster flashes can cause seizures.
const RATES: [(u32, &str); 4] = [(5, "every 2 s"), (10, "every second"), (20, "2 per second"), (30, "3 per second")];
const FIRST_RATE: u32 = 10;

#[component]
pub fn Flicker(
    /// The matrices of the single sides, the baseline first.
    panels: Memo<Vec<Panel>>,
    explorer: Explorer,
) -> impl IntoView {
    let baseline_shows = RwSignal::new(true);
    // With reduced motion, people switch by hand.
    let running = RwSignal::new(!browser::prefers_reduced_motion());
    let rate = RwSignal::new(FIRST_RATE);
    Effect::new(move || {
        if running.get() {
            browser::every(Duration::from_secs(10) / rate.get(), move || baseline_shows.update(|shows| *shows = !*shows));
        }
    });
    let turn = move |_| {
        running.set(false);
        baseline_shows.update(|shows| *shows = !*shows);
    };
    let others = Memo::new(move |_| panels.with(Vec::len).saturating_sub(1));
    let place = move |other: usize| {
        let shown = move || {
            let index = if baseline_shows.get() { 0 } else { other };
            panels.with(|panels| panels.get(index).or(panels.last()).cloned())
        };
        let panel = latest(untrack(shown)?, shown);
        let name = Signal::derive(move || panel.with(|panel| panel.name.clone()));
        let heatmap = Memo::new(move |_| panel.with(|panel| panel.heatmap.clone()));
        let view = view! {
            <section class="panel compare-panel" aria-label=format!("By turns, {}", other + 1)>
                <h2>{move || name.get()}</h2>
                <HeatmapView name heatmap explorer/>
            </section>
        };
        Some(view)
    };
    view! {
        <div class="flicker-bar">
            <button class="button button-small" type="button" on:click=move |_| running.update(|running| *running = !*running)>
                {move || if running.get() { "Pause" } else { "Flicker" }}
            </button>
            <button class="button button-small" type="button" on:click=turn>
                {move || if baseline_shows.get() { "Show the other" } else { "Show A" }}
            </button>
            <label class="scrubber-speed">
                <span>"Change"</span>
                <select class="input input-small" on:change=move |event| rate.set(event_target_value(&event).parse().unwrap_or(FIRST_RATE))>
                    {RATES.map(|(rate, text)| view! { <option value=rate.to_string() selected=rate == FIRST_RATE>{text}</option> }).collect_view()}
                </select>
            </label>
        </div>
        {move || {
            let class = format!("compare-grid compare-grid-{}", others.get().clamp(1, 3));
            view! { <div class=class>{(1..=others.get()).map(place).collect_view()}</div> }
        }}
    }
}
