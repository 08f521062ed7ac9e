//! A curve over eps: accuracy and CAS at each radius, and what the curve says of the measurement.

use leptos::prelude::*;
use shared::api::{Run, RunState};
use shared::chart::EpsCurveFigure;
use shared::chart::eps_curve::EpsCurve;
use shared::config::{EpsCurveConfig, Norm, RunConfig};
use shared::eps_curve::finding;
use shared::format;
use shared::record::{EpsPoint, Metrics};
use shared::signs::of_curve_gradients;

use super::measured_checkpoints::MeasuredCheckpoints;
use crate::components::attack_table::{AttackRow, AttackTable};
use crate::components::plot::Plot;
use crate::components::signs::Signs;
use crate::theme::use_theme;

#[component]
pub fn EpsCurveView(run: Memo<Run>, metrics: Memo<Metrics>) -> impl IntoView {
    let RunConfig::EpsCurve(config) = run.with_untracked(|run| run.config.clone()) else { return ().into_any() };
    let subject = config.checkpoint.clone();
    let points = Memo::new(move |_| metrics.with(|metrics| metrics.eps_curve.clone()));
    let complete = Memo::new(move |_| run.with(|run| run.state == RunState::Succeeded));
    let said = move || points.with(|points| if complete.get() { finding(points) } else { so_far(points, &config) });
    let theme = use_theme();
    let chart = move |figure| Memo::new(move |_| points.with(|points| EpsCurve::of(points, figure, theme.get())));
    view! {
        {move || said().map(|said| view! { <p class="finding" aria-live="polite">{said}</p> })}
        <Signs signs=Signal::derive(move || points.with(|points| of_curve_gradients(points)))/>
        <div class="split">
            <Plot title="Accuracy over eps" chart=chart(EpsCurveFigure::Accuracy)/>
            <Plot title="CAS over eps" chart=chart(EpsCurveFigure::Cas)/>
        </div>
        <section class="panel" aria-labelledby="radii-title">
            <h2 id="radii-title">"Radius by radius"</h2>
            <PointTable points ended=Signal::derive(move || run.with(|run| run.state.is_finished()))/>
            <p class="muted">
                "Intervals cover 95 %: Wilson's for accuracies, bootstrap percentiles for CAS. Both are over the images that are drawn, not over networks trained."
            </p>
            <MeasuredCheckpoints checkpoints=vec![subject]/>
        </section>
    }
    .into_any()
}

/// How many radii are measured while others are still to come.
fn so_far(points: &[EpsPoint], config: &EpsCurveConfig) -> Option<String> {
    let norm = points.first().map_or(Norm::Linf, |point| point.norm);
    (!points.is_empty()).then(|| format!("So far {} of {} radii are measured.", points.len(), config.radii(norm).len()))
}

#[component]
fn PointTable(points: Memo<Vec<EpsPoint>>, ended: Signal<bool>) -> impl IntoView {
    let row = |point: &EpsPoint| {
        let EpsPoint { norm, eps, step_size, steps, images, correct, accuracy, loss, cas, cas_interval, seconds, .. } = *point;
        let attack = step_size.map_or_else(|| "not attacked".to_owned(), |step| format!("PGD-{steps}, step {}", step.long(norm)));
        let of_cas =
            cas_interval.map_or_else(String::new, |[low, high]| format!("{} to {}", format::decimal(low, 2), format::decimal(high, 2)));
        AttackRow {
            names: [eps.long(norm), attack],
            images,
            correct,
            accuracy,
            interval: point.accuracy_interval,
            more: vec![format::short(loss), format::decimal(cas, 2), of_cas],
            seconds,
        }
    };
    let rows = Signal::derive(move || points.with(|points| points.iter().map(row).collect::<Vec<_>>()));
    let nothing = move || {
        let said = if ended.get() { "Nothing was measured." } else { "Nothing is measured yet." };
        points.with(Vec::is_empty).then(|| view! { <p class="table-empty">{said}</p> })
    };
    view! {
        <AttackTable label="Radii" heads=["Radius", "Attack"] more=vec!["Loss", "CAS", "95 % interval"] rows>{nothing}</AttackTable>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::fixtures::eps_point;

    #[test]
    fn a_running_curve_says_how_far_it_is() {
        let config = EpsCurveConfig::of("at-1.best".parse().unwrap());
        assert_eq!(so_far(&[], &config), None);
        assert_eq!(so_far(&[eps_point(0.0, 900), eps_point(1.0, 800)], &config).unwrap(), "So far 2 of 9 radii are measured.");
    }
}
