//! What every kind must do: check, plan, fix, a second check that changes nothing, restore.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use tidegate::compliance::change::Change;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, only, rule};

/// A rule that does not hold on this host.
struct Case {
    kind: &'static str,
    lines: &'static str,
    expected: &'static str,
    actual: &'static str,
    /// A line of the diff.
    diff: &'static str,
}

const fn case(
    kind: &'static str,
    lines: &'static str,
    expected: &'static str,
    actual: &'static str,
    diff: &'static str,
) -> Case {
    Case { kind, lines, expected, actual, diff }
}

static CASES: &[Case] = &[
    case(
        "file",
        "path = \"/etc/motd\"\ncontent = \"hi\\n\"",
        "sha256:98ea6e4f216f, 3 bytes",
        "sha256:",
        "+hi",
    ),
    case(
        "file",
        "path = \"/etc/motd\"\nmode = \"0600\"",
        "mode 0600",
        "mode 0644",
        "# a file, mode 0644",
    ),
    case(
        "file",
        "path = \"/new/dir/x\"\ncontent = \"hi\\n\"",
        "a file, mode 0644",
        "nothing",
        "+++ /new/dir/x",
    ),
    case("file", "path = \"/etc/link\"\ncontent = \"hi\\n\"", "a file", "a symbolic link", "+hi"),
    case(
        "file_line",
        "path = \"/etc/motd\"\nline = \"p no\"\nregex = \"^#?p \"",
        "`p no`",
        "`p yes`",
        "-p yes",
    ),
    case(
        "file_line",
        "path = \"/etc/motd\"\nblock = \"a\\nb\"",
        "a block of 2 lines",
        "another block",
        "+# begin tidegate it/a",
    ),
    case(
        "file_line",
        "path = \"/etc/motd\"\nregex = \"^p\"\nstate = \"absent\"",
        "no line /^p/",
        "`p yes`",
        "-p yes",
    ),
    case(
        "file_line",
        "path = \"/etc/no\"\nline = \"x\"\ncreate = true",
        "`x`",
        "no such file",
        "+x",
    ),
    case("file_absent", "path = \"/etc/motd\"", "nothing at /etc/motd", "a file", "+++ /dev/null"),
    case(
        "file_absent",
        "path = \"/etc/link\"",
        "nothing at /etc/link",
        "a symbolic link",
        "+++ /dev/null",
    ),
    case(
        "file_absent",
        "path = \"/etc/empty\"",
        "nothing at /etc/empty",
        "a directory",
        "+++ /dev/null",
    ),
    case(
        "directory",
        "path = \"/data/a/b\"\nmode = \"0750\"",
        "a directory, mode 0750",
        "nothing",
        "+++ /data/a",
    ),
    case(
        "directory",
        "path = \"/etc/empty\"\nmode = \"0700\"",
        "mode 0700",
        "mode 0755",
        "# a directory",
    ),
    case(
        "symlink",
        "path = \"/etc/link\"\nto = \"motd\"",
        "a symbolic link to motd",
        "a symbolic link to /nowhere",
        "# a symbolic",
    ),
    case(
        "symlink",
        "path = \"/etc/new\"\nto = \"motd\"",
        "a symbolic link to motd",
        "nothing",
        "+++ /etc/new",
    ),
    case(
        "key_value",
        "path = \"/etc/x.conf\"\nformat = \"equals\"\nkey = \"k\"\nvalue = 1",
        "k = 1",
        "k = 2",
        "+k=1",
    ),
    case(
        "key_value",
        "path = \"/etc/x.ini\"\nformat = \"ini\"\nsection = \"s\"\nkey = \"k\"\nvalue = \"1\"",
        "k = 1",
        "no `k`",
        "+k=1",
    ),
    case(
        "key_value",
        "path = \"/etc/x.json\"\nformat = \"json\"\nkey = \"a.b\"\nvalue = true",
        "a.b = true",
        "a.b = 1",
        "+{\"a\":{\"b\":true}}",
    ),
    case(
        "key_value",
        "path = \"/etc/x.toml\"\nformat = \"toml\"\nkey = \"a.b\"\nvalue = true",
        "a.b = true",
        "a.b = 1",
        "+b = true # c",
    ),
    case(
        "key_value",
        "path = \"/etc/x.yaml\"\nformat = \"yaml\"\nkey = \"a.b\"\nvalue = true",
        "a.b = true",
        "a.b = 1",
        "+  b: true # c",
    ),
    case(
        "key_value",
        "path = \"/etc/sshd\"\nformat = \"spaces\"\nkey = \"P\"\nvalue = \"no\"",
        "P = no",
        "no `P`",
        "+P no",
    ),
    case(
        "key_value",
        "path = \"/etc/x.conf\"\nformat = \"equals\"\nkey = \"k\"\nstate = \"absent\"",
        "no `k`",
        "k = 2",
        "-k=2",
    ),
    case(
        "daemon_config",
        "key = \"log-opts.max-size\"\nvalue = \"10m\"",
        "log-opts.max-size = 10m",
        "no such file",
        "+    \"max-size\": \"10m\"",
    ),
    case(
        "daemon_config",
        "path = \"/etc/x.json\"\nkey = \"registry-mirrors\"\nvalue = [\"https://a\", \"https://b\"]",
        "registry-mirrors = [\"https://a\",\"https://b\"]",
        "no `registry-mirrors`",
        "+{\"a\":{\"b\":1},\"registry-mirrors\":[\"https://a\"",
    ),
    case(
        "sysctl",
        "key = \"vm.swappiness\"\nvalue = 10",
        "vm.swappiness = 10, now and at boot",
        "vm.swappiness = 60 now, nothing at boot",
        "-vm.swappiness = 60",
    ),
    case(
        "sysctl",
        "key = \"net.a\"\nvalue = \"4 5\"",
        "net.a = 4 5",
        "net.a = 4 5 now, 6 at boot",
        "+net.a = 4 5",
    ),
    case(
        "sysctl",
        "key = \"net.ipv4.conf.eth0/100.rp_filter\"\nvalue = 1",
        "net/ipv4/conf/eth0.100/rp_filter = 1, now and at boot",
        "net/ipv4/conf/eth0.100/rp_filter = 2 now, 0 at boot",
        "+++ /etc/sysctl.d/99-tidegate-net.ipv4.conf.eth0:100.rp_filter.conf",
    ),
];

fn host() -> Host {
    let host = Host::default()
        .with("/etc/motd", "p yes\n")
        .with("/etc/x.conf", "k=2\n")
        .with("/etc/x.ini", "[s]\n")
        .with("/etc/x.json", "{\"a\":{\"b\":1}}")
        .with("/etc/x.toml", "[a]\nb = 1 # c\n")
        .with("/etc/x.yaml", "a:\n  b: 1 # c\n")
        .with("/etc/sshd", "A b\nMatch User x\n")
        .with("/proc/sys/vm/swappiness", "60\n")
        .with("/proc/sys/net/a", "4\t5\n")
        .with("/proc/sys/net/ipv4/conf/eth0.100/rp_filter", "2\n")
        .with("/usr/lib/sysctl.d/50-a.conf", "net/a = 6\nnet.ipv4.conf.eth0/100.rp_filter=0\n");
    symlink("/nowhere", host.path("/etc/link")).unwrap();
    fs::create_dir(host.path("/etc/empty")).unwrap();
    fs::set_permissions(host.path("/etc/empty"), fs::Permissions::from_mode(0o755)).unwrap();
    host
}

/// Paths, kinds, modes, owners, link texts and contents of everything below the root.
fn everything(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![host.path("/")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let to = fs::read_link(&path).unwrap_or_default();
            let owned = (meta.mode(), meta.uid(), meta.gid());
            found.push(format!("{} {owned:?} {} {content:?}", path.display(), to.display()));
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_check_says_expected_and_actual_and_the_plan_is_a_diff() {
    let host = host();
    let before = everything(&host);
    for Case { kind, lines, expected, actual, diff } in CASES {
        let checked = only(host.check(&rule(kind, lines)));
        let verdict = &checked.verdict;
        assert_eq!(verdict.status, VerdictStatus::NotOk, "{kind} {lines}\n{verdict:#?}");
        assert!(verdict.expected.starts_with(expected), "{lines}\n{verdict:#?}");
        assert!(verdict.actual.starts_with(actual), "{lines}\n{verdict:#?}");
        assert!(verdict.fixable && verdict.rule == "it/a" && verdict.target == "node");
        assert_eq!(
            verdict.source.as_ref().map(|s| (s.file.as_str(), s.line)),
            Some(("rulesets/it.toml", 2))
        );
        let text: String = checked.changes.iter().map(Change::diff).collect();
        assert!(text.lines().any(|line| line.starts_with(diff)), "{lines}\n{text}");
    }
    assert_eq!(everything(&host), before, "a check changes nothing");
}

#[test]
fn what_was_mended_holds_a_second_check_plans_nothing_and_restore_brings_everything_back() {
    for Case { kind, lines, .. } in CASES {
        let host = host();
        let before = everything(&host);
        let rule = rule(kind, lines);
        let record = host.fix(&rule).unwrap();
        assert_eq!(record.result, FixResult::Fixed, "{kind} {lines}");
        let mended = everything(&host);
        assert_ne!(mended, before, "{kind} {lines}");
        let again = only(host.check(&rule));
        assert_eq!(again.verdict.status, VerdictStatus::Ok, "{kind} {lines}");
        assert!(again.changes.is_empty() && !again.verdict.expected.is_empty(), "{kind} {lines}");
        assert_eq!(host.restore(&record), FixResult::Fixed, "{kind} {lines}");
        assert_eq!(everything(&host), before, "{kind} {lines}");
    }
}

#[test]
fn a_rule_for_other_systems_does_not_apply_and_says_why() {
    let host = host();
    for Case { kind, lines, .. } in CASES {
        let rhel =
            rule(kind, &format!("{lines}\nmatch = {{ os = \"rhel\", os_version = \">=9\" }}"));
        let verdict = only(host.check(&rhel)).verdict;
        assert_eq!(verdict.status, VerdictStatus::NotApplicable, "{lines}");
        assert_eq!(verdict.reason.as_deref(), Some("os is debian, not rhel"));
        let here = rule(
            kind,
            &format!("{lines}\nmatch = {{ os = \"debian\", os_version = \">=12, <13\" }}"),
        );
        assert_eq!(only(host.check(&here)).verdict.status, VerdictStatus::NotOk, "{lines}");
        let unknown = rule(kind, &format!("{lines}\nmatch = {{ package = {{ name = \"x\" }} }}"));
        assert_eq!(only(host.check(&unknown)).verdict.status, VerdictStatus::Unknown, "{lines}");
    }
}

#[test]
fn what_is_in_the_way_is_not_taken_away() {
    let host = host().with("/etc/full/x", "x");
    for (kind, lines, reason) in [
        ("file", "path = \"/etc/empty\"\ncontent = \"x\"", "a directory is in its place"),
        ("symlink", "path = \"/etc/motd\"\nto = \"x\"", "a file is in its place"),
        ("directory", "path = \"/etc/motd\"", "a file is in its place"),
        ("file_line", "path = \"/etc/no\"\nline = \"x\"", "`create = true` makes one"),
        (
            "key_value",
            "path = \"/etc/no\"\nformat = \"json\"\nkey = \"a\"\nvalue = 1",
            "`create = true` makes one",
        ),
    ] {
        let checked = only(host.check(&rule(kind, lines)));
        assert_eq!(checked.verdict.status, VerdictStatus::NotOk, "{lines}");
        assert!(!checked.verdict.fixable && checked.changes.is_empty(), "{lines}");
        let said = checked.verdict.reason.unwrap();
        assert!(said.contains(reason) && !said.contains("no such file"), "{lines}: {said}");
    }
    let full = host.fix(&rule("file_absent", "path = \"/etc/full\"")).unwrap();
    assert!(
        matches!(&full.result, FixResult::Failed { reason } if reason.contains("not empty")),
        "{full:?}"
    );
    assert_eq!(host.text("/etc/full/x"), "x");
}

#[test]
fn a_parameter_that_the_kernel_lacks_does_not_apply_and_one_that_is_set_later_is_not_fixed() {
    let host = host().with("/etc/sysctl.conf", "vm.swappiness = 60\n");
    let missing = only(host.check(&rule("sysctl", "key = \"vm.nothing\"\nvalue = 1"))).verdict;
    assert_eq!(missing.status, VerdictStatus::NotApplicable);
    assert_eq!(missing.reason.as_deref(), Some("this kernel has no `vm.nothing`"));
    let record = host.fix(&rule("sysctl", "key = \"vm.swappiness\"\nvalue = 10")).unwrap();
    let FixResult::NotFixed { reason } = &record.result else { panic!("{record:?}") };
    assert!(reason.contains("vm.swappiness = 10 now, 60 at boot"), "{reason}");
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!(host.text("/proc/sys/vm/swappiness"), "60\n");
}

#[test]
fn etc_sysctl_conf_counts_where_systemd_reads_it_and_no_later() {
    let swappiness = rule("sysctl", "key = \"vm.swappiness\"\nvalue = 10");
    let systemd =
        |conf| host().with("/usr/lib/systemd/systemd-sysctl", "").with("/etc/sysctl.conf", conf);
    // As in Debian 13: nothing leads there.
    let unread = systemd("vm.swappiness = 10\n")
        .with("/etc/sysctl.d/50-x.conf", "vm.swappiness = 60\n")
        .with("/proc/sys/vm/swappiness", "10\n");
    let verdict = only(unread.check(&swappiness)).verdict;
    assert_eq!(verdict.actual, "vm.swappiness = 10 now, 60 at boot");
    assert_eq!(unread.fix(&swappiness).unwrap().result, FixResult::Fixed);
    // As in Debian 12: a link brings it, before what comes later by name.
    let linked = systemd("vm.swappiness = 60\n").with("/etc/sysctl.d/README", "");
    symlink("../sysctl.conf", linked.path("/etc/sysctl.d/99-sysctl.conf")).unwrap();
    let verdict = only(linked.check(&swappiness)).verdict;
    assert_eq!(verdict.actual, "vm.swappiness = 60 now, 60 at boot");
    assert_eq!(linked.fix(&swappiness).unwrap().result, FixResult::Fixed);
}

#[test]
fn what_cannot_be_judged_is_an_error_of_its_own() {
    let host = host().with("/etc/bad.json", "{").with("/etc/binary", "");
    fs::write(host.path("/etc/binary"), b"\xff\xfe").unwrap();
    for (kind, lines, reason) in [
        ("file", "path = \"/etc/motd\"\nowner = \"carol\"", "there is no user carol here"),
        ("directory", "path = \"/etc\"\ngroup = \"carol\"", "there is no group carol here"),
        (
            "key_value",
            "path = \"/etc/bad.json\"\nformat = \"json\"\nkey = \"a\"\nvalue = 1",
            "it is not JSON",
        ),
        ("file_line", "path = \"/etc/binary\"\nline = \"x\"", "is not UTF-8 text"),
        ("file_line", "path = \"/etc/empty\"\nline = \"x\"", "is a directory, not a file"),
        ("file", "path = \"/etc/motd/x\"", "`motd` in the way is no directory"),
    ] {
        let verdict = only(host.check(&rule(kind, lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::Error, "{lines}");
        assert!(verdict.reason.as_ref().unwrap().contains(reason), "{lines} {verdict:#?}");
    }
}

#[test]
fn report_mode_never_and_node_policy_win() {
    let wrong = "path = \"/etc/motd\"\ncontent = \"hi\"";
    let mut host = host();
    let never = only(host.check(&rule("file", &format!("{wrong}\nfix = \"never\""))));
    assert!(!never.verdict.fixable && never.changes.is_empty());
    let mut state = crate::compliance::support::rules_of(&rule("file", wrong));
    state.mode = tidegate::model::Mode::Report;
    let reported = only(host.check_state(&state));
    assert!(!reported.verdict.fixable && reported.changes.is_empty());
    assert!(reported.verdict.reason.unwrap().contains("report mode"));
    host.allowed.clear();
    let refused = host.fix(&rule("file", wrong)).unwrap_err().to_string();
    assert_eq!(refused, "the node's policy does not allow fixes of kind `file`");
    assert_eq!(host.text("/etc/motd"), "p yes\n");
}

#[test]
fn two_rules_that_apply_together_and_contradict_are_both_errors_and_neither_is_mended() {
    let host = host();
    let one = |name: &str, text: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nkind = \"file\"\npath = \"/etc/motd\"\n\
                 content = \"{text}\"\nmatch = {{ os = \"debian\" }}\n"
        )
    };
    let checked = host.check(&(one("a", "1") + &one("b", "2")));
    for checked in &checked {
        assert_eq!(checked.verdict.status, VerdictStatus::Error);
        assert!(checked.changes.is_empty());
        let reason = checked.verdict.reason.as_deref();
        assert_eq!(reason, Some("/etc/motd is wanted differently by rules it/a and it/b"));
    }
}

#[test]
fn a_kernel_parameter_that_cannot_be_read_is_unknown_and_no_other_is() {
    // More than any parameter is.
    let host = host().with("/proc/sys/vm/long", &"1".repeat(100_000));
    for (condition, status) in [
        ("sysctl = { key = \"vm.long\", value = \"1\" }", VerdictStatus::Unknown),
        ("not = { sysctl = { key = \"vm.long\", value = \"1\" } }", VerdictStatus::Unknown),
        ("sysctl = { key = \"vm.swappiness\", value = \"60\" }", VerdictStatus::NotOk),
        ("sysctl = { key = \"vm.swappiness\", value = \"1\" }", VerdictStatus::NotApplicable),
        ("sysctl = { key = \"vm.none\", value = \"1\" }", VerdictStatus::NotApplicable),
        (
            "sysctl = { key = \"vm/../../../etc/motd\", value = \"*\" }",
            VerdictStatus::NotApplicable,
        ),
    ] {
        let lines = format!("path = \"/etc/motd\"\ncontent = \"x\"\nmatch = {{ {condition} }}");
        let verdict = only(host.check(&rule("file", &lines))).verdict;
        assert_eq!(verdict.status, status, "{condition} {verdict:#?}");
    }
}
