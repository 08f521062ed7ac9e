//! What people do with CrossLens, done in a real browser against the real server and worker.

mod accessibility;
mod curves;
mod data;
mod dossier;
mod explore;
mod import;
mod kinds;
mod live;
mod runs;
mod session;
mod share;
mod table;
mod time;
mod trouble;
