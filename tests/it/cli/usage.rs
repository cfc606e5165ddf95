//! What wrong input is answered with.

use std::process::Stdio;

use crate::cli::support::{run, tidegate};

#[test]
fn wrong_usage_exits_64_and_says_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["complotions", "bash"][..], "completions"),
        (&["completions", "tcsh"], "possible values"),
        (&["completions", "bash", "--colour", "never"], "--color"),
        (&[], "Usage"),
    ] {
        let said_there = run(dir.path(), args);
        assert_eq!(said_there.code, 64, "{args:?}: {}", said_there.err);
        assert!(said_there.err.contains(said), "{args:?}: {}", said_there.err);
        assert_eq!(said_there.out, "", "{args:?}");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["--version"], &["help", "completions"]] {
        let said = run(dir.path(), args);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = tidegate(dir.path())
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}
