//! `tidegate trust`.

use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::agent::AgentError;
use crate::agent::belief::Origin;
use crate::agent::lock::LockError;
use crate::agent::node::Node;
use crate::agent::record;
use crate::agent::state::open_state;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::operate::agent_error;
use crate::cli::output::{Cell, Format, Table, write_json};
use crate::cli::repository::{commit, open};
use crate::cli::roster;
use crate::clients::git::{FetchProgram, ObjectReader};
use crate::config::Settings;
use crate::model::duration::format_duration;
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::memory::{FileMemoryStore, MemoryStore as _};
use crate::reconcile::source::Source;
use crate::reconcile::trust::{PromotionSummary, Refusal, TrustSummary, check_anchor, show};

/// Look at what this node trusts, and mend it
#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TrustCommand {
    /// Show who may do what, by the last verified commit
    #[command(after_help = "Example:\n  tidegate trust show")]
    Show,
    /// Check that a commit can be a node's anchor, and print the line for its configuration
    ///
    /// Whether it is the right one only its people can tell you, by another way than the repository.
    #[command(after_help = "Example:\n  \
        tidegate trust anchor --repository . --environment prd 906ed2866a37b7b1c6029959fe1532970584f6ab")]
    Anchor(AnchorArgs),
    /// Print the last verified commit as an anchor for new nodes
    ///
    /// A new node that starts there need not verify what lies below it.
    #[command(after_help = "Example:\n  tidegate trust checkpoint")]
    Checkpoint,
    /// Add a person, or a key or role of theirs, to an environment's trust.toml
    ///
    /// An admin commit: signed, judged and pushed as promotions are; comments stay.
    #[command(after_help = "Examples:\n  \
        tidegate trust add carol --env prd --key carol.pub --role promote,rollback\n  \
        tidegate trust add carol --env prd --role local --propose")]
    Add(roster::AddArgs),
    /// Remove a person, or one key of theirs, from an environment's trust.toml
    #[command(after_help = "Examples:\n  tidegate trust remove carol --env prd\n  \
        tidegate trust remove carol --env prd --key old.pub")]
    Remove(roster::RemoveArgs),
    /// Replace a person's key in an environment's trust.toml
    ///
    /// A sole admin needs two commits for their own: add the new key, then remove the old one.
    #[command(after_help = "Example:\n  tidegate trust rotate carol --env prd --key new.pub")]
    Rotate(roster::RotateArgs),
    /// Forget the last verified commit, so that all is judged again from the anchor
    ///
    /// Needed after a branch was set back on purpose, past what this node had verified. What runs
    /// stays. The agent must be stopped.
    #[command(
        after_help = "Example:\n  tidegate trust reset --reason 're-anchored with alice and bob'"
    )]
    Reset(ResetArgs),
}

#[derive(Debug, clap::Args)]
struct AnchorArgs {
    /// A whole id, or a branch
    #[arg(value_name = "REV")]
    revision: String,
    /// The repository that holds it
    #[arg(long, value_name = "PATH", default_value = ".")]
    repository: std::path::PathBuf,
    /// Whose anchor it is to be
    #[arg(long, value_name = "NAME")]
    environment: EnvironmentName,
}

#[derive(Debug, clap::Args)]
struct ResetArgs {
    /// Why; the journal keeps it
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Serialize)]
struct TrustDocument<T> {
    schema: &'static str,
    trust: T,
}

/// Runs one of them.
///
/// # Errors
/// When the node's files cannot be read, or the commit is refused.
pub fn run(args: &TrustArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    match &args.command {
        TrustCommand::Show => show_policy(ctx, out),
        TrustCommand::Anchor(args) => anchor(args, ctx, out),
        TrustCommand::Checkpoint => checkpoint(ctx, out),
        TrustCommand::Add(args) => roster::add(args, ctx, out),
        TrustCommand::Remove(args) => roster::remove(args, ctx, out),
        TrustCommand::Rotate(args) => roster::rotate(args, ctx, out),
        TrustCommand::Reset(args) => reset(args, ctx),
    }
}

/// The last verified commit of this node, and its objects.
fn verified(settings: &Settings) -> Result<(CommitId, ObjectReader), CommandError> {
    let (memory, _) = FileMemoryStore::new(&settings.state_dir).load();
    let commit = memory.verified.filter(|_| memory.anchor.is_some()).ok_or_else(|| {
        CommandError::failed(&Nothing).hint("start the agent, or run `tidegate agent --once`")
    })?;
    let source = Source::open(&settings.state_dir, FetchProgram::current());
    let objects = source.and_then(|source| source.objects());
    Ok((commit, objects.map_err(|error| CommandError::failed(&error))?))
}

#[derive(Debug, thiserror::Error)]
#[error("this node has verified nothing yet")]
struct Nothing;

fn refusal(refused: &Refusal) -> CommandError {
    CommandError::refused(format!("{}: {}", refused.commit, refused.reason))
        .hint(refused.remedy.clone())
}

fn show_policy(ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let (commit, objects) = verified(&settings)?;
    let trust = show(&objects, commit, &settings.environment).map_err(|r| refusal(&r))?;
    match ctx.format {
        Format::Json => {
            write_json(out, &TrustDocument { schema: "tidegate.trust/1", trust: &trust })?;
        }
        Format::Table => write_policy(&trust, ctx, out)?,
    }
    Ok(Outcome::Done)
}

fn write_policy(
    trust: &TrustSummary,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut roles = Table::new(&["ROLE", "THRESHOLD", "PEOPLE"]);
    for (role, threshold) in &trust.roles {
        let people: Vec<String> = threshold.people.iter().map(ToString::to_string).collect();
        roles.row([
            role.to_string().into(),
            threshold.threshold.to_string().into(),
            Cell::from(people.join(", ")),
        ]);
    }
    roles.write(out, ctx.paint)?;
    writeln!(out)?;
    let mut people = Table::new(&["PERSON", "NOT AFTER", "KEY"]);
    for (name, person) in &trust.people {
        for key in &person.keys {
            let until = person.not_after.map(|date| date.to_string()).unwrap_or_default();
            people.row([name.to_string().into(), until.into(), key.clone().into()]);
        }
    }
    people.write(out, ctx.paint)?;
    match &trust.promotion {
        None => writeln!(out, "\na first environment: nothing is promoted to it")?,
        Some(PromotionSummary { from, anchor, soak_secs, require }) => {
            let soak = format_duration(Duration::from_secs(*soak_secs));
            writeln!(out, "\npromoted from {from}, anchored at {anchor}")?;
            writeln!(out, "sources rest on {from} for {soak}")?;
            if !require.is_empty() {
                writeln!(out, "demands the trailers {}", require.join(", "))?;
            }
        }
    }
    writeln!(out, "\nby {} in {}", trust.commit, trust.environment)?;
    Ok(())
}

fn anchor(args: &AnchorArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let id = commit(&args.repository, &args.revision)?;
    let objects = open(&args.repository)?;
    check_anchor(&objects, id, &args.environment).map_err(|r| refusal(&r))?;
    print_anchor(id, ctx, out)
}

fn checkpoint(ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let (id, _) = verified(&settings)?;
    print_anchor(id, ctx, out)
}

fn print_anchor(id: CommitId, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    #[derive(Serialize)]
    struct Anchor {
        anchor: CommitId,
    }
    match ctx.format {
        Format::Json => {
            let trust = Anchor { anchor: id };
            write_json(out, &TrustDocument { schema: "tidegate.anchor/1", trust })?;
        }
        Format::Table => writeln!(out, "anchor = \"{id}\"")?,
    }
    Ok(Outcome::Done)
}

fn reset(args: &ResetArgs, ctx: &Context) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let store = FileMemoryStore::new(&settings.state_dir);
    let _state = open_state(&settings).map_err(|error| match error {
        AgentError::Lock(LockError::Taken { .. }) => {
            CommandError::failed(&error).hint("stop the agent first")
        }
        error => agent_error(&error),
    })?;
    let origin = Origin::repository(&settings).map_err(|error| agent_error(&error))?;
    let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
    let before = node.memory.verified.take();
    store.save(&node.memory).map_err(|error| CommandError::failed(&error))?;
    let was = before.map_or_else(|| "nothing".to_owned(), |id| id.to_string());
    let why = format!("{}; {was} is no longer demanded", args.reason);
    node.journal_and_log(record::of_operator("trust reset", None, &why))
        .map_err(|error| agent_error(&error))?;
    ctx.notice(&format!("forgot {was}: the next pass judges from the anchor"));
    Ok(Outcome::Done)
}
