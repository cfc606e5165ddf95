//! Files that tell of what rules are about, watched where that is cheap: a change is checked soon, not at the next
//! turn of the schedule.
//!
//! In: rules, the host's root. Out: which path changed. Effect: inotify watches and a thread.
//!
//! # Guarantees
//! * Setting up holds nobody up, whatever a file system does; one that does not answer is not watched,
//!   and costs a thread once, not one for each vigil.
//! * At most [`FOLDERS_MAX`] folders are watched, none that something writes to all the time; what is
//!   not watched is left to the schedule.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::clients::host::{HostRoot, Silence};
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
    /// Comes when everything is watched, and ends with this.
    _watcher: Receiver<RecommendedWatcher>,
    changed: mpsc::Receiver<PathBuf>,
}

impl Vigil {
    /// Watches what these rules are about, soon; none if there is nothing to watch. What hangs is known
    /// from one vigil to the next by `silence`.
    pub(crate) fn over(root: &Path, rules: &[Rule], silence: &Arc<Mutex<Silence>>) -> Option<Self> {
        let (paths, folders) = watched(rules.iter().map(|rule| files_of(&rule.kind)));
        if folders.is_empty() {
            return None;
        }
        let (root, silence) = (root.to_owned(), Arc::clone(silence));
        let (ready, watcher) = channel();
        // One that waits is as good as many.
        let (to, changed) = mpsc::channel(1);
        // A file system that hangs holds whoever looks.
        let begun = thread::Builder::new().spawn(move || {
            let paths = paths.iter().map(|path| below(&root, path)).collect();
            // If the vigil is over by now, so is this.
            let _over =
                watch(&root, &folders, paths, to, &silence).map(|watcher| ready.send(watcher));
        });
        begun.is_ok().then_some(Self { _watcher: watcher, changed })
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

fn below(root: &Path, path: &HostPath) -> PathBuf {
    root.join(path.as_str().trim_start_matches('/'))
}

/// Tells of changes to `paths` in those of the folders that are there and whose file systems answer.
fn watch(
    root: &Path,
    folders: &[HostPath],
    paths: BTreeSet<PathBuf>,
    to: mpsc::Sender<PathBuf>,
    silence: &Mutex<Silence>,
) -> Option<RecommendedWatcher> {
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
    let there = answering(root, folders, silence)?.into_iter();
    let there = there.map(|folder| below(root, folder)).filter(|folder| folder.is_dir());
    for folder in there.take(FOLDERS_MAX) {
        // What cannot be watched is left to the schedule.
        let _watched = watcher.watch(&folder, RecursiveMode::NonRecursive);
    }
    Some(watcher)
}

/// Those of the folders whose file systems answer.
fn answering<'a>(
    root: &Path,
    folders: &'a [HostPath],
    silence: &Mutex<Silence>,
) -> Option<Vec<&'a HostPath>> {
    let mut silence = silence.lock().ok()?;
    silence.ask(&HostRoot::open(root).ok()?).ok()?;
    Some(folders.iter().filter(|folder| silence.answers(folder).is_ok()).collect())
}

/// Which paths matter, and the folders to watch for them, the first first: of rules about few files
/// before those about many, so that no archive's members crowd out what others are about.
fn watched(files: impl Iterator<Item = Vec<HostPath>>) -> (Vec<HostPath>, Vec<HostPath>) {
    let mut files: Vec<Vec<HostPath>> = files.collect();
    files.sort_by_key(Vec::len);
    let calm = files.into_iter().flatten().filter(|path| !is_busy(path.as_str()));
    let (mut paths, mut seen, mut folders) = (Vec::new(), BTreeSet::new(), Vec::new());
    for path in calm.take(PATHS_MAX) {
        if let Some((folder, _)) = path.split()
            && seen.insert(folder.clone())
        {
            folders.push(folder);
        }
        paths.push(path);
    }
    (paths, folders)
}

#[cfg(test)]
mod tests {
    use crate::agent::vigil::{PATHS_MAX, is_busy, watched};
    use crate::model::HostPath;

    #[test]
    fn what_one_rule_is_about_does_not_crowd_out_another() {
        let path = |text: String| text.parse::<HostPath>().unwrap();
        let archive = (0..2 * PATHS_MAX).map(|n| path(format!("/a/{n}/x"))).collect();
        let few = ["/etc/passwd", "/etc/group"].map(|text| path(text.to_owned())).to_vec();
        let (paths, folders) = watched([archive, few].into_iter());
        assert!(paths.contains(&path("/etc/passwd".to_owned())) && paths.len() == PATHS_MAX);
        assert_eq!(folders[..2], ["/etc", "/a/0"].map(|folder| path(folder.to_owned())));
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
