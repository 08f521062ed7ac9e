//! Lanes: the places where runs can go, on this machine and on others.

use serde::{Deserialize, Serialize};

use super::Probe;

/// `GET /api/lanes`: where runs can go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lanes {
    /// Path of the file that describes the lanes beyond this machine; absent if there is none.
    pub file: Option<String>,
    /// The lanes, those of this machine first.
    pub lanes: Vec<Lane>,
}

/// A place where runs can go: a device of this machine, a partition of a cluster, a GPU of another host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Lane {
    /// Name that the field `device` of a configuration asks for.
    pub name: String,
    /// What starts workers there.
    pub kind: LaneKind,
    /// What it offers, for people, such as `partition gpu, 1 GPU, 4:00:00`.
    pub text: String,
    /// How many runs it takes at once; absent if its engine decides.
    pub at_once: Option<u32>,
    /// Whether `auto` may choose it.
    pub auto: bool,
    /// Products per second that its device computes, by a short measurement; absent if nobody has measured.
    pub multiply_adds_per_sec: Option<f64>,
    /// Why nothing can start there or be heard from there, in a sentence; absent if all is well.
    pub trouble: Option<String>,
}

/// What starts the workers of a lane.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LaneKind {
    /// A device of this machine.
    Local,
    /// A Slurm cluster.
    Slurm,
    /// A host that is reached by ssh.
    Ssh,
    /// Commands of the user, for any other engine.
    Command,
}

impl LaneKind {
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    pub fn id(self) -> &'static str {
        self.into()
    }

    pub fn label(self) -> &'static str {
        match self {
            LaneKind::Local => "This machine",
            LaneKind::Slurm => "Slurm",
            LaneKind::Ssh => "ssh",
            LaneKind::Command => "Commands",
        }
    }

    /// Whether its engine limits how many of those that it was given together run at once.
    pub fn has_arrays(self) -> bool {
        self == LaneKind::Slurm
    }

    /// Whether its jobs have an end that their engine tells while they run.
    pub fn has_time_limits(self) -> bool {
        self == LaneKind::Slurm
    }

    /// Whether runs may wait there after they were handed over.
    pub fn queues(self) -> bool {
        match self {
            LaneKind::Slurm | LaneKind::Command => true,
            LaneKind::Local | LaneKind::Ssh => false,
        }
    }
}

/// `POST /api/lanes/{name}/try`: what a worker says that was started on the lane only to say it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneTrial {
    /// Its answer.
    pub probe: Probe,
    /// How long that took.
    pub seconds: f64,
}

/// A run as the engine of its lane knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Job {
    /// Name under which the server has handed it over.
    pub name: String,
    /// Name that the engine has given it, such as `1234_7`; absent until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it is.
    pub standing: JobStanding,
    /// How often it was submitted again after its time was up.
    #[serde(default)]
    pub resubmissions: u32,
    /// How often it had to make room for others, or its engine has started it again.
    #[serde(default)]
    pub interruptions: u32,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum JobStanding {
    /// It is being handed over.
    Submitting,
    /// It waits in the engine.
    Waiting {
        /// Why, in a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// When the engine expects to start it: RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<String>,
    },
    Running {
        /// Name of the machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// When its time is up: RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<String>,
    },
    /// It is over, or goes back to the queue.
    Over,
}
