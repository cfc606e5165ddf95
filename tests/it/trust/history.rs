//! Builds honest and hostile histories with plain git, ssh-keygen and gpg, in a temporary folder.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jiff::{Timestamp, ToSpan as _};
use tidegate::clients::git::ObjectReader;
use tidegate::model::{CommitId, EnvironmentName};
use tidegate::reconcile::trust::approval::{Approval, Statement};
use tidegate::reconcile::trust::kind::CommitKind;
use tidegate::reconcile::trust::{
    Remembered, RevokedKeys, Rule, Sightings, Standing, Verdict, VerifyRequest, verify,
};

/// Who signs a commit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By<'a> {
    /// Nobody.
    Nobody,
    /// The SSH key of this name.
    Ssh(&'a str),
    /// The OpenPGP key with this fingerprint.
    Pgp(&'a str),
}

/// A repository, a few keys, and one environment's branch in it.
pub(crate) struct History {
    dir: tempfile::TempDir,
    pub(crate) environment: EnvironmentName,
    pub(crate) anchor: CommitId,
    pub(crate) tip: CommitId,
    pub(crate) clock: Timestamp,
    pub(crate) revoked: String,
    has_gpg: bool,
    /// Anchors and tips of the environments that the work tree does not show.
    others: BTreeMap<String, (CommitId, CommitId)>,
}

/// alice: change, admin. bob: change, local. carol: local, admin.
pub(crate) const ROLES: &str = r#"
change = { people = ["alice", "bob"] }
local = { people = ["bob", "carol"] }
admin = { people = ["alice", "carol"], threshold = 2 }
"#;

const PROMOTION: &str = "[promotion]\nfrom = \"tst\"\n\
    anchor = \"0123456789abcdef0123456789abcdef01234567\"\n";

impl History {
    /// A first environment, `dev`, with [`ROLES`].
    pub(crate) fn dev() -> Self {
        Self::new("dev", ROLES, "")
    }

    /// A later environment, `prd`.
    pub(crate) fn prd(roles: &str) -> Self {
        Self::new("prd", roles, PROMOTION)
    }

    pub(crate) fn new(environment: &str, roles: &str, promotion: &str) -> Self {
        let id: CommitId = "0".repeat(40).parse().unwrap();
        let mut history = Self {
            dir: tempfile::tempdir().unwrap(),
            environment: environment.parse().unwrap(),
            anchor: id,
            tip: id,
            clock: "2026-01-01T00:00:00Z".parse().unwrap(),
            revoked: String::new(),
            has_gpg: false,
            others: BTreeMap::new(),
        };
        std::fs::create_dir(history.path("home")).unwrap();
        history.git(&["init", "-q", "-b", environment, "."]);
        for name in ["alice", "bob", "carol", "stranger"] {
            history.new_key(name, &["-t", "ed25519"]);
        }
        history.write("tidegate.toml", "repository = \"acme-config\"\n");
        history.write("services/app1.toml", "app = \"app1\"\n");
        history.anchor(roles, promotion);
        history
    }

    /// The anchor of the environment, with the work tree's content.
    fn anchor(&mut self, roles: &str, promotion: &str) {
        self.write_policy(&self.people(), roles, promotion);
        let message = format!("Begin\n\nTidegate: anchor {}", self.environment);
        let tree = self.tree();
        self.anchor = self.make(&tree, &[], By::Ssh("alice"), &message);
        self.tip = self.anchor;
    }

    // Several environments.

    /// Begins another environment with what flows in the work tree.
    pub(crate) fn begin(&mut self, environment: &str, roles: &str, promotion: &str) {
        let here = self.environment.to_string();
        self.others.insert(here, (self.anchor, self.tip));
        self.environment = environment.parse().unwrap();
        std::fs::remove_dir_all(self.path("environments")).unwrap();
        self.anchor(roles, promotion);
    }

    /// Shows another environment's branch in the work tree.
    pub(crate) fn on(&mut self, environment: &str) {
        let here = self.environment.to_string();
        self.others.insert(here, (self.anchor, self.tip));
        let (anchor, tip) = self.others[environment];
        self.environment = environment.parse().unwrap();
        self.anchor = anchor;
        self.go_to(tip);
    }

    /// The tip of an environment's branch.
    pub(crate) fn tip_of(&self, environment: &str) -> CommitId {
        if self.environment.as_str() == environment { self.tip } else { self.others[environment].1 }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a program in the repository with no configuration of this machine.
    pub(crate) fn run(&self, program: &str, args: &[&str], input: &[u8]) -> String {
        String::from_utf8(self.run_bytes(program, args, input)).unwrap().trim().to_owned()
    }

    pub(crate) fn run_bytes(&self, program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
        let date = format!("{} +0000", self.clock.as_second());
        let mut child = Command::new(program)
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("GNUPGHOME", self.path("gpg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .envs([("GIT_AUTHOR_NAME", "alice"), ("GIT_AUTHOR_EMAIL", "alice@example.org")])
            .envs([("GIT_COMMITTER_NAME", "alice"), ("GIT_COMMITTER_EMAIL", "alice@example.org")])
            .envs([("GIT_AUTHOR_DATE", &date), ("GIT_COMMITTER_DATE", &date)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends early closes its input; its status says why.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {args:?}: {errors}");
        output.stdout
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.run("git", args, b"")
    }

    // Keys and policies.

    pub(crate) fn new_key(&self, name: &str, kind: &[&str]) {
        let path = self.path("home").join(name);
        let fixed = ["-q", "-N", "", "-C", name, "-f", path.to_str().unwrap()];
        self.run("ssh-keygen", &[kind, &fixed].concat(), b"");
    }

    pub(crate) fn key_path(&self, name: &str) -> String {
        self.path("home").join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn public_key(&self, name: &str) -> String {
        std::fs::read_to_string(self.key_path(name) + ".pub").unwrap().trim().to_owned()
    }

    /// The section `[people]` with alice, bob and carol.
    pub(crate) fn people(&self) -> String {
        let person =
            |name: &&str| format!("[people.{name}]\nkeys = [\"{}\"]\n", self.public_key(name));
        ["alice", "bob", "carol"].iter().map(person).collect()
    }

    pub(crate) fn write_policy(&self, people: &str, roles: &str, promotion: &str) {
        let text = format!("version = 1\n{people}\n[roles]\n{roles}\n{promotion}");
        self.write(&format!("environments/{}/trust.toml", self.environment), &text);
    }

    /// A new OpenPGP key; its fingerprint, and its certificate in the environment's `keys/`.
    pub(crate) fn new_pgp_key(&mut self, name: &str, algorithm: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        if !self.has_gpg {
            std::fs::create_dir(self.path("gpg")).unwrap();
            let private = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(self.path("gpg"), private).unwrap();
            self.has_gpg = true;
        }
        let batch = ["--batch", "--passphrase", "", "--quick-generate-key"];
        self.run("gpg", &[&batch[..], &[name, algorithm, "sign", "never"]].concat(), b"");
        let listing = self.run("gpg", &["--with-colons", "--list-keys", name], b"");
        let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
        let fingerprint = line.split(':').nth(9).unwrap().to_owned();
        self.export_pgp_key(name);
        fingerprint
    }

    pub(crate) fn export_pgp_key(&self, name: &str) {
        let certificate = self.run("gpg", &["--armor", "--export", name], b"");
        self.write(&format!("environments/{}/keys/{name}.asc", self.environment), &certificate);
    }

    // The work tree.

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes below the environment's own directory.
    pub(crate) fn write_own(&self, path: &str, text: &str) {
        self.write(&format!("environments/{}/{path}", self.environment), text);
    }

    /// The work tree as a tree object, without the folders of keys.
    pub(crate) fn tree(&self) -> String {
        self.git(&["add", "-A", "--", ".", ":!home", ":!gpg"]);
        self.git(&["write-tree"])
    }

    /// Makes the work tree that of a commit.
    pub(crate) fn go_to(&mut self, commit: CommitId) {
        self.git(&["add", "-A", "--", ".", ":!home", ":!gpg"]);
        self.git(&["read-tree", "--reset", "-u", &commit.to_string()]);
        self.tip = commit;
    }

    // Commits.

    /// A commit of any shape; the clock moves on a minute.
    pub(crate) fn make(
        &mut self,
        tree: &str,
        parents: &[CommitId],
        by: By<'_>,
        message: &str,
    ) -> CommitId {
        let mut args: Vec<String> = Vec::new();
        match by {
            By::Nobody => args.push("commit-tree".into()),
            By::Ssh(name) => {
                let key = format!("user.signingkey={}", self.key_path(name));
                args.extend(
                    ["-c", "gpg.format=ssh", "-c", &key, "commit-tree", "-S"].map(Into::into),
                );
            }
            By::Pgp(fingerprint) => {
                let key = format!("user.signingkey={fingerprint}!");
                args.extend(["-c", &key, "commit-tree", "-S"].map(Into::into));
            }
        }
        for parent in parents {
            args.extend(["-p".to_owned(), parent.to_string()]);
        }
        args.push(tree.to_owned());
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let id = self.run("git", &args, format!("{message}\n").as_bytes());
        self.clock = self.clock.checked_add(1.minute()).unwrap();
        id.parse().unwrap()
    }

    /// Commits the work tree on top of the tip.
    pub(crate) fn commit(&mut self, by: By<'_>, message: &str) -> CommitId {
        let tree = self.tree();
        self.tip = self.make(&tree, &[self.tip], by, message);
        self.tip
    }

    /// A change of a file that flows, with new content each time.
    pub(crate) fn change(&mut self, by: &str) -> CommitId {
        self.write("services/app1.toml", &format!("app = \"app1\" # {}\n", self.clock));
        self.commit(By::Ssh(by), "Change app1")
    }

    /// Stores bytes as a commit, whatever they are, and makes it the tip.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> CommitId {
        let args = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        self.tip = self.run("git", &args, bytes).parse().unwrap();
        self.tip
    }

    pub(crate) fn bytes(&self, commit: CommitId) -> Vec<u8> {
        self.run_bytes("git", &["cat-file", "commit", &commit.to_string()], b"")
    }

    /// The bytes of an unsigned commit of the work tree on top of the tip.
    pub(crate) fn payload(&mut self, message: &str) -> Vec<u8> {
        let tree = self.tree();
        let id = self.make(&tree, &[self.tip], By::Nobody, message);
        self.bytes(id)
    }

    /// An armoured SSH signature.
    pub(crate) fn sign(
        &self,
        name: &str,
        namespace: &str,
        options: &[&str],
        bytes: &[u8],
    ) -> String {
        let key = self.key_path(name);
        let fixed = ["-Y", "sign", "-n", namespace, "-f", &key];
        self.run("ssh-keygen", &[&fixed[..], options].concat(), bytes)
    }

    // Approvals.

    /// The statement that approvers of the work tree, as a commit on the tip, sign.
    pub(crate) fn statement(&self, kind: CommitKind) -> Statement {
        Statement {
            repository: "acme-config".to_owned(),
            environment: self.environment.clone(),
            kind,
            from: self.tip,
            source: None,
            tree: self.tree().parse().unwrap(),
            expires: self.clock.checked_add(24.hours()).unwrap(),
        }
    }

    /// The trailer by which `name` approves `statement`.
    pub(crate) fn approve(&self, name: &str, statement: &Statement) -> String {
        let text = statement.to_string();
        let armoured = self.sign(name, "promote@tidegate", &[], text.as_bytes());
        let approval = Approval { expires: statement.expires, armoured: armoured + "\n" };
        format!("Approved-By: {}", approval.to_trailer())
    }

    /// Commits the work tree as an admin commit by carol, approved by alice.
    pub(crate) fn admin(&mut self, message: &str) -> CommitId {
        let approval = self.approve("alice", &self.statement(CommitKind::Admin));
        let environment = self.environment.clone();
        let message = format!("{message}\n\nTidegate: admin {environment}\n{approval}");
        self.commit(By::Ssh("carol"), &message)
    }

    // Verdicts.

    pub(crate) fn objects(&self) -> ObjectReader {
        ObjectReader::open_repository(self.dir.path()).unwrap()
    }

    pub(crate) fn request(&self, remembered: Remembered) -> VerifyRequest {
        VerifyRequest {
            environment: self.environment.clone(),
            anchor: self.anchor,
            remembered,
            tip: self.tip,
            revoked: RevokedKeys::parse(&self.revoked).unwrap(),
            now: "2027-01-01T00:00:00Z".parse().unwrap(),
            sights: Sightings::default(),
        }
    }

    /// Judges the tip from the anchor.
    pub(crate) fn verify(&self) -> Verdict {
        self.verify_with(Remembered::Nothing)
    }

    pub(crate) fn verify_with(&self, remembered: Remembered) -> Verdict {
        verify(&self.objects(), &self.request(remembered))
    }

    /// The tip is good, from the anchor.
    #[track_caller]
    pub(crate) fn assert_good(&self) -> Verdict {
        let verdict = self.verify();
        assert_eq!(verdict.refused, None);
        assert_eq!(verdict.waits, None);
        assert_eq!(verdict.verified_id(), Some(self.tip));
        verdict
    }

    /// The tip is refused by `rule`; `last_good` is what counts.
    #[track_caller]
    pub(crate) fn assert_refused(&self, rule: Rule, words: &str, last_good: CommitId) {
        let verdict = self.verify();
        let refused = verdict.refused.clone().unwrap();
        assert_eq!((refused.rule, refused.commit), (rule, self.tip), "{}", refused.reason);
        assert!(refused.reason.contains(words), "{}", refused.reason);
        assert!(!refused.remedy.is_empty());
        assert_eq!(verdict.verified_id(), Some(last_good));
        assert_eq!(verdict.standing, Standing::Judged);
    }

    /// The tip cannot replace `known`, which stays.
    #[track_caller]
    pub(crate) fn assert_off_chain(&self, known: CommitId, words: &str) {
        let verdict = self.verify_with(Remembered::Verified(known));
        let refused = verdict.refused.clone().unwrap();
        assert_eq!((refused.rule, refused.commit), (Rule::Chain, self.tip), "{}", refused.reason);
        assert!(refused.reason.contains(words), "{}", refused.reason);
        assert_eq!(verdict.verified_id(), Some(known));
        assert_eq!(verdict.standing, Standing::Kept);
    }
}

impl Drop for History {
    fn drop(&mut self) {
        if self.has_gpg {
            // The agent that gpg started for this folder alone.
            let mut kill = Command::new("gpgconf");
            let _ = kill.args(["--kill", "all"]).env("GNUPGHOME", self.path("gpg")).status();
        }
    }
}

/// Puts a signature into the bytes of an unsigned commit.
pub(crate) fn with_signature(payload: &[u8], armoured: &str) -> Vec<u8> {
    let text = std::str::from_utf8(payload).unwrap();
    let (head, message) = text.split_once("\n\n").unwrap();
    let folded = armoured.trim_end().replace('\n', "\n ");
    format!("{head}\ngpgsig {folded}\n\n{message}").into_bytes()
}
