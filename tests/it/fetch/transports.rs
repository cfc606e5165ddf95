//! Every transport, against real servers: what works, and what is refused with which words.

use std::fs;

use tidegate::clients::git::{FailureKind, GitError};
use tidegate::config::Remote;
use tidegate::model::Objects;
use tidegate::reconcile::source::Fetch;

use crate::fetch::{Bench, check_adoption, remote, write_secret};
use crate::support::git::{git, run};
use crate::support::git_server::{Https, Ssh, free_port, git_daemon, keygen};

fn kind(error: &GitError) -> FailureKind {
    match error {
        GitError::Refused { kind, .. } => *kind,
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn a_path_is_fetched_into_quarantine_and_adopted() {
    let bench = Bench::new();
    bench.origin.commit("prd", "a", "one");
    let tip = bench.origin.commit("prd", "a", "two");
    let fetched = bench.fetch(&bench.local()).await.unwrap();
    check_adoption(&bench, fetched, tip);
    let url = format!("file://{}", bench.origin.path.display());
    let again = bench.fetch(&remote(&url)).await.unwrap();
    assert_eq!(again.tip(), tip);
}

#[tokio::test]
async fn only_what_is_new_and_only_one_branch_is_brought() {
    let bench = Bench::new();
    let one = bench.origin.commit("prd", "a", "one");
    let other = bench.origin.commit("dev", "b", "other");
    run(git(&bench.origin.path).args(["tag", "v1", &other.to_string()]));
    bench.fetch(&bench.local()).await.unwrap().adopt().unwrap();
    assert!(!bench.source.has(other).unwrap());
    let two = bench.origin.commit("prd", "a", "two");
    let daemon = git_daemon(bench.path()).await;
    let network = remote(&format!("git://127.0.0.1:{}/origin.git", daemon.port));
    for remote in [bench.local(), network] {
        let fetch = bench.source.fetch(&remote, Some(one), &[one]).await.unwrap();
        let Fetch::New(fetched) = fetch else { unreachable!() };
        assert!(fetched.objects().unwrap().has(one), "seen through the store");
        let packs = bench.path().join("state/incoming");
        let quarantine = fs::read_dir(packs).unwrap().next().unwrap().unwrap().path();
        let list = fs::read_dir(quarantine.join("repository.git/objects/pack")).unwrap();
        let sizes: Vec<u64> = list.map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.iter().all(|bytes| *bytes < 2000), "{sizes:?}");
        assert_eq!(fetched.tip(), two);
    }
}

#[tokio::test]
async fn an_unchanged_tip_brings_nothing() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    let daemon = git_daemon(bench.path()).await;
    let network = remote(&format!("git://127.0.0.1:{}/origin.git", daemon.port));
    for remote in [bench.local(), network] {
        let fetch = bench.source.fetch(&remote, Some(tip), &[]).await.unwrap();
        assert!(matches!(fetch, Fetch::Unchanged { tip: found } if found == tip));
        assert_eq!(bench.quarantines(), 0);
    }
}

#[tokio::test]
async fn a_work_tree_and_packed_references_are_followed() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    run(git(&bench.origin.path).args(["pack-refs", "--all"]));
    let clone = bench.path().join("clone");
    let args = ["clone", "-q", "-b", "prd", bench.origin.path.to_str().unwrap()];
    run(git(bench.path()).args(args).arg(&clone));
    for path in [&bench.origin.path, &clone] {
        let remote = remote(path.to_str().unwrap());
        let fetch = bench.source.fetch(&remote, Some(tip), &[]).await.unwrap();
        assert!(matches!(fetch, Fetch::Unchanged { .. }), "{}", path.display());
        assert_eq!(bench.fetch(&remote).await.unwrap().tip(), tip);
    }
}

#[tokio::test]
async fn git_daemon_is_fetched() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    let daemon = git_daemon(bench.path()).await;
    let url = format!("git://127.0.0.1:{}/origin.git", daemon.port);
    let fetched = bench.fetch(&remote(&url)).await.unwrap();
    check_adoption(&bench, fetched, tip);
}

#[tokio::test]
async fn ssh_with_a_pinned_host_key_is_fetched() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    let ssh = Ssh::start(bench.path(), &bench.origin.path).await;
    let fetched = bench.fetch(&ssh_remote(&ssh)).await.unwrap();
    check_adoption(&bench, fetched, tip);
    let stranger = bench.path().join("stranger");
    keygen(&stranger);
    let refused = Remote { identity: Some(stranger), ..ssh_remote(&ssh) };
    assert_eq!(kind(&bench.fetch_error(&refused).await), FailureKind::Credentials);
}

#[tokio::test]
async fn a_changed_host_key_is_refused_with_its_fingerprint() {
    let bench = Bench::new();
    bench.origin.commit("prd", "a", "one");
    let mut ssh = Ssh::start(bench.path(), &bench.origin.path).await;
    ssh.change_host_key().await;
    let error = bench.fetch_error(&ssh_remote(&ssh)).await;
    assert_eq!(kind(&error), FailureKind::HostKey);
    assert!(error.to_string().contains("which is not in known_hosts: it was changed"), "{error}");
    assert!(error.to_string().contains("SHA256:"), "{error}");
}

#[tokio::test]
async fn a_host_key_that_is_pinned_for_another_host_is_refused() {
    let bench = Bench::new();
    bench.origin.commit("prd", "a", "one");
    let ssh = Ssh::start(bench.path(), &bench.origin.path).await;
    let pinned = fs::read_to_string(&ssh.known_hosts).unwrap();
    fs::write(&ssh.known_hosts, pinned.replace("[127.0.0.1]", "[elsewhere]")).unwrap();
    assert_eq!(kind(&bench.fetch_error(&ssh_remote(&ssh)).await), FailureKind::HostKey);
}

fn ssh_remote(ssh: &Ssh) -> Remote {
    Remote {
        known_hosts: Some(ssh.known_hosts.clone()),
        identity: Some(ssh.identity.clone()),
        ..remote(&format!("ssh://root@127.0.0.1:{}/origin.git", ssh.server.port))
    }
}

#[tokio::test]
async fn https_with_a_private_authority_and_a_password_is_fetched() {
    let bench = Bench::new();
    let tip = bench.origin.commit("prd", "a", "one");
    let https = Https::start(bench.path(), bench.path(), "bob:secret").await;
    let credentials = bench.path().join("credentials");
    write_secret(&credentials, "bob:secret\n");
    let good = Remote {
        ca: Some(https.ca.clone()),
        credentials: Some(credentials.clone()),
        ..remote(&format!("https://127.0.0.1:{}/origin.git", https.server.port))
    };
    let fetched = bench.fetch(&good).await.unwrap();
    check_adoption(&bench, fetched, tip);

    let system = Remote { ca: None, ..good.clone() };
    assert_eq!(kind(&bench.fetch_error(&system).await), FailureKind::Certificate);
    let nobody = Remote { credentials: None, ..good.clone() };
    assert_eq!(kind(&bench.fetch_error(&nobody).await), FailureKind::Credentials);
    write_secret(&credentials, "bob:wrong\n");
    assert_eq!(kind(&bench.fetch_error(&good).await), FailureKind::Credentials);
    let elsewhere = format!("https://127.0.0.1:{}/elsewhere/origin.git", https.server.port);
    let elsewhere = Remote { url: elsewhere.parse().unwrap(), ..good };
    let error = bench.fetch_error(&elsewhere).await.to_string();
    assert!(error.contains("redirect"), "{error}");
}

#[tokio::test]
async fn what_is_down_or_missing_is_told_apart() {
    let bench = Bench::new();
    bench.origin.commit("dev", "a", "one");
    assert_eq!(kind(&bench.fetch_error(&bench.local()).await), FailureKind::BranchMissing);
    let missing = remote(bench.path().join("none.git").to_str().unwrap());
    assert_eq!(kind(&bench.fetch_error(&missing).await), FailureKind::RepositoryMissing);
    let key = bench.path().join("key");
    keygen(&key);
    for scheme in ["git", "https", "ssh"] {
        let url = format!("{scheme}://127.0.0.1:{}/origin.git", free_port());
        let down =
            Remote { identity: Some(key.clone()), known_hosts: Some(key.clone()), ..remote(&url) };
        let error = bench.fetch_error(&down).await;
        assert_eq!(kind(&error), FailureKind::Unreachable, "{scheme}: {error}");
        assert!(error.is_passing());
    }
    let url = "git://nowhere.invalid/origin.git";
    assert_eq!(kind(&bench.fetch_error(&remote(url)).await), FailureKind::Unreachable);
}

#[tokio::test]
async fn a_force_push_and_a_deleted_branch_lose_nothing() {
    let bench = Bench::new();
    let one = bench.origin.commit("prd", "a", "one");
    let two = bench.origin.commit("prd", "a", "two");
    bench.fetch(&bench.local()).await.unwrap().adopt().unwrap();
    bench.origin.point("prd", &one.to_string());
    let Fetch::New(rewound) = bench.source.fetch(&bench.local(), Some(two), &[two]).await.unwrap()
    else {
        unreachable!()
    };
    assert_eq!(rewound.tip(), one, "trust says that this is a rewind");
    drop(rewound);
    bench.origin.delete("prd");
    assert_eq!(kind(&bench.fetch_error(&bench.local()).await), FailureKind::BranchMissing);
    assert!(bench.source.objects().unwrap().commit(two).is_ok());
}
