//! Credentials are never seen: canaries are looked for in argv, environment, files and messages.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate::clients::git::FetchLimits;
use tidegate::config::Remote;

use crate::fetch::{Bench, remote, write_secret};
use crate::support::git_fake::{Fake, pause};
use crate::support::git_server::keygen;

const CANARY: &str = "canary-7f3a9c";

/// This process's children.
fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let lists = tasks.filter_map(|t| fs::read_to_string(t.unwrap().path().join("children")).ok());
    lists.flat_map(|l| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Files below `folder` that hold `needle`.
fn holding(folder: &Path, needle: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, needle));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

async fn check_unseen(bench: &Bench, remote: &Remote, needle: &str) {
    let look = async {
        let child = loop {
            let found = children().into_iter().find(|child| {
                let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
                line.ends_with(b"__fetch\0")
            });
            if let Some(child) = found {
                break child;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        // By now it has its order and waits for the server.
        tokio::time::sleep(Duration::from_millis(500)).await;
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{child}/{file}")).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains(needle), "{file}: {text}");
            if file == "environ" {
                let names: Vec<&str> =
                    text.split('\0').filter_map(|v| v.split_once('=')).map(|(n, _)| n).collect();
                let allowed = ["HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"];
                assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
            }
        }
        assert_eq!(holding(&bench.path().join("state"), needle), [] as [&Path; 0]);
    };
    let (error, ()) = tokio::join!(bench.fetch_error(remote), look);
    let told = format!("{error} {error:?} {remote:?} {}", tidegate::telemetry::Chain(&error));
    assert!(!told.contains(needle), "{told}");
}

fn bench() -> Bench {
    Bench::with(FetchLimits { idle: Duration::from_secs(2), ..FetchLimits::default() })
}

#[tokio::test]
async fn a_password_is_never_in_argv_environment_files_or_messages() {
    let bench = bench();
    let fake = Fake::start(|_| pause());
    let credentials = bench.path().join("credentials");
    write_secret(&credentials, &format!("bob:{CANARY}\n"));
    let url = format!("https://127.0.0.1:{}/x.git", fake.port);
    let remote = Remote { credentials: Some(credentials), ..remote(&url) };
    check_unseen(&bench, &remote, CANARY).await;
}

#[tokio::test]
async fn a_private_key_is_never_in_argv_environment_files_or_messages() {
    let bench = bench();
    let fake = Fake::start(|_| pause());
    let key = bench.path().join("key");
    keygen(&key);
    let url = format!("ssh://git@127.0.0.1:{}/x.git", fake.port);
    let known_hosts = Some(bench.path().join("key.pub"));
    let remote = Remote { identity: Some(key.clone()), known_hosts, ..remote(&url) };
    let secret = fs::read_to_string(&key).unwrap().lines().nth(3).unwrap().to_owned();
    check_unseen(&bench, &remote, &secret).await;
}

#[tokio::test]
async fn a_secret_that_everybody_may_read_is_refused() {
    let bench = Bench::new();
    let credentials = bench.path().join("credentials");
    fs::write(&credentials, "bob:secret\n").unwrap();
    let remote = Remote { credentials: Some(credentials), ..remote("https://127.0.0.1:1/x.git") };
    let error = bench.fetch_error(&remote).await;
    let told = tidegate::telemetry::Chain(&error).to_string();
    assert!(told.contains("everybody may read this secret"), "{told}");
}
