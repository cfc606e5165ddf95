//! Files that tell of what rules are about, watched where that is cheap: a change is checked soon, not at the next
//! turn of the schedule.
//!
//! In: rules, the host's root. Out: which path changed. Effect: inotify watches and a thread.
//!
//! # Guarantees
//! * At most [`FOLDERS_MAX`] folders are watched, none that something writes to all the time; what is
//!   not watched is left to the schedule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::compliance::kind::files_of;
use crate::reconcile::desired::rule::Rule;

/// Each folder costs a watch of the kernel's, and every event in it a look at its name.
const FOLDERS_MAX: usize = 128;
/// More paths than this are left to the schedule: their names are kept.
const PATHS_MAX: usize = 2_000;
/// Folders in and below which something is written all the time.
const BUSY: [&str; 6] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/log"];

fn is_busy(path: &str) -> bool {
    BUSY.iter().any(|folder| Path::new(path).starts_with(folder))
}

/// Watches that last as long as this lives.
#[derive(Debug)]
pub(crate) struct Vigil {
    _watcher: RecommendedWatcher,
    changed: mpsc::Receiver<PathBuf>,
}

impl Vigil {
    /// Watches what these rules are about; none if there is nothing to watch, or no way to.
    pub(crate) fn over(root: &Path, rules: &[Rule]) -> Option<Self> {
        let wanted = rules.iter().flat_map(|rule| files_of(&rule.kind));
        let paths: BTreeSet<PathBuf> = wanted
            .filter(|path| !is_busy(path.as_str()))
            .map(|path| root.join(path.as_str().trim_start_matches('/')))
            .take(PATHS_MAX)
            .collect();
        let folders: BTreeSet<PathBuf> =
            paths.iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
        // One that waits is as good as many.
        let (to, changed) = mpsc::channel(1);
        let tell = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Whoever opens any file of the folder comes by here.
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            if let Some(path) = event.paths.into_iter().find(|path| paths.contains(path)) {
                drop(to.try_send(path));
            }
        };
        let mut watcher = notify::recommended_watcher(tell).ok()?;
        let mut n_watched = 0;
        for folder in folders.iter().filter(|folder| folder.is_dir()).take(FOLDERS_MAX) {
            let done = watcher.watch(folder, RecursiveMode::NonRecursive);
            n_watched += usize::from(done.is_ok());
        }
        (n_watched > 0).then_some(Self { _watcher: watcher, changed })
    }

    /// Waits for a change; may be dropped at any time.
    pub(crate) async fn changed(vigil: &mut Option<Self>) -> PathBuf {
        match vigil {
            Some(vigil) => match vigil.changed.recv().await {
                Some(path) => path,
                None => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::agent::vigil::is_busy;

    #[test]
    fn what_lies_anywhere_below_a_busy_folder_is_left_to_the_schedule() {
        for busy in ["/tmp/a", "/var/log/nginx/access.log", "/run/x/y/z"] {
            assert!(is_busy(busy), "{busy}");
        }
        for calm in ["/etc/motd", "/var/lib/x", "/tmpfiles/a", "/etc/tmp/a"] {
            assert!(!is_busy(calm), "{calm}");
        }
    }
}
