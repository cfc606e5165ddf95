//! Runs a pass whenever something may have changed, and at an interval with jitter.
//!
//! In: settings. Out: passes. Effect: locks, signals, file watches, systemd; calls the stages.
//!
//! ```text
//! run.rs      the loop                     wakes.rs, inbox.rs, pace.rs   what wakes it, and when
//! engine.rs, state.rs  what it has for itself
//! node.rs     one pass                     belief.rs, below.rs, judge.rs, urgent.rs   source → trust → desired
//! say.rs, record.rs, failures.rs   what is said about it
//! port.rs    metrics, where they are wanted
//! examine.rs  a look without a pass: facts, rules      inspect.rs, checker.rs   one that is kept, and when
//! control.rs  what operators ask           answer.rs, desk.rs              and what they get
//! ```
//!
//! # Guarantees
//! * At most one agent changes an engine, and one process writes a state directory.
//! * Events only wake; listing is the truth.
//! * A pass that panics is reported, and the agent goes on; three in a row end it.

pub mod pace;
pub mod trigger;
pub mod control;
pub mod lock;
pub mod error;
pub mod images;
pub mod systemd;
pub mod below;
mod urgent;
pub mod judge;
pub mod mistakes;
pub mod belief;
pub mod effects;
pub mod failures;
pub mod record;
pub mod node;
mod login;
pub mod examine;
pub mod brake;
pub mod inspect;
mod say;
pub mod answer;
pub mod desk;
pub mod inbox;
pub mod state;
mod engine;
pub mod wakes;
pub mod promoter;
mod vigil;
pub mod checker;
mod port;
mod reload;
pub mod run;
pub mod once;

pub use error::AgentError;
