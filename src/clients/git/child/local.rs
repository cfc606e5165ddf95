//! Copies one branch of a repository on this machine.
//!
//! libgit2's own transport for paths brings every branch and tag; this brings what the tip needs.

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use git2::{Error, Oid, Repository, RepositoryOpenFlags, Sort};

use crate::clients::git::FailureKind;
use crate::clients::git::child::callbacks::PROGRESS_EVERY;
use crate::clients::git::child::failure::Failure;
use crate::clients::git::child::say;
use crate::clients::git::protocol::{Line, Order};

/// Opens exactly the repository at `path`, whoever owns it.
pub(crate) fn open(path: &str) -> Result<Repository, Failure> {
    let none: [&Path; 0] = [];
    Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, none)
        .map_err(|error| Failure::remote(&error))
}

/// The tip of the branch; none if there is no such branch.
pub(crate) fn tip(from: &Repository, name: &str) -> Option<Oid> {
    from.refname_to_id(name).ok()
}

/// Copies into `to` what `tips` need beyond the commits that the store has. Gives the bytes.
pub(crate) fn copy(
    order: &Order,
    from: &Repository,
    to: &Repository,
    tips: &[Oid],
) -> Result<u64, Failure> {
    let failed = |error: Error| Failure::remote(&error);
    let mut walk = from.revwalk().map_err(failed)?;
    walk.set_sorting(Sort::TOPOLOGICAL).map_err(failed)?;
    for tip in tips {
        walk.push(*tip).map_err(failed)?;
    }
    for have in &order.haves {
        let id = Oid::from_bytes(have.as_bytes()).map_err(failed)?;
        // After a force push the remote may not have it.
        let _hidden = walk.hide(id);
    }
    let mut builder = from.packbuilder().map_err(failed)?;
    builder.set_threads(1);
    builder.insert_walk(&mut walk).map_err(failed)?;
    let most = order.limits.objects_max as usize;
    if builder.object_count() > most {
        let message =
            format!("the remote sends {} objects; the limit is {most}", builder.object_count());
        return Err(Failure::new(FailureKind::TooLarge, message));
    }
    let odb = to.odb().map_err(failed)?;
    let mut writer = odb.packwriter().map_err(failed)?;
    let (mut bytes, mut told, mut broken) = (0, Instant::now(), None);
    let done = builder.foreach(|chunk| {
        bytes += chunk.len() as u64;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            say(&Line::Progress { bytes });
        }
        if bytes > order.limits.pack_bytes_max {
            let message =
                format!("the remote sends more than {} bytes", order.limits.pack_bytes_max);
            broken = Some(Failure::new(FailureKind::TooLarge, message));
        } else if let Err(error) = writer.write_all(chunk) {
            broken = Some(Failure::new(FailureKind::Storage, format!("cannot keep it: {error}")));
        }
        broken.is_none()
    });
    if let Some(failure) = broken {
        return Err(failure);
    }
    done.map_err(failed)?;
    writer.commit().map_err(failed)?;
    Ok(bytes)
}
