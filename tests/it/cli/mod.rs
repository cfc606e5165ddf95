//! The command line as people and scripts meet it.

mod below;
mod help;
mod manual;
mod node;
mod pin;
mod real;
mod support;
mod usage;
