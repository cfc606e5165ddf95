//! Servers that are slow on purpose, and children that are not wanted.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use tidegate::clients::git::{FetchLimits, GitError, child};

use crate::fetch::{Bench, remote};
use crate::support::git_fake::{Fake, pack_start, pause};

fn hurried() -> Bench {
    let (total, idle) = (Duration::from_secs(3), Duration::from_secs(1));
    Bench::with(FetchLimits { total, idle, ..FetchLimits::default() })
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_after_the_idle_deadline() {
    let bench = hurried();
    let fake = Fake::start(|_| pause());
    for scheme in ["git", "https"] {
        let url = format!("{scheme}://127.0.0.1:{}/x.git", fake.port);
        let error = bench.fetch_error(&remote(&url)).await;
        assert!(matches!(error, GitError::Idle { .. }), "{scheme}: {error}");
        assert!(error.is_passing());
    }
}

#[tokio::test]
async fn a_server_that_drips_its_references_is_left_after_the_idle_deadline() {
    let bench = hurried();
    let fake = Fake::start(|stream| {
        stream.write_all(b"00ff").unwrap();
        while stream.write_all(b"0").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let url = format!("git://127.0.0.1:{}/x.git", fake.port);
    assert!(matches!(bench.fetch_error(&remote(&url)).await, GitError::Idle { .. }));
}

#[tokio::test]
async fn a_server_that_drips_a_pack_is_left_after_the_total_deadline() {
    let bench = hurried();
    let fake = Fake::start(|stream| {
        pack_start(stream);
        stream.write_all(b"PACK\0\0\0\x02\0\0\xff\xff").unwrap();
        // Blobs of two bytes in zlib's stored form: there is always some progress.
        for [x, y] in (0..u16::MAX).map(u16::to_be_bytes) {
            let (a, b) = (1 + u32::from(x) + u32::from(y), 2 + 2 * u32::from(x) + u32::from(y));
            let mut blob = vec![0x32, 0x78, 0x01, 0x01, 2, 0, 0xfd, 0xff, x, y];
            blob.extend((b << 16 | a).to_be_bytes());
            if stream.write_all(&blob).is_err() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let url = format!("git://127.0.0.1:{}/x.git", fake.port);
    let error = bench.fetch_error(&remote(&url)).await;
    assert!(matches!(error, GitError::TooSlow { .. }), "{error}");
}

#[test]
fn the_child_works_for_nobody_but_its_parent() {
    for (order, answer) in [("", "run by the agent"), ("{}", "run by the agent")] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        child.arg(child::SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        child.stdin.take().unwrap().write_all(order.as_bytes()).unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        assert!(output.contains(answer), "{output}");
    }
}
