//! The history that an auditor asks about: a clone, an address, or this node's own repository.
//!
//! In: arguments. Out: judged chains. Effect: reads the repository, or fetches it.

use jiff::Timestamp;

use crate::audit::chain::Chain;
use crate::audit::provenance::Looked;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::source::{Opened, Question, SourceArgs};
use crate::clients::git::ObjectReader;
use crate::model::{CommitId, EnvironmentName};
use crate::reconcile::trust::{ENVIRONMENTS_MAX, Remembered, Sightings, VerifyRequest};

/// Which history is asked about.
#[derive(Debug, clap::Args)]
pub(super) struct AuditPlace {
    /// Environment
    #[arg(long = "env", visible_alias = "environment", value_name = "NAME")]
    environment: EnvironmentName,
    /// Up to this branch or commit (default: the environment's branch)
    #[arg(long, value_name = "REV")]
    revision: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
}

impl AuditPlace {
    fn open(&self, ctx: &Context) -> Result<(Question, Opened), CommandError> {
        let question = Question::of(&self.source, Some(&self.environment), ctx)?;
        let opened = question.open(self.revision.as_deref(), ctx)?;
        Ok((question, opened))
    }
}

fn chain<'a>(
    question: &Question,
    opened: &'a Opened,
    (environment, anchor, tip): (&EnvironmentName, CommitId, CommitId),
) -> Result<Chain<'a, ObjectReader>, CommandError> {
    let request = VerifyRequest {
        environment: environment.clone(),
        anchor,
        remembered: Remembered::Nothing,
        tip,
        revoked: question.revoked.clone(),
        now: Timestamp::now(),
        sights: Sightings::default(),
    };
    Chain::read(&opened.objects, &request).map_err(|error| CommandError::failed(&error))
}

/// Calls `work` with the environment's chain.
///
/// # Errors
/// When the repository cannot be read, or `work` fails.
pub(super) fn with_chain<T>(
    place: &AuditPlace,
    ctx: &Context,
    work: impl FnOnce(&Chain<'_, ObjectReader>) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let (question, opened) = place.open(ctx)?;
    let top = (&question.environment, question.anchor, opened.tip);
    work(&chain(&question, &opened, top)?)
}

/// Calls `work` with the chains of the environment and of those below it, the first one first.
///
/// # Errors
/// When the repository cannot be read, or `work` fails.
pub(super) fn with_chains<T>(
    place: &AuditPlace,
    ctx: &Context,
    work: impl FnOnce(&[Looked<'_, ObjectReader>]) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let (question, opened) = place.open(ctx)?;
    let (mut environment, mut anchor) = (question.environment.clone(), question.anchor);
    let (mut tip, mut is_last_source) = (opened.tip, false);
    let mut chains: Vec<Looked<'_, ObjectReader>> = Vec::new();
    while chains.len() < ENVIRONMENTS_MAX {
        let chain = chain(&question, &opened, (&environment, anchor, tip))?;
        let below = chain.below();
        let last_source = chain.last_source();
        chains.push(Looked { chain, is_last_source });
        let Some((next, its_anchor)) = below else { break };
        // An auditor may not be shown the branches below: what was promoted is there anyway.
        let branch = opened.below(&next);
        let Some(its_tip) = branch.or(last_source) else { break };
        (environment, anchor, tip) = (next, its_anchor, its_tip);
        is_last_source = branch.is_none();
    }
    chains.reverse();
    work(&chains)
}
