//! The node's object store over a long life, and after a kill.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tidegate::clients::git::FetchLimits;
use tidegate::reconcile::source::Fetch;

use crate::fetch::{Bench, open, remote};
use crate::support::git::{git, run};
use crate::support::git_fake::{Fake, pause};

/// Names the folder and the port for [`hold_a_fetch`], which runs in a process of its own.
const FOLDER: &str = "TIDEGATE_TEST_STATE";
const PORT: &str = "TIDEGATE_TEST_PORT";

fn packs(bench: &Bench) -> usize {
    let list = fs::read_dir(bench.path().join("state/repository.git/objects/pack")).unwrap();
    list.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "pack")).count()
}

#[tokio::test]
async fn many_packs_become_one_and_what_nobody_needs_goes() {
    let bench = Bench::new();
    let mut tips = Vec::new();
    for n in 0..52 {
        let tip = bench.origin.commit("prd", "a", &format!("{n}"));
        let haves: Vec<_> = tips.last().copied().into_iter().collect();
        let fetch = bench.source.fetch(&bench.local(), None, &haves).await.unwrap();
        let Fetch::New(fetched) = fetch else { unreachable!() };
        fetched.adopt().unwrap();
        tips.push(tip);
    }
    assert_eq!(packs(&bench), 52);
    // A tip that was adopted with another and then refused: nobody names it any more.
    let gone = tips.pop().unwrap();
    let roots = [*tips.last().unwrap(), tips[0]];
    assert!(bench.source.consolidate(&roots).await.unwrap());
    assert_eq!(packs(&bench), 1);
    assert!(tips.iter().all(|tip| bench.source.has(*tip).unwrap()));
    assert!(!bench.source.has(gone).unwrap());
    assert!(!bench.source.consolidate(&roots).await.unwrap(), "not before there are many again");
    let repository = bench.path().join("state/repository.git");
    run(git(&repository).args(["fsck", "--full", "--strict"]));
}

#[tokio::test]
async fn a_store_that_lacks_a_root_is_left_as_it_is() {
    let bench = Bench::new();
    for n in 0..51 {
        bench.origin.commit("prd", "a", &format!("{n}"));
        bench.fetch(&bench.local()).await.unwrap().adopt().unwrap();
    }
    let absent = bench.origin.commit("dev", "b", "never fetched");
    bench.source.consolidate(&[absent]).await.unwrap_err();
    assert_eq!(packs(&bench), 51);
    assert_eq!(bench.quarantines(), 0);
}

#[tokio::test]
#[ignore = "is run by another test, which kills it"]
async fn hold_a_fetch() {
    let source = open(&PathBuf::from(std::env::var_os(FOLDER).unwrap()), FetchLimits::default());
    let url = format!("git://127.0.0.1:{}/x.git", std::env::var(PORT).unwrap());
    let _never = source.fetch(&remote(&url), None, &[]).await;
}

#[tokio::test]
async fn a_killed_agent_leaves_neither_a_child_nor_a_quarantine() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let fake = Fake::start(|_| pause());
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "fetch::store::hold_a_fetch", "--ignored"])
        .env(FOLDER, &state)
        .env(PORT, fake.port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let child = loop {
        let tasks = fs::read_dir(format!("/proc/{}/task", agent.id())).unwrap().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let mut found =
            lists.flat_map(|l| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        // Not before it has taken its order, and with it the death signal.
        let sleeping = |pid: &String| {
            fs::read_to_string(format!("/proc/{pid}/limits")).is_ok_and(|limits| {
                limits.contains(&FetchLimits::default().memory_bytes_max.to_string())
            })
        };
        if let Some(child) = found.find(sleeping) {
            break child;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(fs::read_dir(state.join("incoming")).unwrap().count(), 1);
    agent.kill().unwrap();
    agent.wait().unwrap();
    while is_running(&child) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    open(&state, FetchLimits::default());
    assert_eq!(fs::read_dir(state.join("incoming")).unwrap().count(), 0);
}

fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid).join("status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}
