//! When this node's rules are checked, and that they are: on schedule, on a commit, after events of
//! the engine, after a change of a file that a rule is about.
//!
//! In: what is believed, what woke the agent. Out: [`Inspected`]. Effect: runs `tidegate check
//! --keep` as a process of its own, so that the agent stays small, passes never wait for it, and
//! nothing that a check does can harm them.
//!
//! # Guarantees
//! * At most one check runs; it is asked to end when the agent ends, or after [`TIME_MAX`]. A fix
//!   under way is waited for, up to [`FIX_TIME_MAX`].
//! * Events cause at most one check in [`EVENTS_SPACING`], changes of files and ends of rollouts one
//!   in [`SOON_SPACING`]; an idle node checks by schedule alone.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tracing::warn;

use crate::agent::inspect::{Inspected, share};
use crate::agent::node::Node;
use crate::agent::systemd;
use crate::agent::trigger::{Trigger, Wake};
use crate::agent::vigil::Vigil;
use crate::clients::host::Silence;
use crate::model::{CheckSchedule, CommitId, Share};
use crate::reconcile::report::Reach;

/// This very executable, also after it was replaced on disk.
const PROGRAM: &str = "/proc/self/exe";
/// A check that takes longer hangs.
const TIME_MAX: Duration = Duration::from_secs(600);
/// More than all programs of one fix may take together.
const FIX_TIME_MAX: Duration = Duration::from_secs(1800);
/// What a check says is a page.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Let a pass end before what it did is checked.
const SETTLE: Duration = Duration::from_secs(1);
/// The distance of checks that events cause.
const EVENTS_SPACING: Duration = Duration::from_secs(60);

/// The distance of checks that changes of files and ends of rollouts cause.
const SOON_SPACING: Duration = Duration::from_secs(10);

/// The checks of an agent.
#[derive(Debug)]
pub struct Checker {
    config: PathBuf,
    /// Whether that says what is in force.
    unused: Reach,
    /// The host's root.
    root: PathBuf,
    vigil: Option<Vigil>,
    /// Which of the host's file systems do not answer.
    silence: Arc<Mutex<Silence>>,
    /// The revision that was checked last, or is about to be.
    commit: Option<CommitId>,
    schedules: Vec<CheckSchedule>,
    share: Option<Share>,
    /// When the schedule has it next.
    scheduled: Option<Timestamp>,
    /// When something else asks for it, and what.
    asked: Option<(Instant, String)>,
    last: Option<Instant>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    said: Vec<u8>,
    until: Instant,
    is_late: bool,
    trigger: String,
}

impl Running {
    /// Asks it to end, which it does between fixes: a package manager that loses what reads it would
    /// break off half done.
    fn terminate(&self) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            let _gone = kill_process(id, Signal::TERM);
        }
    }

    /// Waits for its end; may be dropped at any time.
    async fn whole(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(stdout) = &mut self.child.stdout {
            let mut part = [0; 4096];
            // Standard output ends with the child.
            while let Ok(n @ 1..) = stdout.read(&mut part).await {
                if self.said.len() < ANSWER_BYTES_MAX {
                    self.said.extend_from_slice(&part[..n]);
                }
            }
        }
        self.child.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// Waits until then; for ever if there is no such time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Checker {
    /// Checks go by the configuration in `config`; `root` is the host's.
    pub fn new(config: &Path, root: &Path) -> Self {
        Self {
            config: config.to_owned(),
            unused: Reach::Answers,
            root: root.to_owned(),
            vigil: None,
            silence: Arc::new(Mutex::new(Silence::below(root.to_owned()))),
            commit: None,
            schedules: Vec::new(),
            share: None,
            scheduled: None,
            asked: None,
            last: None,
            running: None,
        }
    }

    /// Decides after a pass when to check next. A check reads the configuration anew: none is begun
    /// while what lies there is another one than is in force.
    pub(crate) fn consider(&mut self, node: &Node, wake: &Wake) {
        self.unused = node.unused.clone();
        let desired = node.belief.desired.as_ref().filter(|_| self.unused == Reach::Answers);
        let Some(desired) = desired else { return };
        if desired.rules.is_empty() && desired.services.is_empty() {
            (self.asked, self.scheduled, self.commit) = (None, None, None);
            self.vigil = None;
            return;
        }
        let now = Instant::now();
        if self.share.is_none() || desired.revision.commit() != self.commit {
            self.commit = desired.revision.commit();
            self.schedules.clone_from(&desired.checks);
            self.share = Some(share(&desired.node));
            self.scheduled = self.next();
            self.vigil = Vigil::over(&self.root, &desired.rules, &self.silence);
            return self.ask(now + SETTLE, "commit");
        }
        match wake.first {
            Trigger::Engine { .. } | Trigger::EventsLost => {
                self.ask_spaced(EVENTS_SPACING, &wake.first.to_string());
            }
            // What a commit's own check found under way is no longer so.
            Trigger::Ended => self.ask_spaced(SOON_SPACING, &wake.first.to_string()),
            _ => {}
        }
    }

    fn ask_spaced(&mut self, spacing: Duration, trigger: &str) {
        let now = Instant::now();
        let spaced = self.last.map_or(now, |last| last + spacing);
        self.ask(spaced.max(now + SETTLE), trigger);
    }

    fn next(&self) -> Option<Timestamp> {
        let (now, share) = (Timestamp::now(), self.share?);
        self.schedules.iter().filter_map(|schedule| schedule.next(now, share)).min()
    }

    fn ask(&mut self, at: Instant, trigger: &str) {
        if self.asked.as_ref().is_none_or(|(asked, _)| at < *asked) {
            self.asked = Some((at, trigger.to_owned()));
        }
    }

    /// Waits until a check is due, runs it, and gives what it says and what started it; for ever if
    /// none is due. May be dropped at any time.
    pub async fn ended(&mut self) -> (Option<Inspected>, String) {
        loop {
            if self.running.is_some() {
                return self.end().await;
            }
            if self.unused != Reach::Answers {
                return std::future::pending().await;
            }
            let due = self.due();
            let at = due.as_ref().map(|(at, _)| *at);
            tokio::select! {
                () = until(at) => {}
                path = Vigil::changed(&mut self.vigil) => {
                    self.ask_spaced(SOON_SPACING, &format!("{} changed", path.display()));
                    continue;
                }
            }
            let Some((_, trigger)) = due else { continue };
            self.asked = None;
            self.scheduled = self.next();
            self.start(trigger);
        }
    }

    fn due(&self) -> Option<(Instant, String)> {
        let scheduled = self.scheduled.map(|due| {
            let left = due.duration_since(Timestamp::now());
            let left = Duration::try_from(left).unwrap_or_default();
            (Instant::now() + left, "schedule".to_owned())
        });
        self.asked.clone().into_iter().chain(scheduled).min()
    }

    fn start(&mut self, trigger: String) {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(&self.config)
            .args(["check", "--keep", &trigger, "--output", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C is for the agent, which asks it to end.
            .process_group(0);
        self.last = Some(Instant::now());
        match command.spawn() {
            Ok(child) => {
                let until = Instant::now() + TIME_MAX;
                self.running =
                    Some(Running { child, said: Vec::new(), until, is_late: false, trigger });
            }
            Err(error) => warn!("rules could not be checked: {error}"),
        }
    }

    /// Asks the check that `before` runs to end, and checks nothing before it has: the fix that it
    /// makes has the lock. What hangs is known to this one as well.
    pub fn take_over(&mut self, before: Self) {
        if self.root == before.root {
            self.silence = before.silence;
        }
        self.running = before.running;
        if let Some(running) = &mut self.running {
            running.terminate();
            (running.until, running.is_late) = (Instant::now() + FIX_TIME_MAX, true);
        }
    }

    /// Ends a check that runs, after the fix that it makes.
    pub async fn stop(&mut self) {
        let Some(running) = &mut self.running else { return };
        // What systemd finds after the agent is killed: also a package manager.
        systemd::extend(FIX_TIME_MAX);
        running.terminate();
        if tokio::time::timeout(FIX_TIME_MAX, running.whole()).await.is_err() {
            warn!("a fix took longer than {} s and is left alone", FIX_TIME_MAX.as_secs());
        }
        self.running = None;
    }

    async fn end(&mut self) -> (Option<Inspected>, String) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let status = loop {
            match tokio::time::timeout_at(running.until, running.whole()).await {
                Err(_) if !running.is_late => {
                    running.is_late = true;
                    running.until += FIX_TIME_MAX;
                    running.terminate();
                }
                status => break status,
            }
        };
        if status.is_err() {
            let _gone = running.child.start_kill();
        }
        let said = serde_json::from_slice(&running.said);
        let trigger = std::mem::take(&mut running.trigger);
        self.running = None;
        self.last = Some(Instant::now());
        match (status, said) {
            (Ok(Ok(_)), Ok(said)) => (Some(said), trigger),
            (Ok(Ok(status)), Err(_)) => {
                warn!("rules could not be checked: the check ended with {status}");
                (None, trigger)
            }
            (Ok(Err(error)), _) => {
                warn!("rules could not be checked: {error}");
                (None, trigger)
            }
            (Err(_), _) => {
                warn!("rules could not be checked within {} s", TIME_MAX.as_secs());
                (None, trigger)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Stdio;
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use tokio::io::AsyncReadExt as _;
    use tokio::process::Command;
    use tokio::time::Instant;

    use crate::agent::checker::{Checker, FIX_TIME_MAX, Running};
    use crate::agent::inspect::share;

    /// A checker amid a fix that takes a second more once it is asked to end, and what it writes then.
    async fn fixing(mended: &Path) -> Checker {
        let script = "trap 'sleep 1; echo > \"$0\"; exit' TERM; echo; while :; do sleep 0.1; done";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(mended).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It listens now.
        child.stdout.as_mut().unwrap().read_u8().await.unwrap();
        let until = Instant::now() + FIX_TIME_MAX;
        let (said, trigger) = (Vec::new(), String::new());
        let mut checker = Checker::new(Path::new("/"), Path::new("/"));
        checker.running = Some(Running { child, said, until, is_late: false, trigger });
        checker
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_fix_that_is_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let mended = dir.path().join("mended");
        let mut checker = fixing(&mended).await;
        checker.stop().await;
        assert!(mended.exists() && checker.running.is_none());
    }

    #[tokio::test]
    async fn what_the_schedule_has_is_checked_and_then_the_next_is_waited_for() {
        let mut checker = Checker::new(Path::new("/"), Path::new("/"));
        checker.schedules = vec!["@1h".parse().unwrap()];
        checker.share = Some(share(&"dev1".parse().unwrap()));
        let now = Timestamp::now();
        checker.scheduled = Some(now);
        // The check is this program, which is not Tidegate: it says nothing.
        let ended = tokio::time::timeout(Duration::from_secs(60), checker.ended()).await;
        let (said, trigger) = ended.unwrap();
        assert!(said.is_none());
        assert_eq!(trigger, "schedule");
        let next = checker.scheduled.unwrap().duration_since(now);
        assert!(next.is_positive() && next <= SignedDuration::from_hours(1), "{next}");
    }

    #[tokio::test]
    async fn after_a_reload_the_fix_that_is_under_way_ends_before_anything_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let mended = dir.path().join("mended");
        let mut checker = Checker::new(Path::new("/"), Path::new("/"));
        checker.take_over(fixing(&mended).await);
        let (said, _) = checker.ended().await;
        assert!(said.is_none() && mended.exists() && checker.running.is_none());
    }
}
