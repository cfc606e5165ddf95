//! A node above the first environment: it fetches the branches below, and holds what soaks.

use std::fs;

use serde_json::Value;
use tidegate::model::CommitId;

use crate::cli::support::{Said, run};
use crate::trust::history::History;
use crate::trust::line::{LATER, promotion};

const APP1: &str = "services/app1.toml";

/// A node of tst without an engine; dev lies in a repository of its own.
struct Node {
    h: History,
    dir: tempfile::TempDir,
}

impl Node {
    fn new(more: &str) -> Self {
        let mut h = History::line();
        let dev = h.anchor;
        h.on("tst");
        h.write_policy(&h.people(), LATER, &promotion("dev", dev, more));
        h.commit_as("carol", "admin", "");
        let dir = tempfile::tempdir().unwrap();
        for name in ["dev.git", "tst.git"] {
            h.git(&["init", "-q", "--bare", dir.path().join(name).to_str().unwrap()]);
        }
        let node = Self { h, dir };
        node.configure("environment = \"tst\"\n");
        node.publish();
        node
    }

    fn configure(&self, head: &str) {
        let dir = self.dir.path().display();
        let text = format!(
            "node = \"n1\"\n{head}state_dir = \"{dir}/state\"\n\
             [repository]\nurl = \"{dir}/tst.git\"\nid = \"acme-config\"\nanchor = \"{}\"\n\
             [sources.dev]\nurl = \"{dir}/dev.git\"\n\
             [engine]\nsocket = \"unix://{dir}/no.sock\"\n",
            self.h.anchor
        );
        fs::write(self.dir.path().join("agent.toml"), text).unwrap();
    }

    /// Pushes each branch to its repository.
    fn publish(&self) {
        for name in ["dev", "tst"] {
            let to = self.dir.path().join(format!("{name}.git"));
            let refspec = format!("+{}:refs/heads/{name}", self.h.tip_of(name));
            self.h.git(&["push", "-q", to.to_str().unwrap(), &refspec]);
        }
    }

    fn run(&self, args: &[&str]) -> Said {
        run(self.dir.path(), [args, &["--config", "agent.toml"]].concat())
    }

    /// One pass, and what the node says then.
    fn pass(&self) -> Value {
        let once = self.run(&["agent", "--once"]);
        let status = self.run(&["status", "-o", "json"]);
        assert!(status.out.starts_with('{'), "{}{}", once.err, status.err);
        serde_json::from_str(&status.out).unwrap()
    }

    fn adopts(&self, commit: CommitId) -> Value {
        let status = self.pass();
        assert_eq!(status["revision"]["verified"], commit.to_string(), "{status:#}");
        status
    }
}

#[test]
fn a_promotion_is_held_until_its_source_soaked_and_a_rollback_passes_it() {
    let mut node = Node::new("soak = \"24h\"");
    let before = node.h.tip;
    node.h.develop(APP1, "app = \"app1\" # 2\n");
    node.publish();
    node.adopts(before);
    // The source is of January by its own date; this node saw it a moment ago.
    let promoted = node.h.promote_to_tst();
    node.publish();
    let status = node.adopts(before);
    assert_eq!(status["waits"]["commit"], promoted.to_string());
    let until: jiff::Timestamp = status["waits"]["until"].as_str().unwrap().parse().unwrap();
    let left = until.duration_since(jiff::Timestamp::now()).as_hours();
    assert!((23..=24).contains(&left), "{until}");
    let said = node.run(&["status"]);
    assert!((said.out + &said.err).contains("waits until"));
    let late = node.run(&["wait", "--timeout", "10ms"]);
    assert_eq!(late.code, 4);
    assert!(late.err.contains("waits until"), "{}", late.err);
    // A new process remembers what it saw, and when.
    assert_eq!(node.adopts(before)["waits"]["until"], status["waits"]["until"]);
    let back = node.h.rollback("bob", before);
    node.publish();
    assert!(node.adopts(back).get("waits").is_none());
}

#[test]
fn a_pick_is_judged_by_a_source_that_only_the_repository_below_has() {
    let mut node = Node::new("");
    let source = node.h.develop(APP1, "app = \"app1\" # 2\n");
    node.h.on("tst");
    let picked = node.h.pick("bob", source, &[APP1]);
    node.publish();
    node.adopts(picked);
    // A branch below that is gone or bad stops nothing that was seen.
    fs::remove_dir_all(node.dir.path().join("dev.git")).unwrap();
    node.h.write_own("nodes/n1.toml", "");
    let local = node.h.commit_as("bob", "local", "");
    let to = node.dir.path().join("tst.git");
    node.h.git(&["push", "-q", to.to_str().unwrap(), &format!("{local}:refs/heads/tst")]);
    let status = node.adopts(local);
    assert!(status["refused"].is_null(), "{status:#}");
}

#[test]
fn a_plan_looks_at_the_branches_below_and_keeps_nothing() {
    let mut node = Node::new("soak = \"1s\"\nrequire = [\"Ticket\"]");
    let before = node.h.tip;
    node.h.on("tst");
    node.publish();
    node.adopts(before);
    let shown = node.run(&["trust", "show"]).out;
    for told in ["promoted from dev", "sources rest on dev for 1s", "demands the trailers Ticket"] {
        assert!(shown.contains(told), "{told}: {shown}");
    }
    let source = node.h.develop(APP1, "app = \"app1\" # 2\n");
    node.h.on("tst");
    node.h.pick_with("bob", source, &[APP1], "\nTicket: OPS-1");
    node.publish();
    let kept = fs::read(node.dir.path().join("state/below.json")).unwrap();
    let packs = || fs::read_dir(node.dir.path().join("state/repository.git/objects/pack")).unwrap();
    let n_packs = packs().count();
    // Without an engine there is no plan; with a pick that is not understood it would be refused.
    let said = node.run(&["plan"]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(!said.err.contains("refused"), "{}", said.err);
    assert_eq!(fs::read(node.dir.path().join("state/below.json")).unwrap(), kept);
    assert_eq!(packs().count(), n_packs);
}
