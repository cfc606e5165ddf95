//! Coming from OpenSVC: a collector's export, a service's configuration.

mod left;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidegate::reconcile::desired::rule::kind::KINDS;

use crate::cli::support::{Said, run, tidegate};
use crate::compliance::cli::json;

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/import");

fn import(dir: &Path, what: &str, file: &str, more: &[&str]) -> Said {
    let file = format!("{HERE}/{file}");
    let args = ["import", what, &file, "--to", "config", "--keys", "people"];
    run(dir, args.iter().copied().chain(more.iter().copied()))
}

/// Every file below a folder, by path.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                drop(found.insert(name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Everything of the result that a person reads, and what was said.
fn result(dir: &Path, said: &Said) -> String {
    let read = files(&dir.join("config")).into_iter();
    let read = read.filter(|(path, _)| !path.ends_with("trust.toml"));
    let text: Vec<String> =
        read.map(|(path, content)| format!("=== {path}\n{content}\n")).collect();
    let text = text.concat();
    let lines: Vec<&str> = said.out.lines().map(str::trim_end).collect();
    format!("{text}=== said\n{}", lines.join("\n"))
}

#[track_caller]
fn assert_lints(dir: &Path) {
    let said = run(dir, ["lint", "config"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn a_service_is_carried_into_composes_words_and_the_rest_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = import(dir.path(), "opensvc", "app1.conf", &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_lints(dir.path());
    insta::assert_snapshot!("service", result(dir.path(), &said));
}

#[test]
fn an_export_is_carried_class_by_class_and_the_rest_is_named_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let said = import(dir.path(), "opensvc-compliance", "export.json", &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_lints(dir.path());
    let result = result(dir.path(), &said);
    assert!(!result.contains("canary"), "{result}");
    insta::assert_snapshot!("export", result);
}

#[test]
fn the_reference_documents_tree_is_each_lines_own_after_init() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let lines = ["--environments", "dev,tst,prd"];
    let service = import(at, "opensvc", "reference/app1.conf", &lines);
    assert_eq!(service.code, 0, "{}", service.err);
    let rules = json(&import(at, "opensvc-compliance", "reference.json", &["-o", "json"]));
    assert_eq!((&rules["schema"], &rules["carried"]), (&"tidegate.import/1".into(), &6.into()));
    assert_lints(at);
    let made = run(at, ["init", "--from", "config", "--keys", "people", "repository"]);
    assert_eq!(made.code, 0, "{}{}", made.out, made.err);
    let tree = run(at, ["ruleset", "tree", "--repository", "repository"]);
    assert_eq!(tree.code, 0, "{}", tree.err);
    for (environment, first, second) in [
        ("dev", "1111122222", "2222211111"),
        ("tst", "3333344444", "4444433333"),
        ("prd", "5555566666", "6666655555"),
    ] {
        let leaf = format!("it.applications.app1.{environment}");
        let line = tree.out.lines().find(|line| line.contains(&leaf)).unwrap_or_default();
        for wanted in
            [format!("container#1.image_id = {first}"), format!("container#2.image_id = {second}")]
        {
            assert!(line.contains(&wanted), "{wanted}\n{}", tree.out);
        }
    }
}

#[test]
fn a_kind_that_this_version_has_is_carried_and_another_is_named() {
    for (class, value, kind) in [
        ("package", "[\"bzip2\",\"-telnet\"]", "package"),
        ("vuln", "[{\"pkgname\":\"openssl\",\"minver\":\"3.0.13\"}]", "package_vulnerable"),
        ("user", "{\"app\":{\"uid\":1000,\"shell\":\"/bin/sh\"}}", "user"),
        ("group", "{\"app\":{\"gid\":1000}}", "group"),
        ("group_membership", "{\"app\":{\"members\":[\"alice\"]}}", "membership"),
        ("systemd_unit_state", "{\"name\":\"ssh.service\",\"mask\":true}", "systemd_unit"),
        ("fileprop", "{\"path\":\"/etc/x\",\"mode\":600}", "file"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let variable =
            serde_json::json!({ "var_name": "a", "var_class": class, "var_value": value });
        let ruleset = serde_json::json!({ "ruleset_name": "it", "ruleset_type": "contextual",
            "fset_name": null, "rulesets": [], "variables": [variable] });
        let export = serde_json::json!({ "rulesets": [ruleset] }).to_string();
        fs::write(at.join("export.json"), export).unwrap();
        let said = json(&run(at, ["import", "opensvc-compliance", "export.json", "-o", "json"]));
        let known = KINDS.iter().any(|keys| keys.name == kind);
        assert_eq!(said["carried"] != 0, known, "{class}: {said:#}");
        assert_eq!(said["remarks"].as_array().unwrap().is_empty(), known, "{class}: {said:#}");
        assert_eq!(run(at, ["lint", "imported"]).code, 0, "{class}");
    }
}

/// What a variable of this class and value comes to: the ruleset, and what was not carried.
fn carried(class: &str, value: &str) -> (String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let variable = serde_json::json!({ "var_name": "a", "var_class": class, "var_value": value });
    let ruleset = serde_json::json!({ "ruleset_name": "it", "ruleset_type": "contextual",
        "fset_name": null, "rulesets": [], "variables": [variable] });
    fs::write(at.join("x.json"), serde_json::json!({ "rulesets": [ruleset] }).to_string()).unwrap();
    let said = json(&run(at, ["import", "opensvc-compliance", "x.json", "-o", "json"]));
    let linted = run(at, ["lint", "imported"]);
    assert_eq!(linted.code, 0, "{class} {value}\n{}{}", linted.out, linted.err);
    let text = fs::read_to_string(at.join("imported/rulesets/it.toml")).unwrap_or_default();
    let why = said["remarks"].as_array().unwrap().iter().map(|remark| remark["why"].to_string());
    (text, why.collect())
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD";

#[test]
fn values_as_the_programs_took_them_come_to_rules_that_ask_the_same() {
    let key = |more: &str| format!("{{\"user\":\"testuser\",\"key\":\"{KEY} testuser\"{more}}}");
    let options = format!(
        "{{\"action\":\"add\",\"user\":\"t\",\"key\":\"from=\\\"10.0.0.0/8\\\",no-pty {KEY}\"}}"
    );
    let (plain, gone) =
        (key(",\"action\":\"add\",\"authfile\":\"authorized_keys\""), key(",\"action\":\"del\""));
    for (class, value, lines) in [
        (
            "cron",
            "add:osvc:* * * * *:/path/to/mycron:/etc/cron.d/opensvc",
            &[
                "kind = \"file_line\"",
                "path = \"/etc/cron.d/opensvc\"",
                "line = \"* * * * * osvc /path/to/mycron\"",
                "create = true",
            ][..],
        ),
        (
            "cron",
            "del:root:5 4 * * sun:/usr/bin/x $HOME:old",
            &[
                "path = \"/etc/cron.d/old\"",
                "line = \"5 4 * * sun root /usr/bin/x $$HOME\"",
                "state = \"absent\"",
            ],
        ),
        (
            "process",
            "[{\"comm\":\"sshd\",\"state\":\"on\",\"user\":\"root\"}]",
            &["kind = \"process\"", "process = \"sshd\"", "user = \"root\""],
        ),
        (
            "process",
            "[{\"args\":\"/usr/sbin/cron -f\",\"state\":\"off\"}]",
            &["process = \"cron\"", "args = \"^(?:/usr/sbin/cron -f)\"", "state = \"absent\""],
        ),
        ("authkey", &plain, &["kind = \"ssh_authorized_key\"", "user = \"testuser\""]),
        ("authkey", &gone, &["state = \"absent\""]),
        ("authkey", &options, &["options = 'from=\"10.0.0.0/8\",no-pty'"]),
        (
            "timedatectl",
            "{\"timezone\":\"Europe/Paris\",\"ntpenabled\":\"no\"}",
            &["kind = \"time\"", "zone = \"Europe/Paris\"", "ntp = false"],
        ),
        ("timedatectl", "{\"ntpenabled\":\"yes\"}", &["kind = \"time\"", "ntp = true"]),
        (
            "sudoers",
            "{\"path\":\"/etc/sudoers.d/50-deploy\",\"fmt\":\"%deploy ALL=(root) NOPASSWD: ALL\",\"mode\":440,\"uid\":0,\"gid\":\"root\"}",
            &["kind = \"sudoers\"", "file = \"50-deploy\"", "%deploy ALL=(root) NOPASSWD: ALL"],
        ),
        (
            "rc",
            "[{\"service\":\"crond\",\"level\":\"2345\",\"state\":\"on\"}]",
            &["kind = \"systemd_unit\"", "unit = \"crond.service\"", "enabled = true"],
        ),
        (
            "sysctl",
            "[{\"key\":\"kernel.printk\",\"value\":[[\"=\",4],[\"=\",4],[\"=\",1],[\"=\",7]]}]",
            &["key = \"kernel.printk\"", "value = \"4 4 1 7\""],
        ),
        ("package", "[{\"pkgname\":\"bzip2\"}]", &["package = \"bzip2\"", "state = \"present\""]),
    ] {
        let (text, why) = carried(class, value);
        assert_eq!(why, Vec::<String>::new(), "{class} {value}");
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{class} {value}: no {line}\n{text}");
        }
    }
}

/// Class and value, the kind that it comes to if it does, and why something is left out.
const NOT_ASKED: &[(&str, &str, &str, &[&str])] = &[
    (
        "process",
        "[{\"comm\":\"sshd\",\"state\":\"on\",\"uid\":0,\"start\":\"/etc/init.d/ssh start\"}]",
        "process",
        &["name the `user`", "systemd_unit"],
    ),
    (
        "process",
        "[{\"comm\":\"ora_.*\",\"state\":\"on\"}]",
        "",
        &["is a pattern: name the program"],
    ),
    ("process", "[{\"comm\":\"sshd\"}]", "", &["neither `on` nor `off`"]),
    ("cron", "add:root:* * * * *:/bin/x:", "", &["is no file in /etc/cron.d/"]),
    ("cron", "add:root:* * *:/bin/x:a", "", &["is no job of cron"]),
    ("cron", "add:root:* * * * *:/bin/x", "", &["action:user:schedule:command:file"]),
    ("authkey", "{\"user\":\"t\",\"key\":\"nonsense\"}", "", &["it is no public key"]),
    (
        "sudoers",
        "{\"path\":\"/etc/sudoers\",\"fmt\":\"root ALL=(ALL) ALL\"}",
        "",
        &["is not in /etc/sudoers.d"],
    ),
    (
        "sudoers",
        "{\"path\":\"/etc/sudoers.d/a\",\"fmt\":\"x\",\"uid\":500}",
        "sudoers",
        &["sudo reads root's alone"],
    ),
    (
        "rc",
        "[{\"service\":\"nfs\",\"level\":\"016\",\"state\":\"off\"}]",
        "",
        &["there are no runlevels"],
    ),
    (
        "self_signed_cert",
        "{\"CN\":\"a\",\"crt\":\"/srv/a.crt\",\"key\":\"/srv/a.key\",\"bits\":2048,\"alt_names\":[{\"dns\":\"a.example.org\"},{\"ip\":\"192.0.2.1\"}]}",
        "certificate",
        &[
            "makes no certificates",
            "`CN` of /srv/a.crt: there is nothing like it here",
            "`bits` of /srv/a.crt",
            "`ip`",
        ],
    ),
    (
        "crontabentry",
        "{\"user\":\"a\",\"check\":\"/x\",\"entry\":\"1 * * * * /x\"}",
        "",
        &["cron's to keep"],
    ),
    ("xinetd", "{\"gssftp\":{\"disable\":\"no\"}}", "", &["sections in braces"]),
    ("zpool", "[{\"name\":\"rpool\"}]", "", &["no rule changes a disk"]),
    (
        "nodeconf",
        "[{\"key\":\"node.env\",\"op\":\"=\",\"value\":\"PRD\"}]",
        "",
        &["the agent that is replaced"],
    ),
    ("ansible_playbook", "{\"fmt\":\"- hosts: all\"}", "", &["nothing of another tool is run"]),
    ("nobody_knows", "{}", "", &["no kind of rule for class `nobody_knows`"]),
];

#[test]
fn what_no_rule_asks_is_listed_with_the_reason_and_the_rest_of_it_is_carried() {
    for (class, value, kind, reasons) in NOT_ASKED {
        let (text, why) = carried(class, value);
        let wanted = format!("kind = \"{kind}\"");
        assert_eq!(
            text.lines().any(|line| line == wanted),
            !kind.is_empty(),
            "{class} {value}\n{text}"
        );
        assert_eq!(why.len(), reasons.len(), "{class} {value}\n{why:?}");
        for reason in *reasons {
            assert!(
                why.iter().any(|why| why.contains(reason)),
                "{class} {value}: {reason}\n{why:?}"
            );
        }
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    assert_eq!(import(at, "opensvc", "reference/app1.conf", &[]).code, 0);
    let service = at.join("config/services/app1.toml");
    fs::write(&service, "mine").unwrap();
    let before = files(&at.join("config"));
    let again = import(at, "opensvc", "reference/app1.conf", &[]);
    assert_eq!(again.code, 1, "{}", again.out);
    assert!(again.err.contains("services/app1.toml is there already"), "{}", again.err);
    assert_eq!(files(&at.join("config")), before);
}

#[test]
fn what_is_no_such_document_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("x.conf"), "[DEFAULT]\napp = a\n").unwrap();
    fs::write(at.join("y.conf"), "app = a\n").unwrap();
    fs::write(at.join("x.json"), "{}").unwrap();
    fs::write(at.join("y.json"), "[").unwrap();
    for (what, file, said) in [
        ("opensvc", "x.conf", "it has no [container#…] that Docker runs"),
        ("opensvc", "y.conf", "line 1 is neither"),
        ("opensvc-compliance", "x.json", "it has no list `rulesets`"),
        ("opensvc-compliance", "y.json", "it is not JSON"),
    ] {
        let answer = run(at, ["import", what, file]);
        assert_eq!(answer.code, 1, "{file}");
        assert!(answer.err.contains(said), "{file}: {}", answer.err);
        assert!(!at.join("imported").exists());
    }
    assert_eq!(run(at, ["import", "opensvc", "none.conf"]).code, 64);
    let mut plain = tidegate(at);
    assert_eq!(plain.args(["import"]).output().unwrap().status.code(), Some(64));
}
