//! Whom commits and approvals are signed as: whatever git is told, with real agents and gpg.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread::park_timeout as park;
use std::time::{Duration, Instant};

use crate::promote::stage::{PINS, Stage};
use crate::support::program::write_program;

/// An `ssh-agent` that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Something that bob may promote to tst.
async fn waiting() -> Stage {
    let stage = Stage::new().await;
    stage.change("alice", "dev", PINS, &stage.pins("app1", 1), "app1 1.1.0");
    stage
}

/// Starts an agent and gives it bob's key, whose private file is then gone.
fn agent_alone(stage: &mut Stage) -> Agent {
    let socket = stage.path("agent");
    let mut start = stage.command("ssh-agent", stage.dir.path());
    let agent = start.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let agent = Agent(agent);
    let since = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(since.elapsed() < Duration::from_secs(20), "the agent does not start");
        park(Duration::from_millis(10));
    }
    stage.env.push(("SSH_AUTH_SOCK", socket));
    let key = key(stage);
    run(stage, "ssh-add", &["-q", key.to_str().unwrap()]);
    std::fs::remove_file(&key).unwrap();
    agent
}

fn key(stage: &Stage) -> PathBuf {
    stage.path("keys").join("bob")
}

fn public(stage: &Stage) -> String {
    let text = std::fs::read_to_string(stage.path("keys/bob.pub")).unwrap();
    text.trim().to_owned()
}

fn run(stage: &Stage, program: &str, args: &[&str]) -> String {
    let output = stage.command(program, stage.dir.path()).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Bob promotes to tst, which nodes believe.
fn promotes(stage: &Stage) {
    stage.ok("bob", &["promote", "--to", "tst"]);
    stage.verify("tst");
}

#[tokio::test]
async fn a_key_that_only_the_agent_has_signs() {
    let mut stage = waiting().await;
    let _agent = agent_alone(&mut stage);
    let file = format!("{}.pub", key(&stage).display());
    stage.git("bob", &["config", "user.signingkey", &file]);
    promotes(&stage);
}

#[tokio::test]
async fn a_key_that_the_configuration_holds_signs_by_the_agent_approvals_too() {
    let mut stage = waiting().await;
    let _agent = agent_alone(&mut stage);
    stage.git("bob", &["config", "user.signingkey", &format!("key::{}", public(&stage))]);
    promotes(&stage);
    stage.ok("carol", &["promote", "--to", "prd", "--propose"]);
    stage.ok("bob", &["approve", "promote/prd/1", "--yes"]);
    stage.ok("carol", &["promote", "--accept", "promote/prd/1", "--land"]);
    stage.verify("prd");
}

#[tokio::test]
async fn a_command_may_say_which_key_signs() {
    let mut stage = waiting().await;
    let _agent = agent_alone(&mut stage);
    stage.git("bob", &["config", "--unset", "user.signingkey"]);
    stage.git("bob", &["config", "gpg.ssh.defaultKeyCommand", "ssh-add -L"]);
    promotes(&stage);
}

#[tokio::test]
async fn a_key_with_a_passphrase_signs_once_the_agent_has_it() {
    let mut stage = waiting().await;
    for (name, value) in [("SSH_ASKPASS", "/bin/false"), ("SSH_ASKPASS_REQUIRE", "force")] {
        stage.env.push((name, value.into()));
    }
    let key = key(&stage).display().to_string();
    run(&stage, "ssh-keygen", &["-q", "-p", "-N", "secret", "-f", &key]);
    // Nobody can be asked here.
    let said = stage.run("bob", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("did not sign"), "{}", said.err);
    run(&stage, "ssh-keygen", &["-q", "-p", "-P", "secret", "-N", "", "-f", &key]);
    let _agent = agent_alone(&mut stage);
    stage.git("bob", &["config", "user.signingkey", &format!("{key}.pub")]);
    promotes(&stage);
}

#[tokio::test]
async fn a_security_keys_file_is_left_to_ssh_keygen() {
    let stage = waiting().await;
    for name in ["security_key", "security_key.pub"] {
        let from = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/promote/");
        std::fs::copy(format!("{from}{name}"), stage.path(name)).unwrap();
        std::fs::set_permissions(stage.path(name), Permissions::from_mode(0o600)).unwrap();
    }
    let file = stage.path("security_key.pub");
    stage.ok("alice", &["trust", "add", "bob", "--env", "tst", "--key", file.to_str().unwrap()]);
    stage.git("bob", &["config", "user.signingkey", file.to_str().unwrap()]);
    // It is not plugged in here.
    let said = stage.run("bob", &["promote", "--to", "tst"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("`ssh-keygen` did not sign"), "{}", said.err);
}

#[tokio::test]
async fn another_program_signs_in_ssh_keygens_place() {
    let stage = waiting().await;
    let program = stage.path("signer");
    let seen = stage.path("seen");
    let script = format!("#!/bin/sh\necho \"$@\" >> {}\nexec ssh-keygen \"$@\"\n", seen.display());
    write_program(&program, &script);
    stage.git("bob", &["config", "gpg.ssh.program", program.to_str().unwrap()]);
    stage.git("bob", &["config", "user.signingkey", &format!("{}.pub", key(&stage).display())]);
    promotes(&stage);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("-Y sign -n git"), "{seen}");
}

#[tokio::test]
async fn an_openpgp_key_of_trust_toml_signs() {
    let mut stage = waiting().await;
    let ring = stage.path("gpg");
    std::fs::create_dir(&ring).unwrap();
    std::fs::set_permissions(&ring, Permissions::from_mode(0o700)).unwrap();
    stage.env.push(("GNUPGHOME", ring));
    let make = ["--batch", "--passphrase", "", "--quick-gen-key"];
    run(&stage, "gpg", &[&make[..], &["bob@example.org", "ed25519", "sign", "never"]].concat());
    let listing = run(&stage, "gpg", &["--with-colons", "--list-keys"]);
    let print = listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
    let print = print.trim_matches(':').to_owned();
    let certificate = stage.path("bob.asc");
    std::fs::write(&certificate, run(&stage, "gpg", &["--armor", "--export"])).unwrap();
    let (whose, file) = (format!("openpgp:{print}"), certificate.display().to_string());
    let add = ["trust", "add", "bob", "--env", "tst", "--key", &whose, "--certificate", &file];
    stage.ok("alice", &add);
    stage.git("bob", &["config", "gpg.format", "openpgp"]);
    // Without a key, gpg takes the committer's, as it does for git.
    for (setting, version) in [(Some(print.as_str()), 2), (None, 0)] {
        match setting {
            Some(key) => stage.git("bob", &["config", "user.signingkey", key]),
            None => stage.git("bob", &["config", "--unset", "user.signingkey"]),
        };
        promotes(&stage);
        assert!(stage.git("origin.git", &["cat-file", "-p", "tst"]).contains("PGP SIGNATURE"));
        stage.change("alice", "dev", PINS, &stage.pins("app1", version), "another app1");
    }
    stage.ok("carol", &["promote", "--to", "prd", "--propose"]);
    let said = stage.run("bob", &["approve", "promote/prd/1", "--yes"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("approvals are signed with SSH keys"), "{}", said.err);
    run(&stage, "gpgconf", &["--kill", "all"]);
}

#[tokio::test]
async fn nobody_signs_where_git_is_not_told_who() {
    let stage = waiting().await;
    let before = stage.tip("tst");
    for (setting, value, wanted) in [
        ("gpg.format", "x509", "write `ssh` or `openpgp`"),
        ("user.signingkey", "", "which key to sign with"),
        ("user.signingkey", "/nowhere/key", "did not sign"),
    ] {
        let old = stage.git("bob", &["config", setting]);
        stage.git("bob", &["config", setting, value]);
        let said = stage.run("bob", &["promote", "--to", "tst"]);
        assert_eq!(said.code, 1, "{setting}={value}: {}", said.err);
        assert!(said.err.contains(wanted), "{setting}={value}: {}", said.err);
        stage.git("bob", &["config", setting, &old]);
    }
    assert_eq!(stage.tip("tst"), before);
}
