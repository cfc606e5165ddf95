//! How long it takes to verify 10,000 SSH-signed commits, beside `git verify-commit`, and to tell what
//! each of them changed.
//!
//! `cargo bench --bench verify [-- <commits>]`: the history is made in a temporary folder by
//! `git fast-import` for its files and by signing each commit in this process.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark says what it measured")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use tidegate::audit::Chain;
use tidegate::audit::log::{LogRequest, log};
use tidegate::clients::git::ObjectReader;
use tidegate::model::CommitId;
use tidegate::reconcile::trust::{Remembered, RevokedKeys, Sightings, VerifyRequest, verify};

const ROUNDS: usize = 5;
const SERVICES: usize = 50;
/// Git is slow enough that a part of the commits tells.
const GIT_COMMITS: usize = 100;

fn git(dir: &Path, args: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git {args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A service; every tenth commit changes one.
fn service(n: usize, secs: usize) -> String {
    format!(
        "app = \"app1\"\n[containers.web]\nimage = \"app{n}/web\"\n[update]\nhealth_timeout = \"{secs}s\"\n"
    )
}

/// Its pin, which each commit changes for one.
fn pin(n: usize, version: usize) -> String {
    let digest = format!("sha256:{version:064x}");
    format!(
        "[match]\nservice = \"s{n}\"\n[containers.web]\ndigest = \"{digest}\"\nversion = \"1.{version}.0\"\n"
    )
}

/// Unsigned commits, each changing one of fifty services on three nodes; their trees, oldest first.
fn trees(dir: &Path, policy: &str, n_commits: usize) -> Vec<String> {
    let mut stream = String::new();
    let file =
        |path: &str, text: &str| format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    for n in 0..=n_commits {
        let time = 1_767_225_600 + n * 60;
        let committer = format!("committer a <a@b> {time} +0000");
        stream.extend(["commit refs/heads/plain\n", &committer, "\ndata 1\nx\n"]);
        if n == 0 {
            let root = "repository = \"acme-config\"\nenvironments = [\"dev\"]\n[apps.app1]\nowner = \"alice\"\n";
            stream += &file("tidegate.toml", root);
            stream += &file("environments/dev/trust.toml", policy);
            let environment = "name = \"dev\"\nhub = \"dckhub.dev\"\n";
            stream += &file("environments/dev/environment.toml", environment);
            for node in 0..3 {
                stream += &file(&format!("environments/dev/nodes/n{node}.toml"), "");
            }
            for at in 0..SERVICES {
                stream += &file(&format!("services/s{at}.toml"), &service(at, 60));
                stream += &file(&format!("rulesets/s{at}.toml"), &pin(at, 0));
            }
        }
        let at = n % SERVICES;
        stream += &file(&format!("rulesets/s{at}.toml"), &pin(at, n));
        if n % 10 == 0 {
            stream += &file(&format!("services/s{at}.toml"), &service(at, 60 + n % 100));
        }
    }
    git(dir, &["fast-import", "--quiet"], stream.as_bytes());
    let log = git(dir, &["log", "--reverse", "--format=%T", "plain"], b"");
    log.lines().map(str::to_owned).collect()
}

/// The same trees as signed commits; their ids, oldest first, the anchor being the first.
fn signed(dir: &Path, key: &PrivateKey, trees: &[String]) -> Vec<CommitId> {
    let repository = git2::Repository::open(dir).unwrap();
    let odb = repository.odb().unwrap();
    let mut ids: Vec<CommitId> = Vec::new();
    for (n, tree) in trees.iter().enumerate() {
        let parent = ids.last().map(|id| format!("parent {id}\n")).unwrap_or_default();
        let who = format!("alice <alice@example.org> {} +0000", 1_767_225_600 + n * 60);
        let head = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n");
        let message = if n == 0 { "Begin\n\nTidegate: anchor dev\n" } else { "Change\n" };
        let payload = format!("{head}\n{message}");
        let signature = key.sign("git", HashAlg::Sha512, payload.as_bytes()).unwrap();
        let armoured = signature.to_pem(LineEnding::LF).unwrap();
        let folded = armoured.trim_end().replace('\n', "\n ");
        let bytes = format!("{head}gpgsig {folded}\n\n{message}");
        let id = odb.write(git2::ObjectType::Commit, bytes.as_bytes()).unwrap();
        ids.push(id.to_string().parse().unwrap());
    }
    let tip = ids.last().unwrap().to_string();
    git(dir, &["update-ref", "refs/heads/dev", &tip], b"");
    git(dir, &["repack", "-adq"], b"");
    ids
}

fn median_ms(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn git_ms_per_commit(dir: &Path, public_key: &str, tip: CommitId) -> f64 {
    let allowed = dir.join("allowed");
    std::fs::write(&allowed, format!("alice@example.org {public_key}\n")).unwrap();
    let allowed = format!("gpg.ssh.allowedSignersFile={}", allowed.to_str().unwrap());
    let range = format!("{tip}~{GIT_COMMITS}..{tip}");
    let start = Instant::now();
    let log = git(dir, &["-c", &allowed, "log", "--format=%G?", &range], b"");
    assert!(log.lines().all(|line| line == "G"), "git does not verify: {log}");
    start.elapsed().as_secs_f64() * 1_000.0 / f64::from(u32::try_from(GIT_COMMITS).unwrap())
}

fn main() {
    let commits = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "--bare", "."], b"");
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[7; 32]));
    let key = PrivateKey::new(pair, "alice").unwrap();
    let public_key = key.public_key().to_openssh().unwrap();
    let policy = format!(
        "version = 1\n[people.alice]\nkeys = [\"{public_key}\"]\n[roles]\nchange = {{ people = [\"alice\"] }}\n"
    );
    let ids = signed(dir.path(), &key, &trees(dir.path(), &policy, commits));
    let tip = *ids.last().unwrap();
    let request = VerifyRequest {
        environment: "dev".parse().unwrap(),
        anchor: ids[0],
        remembered: Remembered::Nothing,
        tip,
        revoked: RevokedKeys::default(),
        now: jiff::Timestamp::now(),
        sights: Sightings::default(),
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let objects = ObjectReader::open_repository(dir.path()).unwrap();
        let verdict = verify(&objects, &request);
        rounds.push(start.elapsed().as_secs_f64() * 1_000.0);
        assert!(verdict.is_good(), "{:?}", verdict.refused);
        assert_eq!(verdict.accepted.len(), commits);
    }
    let ours = median_ms(rounds);
    let start = Instant::now();
    let objects = ObjectReader::open_repository(dir.path()).unwrap();
    let told = log(&Chain::read(&objects, &request).unwrap(), &LogRequest::default()).unwrap();
    let audited = start.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!(told.commits.len(), commits + 1);
    assert_eq!(told.commits.iter().find_map(|commit| commit.unusable.first()), None);
    let next = VerifyRequest { remembered: Remembered::Verified(ids[ids.len() - 2]), ..request };
    let start = Instant::now();
    let objects = ObjectReader::open_repository(dir.path()).unwrap();
    assert_eq!(verify(&objects, &next).accepted.len(), 1);
    let one = start.elapsed().as_secs_f64() * 1_000.0;
    let gits = git_ms_per_commit(dir.path(), &public_key, tip)
        * f64::from(u32::try_from(commits).unwrap());
    println!("verify {commits} SSH-signed commits: {ours:.0} ms (median of {ROUNDS})");
    println!("verify one more on top of them:     {one:.0} ms");
    println!("audit log of them, {SERVICES} services:    {audited:.0} ms");
    println!("git log --format=%G?, scaled:       {gits:.0} ms ({:.0} times)", gits / ours);
}
