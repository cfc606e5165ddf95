//! The tip of a repository on this machine, without a child.
//!
//! It is safe to do in-process, because nothing of the repository is parsed but the text of one
//! reference: at most a bounded regular file is read, 40 hex digits are taken from it, and no object
//! is touched. A wrong answer only makes a fetch happen or wait, as any remote can.

use std::path::Path;

use crate::clients::host::read_bounded;
use crate::config::BranchName;
use crate::model::CommitId;

/// A reference is an id and a newline.
const REF_BYTES_MAX: u64 = 256;
/// More packed references than this are left to the child.
const PACKED_BYTES_MAX: u64 = 1024 * 1024;

/// The commit that `branch` of the repository in `folder` (bare, or a work tree) points to; none if
/// it cannot be told this simply, and the child must look.
pub fn local_tip(folder: &Path, branch: &BranchName) -> Option<CommitId> {
    let inner = folder.join(".git");
    let bare = if inner.is_dir() { inner } else { folder.to_owned() };
    let name = format!("refs/heads/{branch}");
    if let Some(bytes) = read_bounded(&bare.join(&name), REF_BYTES_MAX).ok()? {
        return std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok();
    }
    let packed = read_bounded(&bare.join("packed-refs"), PACKED_BYTES_MAX).ok()??;
    let text = std::str::from_utf8(&packed).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, found)| *found == name).and_then(|(id, _)| id.parse().ok())
}
