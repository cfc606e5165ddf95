//! The main job on real containers, told and checked.
//!
//! In: an example repository, a directory of its own. Out: what happened, told to an
//! [`Audience`]; an error at the first check that fails. Effect: starts engines, hubs and agents.
//!
//! # Guarantees
//! * All state lies in one directory; every process is recorded with its start time.
//! * Nothing that the demo did not make is touched: engines of its own where the user is root,
//!   each in namespaces of its own; else only objects that carry its own proof.
//! * Starting again ends what an earlier run left; [`stop`] leaves nothing behind.

mod acts;
mod engine;
mod error;
mod hub;
mod images;
mod leftovers;
mod line;
mod merge;
mod people;
mod place;
mod process;
mod recipes;
mod repository;
mod story;
mod tar;
mod tell;

pub use error::DemoError;
pub use place::{Place, default_dir};
pub use story::{Options, run, stop};
pub use tell::{Audience, Told};
