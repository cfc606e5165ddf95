//! What promote, rollback, hotfix and trust have in common: compose, show, sign, verify, push.
//!
//! In: what is to be done on a line. Out: a plan for people, a commit on the line or on a proposal's
//! branch. Effect: fetches, copies images, signs, pushes.
//!
//! # Guarantees
//! * Nothing is pushed before it was shown, its images are at the target, and the nodes' own code
//!   accepts it.
//! * Whoever is overtaken begins again; a plan that is another one then is shown, not pushed.

mod explain;
mod holds;
mod images;
mod lines;
mod show;

pub use explain::explain;
pub(crate) use holds::rounded;
pub(crate) use images::{Bring, Images};
pub use lines::{acceptable, fetch_line, verified_tip};
pub use show::write_review;
pub use show::write_trust;

use std::io::Write;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::copying::Go;
use crate::cli::diagnostics::{count, render};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::interrupt::Interrupts;
use crate::cli::land::show::Plan;
use crate::cli::output::Format;
use crate::clients::git::{Pushed, Replace, WorkTreeFiles};
use crate::lint::Files;
use crate::model::{CommitId, EnvironmentName, Severity};
use crate::promote::act::{Act, ActError, Draft, draft};
use crate::promote::desk::Desk;
use crate::promote::message::Trailer;
use crate::promote::proposal;
use crate::promote::review::{Review, review};
use crate::promote::tip::{Tip, files, states};
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::policy::{PersonName, TrustPolicy};

/// Times that being overtaken is no reason to give up.
const TRIES_MAX: usize = 5;

/// Options of every command that lands a commit.
#[derive(Debug, clap::Args)]
pub struct LandArgs {
    /// The clone to work in
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    /// The remote that holds the lines (default: origin, or the only one)
    #[arg(long, value_name = "REMOTE")]
    pub remote: Option<String>,
    /// A trailer of the commit, such as Ticket=OPS-1; trust.toml may demand some
    #[arg(long, value_name = "KEY=VALUE")]
    pub trailer: Vec<Trailer>,
    /// More for the commit's message
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long, conflicts_with = "propose")]
    pub dry_run: bool,
    /// Push a branch for others to approve instead
    #[arg(long)]
    pub propose: bool,
}

/// Makes an act out of the tip as it is now.
pub type Build<'a> = dyn Fn(&Desk, &Tip) -> Result<Act, CommandError> + 'a;

/// One command's work on one line.
pub struct Landing<'a> {
    /// What people asked for.
    pub args: &'a LandArgs,
    /// How results are shown.
    pub ctx: &'a Context,
    /// The clone.
    pub desk: Desk,
    /// The line.
    pub environment: EnvironmentName,
    /// Live hotfixes that are given up.
    pub supersedes: Vec<CommitId>,
    interrupts: Interrupts,
}

/// What was composed and looked at.
pub(crate) struct Prepared {
    pub(crate) tip: Tip,
    pub(crate) draft: Draft,
    pub(crate) review: Review,
    pub(crate) files: Files,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) images: Images,
    pub(crate) commit: Option<CommitId>,
    pub(crate) proposed: Option<String>,
}

impl<'a> Landing<'a> {
    /// Opens the clone.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(
        args: &'a LandArgs,
        environment: &EnvironmentName,
        ctx: &'a Context,
    ) -> Result<Self, CommandError> {
        let desk = Desk::open(&args.directory, args.remote.as_deref(), Timestamp::now());
        let desk = desk.map_err(|error| explain(&error))?;
        let environment = environment.clone();
        let interrupts = Interrupts::listen(ctx);
        Ok(Self { args, ctx, desk, environment, supersedes: Vec::new(), interrupts })
    }

    /// The line's tip, fetched and verified.
    ///
    /// # Errors
    /// When it cannot be fetched, or does not verify.
    pub fn tip(&self) -> Result<Tip, CommandError> {
        verified_tip(&self.desk, &self.environment, self.ctx)
    }

    /// Does it.
    ///
    /// # Errors
    /// When it may not be done, or cannot.
    pub fn run(&self, build: &Build<'_>, out: &mut dyn Write) -> Result<Outcome, CommandError> {
        let mut shown: Option<Review> = None;
        for _ in 0..TRIES_MAX {
            let Some(prepared) = self.prepare(build)? else { return self.in_sync(out) };
            match &shown {
                None => self.show(&prepared, out)?,
                Some(before) if *before == prepared.review => {}
                Some(_) => {
                    self.show(&prepared, out)?;
                    return Err(CommandError::refused(
                        "somebody pushed first, and the plan is another one now",
                    )
                    .hint("look at it, and run the command again"));
                }
            }
            if self.args.dry_run {
                let images = self.bring_images(&prepared, Go::Look)?;
                self.report(&prepared, &Done { images, ..Done::default() }, out)?;
                return Ok(Outcome::Done);
            }
            if self.args.propose {
                let images = self.bring_images(&prepared, Go::Copy)?;
                return self.propose(&prepared, images, out);
            }
            self.rested(&prepared.tip, &prepared.draft)?;
            self.enough_people(&prepared)?;
            let images = self.bring_images(&prepared, Go::Copy)?;
            let commit = self.desk.make(&prepared.tip, &prepared.draft).map_err(|e| explain(&e))?;
            self.desk.verify(&prepared.tip, commit).map_err(|error| explain(&error))?;
            if let Some(wait) = &prepared.tip.verdict.waits {
                let what = "a rollback of everything goes past it, anything else waits, too";
                self.ctx.notice(&format!("nodes wait: {}; {what}", wait.reason));
            }
            match land(&self.desk, &prepared.tip, commit, &self.interrupts)? {
                Pushed::Landed => {
                    self.follow(&prepared, commit);
                    self.report(
                        &prepared,
                        &Done { images, commit: Some(commit), proposed: None },
                        out,
                    )?;
                    return Ok(Outcome::Done);
                }
                Pushed::Overtaken => self.ctx.notice("somebody pushed first: again"),
            }
            shown = Some(prepared.review);
        }
        Err(CommandError::new(ErrorKind::Failed, "somebody else was faster each time")
            .hint("nothing was pushed; run the command again"))
    }

    fn bring_images(&self, prepared: &Prepared, go: Go) -> Result<Images, CommandError> {
        let Prepared { tip, files, draft, .. } = prepared;
        let (ctx, interrupts, desk) = (self.ctx, &self.interrupts, &self.desk);
        Bring { ctx, interrupts, desk, tip, files, kind: draft.kind }.run(go)
    }

    /// Composes and looks at it; none: a promotion or a rollback that is there already.
    fn prepare(&self, build: &Build<'_>) -> Result<Option<Prepared>, CommandError> {
        let tip = self.tip()?;
        let act = build(&self.desk, &tip)?;
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let mut draft = match (draft(&objects, &tip, &act), &act) {
            (Ok(draft), _) => draft,
            (Err(ActError::Nothing(_)), Act::Promote { .. } | Act::Rollback { .. }) => {
                return Ok(None);
            }
            (Err(error), _) => return Err(act_error(&error)),
        };
        let superseded = self.supersede(&tip, &draft)?;
        draft.words.trailers.extend(superseded);
        let own = self.args.trailer.iter().map(|t| (t.key.clone(), t.value.clone()));
        draft.words.trailers.extend(own);
        draft.words.body = self.args.message.clone().unwrap_or_default();
        required(&tip, &draft)?;
        let failed = |error| CommandError::failed(&error);
        let new = files(&objects, &tip.environment, &draft.listing).map_err(failed)?;
        self.lint(&new)?;
        self.desk.foresee(&tip, &draft).map_err(|error| explain(&error))?;
        let old = files(&objects, &tip.environment, &tip.listing).map_err(failed)?;
        let revision = tip.revision();
        let before = states(&old, &tip.environment, &revision);
        let review = review(&before, &states(&new, &tip.environment, &revision));
        Ok(Some(Prepared { tip, draft, review, files: new }))
    }

    /// Every node's mistakes, before a node meets them.
    fn lint(&self, new: &Files) -> Result<(), CommandError> {
        let all = crate::lint::lint(new).into_sorted();
        let errors: Vec<_> = all.into_iter().filter(|d| d.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Ok(());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let texts = new.iter().map(|(path, bytes)| (path.clone(), text(bytes))).collect();
        let message = format!("{} could not use the result: {}", self.environment, count(&errors));
        Err(CommandError::refused(message)
            .detail(render(&errors, &texts, self.ctx.paint_err))
            .hint("mend it where it comes from; nothing was pushed"))
    }

    fn show(&self, prepared: &Prepared, out: &mut dyn Write) -> Result<(), CommandError> {
        match self.ctx.format {
            Format::Json => Ok(()),
            Format::Table => {
                show::write(&self.plan(prepared)?, self.ctx, out)?;
                let objects = self.desk.objects().map_err(|error| explain(&error))?;
                write_trust(&objects, &prepared.tip, &prepared.draft.listing, self.ctx, out)
            }
        }
    }

    fn plan<'p>(&self, prepared: &'p Prepared) -> Result<Plan<'p>, CommandError> {
        let Prepared { tip, draft, review, .. } = prepared;
        let role = tip.policy.roles.get(&draft.kind.rule().role);
        Ok(Plan {
            tip,
            draft,
            review,
            people_needed: role.map_or(0, |role| role.threshold),
            signer: self.signer(&tip.policy).map(|name| name.to_string()),
            soak: self.soak(tip, draft)?.map(|soak| soak.line()),
        })
    }

    /// The person whose key signs here, as far as that can be told beforehand.
    fn signer(&self, policy: &TrustPolicy) -> Option<PersonName> {
        let key: Key = self.desk.public_key()?.parse().ok()?;
        policy.person_of(&key).map(|(name, _)| name.clone())
    }

    /// A commit that would lack people is not made.
    fn enough_people(&self, prepared: &Prepared) -> Result<(), CommandError> {
        let kind = prepared.draft.kind;
        let role = kind.rule().role;
        let environment = &self.environment;
        let needed = prepared.tip.policy.roles.get(&role);
        let Some(needed) = needed else {
            let message = format!("nobody holds the role `{role}` on {environment}");
            return Err(CommandError::refused(message)
                .hint("an `admin` commit may give it to somebody: `tidegate trust`"));
        };
        if let Some(name) = self.signer(&prepared.tip.policy)
            && !needed.people.contains(&name)
        {
            let people: Vec<String> = needed.people.iter().map(ToString::to_string).collect();
            let message = format!("{name} does not hold the role `{role}` on {environment}");
            return Err(CommandError::refused(message)
                .hint(format!("one of {} may do this", people.join(", "))));
        }
        if needed.threshold > 1 {
            let message =
                format!("{} people must agree to a {kind} on {environment}", needed.threshold);
            return Err(CommandError::refused(message)
                .hint("add --propose; others run `tidegate approve`, then --accept"));
        }
        Ok(())
    }

    /// What is checked out here follows; where it cannot, people are told.
    fn follow(&self, prepared: &Prepared, commit: CommitId) {
        let files = match prepared.draft.kind {
            CommitKind::Hotfix => WorkTreeFiles::New,
            _ => WorkTreeFiles::Old,
        };
        let moved = (prepared.tip.commit, commit);
        if self.desk.clone.follow(self.environment.as_str(), moved, files).is_err() {
            self.ctx.notice("what is checked out here was left as it is: `git status`");
        }
    }

    /// Pushes the commit to a branch of its own.
    fn propose(
        &self,
        prepared: &Prepared,
        images: Images,
        out: &mut dyn Write,
    ) -> Result<Outcome, CommandError> {
        let failed = |error| explain(&error);
        let commit = self.desk.make(&prepared.tip, &prepared.draft).map_err(failed)?;
        acceptable(&self.desk, &prepared.tip, commit)?;
        let mut done = Done { images, commit: Some(commit), proposed: None };
        for _ in 0..TRIES_MAX {
            let prefix = proposal::prefix(&self.environment);
            let known = self.desk.clone.branches(&prefix);
            let known = known.map_err(|e| explain(&crate::promote::desk::DeskError::Clone(e)))?;
            let name =
                proposal::branch(&self.environment, proposal::next(&self.environment, &known));
            let pushed = self.desk.clone.push(commit, &name, Replace::At(None));
            let pushed = pushed.map_err(|e| explain(&crate::promote::desk::DeskError::Clone(e)))?;
            if pushed == Pushed::Landed {
                done.proposed = Some(name);
                self.report(prepared, &done, out)?;
                return Ok(Outcome::Done);
            }
        }
        Err(CommandError::new(ErrorKind::Failed, "somebody else proposes at the same time")
            .hint("run the command again"))
    }
}

/// Carries the line on; Ctrl-C waits for the push to end.
///
/// # Errors
/// When it is not allowed, or the remote does not answer.
pub fn land(
    desk: &Desk,
    tip: &Tip,
    commit: CommitId,
    interrupts: &Interrupts,
) -> Result<Pushed, CommandError> {
    match interrupts.during(|| desk.land(tip, commit)) {
        // The push heard Ctrl-C as well; what the remote made of it, the next run sees.
        Err(_) if interrupts.was_asked() => Err(Interrupts::error()),
        pushed => pushed.map_err(|error| explain(&error)),
    }
}

/// Trailers that trust.toml demands.
fn required(tip: &Tip, draft: &Draft) -> Result<(), CommandError> {
    use CommitKind::{Hotfix, Pick, Promote, Rollback};
    let Some(promotion) = &tip.policy.promotion else { return Ok(()) };
    if !matches!(draft.kind, Promote | Pick | Hotfix | Rollback) {
        return Ok(());
    }
    let given = |key: &String| draft.words.trailers.iter().any(|(known, _)| known == key);
    match promotion.require.iter().find(|key| !given(key)) {
        None => Ok(()),
        Some(key) => Err(CommandError::refused(format!(
            "{} demands a trailer `{key}` on every {}",
            tip.environment, draft.kind
        ))
        .hint(format!("add --trailer {key}=…"))),
    }
}

fn act_error(error: &ActError) -> CommandError {
    match error {
        ActError::Nothing(_) => {
            CommandError::new(ErrorKind::Failed, error.to_string()).hint("nothing was pushed")
        }
        ActError::Shared(files) => {
            let with: Vec<String> = files.iter().map(|file| format!("--with {file}")).collect();
            CommandError::refused(error.to_string()).hint(format!(
                "promote everything, or bring them along for all who see them: {}",
                with.join(" ")
            ))
        }
        ActError::Select(_) => {
            CommandError::new(ErrorKind::Usage, crate::telemetry::Chain(error).to_string())
        }
        ActError::Path { .. } => CommandError::refused(error.to_string()).hint(
            "split the change: own files with `Tidegate: local`, trust.toml with `tidegate trust`",
        ),
        ActError::Compose(_) => CommandError::failed(error),
    }
}
