//! The API against real run directories and a fake worker: a shell script that does what the name of the run says.

mod actions;
mod auth;
mod beyond;
mod changes;
mod datasets;
mod events;
mod faults;
mod figures;
mod lifecycle;
mod limits;
mod logs;
mod matrices;
mod monitoring;
mod old_data;
mod pages;
mod problems;
mod process;
mod proxies;
mod runs;
mod session;
mod shares;
mod shortage;
mod streams;
mod support;
mod table;
