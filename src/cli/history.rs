//! `tidegate history`.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use ssh_key::PublicKey;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, brief, write_json};
use crate::cli::status::unreadable;
use crate::clients::host::NodeKey;
use crate::config::Settings;
use crate::model::ServiceName;
use crate::reconcile::report::journal::{self, Entry};
use crate::reconcile::report::{Fault, Record, Verdict, read_journal, verify};

/// Show what was done on this node: what, when, why, from which commit, by which trigger
///
/// The journal is kept on the node, bounded (20 MiB) and signed entry by entry with the node's key.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate history app1\n  tidegate history --limit 0 -o json\n  \
    tidegate history --verify\n  tidegate history --signed > n1.jsonl"
)]
pub struct HistoryArgs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// The newest so many entries; 0 is all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Check every entry's signature and place; exits 3 when one is not as it was written
    #[arg(long)]
    verify: bool,
    /// Print the entries as they were signed, one a line: what `tidegate audit --observed` reads
    #[arg(long, conflicts_with_all = ["verify", "services", "limit"])]
    signed: bool,
    /// Public key to check with (default: this node's own)
    #[arg(long, value_name = "FILE", requires = "verify")]
    key: Option<PathBuf>,
}

#[derive(Serialize)]
struct History {
    schema: &'static str,
    verification: Option<Verdict>,
    entries: Vec<Entry>,
}

/// Prints the journal.
///
/// # Errors
/// When it cannot be read, or with `--verify` is not as it was written.
pub fn run(
    args: &HistoryArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let lines = read_journal(&settings.state_dir).map_err(|error| unreadable(&error))?;
    if args.signed {
        for line in &lines {
            writeln!(out, "{line}")?;
        }
        return Ok(Outcome::Done);
    }
    let verification = if args.verify {
        Some(verify(lines.iter().map(String::as_str), &[public_key(args, &settings)?]))
    } else {
        None
    };
    let mut entries: Vec<Entry> = lines
        .iter()
        .filter_map(|line| journal::parse(line).map(|(entry, ..)| entry))
        .filter(|entry| {
            args.services.is_empty()
                || entry.record.service.as_ref().is_some_and(|name| args.services.contains(name))
        })
        .collect();
    if args.limit > 0 && entries.len() > args.limit {
        entries.drain(..entries.len() - args.limit);
    }
    let faults = verification.as_ref().map(|verdict| verdict.faults.clone()).unwrap_or_default();
    match ctx.format {
        Format::Json => {
            write_json(out, &History { schema: "tidegate.history/1", verification, entries })?;
        }
        Format::Table => write_table(&entries, ctx, out)?,
    }
    if faults.is_empty() {
        if args.verify {
            ctx.notice("every entry is as this node wrote it");
        }
        return Ok(Outcome::Done);
    }
    let told: Vec<String> = faults.iter().map(describe).collect();
    Err(CommandError::refused(format!("the journal is not as it was written: {}", told.join("; ")))
        .hint("was the state directory restored or edited? a power loss can leave one torn line"))
}

fn public_key(args: &HistoryArgs, settings: &Settings) -> Result<PublicKey, CommandError> {
    let path = args.key.as_ref().unwrap_or(&settings.keys.node);
    let text = if args.key.is_some() {
        fs::read_to_string(path).map_err(|error| CommandError::failed(&error))?
    } else {
        let key = NodeKey::load(path).map_err(|error| CommandError::failed(&error))?;
        key.ok_or_else(|| CommandError::usage("this node has no key yet"))?.public().to_owned()
    };
    PublicKey::from_openssh(text.trim())
        .map_err(|_| CommandError::usage(format!("{} holds no OpenSSH public key", path.display())))
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Unreadable { line } => format!("line {line} is no entry"),
        Fault::Signature { number } => format!("entry {number} is not signed by this key"),
        Fault::Chain { number } => format!("entry {number} does not follow the one before it"),
    }
}

fn write_table(entries: &[Entry], ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut table = Table::new(&["AT", "WHAT", "SERVICE", "REVISION", "TRIGGER", "TOOK", "WHY"]);
    for entry in entries {
        let record = &entry.record;
        let (why, tone) = match &record.error {
            Some(error) => (error.clone(), Tone::Bad),
            None => (record.brief(), Tone::Plain),
        };
        table.row([
            format!("{:.0}", entry.at).into(),
            Cell::toned(what(record), tone),
            record.service.as_ref().map(ToString::to_string).unwrap_or_default().into(),
            record.revision_text().into(),
            trigger(&record.trigger).into(),
            took(record.duration_ms).into(),
            Cell::toned(brief(&why), tone),
        ]);
    }
    table.write(out, ctx.paint)?;
    Ok(())
}

/// What was done, and whether it failed; a refusal is no failure of ours.
fn what(record: &Record) -> String {
    match &record.error {
        Some(_) if record.what != "refuse" => format!("{} failed", record.what),
        _ => record.what.clone(),
    }
}

/// The kind of event: which container it was about, JSON tells.
fn trigger(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["docker", event, ..] => format!("docker {}", event.trim_end_matches(':')),
        _ => text.to_owned(),
    }
}

fn took(millis: u64) -> String {
    match millis {
        // It was not measured, or took none.
        0 => "-".to_owned(),
        1..1_000 => format!("{millis}ms"),
        _ => format!("{}.{}s", millis / 1_000, millis % 1_000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::history::trigger;

    #[test]
    fn a_trigger_is_shown_without_its_container() {
        assert_eq!(trigger("docker health_status: healthy app1.prd-web"), "docker health_status");
        assert_eq!(trigger("docker die app1.prd-web"), "docker die");
        assert_eq!(trigger("repository"), "repository");
    }
}
