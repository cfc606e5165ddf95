//! What a pass acts with: configs' files, fresh nonces, the hub's credentials.
//!
//! In: settings, the engine. Out: implementations of the stages' traits. Effect: theirs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tracing::debug;

use crate::agent::AgentError;
use crate::clients::docker::{RegistryAuth, RegistryCredentials};
use crate::clients::host::{Follower, read_bounded, write_file_durable};
use crate::config::Settings;
use crate::model::{Digest, Hub};
use crate::reconcile::apply::ConfigFiles;
use crate::reconcile::plan::HostLinks;
use crate::telemetry::Chain;

/// A credentials file longer than this is a mistake.
const CREDENTIALS_BYTES_MAX: u64 = 1 << 20;
/// A config's file is part of a revision, whose files are smaller than this.
const CONFIG_BYTES_MAX: u64 = 64 << 20;
/// Files looked at in one sweep; the next one goes on.
const CONFIGS_MAX: usize = 10_000;

/// The host's file system: the node's store of configs' contents, and what containers are given.
#[derive(Debug)]
pub struct HostFiles(Follower);

impl HostFiles {
    /// The files of the host whose root is there, which need not be the agent's.
    pub fn below(root: PathBuf) -> Self {
        Self(Follower::below(root))
    }

    /// Goes on knowing which file systems hang.
    pub fn take_over(&self, before: &Self) {
        self.0.take_over(&before.0);
    }
}

impl ConfigFiles for HostFiles {
    fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        write_file_durable(Path::new(path), content, mode)
            .map_err(|error| io::Error::other(Chain(&error).to_string()))
    }

    fn links(&self, paths: &BTreeSet<&str>) -> HostLinks {
        self.0.follow(paths).into_iter().collect()
    }

    fn is_intact(&self, path: &str) -> bool {
        let path = Path::new(path);
        let Some((digest, mode)) = path.file_name().and_then(named) else { return false };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() || found.mode() & 0o7777 != mode => return false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            _ => {}
        }
        match read_bounded(path, CONFIG_BYTES_MAX) {
            Ok(content) => content.is_some_and(|content| Digest::of(&content).hex() == digest),
            // Nothing is known against it: a container is not made anew for that.
            Err(error) => {
                debug!("{} cannot be looked at: {}", path.display(), Chain(&error));
                true
            }
        }
    }

    fn sweep(&self, folder: &str, kept: &BTreeSet<String>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.take(CONFIGS_MAX).flatten() {
            let path = entry.path();
            let name = entry.file_name();
            let is_ours = named(&name).is_some() || is_leftover(&name);
            if is_ours && !path.to_str().is_some_and(|path| kept.contains(path)) {
                match fs::remove_file(&path) {
                    Ok(()) => debug!("removed {}, which nothing mounts any more", path.display()),
                    Err(error) => debug!("{} stays: {error}", path.display()),
                }
            }
        }
    }
}

/// What a config's file name, `<hex>-<mode>`, says of it.
fn named(name: &OsStr) -> Option<(&str, u32)> {
    let (digest, mode) = name.to_str()?.split_once('-')?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mode = u32::from_str_radix(mode, 8).ok()?;
    is_digest.then_some((digest, mode))
}

/// Whether it is a config's file that a crash left half written, `<hex>-<mode>.<random>.tmp`: none is
/// being written while a sweep looks.
fn is_leftover(name: &OsStr) -> bool {
    let of = name.to_str().and_then(|name| name.strip_suffix(".tmp")?.split_once('.'));
    of.is_some_and(|(of, _)| named(OsStr::new(of)).is_some())
}

/// Fresh random hex: enough that no two objects ever share it.
pub fn nonce() -> String {
    let mut bytes = [0; 8];
    // Without randomness the process's id and the time still tell objects apart.
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&nanos[..8]);
    }
    hex::encode(bytes)
}

/// A number that nobody guesses, for jitter.
pub fn chance() -> u16 {
    let mut bytes = [0; 2];
    let _zero_is_as_good = getrandom::fill(&mut bytes);
    u16::from_le_bytes(bytes)
}

/// Credentials for the environment's hub, read afresh so that they can be changed at any time.
///
/// # Errors
/// When the file that the configuration names cannot be used.
pub fn hub_credentials(settings: &Settings, hub: &Hub) -> Result<Option<RegistryAuth>, AgentError> {
    let Some(path) = &settings.hub.credentials else { return Ok(None) };
    let unusable = |reason: String| AgentError::Credentials { path: path.clone(), reason };
    let bytes = read_bounded(path, CREDENTIALS_BYTES_MAX).map_err(AgentError::Host)?;
    let bytes = bytes.ok_or_else(|| unusable("it is not there".to_owned()))?;
    let all =
        RegistryCredentials::parse(&bytes).map_err(|error| unusable(Chain(&error).to_string()))?;
    Ok(all.for_authority(hub.authority()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use crate::agent::effects::HostFiles;
    use crate::model::Digest;
    use crate::reconcile::apply::ConfigFiles as _;

    #[test]
    fn a_sweep_removes_what_a_crash_left_half_written_and_nothing_of_others() {
        let dir = tempfile::tempdir().unwrap();
        let files = HostFiles::below("/".into());
        let name = |content: &str| format!("{}-0444", Digest::of(content.as_bytes()).hex());
        let (kept, gone) = (name("kept"), name("gone"));
        let half = [format!("{kept}.00ff.tmp"), format!("{gone}.00ff.tmp")];
        let others =
            ["notes.txt".to_owned(), "notes-0444.00ff.tmp".to_owned(), format!("{gone}.bak")];
        for name in [&kept, &gone].into_iter().chain(&half).chain(&others) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let keep = BTreeSet::from([dir.path().join(&kept).display().to_string()]);
        files.sweep(&dir.path().display().to_string(), &keep);
        let left = fs::read_dir(dir.path()).unwrap();
        let left: BTreeSet<_> =
            left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(left, others.into_iter().chain([kept]).collect());
    }
}
