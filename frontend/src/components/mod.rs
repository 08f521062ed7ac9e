//! Components that several pages use.

pub mod badge;
pub mod canvas;
pub mod class_bars;
pub mod copy;
pub mod curves;
pub mod curves_bar;
pub mod dialog;
pub mod dossier;
pub mod explorer;
pub mod exports;
pub mod field;
pub mod health;
pub mod heatmap;
pub mod key_figures;
pub mod labels;
pub mod lens_bar;
pub mod palette;
pub mod plot;
pub mod reopen;
pub mod run_actions;
pub mod run_picker;
pub mod saliency_map;
pub mod share;
pub mod sign_out;
pub mod sort_head;
pub mod spark;
