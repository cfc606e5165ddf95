//! A running agent whose engine is not there: its configuration, Git, operators.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::thread::park_timeout as park;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tidegate::agent::lock::{StateLock, engine_locks};
use tidegate::clients::host::EngineLock;

use crate::cli::node::{add_shop, node};
use crate::cli::support::{Said, run, tidegate};
use crate::support::socket::{Canned, answer};

/// The most that anything may take on a busy machine.
const WAIT_SECS_MAX: u64 = 60;

struct Agent {
    process: Child,
    dir: TempDir,
}

impl Agent {
    /// One whose configuration has these lines too, `more` below and `repository` in that section.
    fn start(repository: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        node(dir.path());
        let file = dir.path().join("agent.toml");
        let text = fs::read_to_string(&file).unwrap();
        let text = text.replace("[engine]", &format!("{repository}\n[engine]"));
        fs::write(&file, format!("{text}{more}\n")).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = tidegate(dir.path());
        command.args(["agent", "-vv", "--config", "agent.toml"]);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self { process: command.spawn().unwrap(), dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Waits until it has said something so many times.
    #[track_caller]
    fn says(&self, words: &str, n: usize) {
        self.until(words, || {
            let log = fs::read_to_string(self.path().join("log")).unwrap();
            log.matches(words).count() >= n
        });
    }

    #[track_caller]
    fn until(&self, what: &str, so: impl Fn() -> bool) {
        let is_so = (0..WAIT_SECS_MAX * 20).any(|_| {
            park(Duration::from_millis(50));
            so()
        });
        assert!(is_so, "{what}: {}", fs::read_to_string(self.path().join("log")).unwrap());
    }

    fn run(&self, args: &[&str]) -> Said {
        run(self.path(), args.iter().chain(&["--config", "agent.toml"]))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "-o", "json"]).out).unwrap_or_default()
    }

    /// A commit by alice of all there is.
    fn commit(&self, message: &str) {
        let key = format!("user.signingkey={}", self.path().join("people/alice").display());
        let who = ["-c", "user.name=alice", "-c", "user.email=alice@example.org"];
        let how = ["-c", "gpg.format=ssh", "-c", &key];
        for args in [&["add", "--all"][..], &["commit", "-qS", "--allow-empty", "-m", message]] {
            let mut git = std::process::Command::new("git");
            git.current_dir(self.path().join("repo")).args(who).args(how);
            assert!(git.args(args).status().unwrap().success());
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn drop_ins_made_after_the_start_are_noticed() {
    let agent = Agent::start("", "");
    agent.says("pass by start", 1);
    fs::create_dir(agent.path().join("agent.toml.d")).unwrap();
    agent.says("pass by start", 2);
    fs::write(agent.path().join("agent.toml.d/1.toml"), "node = \"dev7\"\n").unwrap();
    agent.says("the configuration has changed", 2);
}

/// Writes a file so that nobody sees half of it.
fn write(path: &Path, text: &str) {
    let other = path.with_extension("new");
    fs::write(&other, text).unwrap();
    fs::rename(other, path).unwrap();
}

#[test]
fn a_changed_configuration_that_is_of_no_use_leaves_the_one_before_in_force() {
    let agent = Agent::start("", "");
    agent.says("pass by start", 1);
    let file = agent.path().join("agent.toml");
    let good = fs::read_to_string(&file).unwrap();
    // Well-formed, and a directory.
    write(&file, &format!("{good}[keys]\nnode = \"/\"\n"));
    agent.says("the changed configuration is not used: ", 1);
    agent.says("pass by start", 2);
    write(&file, &good.replace("\"dev1\"", "\"dev7\""));
    agent.until("the next one is used", || agent.status()["node"] == "dev7");
    let log = fs::read_to_string(agent.path().join("log")).unwrap();
    assert_eq!(log.matches("the changed configuration is not used: ").count(), 1, "{log}");
}

#[test]
fn nothing_is_checked_by_a_configuration_that_is_not_used() {
    let agent = Agent::start("interval = \"1s\"", "");
    agent.says("checked by", 1);
    let file = agent.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    write(&file, &format!("{text}[keys]\nnode = \"/tmp\"\n"));
    agent.says("the changed configuration is not used: ", 1);
    agent.commit("asks for a check");
    let head = fs::read_to_string(agent.path().join("repo/.git/refs/heads/dev")).unwrap();
    agent.until("it is believed", || agent.status()["revision"]["verified"] == head.trim());
    // Long enough for a check to be due, and to fail.
    park(Duration::from_secs(3));
    write(&file, &text);
    agent.says("checked by", 2);
    let log = fs::read_to_string(agent.path().join("log")).unwrap();
    assert!(!log.contains("could not be checked"), "{log}");
}

#[test]
fn a_key_is_revoked_although_git_is_silent() {
    let agent = Agent::start("interval = \"1s\"", "[trust]\nrevoked_keys = \"/dev/null\"");
    let file = agent.path().join("agent.toml");
    let keys = agent.path().join("revoked_keys");
    fs::write(&keys, "").unwrap();
    let text = fs::read_to_string(&file).unwrap();
    write(&file, &text.replace("/dev/null", &keys.display().to_string()));
    agent.commit("signed");
    let head = fs::read_to_string(agent.path().join("repo/.git/refs/heads/dev")).unwrap();
    agent.until("it is believed", || agent.status()["revision"]["verified"] == head.trim());
    fs::rename(agent.path().join("repo"), agent.path().join("away")).unwrap();
    agent.until("git is silent", || agent.status()["git"].is_object());
    fs::copy(agent.path().join("people/alice.pub"), &keys).unwrap();
    agent.until("the tip is refused", || agent.status()["refused"]["commit"] == head.trim());
    assert!(agent.status()["git"].is_object());
}

#[test]
fn an_operator_may_name_a_service_that_was_pushed_a_moment_ago() {
    let agent = Agent::start("interval = \"1h\"", "");
    agent.says("pass by start", 1);
    // Nobody watches another repository in the place of the first.
    let at = |name: &str| agent.path().join(name);
    let copied = std::process::Command::new("cp").arg("-a").args([at("repo"), at("new")]).status();
    assert!(copied.unwrap().success());
    fs::rename(at("repo"), at("old")).unwrap();
    fs::rename(at("new"), at("repo")).unwrap();
    let pins = "rulesets/it/applications";
    for (folder, from, to) in [("services", "8080:80", "8081:80"), (pins, "hello", "hallo")] {
        let text = fs::read_to_string(at(&format!("repo/{folder}/hello.toml"))).unwrap();
        fs::write(at(&format!("repo/{folder}/hallo.toml")), text.replace(from, to)).unwrap();
    }
    agent.commit("another service");
    let said = agent.run(&["suspend", "hallo", "--reason", "not yet"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(agent.status()["services"]["hallo"].is_object(), "{:#}", agent.status());
    // A name that is not there, and what came with the look for it is applied all the same.
    let verified = || agent.status()["revision"]["verified"].clone();
    let before = verified();
    agent.commit("one more");
    let said = agent.run(&["suspend", "nobody", "--reason", "x"]);
    assert!(said.code == 64 && said.err.contains("no service `nobody`"), "{}", said.err);
    agent.until("the next pass", || verified() != before);
}

/// What changes nothing but who reads the configuration anew.
fn reload(agent: &Agent, number: usize) {
    let file = agent.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("# ").unwrap_or((&text, ""));
    let dir = agent.path().join(format!("empty{number}"));
    write(&file, &format!("{head}# \n[policy]\nbind_mounts = [\"{}\"]\n", dir.display()));
}

#[test]
fn nobody_gets_the_state_in_between_while_the_configuration_is_read_anew() {
    let agent = Agent::start("", "");
    agent.says("pass by start", 1);
    let over = std::sync::atomic::AtomicBool::new(false);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let state = agent.path().join("state");
            std::iter::repeat_with(|| StateLock::take(&state).ok())
                .take_while(|_| !over.load(order))
                .find_map(|taken| taken)
        });
        for number in 1..=5 {
            reload(&agent, number);
            let n = number + 1;
            let so = || fs::read_to_string(agent.path().join("log")).unwrap();
            agent.until("it is read", || so().matches("pass by start").count() >= n);
        }
        over.store(true, order);
        assert!(taker.join().unwrap().is_none(), "somebody else has the state");
    });
    let log = fs::read_to_string(agent.path().join("log")).unwrap();
    assert!(!log.contains("is not used"), "{log}");
}

#[test]
fn an_engine_that_another_agent_has_leaves_the_one_before_in_force_until_it_is_free() {
    let engine = |name: &str| {
        let id = format!("{name} of {}", std::process::id());
        let info = format!(r#"{{"ID": "{id}", "ServerVersion": "20.10.24"}}"#);
        let version = r#"{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#;
        let canned = Canned::start(vec![("/info", answer(200, &info)), ("", answer(200, version))]);
        let folder = engine_locks(&canned.socket(), None).unwrap();
        let take = move || EngineLock::acquire(&folder, &id, None);
        (canned, take)
    };
    let ((first, take_first), (second, take_second)) = (engine("first"), engine("second"));
    let agent = Agent::start("", "");
    agent.says("pass by start", 1);
    let file = agent.path().join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let at = |engine: &Canned| {
        let none = agent.path().join("no.sock").display().to_string();
        text.replace(&none, &engine.socket().display().to_string())
    };
    write(&file, &at(&first));
    agent.says("pass by start", 2);
    assert!(take_first().is_err(), "the first engine is its own");
    let other = take_second().unwrap();
    write(&file, &at(&second));
    let unused = || agent.status()["unused"]["reason"].as_str().unwrap_or_default().to_owned();
    agent.until("it says why", || unused().contains("the engine is not to be had"));
    assert!(take_first().is_err(), "the first engine is still its own");
    let said = agent.run(&["status"]);
    let words = "the node's changed configuration is not in use, since ";
    assert!(said.out.contains(words), "{}{}", said.out, said.err);
    drop(other);
    kill_process(Pid::from_child(&agent.process), Signal::HUP).unwrap();
    agent.until("the second is in use", || unused().is_empty());
    assert!(take_second().is_err() && take_first().is_ok());
}

#[test]
fn an_operator_who_names_a_service_of_a_revision_with_a_mistake_is_told_the_mistake() {
    let agent = Agent::start("interval = \"1h\"", "");
    agent.says("pass by start", 1);
    add_shop(agent.path(), "8081:80:90:91", true);
    for command in [&["apply", "shop"][..], &["suspend", "shop", "--reason", "x"]] {
        let said = agent.run(command);
        assert_eq!(said.code, 1, "{}{}", said.out, said.err);
        assert!(said.out.contains("services/shop.toml:6:"), "{}{}", said.out, said.err);
        assert!(said.out.starts_with("no service `shop`"), "{}{}", said.out, said.err);
    }
}
