//! Runs a pass whenever something may have changed, and at an interval with jitter.
//!
//! In: settings. Out: passes. Effect: locks, signals, file watches, systemd; calls the stages.
//!
//! # Guarantees
//! * At most one agent changes an engine, and one process writes a state directory.
//! * Events only wake; listing is the truth.
//! * A pass that panics is reported, and the agent goes on; three in a row end it.

pub mod control;
pub mod lock;
pub mod pace;
pub mod systemd;
pub mod trigger;
