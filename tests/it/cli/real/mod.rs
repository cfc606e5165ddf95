//! Whole nodes: the program itself, a private engine, a hub, a repository signed with plain git.
//!
//! Each test starts one engine and plays several scenes on it, one after the other.

mod beside;
mod changes;
mod cuts;
mod demo;
mod hands;
mod kills;
mod networks;
mod outages;
mod promoter;
mod push;
mod refusals;
mod rights;
mod rules;
mod secrets;
mod stage;
mod store;
mod urgent;
