//! The fetching process: limits itself, fetches one branch into a quarantine, checks sizes.
//!
//! In: an [`Order`] on stdin. Out: lines on stdout. Effect:
//! talks to the remote, writes into the quarantine.
//!
//! It runs with an empty environment but for `HOME` (a folder of its own) and OpenSSL's trusted
//! authorities. Whatever goes wrong here, the parent only sees a failure.

mod callbacks;
mod failure;
mod fetch;
mod limit;
mod local;

use std::io::{Read, Write};
use std::process::ExitCode;

use crate::clients::git::child::failure::Failure;
use crate::clients::git::protocol::{Line, Order};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__fetch";

/// The most an order may hold: two small files and a list of ids.
const ORDER_BYTES_MAX: u64 = 1024 * 1024;

/// Runs as the child. Call it before anything else is started in the process.
pub fn main() -> ExitCode {
    let line = match run() {
        Ok(outcome) => Line::Done(outcome),
        Err(Failure { kind, message }) => Line::Failed { kind, message },
    };
    say(&line);
    ExitCode::SUCCESS
}

fn run() -> Result<crate::clients::git::Outcome, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .take(ORDER_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::other(format!("cannot read the order: {error}")))?;
    let order: Order = serde_json::from_str(&text)
        .map_err(|_| Failure::other("this is run by the agent, not by hand".to_owned()))?;
    drop(zeroize::Zeroizing::new(text));
    limit::apply(&order)?;
    fetch::fetch(&order)
}

/// One line to the parent; a parent that has gone is noticed by its death signal.
fn say(line: &Line) {
    let mut out = std::io::stdout().lock();
    let written = serde_json::to_writer(&mut out, line).is_ok() && out.write_all(b"\n").is_ok();
    let _flushed = written && out.flush().is_ok();
}
