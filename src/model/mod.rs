//! The nouns that every stage shares, each parsed once at the edge.
//!
//! In: text. Out: types that can only hold what the design allows. Pure.

pub mod accounts;
pub mod archive;
pub mod check_schedule;
pub mod commit;
pub mod cron;
pub mod diagnostic;
pub mod digest;
pub mod docker_hub;
pub mod duration;
pub mod host_path;
pub mod image;
pub mod kernel_parameter;
pub mod managed;
pub mod mode;
pub mod mounts;
pub mod names;
pub mod objects;
pub mod path_state;
pub mod revision;
pub mod schedule;
pub mod seen;
pub mod selector;
pub mod size;
pub mod version;
pub mod version_order;

pub use accounts::{AccountTables, GroupEntry, UserEntry};
pub use check_schedule::{CheckSchedule, Share};
pub use commit::{CommitId, ObjectId};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use digest::{Digest, ImageId};
pub use host_path::HostPath;
pub use image::{Hub, ImageReference, RepositoryPath};
pub use managed::{Attributes, Move, Offer, PackageManager, Thing};
pub use mode::Mode;
pub use mounts::MountSeen;
pub use names::{
    AppName, ConfigName, ContainerName, EnvironmentName, Instance, NetworkName, NodeName, RuleName,
    RulesetName, ServiceName, VolumeName,
};
pub use objects::{Objects, ObjectsError};
pub use path_state::{PathState, Permissions};
pub use revision::Revision;
pub use schedule::{Freeze, Window};
pub use selector::Selector;
pub use version::tag_version;
pub use version_order::VersionOrder;
