//! Processes that outlive the command: started with a log, recorded by pid and start time.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::demo::error::{DemoError, io};

/// How long a process may take to end before it is killed.
const END_SECS_MAX: u64 = 10;
/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A process that the demo started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// What it is: `agent dev`.
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// Clock ticks since boot when it started: a pid that was given to somebody else has another.
    pub(crate) started_ticks: u64,
}

/// When the process with `pid` started; `None` if there is none.
fn started_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may hold anything; field 22 is the start time.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if state == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Starts `command` in the background with its output in `log`, and records it in `ledger`.
pub(crate) fn start(
    name: &str,
    mut command: Command,
    log: &Path,
    ledger: &Path,
) -> Result<(Child, Recorded), DemoError> {
    let out = OpenOptions::new().create(true).append(true).open(log);
    let out = out.map_err(io(format!("write {}", log.display())))?;
    let err = out.try_clone().map_err(io(format!("write {}", log.display())))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        // Ctrl-C at the terminal ends the story, not what it shows.
        .process_group(0)
        .spawn()
        .map_err(io(format!("start {}", command.get_program().display())))?;
    let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
    let recorded =
        Recorded { name: name.to_owned(), pid, started_ticks: started_ticks(pid).unwrap_or(0) };
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(ledger)
        .map_err(io("record a process"))?;
    writeln!(file, "{} {} {name}", recorded.pid, recorded.started_ticks)
        .map_err(io("record a process"))?;
    Ok((child, recorded))
}

/// Every process that a ledger lists, the youngest first.
pub(crate) fn read_ledger(ledger: &Path) -> Vec<Recorded> {
    let text = fs::read_to_string(ledger).unwrap_or_default();
    let parse = |line: &str| {
        let mut parts = line.splitn(3, ' ');
        let pid = parts.next()?.parse().ok()?;
        let started_ticks = parts.next()?.parse().ok()?;
        Some(Recorded { name: parts.next()?.to_owned(), pid, started_ticks })
    };
    let mut found: Vec<Recorded> = text.lines().filter_map(parse).collect();
    found.reverse();
    found
}

impl Recorded {
    /// Whether it is still the process that was started.
    pub(crate) fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may have ended just now, which is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it: asked first, then killed. An engine is killed at once: it is the first process of
    /// its own namespaces, and all that it runs ends with it.
    pub(crate) async fn end(&self) {
        if !self.name.starts_with("engine ") {
            self.signal(Signal::TERM);
            self.gone().await;
        }
        self.signal(Signal::KILL);
        self.gone().await;
    }

    async fn gone(&self) {
        let since = Instant::now();
        while self.is_alive() && since.elapsed() < Duration::from_secs(END_SECS_MAX) {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Runs a program to its end; its words are the error.
pub(crate) fn run(command: &mut Command) -> Result<String, DemoError> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().map_err(io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let message = words.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("it said nothing");
    Err(DemoError::Program { program, message: message.trim().to_owned() })
}
