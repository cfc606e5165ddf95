//! `tidegate wait`.

use std::io::Write;
use std::str::FromStr;
use std::time::Duration;

use crate::agent::answer::troubles;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Format, write_json};
use crate::cli::status::unreadable;
use crate::model::ServiceName;
use crate::model::duration::parse_duration;
use crate::reconcile::report::{Health, Status, StatusFile, Sync};

/// Wait until this node is as it should be
///
/// Waits for every service, or those named. Exits 4 when the time is over, and 3 as soon as the
/// awaited commit is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate wait --timeout 2m\n  \
    tidegate wait app1 --for healthy\n  tidegate wait --for commit=$(git rev-parse HEAD)")]
pub struct WaitArgs {
    /// Services to wait for (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// `synced` (and healthy), `healthy`, or `commit=ID`: that commit, or its first digits, is applied
    #[arg(long = "for", value_name = "CONDITION", default_value = "synced")]
    condition: Awaited,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Awaited {
    Synced,
    Healthy,
    Commit(String),
}

/// The fewest digits that name a commit.
const COMMIT_DIGITS_MIN: usize = 7;
/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(100);

impl FromStr for Awaited {
    type Err = String;
    fn from_str(input: &str) -> Result<Self, String> {
        match (input, input.strip_prefix("commit=")) {
            ("synced", _) => Ok(Self::Synced),
            ("healthy", _) => Ok(Self::Healthy),
            (_, Some(id))
                if (COMMIT_DIGITS_MIN..=40).contains(&id.len())
                    && id.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                Ok(Self::Commit(id.to_ascii_lowercase()))
            }
            _ => Err("write `synced`, `healthy` or `commit=ID` with at least 7 digits".to_owned()),
        }
    }
}

/// Waits.
///
/// # Errors
/// When the time is over, the awaited commit is refused, or the status cannot be read.
pub fn run(args: &WaitArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let file = StatusFile::below(&ctx.settings()?.state_dir);
    let waited = block_on(async {
        let looking = async {
            loop {
                if let Some(status) = file.read().map_err(|error| unreadable(&error))?
                    && is_met(args, &status)?
                {
                    return Ok(status);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(args.timeout, looking).await.unwrap_or_else(|_| Err(too_late(&file)))
    });
    let status = waited?;
    if ctx.format == Format::Json {
        write_json(out, &status)?;
    }
    Ok(Outcome::Done)
}

fn too_late(file: &StatusFile) -> CommandError {
    let waiting = match file.read() {
        Ok(Some(status)) => {
            let late = status
                .services
                .iter()
                .filter(|(_, s)| s.sync != Sync::Synced || s.health != Health::Healthy);
            let lines = late.map(|(name, s)| {
                let reason = if s.reason.is_empty() { "" } else { ": " };
                format!("{name} is {} and {}{reason}{}", s.sync, s.health, s.reason)
            });
            let lines = lines.chain(troubles(&status)).collect::<Vec<_>>().join("; ");
            let lines = status.waits.iter().fold(lines, |lines, waiting| {
                let stop = if lines.is_empty() { "" } else { "; " };
                format!(
                    "{lines}{stop}{} waits until {}: {}",
                    waiting.commit, waiting.until, waiting.reason
                )
            });
            if lines.is_empty() { "the awaited commit is not applied".to_owned() } else { lines }
        }
        _ => "this node has said nothing yet".to_owned(),
    };
    CommandError::new(ErrorKind::TimedOut, format!("timed out waiting; {waiting}"))
        .hint("`tidegate status` shows where it stands")
}

fn is_met(args: &WaitArgs, status: &Status) -> Result<bool, CommandError> {
    if let Awaited::Commit(id) = &args.condition {
        if let Some(refused) = &status.refused
            && refused.commit.to_string().starts_with(id)
        {
            return Err(CommandError::refused(format!(
                "{} is refused: {}",
                refused.commit, refused.reason
            ))
            .hint(refused.remedy.clone()));
        }
        let is_it = |text: &str| text.starts_with(id.as_str());
        if args.services.is_empty() {
            return Ok(status.revision.applied.is_some_and(|c| is_it(&c.to_string())));
        }
        if !status.revision.verified.is_some_and(|c| is_it(&c.to_string())) {
            return Ok(false);
        }
    }
    if let Some(unknown) = args.services.iter().find(|name| !status.services.contains_key(*name)) {
        return Err(CommandError::usage(format!("no service `{unknown}` runs or should run here"))
            .hint("`tidegate status` lists them"));
    }
    let mut waited = status
        .services
        .iter()
        .filter(|(name, _)| args.services.is_empty() || args.services.contains(name));
    // What runs may be as an older revision wants it, while the newest cannot be used.
    Ok(status.engine.is_none()
        && (status.configuration.is_none() || args.condition == Awaited::Healthy)
        && waited.all(|(_, service)| match args.condition {
            Awaited::Healthy => service.health == Health::Healthy,
            _ => service.sync == Sync::Synced && service.health == Health::Healthy,
        }))
}
