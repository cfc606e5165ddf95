//! `tidegate init`, judged by plain git.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn command(program: &str, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home);
    command.current_dir(home).stdin(Stdio::null());
    command
}

fn tidegate(home: &Path, args: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_tidegate"), home).arg("init").args(args).output().unwrap()
}

fn git(home: &Path, repository: &str, args: &[&str]) -> String {
    let output = command("git", home).arg("-C").arg(repository).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn write(home: &Path, path: &str, text: &str) {
    let path = home.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A key that git signs with, and the same key as one that git believes.
fn configure(home: &Path) {
    let made = command("ssh-keygen", home)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "alice@example.org", "-f", "id_ed25519"])
        .status()
        .unwrap();
    assert!(made.success());
    let key = std::fs::read_to_string(home.join("id_ed25519.pub")).unwrap();
    write(home, "believed", &format!("alice@example.org {key}"));
    write(
        home,
        ".gitconfig",
        "[user]\nname = Alice\nemail = alice@example.org\nsigningkey = ~/id_ed25519.pub\n\
         [gpg]\nformat = ssh\n[gpg \"ssh\"]\nallowedSignersFile = ~/believed\n",
    );
}

#[test]
fn a_new_repository_begins_with_an_anchor_for_each_environment_that_git_verifies() {
    let home = TempDir::new().unwrap();
    configure(home.path());
    let output = tidegate(home.path(), &["config"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    for environment in ["dev", "tst", "prd"] {
        git(home.path(), "config", &["verify-commit", environment]);
        let anchor = git(home.path(), "config", &["rev-parse", environment]);
        assert!(text.contains(anchor.trim()), "{text}");
        let tree = git(home.path(), "config", &["ls-tree", "-r", "--name-only", environment]);
        let own = format!("environments/{environment}/");
        let foreign = tree.lines().find(|p| p.starts_with("environments/") && !p.starts_with(&own));
        assert_eq!(foreign, None);
        let message = git(home.path(), "config", &["log", "-1", "--format=%B", environment]);
        assert_eq!(
            message.trim().lines().last().unwrap(),
            format!("Tidegate: anchor {environment}")
        );
    }
    let trust = git(home.path(), "config", &["show", "tst:environments/tst/trust.toml"]);
    let dev = git(home.path(), "config", &["rev-parse", "dev"]);
    assert!(trust.contains(&format!("anchor = \"{}\"", dev.trim())), "{trust}");
    assert_eq!(git(home.path(), "config", &["status", "--porcelain"]), "");
    for environment in ["dev", "tst", "prd"] {
        git(home.path(), "config", &["switch", "--quiet", environment]);
        let mut lint = command(env!("CARGO_BIN_EXE_tidegate"), home.path());
        let said = lint.args(["lint", "config"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "no mistakes found\n", "{environment}");
    }
    git(home.path(), "config", &["fsck", "--strict"]);
    // The second time there is something in the way.
    let output = tidegate(home.path(), &["config"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn branches_begin_with_the_content_that_the_history_ends_with() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    write(home, "example/tidegate.toml", "repository = \"demo\"\n");
    write(home, "example/rulesets/app1.toml", "version = \"1\"\n");
    write(
        home,
        "example/history/01.toml",
        "kind = \"change\"\nenvironment = \"dev\"\nsigner = \"alice\"\n",
    );
    write(
        home,
        "example/history/02.toml",
        "kind = \"promote\"\nenvironment = \"tst\"\nsource = \"dev\"\nsigner = \"bob\"\n",
    );
    write(
        home,
        "example/history/03.toml",
        "kind = \"change\"\nenvironment = \"dev\"\nsigner = \"bob\"\n",
    );
    write(home, "example/history/03/rulesets/app1.toml", "version = \"2\"\n");
    for environment in ["dev", "tst"] {
        let from = if environment == "tst" { "[promotion]\nfrom = \"dev\"\n" } else { "" };
        let people = "[people.alice]\nkeys = []\n[people.bob]\nkeys = []\n";
        write(
            home,
            &format!("example/environments/{environment}/trust.toml"),
            &format!("{people}{from}"),
        );
        write(home, &format!("example/environments/{environment}/nodes/n1.toml"), "");
    }
    let args = ["--from", "example", "--keys", "people", "-o", "json", "demo"];
    let output = tidegate(home, &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(made["schema"], "tidegate.init/1");
    let agent = made["lines"][1]["nodes"][0]["agent_toml"].as_str().unwrap();
    let anchor = git(home, "demo", &["rev-parse", "tst"]);
    assert!(agent.contains(&format!("anchor = \"{}\"", anchor.trim())), "{agent}");
    assert_eq!(made["lines"][1]["signer"], "bob");
    let version = |line: &str| git(home, "demo", &["show", &format!("{line}:rulesets/app1.toml")]);
    assert_eq!(
        (version("dev").as_str(), version("tst").as_str()),
        ("version = \"2\"\n", "version = \"1\"\n")
    );
    let tree = git(home, "demo", &["ls-tree", "-r", "--name-only", "dev"]);
    assert!(!tree.contains("history/"), "{tree}");
    let key = std::fs::read_to_string(home.join("people/alice.pub")).unwrap();
    let trust = git(home, "demo", &["show", "dev:environments/dev/trust.toml"]);
    assert!(trust.contains(key.trim()), "{trust}");
    write(
        home,
        "believed",
        &format!(
            "bob@example.org {}",
            std::fs::read_to_string(home.join("people/bob.pub")).unwrap()
        ),
    );
    let believed = "gpg.ssh.allowedSignersFile=believed";
    let file = home.join("believed").display().to_string();
    let setting = believed.replace("=believed", &format!("={file}"));
    git(home, "demo", &["-c", &setting, "verify-commit", "dev"]);
}

#[test]
fn without_a_key_it_says_how_to_get_one() {
    let home = TempDir::new().unwrap();
    let output = tidegate(home.path(), &["config"]);
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("gpg.format ssh"), "{text}");
    assert!(!home.path().join("config").exists());
}

#[test]
fn lines_are_not_begun_with_a_key_that_nobody_lists() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    configure(home);
    let key = std::fs::read_to_string(home.join("id_ed25519.pub")).unwrap();
    let other = "[people.alice]\nkeys = [\"ssh-ed25519 AAAA alice\"]\n";
    write(home, "example/tidegate.toml", "repository = \"demo\"\n");
    write(home, "example/environments/dev/trust.toml", other);
    write(home, "example/environments/tst/trust.toml", other);
    let refused = tidegate(home, &["--from", "example", "demo"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("(dev, tst) lists the key") && said.contains("--keys DIR"), "{said}");
    assert!(!home.join("demo").exists());
    let own = format!("[people.alice]\nkeys = [\"{}\"]\n", key.trim());
    write(home, "example/environments/dev/trust.toml", &own);
    let made = tidegate(home, &["--from", "example", "demo"]);
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success() && said.contains("trust.toml of tst does not list"), "{said}");
}
