//! What several areas' tests start and stop.

pub(crate) mod git;
pub(crate) mod git_fake;
pub(crate) mod git_server;
