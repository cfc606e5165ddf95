//! A promoter's second job: copying what the environment's hub lacks for a verified commit.
//!
//! In: the newest verified commit. Out: images in the hub. Effect: runs `tidegate hub copy` as a
//! process of its own, so that the agent stays small, and nothing of a copy can harm it.
//!
//! # Guarantees
//! * At most one copy runs; it ends with the agent.
//! * A copy that failed is tried again, ever more slowly; it goes on where it was.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::model::CommitId;
use crate::reconcile::apply::backoff;

/// Copies that fail are tried again after this long at most.
const AGAIN_MAX: Duration = Duration::from_secs(300);

/// This very executable, also after it was replaced on disk.
const PROGRAM: &str = "/proc/self/exe";
/// Lines of a failed copy that are told.
const LINES_MAX: usize = 20;

/// The copies of a promoter.
#[derive(Debug)]
pub struct Promoter {
    config: PathBuf,
    /// The commit whose images are all there.
    done: Option<CommitId>,
    running: Option<Running>,
    n_failures: u32,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    commit: CommitId,
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// Its last lines.
    said: VecDeque<String>,
}

impl Promoter {
    /// Copies go by the configuration in `config`.
    pub fn new(config: &Path) -> Self {
        let config = config.to_owned();
        Self { config, done: None, running: None, n_failures: 0, not_before: None }
    }

    /// Begins to copy for `verified`, unless that is done, under way, or failed a moment ago.
    pub fn consider(&mut self, verified: Option<CommitId>) {
        let Some(commit) = verified.filter(|commit| self.done != Some(*commit)) else { return };
        let waits = self.not_before.is_some_and(|time| time > Instant::now());
        if self.running.is_some() || waits {
            return;
        }
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(&self.config)
            .args(["hub", "copy"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = command.spawn().map(|mut child| {
            let stderr = child.stderr.take()?;
            Some((child, BufReader::new(stderr).lines()))
        });
        match started {
            Ok(Some((child, lines))) => {
                info!("copying what the hub lacks for {commit}");
                self.running = Some(Running { commit, child, lines, said: VecDeque::new() });
            }
            Ok(None) => self.failed("its standard error is not there"),
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// Waits until a copy has ended; for ever if none runs. Gives whether images came. May be
    /// dropped at any time.
    pub async fn ended(&mut self) -> bool {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        // Standard error is read to its end, which comes with the child's.
        while let Some(line) = running.lines.next_line().await.unwrap_or(None) {
            if running.said.len() >= LINES_MAX {
                running.said.pop_front();
            }
            running.said.push_back(line);
        }
        let status = running.child.wait().await;
        let (commit, said) = (running.commit, std::mem::take(&mut running.said));
        self.running = None;
        match status {
            Ok(status) if status.success() => {
                info!("the hub holds every image of {commit}");
                (self.done, self.n_failures, self.not_before) = (Some(commit), 0, None);
                true
            }
            Ok(status) => {
                self.failed(&reason(status, &said));
                // Some of them may have come all the same.
                true
            }
            Err(error) => {
                self.failed(&error.to_string());
                false
            }
        }
    }

    fn failed(&mut self, reason: &str) {
        self.n_failures = self.n_failures.saturating_add(1);
        let wait = backoff(self.n_failures, AGAIN_MAX);
        self.not_before = Some(Instant::now() + wait);
        warn!("images could not be copied: {reason}; again in {} s", wait.as_secs());
    }
}

/// The copy's own words, or how it ended.
fn reason(status: ExitStatus, said: &VecDeque<String>) -> String {
    let error = said.iter().rev().find_map(|line| line.split_once("error: "));
    error.map_or_else(|| status.to_string(), |(_, words)| words.to_owned())
}
