//! What a service's user, or a rule's author, might try.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use tidegate::compliance::change::Change;
use tidegate::compliance::record::{FixResult, FixedBy};
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::support::{Host, only, rule};

const CANARY: &str = "canary-7d1f";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_link_that_a_services_user_planted_is_not_followed() {
    let host = Host::default().with("/srv/app1/x", "").with("/etc/motd", "old\n");
    fs::set_permissions(host.path("/srv/app1"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink("/etc", host.path("/srv/app1/data")).unwrap();
    let escaping = rule("file", "path = \"/srv/app1/data/motd\"\ncontent = \"new\"");
    let verdict = only(host.check(&escaping)).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("`data` in the way is a link"));
    if is_root() {
        fs::set_permissions(host.path("/srv/app1"), fs::Permissions::from_mode(0o755)).unwrap();
        chown(host.path("/srv/app1"), Some(1000), Some(1000)).unwrap();
        let verdict = only(host.check(&escaping)).verdict;
        assert!(verdict.reason.unwrap().contains("user 1000 may have put there"));
    }
    assert_eq!(host.text("/etc/motd"), "old\n");
}

#[test]
fn a_link_of_the_system_itself_is_followed_within_the_root() {
    let host = Host::default().with("/usr/etc/motd", "old\n");
    for folder in ["/usr", "/usr/etc"] {
        fs::set_permissions(host.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Absolute, and with more steps up than there are: both end within the root.
    symlink("/usr/etc", host.path("/one")).unwrap();
    symlink("../../../../usr/etc", host.path("/two")).unwrap();
    for (path, text) in [("/one/motd", "1"), ("/two/motd", "2")] {
        let record = host.fix(&rule("file", &format!("path = \"{path}\"\ncontent = \"{text}\"")));
        assert_eq!(record.unwrap().result, FixResult::Fixed);
        assert_eq!(host.text("/usr/etc/motd"), text);
    }
    symlink("/loop", host.path("/loop")).unwrap();
    let verdict = only(host.check(&rule("file", "path = \"/loop/x\""))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
}

#[test]
fn the_last_link_is_replaced_and_never_written_through() {
    let host = Host::default().with("/etc/shadow", "old\n");
    symlink("/etc/shadow", host.path("/etc/motd")).unwrap();
    let record = host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"new\"")).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(host.text("/etc/shadow"), "old\n");
    assert_eq!(host.text("/etc/motd"), "new");
}

#[test]
fn a_second_name_of_a_file_keeps_its_content_and_mode() {
    let host = Host::default().with("/etc/shadow", "old\n");
    fs::hard_link(host.path("/etc/shadow"), host.path("/etc/motd")).unwrap();
    let lines = "path = \"/etc/motd\"\ncontent = \"new\"\nmode = \"0666\"";
    assert_eq!(host.fix(&rule("file", lines)).unwrap().result, FixResult::Fixed);
    assert_eq!((host.mode("/etc/motd"), host.mode("/etc/shadow")), (0o666, 0o644));
    assert_eq!(host.text("/etc/shadow"), "old\n");
    // Nor may a user, by a second name in a folder of theirs, have it given away.
    fs::create_dir_all(host.path("/srv/app")).unwrap();
    chown(host.path("/srv/app"), Some(1000), Some(1000)).unwrap();
    fs::hard_link(host.path("/etc/shadow"), host.path("/srv/app/x")).unwrap();
    let lines = "path = \"/srv/app/x\"\nmode = \"0666\"";
    let result = host.fix(&rule("file", lines)).unwrap().result;
    assert!(matches!(result, FixResult::Failed { .. }), "{result:?}");
    assert_eq!(host.mode("/etc/shadow"), 0o644);
}

#[test]
fn a_folder_that_the_host_needs_is_not_removed_by_another_name() {
    let host = Host::default();
    fs::create_dir_all(host.path("/usr")).unwrap();
    fs::set_permissions(host.path("/"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/", host.path("/self")).unwrap();
    let record = host.fix(&rule("file_absent", "path = \"/self/usr\"")).unwrap();
    let FixResult::Failed { reason } = &record.result else { panic!("{record:?}") };
    assert!(reason.contains("never removed"), "{reason}");
    assert!(host.path("/usr").is_dir());
}

#[test]
fn a_users_set_user_id_program_does_not_become_one_of_root() {
    if !is_root() {
        return;
    }
    for lines in ["owner = \"root\"\ngroup = \"root\"", "owner = \"root\"\ncontent = \"evil\""] {
        let host = Host::default().with("/srv/tool", "evil");
        chown(host.path("/srv/tool"), Some(1000), Some(1000)).unwrap();
        fs::set_permissions(host.path("/srv/tool"), fs::Permissions::from_mode(0o6755)).unwrap();
        let rules = rule("file", &format!("path = \"/srv/tool\"\n{lines}"));
        let verdict = only(host.check(&rules)).verdict;
        assert!(verdict.expected.contains("mode 0755"), "{verdict:#?}");
        assert_eq!(host.fix(&rules).unwrap().result, FixResult::Fixed);
        assert_eq!(host.mode("/srv/tool"), 0o755);
        assert_eq!(only(host.check(&rules)).verdict.status, VerdictStatus::Ok);
    }
}

#[test]
fn who_had_a_file_open_does_not_write_into_what_is_not_theirs_any_more() {
    if !is_root() {
        return;
    }
    for (uid, mode) in [(1000, 0o644), (0, 0o666)] {
        let host = Host::default().with("/etc/motd", "right\n");
        chown(host.path("/etc/motd"), Some(uid), Some(0)).unwrap();
        fs::set_permissions(host.path("/etc/motd"), fs::Permissions::from_mode(mode)).unwrap();
        let mut open = fs::OpenOptions::new().append(true).open(host.path("/etc/motd")).unwrap();
        let lines =
            "path = \"/etc/motd\"\nowner = \"root\"\nmode = \"0644\"\ncontent = \"right\\n\"";
        assert_eq!(host.fix(&rule("file", lines)).unwrap().result, FixResult::Fixed);
        std::io::Write::write_all(&mut open, b"wrong").unwrap();
        assert_eq!(host.text("/etc/motd"), "right\n");
    }
}

#[test]
fn a_device_or_pipe_is_neither_read_nor_removed() {
    let host = Host::default();
    let pipe = host.path("/etc/pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for (kind, lines) in [
        ("file", "path = \"/etc/pipe\"\ncontent = \"x\""),
        ("file_absent", "path = \"/etc/pipe\""),
        ("file_line", "path = \"/etc/pipe\"\nline = \"x\""),
    ] {
        let checked = only(host.check(&rule(kind, lines)));
        assert!(checked.verdict.status.is_trouble() && checked.changes.is_empty(), "{kind}");
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read_into_memory_and_not_replaced() {
    let host = Host::default().with("/etc/large", "");
    fs::File::options()
        .write(true)
        .open(host.path("/etc/large"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    let verdict = only(host.check(&rule("file", "path = \"/etc/large\"\ncontent = \"x\""))).verdict;
    assert_eq!((verdict.status, verdict.fixable), (VerdictStatus::NotOk, false));
    assert!(verdict.reason.unwrap().contains("is larger than"));
}

#[test]
fn what_not_everybody_may_read_is_in_no_verdict_diff_or_record() {
    let host = Host::default().with("/etc/secret", &format!("k={CANARY}\n{CANARY}\n"));
    fs::set_permissions(host.path("/etc/secret"), fs::Permissions::from_mode(0o640)).unwrap();
    is_in_no_verdict_or_diff(&host, "/etc/secret");
    let record = host.fix(&rule("file", "path = \"/etc/secret\"\ncontent = \"x\"")).unwrap();
    assert!(!format!("{record:?}").contains(CANARY));
    let folder = host.dir.path().join("state/fixes").join(&record.id);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o077, 0);
    assert_eq!(host.mode("/etc/secret"), 0o640, "mending keeps the mode");
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(host.text("/etc/secret").contains(CANARY));
}

/// The file holds it; everybody may read it, if only they got there.
#[test]
fn what_a_folder_on_the_way_keeps_from_others_is_in_no_verdict_or_diff() {
    let text = format!("k={CANARY}\n{CANARY}\n");
    let host = Host::default().with("/opt/priv/in/secret", &text);
    fs::set_permissions(host.path("/opt/priv"), fs::Permissions::from_mode(0o750)).unwrap();
    is_in_no_verdict_or_diff(&host, "/opt/priv/in/secret");
    // By another name as well.
    symlink("priv/in", host.path("/opt/way")).unwrap();
    is_in_no_verdict_or_diff(&host, "/opt/way/secret");
    let lines = "path = \"/opt/priv/in/secret\"\nregex = \"^k\"\nstate = \"absent\"";
    let record = host.fix(&rule("file_line", lines)).unwrap();
    let diff: String = host.way_back(&record).changes.iter().map(Change::diff).collect();
    assert!(!diff.contains(CANARY) && diff.contains("not everybody may read it"), "{diff}");
}

#[test]
fn a_password_in_fstab_is_in_no_verdict_or_diff() {
    let line = format!("none /srv/data tmpfs password={CANARY} 0 0\n");
    let host = Host::default().with("/etc/fstab", &line);
    fs::set_permissions(host.path("/etc/fstab"), fs::Permissions::from_mode(0o600)).unwrap();
    let checked =
        host.check(&rule("mount", "path = \"/srv/data\"\nsource = \"data\"\ntype = \"tmpfs\""));
    let diff: String = only(checked.clone()).changes.iter().map(Change::diff).collect();
    assert!(!format!("{checked:?}{diff}").contains(CANARY), "{checked:?}{diff}");
    assert!(
        only(checked.clone()).verdict.actual.contains("otherwise in /etc/fstab"),
        "{checked:?}"
    );
}

#[test]
fn a_link_is_not_replaced_by_a_file_that_nobody_wrote() {
    let host = Host::default().with("/run/resolv.conf", "nameserver 192.0.2.1\n");
    symlink("../run/resolv.conf", host.path("/etc/resolv.conf")).unwrap();
    let verdict = only(host.check(&rule("file", "path = \"/etc/resolv.conf\"\nmode = \"0644\"")));
    assert!(!verdict.verdict.fixable && verdict.changes.is_empty(), "{verdict:?}");
    let reason = verdict.verdict.reason.unwrap();
    assert!(reason.contains("a symbolic link is in its place"), "{reason}");
}

#[track_caller]
fn is_in_no_verdict_or_diff(host: &Host, path: &str) {
    for (kind, lines) in [
        ("file", "content = \"x\""),
        ("file_line", "line = \"x\"\nregex = \"^(k=|x)\""),
        ("file_line", "regex = \"^k\"\nstate = \"absent\""),
        ("key_value", "format = \"equals\"\nkey = \"k\"\nvalue = \"x\""),
        // It is none of these, and what says so quotes no line.
        ("key_value", "format = \"toml\"\nkey = \"k\"\nvalue = \"x\""),
        ("key_value", "format = \"json\"\nkey = \"k\"\nvalue = \"x\""),
        ("key_value", "format = \"yaml\"\nkey = \"k\"\nvalue = \"x\""),
    ] {
        let rule = rule(kind, &format!("path = \"{path}\"\n{lines}"));
        let checked = host.check(&rule);
        let diff: String = only(checked.clone()).changes.iter().map(Change::diff).collect();
        let shown = format!("{checked:?}{diff}");
        assert!(!shown.contains(CANARY), "{kind} {lines}\n{shown}");
        let digest = tidegate::model::Digest::of(host.text(path).as_bytes()).short();
        assert!(!shown.contains(&digest), "{kind} {lines}\n{shown}");
    }
}

#[test]
fn what_changed_since_it_was_decided_is_not_overwritten() {
    let host = Host::default().with("/etc/motd", "old\n");
    let record = host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"new\"")).unwrap();
    fs::write(host.path("/etc/motd"), "by hand\n").unwrap();
    let FixResult::Failed { reason } = host.restore(&record) else { panic!("restored") };
    assert!(reason.contains("it is no longer"), "{reason}");
    assert_eq!(host.text("/etc/motd"), "by hand\n");
}

#[test]
fn a_fix_that_fails_half_way_takes_its_steps_back() {
    let host = Host::default();
    let lines = format!("path = \"/new/{}\"\ncontent = \"x\"", "n".repeat(300));
    let record = host.fix(&rule("file", &lines));
    // The name is too long for any file system: the folder that was made for it goes again.
    assert!(record.is_err() || matches!(record.unwrap().result, FixResult::Failed { .. }));
    assert!(!host.path("/new").exists());
}

#[test]
fn what_is_quoted_in_a_way_that_is_not_read_is_not_quoted_again() {
    for text in ["k: \"CANARY\\x41\"\n", "k: 'CANARY' x\n", "\"CANARY\\x41\": 1\n"] {
        let host = Host::default().with("/etc/x.yaml", &text.replace("CANARY", CANARY));
        fs::set_permissions(host.path("/etc/x.yaml"), fs::Permissions::from_mode(0o600)).unwrap();
        is_in_no_verdict_or_diff(&host, "/etc/x.yaml");
    }
}

#[test]
fn a_kernel_parameter_that_not_everybody_may_read_is_in_no_verdict_diff_or_record() {
    let key = "net.ipv4.tcp_fastopen_key";
    let (live, conf) = ("/proc/sys/net/ipv4/tcp_fastopen_key", "/etc/sysctl.d/10-x.conf");
    for (hidden, content) in [(live, format!("{CANARY}\n")), (conf, format!("{key} = {CANARY}\n"))]
    {
        let host = Host::default().with(live, "1-1-1-1\n").with(hidden, &content);
        fs::set_permissions(host.path(hidden), fs::Permissions::from_mode(0o600)).unwrap();
        let wanted = rule("sysctl", &format!("key = \"{key}\"\nvalue = \"other-canary\""));
        let checked = only(host.check(&wanted));
        let diff: String = checked.changes.iter().map(Change::diff).collect();
        let verdict = format!("{:?}", checked.verdict);
        assert!(!verdict.contains("canary") && !diff.contains("canary"), "{verdict}\n{diff}");
        let record = host.fix(&wanted).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        let shown = serde_json::to_string(&record.shown()).unwrap();
        assert!(!shown.contains("canary"), "{shown}");
        assert_eq!(host.mode("/etc/sysctl.d/99-tidegate-net.ipv4.tcp_fastopen_key.conf"), 0o600);
        let FixResult::Fixed = host.restore(&record) else { panic!("not restored") };
        assert_eq!(host.text(hidden), content);
    }
}

#[test]
fn a_record_that_is_shown_has_no_digest_of_what_not_everybody_may_read() {
    let host = Host::default().with("/etc/x", "pin 1234\n").with("/etc/y", "public\n");
    fs::set_permissions(host.path("/etc/x"), fs::Permissions::from_mode(0o600)).unwrap();
    for (path, is_shown) in [("/etc/x", false), ("/etc/y", true)] {
        let wanted = rule("file", &format!("path = \"{path}\"\ncontent = \"pin 4321\\n\""));
        let digest = tidegate::model::Digest::of(host.text(path).as_bytes()).hex();
        let shown = serde_json::to_string(&host.fix(&wanted).unwrap().shown()).unwrap();
        assert_eq!(shown.contains(&digest), is_shown, "{shown}");
        let new = tidegate::model::Digest::of(b"pin 4321\n").hex();
        assert_eq!(shown.contains(&new), is_shown, "{shown}");
    }
}

#[test]
fn what_a_fix_that_was_killed_left_beside_a_file_goes_with_the_next_and_with_its_way_back() {
    let host = Host::default();
    let lines = rule("file", "path = \"/etc/motd\"\ncontent = \"new\"");
    let left = host.path("/etc/.motd.tidegate-new");
    fs::write(&left, "canary").unwrap();
    let record = host.fix(&lines).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert!(!left.exists());
    fs::remove_file(host.path("/etc/motd")).unwrap();
    fs::write(&left, "canary").unwrap();
    assert_eq!(host.restore(&record), FixResult::Fixed);
    assert!(!left.exists());
    // Somebody else's is never opened, whatever it is.
    symlink("/etc/passwd", &left).unwrap();
    assert_eq!(host.fix(&lines).unwrap().result, FixResult::Fixed);
    assert!(host.text("/etc/passwd").contains("alice") && host.text("/etc/motd") == "new");
}

#[test]
fn a_fix_that_cannot_be_recorded_leaves_no_record() {
    let host = Host::default();
    let records = host.records();
    let long = |key: &str| "x".repeat(if key == "ok" { 1 } else { 9 << 20 });
    for (key, ok) in [("ok", true), ("too much", false)] {
        let (before, after) = (long(key), String::new());
        let change = Change::Kernel { key: key.to_owned(), before, after, hidden: false };
        let now = jiff::Timestamp::now();
        let begun = records.begin(FixedBy::Operator, "it/a", "node", "prd@x", &[change], now);
        assert_eq!(begun.is_ok(), ok, "{key}");
    }
    let folders = fs::read_dir(host.dir.path().join("state/fixes")).unwrap();
    assert_eq!(folders.count(), 1);
}
