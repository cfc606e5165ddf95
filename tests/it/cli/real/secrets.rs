//! Canaries: the hub's password and Git's token are nowhere to be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;

use crate::cli::real::stage::{HUB_CANARY, Stage};
use crate::support::git_server::Https;

const GIT_CANARY: &str = "canary-git-41d8e0";

/// Every file below a folder that holds one of the canaries.
fn holding(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            holding(&path, found);
        } else if fs::read(&path).is_ok_and(|bytes| tells(&bytes)) {
            found.push(path.display().to_string());
        }
    }
}

fn tells(bytes: &[u8]) -> bool {
    [HUB_CANARY, GIT_CANARY].iter().any(|canary| {
        let encoded = base64(&format!("alice:{canary}"));
        [canary.as_bytes(), encoded.as_bytes()]
            .iter()
            .any(|needle| bytes.windows(needle.len()).any(|window| window == *needle))
    })
}

fn secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Arguments and environment of the agent and what it starts, until told to end.
fn watch(pid: u32, end: &Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeSet<Vec<u8>>> {
    let end = Arc::clone(end);
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !end.load(Ordering::Relaxed) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            let ids = children.split_whitespace().map(str::to_owned).chain([pid.to_string()]);
            for id in ids {
                for file in ["cmdline", "environ"] {
                    seen.extend(fs::read(format!("/proc/{id}/{file}")));
                }
            }
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        seen
    })
}

#[tokio::test]
async fn secrets_appear_in_no_log_no_report_no_argument_and_no_environment() {
    let mut stage = Stage::new().await;
    let base = stage.dir.path().to_owned();
    let https = Https::start(&base, &base, &format!("alice:{GIT_CANARY}")).await;
    secret(&base.join("git.txt"), &format!("alice:{GIT_CANARY}\n"));
    let url = |credentials: &str| {
        format!(
            "url = \"https://127.0.0.1:{}/origin.git\"\ncredentials = \"{}\"\nca = \"{}\"",
            https.server.port,
            base.join(credentials).display(),
            https.ca.display()
        )
    };
    assert!(tells(&fs::read(base.join("git.txt")).unwrap()));
    stage.configure("agent.toml", "state", &url("git.txt"));
    stage.start_agent();
    let end = Arc::new(AtomicBool::new(false));
    let watcher = watch(stage.agent_pid(), &end);
    stage.settled(stage.history.tip);
    let commit = stage.release("web", "1.1.0", "good").await;
    let running = stage.settled(commit);
    let mut said = String::new();
    for args in [&["status", "-o", "json"][..], &["plan"], &["history"], &["apply", "-vv"]] {
        let one = stage.run(args);
        said.push_str(&(one.out + &one.err));
    }
    for (id, _) in running.values() {
        said.push_str(&stage.inspect(id).to_string());
    }
    end.store(true, Ordering::Relaxed);
    let seen = watcher.join().unwrap();
    assert!(seen.len() > 2, "no child was seen");
    let leaks = seen.iter().filter(|bytes| tells(bytes)).map(|b| String::from_utf8_lossy(b));
    assert_eq!(leaks.collect::<Vec<_>>(), Vec::<String>::new());
    // Unusable ones of the hub are not shown, and do not keep the node from repairing.
    fs::write(base.join("hub.json"), format!("{{\"auths\": \"{HUB_CANARY}\"}}")).unwrap();
    stage.docker(&["rm", "-f", "app1.dev-web"]);
    stage.until("web is back", |stage| stage.version("app1.dev-web"));
    assert!(stage.log().contains("the hub's credentials, cannot be used"), "{}", stage.log());
    // Nor are wrong ones of Git.
    secret(&base.join("wrong.txt"), &format!("bob:{GIT_CANARY}\n"));
    assert_eq!(stage.end_agent(Signal::TERM), Some(0));
    stage.configure("agent.toml", "state", &url("wrong.txt"));
    let refused = stage.run(&["agent", "--once", "-vv"]);
    assert!(refused.code != 0, "{}{}", refused.out, refused.err);
    said.push_str(&(refused.out + &refused.err));
    assert!(!tells(said.as_bytes()), "{said}");
    assert!(!tells(stage.log().as_bytes()), "{}", stage.log());
    let mut found = Vec::new();
    holding(&stage.state_dir(), &mut found);
    assert_eq!(found, Vec::<String>::new());
}
