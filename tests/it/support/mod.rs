//! What several areas' tests start and stop.

pub(crate) mod booted;
pub(crate) mod debian;
pub(crate) mod engine;
pub(crate) mod front;
pub(crate) mod git;
pub(crate) mod git_fake;
pub(crate) mod git_server;
pub(crate) mod images;
pub(crate) mod leftovers;
pub(crate) mod listing;
pub(crate) mod program;
pub(crate) mod relay;
pub(crate) mod socket;
pub(crate) mod terminal;
