//! The whole loop against a seeded, simulated engine: every scenario, crashes at every call.

#![expect(clippy::panic, reason = "a simulation that goes wrong says where")]

mod engine;
mod invariants;
mod sim;
mod world;
mod rollout;
mod drift;
mod holds;
mod older;
mod urgent;
mod networks;
mod ground;
mod limits;
mod lost;
mod forgotten;
mod beside;
mod carry;
mod configs;
mod blame;
mod crashes;
mod two;
mod random;
mod real;
