//! The command line as people and scripts meet it.

mod agent;
mod below;
mod help;
mod hub;
mod man;
mod manual;
mod node;
pub(crate) mod pin;
mod systemd;
mod real;
pub(crate) mod support;
mod usage;
mod verify;
