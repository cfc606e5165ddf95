//! The command line as people and scripts meet it.

mod help;
mod usage;
mod support;
