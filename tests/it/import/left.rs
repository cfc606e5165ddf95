//! What an import leaves out is said, each thing once, and nothing else comes of it.

use std::fs;

use serde_json::{Value, json};

use crate::cli::support::run;
use crate::compliance::cli::json as parsed;

fn ruleset(name: &str, variables: &[(&str, &str, &str)]) -> Value {
    let row = |(name, class, value): &(&str, &str, &str)| json!({ "var_name": name, "var_class": class, "var_value": value });
    let variables: Vec<Value> = variables.iter().map(row).collect();
    json!({ "ruleset_name": name, "ruleset_type": "contextual", "fset_name": null, "rulesets": [], "variables": variables })
}

/// The number of things carried, the ruleset `it`, and what was said of the rest.
fn of(export: &Value) -> (Value, String, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::write(at.join("x.json"), export.to_string()).unwrap();
    let said = parsed(&run(at, ["import", "opensvc-compliance", "x.json", "-o", "json"]));
    let linted = run(at, ["lint", "imported"]);
    assert_eq!(linted.code, 0, "{export}\n{}{}", linted.out, linted.err);
    let text = fs::read_to_string(at.join("imported/rulesets/it.toml")).unwrap_or_default();
    let remarks = said["remarks"].as_array().unwrap().iter();
    let remarks = remarks.map(|r| format!("{}: {}", r["what"], r["why"]).replace('"', ""));
    (said["carried"].clone(), text, remarks.collect())
}

fn variables(all: &[(&str, &str, &str)]) -> (Value, String, Vec<String>) {
    of(&json!({ "rulesets": [ruleset("it", all)] }))
}

#[test]
fn every_bad_rule_is_taken_out_and_said_however_many_there_are() {
    let bad = |n: usize| (format!("bad{n}"), format!("[\"not a package {n}\"]"));
    let names: Vec<(String, String)> = (0..130).map(bad).collect();
    let mut all: Vec<(&str, &str, &str)> =
        names.iter().map(|(name, value)| (name.as_str(), "package", value.as_str())).collect();
    all.push(("good", "package", "[\"bzip2\"]"));
    let (n_carried, text, remarks) = variables(&all);
    assert_eq!(n_carried, 1);
    assert_eq!(text.matches("[[rules]]").count(), 1, "{text}");
    assert_eq!(remarks.len(), 130);
    assert!(remarks.iter().any(|r| r.starts_with("rule bad129 (package)")), "{remarks:?}");
}

#[test]
fn two_things_of_one_name_are_not_one() {
    let (first, second) = ("a".repeat(12), "b".repeat(12));
    let (n_carried, text, remarks) =
        variables(&[("PORT", "raw", "80"), ("port", "raw", "8080"), ("Port", "raw", "80")]);
    assert_eq!(n_carried, 2, "{remarks:?}");
    assert!(text.contains("port = \"80\"") && !text.contains("8080"), "{text}");
    assert_eq!(remarks.iter().filter(|r| r.starts_with("port: variable port is set")).count(), 1);
    let (n_carried, text, remarks) = variables(&[
        ("container#1.image_id", "raw", &first),
        ("container#1.image", "raw", &second),
    ]);
    assert_eq!(n_carried, 1, "{remarks:?}");
    assert!(text.contains(&first) && !text.contains(&second), "{text}");
    let pin = format!("container#1.image = {second}: container 1 has another");
    assert!(remarks.iter().any(|r| r.starts_with(&pin)), "{remarks:?}");
    // Two rulesets that become one file.
    let (one, other) = (ruleset("it", &[("A", "raw", "1")]), ruleset("IT", &[("A", "raw", "2")]));
    let (n_carried, text, remarks) = of(&json!({ "rulesets": [one, other] }));
    assert_eq!(n_carried, 1, "{text}");
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].starts_with("a: variable a is set already"), "{remarks:?}");
}

#[test]
fn what_a_rule_cannot_say_is_named_and_none_is_made_that_says_something_else() {
    for (class, value, line, why) in [
        ("fileprop", "{\"path\":\"/etc/x\",\"mode\":\"u=rw\"}", "", "say it in octal digits"),
        ("fileprop", "{\"path\":\"/etc/x\",\"mode\":\"a+x\"}", "", "would only make it, empty"),
        (
            "fileprop",
            "{\"path\":\"/etc/x\",\"mode\":\"%%ENV:PORT%%\",\"uid\":5}",
            "owner = 5",
            "mode `%%ENV:PORT%%` of /etc/x",
        ),
        (
            "file",
            "{\"path\":\"/etc/x\",\"fmt\":\"a\",\"mode\":\"u=rw\"}",
            "kind = \"file\"",
            "mode `u=rw` of /etc/x",
        ),
        ("process", "[{\"comm\":\"nc\",\"state\":\"off\",\"user\":\"bob\"}]", "user = \"bob\"", ""),
        (
            "process",
            "[{\"comm\":\"nc\",\"state\":\"off\",\"uid\":1000}]",
            "",
            "everybody would be forbidden it",
        ),
        (
            "fileinc",
            "{\"path\":\"/etc/x\",\"check\":\"a\",\"replace\":\"b\",\"fmt\":\"c\"}",
            "",
            "it replaces a part of what `check` finds",
        ),
    ] {
        let (_, text, remarks) = variables(&[("a", class, value)]);
        assert_eq!(text.contains("[[rules]]"), !line.is_empty(), "{class} {value}\n{text}");
        assert!(text.contains(line), "{class} {value}\n{text}");
        let is_said = remarks.iter().any(|remark| remark.contains(why));
        assert_eq!(is_said, !why.is_empty(), "{class} {value}\n{remarks:?}");
    }
}

#[test]
fn what_is_asked_of_the_systems_name_is_answered_for_linux() {
    for (operator, value, wanted) in [
        ("=", "Linux", ""),
        ("!=", "SunOS", ""),
        ("LIKE", "Lin%", ""),
        ("IN", "SunOS,Linux", ""),
        ("=", "SunOS", "not = {}"),
        ("!=", "Linux", "not = {}"),
        ("LIKE", "Sun%", "not = {}"),
        (">", "Linux", "filterset-f = \"yes\""),
        ("LIKE", "Li_ux", "filterset-f = \"yes\""),
    ] {
        let mut shown = ruleset("it", &[("a", "package", "[\"bzip2\"]")]);
        shown["fset_name"] = "f".into();
        let filter =
            json!({ "f_table": "nodes", "f_field": "os_name", "f_op": operator, "f_value": value });
        let filters = json!([{ "f_order": 0, "f_log_op": "AND", "filter": filter }]);
        let filtersets = json!([{ "fset_name": "f", "filters": filters }]);
        let (_, text, remarks) = of(&json!({ "rulesets": [shown], "filtersets": filtersets }));
        assert!(text.contains(wanted), "{operator} {value}\n{text}");
        assert_eq!(text.contains("match"), !wanted.is_empty(), "{operator} {value}\n{text}");
        assert_eq!(remarks.len(), usize::from(wanted.contains("yes")), "{remarks:?}");
    }
}

#[test]
fn a_field_that_no_rule_has_is_named_and_what_is_not_understood_makes_no_rule() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD";
    let key = |more: Value| {
        let mut one = json!({ "action": "add", "user": "bob", "key": KEY });
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        one
    };
    for (class, value, n_rules, why) in [
        ("user", json!({ "bob": { "uid": 5, "check_home": "yes" } }), 1, "`check_home` of bob"),
        ("user", json!({ "bob": { "uid": [5] } }), 1, "`uid` of bob: it is no single value"),
        ("user", json!({ "bob": { "uid": 5, "password": "canary" } }), 1, "the password of bob"),
        ("user", json!([{ "bob": { "uid": 5 } }]), 0, "nothing is asked in it"),
        ("user", json!({ "bob": ["uid"] }), 0, "it is no user"),
        ("group", json!({ "it": { "gid": 5, "quota": "canary" } }), 1, "`quota` of it"),
        ("group_membership", json!({ "it": { "members": ["bob", 5] } }), 1, "member 5 of it"),
        ("group_membership", json!({ "it": { "members": [] } }), 0, "nothing is asked in it"),
        ("group_membership", json!({ "it": { "members": "bob" } }), 0, "nothing is asked in it"),
        ("authkey", key(json!({ "authfile": "authorized_keys2" })), 1, "`authfile` of bob"),
        ("authkey", key(json!({ "authfile": "authorized_keys" })), 1, ""),
        ("authkey", key(json!({ "configfile": "/etc/ssh/x" })), 1, "`configfile` of bob"),
        (
            "timedatectl",
            json!({ "timezone": "Europe/Paris", "ntpenabled": "on" }),
            0,
            "neither yes",
        ),
        ("systemd_unit_state", json!({ "name": "a.service", "disable": "on" }), 0, "neither yes"),
        ("rc", json!({ "service": "a", "state": "on", "seq": 5 }), 1, "`seq` of a"),
        ("keyval", json!({ "path": "/etc/x", "keys": [] }), 0, "nothing is asked in it"),
        (
            "keyval",
            json!({ "path": "/etc/x", "keys": [{ "key": "a", "op": "=", "value": 1, "if": 2 }] }),
            1,
            "`if` of a",
        ),
        ("file", json!([]), 0, "nothing is asked in it"),
        ("file", json!({ "path": "/etc/x", "fmt": "a", "ref": "http://x" }), 1, "`ref` of /etc/x"),
        ("file", json!({ "path": "/etc/x/", "fmt": "a", "mode": 755 }), 1, "`fmt` of /etc/x/"),
    ] {
        let (_, text, remarks) = variables(&[("a", class, &value.to_string())]);
        assert_eq!(text.matches("[[rules]]").count(), n_rules, "{class} {value}\n{text}");
        let is_said = remarks.iter().any(|remark| remark.contains(why));
        assert!(if why.is_empty() { remarks.is_empty() } else { is_said }, "{value} {remarks:?}");
        assert!(!remarks.iter().any(|remark| remark.contains("canary")), "{remarks:?}");
    }
}

#[test]
fn no_container_becomes_more_than_it_was_and_none_goes_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "\
[container#1]\nimage = app1/web:1\nstandby = true\nmonitor = true\n\
run_args = --privileged=false --read-only=0 --init=maybe -t\n\
[container#2]\nimage = app1/web:1\ndisable = True\n\
[container#3]\nimage = app1/web:1\ndisable = perhaps\nprivileged = perhaps\n\
[container#A]\nimage = app1/one:1\n[container#a]\nimage = app1/two:1\n";
    fs::write(at.join("app1.conf"), text).unwrap();
    let said = parsed(&run(at, ["import", "opensvc", "app1.conf", "-o", "json"]));
    let remarks: Vec<String> = said["remarks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{} {}", r["place"], r["what"]).replace('"', ""))
        .collect();
    let service = fs::read_to_string(at.join("imported/services/app1.toml")).unwrap();
    assert!(
        !service.contains("privileged = true") && !service.contains("read_only = true"),
        "{service}"
    );
    assert!(service.contains("tty = true") && !service.contains("init = "), "{service}");
    assert!(!service.contains("[containers.2]") && service.contains("[containers.3]"), "{service}");
    assert!(service.contains("app1/one") && !service.contains("app1/two"), "{service}");
    for remark in [
        "container#1 standby = true",
        "container#1 monitor = true",
        "container#1 --init = maybe",
        "container#2 all of it",
        "container#3 disable = perhaps",
        "container#3 privileged = perhaps",
        "container#a all of it",
    ] {
        assert!(remarks.iter().any(|said| said == remark), "{remark}\n{remarks:#?}");
    }
}

#[test]
fn patterns_fit_from_the_beginning_and_options_keep_their_quotes() {
    let key = "command=\\\"a ssh-rsa b\\\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD c";
    let key = format!("{{\"action\":\"add\",\"user\":\"alice\",\"key\":\"{key}\"}}");
    let (n_carried, text, remarks) = variables(&[
        ("a", "fileinc", "{\"path\":\"/etc/a\",\"check\":\"^a|b\",\"fmt\":\"a\"}"),
        ("b", "authkey", &key),
    ]);
    assert_eq!(n_carried, 2, "{remarks:?}\n{text}");
    assert!(text.contains("^(?:^a|b)"), "{text}");
    assert!(text.contains("a ssh-rsa b") && text.contains("key = \"ssh-ed25519 AAAA"), "{text}");
}
