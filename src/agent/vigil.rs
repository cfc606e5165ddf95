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
use crate::model::HostPath;
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
        let (paths, folders) = watched(root, rules.iter().map(|rule| files_of(&rule.kind)));
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
        for folder in folders.into_iter().filter(|folder| folder.is_dir()).take(FOLDERS_MAX) {
            let done = watcher.watch(&folder, RecursiveMode::NonRecursive);
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

/// Which paths matter, and the folders to watch for them, the first first: of rules about few files
/// before those about many, so that no archive's members crowd out what others are about.
fn watched(
    root: &Path,
    files: impl Iterator<Item = Vec<HostPath>>,
) -> (BTreeSet<PathBuf>, Vec<PathBuf>) {
    let mut files: Vec<Vec<HostPath>> = files.collect();
    files.sort_by_key(Vec::len);
    let calm = files.iter().flatten().map(HostPath::as_str).filter(|path| !is_busy(path));
    let (mut paths, mut seen, mut folders) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for path in calm.take(PATHS_MAX).map(|path| root.join(path.trim_start_matches('/'))) {
        if let Some(folder) = path.parent().filter(|folder| !seen.contains(*folder)) {
            seen.insert(folder.to_owned());
            folders.push(folder.to_owned());
        }
        paths.insert(path);
    }
    (paths, folders)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use crate::agent::vigil::{PATHS_MAX, is_busy, watched};
    use crate::model::HostPath;

    #[test]
    fn what_one_rule_is_about_does_not_crowd_out_another() {
        let path = |text: String| text.parse::<HostPath>().unwrap();
        let archive = (0..2 * PATHS_MAX).map(|n| path(format!("/a/{n}/x"))).collect();
        let few = ["/etc/passwd", "/etc/group"].map(|text| path(text.to_owned())).to_vec();
        let (paths, folders) = watched(Path::new("/host"), [archive, few].into_iter());
        assert!(paths.contains(Path::new("/host/etc/passwd")) && paths.len() == PATHS_MAX);
        assert_eq!(folders[..2], ["/host/etc", "/host/a/0"].map(PathBuf::from));
    }

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
