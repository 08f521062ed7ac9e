//! The server, its machine and the worker.

use serde::{Deserialize, Serialize};

/// `GET /api/health`: state of the server and the worker.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// Version of the server.
    pub version: String,
    /// State of the worker.
    pub worker: WorkerStatus,
    /// Number of queued runs.
    pub queued: u32,
    /// Number of running runs.
    pub running: u32,
    /// Number of days that a deleted run can be restored. 0: runs are deleted at once.
    pub trash_days: u32,
    /// Whether imported programs are run: the server was started with `--allow-programs`.
    #[serde(default)]
    pub allow_programs: bool,
    /// Problems that need attention, in sentences, such as a full disk or a database that cannot be written.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Whether the worker can run, and its devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// The server is probing the worker; this takes a few seconds after its start.
    Starting,
    Ready(Probe),
    /// The worker could not start or could not load libtorch; `message` says why.
    Broken {
        message: String,
    },
}

/// Output of `worker --probe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Probe {
    /// Version of the engine.
    pub engine: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// Devices of this machine.
    pub devices: Vec<Device>,
}

/// A device that runs can use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Device {
    /// Name used in configurations, such as `cpu` or `cuda:0`.
    pub id: String,
    /// Product name of a GPU, or the number of CPU threads.
    pub name: String,
    /// Total memory of a GPU; absent for the CPU, which uses the machine's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Whether it computes with bfloat16.
    #[serde(default)]
    pub bf16: bool,
    /// Products per second that it computes in a step of an attack, by a short measurement at the start; absent if nobody measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiply_adds_per_sec: Option<f64>,
}

/// `GET /api/system`: the server, its machine and its stored data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct System {
    /// Version of the server.
    pub version: String,
    /// Start time of the server: RFC 3339, UTC.
    pub started_at: String,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Operating system and processor architecture, such as `Linux x86_64`.
    pub platform: String,
    /// Number of processors.
    pub processors: u32,
    /// Memory of the machine.
    pub memory: Memory,
    /// State of the worker.
    pub worker: WorkerStatus,
    /// Path of the worker program.
    pub worker_program: String,
    /// Stored data.
    pub storage: Storage,
    /// Problems that need attention, in sentences, such as a full disk or a database that cannot be written.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Memory of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Memory {
    /// All memory of the machine.
    pub total_bytes: u64,
    /// Memory that programs can still allocate.
    pub available_bytes: u64,
}

/// Folders of the server and their size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Storage {
    /// Folder of database and run directories.
    pub data_dir: String,
    /// Folder of downloaded data sets.
    pub datasets_dir: String,
    /// Number of run directories, whatever the state of their runs.
    pub runs: u32,
    /// Size of all run directories.
    pub runs_bytes: u64,
    /// Size of the file system that holds the data folder.
    pub total_bytes: u64,
    /// Free space of that file system.
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
