//! Files written whole: a temporary one in the same folder, then a rename.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::clients::host::{HostError, read_bounded};

/// Whether a write must survive a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// It can be made again.
    Atomic,
    /// It is synced, and so is its folder.
    Durable,
}

/// Puts `content` at `path` with exactly `mode`, atomically; its folder is made if it is missing. A
/// file that is already so is left alone. An empty folder in its place (which the engine makes of a
/// bind source that is gone) gives way.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), HostError> {
    put(path, content, mode, Durability::Atomic)
}

/// As [`write_file`], durably.
///
/// # Errors
/// When it cannot be written.
pub fn write_file_durable(path: &Path, content: &[u8], mode: u32) -> Result<(), HostError> {
    put(path, content, mode, Durability::Durable)
}

fn put(path: &Path, content: &[u8], mode: u32, durability: Durability) -> Result<(), HostError> {
    if let Ok(meta) = fs::symlink_metadata(path) {
        if meta.is_dir() {
            fs::remove_dir(path).map_err(|source| HostError::io("replace", path, source))?;
        } else if meta.is_file()
            && meta.len() == content.len() as u64
            && meta.permissions().mode() & 0o7777 == mode
            && read_bounded(path, meta.len())?.as_deref() == Some(content)
        {
            return Ok(());
        }
    }
    if let Some(folder) = path.parent() {
        create_private_dir(folder)?;
    }
    replace(path, content, mode, durability)
}

/// Makes `folder` and its parents with mode 0700, unless it is there.
///
/// # Errors
/// When it cannot be made.
pub fn create_private_dir(folder: &Path) -> Result<(), HostError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| HostError::io("make", folder, source))
}

/// Puts `content` at `path` for this user alone, durably; its folder must be there.
///
/// # Errors
/// When it cannot be written.
pub fn write_durable(path: &Path, content: &[u8]) -> Result<(), HostError> {
    replace(path, content, 0o600, Durability::Durable)
}

/// Replaces the file at `path` by a new one.
pub(crate) fn replace(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<(), HostError> {
    let temporary = write_beside(path, content, mode, durability)?;
    let renamed = fs::rename(&temporary, path).map_err(|e| HostError::io("write", path, e));
    if renamed.is_err() {
        let _gone = fs::remove_file(&temporary);
    }
    renamed?;
    if durability == Durability::Durable { sync_parent(path) } else { Ok(()) }
}

/// Writes a file beside `path`, complete but not yet in its place.
pub(crate) fn write_beside(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> Result<PathBuf, HostError> {
    let temporary = beside(path)?;
    let written = write_new(&temporary, content, mode, durability);
    if let Err(source) = written {
        let _gone = fs::remove_file(&temporary);
        return Err(HostError::io("write", path, source));
    }
    Ok(temporary)
}

/// A name beside `path` that nobody else has: leftovers of a crash are told by their suffix.
pub(crate) fn beside(path: &Path) -> Result<PathBuf, HostError> {
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce)
        .map_err(|source| HostError::io("name", path, std::io::Error::other(source.to_string())))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", hex::encode(nonce)));
    Ok(PathBuf::from(name))
}

fn write_new(
    path: &Path,
    content: &[u8],
    mode: u32,
    durability: Durability,
) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode & 0o700).open(path)?;
    file.write_all(content)?;
    // The mode of `open` is cut by the umask.
    if file.metadata()?.mode() & 0o7777 != mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    match durability {
        Durability::Atomic => Ok(()),
        Durability::Durable => file.sync_all(),
    }
}

/// Makes renames in the folder of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<(), HostError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| HostError::io("sync", folder, source))
}
