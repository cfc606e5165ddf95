//! The agent as systemd runs it: readiness, a line of status, the watchdog, SIGHUP, SIGTERM.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::node::node;
use crate::cli::support::tidegate;

/// Far more than anything here takes.
const WAIT_SECS_MAX: u64 = 60;

fn signal(agent: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(agent.id()).unwrap()).unwrap(), signal).unwrap();
}

/// Waits for a message that begins so.
#[expect(clippy::panic, reason = "what never comes is a failure")]
fn told(systemd: &UnixDatagram, what: &str) {
    let since = Instant::now();
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    while since.elapsed() < Duration::from_secs(WAIT_SECS_MAX) {
        let Ok(n) = systemd.recv(&mut bytes) else { continue };
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        if text.lines().any(|line| line.starts_with(what)) {
            return;
        }
        seen.push(text);
    }
    panic!("never {what}: {seen:?}");
}

#[test]
fn systemd_is_told_of_readiness_and_life_and_hangup_runs_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    node(dir.path());
    let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let log = dir.path().join("log");
    let mut agent = tidegate(dir.path())
        .args(["agent", "-vv", "--config", "agent.toml"])
        .env("NOTIFY_SOCKET", dir.path().join("notify"))
        .env("WATCHDOG_USEC", "400000")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    told(&systemd, "READY=1");
    told(&systemd, "STATUS=");
    told(&systemd, "WATCHDOG=1");
    signal(&agent, Signal::HUP);
    let since = Instant::now();
    while !fs::read_to_string(&log).unwrap().contains("pass by SIGHUP") {
        let late = since.elapsed() > Duration::from_secs(WAIT_SECS_MAX);
        assert!(!late, "{}", fs::read_to_string(&log).unwrap());
        told(&systemd, "WATCHDOG=1");
    }
    signal(&agent, Signal::TERM);
    told(&systemd, "STOPPING=1");
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}
