//! The node's own configuration, which Git cannot loosen.
//!
//! In: `/etc/tidegate/agent.toml` and its drop-ins. Out: settings. Effect: reads those files.

mod policy;

pub use policy::NodePolicy;
