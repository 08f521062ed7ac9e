//! A canvas as sharp as the screen: follows its box, the pixel ratio and the theme, and draws again when what it shows changes.

use leptos::html;
use leptos::prelude::*;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters_canvas::CanvasBackend;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;

/// The size of a canvas in CSS pixels, and how many pixels of the screen each is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Surface {
    pub width: f64,
    pub height: f64,
    pub scale: f64,
}

impl Surface {
    /// Width and height in pixels of the screen; none while there is nothing to draw on.
    fn pixels(self) -> Option<(u32, u32)> {
        let pixels = |length: f64| (length * self.scale).round() as u32;
        Some((pixels(self.width), pixels(self.height))).filter(|(width, height)| *width > 0 && *height > 0)
    }
}

pub type Area = DrawingArea<CanvasBackend, Shift>;

#[component]
pub fn Canvas(
    /// Set as soon as the size is known and whenever it changes.
    surface: RwSignal<Surface>,
    /// Pixels per CSS pixel at least: fine lines need two where the screen has one.
    #[prop(default = 1.0)]
    least_scale: f64,
    /// Puts the picture on an empty area; the signals it reads decide when it is called again.
    draw: impl Fn(&Area, Surface) + 'static,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
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
            // The closure has to live as long as what calls it.
            let kept = StoredValue::new_local(Some((observer, callback)));
            on_cleanup(move || {
                if let Some(Some((observer, _))) = kept.try_update_value(Option::take) {
                    observer.disconnect();
                }
            });
        }
    });
    Effect::new(move || {
        let (Some(canvas), surface) = (canvas.get(), surface.get()) else { return };
        let Some((width, height)) = surface.pixels() else { return };
        // Setting the size also wipes the canvas.
        canvas.set_width(width);
        canvas.set_height(height);
        if let Some(backend) = CanvasBackend::with_canvas_object(canvas) {
            draw(&backend.into_drawing_area(), surface);
        }
    });
    view! { <canvas class="canvas" node_ref=canvas aria-hidden="true"></canvas> }
}

/// Where a pointer is over the element that listens, in CSS pixels.
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
