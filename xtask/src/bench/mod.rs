//! Measurements of speed: of the pages in a browser, of the server, and of the engine beside loops in PyTorch.

pub mod engine;
pub mod pages;
mod results;
pub mod server;
