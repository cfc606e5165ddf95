//! What `key_value` says of a file, and makes of it, against programs that read such files.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, rule};

/// A format, the section and the keys that rules are about, what they want, and lines of which
/// files are made.
struct Format {
    name: &'static str,
    section: Option<&'static str>,
    keys: &'static [&'static str],
    wanted: &'static [Option<&'static str>],
    lines: &'static [&'static str],
}

const EQUALS: Format = Format {
    name: "equals",
    section: None,
    keys: &["k"],
    wanted: &[Some("1"), Some("x"), Some("x y"), Some("a;b"), Some("\"x y\""), None],
    lines: &[
        "k=1",
        "k=2",
        "k='x'",
        "k=\"x y\"",
        "k=x",
        "k=",
        "k=2 ",
        "k=2\t",
        " k=2",
        "k =2",
        "k = 2",
        "k=\u{a0}1",
        "a=b",
        "a='x",
        "y'",
        "a=\"x",
        "y\"",
        "a=1 # it's",
        "# it's",
        "#k=3",
        "# a = b",
        "  # a = b",
        "",
        "a=\"b = c\"",
        "k=\"b = c\"",
        "if [ \"$a\" = b ]; then",
        "else",
        "fi",
        "for b in 1; do",
        "done",
        "f() {",
        "}",
        "f",
        "case $a in b)",
        "esac",
        ";;",
        "a=x\\",
        "a=(",
        ")",
        "export k=1",
        "export k",
        "unset k",
        "readonly k",
        "k=$a",
        "k=a\\ b",
        "a=$(echo",
        "k=5)",
        "a=`echo",
        "k=7`",
        "cat >/dev/null <<E",
        "E",
        "a=1; k=3",
        "k=1;",
        "k=1 ;",
        "a=b k=2",
        "k=1 a=b",
        "k=\"1\" a=\"b\"",
        "k=\"1\"2",
        "k=1#x",
        "k+=1",
        "k='a'\\''b'",
        "k='a' ; a=3",
        "k=3; a=4",
        "[ a = b ] || k=3",
        "exit",
        "return 0",
        "{ k=1; }",
        "(k=1)",
        "a=x#'",
        "true && {",
        "while false; do",
    ],
};

const INI: Format = Format {
    name: "ini",
    section: Some("s"),
    keys: &["k"],
    wanted: &[Some("1"), Some("x y"), Some("a ; b"), None],
    lines: &[
        "[s]",
        "[s]",
        "[s]",
        "[t]",
        "[S]",
        "[ s ]",
        "  [s]",
        "  [t]",
        "[DEFAULT]",
        "[s] ; c",
        "k=1",
        "k = 2",
        "k=2",
        "\tk = 2",
        "  k=2",
        "k: 2",
        "k:2",
        "k:x=2",
        "K=2",
        "K",
        "k",
        "k ; c",
        "k=2 ; c",
        "k=2 # c",
        "a=1",
        "b = 1",
        "  c=1",
        "\td = 1",
        "e=x \\",
        "  f",
        "# k=1",
        "; k=1",
        "  # c",
        "",
        "  ",
        "k=\u{a0}2",
        "k\u{a0}=2",
        "k\u{c}=2",
        "k=\"1\"",
        "g=k=1",
    ],
};

const SPACES: Format = Format {
    name: "spaces",
    section: None,
    keys: &["LogLevel"],
    wanted: &[Some("fatal"), Some("error")],
    lines: &[
        "LogLevel fatal",
        "LogLevel error",
        "loglevel fatal",
        "LOGLEVEL=error",
        "LogLevel = error",
        "\"LogLevel\" error",
        "LogLevel \"fatal\"",
        "LogLevel 'fatal'",
        "LogLevel fatal # c",
        "LogLevel\tfatal",
        " LogLevel fatal",
        "LogLevel\u{a0}fatal",
        "LogLevel\u{c}fatal",
        "# LogLevel fatal",
        "  # c",
        "",
        "Port 23",
        "Port=24",
        "User alice",
        "Host web",
        "Host=other",
        "  LogLevel error",
        "Match all",
        "match host other",
        "host *",
        "\"Match\" all",
        "  User bob",
        "IdentityFile ~/a \\",
        "LogLevel error \\",
    ],
};

const TOML: Format = Format {
    name: "toml",
    section: None,
    keys: &["k", "m.k", "m", "m.n.k", "a"],
    wanted: &[Some("1"), Some("true"), Some("\"x\""), Some("\"a\\nb\""), Some("1.5"), None],
    lines: &[
        "k = 1",
        "k = 2 # c",
        "k = 1.5",
        "[m]",
        "[m.k]",
        "[m.n]",
        "[[m]]",
        "[a]",
        "b = 1",
        "m.k = 1",
        "m.n.k = 2",
        "m = { k = 1 }",
        "m = { a = 1, k = 2 } # c",
        "a = [\n 1, # x\n 2 ]",
        "s = \"\"\"\nk = 1\n\"\"\"",
        "k = 'x'",
        "k = \"\"\"\na\nb\"\"\"",
        "\"k\" = 1",
        "# c",
        "",
        "  k = 1",
        "[ m ]",
        "a.b.c = 1",
        "d = 2026-01-01",
        "[[z]]",
        "[m.x]",
        "x = 1",
        "  # c",
        "k = [1]",
        "n.k = 1",
        "f = nan",
        "[z.y]",
        "[[m.n]]",
    ],
};

const JSON: Format = Format {
    name: "json",
    section: None,
    keys: &["k", "m.k", "m", "m.n.k"],
    wanted: &[Some("1"), Some("true"), Some("\"x\""), Some("1.5"), None],
    // Members; braces come around them.
    lines: &[
        "\"k\": 1",
        "\"k\":\"x\"",
        "\"\\u006b\": 2",
        "\"K\": 1",
        "\"m\": {}",
        "\"m\": { }",
        "\"m\": {\"k\": 1}",
        "\"m\": {\"a\": 1.50,\n   \"k\":2, \"a\": 3}",
        "\"m\": {\n    \"n\": {\n      \"k\": 1\n    }\n  }",
        "\"m\": {\"n\": [1, {\"k\": 1}]}",
        "\"a\": [ ]",
        "\"a\": \"{\\\"k\\\": 1}\"",
        "\"a\": 12345678901234567890123",
        "\"m\": 1",
        "\"m\": null",
        "\"k\": 1e3",
        "\"n\": \"\\ud83d\\ude00\"",
        "\"k\": true",
        "\"z\": {\"k\": 1}",
    ],
};

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

fn text(format: &Format, dice: &mut Dice) -> String {
    let lines: Vec<&str> = (0..dice.below(6)).map(|_| dice.one(format.lines)).collect();
    if format.name == "json" {
        let (gap, end) = (dice.one(&["", " ", "\n  "]), dice.one(&["", "\n"]));
        return format!("{{{gap}{}{end}}}{end}", lines.join(&format!(",{gap}")));
    }
    let header = format.section.filter(|_| dice.below(4) > 0).map(|s| format!("[{s}]\n"));
    let end = dice.one(&["\n", "\n", "\n", ""]);
    format!("{}{}{end}", header.unwrap_or_default(), lines.join("\n"))
}

/// What became of many files: for each that is no error, what readers need to judge it.
fn cases(format: &Format, n: usize) -> Vec<Value> {
    let mut dice = Dice(7);
    let (mut host, mut rules, mut texts) = (Host::default(), String::new(), Vec::new());
    for at in 0..n {
        let (before, key, wanted) =
            (text(format, &mut dice), dice.one(format.keys), dice.one(format.wanted));
        let is_typed = ["toml", "json"].contains(&format.name);
        let value = match wanted {
            None => "state = \"absent\"".to_owned(),
            Some(value) if is_typed => format!("value = {value}"),
            Some(value) => format!("value = {}", json!(value)),
        };
        let section =
            format.section.map(|section| format!("section = \"{section}\"\n")).unwrap_or_default();
        let more = format!(
            "path = \"/etc/f{at}\"\nformat = \"{}\"\nkey = \"{key}\"\n{section}{value}",
            format.name
        );
        rules.push_str(&rule("key_value", &more).replacen("\"a\"", &format!("\"r{at:04}\""), 1));
        host = host.with(&format!("/etc/f{at}"), &before);
        // What a shell reads in the quotes that a rule brings along.
        let read = |value: &str| serde_json::from_str(value).unwrap();
        let text = |value: &str| Value::from(value.trim_matches('"'));
        let wanted = wanted.map(|value| if is_typed { read(value) } else { text(value) });
        texts.push((key, wanted, before));
    }
    let checked = host.check(&rules);
    assert_eq!(checked.len(), n);
    let mut cases = Vec::new();
    for (at, ((key, wanted, before), checked)) in texts.into_iter().zip(&checked).enumerate() {
        match checked.verdict.status {
            VerdictStatus::Error => continue,
            VerdictStatus::Ok => {}
            _ => {
                let fixed = host.mender(|mender| mender.fix(checked, || None, Timestamp::now()));
                fixed.unwrap();
            }
        }
        let after = host.text(&format!("/etc/f{at}"));
        cases.push(json!({
            "format": format.name, "section": format.section, "key": key, "wanted": wanted,
            "before": before, "after": after,
        }));
    }
    cases
}

#[test]
fn real_readers_read_the_key_as_wanted_and_all_else_as_before() {
    let n = 80;
    let formats = [EQUALS, INI, SPACES, TOML, JSON];
    let cases: Vec<Value> = formats.iter().flat_map(|format| cases(format, n)).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/compliance/readers.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let all = Value::from(cases).to_string();
    let writer = std::thread::spawn(move || input.write_all(all.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (wrong, compared) = said.rsplit_once("compared ").unwrap();
    assert!(wrong.is_empty(), "{wrong}");
    let compared: BTreeMap<String, u64> = serde_json::from_str(compared).unwrap();
    // Most of these files are refused, or read by nobody; enough are left of each kind.
    for reader in ["shell", "python_ini", "git_ini", "ssh", "python_json"] {
        assert!(compared.get(reader).is_some_and(|n| *n >= 8), "{compared:?}");
    }
}
