//! The controls above curves: a switch for each curve, the scale of the loss axis and the range of epochs.
//! Also the selection of a range by dragging.

use leptos::prelude::*;
use plotters::style::RGBColor;
use shared::chart::axes::EpochAxes;
use shared::view::{CurvesLens, Lens, LossScale};
use wasm_bindgen::JsCast;

use super::canvas::position;
use super::lens_bar::Segments;
use crate::url_state::UrlState;

/// Factor of the visible epochs per zoom step.
pub const ZOOM_STEP: f64 = 0.5;
/// Fraction of the visible epochs by which a pan step moves.
pub const PAN_STEP: f64 = 0.5;
/// A pointer that moved less than this has clicked, not dragged.
const CLICK_PIXELS: f64 = 5.0;

/// A curve that can be hidden.
#[derive(Clone, Debug, PartialEq)]
pub struct Switch {
    /// One of [`shared::view::CURVES`].
    pub id: &'static str,
    pub name: String,
    /// Color of the line; `None` if the switch is for lines of several colors.
    pub color: Option<RGBColor>,
    pub dashed: bool,
}

#[component]
pub fn CurvesBar(
    lens: UrlState<Lens>,
    #[prop(into)] switches: Signal<Vec<Switch>>,
    /// First and last visible epoch.
    #[prop(into)]
    epochs_shown: Signal<(u32, u32)>,
    /// Last epoch of the whole axis.
    #[prop(into)]
    epochs: Signal<u32>,
    /// Whether the loss axis is logarithmic; `None` if no loss is visible.
    #[prop(into)]
    loss_is_log: Signal<Option<bool>>,
) -> impl IntoView {
    let shows = move |id: &'static str| lens.get().curves.shows(id);
    let switch = move |switch: Switch| {
        let Switch { id, name, color, dashed } = switch;
        let title = name.clone();
        let stroke = color.map_or("currentColor".to_owned(), |RGBColor(red, green, blue)| format!("rgb({red} {green} {blue})"));
        view! {
            <button
                class="curve-switch" type="button" aria-pressed=move || shows(id).to_string() title=title
                on:click=move |_| lens.update(|lens| lens.curves.switch(id))
            >
                <svg viewBox="0 0 18 8" width="18" height="8" aria-hidden="true">
                    <path d="M0 4H18" stroke=stroke stroke-width=if dashed { "1.5" } else { "2.5" } stroke-dasharray=dashed.then_some("4 3")/>
                </svg>
                <span>{name}</span>
            </button>
        }
    };
    let show = move |epochs: Option<(u32, u32)>| lens.update(|lens| lens.curves.epochs = epochs);
    let zoom = move |factor: f64| show(zoomed(epochs_shown.get_untracked(), epochs.get_untracked(), None, factor));
    let pan = move |part: f64| show(moved(epochs_shown.get_untracked(), epochs.get_untracked(), part));
    let in_part = Memo::new(move |_| {
        let (epochs_shown, epochs) = (epochs_shown.get(), epochs.get());
        (epochs_shown != (0, epochs)).then(|| format!("Epochs {} to {}", epochs_shown.0, epochs_shown.1))
    });
    let at_start = Memo::new(move |_| epochs_shown.get().0 == 0);
    let at_end = Memo::new(move |_| epochs_shown.get().1 >= epochs.get());
    let button = move |name: &'static str, sign: &'static str, act: Callback<()>, disabled: Signal<bool>| {
        view! {
            <button class="button button-small" type="button" aria-label=name title=name disabled=move || disabled.get() on:click=move |_| act.run(())>
                <span aria-hidden="true">{sign}</span>
            </button>
        }
    };
    let has_log = Memo::new(move |_| loss_is_log.get().is_some());
    let axis = Signal::derive(move || if loss_is_log.get() == Some(true) { LossScale::Log } else { LossScale::Linear });
    view! {
        <div class="curves-bar">
            <div class="curve-switches" role="group" aria-label="Curves">{move || switches.get().into_iter().map(switch).collect_view()}</div>
            <Show when=move || has_log.get()>
                <Segments
                    legend="Loss axis" name="loss-axis" options=vec![(LossScale::Linear, "Linear"), (LossScale::Log, "Log")] value=axis
                    set=move |loss| lens.update(|lens| lens.curves.loss = loss)
                />
            </Show>
            <div class="curves-zoom" role="group" aria-label="Epochs in sight">
                <span class="curves-epochs_shown" aria-live="polite">{move || in_part.get().unwrap_or_else(|| "All epochs".to_owned())}</span>
                {button("Zoom in", "+", Callback::new(move |()| zoom(ZOOM_STEP)), Signal::derive(move || epochs_shown.get().1 - epochs_shown.get().0 <= 1))}
                {button("Zoom out", "−", Callback::new(move |()| zoom(1.0 / ZOOM_STEP)), Signal::derive(move || in_part.get().is_none()))}
                {button("Earlier epochs", "‹", Callback::new(move |()| pan(-PAN_STEP)), Signal::derive(move || at_start.get()))}
                {button("Later epochs", "›", Callback::new(move |()| pan(PAN_STEP)), Signal::derive(move || at_end.get()))}
                <Show when=move || in_part.get().is_some()>
                    <button class="button button-small" type="button" on:click=move |_| show(None)>"Show all epochs"</button>
                </Show>
            </div>
        </div>
    }
}

/// The range of epochs after a key press; `None` for other keys. Zooming keeps the epoch `about` where it is.
pub fn by_key(lens: &CurvesLens, epochs: u32, key: &str, shift: bool, about: Option<u32>) -> Option<Option<(u32, u32)>> {
    let epochs_shown = lens.sight(epochs);
    match (key, shift) {
        ("+" | "=", _) => Some(zoomed(epochs_shown, epochs, about, ZOOM_STEP)),
        ("-" | "−" | "_", _) => Some(zoomed(epochs_shown, epochs, about, 1.0 / ZOOM_STEP)),
        ("0", _) => Some(None),
        ("ArrowLeft", true) => Some(moved(epochs_shown, epochs, -PAN_STEP)),
        ("ArrowRight", true) => Some(moved(epochs_shown, epochs, PAN_STEP)),
        ("Escape", _) => lens.epochs.map(|_| None),
        _ => None,
    }
}

/// The range after zooming by `factor`; `None` if it contains all epochs.
fn zoomed(epochs_shown: (u32, u32), epochs: u32, about: Option<u32>, factor: f64) -> Option<(u32, u32)> {
    let (first, last) = (f64::from(epochs_shown.0), f64::from(epochs_shown.1));
    let about = about.map(f64::from).filter(|epoch| (first..=last).contains(epoch)).unwrap_or((first + last) / 2.0);
    let span = ((last - first) * factor).round().clamp(1.0, f64::from(epochs));
    let part = if last > first { (about - first) / (last - first) } else { 0.5 };
    within((about - part * span).round(), span, epochs)
}

/// The range moved by `part` of its length; negative values move to earlier epochs.
fn moved(epochs_shown: (u32, u32), epochs: u32, part: f64) -> Option<(u32, u32)> {
    let span = f64::from(epochs_shown.1 - epochs_shown.0);
    let step = (span * part.abs()).round().max(1.0).copysign(part);
    within(f64::from(epochs_shown.0) + step, span, epochs)
}

fn within(first: f64, span: f64, epochs: u32) -> Option<(u32, u32)> {
    let first = first.clamp(0.0, (f64::from(epochs) - span).max(0.0)) as u32;
    let last = (first + span as u32).min(epochs);
    ((first, last) != (0, epochs)).then_some((first, last))
}

/// A range of epochs selected by dragging over a plot.
#[derive(Clone, Copy)]
pub struct RangeDrag {
    axes: Signal<Option<EpochAxes>>,
    lens: UrlState<Lens>,
    /// Where the drag started, and where the pointer is, in CSS pixels.
    ends: RwSignal<Option<(f64, f64)>>,
    /// Whether the pointer has dragged. The click at the end of a drag is then ignored.
    dragged: StoredValue<bool>,
}

impl RangeDrag {
    pub fn new(axes: Signal<Option<EpochAxes>>, lens: UrlState<Lens>) -> Self {
        RangeDrag { axes, lens, ends: RwSignal::new(None), dragged: StoredValue::new(false) }
    }

    pub fn down(self, event: &web_sys::PointerEvent) {
        self.dragged.set_value(false);
        if event.button() == 0 && event.is_primary() {
            self.ends.set(position(event).map(|(x, _)| (x, x)));
        }
    }

    /// Handles a pointer move and returns whether a range is being dragged. If so, no epoch is under the
    /// pointer.
    pub fn moved(self, event: &web_sys::PointerEvent) -> bool {
        let Some((from, before)) = self.ends.get_untracked() else { return false };
        // The button was released outside the plot.
        if event.buttons() & 1 == 0 {
            self.ends.set(None);
            return false;
        }
        let Some((x, _)) = position(event) else { return false };
        if (x - from).abs() >= CLICK_PIXELS && !self.dragged.get_value() {
            self.dragged.set_value(true);
            if let Some(element) = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok()) {
                // Fails if the pointer has just left. The drag then ends at the edge of the plot.
                let _ = element.set_pointer_capture(event.pointer_id());
            }
        }
        if x != before {
            self.ends.set(Some((from, x)));
        }
        self.dragged.get_value()
    }

    pub fn up(self) {
        let Some((from, to)) = self.ends.get_untracked() else { return };
        self.ends.set(None);
        if let (true, Some(axes)) = (self.dragged.get_value(), self.axes.get_untracked()) {
            self.lens.update(|lens| lens.curves.epochs = Some(axes.epochs_between(from, to)));
        }
    }

    pub fn cancel(self) {
        self.ends.set(None);
    }

    /// Whether a click is the end of a drag.
    pub fn takes_click(self) -> bool {
        let dragged = self.dragged.get_value();
        self.dragged.set_value(false);
        dragged
    }

    /// Shows all epochs again.
    pub fn reset(self) {
        if self.lens.get_untracked().curves.epochs.is_some() {
            self.lens.update(|lens| lens.curves.epochs = None);
        }
    }

    /// Shows the range while it is dragged.
    pub fn view(self) -> impl IntoView {
        move || {
            let (from, to) = self.ends.get().filter(|(from, to)| (to - from).abs() >= CLICK_PIXELS)?;
            let axes = self.axes.get()?;
            let [left, right] = [from.min(to), from.max(to)].map(|x| x.clamp(axes.plot.left, axes.plot.right()));
            let (top, height) = (axes.plot.top, axes.bottom() - axes.plot.top);
            Some(view! {
                <div
                    class="curves-range" style:left=format!("{left:.1}px") style:width=format!("{:.1}px", right - left)
                    style:top=format!("{top:.1}px") style:height=format!("{height:.1}px")
                ></div>
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_keeps_the_epoch_it_is_about_and_stays_inside() {
        assert_eq!(zoomed((0, 60), 60, None, 0.5), Some((15, 45)));
        assert_eq!(zoomed((0, 60), 60, Some(60), 0.5), Some((30, 60)));
        assert_eq!(zoomed((15, 45), 60, None, 2.0), None, "all of them is no part");
        assert_eq!(zoomed((50, 60), 60, None, 2.0), Some((40, 60)));
        assert_eq!(zoomed((12, 13), 60, None, 0.5), Some((12, 13)), "one step is the least");
        assert_eq!(zoomed((0, 1), 1, None, 0.5), None);
    }

    #[test]
    fn panning_ends_at_the_first_and_the_last_epoch() {
        assert_eq!(moved((20, 40), 60, 0.5), Some((30, 50)));
        assert_eq!(moved((45, 60), 60, 0.5), Some((45, 60)));
        assert_eq!(moved((5, 25), 60, -0.5), Some((0, 20)));
        assert_eq!(moved((3, 4), 60, -0.5), Some((2, 3)));
    }

    #[test]
    fn keys_zoom_pan_and_show_all() {
        let part = CurvesLens { epochs: Some((20, 40)), ..CurvesLens::default() };
        let key = |lens: &CurvesLens, key: &str, shift: bool| by_key(lens, 60, key, shift, Some(30));
        assert_eq!(key(&part, "+", false), Some(Some((25, 35))));
        assert_eq!(key(&part, "-", false), Some(Some((10, 50))));
        assert_eq!(key(&part, "ArrowRight", true), Some(Some((30, 50))));
        assert_eq!((key(&part, "0", false), key(&part, "Escape", false)), (Some(None), Some(None)));
        assert_eq!((key(&part, "ArrowRight", false), key(&CurvesLens::default(), "Escape", false)), (None, None));
    }
}
