//! The server, the machine it runs on, and the worker.

use serde::{Deserialize, Serialize};

/// `GET /api/health`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    pub version: String,
    pub worker: WorkerStatus,
    pub queued: u32,
    pub running: u32,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Whether training can run here, and on what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// The worker is being asked; takes a few seconds after the server's start.
    Starting,
    Ready(Probe),
    /// The worker could not be started or could not load libtorch; says why.
    Broken {
        message: String,
    },
}

/// What `worker --probe` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Probe {
    pub engine: String,
    pub libtorch: String,
    pub devices: Vec<Device>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// As in a configuration: `cpu`, `cuda:0`.
    pub id: String,
    pub name: String,
    /// Of a GPU, all of it; absent for the CPU, which takes the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// `GET /api/system`: the server, the machine it runs on, and what it keeps there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct System {
    pub version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub uptime_secs: u64,
    /// The operating system and its processors, `Linux x86_64`.
    pub platform: String,
    pub processors: u32,
    pub memory: Memory,
    pub worker: WorkerStatus,
    /// The path of the program that trains.
    pub worker_program: String,
    pub storage: Storage,
    /// What a person should see to, in sentences: a full disk, a database that takes no changes.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The machine's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Memory {
    pub total_bytes: u64,
    /// What programs could still take.
    pub available_bytes: u64,
}

/// Where the server keeps things, and how much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Storage {
    pub data_dir: String,
    pub datasets_dir: String,
    /// Run directories, of runs in whatever state.
    pub runs: u32,
    pub runs_bytes: u64,
    /// Of the file system that holds the data folder.
    pub total_bytes: u64,
    pub free_bytes: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_status_of_a_worker_stands_beside_its_fields() {
        let probe = Probe { engine: "0.1.0".into(), libtorch: "2.11.0".into(), devices: Vec::new() };
        for (status, expected) in [
            (WorkerStatus::Starting, json!({"status": "starting"})),
            (WorkerStatus::Ready(probe), json!({"status": "ready", "engine": "0.1.0", "libtorch": "2.11.0", "devices": []})),
            (WorkerStatus::Broken { message: "no".into() }, json!({"status": "broken", "message": "no"})),
        ] {
            assert_eq!(serde_json::to_value(&status).unwrap(), expected);
            assert_eq!(serde_json::from_value::<WorkerStatus>(expected).unwrap(), status);
        }
    }
}
