//! Scenarios of what people do with CrossLens, in a real browser with the real server and worker.

mod accessibility;
mod appearance;
mod boot;
mod curves;
mod data;
mod dossier;
mod explore;
mod forms;
mod import;
mod kinds;
mod lanes;
mod listeners;
mod live;
mod many;
mod programs;
mod runs;
mod session;
mod share;
mod table;
mod time;
mod trash;
mod trouble;
