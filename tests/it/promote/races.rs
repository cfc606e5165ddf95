//! Somebody else pushes between our fetch and our push, for real: from a second clone, in a hook.

use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use crate::promote::stage::{PINS, Said, Stage};
use crate::support::program::write_program;

/// Before bob's first push, `script` runs in carol's clone.
fn before_the_first_push(stage: &Stage, script: &str) {
    let (done, carol) = (stage.path("raced"), stage.path("carol"));
    let text = format!(
        "[ -e {done} ] && exit 0\ntouch {done}\nunset GIT_DIR GIT_PREFIX\ncd {carol} || exit 1\n\
         set -e\ngit fetch -q\ngit checkout -q -B tst origin/tst\n{script}\n",
        done = done.display(),
        carol = carol.display(),
    );
    hook_of_bob(stage, &text);
}

fn hook_of_bob(stage: &Stage, script: &str) {
    let hook = stage.path("bob").join(".git/hooks/pre-push");
    write_program(hook, &format!("#!/bin/sh\n{script}\n"));
}

const LOCAL: &str = "echo '[labels]' > environments/tst/nodes/n1.toml\ngit add -A\n\
    git commit -q -m 'Labels\n\nTidegate: local tst'\ngit push -q origin tst";

#[tokio::test]
async fn who_is_overtaken_promotes_on_top_of_the_other_commit() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    before_the_first_push(&stage, LOCAL);
    let said = stage.run("bob", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.err.contains("somebody pushed first: again"), "{}", said.err);
    let subjects = stage.git("origin.git", &["log", "--first-parent", "--format=%s", "tst"]);
    assert_eq!(subjects, "Promote dev to tst\nLabels\nBegin tst\nBegin");
    stage.verify("tst");
}

#[tokio::test]
async fn a_plan_that_the_other_push_changed_is_shown_and_not_pushed() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    // A node of tst's own that is new runs app1 too: other things change now.
    let script = LOCAL.replace("nodes/n1.toml", "nodes/n2.toml");
    before_the_first_push(&stage, &script);
    let said = stage.run("bob", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 3, "{}", said.err);
    assert!(said.err.contains("the plan is another one now"), "{}", said.err);
    assert!(said.out.contains("on n1, n2"), "{}", said.out);
    let subjects = stage.git("origin.git", &["log", "--first-parent", "--format=%s", "tst"]);
    assert_eq!(subjects, "Labels\nBegin tst\nBegin");
}

#[tokio::test]
async fn ctrl_c_during_the_push_ends_with_130_and_the_next_run_lands() {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    let (before, reached) = (stage.tip("tst"), stage.path("reached"));
    hook_of_bob(&stage, &format!("touch {}\nsleep 60", reached.display()));
    let promote = ["promote", "--to", "tst"];
    let child = stage.start("bob", &promote);
    let since = Instant::now();
    while !reached.exists() {
        assert!(since.elapsed() < Duration::from_secs(60), "nothing is pushed");
        park(Duration::from_millis(20));
    }
    let group = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process_group(group, rustix::process::Signal::INT).unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.err);
    assert_eq!(stage.tip("tst"), before);
    hook_of_bob(&stage, "exit 0");
    stage.ok("bob", &promote);
    stage.verify("tst");
    assert_ne!(stage.tip("tst"), before);
}
