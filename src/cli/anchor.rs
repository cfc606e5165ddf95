//! Where verification starts, for those who work in a clone and do not say it.
//!
//! In: a clone, an environment, its tip. Out: the anchor that git is told
//! (`git config tidegate.<environment>.anchor`), else the one on the branch itself, which people are
//! told. Effect: reads the clone.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::land::explain;
use crate::model::{CommitId, EnvironmentName};
use crate::promote::desk::{AnchorFrom, Desk};

/// The anchor of an environment whose tip is `tip`.
///
/// # Errors
/// When there is none.
pub fn anchor(
    desk: &Desk,
    environment: &EnvironmentName,
    tip: CommitId,
    ctx: &Context,
) -> Result<CommitId, CommandError> {
    let (anchor, from) = desk.anchor(environment, tip).map_err(|error| explain(&error))?;
    if from == AnchorFrom::Branch {
        ctx.notice(&format!(
            "the anchor of {environment} is taken from the branch itself; to pin it: \
             git config tidegate.{environment}.anchor {anchor}"
        ));
    }
    Ok(anchor)
}

/// The same in the clone, or bare repository, that `folder` lies in.
///
/// # Errors
/// When it is none, or has no anchor.
pub fn anchor_in(
    folder: &Path,
    environment: &EnvironmentName,
    tip: CommitId,
    ctx: &Context,
) -> Result<CommitId, CommandError> {
    let desk = Desk::open(folder, None, Timestamp::now()).map_err(|error| explain(&error))?;
    anchor(&desk, environment, tip, ctx)
}

/// The anchor that git was told in a clone, if it was.
///
/// # Errors
/// When it was told what is none.
pub fn pinned_in(
    folder: &Path,
    environment: &EnvironmentName,
) -> Result<Option<CommitId>, CommandError> {
    let Ok(desk) = Desk::open(folder, None, Timestamp::now()) else { return Ok(None) };
    desk.pinned(environment).map_err(|error| explain(&error))
}

/// The repository that somebody stands in, if it is one.
pub fn clone_here() -> Option<PathBuf> {
    let desk = Desk::open(Path::new("."), None, Timestamp::now()).ok()?;
    Some(desk.clone.common_dir().to_owned())
}
