//! Kinds that look and never change, on a real Debian.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::process::{Child, Command};
use std::thread;

use tidegate::compliance::verdict::VerdictStatus;

use crate::compliance::cli::{Stage, everybody, json};
use crate::compliance::debian;
use crate::compliance::seven::{Fix, Row, all_seven};
use crate::compliance::support::{Host, only, rule};
use crate::support::program::copy_program;

/// A Debian with the kernel's /proc mounted, for as long as it lives.
struct Living(Host);

impl Living {
    fn new() -> Self {
        Self::with("defaults")
    }

    fn with(options: &str) -> Self {
        let host = debian::host();
        let mut mount = Command::new("mount");
        let mount = mount.args(["-t", "proc", "-o", options, "proc"]);
        let status = mount.arg(host.path("/proc")).status();
        assert!(status.unwrap().success());
        Self(host)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let gone = Command::new("umount").arg(self.0.path("/proc")).status();
        assert!(gone.unwrap().success());
    }
}

/// A process of the Debian's own, for as long as it lives.
struct Running(Child);

impl Running {
    fn new(host: &Host, argv: &[&str]) -> Self {
        let child = Command::new(host.path(argv[0])).args(&argv[1..]).spawn().unwrap();
        // The kernel lets the parent go on before it shows the new program's command line.
        let line = format!("/proc/{}/cmdline", child.id());
        while !fs::read_to_string(&line).unwrap().contains(argv[0]) {
            thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn status(host: &Host, kind: &str, lines: &str) -> VerdictStatus {
    only(host.check(&rule(kind, lines))).verdict.status
}

#[test]
fn processes_do_all_seven_on_a_real_debian() {
    let living = Living::new();
    let host = &living.0;
    copy_program(host.path("/bin/sleep"), host.path("/bin/tg-sleep-for-a-while"));
    let running = Running::new(host, &["/bin/tg-sleep-for-a-while", "600"]);
    let is = "process = \"tg-sleep-for-a-while\"";
    for more in ["", "\nargs = \"while 600$$\"", "\nuser = \"root\""] {
        assert_eq!(status(host, "process", &format!("{is}{more}")), VerdictStatus::Ok, "{more}");
    }
    let absent = Row {
        kind: "process",
        lines: "process = \"tg-sleep-for-a-while\"\nstate = \"absent\"",
        expected: "no tg-sleep-for-a-while runs",
        actual: "1 run: process ",
        fix: Fix::Cannot("Tidegate ends no processes"),
    };
    all_seven(host, &[absent]);
    // Whom another directory knows may well run it.
    for state in ["running", "absent"] {
        let lines = format!("{is}\nuser = \"bob\"\nstate = \"{state}\"");
        let verdict = only(host.check(&rule("process", &lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::Error, "{state}");
        assert!(verdict.reason.unwrap().contains("bob is not in /etc/passwd"), "{state}");
    }
    drop(running);
    assert_eq!(status(host, "process", &format!("{is}\nstate = \"absent\"")), VerdictStatus::Ok);
    let gone = Row {
        kind: "process",
        lines: "process = \"tg-sleep-for-a-while\"\nargs = \"600\"\nuser = \"root\"",
        expected: "tg-sleep-for-a-while with /600/ of user root runs",
        actual: "no such process",
        fix: Fix::Cannot("Tidegate starts no processes"),
    };
    all_seven(host, &[gone]);
}

#[test]
fn where_others_processes_are_hidden_nothing_is_said_to_run_or_not() {
    let living = Living::with("hidepid=invisible");
    let host = &living.0;
    fs::set_permissions(host.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for state in ["running", "absent"] {
        let stage = Stage::on(tempfile::tempdir().unwrap(), &host.path("/"), "");
        let lines = format!("process = \"init\"\nstate = \"{state}\"");
        stage.commit("rulesets/it/linux.toml", &rule("process", &lines));
        everybody(stage.dir.path());
        let said = stage.as_nobody(&["check", "--rule", "it.linux/a", "-o", "json"]);
        let verdict = &json(&said)["verdicts"][0];
        assert_eq!(verdict["status"], "error", "{verdict}");
        assert!(verdict["reason"].as_str().unwrap().contains("hidepid"), "{verdict}");
    }
}

#[test]
fn without_proc_nobody_knows_what_runs_or_listens() {
    let host = debian::host();
    for (kind, lines) in [("process", "process = \"sshd\""), ("listening_port", "port = 22")] {
        let verdict = only(host.check(&rule(kind, lines))).verdict;
        assert_eq!(verdict.status, VerdictStatus::Error, "{kind}");
        assert!(verdict.reason.unwrap().contains("nothing is mounted there"), "{kind}");
    }
}

#[test]
fn ports_do_all_seven_on_a_real_debian() {
    let living = Living::new();
    let host = &living.0;
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp_port, udp_port) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    for (lines, wanted) in [
        (format!("port = {tcp_port}"), VerdictStatus::Ok),
        (format!("port = {tcp_port}\naddress = \"127.0.0.1\""), VerdictStatus::Ok),
        (format!("port = {tcp_port}\naddress = [\"::1\", \"10.0.0.1\"]"), VerdictStatus::NotOk),
        (format!("port = {tcp_port}\nstate = \"closed\""), VerdictStatus::NotOk),
        (format!("port = {udp_port}\nprotocol = \"udp\""), VerdictStatus::Ok),
        (
            format!("port = {udp_port}\nprotocol = \"udp\"\nstate = \"closed\""),
            VerdictStatus::NotOk,
        ),
    ] {
        assert_eq!(status(host, "listening_port", &lines), wanted, "{lines}");
    }
    let listens = format!("something listens on tcp port {tcp_port}, at 127.0.0.1").leak();
    let open = |lines: String, expected: String| Row {
        kind: "listening_port",
        lines: lines.leak(),
        expected: expected.leak(),
        actual: listens,
        fix: Fix::Cannot("Tidegate starts and ends no services for a port"),
    };
    let wanted = format!("port = {tcp_port}\naddress = \"10.0.0.1\"");
    all_seven(
        host,
        &[
            open(
                format!("port = {tcp_port}\nstate = \"closed\""),
                format!("nothing listens on tcp port {tcp_port}"),
            ),
            open(wanted, format!("something listens on tcp port {tcp_port}, at 10.0.0.1 alone")),
        ],
    );
    let closed = Row {
        kind: "listening_port",
        // Nothing is ever given this one.
        lines: "port = 1",
        expected: "something listens on tcp port 1",
        actual: "nothing listens on tcp port 1",
        fix: Fix::Cannot("Tidegate starts and ends no services for a port"),
    };
    all_seven(host, &[closed]);
}

/// A certificate of its own, made now, for two days.
fn with_certificate() -> Host {
    let host = debian::host();
    let folder = host.path("/etc/ssl/tg");
    fs::create_dir_all(&folder).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    openssl.args([
        "-subj",
        "/CN=Test CA/O=Example",
        "-addext",
        "subjectAltName=DNS:hub.prd,IP:10.0.0.1",
    ]);
    openssl.arg("-keyout").arg(folder.join("key.pem")).arg("-out").arg(folder.join("cert.pem"));
    assert!(openssl.output().unwrap().status.success());
    host.with("/etc/ssl/tg/none.pem", "nothing\n")
}

#[test]
fn certificates_do_all_seven_on_a_real_debian() {
    let host = with_certificate();
    let good = "path = \"/etc/ssl/tg/cert.pem\"\ndays = 1\nissuer = \"CN=Test*\"\n\
                names = [\"hub.prd\", \"10.0.0.1\"]";
    assert_eq!(status(&host, "certificate", good), VerdictStatus::Ok);
    let bad = "path = \"/etc/ssl/tg/none.pem\"";
    assert_eq!(status(&host, "certificate", bad), VerdictStatus::Error);
    fs::copy(host.path("/etc/ssl/tg/cert.pem"), host.path("/root/cert.pem")).unwrap();
    assert_eq!(host.mode("/root"), 0o700);
    all_seven(
        &host,
        &[
            Row {
                kind: "certificate",
                lines: "path = \"/etc/ssl/tg/cert.pem\"\ndays = 30",
                expected: "/etc/ssl/tg/cert.pem valid for another 30 days",
                actual: "it expires on ",
                fix: Fix::Cannot("Tidegate makes no certificates"),
            },
            Row {
                kind: "certificate",
                lines: "path = \"/etc/ssl/tg/cert.pem\"\nissuer = \"CN=Other*\"\nnames = \"hub.dev\"",
                expected: "/etc/ssl/tg/cert.pem valid now, issued by CN=Other*, for hub.dev",
                actual: "issued by CN=Test CA, O=Example, not for hub.dev",
                fix: Fix::Cannot("Tidegate makes no certificates"),
            },
            Row {
                kind: "certificate",
                lines: "path = \"/etc/ssl/tg/no.pem\"",
                expected: "/etc/ssl/tg/no.pem valid now",
                actual: "there is no such file",
                fix: Fix::Cannot("Tidegate makes no certificates"),
            },
            // In a folder of root's own.
            Row {
                kind: "certificate",
                lines: "path = \"/root/cert.pem\"\ndays = 30",
                expected: "/root/cert.pem valid for another 30 days",
                actual: "it expires on ",
                fix: Fix::CannotUnseen("Tidegate makes no certificates"),
            },
        ],
    );
}

#[test]
fn a_certificate_is_looked_for_where_the_kernel_finds_it_and_through_no_users_link() {
    let host = with_certificate().with("/etc/ssl/shared/cert.pem", "another file\n");
    fs::create_dir_all(host.path("/srv/certs/v2")).unwrap();
    fs::rename(host.path("/etc/ssl/tg"), host.path("/srv/certs/shared")).unwrap();
    symlink("/srv/certs/v2", host.path("/etc/ssl/current")).unwrap();
    symlink("../shared/cert.pem", host.path("/srv/certs/v2/cert.pem")).unwrap();
    let lines = "path = \"/etc/ssl/current/cert.pem\"\ndays = 1";
    assert_eq!(status(&host, "certificate", lines), VerdictStatus::Ok);
    lchown(host.path("/srv/certs/v2/cert.pem"), Some(1000), Some(1000)).unwrap();
    let verdict = only(host.check(&rule("certificate", lines))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("user 1000 may have put there"));
    // A file that something else than a file takes the place of says nothing, as for sysctl.d.
    let masked = Host::default().with("/proc/sys/vm/swappiness", "60\n");
    fs::create_dir_all(masked.path("/etc/sysctl.d")).unwrap();
    symlink("/etc", masked.path("/etc/sysctl.d/10-x.conf")).unwrap();
    let lines = "key = \"vm.swappiness\"\nvalue = 10";
    assert_eq!(status(&masked, "sysctl", lines), VerdictStatus::NotOk);
}

#[test]
fn commands_do_all_seven_on_a_real_debian_and_only_those_that_policy_names_are_run() {
    let mut host = debian::host();
    let touch = "argv = [\"/usr/bin/touch\", \"/etc/canary\"]";
    let verdict = only(host.check(&rule("command", touch))).verdict;
    assert_eq!(verdict.status, VerdictStatus::Error);
    assert!(verdict.reason.unwrap().contains("[policy] commands = [\"/usr/bin/touch\"]"));
    assert!(!host.path("/etc/canary").exists());
    for program in ["/usr/bin/dpkg-query", "/bin/sleep", "/usr/bin/no"] {
        host.commands.insert(program.to_owned());
    }
    for (lines, wanted) in [
        (
            "argv = [\"/usr/bin/dpkg-query\", \"-W\", \"dpkg\"]\noutput = \"^dpkg\\\\s+1\"",
            VerdictStatus::Ok,
        ),
        ("argv = [\"/usr/bin/dpkg-query\", \"-W\", \"nothing\"]\nexit = 1", VerdictStatus::Ok),
        ("argv = [\"/bin/sleep\", \"600\"]\ntimeout = \"1s\"", VerdictStatus::Error),
        ("argv = [\"/usr/bin/no\"]", VerdictStatus::Error),
        // There is no shell: this is one argument.
        (
            "argv = [\"/usr/bin/dpkg-query\", \"-W; touch /etc/canary\"]\nexit = 2",
            VerdictStatus::Ok,
        ),
    ] {
        assert_eq!(status(&host, "command", lines), wanted, "{lines}");
    }
    assert!(!host.path("/etc/canary").exists());
    all_seven(
        &host,
        &[
            Row {
                kind: "command",
                lines: "argv = [\"/usr/bin/dpkg-query\", \"-W\", \"nothing\"]",
                expected: "`/usr/bin/dpkg-query -W nothing` exits 0",
                actual: "it exits 1",
                fix: Fix::CannotUnseen("Tidegate does not know what would mend it"),
            },
            Row {
                kind: "command",
                lines: "argv = [\"/usr/bin/dpkg-query\", \"-W\", \"dpkg\"]\noutput = \"canary\"",
                expected: "`/usr/bin/dpkg-query -W dpkg` exits 0 and says /canary/",
                actual: "it says something else",
                fix: Fix::CannotUnseen("Tidegate does not know what would mend it"),
            },
        ],
    );
}
