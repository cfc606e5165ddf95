//! Keys, sudo and cron of a real Debian.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use tidegate::compliance::change::Change;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::accounts::with_alice;
use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::desired::support::Repo;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD";
const LINES: &str = "user = \"alice\"\nkey = \"ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD alice@laptop\"";

fn with_home() -> Host {
    let host = with_alice();
    fs::create_dir_all(host.path("/home/alice")).unwrap();
    chown(host.path("/home/alice"), Some(1000), Some(1000)).unwrap();
    host
}

fn with_keys(text: &str, mode: u32) -> Host {
    let host = with_home().with("/home/alice/.ssh/authorized_keys", text);
    let folder = fs::Permissions::from_mode(0o700);
    fs::set_permissions(host.path("/home/alice/.ssh"), folder).unwrap();
    let file = host.path("/home/alice/.ssh/authorized_keys");
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    for path in ["/home/alice/.ssh", "/home/alice/.ssh/authorized_keys"] {
        chown(host.path(path), Some(1000), Some(1000)).unwrap();
    }
    host
}

const GOES: &str =
    "-no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD old";
/// The folder `.ssh` keeps others out.
const HIDDEN: &str = "# not everybody may read it: only the keys that go and come are shown";

#[test]
fn keys_do_all_seven_on_a_real_debian() {
    let wanted = "key SHA256:";
    all_seven(
        &with_home(),
        &[Row {
            kind: "ssh_authorized_key",
            lines: LINES,
            expected: wanted,
            actual: "alice has no such key",
            fix: Fix::Plan(&["+++ /home/alice/.ssh", "+++ /home/alice/.ssh/authorized_keys"]),
        }],
    );
    let absent = "user = \"alice\"\nstate = \"absent\"\nkey = \"ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD\"";
    let host = with_keys(&format!("# mine\nno-pty {KEY} old\n"), 0o644);
    all_seven(
        &host,
        &[
            Row {
                kind: "ssh_authorized_key",
                lines: LINES,
                expected: wanted,
                actual: "alice has it more than once, or with other options",
                fix: Fix::Plan(&["--- /home/alice/.ssh/authorized_keys", HIDDEN, GOES]),
            },
            Row {
                kind: "ssh_authorized_key",
                lines: absent,
                expected: "no key SHA256:",
                actual: "alice may log in with it",
                fix: Fix::Plan(&["--- /home/alice/.ssh/authorized_keys", HIDDEN, GOES]),
            },
        ],
    );
}

#[test]
fn what_is_made_for_a_user_is_the_users_own_and_nobody_elses() {
    let host = with_home();
    assert_eq!(host.fix(&rule("ssh_authorized_key", LINES)).unwrap().result, FixResult::Fixed);
    for (path, mode) in [("/home/alice/.ssh", 0o700), ("/home/alice/.ssh/authorized_keys", 0o600)] {
        let meta = fs::metadata(host.path(path)).unwrap();
        let owned = (host.mode(path), std::os::unix::fs::MetadataExt::uid(&meta));
        assert_eq!(owned, (mode, 1000), "{path}");
    }
    let host = with_keys(&format!("{KEY}\n"), 0o666);
    let verdict = only(host.check(&rule("ssh_authorized_key", LINES))).verdict;
    assert!(verdict.actual.contains("others may write to"), "{verdict:#?}");
    host.fix(&rule("ssh_authorized_key", LINES)).unwrap();
    assert_eq!(host.mode("/home/alice/.ssh/authorized_keys"), 0o644);
}

#[test]
fn a_key_in_the_second_file_that_sshd_reads_is_taken_out() {
    let two = "/home/alice/.ssh/authorized_keys2";
    let (present, absent) = (
        rule("ssh_authorized_key", &format!("{LINES}\noptions = \"no-pty\"")),
        rule("ssh_authorized_key", &format!("{LINES}\nstate = \"absent\"")),
    );
    let host = with_keys(&format!("no-pty {KEY}\n"), 0o600);
    assert_eq!(only(host.check(&present)).verdict.status, VerdictStatus::Ok);
    for (rules, actual) in
        [(&present, "in /home/alice/.ssh/authorized_keys2 too"), (&absent, "may log in")]
    {
        let host = with_keys(&format!("no-pty {KEY}\n"), 0o600).with(two, &format!("# a\n{KEY}\n"));
        chown(host.path(two), Some(1000), Some(1000)).unwrap();
        let verdict = only(host.check(rules)).verdict;
        assert!(verdict.actual.contains(actual), "{verdict:#?}");
        assert_eq!(host.fix(rules).unwrap().result, FixResult::Fixed);
        assert_eq!(host.text(two), "# a\n");
    }
}

#[test]
fn a_user_cannot_send_a_key_elsewhere_with_a_link() {
    let host = with_home();
    symlink("/root", host.path("/home/alice/.ssh")).unwrap();
    std::os::unix::fs::lchown(host.path("/home/alice/.ssh"), Some(1000), Some(1000)).unwrap();
    let verdict = only(host.check(&rule("ssh_authorized_key", LINES))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("it is not followed"));
    let nobody = rule("ssh_authorized_key", &LINES.replace("alice\"\n", "erin\"\n"));
    let verdict = only(host.check(&nobody)).verdict;
    assert_eq!(verdict.actual, "there is no user erin");
    assert!(!verdict.fixable);
}

#[test]
fn who_is_known_elsewhere_may_have_a_key_that_nobody_sees() {
    let lines = format!("{}\nstate = \"absent\"", LINES.replace("alice\"\n", "erin\"\n"));
    let verdict = only(with_home().check(&rule("ssh_authorized_key", &lines))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("erin is not in /etc/passwd"));
}

#[test]
fn a_neighbours_key_below_a_closed_folder_is_in_no_diff() {
    let neighbour = KEY.replace("GGXD", "GGXE");
    let host = with_keys(&format!("environment=\"TOKEN=canary\" {neighbour}\n"), 0o644);
    let checked = only(host.check(&rule("ssh_authorized_key", LINES)));
    let diff: String = checked.changes.iter().map(Change::diff).collect();
    assert!(diff.contains("authorized_keys") && !diff.contains("canary"), "{diff}");
}

#[test]
fn sudoers_do_all_seven_on_a_real_debian_and_what_visudo_refuses_never_lands() {
    let host = debian::host().with("/etc/sudoers.d/old", "bob ALL=(ALL) NOPASSWD: ALL\n");
    all_seven(
        &host,
        &[
            Row {
                kind: "sudoers",
                lines: "file = \"50-deploy\"\ncontent = \"alice ALL=(root) /usr/bin/tidegate\"",
                expected: "a file, mode 0440",
                actual: "nothing",
                fix: Fix::Plan(&["+++ /etc/sudoers.d/50-deploy"]),
            },
            Row {
                kind: "sudoers",
                lines: "file = \"old\"\nstate = \"absent\"",
                expected: "nothing at /etc/sudoers.d/old",
                actual: "a file",
                fix: Fix::Plan(&["--- /etc/sudoers.d/old", "+++ /dev/null"]),
            },
            Row {
                kind: "sudoers",
                lines: "file = \"bad\"\ncontent = \"alice ALL=(ALL NOPASSWD\"",
                expected: "a file, mode 0440",
                actual: "nothing",
                fix: Fix::Cannot("visudo refuses it"),
            },
        ],
    );
    fs::remove_file(host.path("/usr/sbin/visudo")).unwrap();
    let good = rule("sudoers", "file = \"x\"\ncontent = \"alice ALL=(ALL) ALL\"");
    let verdict = only(host.check(&good)).verdict;
    assert!(!verdict.fixable && verdict.reason.unwrap().contains("`visudo` is not installed"));
}

#[test]
fn jobs_do_all_seven_on_a_real_debian() {
    let host = debian::host().with("/etc/cron.d/old", "@daily root true\n");
    all_seven(
        &host,
        &[
            Row {
                kind: "cron",
                lines: "file = \"backup\"\nschedule = \"15  3 * * *\"\nuser = \"root\"\n\
                        command = \"/usr/bin/backup --all\"",
                expected: "a file, mode 0644",
                actual: "nothing",
                fix: Fix::Plan(&[
                    "+++ /etc/cron.d/backup",
                    "+15 3 * * * root /usr/bin/backup --all",
                ]),
            },
            Row {
                kind: "cron",
                lines: "file = \"old\"\nstate = \"absent\"",
                expected: "nothing at /etc/cron.d/old",
                actual: "a file",
                fix: Fix::Plan(&["-@daily root true"]),
            },
        ],
    );
}

#[test]
fn a_job_that_cron_would_cut_or_leave_out_is_named() {
    let job = |user: &str, command: &str| {
        let lines = "file = \"x\"\nschedule = \"@daily\"";
        rule("cron", &format!("{lines}\nuser = \"{user}\"\ncommand = '{command}'"))
    };
    let cut = job("root", "/bin/date +%F");
    let said = Repo::default().web("").with("rulesets/it.toml", cut).findings();
    assert!(said.contains("write `\\%` for the character"), "{said}");
    let host = with_alice();
    for (user, status) in [("alice", VerdictStatus::Ok), ("mallory", VerdictStatus::Error)] {
        let host_job = job(user, r"/bin/date +\%F");
        let line = format!("@daily {user} /bin/date +\\%F\n");
        let host = with_alice().with("/etc/cron.d/x", &line);
        let verdict = only(host.check(&host_job)).verdict;
        assert_eq!(verdict.status, status, "{verdict:#?}");
    }
    // The second backslash is the first's.
    let cut = job("root", r"/bin/date +\\%F");
    let said = Repo::default().web("").with("rulesets/it.toml", cut).findings();
    assert!(said.contains("write `\\%` for the character"), "{said}");
    let verdict = only(host.check(&job("mallory", "true"))).verdict;
    assert!(verdict.reason.unwrap().contains("cron would leave the job out"));
}

#[test]
fn a_job_may_be_of_a_user_whom_another_directory_than_etc_passwd_knows() {
    let job =
        rule("cron", "file = \"x\"\nschedule = \"@daily\"\nuser = \"carol\"\ncommand = \"true\"");
    let host = debian::host()
        .with("/etc/nsswitch.conf", "passwd: files extrausers\n")
        .with("/var/lib/extrausers/passwd", "carol:x:7000:7000::/home/carol:/bin/sh\n");
    let record = host.fix(&job).unwrap();
    assert_eq!(record.result, FixResult::Fixed);
    assert_eq!(host.text("/etc/cron.d/x"), "@daily carol true\n");
}
