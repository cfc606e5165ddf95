//! `verify` as CI and auditors meet it: places, exit codes, explanations.

use jiff::Timestamp;
use serde_json::Value;
use tidegate::model::CommitId;

use crate::cli::support::{Said, run};
use crate::support::git_server::{Ssh, git_daemon};
use crate::trust::history::History;
use crate::trust::line::{LATER, promotion};

const APP1: &str = "services/app1.toml";

/// A line, and a bare repository that it is pushed to.
struct Place {
    h: History,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let h = History::line();
        h.git(&["init", "-q", "--bare", dir.path().join("origin.git").to_str().unwrap()]);
        Self { h, dir }
    }

    fn origin(&self) -> String {
        self.dir.path().join("origin.git").display().to_string()
    }

    fn push(&self, branch: &str, commit: CommitId) {
        self.h.git(&["push", "-q", &self.origin(), &format!("+{commit}:refs/heads/{branch}")]);
    }

    /// Pushes each of these branches.
    fn publish(&self, branches: &[&str]) {
        for branch in branches {
            self.push(branch, self.h.tip_of(branch));
        }
    }

    /// Asks about the environment that the work tree shows.
    fn ask(&self, command: &[&str], repository: &str, more: &[&str]) -> Said {
        let (environment, anchor) = (self.h.environment.as_str(), self.h.anchor.to_string());
        let about = ["--env", environment, "--repository", repository, "--anchor", &anchor];
        run(self.dir.path(), [command, &about, more].concat())
    }

    fn verify(&self, more: &[&str]) -> Said {
        self.ask(&["verify"], &self.origin(), more)
    }
}

#[test]
fn a_commit_is_explained_rule_by_rule() {
    let mut place = Place::new();
    let source = place.h.develop(APP1, "app = \"app1\" # 2\n");
    let promoted = place.h.promote_to_tst();
    place.publish(&["dev", "tst"]);
    let said = place.verify(&["--explain", &promoted.to_string()[..10]]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains(&format!("{promoted} is a good `promote` of tst")), "{}", said.out);
    assert!(said.out.contains("bob") && said.out.contains(&source.short()), "{}", said.out);
    let said = place.verify(&["--explain", &promoted.to_string(), "-o", "json"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let checks = document["explained"]["checks"].as_array().unwrap();
    let rules: Vec<&str> = checks.iter().filter_map(|check| check["rule"].as_str()).collect();
    for rule in ["signer", "threshold", "source", "composition"] {
        assert!(rules.contains(&rule), "{rule}: {rules:?}");
    }
    // What was never judged, and what is no id, are mistakes of the one who asks.
    assert_eq!(place.verify(&["--explain", "0123456789"]).code, 64);
    assert_eq!(place.verify(&["--explain", "HEAD"]).code, 64);
    // A refusal explains itself.
    let bad = place.h.commit_as("alice", "local", "");
    place.publish(&["tst"]);
    let said = place.verify(&["--explain", &bad.to_string()]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("alice"), "{}", said.err);
}

#[test]
fn a_tip_that_only_waits_exits_2_for_verify_and_audit() {
    let mut place = Place::new();
    let dev = place.h.tip_of("dev");
    place.h.on("tst");
    place.h.write_policy(&place.h.people(), LATER, &promotion("dev", dev, "soak = \"24h\""));
    let counts = place.h.commit_as("carol", "admin", "");
    place.h.clock = Timestamp::from_second(Timestamp::now().as_second() - 60).unwrap();
    place.h.develop(APP1, "app = \"app1\" # 2\n");
    let waits = place.h.promote_to_tst();
    place.publish(&["dev", "tst"]);
    let said = place.verify(&[]);
    assert_eq!(said.code, 2, "{}{}", said.out, said.err);
    assert!(said.out.contains(&counts.to_string()) && said.out.contains(&waits.to_string()));
    let said = place.ask(&["audit", "log"], &place.origin(), &[]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.out.contains("NOT YET") && said.out.contains(&waits.to_string()), "{}", said.out);
}

#[test]
fn a_proposal_that_lacks_nothing_but_people_exits_2() {
    let mut place = Place::new();
    place.h.on("tst");
    let dev = place.h.tip_of("dev");
    let roles = LATER.replace(
        "promote = { people = [\"bob\", \"carol\"] }",
        "promote = { people = [\"bob\", \"carol\"], threshold = 2 }",
    );
    place.h.write_policy(&place.h.people(), &roles, &promotion("dev", dev, ""));
    let line = place.h.commit_as("carol", "admin", "");
    place.h.develop(APP1, "app = \"app1\" # 2\n");
    let proposal = place.h.promote_to_tst();
    place.push("tst", line);
    place.push("promote/tst/1", proposal);
    let revision = ["--revision", "promote/tst/1"];
    assert_eq!(place.verify(&revision).code, 3);
    let said = place.verify(&[&revision[..], &["--propose"]].concat());
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("1 of 2 people"), "{}", said.err);
    // Anything else is refused as ever.
    place.h.write(APP1, "app = \"evil\"\n");
    let tree = place.h.tree();
    let message = "Promote\n\nTidegate: promote tst";
    let by = crate::trust::history::By::Ssh("bob");
    let evil = place.h.make(&tree, &[line, place.h.tip_of("dev")], by, message);
    place.push("promote/tst/2", evil);
    assert_eq!(place.verify(&["--revision", "promote/tst/2", "--propose"]).code, 3);
    // A line is no proposal.
    assert_eq!(place.verify(&["--revision", "nothing", "--propose"]).code, 64);
}

#[tokio::test]
async fn an_address_brings_the_branches_below() {
    let mut place = Place::new();
    // A pick holds nothing of its source's history.
    let source = place.h.develop(APP1, "app = \"app1\" # 2\n");
    place.h.on("tst");
    let picked = place.h.pick("bob", source, &[APP1]);
    place.publish(&["dev", "tst"]);
    let daemon = git_daemon(place.dir.path()).await;
    let ssh = Ssh::start(place.dir.path(), place.dir.path().join("origin.git").as_path()).await;
    let (git, key) = (format!("git://127.0.0.1:{}/origin.git", daemon.port), &ssh.identity);
    let (port, hosts) = (ssh.server.port, ssh.known_hosts.to_str().unwrap());
    let (secure, key) = (format!("ssh://root@127.0.0.1:{port}/origin.git"), key.to_str().unwrap());
    let file = format!("file://{}", place.origin());
    let let_in = ["--identity", key, "--known-hosts", hosts];
    for (url, more) in [(&file, &[][..]), (&git, &[]), (&secure, &let_in)] {
        for command in [&["verify"][..], &["audit", "log"]] {
            let said = place.ask(command, url, more);
            assert_eq!(said.code, 0, "{command:?} {url}: {}{}", said.out, said.err);
            let shown = if command.len() == 1 { picked.to_string() } else { picked.short() };
            assert!(said.out.contains(&shown), "{command:?} {url}: {}", said.out);
        }
    }
    // How to be let in is said, and whose keys are trusted is asked.
    let said = place.ask(&["verify"], &secure, &[]);
    assert_eq!(said.code, 64);
    assert!(said.err.contains("--known-hosts"), "{}", said.err);
    let said = place.ask(&["verify"], &secure, &["--known-hosts", hosts]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("--identity"), "{}", said.err);
    // A branch below that is not shown is said; the pick then has no source.
    place.h.git(&["push", "-q", &place.origin(), ":dev"]);
    let said = place.ask(&["verify"], &git, &[]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("the branch of dev is not looked at"), "{}", said.err);
}
