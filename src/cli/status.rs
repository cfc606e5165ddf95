//! `tidegate status`.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::lock::StateLock;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, brief, write_json};
use crate::compliance::shelf::Shelf;
use crate::model::{CommitId, EnvironmentName, Selector};
use crate::reconcile::report::{
    ComplianceStatus, Health, Outage, RuleCount, ServiceStatus, Status, StatusFile, StoreError,
    Sync, TrustLevel,
};

/// Show what this node runs and whether that is what it should run
///
/// SYNC says whether a service is as the newest verified commit wants it: Synced, OutOfSync, Held,
/// Unknown. HEALTH says whether it works: Healthy, Progressing, Degraded, Missing, Suspended.
/// Exits 2 when anything is not in sync.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate status\n  tidegate status -l health!=Healthy\n  \
    tidegate status --watch")]
pub struct StatusArgs {
    /// Only services that fit: `name`, `app`, `sync`, `health`, `mode`
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "",
        hide_default_value = true
    )]
    selector: Selector,
    /// Print again whenever something changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

/// What services are selected by.
const KEYS: [&str; 5] = ["name", "app", "sync", "health", "mode"];
/// How often a watcher looks.
const LOOK: Duration = Duration::from_millis(250);

/// Prints the status.
///
/// # Errors
/// When there is none yet, or it cannot be read.
pub fn run(args: &StatusArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    if let Some(unknown) = args.selector.keys().find(|key| !KEYS.contains(key)) {
        return Err(CommandError::usage(format!("services have no `{unknown}` to select by"))
            .hint(format!("select by one of {}", KEYS.join(", "))));
    }
    let settings = ctx.settings()?;
    let file = StatusFile::below(&settings.state_dir);
    let shelf = Shelf::below(&settings.state_dir);
    let read = || Ok::<_, CommandError>(Status { compliance: compliance(&shelf), ..read(&file)? });
    let status = read()?;
    print(&status, args, ctx, out)?;
    if !args.watch {
        if StateLock::take(&settings.state_dir).is_ok() {
            ctx.notice("no agent is running: this is what the last one said");
        }
        return Ok(outcome(&status));
    }
    block_on(async {
        let mut last = status;
        loop {
            tokio::time::sleep(LOOK).await;
            let next = read()?;
            if next != last {
                print(&next, args, ctx, out)?;
                last = next;
            }
        }
    })
}

/// What the last check found; one that cannot be read is none.
fn compliance(shelf: &Shelf) -> Option<ComplianceStatus> {
    let standing = shelf.standing().ok().flatten()?;
    let is_stale = standing.stale_at.is_some_and(|stale| stale <= Timestamp::now());
    let status = ComplianceStatus::from(&standing.aged(Timestamp::now()));
    Some(ComplianceStatus { is_stale, ..status })
}

fn outcome(status: &Status) -> Outcome {
    if status.is_in_sync() { Outcome::Done } else { Outcome::Differences }
}

/// What the agent last said.
///
/// # Errors
/// When it said nothing yet, or that cannot be read.
pub fn read(file: &StatusFile) -> Result<Status, CommandError> {
    let read = file.read().map_err(|error| unreadable(&error))?;
    read.ok_or_else(|| {
        CommandError::failed(&Nothing(file.path().display().to_string()))
            .hint("start the agent, or run `tidegate agent --once`")
    })
}

/// Says what may help when a file of the state directory cannot be read.
pub fn unreadable(error: &StoreError) -> CommandError {
    let denied = matches!(error, StoreError::File { source, .. }
        if source.kind() == std::io::ErrorKind::PermissionDenied);
    let failed = CommandError::failed(error);
    match error {
        _ if denied => failed.hint("the state belongs to the agent's user: try sudo"),
        StoreError::Malformed { .. } => failed.hint("the agent writes it anew when it starts"),
        _ => failed,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("this node has said nothing yet: there is no {0}")]
struct Nothing(String);

fn print(
    status: &Status,
    args: &StatusArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut status = status.clone();
    status.services.retain(|name, service| args.selector.fits(name.as_str(), &labels(service)));
    match ctx.format {
        Format::Json => write_json(out, &status)?,
        Format::Table => write_tables(&status, ctx, out)?,
    }
    out.flush()?;
    Ok(())
}

fn labels(service: &ServiceStatus) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("sync".to_owned(), service.sync.to_string()),
        ("health".to_owned(), service.health.to_string()),
        ("mode".to_owned(), service.mode.to_string()),
    ]);
    labels.extend(service.app.clone().map(|app| ("app".to_owned(), app)));
    labels
}

fn write_tables(status: &Status, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut node = Table::new(&["NODE", "TIP", "VERIFIED", "APPLIED", "MODE", "TRUST"]);
    let revision = |id: Option<CommitId>| short(&status.environment, id);
    node.row([
        Cell::from(status.node.to_string()),
        revision(status.revision.tip).into(),
        revision(status.revision.verified).into(),
        revision(status.revision.applied).into(),
        status.mode.to_string().into(),
        match status.trust {
            TrustLevel::Signed => "signed".into(),
            TrustLevel::None => Cell::toned("UNVERIFIED", Tone::Bad),
        },
    ]);
    node.write(out, ctx.paint)?;
    writeln!(out)?;
    if status.trust == TrustLevel::None {
        let line =
            "UNVERIFIED: trust.require is \"none\", so whatever the branch points at runs here";
        writeln!(out, "{}\n", ctx.paint.tone(Tone::Bad, line))?;
    }
    for line in troubles(status) {
        writeln!(out, "{}\n", ctx.paint.tone(Tone::Bad, &line))?;
    }
    let mut table =
        Table::new(&["NAME", "SYNC", "HEALTH", "REVISION", "CONTAINERS", "SINCE", "REASON"]);
    for (name, service) in &status.services {
        table.row(service_row(name.as_str(), service));
    }
    table.write(out, ctx.paint)?;
    if let Some(compliance) = &status.compliance {
        write_compliance(compliance, ctx, out)?;
    }
    Ok(())
}

fn write_compliance(
    compliance: &ComplianceStatus,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let RuleCount { ok, trouble, .. } = compliance.score;
    let (all, checked) = (ok + trouble, ago(compliance.checked_at));
    let tone = if trouble == 0 { Tone::Good } else { Tone::Bad };
    let line = format!("{ok} of {all} rules hold");
    let stale = if compliance.is_stale { ", which is too long" } else { "" };
    let revision = &compliance.revision;
    let line = ctx.paint.tone(tone, &line);
    writeln!(out, "\ncompliance: {line}, as {revision} says; checked {checked} ago{stale}")?;
    for trouble in &compliance.troubles {
        writeln!(out, "  {trouble}")?;
    }
    Ok(())
}

fn service_row(name: &str, service: &ServiceStatus) -> Vec<Cell> {
    let up =
        |state: &str| state.starts_with("running") || state == "completed" || state == "exited (0)";
    let n_up = service.containers.values().filter(|c| up(&c.state)).count();
    vec![
        name.into(),
        Cell::toned(service.sync.to_string(), sync_tone(service.sync)),
        Cell::toned(service.health.to_string(), health_tone(service.health)),
        service.revision.clone().unwrap_or_default().into(),
        format!("{n_up}/{}", service.containers.len()).into(),
        ago(service.since).into(),
        brief(&service.reason).into(),
    ]
}

/// What is wrong with the node as a whole, a line each.
fn troubles(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(refused) = &status.refused {
        lines.push(format!(
            "refused {}: {} (rule {}), since {}\n  what to do: {}",
            refused.commit,
            refused.reason,
            refused.rule,
            ago(refused.since),
            refused.remedy
        ));
    }
    if let Some(waiting) = &status.waits {
        lines.push(format!("{} waits until {}: {}", waiting.commit, waiting.until, waiting.reason));
    }
    if let Some(fault) = &status.configuration {
        lines.push(format!(
            "the newest revision cannot be used, since {}:\n  {}",
            ago(fault.since),
            fault.mistakes.join("\n  ")
        ));
    }
    for (what, outage) in [("git", &status.git), ("engine", &status.engine)] {
        if let Some(outage) = outage {
            lines.push(format!(
                "{what} unreachable since {}: {}",
                ago(outage.since),
                outage.reason
            ));
        }
    }
    if let Some(Outage { since, reason }) = &status.metrics {
        lines.push(format!("metrics are not where they should be since {}: {reason}", ago(*since)));
    }
    if let Some(Outage { since, reason }) = &status.unused {
        let since = ago(*since);
        lines.push(format!(
            "the node's changed configuration is not in use, since {since}: {reason}; \
             meanwhile no rule is checked"
        ));
    }
    lines
}

fn sync_tone(sync: Sync) -> Tone {
    match sync {
        Sync::Synced => Tone::Good,
        Sync::OutOfSync => Tone::Bad,
        Sync::Held | Sync::Unknown => Tone::Notice,
    }
}

fn health_tone(health: Health) -> Tone {
    match health {
        Health::Healthy => Tone::Good,
        Health::Degraded | Health::Missing => Tone::Bad,
        Health::Progressing | Health::Suspended | Health::Unknown => Tone::Notice,
    }
}

fn short(environment: &EnvironmentName, id: Option<CommitId>) -> String {
    id.map_or_else(String::new, |id| format!("{environment}@sha1:{}", id.short()))
}

/// `5m` ago, as kubectl says it: the two coarsest units at most.
pub fn ago(since: Timestamp) -> String {
    let secs = Timestamp::now().duration_since(since).as_secs().max(0);
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7_199 => format!("{}m", secs / 60),
        7_200..=172_799 => format!("{}h", secs / 3_600),
        _ => format!("{}d", secs / 86_400),
    }
}
