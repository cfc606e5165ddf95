//! The command line as people and scripts meet it.

mod below;
mod help;
mod hub;
mod manual;
mod node;
mod pin;
mod systemd;
mod real;
pub(crate) mod support;
mod usage;
mod verify;
