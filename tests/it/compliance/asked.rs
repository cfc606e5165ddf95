//! What a person is asked before something is mended, and that nothing else is done.

use std::fs;

use crate::cli::support::tidegate;
use crate::compliance::cli::{Stage, json};
use crate::compliance::support::rule;
use crate::support::terminal::AtTerminal;

const POLICY: &str = "[policy]\nfixes = [\"file\", \"file_line\", \"directory\"]\n";

fn at_terminal(stage: &Stage, args: &[&str]) -> AtTerminal {
    let mut command = tidegate(stage.dir.path());
    command.args(args).args(["--config", "agent.toml"]);
    AtTerminal::start(command)
}

fn line(name: &str, path: &str, more: &str) -> String {
    rule("file_line", &format!("path = \"{path}\"\nline = \"{name}\"\n{more}"))
        .replace("\"a\"\nkind", &format!("\"{name}\"\nkind"))
}

#[test]
fn what_was_shown_is_mended_and_what_one_fix_changes_for_the_next_is_not_asked_for_again() {
    let stage = Stage::new(POLICY);
    let folder = rule("directory", "path = \"/etc/new\"").replace("\"a\"", "\"z\"");
    let rules =
        line("b", "/etc/new/x", "create = true") + &line("c", "/etc/new/x", "create = true");
    stage.commit("rulesets/it/linux.toml", &(rules + &folder));
    let mut fix = at_terminal(&stage, &["fix", "--node"]);
    assert!(fix.asked().ends_with("Mend 3 rules? [y/N] "));
    fix.answer("y");
    let said = fix.said();
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    let made = fs::read_to_string(stage.dir.path().join("root/etc/new/x")).unwrap();
    assert_eq!(made, "b\nc\n");
}

#[test]
fn what_somebody_changed_after_it_was_shown_is_shown_and_asked_for_anew() {
    for (answer, code, left) in [("y", 0, "theirs\nb\n"), ("n", 2, "theirs\n")] {
        let stage = Stage::new(POLICY);
        let hosts = stage.dir.path().join("root/etc/hosts");
        let file = rule("file", "path = \"/etc/motd\"\ncontent = \"hello\\n\"");
        stage.commit("rulesets/it/linux.toml", &(file + &line("b", "/etc/hosts", "")));
        let mut fix = at_terminal(&stage, &["fix", "--node"]);
        fix.asked();
        fs::write(&hosts, "theirs\n").unwrap();
        fix.answer("y");
        let asked = fix.asked();
        assert!(asked.contains("it.linux/b (node) is no longer as it was shown"), "{asked}");
        assert!(asked.ends_with("Mend it.linux/b (node) all the same? [y/N] "), "{asked}");
        assert_eq!(fs::read_to_string(&hosts).unwrap(), "theirs\n");
        fix.answer(answer);
        let said = fix.said();
        assert_eq!(said.code, code, "{}{}", said.out, said.err);
        assert!(said.out.contains(" theirs\n+b\n"), "{}", said.out);
        assert_eq!(said.err.contains("it.linux/b (node): left alone"), answer == "n");
        assert_eq!(fs::read_to_string(&hosts).unwrap(), left);
        assert_eq!(stage.motd().as_deref(), Some("hello\n"));
    }
}

#[test]
fn whoever_asks_for_json_is_shown_what_they_agree_to_beside_it() {
    let stage = Stage::new(POLICY);
    stage.commit("rulesets/it/linux.toml", &line("b", "/etc/hosts", ""));
    let mut fix = at_terminal(&stage, &["fix", "-o", "json"]);
    let asked = fix.asked();
    assert!(asked.contains("+b\n"), "{asked}");
    fix.answer("n");
    let said = fix.said();
    assert_eq!((said.code, said.out.as_str()), (130, ""), "{}", said.err);
    assert!(said.err.contains("nothing was changed"), "{}", said.err);
}

#[test]
fn a_way_back_shows_and_asks_for_what_is_left_of_it_alone() {
    let stage = Stage::new(POLICY);
    let at = |path: &str| stage.dir.path().join("root/etc").join(path);
    let new = rule("file", "path = \"/etc/q/b/c\"\ncontent = \"x\"");
    stage.commit("rulesets/it/linux.toml", &new);
    let done = json(&stage.run(&["fix", "--yes", "-o", "json"]));
    let id = done["fixes"][0]["id"].as_str().unwrap();
    fs::remove_file(at("q/b/c")).unwrap();
    let mut restore = at_terminal(&stage, &["fix", "restore", id]);
    assert!(restore.asked().ends_with(&format!("Take back {id} (it.linux/a)? [y/N] ")));
    restore.answer("n");
    let said = restore.said();
    assert_eq!(said.out.matches("+++ /dev/null").count(), 2, "{}", said.out);
    assert!(!said.out.contains("/etc/q/b/c"), "{}", said.out);
    // Something of somebody else's is in the way of the rest.
    fs::write(at("q/b/theirs"), "").unwrap();
    let said = stage.run(&["fix", "restore", id]);
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(said.err.contains("/etc/q/b stays: something else lies in it by now"), "{}", said.err);
    assert!(said.err.contains("nothing is left to take back"), "{}", said.err);
    let said = stage.run(&["fix", "restore", id, "-o", "json"]);
    assert_eq!(json(&said)["fixes"], serde_json::json!([]));
    assert!(at("q/b/theirs").exists());
}

#[test]
fn what_a_later_fix_undid_is_not_said_to_be_mended() {
    let stage = Stage::new("[policy]\nfixes = [\"file\", \"ssh_authorized_key\"]\n");
    let root = stage.dir.path().join("root");
    let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:0:0::/home/alice:/bin/sh\n";
    std::fs::write(root.join("etc/passwd"), passwd).unwrap();
    std::fs::create_dir_all(root.join("home/alice")).unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD";
    // The file beside the one in which the key belongs, which loses it.
    let path = "path = \"/home/alice/.ssh/authorized_keys2\"";
    let file = format!("{path}\ncontent = \"{key}\\n\"");
    let rules = [
        rule("file", &format!("{file}\nfix = \"auto\"")),
        rule("ssh_authorized_key", &format!("user = \"alice\"\nkey = \"{key}\"\nfix = \"auto\""))
            .replace("\"a\"", "\"b\""),
    ];
    stage.commit("rulesets/it/linux.toml", &rules.concat());
    let fixed = stage.run(&["fix", "--yes"]);
    assert_eq!(fixed.code, 2, "{}{}", fixed.out, fixed.err);
    assert!(fixed.err.contains("it.linux/a"), "{}", fixed.err);
    assert!(fixed.err.contains("undone by another fix"), "{}", fixed.err);
    std::fs::remove_file(root.join("home/alice/.ssh/authorized_keys")).unwrap();
    stage.run(&["agent", "--once"]);
    stage.run(&["check", "--keep", "commit", "-o", "json"]);
    let last = json(&stage.run(&["check", "--last", "-o", "json"]));
    let of = |rule: &str| {
        let mut all = last["verdicts"].as_array().unwrap().iter();
        all.find(|found| found["rule"] == rule).unwrap()["status"].clone()
    };
    assert_eq!((of("it.linux/a"), of("it.linux/b")), ("not_ok".into(), "ok".into()), "{last:#}");
}
