//! Users and groups of a real Debian, changed by its own programs.

use tidegate::compliance::change::Change;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::model::managed::attributes;
use tidegate::model::{Move, Thing};
use tidegate::telemetry::Chain;

use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::program::write_program;

const GID_NOTE: &str = "# users whose first group it is get the new number; files keep the old one";
const UID_NOTE: &str =
    "# what is theirs below the home directory goes along; other files keep the number";

/// Runs a program of the host.
fn run(host: &Host, argv: &[&str]) {
    let status = std::process::Command::new("chroot").arg(host.path("/")).args(argv).status();
    assert!(status.unwrap().success(), "{argv:?}");
}

pub(crate) fn with_alice() -> Host {
    let host = debian::host();
    run(&host, &["groupadd", "-g", "1000", "alice"]);
    run(&host, &["useradd", "-N", "-u", "1000", "-g", "1000", "-G", "adm,users", "alice"]);
    host
}

#[test]
fn users_do_all_seven_on_a_real_debian() {
    all_seven(
        &with_alice(),
        &[
            Row {
                kind: "user",
                lines: "user = \"bob\"\ncomment = \"Bob of billing\"\nshell = \"/bin/bash\"",
                expected: "a user bob",
                actual: "there is no user bob",
                fix: Fix::Plan(&[
                    "+++ user bob",
                    "+uid = 1001",
                    "+gid = 1001",
                    "+shell = /bin/bash",
                ]),
            },
            Row {
                kind: "user",
                lines: "user = \"app1\"\nsystem = true\ngroup = \"www-data\"\nhome = \"/srv/app1\"",
                expected: "a user app1",
                actual: "there is no user app1",
                fix: Fix::Plan(&["+uid = 997", "+gid = 33", "+shell = /usr/sbin/nologin"]),
            },
            Row {
                kind: "user",
                lines: "user = \"alice\"\nshell = \"/usr/sbin/nologin\"\ngroup = \"adm\"",
                expected: "user alice: gid 4, shell /usr/sbin/nologin",
                actual: "user alice: gid 1000, shell /bin/sh",
                fix: Fix::Plan(&["-gid = 1000", "+gid = 4", "+shell = /usr/sbin/nologin"]),
            },
            Row {
                kind: "user",
                lines: "user = \"alice\"\nstate = \"absent\"",
                expected: "no user alice",
                actual: "there is a user alice",
                fix: Fix::Plan(&[
                    "--- user alice",
                    "+++ /dev/null",
                    "-uid = 1000",
                    "-groups = adm,users",
                ]),
            },
        ],
    );
}

#[test]
fn groups_and_members_do_all_seven_on_a_real_debian() {
    all_seven(
        &with_alice(),
        &[
            Row {
                kind: "group",
                lines: "group = \"deploy\"\ngid = 2000",
                expected: "a group deploy",
                actual: "there is no group deploy",
                fix: Fix::Plan(&["+++ group deploy", "+gid = 2000"]),
            },
            Row {
                kind: "group",
                lines: "group = \"users\"\ngid = 2001",
                expected: "group users: gid 2001",
                actual: "group users: gid 100",
                fix: Fix::Plan(&["-gid = 100", "+gid = 2001", GID_NOTE]),
            },
            Row {
                kind: "group",
                lines: "group = \"alice\"\ngid = 2002",
                expected: "group alice: gid 2002",
                actual: "group alice: gid 1000; it is the first group of alice",
                fix: Fix::Plan(&["+gid = 2002"]),
            },
            Row {
                kind: "user",
                lines: "user = \"alice\"\nuid = 1500",
                expected: "user alice: uid 1500",
                actual: "user alice: uid 1000",
                fix: Fix::Plan(&[UID_NOTE, "+uid = 1500"]),
            },
            Row {
                kind: "group",
                lines: "group = \"users\"\nstate = \"absent\"",
                expected: "no group users",
                actual: "there is a group users",
                fix: Fix::Plan(&["--- group users", "-members = alice"]),
            },
            Row {
                kind: "membership",
                lines: "user = \"alice\"\ngroup = \"sudo\"",
                expected: "user alice in group sudo",
                actual: "user alice is not in group sudo",
                fix: Fix::Plan(&["+++ user alice in group sudo"]),
            },
            Row {
                kind: "membership",
                lines: "user = \"alice\"\ngroup = \"adm\"\nstate = \"absent\"",
                expected: "user alice not in group adm",
                actual: "user alice is in group adm",
                fix: Fix::Plan(&["--- user alice in group adm"]),
            },
        ],
    );
}

#[test]
fn a_users_group_that_others_are_in_stays() {
    let host = with_alice();
    run(&host, &["groupadd", "-g", "2000", "www"]);
    run(&host, &["useradd", "-N", "-u", "2000", "-g", "2000", "www"]);
    run(&host, &["gpasswd", "--add", "alice", "www"]);
    let gone = rule("user", "user = \"www\"\nstate = \"absent\"");
    let said = only(host.check(&gone)).verdict.actual;
    assert_eq!(said, "there is a user www; group www stays: others are in it");
    let record = host.fix(&gone).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(host.text("/etc/group").contains("www:x:2000:alice\n"));
    assert_eq!(host.restore(&record), FixResult::Fixed);
}

#[test]
fn a_member_whom_only_another_directory_knows_is_seen_and_taken_out() {
    let host = with_alice();
    let groups = host.text("/etc/group").replace("sudo:x:27:", "sudo:x:27:bob,alice");
    std::fs::write(host.path("/etc/group"), groups).unwrap();
    let wanted = rule("membership", "user = \"bob\"\ngroup = \"sudo\"");
    assert_eq!(only(host.check(&wanted)).verdict.status, VerdictStatus::Ok);
    let gone = rule("membership", "user = \"bob\"\ngroup = \"sudo\"\nstate = \"absent\"");
    let verdict = only(host.check(&gone)).verdict;
    assert_eq!(verdict.actual, "user bob is in group sudo");
    let record = host.fix(&gone).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(host.text("/etc/group").contains("sudo:x:27:alice\n"));
    // Who is in /etc/group need not be in /etc/passwd; who is put there must be known.
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("restored") };
    assert!(reason.contains("bob"), "{reason}");
}

#[test]
fn a_group_comes_back_without_a_member_whom_nobody_knows_and_that_is_said() {
    let host = with_alice();
    let groups = host.text("/etc/group") + "team:x:3000:bob,alice\n";
    std::fs::write(host.path("/etc/group"), groups).unwrap();
    let record = host.fix(&rule("group", "group = \"team\"\nstate = \"absent\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.text("/etc/group").contains("team:x:3000:alice\n"));
    let restored = host.records().all().pop().unwrap();
    let note = "without bob of group team, whom this host does not know";
    assert_eq!(restored.note.as_deref(), Some(note));
}

#[test]
fn a_user_comes_back_without_groups_that_are_gone_and_that_is_said() {
    let host = with_alice();
    run(&host, &["groupadd", "-g", "3000", "team"]);
    run(&host, &["useradd", "-N", "-u", "1500", "-g", "team", "-G", "adm,users", "bob"]);
    let record = host.fix(&rule("user", "user = \"bob\"\nstate = \"absent\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    // Their first group has another number by now, and another one is gone.
    run(&host, &["groupmod", "-g", "3001", "team"]);
    run(&host, &["groupdel", "users"]);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.text("/etc/passwd").contains("bob:x:1500:3001:"), "{}", host.text("/etc/passwd"));
    assert!(host.text("/etc/group").contains("adm:x:4:alice,bob\n"), "{}", host.text("/etc/group"));
    let note = host.records().all().pop().unwrap().note.unwrap();
    assert_eq!(
        note,
        "without users for user bob, which is gone; \
         without number 3000 of group team, which has 3001, for user bob"
    );
}

#[test]
fn the_age_of_a_password_and_administrators_of_a_group_come_back_and_are_not_shown() {
    let host = with_alice();
    let chage = ["chage", "-d", "19000", "-m", "1", "-M", "90", "-W", "9", "-E", "29001", "alice"];
    run(&host, &chage);
    run(&host, &["groupadd", "team"]);
    run(&host, &["gpasswd", "-A", "alice", "-M", "alice", "team"]);
    let of = |path: &str, name: &str| {
        let text = host.text(path);
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_once(":!").unwrap().1.to_owned()
    };
    let [shadow, gshadow] = [of("/etc/shadow", "alice"), of("/etc/gshadow", "team")];
    assert_eq!((shadow.as_str(), gshadow.as_str()), (":19000:1:90:9::29001:", ":alice:alice"));
    let gone = |kind: &str, name: &str| {
        let wanted = rule(kind, &format!("{kind} = \"{name}\"\nstate = \"absent\""));
        let diff: String = only(host.check(&wanted)).changes.iter().map(Change::diff).collect();
        assert!(diff.contains("= a value that not everybody may read"), "{diff}");
        assert!(!diff.contains("19000") && !diff.contains("administrators = alice"), "{diff}");
        let record = host.fix(&wanted).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        let shown = serde_json::to_string(&record.shown()).unwrap();
        assert!(!shown.contains("19000"), "{shown}");
        record
    };
    let team = gone("group", "team");
    assert_eq!(host.restore(&team), FixResult::Fixed);
    assert_eq!(of("/etc/gshadow", "team"), gshadow);
    let alice = gone("user", "alice");
    assert_eq!(host.restore(&alice), FixResult::Fixed);
    assert_eq!(of("/etc/shadow", "alice"), shadow);
}

#[test]
fn a_user_who_comes_back_administers_the_groups_they_did_and_their_own_has_its_administrators() {
    let host = with_alice();
    for name in ["bob", "carol"] {
        run(&host, &["useradd", "-U", name]);
    }
    for group in ["deploy", "left"] {
        run(&host, &["groupadd", group]);
        run(&host, &["gpasswd", "-A", "alice,carol", "-M", "carol", group]);
    }
    run(&host, &["gpasswd", "-A", "alice,bob,carol", "alice"]);
    let of = |name: &str| {
        let text = host.text("/etc/gshadow");
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        let mut names: Vec<&str> = line.split(':').nth(2).unwrap().split(',').collect();
        names.sort_unstable();
        names.join(",")
    };
    let gone = rule("user", "user = \"alice\"\nstate = \"absent\"");
    let diff: String = only(host.check(&gone)).changes.iter().map(Change::diff).collect();
    assert!(!diff.contains("deploy"), "{diff}");
    let record = host.fix(&gone).unwrap();
    assert_eq!((record.result.clone(), of("deploy")), (FixResult::Fixed, "carol".into()));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!((of("deploy"), of("alice")), ("alice,carol".into(), "alice,bob,carol".into()));
    // What is gone by now is said.
    let record = host.fix(&gone).unwrap();
    run(&host, &["groupdel", "left"]);
    run(&host, &["userdel", "bob"]);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert_eq!((of("deploy"), of("alice")), ("alice,carol".into(), "alice,carol".into()));
    let note = host.records().all().pop().unwrap().note.unwrap();
    assert_eq!(
        note,
        "without left, which is gone, to be administered by user alice; \
         without bob, whom this host does not know, as administrator of group alice"
    );
}

#[test]
fn a_password_that_was_changed_since_keeps_no_shell_from_coming_back() {
    let host = with_alice();
    let record = host.fix(&rule("user", "user = \"alice\"\nshell = \"/bin/bash\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    run(&host, &["chage", "-d", "19000", "alice"]);
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.text("/etc/passwd").contains(":/bin/sh\n"));
    assert!(host.text("/etc/shadow").contains("alice:!:19000:"));
}

#[test]
fn a_group_of_the_users_own_in_which_they_are_listed_goes_with_them_as_shown() {
    let host = with_alice();
    run(&host, &["usermod", "-a", "-G", "alice", "alice"]);
    let gone = rule("user", "user = \"alice\"\nstate = \"absent\"");
    let actual = only(host.check(&gone)).verdict.actual;
    assert_eq!(actual, "there is a user alice");
    assert_eq!(host.fix(&gone).unwrap().result, FixResult::Fixed);
    assert!(!host.text("/etc/group").contains("alice"), "{}", host.text("/etc/group"));
}

#[test]
fn what_fails_half_way_leaves_nothing() {
    let host = with_alice();
    let record = host.fix(&rule("group", "group = \"users\"\nstate = \"absent\"")).unwrap();
    let (groups, users) = (host.text("/etc/group"), host.text("/etc/passwd"));
    // The second program of each is not there.
    std::fs::remove_file(host.path("/usr/bin/gpasswd")).unwrap();
    std::fs::remove_file(host.path("/usr/sbin/useradd")).unwrap();
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("restored") };
    assert!(reason.contains("`gpasswd` is not installed"), "{reason}");
    let bob = host.fix(&rule("user", "user = \"bob\"")).unwrap();
    assert!(matches!(bob.result, FixResult::Failed { .. }), "{:?}", bob.result);
    assert_eq!((host.text("/etc/group"), host.text("/etc/passwd")), (groups, users));
}

#[test]
fn the_number_of_one_who_was_just_removed_is_not_given_to_the_next() {
    let host = with_alice();
    run(&host, &["useradd", "-U", "-u", "1500", "bob"]);
    run(&host, &["userdel", "bob"]);
    let made = host.fix(&rule("user", "user = \"carol\"")).unwrap();
    assert_eq!(made.result, FixResult::Fixed);
    assert!(
        host.text("/etc/passwd").contains("carol:x:1501:1501:"),
        "{}",
        host.text("/etc/passwd")
    );
}

/// A program of the host that does this instead.
fn stand_in(host: &Host, path: &str, script: &str) {
    std::fs::remove_file(host.path(path)).unwrap();
    write_program(host.path(path), &format!("#!/bin/sh\n{script}\n"));
}

#[test]
fn a_table_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
    // A group of theirs alone would go with a user.
    let host = with_alice();
    stand_in(&host, "/usr/sbin/userdel", "truncate --size 17M /etc/group");
    stand_in(&host, "/usr/sbin/groupdel", "touch /canary");
    let record = host.fix(&rule("user", "user = \"alice\"\nstate = \"absent\"")).unwrap();
    let FixResult::Failed { reason } = record.result else { panic!("{record:?}") };
    assert!(reason.contains("is larger than"), "{reason}");
    // A group that is not seen would be made a second time.
    let host = with_alice();
    stand_in(&host, "/usr/sbin/useradd", "truncate --size 17M /etc/group");
    stand_in(&host, "/usr/sbin/groupadd", "touch /canary");
    let new = |name: &str| Move {
        thing: Thing::User { name: name.to_owned() },
        before: None,
        after: Some(attributes([("uid", "2000"), ("gid", "1000"), ("group", "alice")])),
    };
    let error = host.root().manage(&[new("bob"), new("carol")]).unwrap_err();
    assert!(Chain(&error).to_string().contains("is larger than"), "{error}");
    assert!(!host.path("/canary").exists());
}

#[test]
fn no_password_is_in_a_record_and_one_who_is_brought_back_has_none() {
    let host = with_alice();
    run(&host, &["usermod", "-p", "canary-hash", "alice"]);
    let record = host.fix(&rule("user", "user = \"alice\"\nstate = \"absent\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    let stored = host.dir.path().join("state/fixes").join(&record.id).join("record.json");
    assert!(!std::fs::read_to_string(stored).unwrap().contains("canary"));
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.text("/etc/shadow").contains("alice:!:"));
}

#[test]
fn what_cannot_be_is_not_tried() {
    let host = with_alice();
    for (kind, lines, reason) in [
        ("user", "user = \"bob\"\nuid = 1000", "another user has the number 1000"),
        ("group", "group = \"bob\"\ngid = 4", "group adm has the number 4"),
        ("membership", "user = \"bob\"\ngroup = \"adm\"", "makes user bob"),
        ("membership", "user = \"alice\"\ngroup = \"none\"", "makes group none"),
    ] {
        let checked = only(host.check(&rule(kind, lines)));
        assert_eq!(checked.verdict.status, VerdictStatus::NotOk, "{lines}");
        assert!(checked.verdict.reason.unwrap().contains(reason), "{lines}");
        assert!(checked.changes.is_empty(), "{lines}");
    }
    // Somebody came in between: nothing is overwritten.
    let record = host.fix(&rule("user", "user = \"alice\"\nshell = \"/bin/bash\"")).unwrap();
    run(&host, &["usermod", "-c", "by hand", "alice"]);
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("restored") };
    assert!(reason.contains("user alice is no longer as it was"), "{reason}");
}
