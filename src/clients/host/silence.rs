//! File systems that do not answer, so that nothing is asked of them.
//!
//! In: the host's mounts. Out: which paths are on one that is silent. Effect: looks, on threads.
//!
//! # Guarantees
//! * Only what can hang is asked, and at most once: a host without such mounts costs a look at the
//!   kernel's table.
//! * While one is silent, a path that leads there through a link is found silent as well.

use std::path::Path;
use std::sync::Arc;

use crate::clients::host::{Follower, HostError, HostRoot};
use crate::model::HostPath;
use crate::model::mounts::is_remote;

/// Which mounts of the host are silent.
#[derive(Debug, Default)]
pub struct Silence {
    mounts: Vec<String>,
    /// Looks at what does not lie below them by its name.
    follower: Option<Follower>,
}

impl Silence {
    /// Asks each mount of the host that could hang.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn of(host: &HostRoot) -> Result<Self, HostError> {
        let seen = host.mounts()?;
        // Answers of `fuse` and its kin come from a program.
        let can_hang = |kind: &str| is_remote(kind) || kind.starts_with("fuse");
        let asked = seen.iter().filter(|seen| can_hang(&seen.kind)).map(|seen| &*seen.path);
        let root = host.folder().to_owned();
        let at = move |path: &str| root.join(path.trim_start_matches('/'));
        let stat = Follower::with(Arc::new(move |path: &str| {
            // Answered or refused, it is there.
            let _said = rustix::fs::statvfs(at(path));
            Ok(String::new())
        }));
        let led = stat.follow(&asked.collect()).into_iter();
        let mounts: Vec<String> =
            led.filter_map(|(path, led)| led.is_err().then_some(path)).collect();
        let follower = (!mounts.is_empty()).then(|| {
            let root = host.folder().to_owned();
            Follower::with(Arc::new(move |path: &str| {
                let _led = HostRoot::open(&root).and_then(|root| root.leads_to(path));
                Ok(String::new())
            }))
        });
        Ok(Self { mounts, follower })
    }

    /// Whether any file system does not answer.
    pub fn is_any(&self) -> bool {
        self.follower.is_some()
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
        let Some(follower) = &self.follower else { return Ok(()) };
        let path = path.as_str();
        let below = self.mounts.iter().find(|mount| Path::new(path).starts_with(mount));
        if let Some(mount) = below {
            return Err(format!("the file system at {mount} does not answer"));
        }
        let led = follower.follow(&[path].into()).pop();
        led.map_or(Ok(()), |(_, led)| led.map(drop))
    }
}
