//! File systems that do not answer, so that nothing is asked of them.
//!
//! In: the host's mounts. Out: which paths are on one that is silent. Effect: looks, on threads.
//!
//! # Guarantees
//! * Only what can hang is asked, and at most once at a time: a host without such mounts costs a look
//!   at the kernel's table.
//! * What hangs is not asked again as long as this lives: each costs one thread, however often all are
//!   asked.
//! * While one is silent, a path that leads there through a link is found silent as well, without
//!   touching what is silent: however many such paths there are, none costs anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clients::host::root::Led;
use crate::clients::host::{Follower, HostError, HostRoot};
use crate::model::HostPath;
use crate::model::mounts::is_remote;

/// Whether what is mounted so can hang whoever looks at it.
pub(in crate::clients::host) fn can_hang(kind: &str) -> bool {
    // Answers of `fuse` and its kin come from a program.
    is_remote(kind) || kind.starts_with("fuse")
}

/// Which mounts of the host are silent.
#[derive(Debug)]
pub struct Silence {
    root: PathBuf,
    mounts: Vec<String>,
    /// Asks mounts.
    asks: Follower,
}

impl Silence {
    /// Of the host whose root is there, before anything was asked.
    pub fn below(root: PathBuf) -> Self {
        let at = root.clone();
        let asks = Follower::with(Arc::new(move |path: &str| {
            // Answered or refused, it is there.
            let _said = rustix::fs::statvfs(at.join(path.trim_start_matches('/')));
            Ok(String::new())
        }));
        Self { root, mounts: Vec::new(), asks }
    }

    /// Asks each mount of the host that could hang.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn of(host: &HostRoot) -> Result<Self, HostError> {
        let mut silence = Self::below(host.folder().to_owned());
        silence.ask(host)?;
        Ok(silence)
    }

    /// Asks them once more, but not those that still hang.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn ask(&mut self, host: &HostRoot) -> Result<(), HostError> {
        let seen = host.mounts()?;
        let asked = seen.iter().filter(|seen| can_hang(&seen.kind)).map(|seen| &*seen.path);
        let led = self.asks.follow(&asked.collect()).into_iter();
        self.mounts = led.filter_map(|(path, led)| led.is_err().then_some(path)).collect();
        Ok(())
    }

    /// Whether any file system does not answer.
    pub fn is_any(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// Where a folder leads, every link followed; none where nothing can tell.
    pub fn leads_to(&self, host: &HostRoot, folder: &HostPath) -> Option<HostPath> {
        self.answers(folder).ok()?;
        host.leads_to(folder.as_str()).ok()?.parse().ok()
    }

    /// Whether what lies at this path may be looked at.
    ///
    /// # Errors
    /// Why nothing is asked about this path.
    pub fn answers(&self, path: &HostPath) -> Result<(), String> {
        if !self.is_any() {
            return Ok(());
        }
        let path = path.as_str();
        let silent = |mount: &str| Err(format!("the file system at {mount} does not answer"));
        if let Some(mount) = self.mounts.iter().find(|mount| Path::new(path).starts_with(mount)) {
            return silent(mount);
        }
        let root = HostRoot::open(&self.root);
        match root.and_then(|root| root.leads_past(path, &self.mounts)) {
            Ok(Led::Into(mount)) => silent(&mount),
            // What else is wrong with it, whoever looks at it finds.
            Ok(Led::To(_)) | Err(_) => Ok(()),
        }
    }
}
