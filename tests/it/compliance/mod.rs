//! Rules on a folder that stands for a host.

mod access;
mod accounts;
pub(crate) mod archives;
mod asked;
mod budget;
pub(crate) mod cli;
mod debian;
mod engine;
mod extended;
mod files;
mod formats;
mod hostile;
mod images;
mod kinds;
mod looks;
mod modules;
mod mounts;
pub(crate) mod metrics;
mod packages;
mod restore;
mod safety;
mod seven;
mod standing;
mod support;
mod time;
mod units;
mod who;
