//! The seven things that every kind of rule must do, told by a row a rule.
//!
//! Check, plan, fix, a second check that changes nothing, restore, not applicable, without
//! privilege.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use tidegate::compliance::change::Change;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::{Verdict, VerdictStatus};

use crate::compliance::cli::{Stage, everybody, json};
use crate::compliance::support::{Host, only, rule};

/// A rule that does not hold on some host, and what comes of it.
pub(crate) struct Row {
    pub(crate) kind: &'static str,
    pub(crate) lines: &'static str,
    /// What the verdict's two texts begin with.
    pub(crate) expected: &'static str,
    pub(crate) actual: &'static str,
    /// What comes of it.
    pub(crate) fix: Fix,
}

/// How a rule is mended.
pub(crate) enum Fix {
    /// These lines are in the plan.
    Plan(&'static [&'static str]),
    /// It is not, and this is why. Anybody sees that it does not hold.
    Cannot(&'static str),
    /// It is not, and this is why. Who may not look is told that nobody knows.
    CannotUnseen(&'static str),
}

/// Runs them all; the host is afterwards as it was.
pub(crate) fn all_seven(host: &Host, rows: &[Row]) {
    for row in rows {
        let Row { kind, lines, expected, actual, fix } = row;
        let text = rule(kind, lines);
        let before = tree(host);
        // Check.
        let first = only(host.check(&text));
        let verdict = &first.verdict;
        assert_eq!(verdict.status, VerdictStatus::NotOk, "{text}\n{verdict:#?}");
        assert!(verdict.expected.starts_with(expected), "{text}\n{verdict:#?}");
        assert!(verdict.actual.starts_with(actual), "{text}\n{verdict:#?}");
        not_applicable(host, row);
        without_privilege(host, row, verdict, &before);
        match fix {
            Fix::Plan(plan) => mended(host, &text, plan, &first.changes),
            Fix::Cannot(reason) | Fix::CannotUnseen(reason) => {
                let said = verdict.reason.as_deref().unwrap_or_default();
                assert!(said.contains(reason), "{text}\n{said}");
                assert!(!verdict.fixable && first.changes.is_empty(), "{text}");
            }
        }
        // Restored, or never touched.
        assert_eq!(only(host.check(&text)).verdict, *verdict, "{text}");
        assert_same(&tree(host), &before, &text);
    }
}

fn mended(host: &Host, text: &str, plan: &[&str], changes: &[Change]) {
    let diff: String = changes.iter().map(Change::diff).collect();
    for line in plan {
        assert!(diff.lines().any(|found| found == *line), "{text}\nno `{line}` in\n{diff}");
    }
    let record = host.fix(text).unwrap();
    assert_eq!(record.result, FixResult::Fixed, "{text}");
    let again = only(host.check(text));
    assert_eq!(again.verdict.status, VerdictStatus::Ok, "{text}\n{:#?}", again.verdict);
    assert!(again.changes.is_empty() && !again.verdict.expected.is_empty(), "{text}");
    let mended = tree(host);
    assert_eq!(host.fix(text).unwrap().result, FixResult::Fixed, "{text}");
    assert_same(&tree(host), &mended, &format!("a second fix changes nothing\n{text}"));
    assert_eq!(host.restore(&record), FixResult::Fixed, "{text}");
}

fn not_applicable(host: &Host, Row { kind, lines, .. }: &Row) {
    let elsewhere = rule(kind, &format!("{lines}\nmatch = {{ os = \"plan9\" }}"));
    let verdict = only(host.check(&elsewhere)).verdict;
    assert_eq!(verdict.status, VerdictStatus::NotApplicable, "{elsewhere}");
    assert!(verdict.reason.unwrap().ends_with(", not plan9"), "{elsewhere}");
}

/// What the kernel, dnf and rpm's library say to those who may not.
const DENIED: [&str; 4] =
    ["ermission denied", "not permitted", "superuser privileges", "rpmdb open failed"];

/// Somebody who may not change the host is told so, and changes nothing.
fn without_privilege(host: &Host, row: &Row, by_root: &Verdict, before: &Tree) {
    let Row { kind, lines, fix, .. } = row;
    // The host's folder is reached by anybody; what is in it is as it is.
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let commands: Vec<&String> = host.commands.iter().collect();
    let policy = format!("[policy]\nfixes = [\"{kind}\"]\ncommands = {commands:?}\n");
    let stage = Stage::on(tempfile::tempdir().unwrap(), &host.path("/"), &policy);
    for (name, content) in &host.files {
        stage.commit(&format!("rulesets/it/linux.files/{name}"), content);
    }
    stage.commit("rulesets/it/linux.toml", &rule(kind, lines));
    everybody(stage.dir.path());
    let checked = json(&stage.as_nobody(&["check", "--rule", "it.linux/a", "-o", "json"]));
    let verdict = &checked["verdicts"][0];
    let fixed = stage.as_nobody(&["fix", "--rule", "it.linux/a", "--yes"]);
    let said = format!("{kind} {lines}\n{verdict}\n{}{}", fixed.out, fixed.err);
    let is_denied = DENIED.iter().any(|words| said.contains(words));
    match fix {
        Fix::Plan(_) => assert!(is_denied, "{said}"),
        Fix::Cannot(_) => {
            assert_eq!(verdict["status"], "not_ok", "{said}");
            assert_eq!(verdict["expected"], by_root.expected, "{said}");
            assert_eq!(verdict["actual"], by_root.actual, "{said}");
        }
        Fix::CannotUnseen(_) => assert!(is_denied && verdict["status"] == "error", "{said}"),
    }
    assert_ne!(fixed.code, 0, "{said}");
    assert_same(&tree(host), before, lines);
}

pub(crate) type Tree = BTreeMap<String, String>;

/// What programs keep for themselves: lists, caches, logs.
const PROGRAMS_OWN: [&str; 6] =
    ["/run/mount", "/var/backups", "/var/cache", "/var/lib", "/var/log", "/usr/lib/sysimage"];

/// Paths, modes, owners, link texts and contents below the root, and what is mounted there.
pub(crate) fn tree(host: &Host) -> Tree {
    let mut found = mounts(host);
    let root = host.path("/");
    let mut folders = vec![root.clone()];
    let device = fs::metadata(&root).unwrap().dev();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let below = Path::new("/").join(path.strip_prefix(&root).unwrap());
            let meta = fs::symlink_metadata(&path).unwrap();
            let is_kernels = below == Path::new("/proc") && meta.dev() != device;
            if is_kernels || PROGRAMS_OWN.iter().any(|own| below == Path::new(own)) {
                continue;
            }
            if meta.is_dir() {
                folders.push(path.clone());
            }
            if is_kept(&below) {
                let text = if meta.is_file() { content(&path, &below) } else { String::new() };
                let to = fs::read_link(&path).unwrap_or_default();
                let owned = (meta.mode(), meta.uid(), meta.gid());
                let key = below.display().to_string();
                found.insert(key, format!("{owned:?} {} {text}", to.display()));
            }
        }
    }
    found
}

/// What is mounted where, with its options.
fn mounts(host: &Host) -> Tree {
    let mut found = Tree::new();
    for line in fs::read_to_string("/proc/self/mountinfo").unwrap().lines() {
        let (id, of) = line.split_once(" - ").unwrap();
        let words: Vec<&str> = id.split(' ').collect();
        if let [_, _, _, root, at, options, ..] = words[..]
            && Path::new(at).starts_with(host.path("/"))
        {
            let all = found.entry(format!("mounted at {at}")).or_default();
            all.extend([root, " ", options, " ", of, "\n"]);
        }
    }
    found
}

/// A file's text; its size where only packages bring files. Who comes back stands at the end, accounts
/// with `!` for any password that fits nothing.
fn content(path: &Path, below: &Path) -> String {
    if below.starts_with("/usr") {
        return fs::metadata(path).unwrap().len().to_string();
    }
    let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let line: fn(&str) -> String = match below.to_str() {
        Some("/etc/passwd" | "/etc/group" | "/etc/shadow" | "/etc/gshadow") => {
            |line| line.replacen(":*:", ":!:", 1)
        }
        Some("/proc/modules") => |line| line.split(' ').next().unwrap_or_default().to_owned(),
        _ => return text,
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    lines.join("\n")
}

/// Programs keep backups and caches of their own.
fn is_kept(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let own = ["ld.so.cache", "subuid", "subgid", ".pwd.lock", ".updated"];
    !name.ends_with('-') && !own.contains(&name.as_ref())
}

pub(crate) fn assert_same(now: &Tree, before: &Tree, of: &str) {
    let differs = |key: &&String| now.get(*key) != before.get(*key);
    let keys: Vec<&String> = now.keys().chain(before.keys()).filter(differs).collect();
    assert!(keys.is_empty(), "{of}\n{keys:#?}");
}
