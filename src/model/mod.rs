//! The nouns that every stage shares, each parsed once at the edge.
//!
//! In: text. Out: types that can only hold what the design allows. Pure.

pub mod commit;
pub mod diagnostic;
pub mod digest;
pub mod duration;
pub mod image;
pub mod mode;
pub mod names;
pub mod objects;
pub mod revision;
pub mod schedule;
pub mod selector;
pub mod size;
pub mod version;

pub use commit::{CommitId, ObjectId};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use digest::{Digest, ImageId};
pub use image::{Hub, ImageReference, RepositoryPath};
pub use mode::Mode;
pub use names::{
    AppName, ConfigName, ContainerName, EnvironmentName, Instance, NetworkName, NodeName,
    RulesetName, ServiceName, VolumeName,
};
pub use objects::{Objects, ObjectsError};
pub use revision::Revision;
pub use schedule::{Freeze, Window};
pub use selector::Selector;
pub use version::tag_version;
