//! Rules that would undo one another are named and left alone; those that agree are not.

use tidegate::compliance::check::Checked;
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::Digest;

use crate::cli::support::run;
use crate::compliance::archives::site;
use crate::compliance::cli::Stage;
use crate::compliance::support::{Host, rule};

/// Two rules that facts decide on, of which the revision alone does not say that both apply.
fn two([(one, a), (other, b)]: [(&str, &str); 2]) -> String {
    let named = |name: &str, kind: &str, lines: &str| {
        let lines = format!("{lines}\nmatch = {{ os = \"debian\" }}");
        rule(kind, &lines).replace("\"a\"\nkind", &format!("\"{name}\"\nkind"))
    };
    named("a", one, a) + &named("b", other, b)
}

const WHOLE: Lines = ("file", "path = \"/etc/x\"\ncontent = \"a = 1\\nb = 2\\n\"");

type Lines = (&'static str, &'static str);

const fn line(lines: &'static str) -> Lines {
    ("file_line", lines)
}

const fn key(lines: &'static str) -> Lines {
    ("key_value", lines)
}

/// Two rules, and whether they are in dispute.
const CASES: [(&str, Lines, Lines, bool); 44] = [
    ("a line of it", WHOLE, line("path = \"/etc/x\"\nline = \"a = 1\""), false),
    ("a line more", WHOLE, line("path = \"/etc/x\"\nline = \"c = 3\""), true),
    ("a line less", WHOLE, line("path = \"/etc/x\"\nregex = \"^b\"\nstate = \"absent\""), true),
    (
        "its key",
        WHOLE,
        key("path = \"/etc/x\"\nformat = \"equals\"\nkey = \"a\"\nvalue = 1"),
        false,
    ),
    (
        "its key otherwise",
        WHOLE,
        key("path = \"/etc/x\"\nformat = \"equals\"\nkey = \"a\"\nvalue = 2"),
        true,
    ),
    ("another file", WHOLE, line("path = \"/etc/y\"\nline = \"c = 3\""), false),
    (
        "no content",
        ("file", "path = \"/etc/x\"\nmode = \"0600\""),
        line("path = \"/etc/x\"\nline = \"c\""),
        false,
    ),
    (
        "no file",
        ("file_absent", "path = \"/etc/x\""),
        line("path = \"/etc/x\"\nline = \"c\""),
        true,
    ),
    (
        "nothing twice",
        ("file_absent", "path = \"/etc/x\""),
        line("path = \"/etc/x\"\nline = \"c\"\nstate = \"absent\""),
        false,
    ),
    ("a folder", ("directory", "path = \"/etc/x\""), line("path = \"/etc/x\"\nline = \"c\""), true),
    (
        "a job",
        ("cron", "file = \"x\"\nschedule = \"@daily\"\nuser = \"root\"\ncommand = \"a\""),
        line("path = \"/etc/cron.d/x\"\nline = \"c\""),
        true,
    ),
    (
        "settings",
        ("file", "path = \"/etc/docker/daemon.json\"\ncontent = \"{}\""),
        ("daemon_config", "key = \"live-restore\"\nvalue = true"),
        true,
    ),
    (
        "a line and its like",
        line("path = \"/etc/x\"\nline = \"a 1\""),
        line("path = \"/etc/x\"\nregex = \"^a\"\nstate = \"absent\""),
        true,
    ),
    (
        "a line and no other",
        line("path = \"/etc/x\"\nline = \"a 1\""),
        line("path = \"/etc/x\"\nregex = \"^b\"\nstate = \"absent\""),
        false,
    ),
    (
        "a key and a line",
        key("path = \"/etc/x\"\nformat = \"spaces\"\nkey = \"a\"\nvalue = 1"),
        line("path = \"/etc/x\"\nline = \"a 2\"\nregex = \"^a \""),
        true,
    ),
    (
        "both ways to say it",
        key("path = \"/etc/x\"\nformat = \"spaces\"\nkey = \"a\"\nvalue = 1"),
        line("path = \"/etc/x\"\nline = \"a 1\"\nregex = \"^a \""),
        false,
    ),
    (
        "one setting, twice",
        ("daemon_config", "key = \"a.b\"\nvalue = 1"),
        ("daemon_config", "key = \"a\"\nstate = \"absent\""),
        true,
    ),
    (
        "two settings",
        ("daemon_config", "key = \"a.b\"\nvalue = 1"),
        ("daemon_config", "key = \"a.c\"\nvalue = 1"),
        false,
    ),
    (
        "a mount that fstab has not",
        ("file", "path = \"/etc/fstab\"\ncontent = \"/dev/sda1 / ext4 ro 0 1\\n\""),
        DATA,
        true,
    ),
    (
        "a mount that fstab has",
        ("file", "path = \"/etc/fstab\"\ncontent = \"/dev/sdb1 /srv/data ext4 ro 0 0\\n\""),
        DATA,
        false,
    ),
    (
        "a mount whose line is unwanted",
        line("path = \"/etc/fstab\"\nregex = \"/srv/data\"\nstate = \"absent\""),
        DATA,
        true,
    ),
    (
        "another line of fstab",
        line("path = \"/etc/fstab\"\nregex = \"floppy\"\nstate = \"absent\""),
        DATA,
        false,
    ),
    ("no fstab", ("file_absent", "path = \"/etc/fstab\""), DATA, true),
    (
        "a user who is no entry",
        ("file", "path = \"/etc/passwd\"\ncontent = \"root:x:0:0::/root:/bin/sh\\n\""),
        ("user", "user = \"bob\""),
        true,
    ),
    (
        "a user with another shell",
        ("file", "path = \"/etc/passwd\"\ncontent = \"bob:x:9:9::/home/bob:/bin/sh\\n\""),
        ("user", "user = \"bob\"\nshell = \"/bin/bash\""),
        true,
    ),
    (
        "a user as the table has them",
        ("file", "path = \"/etc/passwd\"\ncontent = \"bob:x:9:9::/home/bob:/bin/sh\\n\""),
        ("user", "user = \"bob\"\nshell = \"/bin/sh\"\nhome = \"/home/bob\""),
        false,
    ),
    (
        "a user whose line is unwanted",
        line("path = \"/etc/passwd\"\nregex = \"^bob:\"\nstate = \"absent\""),
        ("user", "user = \"bob\""),
        true,
    ),
    (
        "nobody twice",
        line("path = \"/etc/passwd\"\nregex = \"^bob:\"\nstate = \"absent\""),
        ("user", "user = \"bob\"\nstate = \"absent\""),
        false,
    ),
    (
        "a member who is not listed",
        ("file", "path = \"/etc/group\"\ncontent = \"adm:x:4:carol\\n\""),
        ("membership", "user = \"alice\"\ngroup = \"adm\""),
        true,
    ),
    (
        "a member who is listed",
        ("file", "path = \"/etc/group\"\ncontent = \"adm:x:4:carol,alice\\n\""),
        ("membership", "user = \"alice\"\ngroup = \"adm\""),
        false,
    ),
    (
        "a group with another number",
        line("path = \"/etc/group\"\nline = \"team:x:7:\"\nregex = \"^team:\""),
        ("group", "group = \"team\"\ngid = 8"),
        true,
    ),
    (
        "a group with its number",
        line("path = \"/etc/group\"\nline = \"team:x:8:\"\nregex = \"^team:\""),
        ("group", "group = \"team\"\ngid = 8"),
        false,
    ),
    ("two values", ("sysctl", "key = \"vm.swappiness\"\nvalue = 5"), SWAPPINESS, true),
    (
        "a later file",
        ("file", "path = \"/etc/sysctl.d/99-z.conf\"\ncontent = \"vm/swappiness=5\\n\""),
        SWAPPINESS,
        true,
    ),
    (
        "an earlier file",
        ("file", "path = \"/etc/sysctl.d/10-a.conf\"\ncontent = \"vm.swappiness = 5\\n\""),
        SWAPPINESS,
        false,
    ),
    (
        "a file that nothing reads",
        ("file", "path = \"/srv/sysctl.d/99-z.conf\"\ncontent = \"vm.swappiness=5\\n\""),
        SWAPPINESS,
        false,
    ),
    (
        "a later line",
        line("path = \"/etc/sysctl.conf\"\nline = \"vm.swappiness=5\""),
        SWAPPINESS,
        true,
    ),
    (
        "a later file about others",
        ("file", "path = \"/etc/sysctl.conf\"\ncontent = \"vm.dirty_ratio = 5\\n\""),
        SWAPPINESS,
        false,
    ),
    (
        "the file of its own",
        ("file_absent", "path = \"/etc/sysctl.d/99-tidegate-vm.swappiness.conf\""),
        SWAPPINESS,
        true,
    ),
    (
        "another zone",
        ("time", "zone = \"Europe/Paris\""),
        ("symlink", "path = \"/etc/localtime\"\nto = \"../usr/share/zoneinfo/Europe/Rome\""),
        true,
    ),
    (
        "the same zone",
        ("time", "zone = \"Europe/Paris\""),
        ("symlink", "path = \"/etc/localtime\"\nto = \"../usr/share/zoneinfo/Europe/Paris\""),
        false,
    ),
    ("loaded and not", ("kernel_module", "module = \"dccp\"\nstate = \"absent\""), DCCP, true),
    (
        "loaded and kept out",
        line("path = \"/etc/modprobe.d/x.conf\"\nline = \"blacklist dccp\""),
        DCCP,
        true,
    ),
    (
        "loaded and another kept out",
        line("path = \"/etc/modprobe.d/x.conf\"\nline = \"blacklist sctp\""),
        DCCP,
        false,
    ),
];

const DATA: Lines = ("mount", "path = \"/srv/data\"\nsource = \"/dev/sdb1\"\ntype = \"ext4\"");
const SWAPPINESS: Lines = ("sysctl", "key = \"vm.swappiness\"\nvalue = 10");
const DCCP: Lines = ("kernel_module", "module = \"dccp\"");

#[test]
fn what_a_rule_wants_of_a_file_is_held_against_all_that_others_want_there() {
    for (case, one, other, is_disputed) in CASES {
        for pair in [[one, other], [other, one]] {
            let kernel = Host::default().with("/proc/sys/vm/swappiness", "60\n");
            let kernel =
                kernel.with("/proc/sys/kernel/osrelease", "6.1.0\n").with("/proc/modules", "");
            let kernel = kernel.with("/lib/modules/6.1.0/modules.dep", "");
            let kernel = kernel.with("/usr/share/zoneinfo/Europe/Paris", "TZif");
            for checked in kernel.check(&two(pair)) {
                let reason = checked.verdict.reason.clone().unwrap_or_default();
                let says = reason.contains("is wanted differently by rules it/");
                assert_eq!(says, is_disputed, "{case}: {:?}", checked.verdict);
                assert_eq!(checked.verdict.status == VerdictStatus::Error, is_disputed, "{case}");
                assert!(!is_disputed || checked.changes.is_empty(), "{case}");
            }
        }
    }
}

#[test]
fn what_an_archive_has_is_held_against_rules_about_its_members() {
    let mut host = Host::default();
    let archive = site();
    let lines = format!(
        "path = \"/etc/site\"\nsource = \"site.tar\"\ndigest = \"{}\"\nowner = \"root\"\ngroup = \"root\"",
        Digest::of(&archive)
    );
    host.files.insert("site.tar".to_owned(), archive);
    let found = host.check(&rule("archive", &lines));
    let path = "/etc/site/www/index.html";
    let said = format!("{found:?}");
    assert!(said.contains(path), "{said}");
    for (line, is_disputed) in [("never in it", true), ("<p>hello", false)] {
        let line = format!("path = \"{path}\"\nline = \"{line}\"");
        let found = host.check(&two([("archive", &lines), ("file_line", &line)]));
        let disputed = |status| status == VerdictStatus::Error;
        assert!(found.iter().all(|c| disputed(c.verdict.status) == is_disputed), "{found:?}");
    }
    for (access, is_disputed) in [
        ("mode = \"0600\"", true),
        ("mode = \"0640\"", false),
        ("owner = \"alice\"", true),
        ("owner = \"root\"", false),
    ] {
        let access = format!("path = \"{path}\"\n{access}");
        let found = host.check(&two([("archive", &lines), ("file", &access)]));
        let disputed = |status| status == VerdictStatus::Error;
        assert!(found.iter().all(|c| disputed(c.verdict.status) == is_disputed), "{found:?}");
    }
}

#[test]
fn lint_names_rules_that_undo_one_another_whatever_the_facts_are() {
    let stage = Stage::new("");
    let line = "path = \"/etc/x\"\nline = \"c = 3\"";
    let rules = two([WHOLE, ("file_line", line)]);
    let repo = stage.dir.path().join("repo");
    stage.commit("rulesets/it/linux.toml", &rules);
    let said = run(&repo, ["lint"]);
    assert!(!said.err.contains("wanted differently"), "{}", said.err);
    stage.commit("rulesets/it/linux.toml", &rules.replace("match = { os = \"debian\" }", ""));
    let said = run(&repo, ["lint"]);
    let text = format!("{}{}", said.out, said.err);
    assert_ne!(said.code, 0, "{text}");
    let reason = "/etc/x is wanted differently by rules it.linux/a and it.linux/b";
    assert_eq!(text.matches(reason).count(), 2, "{text}");
    assert!(text.contains("rulesets/it/linux.toml:2:1") && text.contains(":8:1"), "{text}");
}

#[test]
fn whose_first_group_it_is_need_not_be_among_its_members() {
    let passwd = "bob:x:1001:50::/home/bob:/bin/sh\ncarol:x:1002:51::/home/carol:/bin/sh\n";
    let group = "staff:x:50:\nother:x:51:\n";
    let host = Host::default().with("/etc/passwd", passwd).with("/etc/group", group);
    let whole = format!("path = \"/etc/group\"\ncontent = {group:?}");
    for (user, state, is_disputed) in
        [("bob", "present", false), ("carol", "present", true), ("carol", "absent", false)]
    {
        let member = format!("user = \"{user}\"\ngroup = \"staff\"\nstate = \"{state}\"");
        let found = host.check(&two([("file", &whole), ("membership", &member)]));
        let is_error = |status| status == VerdictStatus::Error;
        let so = found.iter().all(|checked| is_error(checked.verdict.status) == is_disputed);
        assert!(so, "{user} {state}: {found:?}");
    }
}

#[test]
fn a_users_key_is_held_against_what_others_want_of_the_file_that_it_stands_in() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILJjHxcC6NrEqnBVCsYN7pPNbTfPfGSDkiOLlEpJZGo4";
    let passwd = "bob:x:1001:1001::/home/bob:/bin/sh\n";
    let host = Host::default().with("/etc/passwd", passwd).with("/home/bob/.ssh/x", "");
    let at = "path = \"/home/bob/.ssh/authorized_keys\"";
    let other = "path = \"/home/carol/.ssh/authorized_keys\"";
    for (kind, lines, state, is_disputed) in [
        ("file", format!("{at}\ncontent = \"\""), "present", true),
        ("file", format!("{at}\ncontent = \"\""), "absent", false),
        ("file", format!("{at}\ncontent = \"{KEY} bob\\n\""), "present", false),
        ("file", format!("{at}\ncontent = \"{KEY} bob\\n\""), "absent", true),
        ("file", format!("{other}\ncontent = \"\""), "present", false),
        ("file_absent", at.to_owned(), "present", true),
        ("file_line", format!("{at}\nregex = \"ed25519\"\nstate = \"absent\""), "present", true),
        ("file_line", format!("{at}\nline = \"# keys\""), "present", false),
    ] {
        let key = format!("user = \"bob\"\nkey = \"{KEY} bob\"\nstate = \"{state}\"");
        let found = host.check(&two([(kind, &lines), ("ssh_authorized_key", &key)]));
        let reason = |checked: &Checked| checked.verdict.reason.clone().unwrap_or_default();
        let says = |checked: &Checked| reason(checked).contains("is wanted differently by rules");
        let so = found.iter().all(|checked| says(checked) == is_disputed);
        assert!(so, "{kind} {lines} {state}: {found:?}");
    }
}

#[test]
fn of_many_rules_that_all_quarrel_each_names_another() {
    let one = |n: usize| {
        let lines = format!("path = \"/etc/x\"\nline = \"x {n}\"\nregex = \"^x( |n{n})\"");
        rule("file_line", &lines).replace("\"a\"\nkind", &format!("\"r{n}\"\nkind"))
    };
    let found = Host::default().check(&(0..200).map(one).collect::<String>());
    assert_eq!(found.len(), 200);
    for checked in found {
        let reason = checked.verdict.reason.unwrap_or_default();
        let id = checked.verdict.rule.clone();
        assert!(reason.contains(&id) && reason.contains("wanted differently"), "{id}: {reason}");
    }
}

#[test]
fn one_file_by_two_paths_is_one_file() {
    let host = Host::default();
    std::os::unix::fs::symlink("/etc", host.path("/lnk")).unwrap();
    let mode = |path: &str, mode: &str| format!("path = \"{path}\"\nmode = \"{mode}\"");
    for (one, other, is_disputed) in [
        (mode("/etc/x", "0600"), mode("/lnk/x", "0644"), true),
        (mode("/etc/x", "0600"), mode("/lnk/x", "0600"), false),
        (
            "path = \"/lnk/x\"\ncontent = \"a\"".into(),
            "path = \"/etc/x\"\ncontent = \"b\"".into(),
            true,
        ),
        (
            "path = \"/lnk/x\"\ncontent = \"a\"".into(),
            "path = \"/etc/x\"\ncontent = \"a\"".into(),
            false,
        ),
        (
            "path = \"/lnk/x\"\ncontent = \"a\"".into(),
            "path = \"/etc/y\"\ncontent = \"b\"".into(),
            false,
        ),
    ] {
        let found = host.check(&two([("file", &one), ("file", &other)]));
        let says = |reason: &Option<String>| {
            reason.as_ref().is_some_and(|reason| reason.contains("/etc/x is wanted differently"))
        };
        assert!(found.iter().all(|c| says(&c.verdict.reason) == is_disputed), "{found:?}");
    }
}
