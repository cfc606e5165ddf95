//! Lines fetched and verified, and what the nodes would say to a commit on one.

use crate::cli::anchor::anchor;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::land::explain;
use crate::model::{CommitId, EnvironmentName};
use crate::promote::desk::{Desk, DeskError};
use crate::promote::tip::{Tip, TipError};
use crate::reconcile::trust::{ENVIRONMENTS_MAX, Rule};

/// Whether the nodes would accept a commit but for people who are still to approve it.
///
/// # Errors
/// With any other reason.
pub fn acceptable(desk: &Desk, tip: &Tip, commit: CommitId) -> Result<(), CommandError> {
    match desk.verify(tip, commit) {
        // What has to rest first may be proposed meanwhile.
        Ok(_) | Err(DeskError::Refused(TipError::Waits { .. })) => Ok(()),
        Err(DeskError::Refused(TipError::Refused { refusal, .. }))
            if refusal.rule == Rule::Threshold =>
        {
            Ok(())
        }
        Err(error) => Err(explain(&error)),
    }
}

/// Fetches a line and those below it, and verifies its tip.
///
/// # Errors
/// When it cannot be fetched, or does not verify.
pub fn verified_tip(
    desk: &Desk,
    environment: &EnvironmentName,
    ctx: &Context,
) -> Result<Tip, CommandError> {
    fetch_line(desk, environment)?;
    let commit = desk.branch(environment.as_str()).map_err(|error| explain(&error))?;
    let anchor = anchor(desk, environment, commit, ctx)?;
    desk.tip(environment, anchor).map_err(|error| explain(&error))
}

/// Fetches a line and all below it; gives their names, the line itself first.
///
/// # Errors
/// When the remote does not answer, or lacks one.
pub fn fetch_line(
    desk: &Desk,
    environment: &EnvironmentName,
) -> Result<Vec<EnvironmentName>, CommandError> {
    let mut line = vec![environment.clone()];
    while let Some(last) = line.last().cloned().filter(|_| line.len() < ENVIRONMENTS_MAX) {
        desk.fetch(&[last.to_string()]).map_err(|error| explain(&error))?;
        let commit = desk.branch(last.as_str()).map_err(|error| explain(&error))?;
        // Not verified yet: it only says what else to fetch.
        let objects = desk.objects().map_err(|error| explain(&error))?;
        let files = desk.files(commit).map_err(|error| explain(&error))?;
        let policy = crate::promote::tip::policy(&objects, &last, &files, commit).ok();
        match policy.and_then(|policy| policy.promotion) {
            Some(promotion) if !line.contains(&promotion.from) => line.push(promotion.from),
            _ => break,
        }
    }
    Ok(line)
}
