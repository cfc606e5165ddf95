//! What is edited, what stays, and what is refused.

use serde_json::{Value, json};

use crate::compliance::kind::key_value::yaml::yaml;

const FILE: &str = "\
# top
---
log:            # how much
  level: info   # or debug
  \"file name\": '/var/log/it''s'

hosts:
- a
- b
port: 80
text: |
  level: no key
flow: { a: 1 }
";

#[test]
fn a_line_changes_and_all_else_stays_and_a_second_edit_changes_nothing() {
    for (key, wanted, old, new) in [
        ("log.level", json!("debug"), "level: info ", "level: debug "),
        ("log.file name", json!("/x"), "'/var/log/it''s'", "/x"),
        ("port", json!(81), "port: 80", "port: 81"),
        ("port", json!("80"), "port: 80", "port: \"80\""),
        ("log.json", json!(true), "it''s'\n", "it''s'\n  json: true\n"),
        ("log.a.b", json!("no"), "it''s'\n", "it''s'\n  a:\n    b: \"no\"\n"),
        ("new", json!("a: b"), "flow: { a: 1 }\n", "flow: { a: 1 }\nnew: \"a: b\"\n"),
    ] {
        let (_, edited) = yaml(FILE, key, Some(&wanted)).unwrap();
        assert_eq!(edited, FILE.replacen(old, new, 1), "{key}");
        assert_eq!(yaml(&edited, key, Some(&wanted)).unwrap(), (Some(wanted), edited));
    }
}

#[test]
fn values_in_braces_and_of_several_lines_are_edited_where_they_stand() {
    for (text, key, edited) in [
        ("f: { a: 1 } # c\n", "f.a", "f: { a: 7 } # c\n"),
        ("f: {a: 1}\n", "f.b.c", "f: {a: 1, b: {c: 7}}\n"),
        ("f: {a: 1,\n  b: [x] # c\n}\n", "f.c", "f: {a: 1,\n  b: [x], c: 7 # c\n}\n"),
        ("f: {}\n", "f.b", "f: {b: 7}\n"),
        ("{\"a\":1}", "a", "{\"a\":7}"),
        ("a: \"x\n  y\" # c\nb: 1\n", "a", "a: 7 # c\nb: 1\n"),
        ("a: x\n\n  y\nb: 1\n", "a", "a: 7\nb: 1\n"),
        ("a: >- # c\n  x\n\n# of b\nb: 1\n", "a", "a: 7 # c\n# of b\nb: 1\n"),
        ("a: |+\n  x\n\n", "a", "a: 7\n"),
        ("a: |\n  x", "a", "a: 7"),
        ("a:\n  1\n", "a", "a:\n  7\n"),
        ("a:  # c\nb: 1\n", "a", "a: 7  # c\nb: 1\n"),
        ("a: 1", "b", "a: 1\nb: 7\n"),
        ("---\n# c", "b", "---\n# c\nb: 7\n"),
        ("? a\n: 1\n", "a", "? a\n: 7\n"),
        ("a: 1\n...\n", "b", "a: 1\nb: 7\n...\n"),
    ] {
        let found = yaml(text, key, Some(&json!(7)));
        assert_eq!(found.map(|(_, text)| text), Ok(edited.to_owned()), "{text}");
    }
    assert_eq!(yaml("a: >-\n  x\n  y\n", "a", None).unwrap().0, Some(json!("x y")));
    assert_eq!(yaml("a: \"\\x41\"\n", "a", None).unwrap().0, Some(json!("A")));
}

#[test]
fn a_mapping_whose_only_key_goes_is_a_mapping_still() {
    for (text, key, edited) in [
        ("a:\n  b: 1\nc: 1\n", "a.b", "a: {}\nc: 1\n"),
        ("a: # c\n  b: 1 # d\n    # of b\n# e\n", "a.b", "a: {} # c\n# e\n"),
        ("a:\n  b:\n    c: |\n      x\n  d: 1\n", "a.b.c", "a:\n  b: {}\n  d: 1\n"),
        ("# c\na: 1\n", "a", "# c\n"),
        ("---\na: 1\n", "a", "---\n"),
    ] {
        let found = yaml(text, key, None);
        assert_eq!(found.map(|(_, text)| text), Ok(edited.to_owned()), "{text}");
    }
    let within = yaml("f: {\n  a: 1\n}\n", "f.a", None).unwrap_err();
    assert!(within.contains("within braces"), "{within}");
}

#[test]
fn what_others_share_is_not_edited_and_what_else_changes_is_refused() {
    for (text, key) in [
        ("a: &x 1\nb: *x\n", "b"),
        ("a: &x\n  k: 1\nb: *x\n", "a.k"),
        ("a: &x\n  k: 1\nb: *x\n", "b.k"),
        ("a: !!str 1\n", "a"),
        ("a:\n  k: &x 1\nb: *x\n", "a.k"),
        ("? a # b: c\n:\n  1\n? d\n", "d"),
    ] {
        assert!(yaml(text, key, Some(&json!(7))).is_err(), "{text}");
        assert!(yaml(text, key, None).is_err(), "{text}");
    }
    // The line feed that it takes would be the value's.
    assert!(yaml("a: |\n  x", "k", Some(&json!(7))).is_err());
    // An anchor elsewhere is nobody's business.
    assert!(yaml("a: &x 1\nb: *x\nc: 1\n", "c", Some(&json!(7))).is_ok());
}

#[test]
fn an_error_quotes_nothing_of_the_file() {
    for text in ["p: \"secret\nq: 1\n", "p: *secret\n", "p: secret\n\tq: [\n", "p: !secret [\n"] {
        let error = yaml(text, "p", None).unwrap_err();
        assert!(!error.contains("secret") && error.starts_with("line "), "{error}");
    }
}

#[test]
fn a_key_goes_with_its_line_and_an_empty_file_gets_its_first() {
    assert_eq!(yaml(FILE, "port", None).unwrap().1, FILE.replacen("port: 80\n", "", 1));
    assert_eq!(yaml("", "a.b", Some(&json!(1))).unwrap().1, "a:\n  b: 1\n");
    assert_eq!(yaml("# c\n", "a", Some(&json!(1))).unwrap().1, "# c\na: 1\n");
    assert_eq!(yaml("a: 1\n", "b", None).unwrap(), (None, "a: 1\n".to_owned()));
}

#[test]
fn what_it_cannot_tell_it_refuses() {
    for (text, key) in [
        (FILE, "flow"),
        (FILE, "hosts"),
        ("a: 1\n---\nb: 1\n", "a"),
        ("a:\n\tb: 1\n", "a.b"),
        ("a: 1\na: 2\n", "a"),
        ("- a\n", "a"),
        ("a: &x 1\n", "a"),
        ("a: *x\n", "a"),
        ("a:\n    b: 1\n  c: 1\n", "a.b"),
        ("a: x\n  y: 1\n", "a"),
    ] {
        assert!(yaml(text, key, Some(&json!(7))).is_err(), "{text}");
    }
    let differs = yaml("a: 1\n", "a", Some(&json!(1e30))).unwrap_err();
    assert!(differs.contains("1e+30") || differs.contains("1e30"), "{differs}");
    assert_eq!(yaml("a: yes\n", "a", Some(&json!("yes"))).unwrap().1, "a: \"yes\"\n");
    assert_eq!(yaml("a: ~\n", "a", Some(&Value::Bool(true))).unwrap().1, "a: true\n");
}
#[test]
fn what_belongs_to_a_value_of_several_lines_stays_with_it() {
    for (text, key, edited) in [
        ("s: |\n  a\n  # end\n", "k", "s: |\n  a\n  # end\nk: 1\n"),
        ("s: |+\n  a\n\n", "k", "s: |+\n  a\n\nk: 1\n"),
        (
            "m:\n  s: >-\n    a\n    # b\nn: 1\n",
            "m.k",
            "m:\n  s: >-\n    a\n    # b\n  k: 1\nn: 1\n",
        ),
        ("m:\n  - |\n    #y\n", "k", "m:\n  - |\n    #y\nk: 1\n"),
        ("s: |\n  # only\nz: 1\n", "s.k", ""),
        ("a: 1\n\n# of b\nb: 1\n\n# end\n", "k", "a: 1\n\n# of b\nb: 1\nk: 1\n\n# end\n"),
    ] {
        let is = yaml(text, key, Some(&json!(1)));
        assert_eq!(is.map(|(_, text)| text).unwrap_or_default(), edited, "{text}");
    }
    let gone = yaml("k: |\n  a\n  # end\nz: 1\n", "k", None);
    assert!(gone.is_err() || gone.unwrap().1 == "z: 1\n");
}

#[test]
fn a_value_that_is_open_at_the_end_of_its_line_and_what_is_merged_are_refused() {
    for (text, key) in
        [("m:\n  <<: *x\n", "m.k"), ("<<: *x\n", "k"), ("m:\n  '<<': *x\n  k: 1\n", "m.n")]
    {
        assert!(yaml(text, key, Some(&json!(1))).is_err(), "{text}");
        assert!(yaml(text, key, None).is_err(), "{text}");
    }
    for text in [
        "a: {\nk: 2 }\n",
        "a: [\nk: 2 ]\n",
        "a: &x {\nk: 2 }\n",
        "a: \"x\nk: 2\"\n",
        "a: 'it''s\nk: 2'\n",
    ] {
        let added = format!("{text}k: 1\n");
        assert_eq!(yaml(text, "k", Some(&json!(1))), Ok((None, added)), "{text}");
    }
    assert!(yaml("a: { b: 1 } # {\nk: 2\n", "k", Some(&json!(1))).is_ok());
    assert!(yaml("a: \"{\"\nb: 'it''s'\nk: 2\n", "k", Some(&json!(1))).is_ok());
}

#[test]
fn a_file_of_many_comments_takes_no_longer_than_it_is() {
    let text = format!("{}k: 2\n", "#\n".repeat(400_000));
    assert_eq!(yaml(&text, "k", Some(&json!(2))).unwrap().0, Some(json!(2)));
}
