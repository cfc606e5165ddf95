//! What a hostile remote sends: the child ends within its limits, and the parent stays small.

use std::fmt::Write as _;
use std::io::Write;
use std::process::Stdio;

use tidegate::clients::git::{FailureKind, FetchLimits, GitError};
use tidegate::config::Remote;

use crate::fetch::{Bench, remote};
use crate::support::git::{git, run};
use crate::support::git_fake::{Fake, TIP, pack_start, packet, pause, read_until};
use crate::support::git_server::git_daemon;

/// What the agent may hold at most (FAULTS, I14); the parent must stay far below.
const PARENT_BYTES_MAX: u64 = 128 * 1024 * 1024;

fn check_too_large(error: &GitError) {
    let too_large = matches!(
        error,
        GitError::Refused { kind: FailureKind::TooLarge, .. } | GitError::Died { .. }
    );
    assert!(too_large, "{error:?}");
    assert!(!error.is_passing(), "asking again helps nobody");
}

/// Only where the test has a process of its own, as under nextest: another's memory is not ours.
fn check_parent_is_small() {
    if std::env::var_os("NEXTEST_EXECUTION_MODE").is_none_or(|mode| mode != "process-per-test") {
        return;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kilobytes * 1024 < PARENT_BYTES_MAX, "{line}");
}

async fn both(bench: &Bench) -> Vec<(crate::support::git_server::Server, Remote)> {
    let mut remotes = Vec::new();
    for local in [true, false] {
        let daemon = git_daemon(bench.path()).await;
        let network = remote(&format!("git://127.0.0.1:{}/origin.git", daemon.port));
        remotes.push((daemon, if local { bench.local() } else { network }));
    }
    remotes
}

#[tokio::test]
async fn a_pack_of_garbage_is_refused() {
    let bench = Bench::new();
    for (name, bytes) in [
        ("noise", &[7; 5000][..]),
        ("no objects", b"PACK\0\0\0\x02\0\0\0\0"),
        ("another version", b"PACK\0\0\0\x09\0\0\0\x01aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("cut off", b"PACK\0\0\0\x02\0\0\0\x05\x95\x0a"),
        (
            "four billion objects",
            b"PACK\0\0\0\x02\xff\xff\xff\xff\x95\x0aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
    ] {
        let bytes = bytes.to_vec();
        let fake = Fake::start(move |stream| {
            pack_start(stream);
            let _sent = stream.write_all(&bytes);
        });
        let url = format!("git://127.0.0.1:{}/x.git", fake.port);
        let error = bench.fetch_error(&remote(&url)).await;
        assert!(matches!(error, GitError::Refused { .. }), "{name}: {error:?}");
    }
    check_parent_is_small();
}

#[tokio::test]
async fn a_million_references_are_refused() {
    let bench = Bench::new();
    let fake = Fake::start(|stream| {
        read_until(stream, b"\0");
        let mut shown = packet(&format!("{TIP} refs/heads/a\0agent=x\n"));
        for n in 0..1_000_000 {
            write!(shown, "{}", packet(&format!("{TIP} refs/heads/branch-{n:07}\n"))).unwrap();
        }
        let _sent = stream.write_all(shown.as_bytes());
        let _sent = stream.write_all(b"0000");
    });
    let url = format!("git://127.0.0.1:{}/x.git", fake.port);
    check_too_large(&bench.fetch_error(&remote(&url)).await);
}

#[tokio::test]
async fn a_blob_that_inflates_over_the_childs_memory_is_refused() {
    let bench = Bench::new();
    let mut hash = git(&bench.origin.path);
    hash.args(["hash-object", "-w", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = hash.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..400 {
        stdin.write_all(&zeros).unwrap();
    }
    drop(stdin);
    let blob = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    bench.origin.commit_blob("prd", "bomb", blob.trim());
    for (_daemon, remote) in both(&bench).await {
        check_too_large(&bench.fetch_error(&remote).await);
    }
    check_parent_is_small();
}

/// Ids of this process's children: the one under test, since each test is a process of its own.
fn children() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn a_child_that_the_kernel_kills_for_its_memory_is_said_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let fake = Fake::start(|_| pause());
    let remote = remote(&format!("git://127.0.0.1:{}/x.git", fake.port));
    let kill = async {
        let child = loop {
            match children().as_slice() {
                [child] => break *child,
                _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        let child = rustix::process::Pid::from_raw(child).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    };
    let (error, ()) = tokio::join!(bench.fetch_error(&remote), kill);
    assert!(matches!(error, GitError::Died { .. }), "{error:?}");
    assert!(error.to_string().contains("signal 9"), "{error}");
    bench.origin.commit("prd", "a", "one");
    bench.fetch(&bench.local()).await.unwrap();
}

#[tokio::test]
async fn a_million_entries_are_refused() {
    let bench = Bench::new();
    let blob = run(git(&bench.origin.path).args(["hash-object", "-w", "/dev/null"]));
    let mut lines = String::new();
    for n in 0..1_000_000 {
        writeln!(lines, "100644 blob {blob}\tfile-{n:07}").unwrap();
    }
    let mut tree = git(&bench.origin.path);
    let mut child =
        tree.arg("mktree").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    drop(lines);
    let tree = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    bench.origin.commit_tree("prd", tree.trim());
    for (_daemon, remote) in both(&bench).await {
        check_too_large(&bench.fetch_error(&remote).await);
    }
}

#[tokio::test]
async fn more_objects_or_bytes_than_the_limits_are_refused() {
    for limits in [
        FetchLimits { objects_max: 20, ..FetchLimits::default() },
        FetchLimits { pack_bytes_max: 50_000, ..FetchLimits::default() },
        FetchLimits { object_bytes_max: 10_000, ..FetchLimits::default() },
    ] {
        let bench = Bench::with(limits);
        for n in 0..10_u64 {
            // Noise, which does not compress.
            let mut noise = n + 1;
            let mut content = String::new();
            for _ in 0..2000 {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                write!(content, "{noise:016x}").unwrap();
            }
            bench.origin.commit("prd", "a", &content);
        }
        for (_daemon, remote) in both(&bench).await {
            check_too_large(&bench.fetch_error(&remote).await);
        }
    }
}

#[tokio::test]
async fn what_is_refused_leaves_the_store_as_it_was() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    bench.fetch(&bench.local()).await.unwrap().adopt().unwrap();
    let fake = Fake::start(|stream| {
        pack_start(stream);
        let _sent = stream.write_all(&vec![9; 100_000]);
    });
    let url = format!("git://127.0.0.1:{}/x.git", fake.port);
    bench.fetch_error(&remote(&url)).await;
    assert!(bench.source.has(tip).unwrap());
    let list = std::fs::read_dir(bench.path().join("state/repository.git/objects/pack")).unwrap();
    assert_eq!(list.count(), 2, "one pack and its index");
}
