//! Integration tests: one binary, a folder per stage.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod audit;
mod cases;
mod cli;
mod compliance;
mod copy;
mod desired;
mod docker;
mod fetch;
mod import;
mod init;
mod promote;
mod registry;
mod simulator;
mod support;
mod tidy;
mod trust;
