//! Images with a saliency map on top, which shows where the network looks.

use leptos::html;
use leptos::prelude::*;
use shared::chart::colors::Theme;
use shared::id::CheckpointId;
use wasm_bindgen::{Clamped, JsCast};
use web_sys::{CanvasRenderingContext2d, ImageData};

/// The map alone, on a canvas in the map's own resolution. The browser smooths it over the image.
#[component]
pub fn SaliencyOverlay(
    /// Values in `[0, 1]`, row by row.
    map: Vec<Vec<f32>>,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    Effect::new(move || {
        let Some(canvas) = canvas.get() else { return };
        let (width, height) = (map.first().map_or(0, Vec::len) as u32, map.len() as u32);
        canvas.set_width(width);
        canvas.set_height(height);
        let context = canvas.get_context("2d").ok().flatten().and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok());
        let pixels = pixels(&map);
        // Fails for an empty map, which needs no drawing.
        let image = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&pixels), width, height);
        if let (Some(context), Ok(image)) = (context, image) {
            let _ = context.put_image_data(&image, 0.0, 0.0);
        }
    });
    view! { <canvas class="saliency-map" node_ref=canvas aria-hidden="true"></canvas> }
}

/// Red, green, blue and alpha of each value. Where the value is 0, the image stays visible.
fn pixels(map: &[Vec<f32>]) -> Vec<u8> {
    // Always the color of the dark theme: the map lies on images, not on the page.
    let color = Theme::Dark.palette().series[1];
    let value = |value: &f32| [color.0, color.1, color.2, (value.clamp(0.0, 1.0) * 255.0).round() as u8];
    map.iter().flatten().flat_map(value).collect()
}

/// For example `Epoch 12`, and the run if the checkpoints are of several runs.
pub fn checkpoint_name(checkpoints: &[CheckpointId], index: usize) -> (String, Option<String>) {
    let Some(CheckpointId { run, epoch }) = checkpoints.get(index) else { return (String::new(), None) };
    let several = checkpoints.iter().any(|other| other.run != *run);
    (format!("Epoch {epoch}"), several.then(|| run.to_string()))
}

/// A PNG in base64 as a data URL.
pub fn data_url(png: &str) -> String {
    format!("data:image/png;base64,{png}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_by_its_epoch_and_by_its_run_where_there_are_several() {
        let names = |checkpoints: &[&str]| {
            let checkpoints: Vec<CheckpointId> = checkpoints.iter().map(|name| name.parse().unwrap()).collect();
            checkpoint_name(&checkpoints, 0)
        };
        assert_eq!(names(&["at-1.e4", "at-1.e9"]), ("Epoch 4".to_owned(), None));
        assert_eq!(names(&["at-1.e4", "at-2.e9"]), ("Epoch 4".to_owned(), Some("at-1".to_owned())));
    }

    #[test]
    fn a_map_hides_nothing_where_it_is_zero() {
        let pixels = pixels(&[vec![0.0, 0.5], vec![1.0, 2.0]]);
        assert_eq!(pixels.chunks(4).map(|pixel| pixel[3]).collect::<Vec<_>>(), [0, 128, 255, 255]);
    }
}
