//! A tar archive as a rule unpacks it: what is in it, and nothing that could leave its folder.
//!
//! In: the archive's bytes, plain or packed with gzip. Out: [`Member`]s by their path. Pure.
//!
//! # Guarantees
//! * Files, directories and symbolic links within the archive alone: no absolute path, no `..`, no
//!   device, no hard link, no member twice, none below a link.
//! * Bounded in number and in bytes, whatever the archive says of itself.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tar::{Entry, EntryType};

use crate::model::{Digest, Permissions};

/// A fix keeps a backup of each and syncs it: more are a package's business.
const MEMBERS_MAX: usize = 1_000;
/// The largest file that a rule may be about.
const MEMBER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// All of an archive is in memory while it is unpacked.
const UNPACKED_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A path is shown, and stored with each backup.
const PATH_BYTES_MAX: usize = 512;
/// How other ways of packing begin.
const PACKED: [(&[u8], &str); 5] = [
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (b"BZh", "bzip2"),
    (b"PK", "zip"),
    (b"7z", "7z"),
];

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// A directory; without an owner where the archive only names something in it.
    Directory {
        /// Mode and owner.
        owned: Option<Permissions>,
    },
    /// A regular file.
    File {
        /// Of its content.
        digest: Digest,
        /// Mode and owner.
        owned: Permissions,
    },
    /// A symbolic link that stays within the archive.
    Symlink {
        /// What it says.
        to: String,
    },
}

/// An archive that is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is packed in a way that is not read.
    #[error("it is packed with {how}: pack it with gzip, or not at all")]
    Packed {
        /// Which.
        how: &'static str,
    },
    /// It cannot be read.
    #[error("it is no whole tar archive: {reason}")]
    Damaged {
        /// Why not.
        reason: String,
    },
    /// It is too large.
    #[error("it has more than {limit}: that is a package's business")]
    TooLarge {
        /// Of what.
        limit: String,
    },
    /// A member is refused.
    #[error("member `{member}` is refused: {reason}")]
    Refused {
        /// Which.
        member: String,
        /// Why.
        reason: &'static str,
    },
}

fn refused(member: &str, reason: &'static str) -> ArchiveError {
    let member = member.chars().filter(|c| !c.is_control()).take(100).collect();
    ArchiveError::Refused { member, reason }
}

fn too_many() -> ArchiveError {
    ArchiveError::TooLarge { limit: format!("{MEMBERS_MAX} members") }
}

fn damaged(error: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged { reason: error.to_string() }
}

/// Every member by its path below the archive's folder, which itself has the empty path; folders
/// that are only on the way to something are among them.
///
/// # Errors
/// When it is damaged, too large, or has a member that is refused.
pub fn members(packed: &[u8]) -> Result<BTreeMap<String, Member>, ArchiveError> {
    let mut all: BTreeMap<String, Member> = BTreeMap::new();
    each(packed, |path, member, _| match all.insert(path.clone(), member) {
        Some(_) => Err(refused(&path, "it stands twice")),
        None if all.len() > MEMBERS_MAX => Err(too_many()),
        None => Ok(()),
    })?;
    if all.is_empty() {
        return Err(damaged("it is empty"));
    }
    let paths: Vec<String> = all.keys().cloned().collect();
    for path in &paths {
        let mut at = path.as_str();
        while !at.is_empty() {
            at = at.rsplit_once('/').map_or("", |(outer, _)| outer);
            let outer = all.entry(at.to_owned()).or_insert(Member::Directory { owned: None });
            if !matches!(outer, Member::Directory { .. }) {
                return Err(refused(path, "what it lies in is no directory"));
            }
            if all.len() > MEMBERS_MAX {
                return Err(too_many());
            }
        }
    }
    Ok(all)
}

/// Contents of the files that are wanted, by path.
///
/// # Errors
/// As [`members`].
pub fn contents(
    packed: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Arc<[u8]>>, ArchiveError> {
    let mut found = BTreeMap::new();
    each(packed, |path, _, content| {
        if wanted(&path) {
            found.insert(path, content.into());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Hands on every member with its content.
fn each(
    packed: &[u8],
    mut take: impl FnMut(String, Member, Vec<u8>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let plain = unpacked(packed)?;
    let mut archive = tar::Archive::new(&*plain);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        // What `git archive` says of the commit.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let bytes = entry.path_bytes();
        let Ok(raw) = std::str::from_utf8(&bytes) else {
            return Err(refused(&String::from_utf8_lossy(&bytes), "its name is not UTF-8"));
        };
        let path = inner_path(raw)?;
        drop(bytes);
        let mut content = Vec::new();
        let member = match kind {
            EntryType::Directory => Member::Directory { owned: Some(owned(&entry, &path)?) },
            EntryType::Symlink => Member::Symlink { to: link(&entry, &path)? },
            EntryType::Regular => {
                let bytes = entry.size();
                if bytes > MEMBER_BYTES_MAX {
                    let limit = format!("{MEMBER_BYTES_MAX} bytes in `{path}`");
                    return Err(ArchiveError::TooLarge { limit });
                }
                entry.read_to_end(&mut content).map_err(damaged)?;
                if content.len() as u64 != bytes {
                    return Err(damaged("it ends too early"));
                }
                Member::File { digest: Digest::of(&content), owned: owned(&entry, &path)? }
            }
            EntryType::Link => return Err(refused(&path, "it is a hard link")),
            _ => return Err(refused(&path, "it is neither file, directory nor symbolic link")),
        };
        if path.is_empty() && !matches!(member, Member::Directory { .. }) {
            return Err(refused(".", "it would replace the folder itself"));
        }
        take(path, member, content)?;
    }
    Ok(())
}

fn unpacked(packed: &[u8]) -> Result<Cow<'_, [u8]>, ArchiveError> {
    if let Some((_, how)) = PACKED.iter().find(|(begin, _)| packed.starts_with(begin)) {
        return Err(ArchiveError::Packed { how });
    }
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(packed));
    }
    let mut plain = Vec::new();
    let mut unpacking = MultiGzDecoder::new(packed).take(UNPACKED_BYTES_MAX + 1);
    unpacking.read_to_end(&mut plain).map_err(damaged)?;
    if plain.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(ArchiveError::TooLarge { limit: format!("{UNPACKED_BYTES_MAX} bytes") });
    }
    Ok(Cow::Owned(plain))
}

/// A member's path without `./` before and `/` after it; `.` itself is the empty path.
fn inner_path(raw: &str) -> Result<String, ArchiveError> {
    let mut path = raw;
    while let Some(rest) = path.strip_prefix("./") {
        path = rest;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() || path == "." {
        let itself = raw.starts_with('.');
        return if itself { Ok(String::new()) } else { Err(refused(raw, "it has no name")) };
    }
    if path.starts_with('/') {
        return Err(refused(raw, "its path is absolute"));
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(refused(raw, "its path is too long"));
    }
    if path.split('/').any(|step| matches!(step, "" | "." | "..")) {
        return Err(refused(raw, "its path has a `..`, `.` or `//`"));
    }
    if path.contains(char::is_control) {
        return Err(refused(raw, "its path has control characters"));
    }
    Ok(path.to_owned())
}

fn owned(entry: &Entry<'_, &[u8]>, path: &str) -> Result<Permissions, ArchiveError> {
    let header = entry.header();
    let number = |id: std::io::Result<u64>| {
        let id = id.map_err(damaged)?;
        let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        id.ok_or_else(|| refused(path, "its owner is no user"))
    };
    let (uid, gid) = (number(header.uid())?, number(header.gid())?);
    Ok(Permissions { mode: header.mode().map_err(damaged)? & 0o7777, uid, gid })
}

/// What a link says. Steps up stand first, so that no other link leads them elsewhere, and there are
/// no more than the archive has folders above it.
fn link(entry: &Entry<'_, &[u8]>, path: &str) -> Result<String, ArchiveError> {
    let to = entry.link_name_bytes().unwrap_or_default();
    let Ok(to) = std::str::from_utf8(&to) else {
        return Err(refused(path, "its link is not UTF-8"));
    };
    if to.is_empty() || to.len() > PATH_BYTES_MAX || to.contains(char::is_control) {
        return Err(refused(path, "its link says nothing that is read"));
    }
    let n_up = to.split('/').take_while(|step| *step == "..").count();
    let climbs = n_up > path.matches('/').count() || to.split('/').skip(n_up).any(|s| s == "..");
    if to.starts_with('/') || climbs {
        return Err(refused(path, "its link leads out of the archive"));
    }
    Ok(to.to_owned())
}

#[cfg(test)]
mod tests;
