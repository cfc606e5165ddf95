//! `tidegate apply`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::agent::control::Request;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::operate::{ask_or_do, once, say, tell, warn_unverified};
use crate::config::{Requirement, Settings};
use crate::model::duration::parse_duration;
use crate::model::{EnvironmentName, NodeName, ServiceName};
use crate::reconcile::plan::Overrides;

/// Run a pass now: fetch, verify, and make what runs match
///
/// A running agent does it, with its own locks and journal; without one this command does it itself.
/// With --worktree an engineer's own files are applied to this machine: nobody signed them, so
/// everything says UNVERIFIED.
///
/// Exits 0 when all that was asked for is as it should be; 2 when something may not happen now (a
/// window, a freeze, a suspension, the removal brake, a promotion that soaks) or is only reported
/// (report mode); 1 when something failed, now or before, or does not run as it should; 3 when trust
/// or this node's policy refuses it. What is left is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate apply app1\n  \
    tidegate apply --now --reason 'CVE-2026-1234, agreed with bob'\n  \
    tidegate apply --allow-removal app7\n  \
    tidegate apply --worktree . --environment dev --node laptop")]
pub struct ApplyArgs {
    /// Only these services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<ServiceName>,
    /// Pass windows and freezes, this once
    #[arg(long, requires = "reason")]
    now: bool,
    /// Why; the journal keeps it
    #[arg(long, value_name = "TEXT", requires = "now")]
    reason: Option<String>,
    /// Let this service be removed, past the removal brake (repeatable)
    #[arg(long, value_name = "SERVICE")]
    allow_removal: Vec<ServiceName>,
    /// How long to wait for a running agent
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = parse_duration)]
    timeout: Duration,
    /// Apply this directory's files, which nobody signed
    #[arg(long, value_name = "DIR", requires = "environment", requires = "node")]
    worktree: Option<PathBuf>,
    /// Environment to apply the work tree for
    #[arg(long, value_name = "NAME", requires = "worktree")]
    environment: Option<EnvironmentName>,
    /// Node to apply the work tree as
    #[arg(long, value_name = "NAME", requires = "worktree")]
    node: Option<NodeName>,
}

/// Applies.
///
/// # Errors
/// When something failed or is refused.
pub fn run(args: &ApplyArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    let services: BTreeSet<ServiceName> = args.services.iter().cloned().collect();
    let allow_removal: BTreeSet<ServiceName> = args.allow_removal.iter().cloned().collect();
    let now = args.reason.clone().filter(|_| args.now);
    if let (Some(dir), Some(environment), Some(node)) =
        (&args.worktree, &args.environment, &args.node)
    {
        let settings = laptop(ctx, dir, environment, node)?;
        let overrides = Overrides { allow_removal, now, services: services.clone() };
        let report = once(settings, Some(environment), overrides, Some(dir.clone()))?;
        return tell(&report, &services, ctx, out);
    }
    let request = Request::Apply { services, now, allow_removal };
    let settings = ctx.settings()?;
    if settings.trust.require == Requirement::None {
        warn_unverified(ctx);
    }
    say(&ask_or_do(settings, &request, args.timeout)?, ctx, out)
}

/// Settings for a work tree: those of the configuration file where there is one, but with another
/// state directory, so that a signed node's memory never mixes with unsigned files.
fn laptop(
    ctx: &Context,
    dir: &Path,
    environment: &EnvironmentName,
    node: &NodeName,
) -> Result<Settings, CommandError> {
    if !dir.is_dir() {
        return Err(CommandError::usage(format!("{} is no directory", dir.display())));
    }
    known_node(dir, environment, node)?;
    let state = state_home().join("tidegate").join(format!("worktree-{environment}-{node}"));
    if ctx.config.exists() {
        let settings = ctx.settings()?;
        let scope = Some(environment.clone());
        let (environment, node) = (environment.clone(), node.clone());
        return Ok(Settings { environment, node, scope, state_dir: state, ..settings });
    }
    let dir = std::path::absolute(dir).map_err(|error| CommandError::failed(&error))?;
    let quoted = |path: &Path| toml::Value::String(path.to_string_lossy().into_owned()).to_string();
    let (state, dir) = (quoted(&state), quoted(&dir));
    let text = format!(
        "node = \"{node}\"\nenvironment = \"{environment}\"\nstate_dir = {state}\n\
         [repository]\nurl = {dir}\nid = \"worktree\"\n[trust]\nrequire = \"none\"\n"
    );
    Settings::from_texts(vec![("--worktree".to_owned(), text)])
        .map_err(|error| CommandError::usage(error.to_string()))
}

/// Refuses a node that the work tree does not have, for which nothing would ever be done.
fn known_node(
    dir: &Path,
    environment: &EnvironmentName,
    node: &NodeName,
) -> Result<(), CommandError> {
    let environments = names(&dir.join("environments"), "");
    if !environments.contains(environment.as_str()) {
        return Err(CommandError::usage(format!(
            "{} has no environment `{environment}`",
            dir.display()
        ))
        .hint(format!("it has: {}", listed(&environments))));
    }
    let folder = dir.join(format!("environments/{environment}/nodes"));
    let nodes = names(&folder, ".toml");
    if nodes.contains(node.as_str()) {
        return Ok(());
    }
    Err(CommandError::usage(format!("environment `{environment}` has no node `{node}`")).hint(
        format!(
            "its nodes are: {}; {}/{node}.toml makes another",
            listed(&nodes),
            folder.display()
        ),
    ))
}

/// What lies in a folder and ends so, without the ending.
fn names(folder: &Path, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: std::fs::DirEntry| {
        Some(entry.file_name().to_str()?.strip_suffix(ending)?.to_owned())
    };
    entries.filter_map(name).collect()
}

fn listed(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn state_home() -> PathBuf {
    let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = env("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    env("XDG_STATE_HOME").map_or_else(|| home.join(".local/state"), PathBuf::from)
}
