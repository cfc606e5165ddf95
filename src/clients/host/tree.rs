//! A folder's files as bytes, bounded: an engineer's work tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::clients::host::{HostError, read_bounded};

/// The most files and folders of a repository (TRUST.md).
pub const FILES_MAX: usize = 100_000;
/// The most bytes of a file (TRUST.md).
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The most bytes of all files: it is held in memory, whose limit is 256 MiB.
pub const TREE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The deepest folder (TRUST.md).
const LEVELS_MAX: usize = 32;

/// Every regular file below `folder` by its path with `/`, `.git` left out, unless `skip` says so of
/// a path (a folder's path ends with `/`).
///
/// # Errors
/// When a file cannot be read, is a link, a device or a repository of its own, has a name that is not
/// UTF-8, or something is over its limit.
pub fn read_tree(
    folder: &Path,
    skip: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Arc<[u8]>>, HostError> {
    let mut found = BTreeMap::new();
    let mut bytes_left = TREE_BYTES_MAX;
    let mut entries_left = FILES_MAX;
    let mut folders = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((at, prefix, level)) = folders.pop() {
        let list = fs::read_dir(&at).map_err(|source| HostError::io("read", &at, source))?;
        for entry in list {
            let entry = entry.map_err(|source| HostError::io("read", &at, source))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(HostError::unfit(&path, "its name is not UTF-8"));
            };
            if name == ".git" {
                if level == 0 {
                    continue;
                }
                return Err(HostError::unfit(&at, "a repository within the repository"));
            }
            entries_left = entries_left.checked_sub(1).ok_or_else(|| {
                HostError::unfit(folder, format!("more than {FILES_MAX} files and folders"))
            })?;
            let kind = entry.file_type().map_err(|e| HostError::io("read", &path, e))?;
            if kind.is_dir() {
                let below = format!("{prefix}{name}/");
                if level + 1 > LEVELS_MAX {
                    return Err(HostError::unfit(&path, format!("deeper than {LEVELS_MAX}")));
                }
                if !skip(&below) {
                    folders.push((path, below, level + 1));
                }
            } else if kind.is_file() {
                let inner = format!("{prefix}{name}");
                if skip(&inner) {
                    continue;
                }
                let content = read_bounded(&path, FILE_BYTES_MAX)?.unwrap_or_default();
                bytes_left = bytes_left.checked_sub(content.len() as u64).ok_or_else(|| {
                    HostError::unfit(folder, format!("more than {TREE_BYTES_MAX} bytes"))
                })?;
                found.insert(inner, content.into());
            } else {
                return Err(HostError::unfit(&path, "neither a file nor a folder (a link?)"));
            }
        }
    }
    Ok(found)
}
