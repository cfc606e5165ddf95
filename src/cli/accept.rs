//! `tidegate approve`, and `tidegate promote --accept`: others agree to a proposal.

use std::io::{BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::copying::Go;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::interrupt::Interrupts;
use crate::cli::land::{
    Bring, Images, LandArgs, acceptable, explain, land, verified_tip, write_review, write_trust,
};
use crate::cli::output::{Format, Tone, one_line, write_json};
use crate::clients::git::{Pushed, Replace};
use crate::model::CommitId;
use crate::model::duration::parse_duration;
use crate::promote::NAMESPACE_APPROVAL;
use crate::promote::compose::{Listing, differing};
use crate::promote::desk::{Desk, DeskError};
use crate::promote::proposal::{Proposal, ProposalError, read};
use crate::promote::review::{Review, review};
use crate::promote::tip::{Tip, files, states};
use crate::reconcile::trust::approval::{Approval, TRAILER};
use crate::reconcile::trust::keys::Key;

/// Approve what somebody proposed
///
/// Shows what the proposal changes, signs the statement that names exactly it (repository, environment,
/// kind, first parent, source, tree, expiry), and adds the approval to the proposal's branch. It is
/// worth nothing on any other commit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate approve promote/prd/7\n  \
    tidegate approve promote/prd/7 --print --yes")]
pub struct ApproveArgs {
    /// The proposal's branch
    #[arg(value_name = "BRANCH")]
    branch: String,
    /// How long the approval counts
    #[arg(long, value_name = "DURATION", default_value = "168h", value_parser = parse_duration)]
    expires: std::time::Duration,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print the trailer instead of pushing it
    #[arg(long)]
    print: bool,
    /// The clone to work in
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The remote that holds the lines (default: origin, or the only one)
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,
}

#[derive(Serialize)]
struct ApprovalDocument<'a> {
    schema: &'static str,
    branch: &'a str,
    commit: CommitId,
    statement: String,
    trailer: String,
}

#[derive(Serialize)]
struct AcceptDocument<'a> {
    schema: &'static str,
    branch: &'a str,
    commit: CommitId,
    approvers: Vec<String>,
    landed: bool,
    images: Images,
}

/// A proposal on the line that it is for.
struct Seen {
    desk: Desk,
    tip: Tip,
    proposal: Proposal,
}

fn proposal_error(error: &ProposalError) -> CommandError {
    let text = crate::telemetry::Chain(error).to_string();
    match error {
        ProposalError::Late { .. } => CommandError::refused(text)
            .hint("approvals are bound to one commit: propose it again, and ask again"),
        ProposalError::None(_) => CommandError::usage(text)
            .hint("name the branch that `--propose` printed: `git branch -r --list '*/promote/*'`"),
        _ => CommandError::new(ErrorKind::Failed, text),
    }
}

fn look(desk: Desk, branch: &str, ctx: &Context) -> Result<Seen, CommandError> {
    desk.fetch(&[branch.to_owned()]).map_err(|error| explain(&error))?;
    let head = desk.branch(branch).map_err(|error| explain(&error))?;
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let proposal = read(&objects, branch, head).map_err(|error| proposal_error(&error))?;
    let tip = verified_tip(&desk, &proposal.environment, ctx)?;
    proposal.fits(&tip).map_err(|error| proposal_error(&error))?;
    acceptable(&desk, &tip, proposal.commit.id)?;
    Ok(Seen { desk, tip, proposal })
}

impl Seen {
    fn review(&self) -> Result<(Review, Listing), CommandError> {
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let new = self.desk.files(self.proposal.commit.id).map_err(|error| explain(&error))?;
        let (environment, revision) = (&self.tip.environment, self.tip.revision());
        let run = |listing: &Listing| {
            files(&objects, environment, listing)
                .map(|files| states(&files, environment, &revision))
                .map_err(|error| CommandError::failed(&error))
        };
        Ok((review(&run(&self.tip.listing)?, &run(&new)?), new))
    }

    /// A proposal by plain git brought none, and what was brought may be gone since.
    fn bring_images(&self, interrupts: &Interrupts, ctx: &Context) -> Result<Images, CommandError> {
        let (desk, tip, kind) = (&self.desk, &self.tip, self.proposal.kind);
        let objects = desk.objects().map_err(|error| explain(&error))?;
        let listing = desk.files(self.proposal.commit.id).map_err(|error| explain(&error))?;
        let files = files(&objects, &tip.environment, &listing);
        let files = files.map_err(|error| CommandError::failed(&error))?;
        Bring { ctx, interrupts, desk, tip, files: &files, kind }.run(Go::Copy)
    }

    fn show(&self, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
        let (review, new) = self.review()?;
        let (proposal, tip) = (&self.proposal, &self.tip);
        let subject = proposal.commit.message.text().lines().next().unwrap_or_default();
        let title = format!("{subject} (a {} on {})", proposal.kind, tip.revision());
        writeln!(out, "{}", ctx.paint.tone(Tone::Strong, &one_line(&title)))?;
        writeln!(out, "  proposed by {}", one_line(&proposal.commit.author.who))?;
        let files = differing(&tip.listing, &new);
        write_review(&review, (&tip.environment, &files), ctx, out)?;
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        write_trust(&objects, tip, &new, ctx, out)
    }
}

/// Approves.
///
/// # Errors
/// When the proposal does not fit the line, or the approver may not.
pub fn approve(
    args: &ApproveArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let now = Timestamp::now();
    let desk = Desk::open(&args.directory, args.remote.as_deref(), now);
    let seen = look(desk.map_err(|error| explain(&error))?, &args.branch, ctx)?;
    may_approve(&seen)?;
    // Whole seconds, as the statement spells them.
    let expires = now.checked_add(args.expires).ok().map(Timestamp::as_second);
    let expires = expires.and_then(|second| Timestamp::from_second(second).ok());
    let expires = expires.ok_or_else(|| CommandError::usage("--expires is too far away"))?;
    let objects = seen.desk.objects().map_err(|error| explain(&error))?;
    let statement = seen.proposal.statement(&objects, &seen.tip, expires);
    let statement = statement.map_err(|error| proposal_error(&error))?.to_string();
    if ctx.format == Format::Table {
        seen.show(ctx, out)?;
        writeln!(out, "an approval signs this, for {NAMESPACE_APPROVAL}:")?;
        for line in statement.lines() {
            writeln!(out, "  {}", one_line(line))?;
        }
        out.flush()?;
    }
    if !args.yes {
        confirm()?;
    }
    let (signer, _) = seen.desk.signer().map_err(|error| explain(&error))?;
    let armoured = signer.sign_as(NAMESPACE_APPROVAL, statement.as_bytes());
    let armoured = armoured.map_err(|error| explain(&DeskError::Sign(error)))?;
    let trailer = format!("{TRAILER}: {}", Approval { expires, armoured }.to_trailer());
    if !args.print {
        carry(&seen, &trailer)?;
    }
    let (branch, commit) = (seen.proposal.branch.as_str(), seen.proposal.commit.id);
    if ctx.format == Format::Json {
        let schema = "tidegate.approval/1";
        write_json(out, &ApprovalDocument { schema, branch, commit, statement, trailer })?;
    } else if args.print {
        writeln!(out, "{trailer}")?;
    } else {
        let done = ctx.paint.tone(Tone::Good, "approved");
        writeln!(out, "{done} {} on {branch}, until {expires}", commit.short())?;
    }
    Ok(Outcome::Done)
}

/// An approval by somebody without the role would refuse the whole commit.
fn may_approve(seen: &Seen) -> Result<(), CommandError> {
    let key: Option<Key> = seen.desk.public_key().and_then(|text| text.parse().ok());
    let Some(key) = key else { return Ok(()) };
    let (policy, role) = (&seen.tip.policy, seen.proposal.kind.rule().role);
    let environment = &seen.tip.environment;
    let Some((name, _)) = policy.person_of(&key) else {
        let message = format!("trust.toml of {environment} does not list your key {key}");
        return Err(
            CommandError::refused(message).hint("an `admin` may add it: `tidegate trust add`")
        );
    };
    if policy.roles.get(&role).is_some_and(|role| role.people.contains(name)) {
        return Ok(());
    }
    let message = format!("{name} does not hold the role `{role}` on {environment}");
    Err(CommandError::refused(message).hint("somebody of that role has to approve it"))
}

fn confirm() -> Result<(), CommandError> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::usage("nobody is there to ask").hint("add --yes"));
    }
    // The prompt goes where progress goes, so that the output stays a document.
    write!(std::io::stderr(), "Approve? [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CommandError::new(ErrorKind::Failed, "not approved")),
    }
}

/// Adds the approval to the branch, as a commit without changes.
fn carry(seen: &Seen, trailer: &str) -> Result<(), CommandError> {
    let Proposal { branch, head, commit, .. } = &seen.proposal;
    let message = format!("Approve {branch}\n\n{trailer}\n");
    let made = seen.desk.sign(commit.tree, vec![*head], message);
    let made = made.map_err(|error| explain(&error))?;
    let pushed = seen.desk.clone.push(made, branch, Replace::Never);
    match pushed.map_err(|error| explain(&DeskError::Clone(error)))? {
        Pushed::Landed => Ok(()),
        Pushed::Overtaken => Err(CommandError::new(
            ErrorKind::Failed,
            format!("somebody else pushed to {branch} at the same time"),
        )
        .hint("run the command again")),
    }
}

/// Signs a proposal again with its approvals.
///
/// # Errors
/// When people are missing, or something fails; then nothing was pushed.
pub fn accept(
    branch: &str,
    approvals: &[String],
    lands: bool,
    args: &LandArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let interrupts = Interrupts::listen(ctx);
    let desk = Desk::open(&args.directory, args.remote.as_deref(), Timestamp::now());
    let seen = look(desk.map_err(|error| explain(&error))?, branch, ctx)?;
    let Seen { desk, tip, proposal } = &seen;
    if ctx.format == Format::Table {
        seen.show(ctx, out)?;
        out.flush()?;
    }
    let images = seen.bring_images(&interrupts, ctx)?;
    let message = proposal.approved_message(approvals);
    let message = message.map_err(|error| proposal_error(&error))?;
    let parents = proposal.commit.parents.clone();
    let commit = desk.sign(proposal.commit.tree, parents, message).map_err(|e| explain(&e))?;
    let accepted = desk.verify(tip, commit).map_err(|error| explain(&error))?;
    let pushed = desk.clone.push(commit, branch, Replace::At(Some(proposal.head)));
    if pushed.map_err(|error| explain(&DeskError::Clone(error)))? == Pushed::Overtaken {
        let message = format!("somebody else pushed to {branch} at the same time");
        return Err(CommandError::new(ErrorKind::Failed, message).hint("run the command again"));
    }
    if lands && land(desk, tip, commit, &interrupts)? == Pushed::Overtaken {
        let message = format!("{} moved on meanwhile: the approvals are void", tip.environment);
        return Err(CommandError::refused(message).hint("propose it again, and ask again"));
    }
    let approvers: Vec<String> = accepted.approvers.iter().map(|a| a.person.to_string()).collect();
    if ctx.format == Format::Json {
        let schema = "tidegate.acceptance/1";
        let landed = lands;
        write_json(out, &AcceptDocument { schema, branch, commit, approvers, landed, images })?;
        return Ok(Outcome::Done);
    }
    let done = ctx.paint.tone(Tone::Good, if lands { "landed" } else { "accepted" });
    let approvers = approvers.join(", ");
    writeln!(out, "{done} {} with the approval of {approvers}", commit.short())?;
    if !lands {
        ctx.notice(&format!("merge {branch} on the forge, or run it again with --land"));
    }
    Ok(Outcome::Done)
}
