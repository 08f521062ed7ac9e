//! The API against real run directories and a fake worker: a shell script that does what the name of the run says.

mod auth;
mod beyond;
mod datasets;
mod figures;
mod lifecycle;
mod matrices;
mod pages;
mod problems;
mod process;
mod runs;
mod shares;
mod streams;
mod support;
mod table;
