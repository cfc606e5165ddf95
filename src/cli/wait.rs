//! `tidegate wait`.

use std::io::Write;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::agent::answer::troubles;
use crate::agent::lock::{LockError, Presence, StateLock};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::output::{Format, write_json};
use crate::cli::status::unreadable;
use crate::clients::git::NodeStore;
use crate::model::duration::parse_duration;
use crate::model::{CommitId, ServiceName};
use crate::reconcile::report::{Health, Status, StatusFile, StoreError, Sync};
use crate::reconcile::trust::history::came_before;
use crate::telemetry::Chain;

/// Wait until this node is as it should be
///
/// Waits for every service, or those named, and for an agent that says so: as it should be is what
/// the newest tip wants, so that Git must have answered and nothing be refused. Exits 4 when the time
/// is over, saying why, and 3 as soon as the awaited commit is refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate wait --timeout 2m\n  \
    tidegate wait app1 --for healthy\n  tidegate wait --for commit=$(git rev-parse HEAD)")]
pub struct WaitArgs {
    /// Services to wait for (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// `synced` (and healthy), `healthy`, or `commit=ID`: that commit (or its first digits), or a
    /// later one of its branch, is applied
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
    let state_dir = &ctx.settings()?.state_dir;
    let file = StatusFile::below(state_dir);
    let mut ancestry = Ancestry { state_dir, last: None };
    let waited = block_on(async {
        let looking = async {
            loop {
                let is_seen = Presence::is_seen(state_dir);
                let said = match file.read() {
                    // An agent that starts writes it anew.
                    Err(StoreError::Malformed { .. }) if !is_seen => None,
                    read => read.map_err(|error| unreadable(&error))?,
                };
                if let Some(status) = said.filter(|_| is_seen)
                    && is_met(args, &status, |tip, digits| ancestry.has(tip, digits))?
                {
                    return Ok(status);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let timed = tokio::time::timeout(args.timeout, looking).await;
        timed.unwrap_or_else(|_| {
            let mut known = Ancestry { state_dir, last: None };
            Err(too_late(args, &file, state_dir, |tip, digits| known.has(tip, digits)))
        })
    });
    let status = waited?;
    if ctx.format == Format::Json {
        write_json(out, &status)?;
    }
    Ok(Outcome::Done)
}

/// Where commits stand on the node's branch; each is looked up once.
struct Ancestry<'a> {
    state_dir: &'a Path,
    last: Option<(CommitId, bool)>,
}

impl Ancestry<'_> {
    fn has(&mut self, tip: CommitId, digits: &str) -> bool {
        if let Some((_, answer)) = self.last.filter(|(known, _)| *known == tip) {
            return answer;
        }
        // Without the repository the commit itself is known all the same.
        let answer = NodeStore::look(self.state_dir).map_or_else(
            |_| tip.to_string().starts_with(digits),
            |objects| came_before(&objects, tip, digits),
        );
        self.last = Some((tip, answer));
        answer
    }
}

/// Everything that keeps the node from being as awaited.
fn too_late(
    args: &WaitArgs,
    file: &StatusFile,
    state_dir: &Path,
    has: impl FnOnce(CommitId, &str) -> bool,
) -> CommandError {
    let is_running = matches!(StateLock::take(state_dir), Err(LockError::Taken { .. }));
    let agent = match (Presence::is_seen(state_dir), is_running) {
        (true, _) => None,
        (false, true) => Some("the agent has not ended its first pass yet".to_owned()),
        (false, false) => Some("no agent is running".to_owned()),
    };
    let said = match file.read() {
        Ok(Some(status)) => obstacles(args, &status, has),
        Ok(None) => vec!["this node has said nothing yet".to_owned()],
        Err(error) => vec![Chain(&error).to_string()],
    };
    let mut lines: Vec<String> = agent.into_iter().chain(said).collect();
    if lines.is_empty() {
        lines.push("it is so since a moment".to_owned());
    }
    CommandError::new(ErrorKind::TimedOut, format!("timed out waiting; {}", lines.join("; ")))
        .hint("`tidegate status` shows where it stands")
}

/// Everything that keeps the node from what is awaited, a line each; `has` says whether a commit is,
/// or comes after, the one that begins with these digits.
fn obstacles(
    args: &WaitArgs,
    status: &Status,
    has: impl FnOnce(CommitId, &str) -> bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Awaited::Commit(id) = &args.condition {
        let (commit, what) = if args.services.is_empty() {
            (status.revision.applied, "applied whole")
        } else {
            (status.revision.verified, "verified here")
        };
        if !commit.is_some_and(|commit| has(commit, id)) {
            lines.push(format!("neither {id} nor a later commit of the branch is {what}"));
        } else if args.services.is_empty() {
            return lines;
        }
    }
    if !status.has_revision() {
        lines.push("no commit was ever verified here".to_owned());
    }
    // What runs may be as an older revision wants it, while the newest cannot be used or had.
    if args.condition == Awaited::Healthy {
        let away = status.engine.as_ref();
        lines.extend(away.map(|away| format!("the engine is unreachable: {}", away.reason)));
    } else {
        let is_newest = args.condition == Awaited::Synced || !lines.is_empty();
        let refused = status.refused.as_ref().filter(|_| is_newest);
        lines.extend(refused.map(|r| format!("{} is refused: {}", r.commit, r.reason)));
        let known = if is_newest { status } else { &Status { git: None, ..status.clone() } };
        lines.extend(troubles(known));
    }
    let is_named = |name: &ServiceName| args.services.is_empty() || args.services.contains(name);
    let awaited = status.services.iter().filter(|(name, _)| is_named(name));
    let late = awaited.filter(|(_, s)| {
        let is_behind = args.condition != Awaited::Healthy && s.sync != Sync::Synced;
        is_behind || s.health != Health::Healthy
    });
    lines.extend(late.map(|(name, s)| {
        let reason = if s.reason.is_empty() { "" } else { ": " };
        format!("{name} is {} and {}{reason}{}", s.sync, s.health, s.reason)
    }));
    let waits = status.waits.as_ref().filter(|_| !lines.is_empty());
    lines.extend(waits.map(|w| format!("{} waits until {}: {}", w.commit, w.until, w.reason)));
    lines
}

/// Whether the node says what is awaited.
fn is_met(
    args: &WaitArgs,
    status: &Status,
    has: impl FnOnce(CommitId, &str) -> bool,
) -> Result<bool, CommandError> {
    if let (Awaited::Commit(id), Some(refused)) = (&args.condition, &status.refused) {
        // What lies above a refused commit is not believed either.
        let not_believed = [Some(refused.commit), status.revision.tip];
        if not_believed.iter().flatten().any(|commit| commit.to_string().starts_with(id)) {
            let message = format!("{} is refused: {}", refused.commit, refused.reason);
            return Err(CommandError::refused(message).hint(refused.remedy.clone()));
        }
    }
    let unknown = args.services.iter().find(|name| !status.services.contains_key(*name));
    match unknown.filter(|_| status.has_revision()) {
        Some(unknown) => {
            Err(CommandError::usage(format!("no service `{unknown}` runs or should run here"))
                .hint("`tidegate status` lists them"))
        }
        None => Ok(obstacles(args, status, has).is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};
    use serde_json::{Value, json};

    use crate::cli::error::ErrorKind;
    use crate::cli::wait::{WaitArgs, is_met, obstacles};
    use crate::model::CommitId;
    use crate::reconcile::report::Status;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn args(words: &[&str]) -> WaitArgs {
        let command = WaitArgs::augment_args(clap::Command::new("wait"));
        let words = ["wait"].iter().chain(words);
        WaitArgs::from_arg_matches(&command.get_matches_from(words)).unwrap()
    }

    fn status(changes: &Value) -> Status {
        let mut status = json!({
            "schema": "tidegate.status/1", "node": "n1", "environment": "dev", "trust": "signed",
            "mode": "apply", "changed_at": "2026-01-01T00:00:00Z",
            "revision": { "tip": B, "verified": B, "applied": B },
            "refused": null, "git": null, "engine": null, "configuration": null, "services": {},
        });
        for (name, value) in changes.as_object().unwrap() {
            status[name] = value.clone();
        }
        serde_json::from_value(status).unwrap()
    }

    /// As where B came after A.
    fn met(words: &[&str], changes: &Value) -> Result<bool, ErrorKind> {
        let after = |tip: CommitId, id: &str| {
            tip.to_string().starts_with(id) || (tip.to_string() == B && A.starts_with(id))
        };
        is_met(&args(words), &status(changes), after).map_err(|error| error.kind)
    }

    fn away() -> Value {
        json!({ "since": "2026-01-01T00:00:00Z", "reason": "no such repository" })
    }

    fn refused(commit: &str) -> Value {
        json!({ "commit": commit, "rule": "unsigned", "reason": "nobody signed it",
            "remedy": "sign it", "since": "2026-01-01T00:00:00Z" })
    }

    #[test]
    fn a_node_that_never_verified_anything_is_not_as_it_should_be() {
        let nothing = json!({ "tip": null, "verified": null, "applied": null });
        for trust in ["signed", "none"] {
            let fresh = json!({ "revision": nothing, "git": away(), "trust": trust });
            assert!(!status(&fresh).is_in_sync(), "{trust}");
            for words in [&[][..], &["--for", "healthy"]] {
                assert_eq!(met(words, &fresh), Ok(false), "{trust} {words:?}");
            }
            let why = obstacles(&args(&[]), &status(&fresh), |_, _| true).join("; ");
            assert!(why.contains("no commit was ever verified here"), "{why}");
            assert!(why.contains("git is unreachable: no such repository"), "{why}");
        }
        let own = json!({ "revision": nothing, "trust": "none" });
        assert!(status(&own).is_in_sync(), "a work tree was read");
    }

    #[test]
    fn as_it_should_be_is_what_the_newest_tip_wants() {
        assert_eq!(met(&[], &json!({})), Ok(true));
        for (trouble, is_healthy) in [
            (json!({ "refused": refused(A) }), true),
            (json!({ "git": away() }), true),
            (json!({ "engine": away() }), false),
        ] {
            assert_eq!(met(&[], &trouble), Ok(false), "{trouble}");
            assert_eq!(met(&["--for", "healthy"], &trouble), Ok(is_healthy), "{trouble}");
            assert!(!obstacles(&args(&[]), &status(&trouble), |_, _| true).is_empty(), "{trouble}");
        }
    }

    #[test]
    fn a_commit_is_applied_when_a_later_one_is() {
        assert_eq!(met(&["--for", "commit=aaaaaaa"], &json!({})), Ok(true));
        assert_eq!(met(&["--for", "commit=ccccccc"], &json!({})), Ok(false));
        let first = json!({ "revision": { "tip": B, "verified": B, "applied": A } });
        assert_eq!(met(&["--for", "commit=bbbbbbb"], &first), Ok(false));
    }

    #[test]
    fn why_it_was_not_so_in_time_is_what_was_awaited_and_nothing_else() {
        let ill = json!({ "services": { "app1": {
            "sync": "OutOfSync", "health": "Healthy", "reason": "held", "mode": "apply",
            "since": "2026-01-01T00:00:00Z", "containers": {},
        } } });
        let why = |words: &[&str]| {
            obstacles(&args(words), &status(&ill), |tip, id| tip.to_string().starts_with(id))
        };
        assert_eq!(why(&["--for", "healthy"]), [""; 0]);
        assert_eq!(why(&["--for", "commit=bbbbbbb"]), [""; 0]);
        assert_eq!(why(&["--for", "commit=bbbbbbb", "app1"]).len(), 1);
        assert!(why(&["--for", "commit=ccccccc"])[0].contains("neither ccccccc"));
        assert!(why(&[])[0].starts_with("app1 is "));
    }

    #[test]
    fn what_lies_above_a_refused_commit_is_not_waited_for() {
        let above = json!({
            "revision": { "tip": B, "verified": null, "applied": null }, "refused": refused(A),
        });
        for id in ["commit=aaaaaaa", "commit=bbbbbbb"] {
            assert_eq!(met(&["--for", id], &above), Err(ErrorKind::Refused), "{id}");
        }
    }
}
