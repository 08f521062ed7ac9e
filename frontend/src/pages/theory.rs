//! The page of the paper's three-class model: the theorem on robust training, and a simulation that shows
//! where it stops to hold.

use leptos::prelude::*;
use shared::api::path;
use shared::chart::TheoryFigure;
use shared::chart::colors::Theme;
use shared::chart::theory::TheoryChart;
use shared::export::Exported;
use shared::format;
use shared::theory::{Answer, DRAWS, Loss, Model, Question, SEED, Samples, Weights};
use strum::IntoEnumIterator;

use crate::browser::use_title;
use crate::components::exports::{Export, Exports, export};
use crate::components::heatmap::is_open;
use crate::components::key_figures::{Figure, KeyFigures};
use crate::components::lens_bar::Segments;
use crate::components::plot::Plot;
use crate::theme::use_theme;
use crate::url_state::{UrlState, url_state};

/// A parameter: name in the URL, label, hint, and least value, largest value and step of its slider.
type Slider = (&'static str, &'static str, &'static str, [&'static str; 3]);

const SLIDERS: [Slider; 4] = [
    ("eps", "Radius ε", "ℓ∞ ball of the attack, in the units of μ", ["0", "1", "0.005"]),
    ("mean", "Mean μ", "of a feature that is there", ["0.05", "2", "0.05"]),
    ("deviation", "Deviation σ", "of that feature, in the units of μ", ["0.05", "2", "0.05"]),
    ("weight_decay", "Weight decay λ", "of λ/2 · ‖w‖² in the loss", ["0.05", "2", "0.05"]),
];
const SMOOTHING: Slider =
    ("label_smoothing", "Label smoothing", "share of the label that the classes have in common", ["0", "0.9", "0.05"]);

#[component]
pub fn TheoryPage() -> impl IntoView {
    use_title(|| "Theory".to_owned());
    let question = url_state(|query| Question::from_parameters(|name| query.get_str(name)).unwrap_or_default(), Question::address);
    let samples = StoredValue::new(Samples::draw(SEED, DRAWS));
    let asked = Memo::new(move |_| question.get());
    let course = Memo::new(move |former: Option<&(Question, Vec<Answer>)>| {
        let asked = asked.get();
        // The chosen radius is only a mark on the axis. As long as the axis is the same, the curves need no
        // recomputation.
        match former {
            Some((known, course)) if same_course(known, &asked) => (asked, course.clone()),
            _ => (asked, samples.with_value(|samples| asked.course(samples))),
        }
    });
    let answer = Memo::new(move |_| samples.with_value(|samples| asked.get().answer(samples)));
    let theme = use_theme();
    let drawn = move |chart: fn(&Question, &[Answer], Theme) -> TheoryChart| {
        Memo::new(move |_| course.with(|(question, course)| chart(question, course, theme.get())))
    };
    let plot = move |figure: TheoryFigure| match figure {
        TheoryFigure::Weights => view! { <Plot title="What is learned" chart=drawn(TheoryChart::weights)/> },
        TheoryFigure::Chance => view! { <Plot title="Chance to beat one rival under attack" chart=drawn(TheoryChart::chance)/> },
    };
    let figures = Signal::derive(move || figures(&asked.get(), &answer.get()));
    view! {
        <header class="page-header">
            <div>
                <h1>"Three classes, in theory"</h1>
                <p class="subline">"Why robust training drops the features that classes share before those that are theirs alone"</p>
            </div>
        </header>
        <Controls question/>
        <KeyFigures figures/>
        <p class="finding" aria-live="polite">{move || finding(&asked.get(), &answer.get())}</p>
        <div class="pair-of-panels">
            {TheoryFigure::iter().map(plot).collect_view()}
        </div>
        <Table course/>
        <Explanation/>
        <Exports exports=Signal::derive(move || exports_of(&asked.get()))/>
    }
}

/// Whether two questions have the same curves: they differ at most in the radius, and the axis is the same.
fn same_course(a: &Question, b: &Question) -> bool {
    let without_radius = |question: &Question| Question { model: Model { eps: 0.0, ..question.model }, ..*question };
    without_radius(a) == without_radius(b) && a.largest_radius() == b.largest_radius()
}

#[component]
fn Controls(question: UrlState<Question>) -> impl IntoView {
    let is_surrogate = Signal::derive(move || matches!(question.get().loss, Loss::Surrogate { .. }));
    let choose = move |surrogate: bool| {
        question.update(|question| {
            let label_smoothing = question.loss.label_smoothing();
            question.loss = if surrogate { Loss::Surrogate { label_smoothing } } else { Loss::CrossEntropy { label_smoothing } };
        });
    };
    view! {
        <form class="panel" aria-label="Parameters of the model" on:submit=|event| event.prevent_default()>
            <div class="sliders">
                {SLIDERS.map(|slider| view! { <Range slider question/> })}
                <div class="field">
                    <Segments
                        legend="Simulated loss" name="loss" value=is_surrogate set=choose
                        options=vec![(true, "Surrogate"), (false, "Cross-entropy")]
                    />
                    <p class="field-hint">"The theorems are about the surrogate: the largest margin of a rival."</p>
                </div>
                <Range slider=SMOOTHING question/>
            </div>
        </form>
    }
}

/// A parameter, set by slider or by number.
#[component]
fn Range(slider: Slider, question: UrlState<Question>) -> impl IntoView {
    let (name, label, hint, [least, largest, step]) = slider;
    let index = Question::PARAMETERS.iter().position(|known| *known == name).expect("sliders are of parameters");
    let value = Memo::new(move |_| question.get().values()[index].clone());
    let error = RwSignal::new(None::<String>);
    let set = move |text: String| match question.get_untracked().with(name, &text) {
        Ok(asked) => {
            error.set(None);
            question.set(asked);
        }
        Err(wrong) => error.set(Some(wrong.message)),
    };
    let (id, hint_id) = (format!("theory-{name}"), format!("theory-{name}-hint"));
    view! {
        <div class="field slider">
            <label class="field-label" for=id.clone()>{label}</label>
            <div class="slider-row">
                <input
                    id=id type="range" min=least max=largest step=step aria-describedby=hint_id.clone()
                    prop:value=move || value.get() on:input=move |event| set(event_target_value(&event))
                />
                <input
                    class="input" type="number" min=least step="any" aria-label=format!("{label} as a number")
                    aria-invalid=move || error.with(Option::is_some).then_some("true")
                    prop:value=move || value.get() on:change=move |event| set(event_target_value(&event))
                />
            </div>
            <p class="field-hint" id=hint_id>{hint}</p>
            <p class="field-error" role="alert">{move || error.get()}</p>
        </div>
    }
}

fn figures(question: &Question, answer: &Answer) -> Vec<Figure> {
    let model = question.model;
    let Answer { theorem, simulated, .. } = answer;
    let pair = |weights: &Weights| format!("{} · {}", format::decimal(weights.specific, 2), format::decimal(weights.cross, 2));
    let chance = |weights: Weights| format::percent(model.chance_to_beat_a_rival(weights));
    let label_smoothing = question.loss.label_smoothing();
    let limit = model.cross_class_limit(label_smoothing);
    let note = match () {
        () if limit == 0.0 => "w₂ is 0 for any ε".to_owned(),
        () if label_smoothing > 0.0 => format!("w₂ is 0 from here on; one-hot from {}", format::decimal(model.cross_class_limit(0.0), 3)),
        () => "w₂ is 0 from here on".to_owned(),
    };
    let name = if label_smoothing > 0.0 { "ε₁ = (μ − (1 − β)σ/√π)/2" } else { "ε₀ = (μ − σ/√π)/2" };
    vec![
        Figure::new(name, format::decimal(limit, 3), note),
        Figure::new("μ/2", format::decimal(model.specific_limit(), 3), "w₁ is 0 from here on"),
        Figure::new("w₁ · w₂, theorem", pair(theorem), format!("chance {}", chance(*theorem))),
        Figure::new("w₁ · w₂, simulated", pair(simulated), format!("chance {}", chance(*simulated))),
        Figure::new(
            "With w₂ = w₁",
            chance(Weights { specific: 1.0, cross: 1.0 }),
            if model.eps < model.specific_limit() { "the best chance there is" } else { "no better than no weights" },
        ),
    ]
}

/// Describes in words what holds at the chosen radius.
fn finding(question: &Question, answer: &Answer) -> String {
    let model = question.model;
    let eps = format::decimal(model.eps, 3);
    let Weights { specific, cross } = answer.simulated;
    let chance = |cross: f64| format::percent(model.chance_to_beat_a_rival(Weights { specific: 1.0, cross }));
    let label_smoothing = question.loss.label_smoothing();
    let (plain, limit) = (model.cross_class_limit(0.0), model.cross_class_limit(label_smoothing));
    let name = if label_smoothing > 0.0 { "ε₁" } else { "ε₀" };
    if model.eps >= model.specific_limit() {
        return format!(
            "At ε = {eps}, μ/2 or more, the attack takes away more than any feature gives: nothing is learned, whatever the loss."
        );
    }
    let ratio = if specific > 0.0 { cross / specific } else { 0.0 };
    match question.loss {
        Loss::Surrogate { .. } if (plain..limit).contains(&model.eps) => format!(
            "At ε = {eps}, between ε₀ = {} and ε₁ = {}, smoothed labels keep the cross-class features that one-hot labels give up: w₂ is {} of w₁.",
            format::decimal(plain, 3),
            format::decimal(limit, 3),
            format::percent(ratio)
        ),
        Loss::Surrogate { .. } if model.eps < limit => format!(
            "At ε = {eps}, below ε₀ = {}, cross-class features are in use: w₂ is {} of w₁, a share that falls as ε grows.",
            format::decimal(plain, 3),
            format::percent(ratio)
        ),
        Loss::Surrogate { .. } => format!(
            "At ε = {eps}, above {name} = {}, the surrogate gives cross-class features no weight, although they would help: the chance to beat a \
             rival is {} without them and {} with w₂ = w₁.",
            format::decimal(limit, 3),
            chance(0.0),
            chance(1.0)
        ),
        Loss::CrossEntropy { .. } => {
            let beyond = if model.eps >= limit {
                format!("The theorem says w₂ = 0 here, above {name} = {}; with cross-entropy", format::decimal(limit, 3))
            } else {
                "With cross-entropy".to_owned()
            };
            format!(
                "{beyond} there is no threshold: at ε = {eps} w₂ is {} of w₁, and keeps a share up to μ/2, a smaller one as ε grows.",
                format::percent(ratio)
            )
        }
    }
}

/// The numbers of the charts as a table.
#[component]
fn Table(course: Memo<(Question, Vec<Answer>)>) -> impl IntoView {
    const HEADS: [&str; 7] = ["ε", "w₁, theorem", "w₂, theorem", "w₁, simulated", "w₂, simulated", "Chance, theorem", "Chance, simulated"];
    let open = RwSignal::new(false);
    let row = |question: &Question, answer: &Answer| {
        let Answer { eps, theorem, simulated } = *answer;
        let chance = |weights| format::percent(Model { eps, ..question.model }.chance_to_beat_a_rival(weights));
        let weights = [theorem.specific, theorem.cross, simulated.specific, simulated.cross].map(|weight| format::decimal(weight, 3));
        let cells = weights.into_iter().chain([chance(theorem), chance(simulated)]);
        let cells = cells.map(|cell| view! { <td class="number">{cell}</td> }).collect_view();
        view! { <tr><th scope="row" class="number">{format::decimal(eps, 3)}</th>{cells}</tr> }
    };
    let rows = move || course.with(|(question, course)| course.iter().map(|answer| row(question, answer)).collect_view());
    view! {
        <details class="disclosure panel" on:toggle=move |event| open.set(is_open(&event))>
            <summary>"Data as a table"</summary>
            <div class="table-box table-box-tall" role="region" aria-label="Weights and chances over the radius" tabindex="0">
                <table class="table table-dense">
                    <thead><tr>{HEADS.map(|head| view! { <th scope="col" class="number">{head}</th> })}</tr></thead>
                    <tbody>{move || open.get().then(rows)}</tbody>
                </table>
            </div>
        </details>
    }
}

#[component]
fn Explanation() -> impl IntoView {
    let part = |title: &'static str, text: &[&'static str]| {
        let text: Vec<_> = text.iter().map(|text| view! { <p>{*text}</p> }).collect();
        view! { <section class="panel prose"><h2>{title}</h2>{text}</section> }
    };
    view! {
        <div class="pair-of-panels">
            {part("What the theorem says", &[
                "Each of three classes has a feature of its own, x_E, and each two of them share one, x_C. What is there is drawn from \
                 N(μ, σ²), what is not is 0. A linear classifier weighs own features with w₁ and shared ones with w₂, and an attack moves every feature \
                 by ε against the true class.",
                "The attack also picks the rival, so of two shared features only the weaker one counts: on average it is σ/√π below μ. \
                 Minimizing the largest margin of a rival plus λ/2·‖w‖² gives w₁ = (μ − 2ε)/λ and w₂ = (μ − σ/√π − 2ε)/λ, or 0 where that is \
                 negative. Shared features therefore vanish at ε₀ = (μ − σ/√π)/2, own ones only at μ/2.",
                "Yet shared features help: the chance to beat one rival under attack, Φ((w₁ + w₂)(μ − 2ε) / (σ√(w₁² + w₂²))), rises with w₂ up to w₁. \
                 That is how the paper explains robust overfitting: training drops what robustness needs.",
                "Theorem 3: with smoothed labels shared features last longer, up to ε₁ > ε₀, and w₂ is larger below. The smoothed surrogate \
                 here is ours: a share β of the loss counts the mean margin over both rivals, to which both shared features contribute. Then \
                 w₂ = (μ − (1 − β)σ/√π − 2ε)/λ and ε₁ = ε₀ + βσ/(2√π).",
                "Source: Wei, Guo, Wang, ICML 2025, arXiv 2506.05032.",
            ])}
            {part("Where it stops being true", &[
                "The threshold belongs to the surrogate loss, which is linear in the weights. Networks are trained with cross-entropy: choose it \
                 above. Then w₂ is above 0 wherever w₁ is, up to μ/2; only the share w₂/w₁ falls as ε grows. What the theorem calls vanishing is a tendency.",
                "In cross-entropy, label smoothing keeps margins small and so both weights; it does not bring a threshold.",
                "The model has three classes, independent features of one size, weights tied over classes and never negative, and no \
                 finite training set. It says in which direction robust training pushes, not what a network of a given size does, and nothing of when.",
                "Dots are minima over 2,500 draws that are the same for every ε, found by Newton steps; that they leave the lines a little even \
                 with the surrogate is sampling error.",
            ])}
        </div>
    }
}

fn exports_of(question: &Question) -> Vec<Export> {
    let address = question.address();
    let query = address.split_once('?').map(|(_, query)| format!("&{query}")).unwrap_or_default();
    let figure = |figure: TheoryFigure| {
        export(figure.label(), Exported::Chart, |format| format!("{}?chart={figure}&format={format}{query}", path::theory()))
    };
    let numbers = export("Numbers", Exported::Data, |format| format!("{}?format={format}{query}", path::theory()));
    TheoryFigure::iter().map(figure).chain([numbers]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Loss = Loss::Surrogate { label_smoothing: 0.0 };

    #[track_caller]
    fn check(eps: f64, loss: Loss, expected: &str) {
        let question = Question { model: Model { eps, ..Question::default().model }, loss };
        let said = finding(&question, &question.answer(&Samples::draw(SEED, DRAWS)));
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn what_is_said_follows_the_radius_and_the_loss() {
        let cross_entropy = Loss::CrossEntropy { label_smoothing: 0.0 };
        check(0.1, PLAIN, "below ε₀ = 0.331");
        check(0.4, PLAIN, "no weight, although they would help");
        check(0.5, PLAIN, "nothing is learned");
        let smoothed = Loss::Surrogate { label_smoothing: 0.3 };
        check(0.1, smoothed, "below ε₀ = 0.331");
        check(0.35, smoothed, "between ε₀ = 0.331 and ε₁ = 0.382");
        check(0.4, smoothed, "above ε₁ = 0.382");
        check(0.1, cross_entropy, "With cross-entropy there is no threshold");
        check(0.4, cross_entropy, "The theorem says w₂ = 0 here");
        check(0.6, cross_entropy, "nothing is learned");
    }

    #[test]
    fn a_radius_on_the_axis_changes_no_course() {
        let at = |eps| Question { model: Model { eps, ..Question::default().model }, ..Question::default() };
        assert!(same_course(&at(0.1), &at(0.6)));
        assert!(!same_course(&at(0.1), &at(0.7)), "the axis grows");
        assert!(!same_course(&at(0.1), &at(0.1).with("mean", "2").unwrap()));
    }

    #[test]
    fn every_slider_is_of_a_parameter_and_holds_its_default() {
        for (name, _, _, [least, largest, step]) in SLIDERS.into_iter().chain([SMOOTHING]) {
            let index = Question::PARAMETERS.iter().position(|known| *known == name).unwrap();
            let [value, least, largest, step]: [f64; 4] =
                [Question::default().values()[index].as_str(), least, largest, step].map(|text| text.parse().unwrap());
            assert!((least..=largest).contains(&value), "{name}");
            let steps = (value - least) / step;
            assert!((steps - steps.round()).abs() < 1e-9, "{name}: a slider would move {value}");
        }
    }
}
