//! Canvases in the resolution of the screen. They follow the size of their box, the pixel ratio and the
//! theme, and redraw when their content changes.
//!
//! [`Canvas`] draws charts. [`Raster`] draws one image, or a part of it, into a square with a single call,
//! whatever its number of pixels.

use leptos::html;
use leptos::prelude::*;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters_canvas::CanvasBackend;
use shared::chart::{ChartError, Rect};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

/// The size of a canvas in CSS pixels, and the number of screen pixels per CSS pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Surface {
    pub width: f64,
    pub height: f64,
    pub scale: f64,
}

impl Surface {
    /// Width and height in screen pixels; `None` if either is 0.
    fn pixels(self) -> Option<(u32, u32)> {
        let pixels = |length: f64| (length * self.scale).round() as u32;
        Some((pixels(self.width), pixels(self.height))).filter(|(width, height)| *width > 0 && *height > 0)
    }
}

pub type Area = DrawingArea<CanvasBackend, Shift>;

#[component]
pub fn Canvas(
    /// Set to the size of the canvas as soon as it is known, and whenever it changes.
    #[prop(optional)]
    surface: RwSignal<Surface>,
    /// The least number of pixels per CSS pixel: fine lines need two even if the screen has one.
    #[prop(default = 1.0)]
    least_scale: f64,
    /// Draws on an empty area. Called again when a signal that it reads changes.
    draw: impl Fn(&Area, Surface) -> Result<(), ChartError> + 'static,
) -> impl IntoView {
    canvas(surface, least_scale, Box::new(draw))
}

type Draw = Box<dyn Fn(&Area, Surface) -> Result<(), ChartError>>;

/// Compiled only once, and not again for each type of `draw`.
fn canvas(surface: RwSignal<Surface>, least_scale: f64, draw: Draw) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    follow(canvas, surface, least_scale);
    Effect::new(move || {
        let (Some(canvas), surface) = (canvas.get(), surface.get()) else { return };
        if !sized(&canvas, surface) {
            return;
        }
        // Drawing should not fail. If it does, the table beside the canvas has the same numbers.
        if let Some(backend) = CanvasBackend::with_canvas_object(canvas)
            && let Err(error) = draw(&backend.into_drawing_area(), surface)
        {
            leptos::logging::error!("{error}");
        }
    });
    view! { <canvas class="canvas" node_ref=canvas aria-hidden="true"></canvas> }
}

/// A square image, one pixel for each cell of a matrix.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pixels {
    /// Pixels per side.
    pub side: u32,
    /// Red, green, blue and alpha of each pixel, row by row.
    pub rgba: Vec<u8>,
}

/// The part of an image to show, in image pixels, and the square to show it in, in CSS pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Placement {
    pub row: f64,
    pub column: f64,
    pub span: f64,
    pub target: Rect,
}

#[component]
pub fn Raster(
    /// As for [`Canvas`].
    surface: RwSignal<Surface>,
    pixels: Memo<Pixels>,
    placement: Memo<Placement>,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    follow(canvas, surface, 1.0);
    let image = StoredValue::new_local(None::<HtmlCanvasElement>);
    let changed = Trigger::new();
    Effect::new(move || {
        image.update_value(|image| *image = pixels.with(|pixels| image_of(image.take(), pixels)));
        changed.notify();
    });
    Effect::new(move || {
        changed.track();
        let (Some(canvas), surface, placement) = (canvas.get(), surface.get(), placement.get()) else { return };
        if sized(&canvas, surface) {
            image.with_value(|image| image.as_ref().and_then(|image| place(&canvas, image, placement, surface.scale)));
        }
    });
    view! { <canvas class="canvas" node_ref=canvas aria-hidden="true"></canvas> }
}

/// Makes a canvas outside the page to draw from; reuses `former` if it has the right size. `None` if there is
/// no image.
fn image_of(former: Option<HtmlCanvasElement>, pixels: &Pixels) -> Option<HtmlCanvasElement> {
    let image = match former.filter(|former| former.width() == pixels.side) {
        Some(former) => former,
        None => {
            let image: HtmlCanvasElement = document().create_element("canvas").ok()?.unchecked_into();
            image.set_width(pixels.side);
            image.set_height(pixels.side);
            image
        }
    };
    let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels.rgba), pixels.side, pixels.side).ok()?;
    context(&image)?.put_image_data(&data, 0.0, 0.0).ok()?;
    Some(image)
}

fn place(canvas: &HtmlCanvasElement, image: &HtmlCanvasElement, placement: Placement, scale: f64) -> Option<()> {
    let Placement { row, column, span, target } = placement;
    let context = context(canvas)?;
    // Cells are flat squares at every size.
    context.set_image_smoothing_enabled(false);
    let [left, top, side] = [target.left, target.top, target.width].map(|length| (length * scale).round());
    context
        .draw_image_with_html_canvas_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
            image, column, row, span, span, left, top, side, side,
        )
        .ok()
}

fn context(canvas: &HtmlCanvasElement) -> Option<CanvasRenderingContext2d> {
    canvas.get_context("2d").ok()??.dyn_into().ok()
}

/// Keeps `surface` equal to the size of the canvas on the page.
fn follow(canvas: NodeRef<html::Canvas>, surface: RwSignal<Surface>, least_scale: f64) {
    Effect::new(move || {
        let Some(canvas) = canvas.get() else { return };
        let measure = {
            let canvas = canvas.clone();
            move || {
                let rect = canvas.get_bounding_client_rect();
                let measured =
                    Surface { width: rect.width(), height: rect.height(), scale: window().device_pixel_ratio().max(least_scale) };
                if surface.try_get_untracked().is_some_and(|known| known != measured) {
                    surface.set(measured);
                }
            }
        };
        measure();
        let callback = Closure::<dyn Fn()>::new(measure);
        if let Ok(observer) = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()) {
            observer.observe(&canvas);
            // The closure must live as long as the observer.
            let kept = StoredValue::new_local(Some((observer, callback)));
            on_cleanup(move || {
                if let Some(Some((observer, _))) = kept.try_update_value(Option::take) {
                    observer.disconnect();
                }
            });
        }
    });
}

/// Gives the canvas the size in screen pixels and clears it. Returns whether the canvas has an area.
fn sized(canvas: &HtmlCanvasElement, surface: Surface) -> bool {
    let Some((width, height)) = surface.pixels() else { return false };
    // Setting the size also clears the canvas, but allocates it again, so this is done only if the size has
    // changed.
    match context(canvas).filter(|_| (canvas.width(), canvas.height()) == (width, height)) {
        Some(context) => context.clear_rect(0.0, 0.0, f64::from(width), f64::from(height)),
        None => {
            canvas.set_width(width);
            canvas.set_height(height);
        }
    }
    true
}

/// Position of a pointer relative to the listening element, in CSS pixels.
pub fn position(event: &web_sys::MouseEvent) -> Option<(f64, f64)> {
    let target: web_sys::Element = event.current_target()?.dyn_into().ok()?;
    let rect = target.get_bounding_client_rect();
    Some((f64::from(event.client_x()) - rect.left(), f64::from(event.client_y()) - rect.top()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_surface_has_the_pixels_of_the_screen() {
        assert_eq!(Surface { width: 300.4, height: 200.0, scale: 1.5 }.pixels(), Some((451, 300)));
        assert_eq!(Surface { width: 0.0, height: 10.0, scale: 2.0 }.pixels(), None);
    }
}
