//! File systems that do not answer.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::clients::host::Silence;
use tidegate::compliance::record::FixResult;
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::telemetry::Chain;

use crate::compliance::mounts::is_inside;
use crate::compliance::support::{Host, rule, rules_of};

/// Mounts a file system whose program never answers, for as long as this program runs. It ends in the
/// end, so that a test which waits for it fails.
const SILENT: &str = r#"
import ctypes, os, select, sys
libc = ctypes.CDLL(None, use_errno=True)
for path in sys.argv[1:]:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"silent", path.encode(), b"fuse", 0, options):
        sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
select.select([sys.stdin], [], [], 45)
"#;

/// File systems that are silent for as long as this lives.
struct Silent(Child);

impl Silent {
    fn at(host: &Host, paths: &[&str]) -> Self {
        let mut program = Command::new("python3");
        program.args(["-c", SILENT]);
        for path in paths {
            fs::create_dir_all(host.path(path)).unwrap();
            program.arg(host.path(path));
        }
        let mut program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 8];
        program.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        Self(program)
    }

    /// Whether nobody had to wait for its end.
    fn is_still(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn called(name: &str, kind: &str, lines: &str) -> String {
    rule(kind, lines).replace("name = \"a\"", &format!("name = \"{name}\""))
}

fn found(host: &Host, rules: &str) -> Vec<(VerdictStatus, Option<String>)> {
    let checked = host.check(rules).into_iter();
    checked.map(|checked| (checked.verdict.status, checked.verdict.reason)).collect()
}

fn silent(reason: &str) -> (VerdictStatus, Option<String>) {
    (VerdictStatus::Error, Some(reason.to_owned()))
}

/// A host with such a mount at `/mnt/away`, and a link to it.
fn with_silent_mount() -> (Host, Silent) {
    let host = Host::default().with("/etc/there", "x");
    let silent = Silent::at(&host, &["/mnt/away"]);
    symlink("/mnt/away", host.path("/etc/link")).unwrap();
    (host, silent)
}

/// Rules about files of these names, with mode 0644.
fn of_mode(files: &[(&str, &str)]) -> String {
    let one = |(name, path): &(&str, &str)| {
        called(name, "file", &format!("path = \"{path}\"\nmode = \"0644\""))
    };
    files.iter().map(one).collect()
}

fn n_threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// How many threads there are once those that looked and got their answer have ended; not more than
/// `most`, unless some stay.
fn n_threads_left(most: usize) -> usize {
    let ends = Instant::now() + Duration::from_secs(20);
    while n_threads() > most && Instant::now() < ends {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    n_threads()
}

#[test]
fn mends_beside_a_file_system_that_does_not_answer_leave_no_more_threads_each() {
    if !is_inside(
        "silent::mends_beside_a_file_system_that_does_not_answer_leave_no_more_threads_each",
    ) {
        return;
    }
    let (host, _silent) = with_silent_mount();
    let state =
        rules_of(&of_mode(&[("a", "/etc/there"), ("b", "/mnt/away/x"), ("c", "/etc/link/x")]));
    let silence = Silence::of(&host.root()).unwrap();
    // One hangs for the mount, and one for the path that leads there.
    let most = n_threads() + 2;
    for _ in 0..4 {
        fs::set_permissions(host.path("/etc/there"), fs::Permissions::from_mode(0o600)).unwrap();
        let first = host.check_beside(&state, &silence).remove(0);
        let recheck = || {
            let again = host.check_beside(&state, &silence).remove(0).verdict;
            (again.status != VerdictStatus::Ok).then(|| format!("{again:?}"))
        };
        let record = host.mender(|mender| mender.fix(&first, recheck, Timestamp::now())).unwrap();
        assert_eq!(record.result, FixResult::Fixed);
        assert!(n_threads_left(most) <= most);
    }
}

#[test]
fn a_file_system_that_does_not_answer_holds_up_no_other_rule() {
    if !is_inside("silent::a_file_system_that_does_not_answer_holds_up_no_other_rule") {
        return;
    }
    let (host, _silent) = with_silent_mount();
    let rules = of_mode(&[("a", "/etc/there"), ("b", "/mnt/away/sub/x"), ("c", "/etc/link/x")]);
    assert_eq!(
        found(&host, &rules),
        [
            (VerdictStatus::Ok, None),
            silent("the file system at /mnt/away does not answer"),
            silent("the file system at /mnt/away does not answer"),
        ]
    );
}

#[test]
fn however_many_paths_lead_to_it_by_a_link_those_that_do_not_are_looked_at() {
    let name = "however_many_paths_lead_to_it_by_a_link_those_that_do_not_are_looked_at";
    if !is_inside(&format!("silent::{name}")) {
        return;
    }
    let (host, mut away) = with_silent_mount();
    // Through a folder, by a link that is not absolute, and out of it again.
    fs::create_dir(host.path("/etc/d")).unwrap();
    symlink("../link", host.path("/etc/d/on")).unwrap();
    symlink("/mnt/away/sub/../../..", host.path("/etc/out")).unwrap();
    let led = (0..20).map(|n| {
        let path = ["/etc/link", "/etc/d/on", "/etc/out/etc"][n % 3];
        of_mode(&[(&format!("r{n:02}"), &format!("{path}/x{n}"))])
    });
    let rules = led.chain([of_mode(&[("z", "/etc/there")])]).collect::<String>();
    let found = found(&host, &rules);
    let (there, led) = found.split_last().unwrap();
    assert_eq!(*there, (VerdictStatus::Ok, None));
    let reason = silent("the file system at /mnt/away does not answer");
    assert!(led.len() == 20 && led.iter().all(|led| *led == reason), "{led:#?}");
    assert!(away.is_still());
}

#[test]
fn keys_mounts_and_archives_on_a_file_system_that_does_not_answer_are_not_looked_at() {
    let name = "keys_mounts_and_archives_on_a_file_system_that_does_not_answer_are_not_looked_at";
    if !is_inside(&format!("silent::{name}")) {
        return;
    }
    let passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n";
    let host = Host::default().with("/etc/there", "x").with("/etc/passwd", passwd);
    let mut away = Silent::at(&host, &["/home"]);
    let key = "user = \"alice\"\nkey = \"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGwtjKgp6I4cXDXVGKBoBdGm9QZOhPfYNkA6hmTSGGXD\"";
    let rules = [
        called("a", "ssh_authorized_key", key),
        called("b", "mount", "path = \"/home/data\"\nstate = \"absent\""),
        called("c", "mount", "path = \"/srv/data\"\nsource = \"/home/data\"\noptions = [\"bind\"]"),
        called("d", "file", "path = \"/etc/there\"\nmode = \"0644\""),
    ];
    let reason = "the file system at /home does not answer";
    assert_eq!(
        found(&host, &rules.concat()),
        [silent(reason), silent(reason), silent(reason), (VerdictStatus::Ok, None)]
    );
    assert!(away.is_still());
}

#[test]
fn a_folder_that_every_host_needs_and_that_does_not_answer_holds_up_no_fix_of_another() {
    let name = "a_folder_that_every_host_needs_and_that_does_not_answer_holds_up_no_fix_of_another";
    if !is_inside(&format!("silent::{name}")) {
        return;
    }
    let host = Host::default().with("/etc/motd", "old\n");
    fs::create_dir_all(host.path("/srv/empty")).unwrap();
    let mut away = Silent::at(&host, &["/home", "/opt"]);
    let motd = rule("file", "path = \"/etc/motd\"\ncontent = \"new\\n\"");
    assert_eq!(host.fix(&motd).unwrap().result, FixResult::Fixed);
    let empty = rule("file_absent", "path = \"/srv/empty\"");
    assert_eq!(host.fix(&empty).unwrap().result, FixResult::Fixed);
    assert!(away.is_still());
}

#[test]
fn file_systems_that_do_not_answer_cost_a_thread_each_however_often_they_are_asked() {
    let name = "file_systems_that_do_not_answer_cost_a_thread_each_however_often_they_are_asked";
    if !is_inside(&format!("silent::{name}")) {
        return;
    }
    let host = Host::default();
    let mut away = Silent::at(&host, &["/mnt/a", "/mnt/b"]);
    symlink("/mnt/a", host.path("/etc/link")).unwrap();
    // One hangs for each mount, and one for the path that leads there.
    let most = n_threads() + 3;
    let mut silence = Silence::below(host.root().folder().to_owned());
    let mut ask = || {
        silence.ask(&host.root()).unwrap();
        assert!(silence.is_any() && silence.answers(&"/etc/link/x".parse().unwrap()).is_err());
        n_threads_left(most)
    };
    for _ in 0..4 {
        assert!(ask() <= most);
    }
    assert!(away.is_still());
}

#[test]
fn a_fix_of_what_does_not_answer_any_more_is_not_taken_back_and_that_is_said() {
    let name = "a_fix_of_what_does_not_answer_any_more_is_not_taken_back_and_that_is_said";
    if !is_inside(&format!("silent::{name}")) {
        return;
    }
    let host = Host::default().with("/mnt/away/motd", "old\n");
    let motd = rule("file", "path = \"/mnt/away/motd\"\ncontent = \"new\\n\"");
    let record = host.fix(&motd).unwrap();
    let mut away = Silent::at(&host, &["/mnt/away"]);
    let error = host.mender(|mender| mender.way_back(&record)).unwrap_err();
    let said = Chain(&error).to_string();
    assert!(said.contains("the file system at /mnt/away does not answer"), "{said}");
    assert!(away.is_still());
}
