//! Three lines, a hub for each, and people with clones and keys of their own.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tidegate::clients::registry::{ManifestReference, RegistryRead as _};
use tidegate::model::{Digest, Hub};

use crate::registry::hub::{TestHub, plain};
use crate::registry::{options, push_image, web};

/// What one run said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) hub: TestHub,
    /// Versions 1.0.0, 1.1.0 and 1.2.0 of the only image, in dev's hub.
    pub(crate) images: [(Digest, Digest); 3],
    /// Where people's agents are.
    pub(crate) env: Vec<(&'static str, PathBuf)>,
}

pub(crate) const PINS: &str = "rulesets/app1.toml";
pub(crate) const SHARED: &str = "rulesets/shared.toml";

fn trust(environment: &str, promotion: &str) -> String {
    let people = ["alice", "bob", "carol"].map(|name| format!("[people.{name}]\nkeys = []\n"));
    let roles = match environment {
        "dev" => {
            "change = { people = [\"alice\", \"bob\"] }\nlocal = { people = [\"alice\"] }\n\
             rollback = { people = [\"alice\"] }\nadmin = { people = [\"alice\"] }\n"
        }
        "tst" => {
            "promote = { people = [\"alice\", \"bob\"] }\nlocal = { people = [\"carol\"] }\n\
             hotfix = { people = [\"bob\"] }\nrollback = { people = [\"bob\"] }\n\
             admin = { people = [\"alice\"] }\n"
        }
        _ => {
            "promote = { people = [\"bob\", \"carol\"], threshold = 2 }\n\
             rollback = { people = [\"bob\", \"carol\"] }\n\
             admin = { people = [\"alice\", \"carol\"], threshold = 2 }\n"
        }
    };
    format!("# who may\nversion = 1\n{}[roles]\n{roles}{promotion}", people.concat())
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with("", "").await
    }

    /// `tst` and `prd` are added to their environment's `[promotion]`.
    pub(crate) async fn with(tst: &str, prd: &str) -> Self {
        let hub = plain();
        let dev = Self::client_of(&hub, "dev");
        let mut images = Vec::new();
        for version in ["1.0.0", "1.1.0", "1.2.0"] {
            let config = format!("{{\"version\": \"{version}\"}}");
            images.push(push_image(&dev, &config, Some(version)).await);
        }
        let images = images.try_into().unwrap();
        let stage = Self { dir: tempfile::tempdir().unwrap(), hub, images, env: Vec::new() };
        std::fs::create_dir(stage.path("home")).unwrap();
        stage.write_base(tst, prd);
        let said = stage.run("home", &["init", "--from", "base", "--keys", "keys", "config"]);
        assert_eq!(said.code, 0, "{}", said.err);
        stage.plain_git(&["clone", "-q", "--bare", "config", "origin.git"]);
        for name in ["alice", "bob", "carol"] {
            stage.clone(name);
        }
        stage
    }

    fn write_base(&self, tst: &str, prd: &str) {
        let write = |path: &str, text: &str| {
            let path = self.path("base").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "tidegate.toml",
            "repository = \"acme-config\"\nenvironments = [\"dev\", \"tst\", \"prd\"]\n\
             [apps.app1]\nowner = \"alice\"\n[apps.app2]\nowner = \"bob\"\n",
        );
        for (app, container) in [("app1", "web"), ("app2", "site")] {
            let service = format!(
                "app = \"{app}\"\n[containers.{container}]\nimage = \"app1/web\"\n\
                 environment = {{ WORD = \"${{vars.word}}\" }}\n"
            );
            write(&format!("services/{app}.toml"), &service);
            write(&format!("rulesets/{app}.toml"), &self.pins(app, 0));
        }
        write(SHARED, "[match]\nservice = [\"app1\", \"app2\"]\n[vars]\nword = \"hello\"\n");
        let zero = "0".repeat(40);
        let promotion = |from: &str, more: &str| {
            format!("[promotion]\nfrom = \"{from}\"\nanchor = \"{zero}\"\n{more}")
        };
        for (name, promotion) in
            [("dev", String::new()), ("tst", promotion("dev", tst)), ("prd", promotion("tst", prd))]
        {
            let own = format!("environments/{name}");
            let environment =
                format!("name = \"{name}\"\nhub = \"{}/{name}\"\n", self.hub.authority);
            write(&format!("{own}/environment.toml"), &environment);
            write(&format!("{own}/nodes/n1.toml"), "");
            write(&format!("{own}/trust.toml"), &trust(name, &promotion));
        }
    }

    /// A ruleset that pins version 1.n.0.
    pub(crate) fn pins(&self, app: &str, n: usize) -> String {
        let container = if app == "app1" { "web" } else { "site" };
        let (digest, image_id) = self.images[n];
        format!(
            "[match]\nservice = \"{app}\"\n[containers.{container}]\ndigest = \"{digest}\"\n\
             image_id = \"{image_id}\"\nversion = \"1.{n}.0\"\n"
        )
    }

    fn client_of(hub: &TestHub, environment: &str) -> tidegate::clients::registry::RegistryClient {
        let hub: Hub = format!("{}/{environment}", hub.authority).parse().unwrap();
        tidegate::clients::registry::RegistryClient::new(&hub, options()).unwrap()
    }

    /// Whether an environment's hub holds version 1.n.0.
    pub(crate) async fn has(&self, environment: &str, n: usize) -> bool {
        let client = Self::client_of(&self.hub, environment);
        let digest = ManifestReference::Digest(self.images[n].0);
        client.manifest(&web(), &digest).await.unwrap().is_some()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, program: &str, cwd: &Path) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command.current_dir(cwd).env_clear().env("PATH", format!("{}:{path}", own.display()));
        command.env("HOME", self.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn plain_git(&self, args: &[&str]) {
        let output = self.command("git", self.dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn clone(&self, name: &str) {
        self.plain_git(&["clone", "-q", "origin.git", name]);
        let key = self.path("keys").join(name).display().to_string();
        let email = format!("{name}@example.org");
        for (setting, value) in [
            ("user.name", name),
            ("user.email", &email),
            ("gpg.format", "ssh"),
            ("user.signingkey", &key),
            ("commit.gpgsign", "true"),
        ] {
            self.git(name, &["config", setting, value]);
        }
    }

    /// Runs the program in somebody's clone.
    pub(crate) fn run(&self, who: &str, args: &[&str]) -> Said {
        let cwd = if who == "home" { self.dir.path().to_owned() } else { self.path(who) };
        let mut command = self.command(env!("CARGO_BIN_EXE_tidegate"), &cwd);
        Said::from(command.args(args).output().unwrap())
    }

    /// Starts it as a terminal does, in a group of its own.
    pub(crate) fn start(&self, who: &str, args: &[&str]) -> std::process::Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_tidegate"), &self.path(who));
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).spawn().unwrap()
    }

    /// The same, which must go well.
    pub(crate) fn ok(&self, who: &str, args: &[&str]) -> String {
        let said = self.run(who, args);
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        said.out
    }

    pub(crate) fn git(&self, who: &str, args: &[&str]) -> String {
        self.git_with(who, "LANG=C", args)
    }

    /// The same, with one more variable in its environment.
    pub(crate) fn git_with(&self, who: &str, variable: &str, args: &[&str]) -> String {
        let (name, value) = variable.split_once('=').unwrap();
        let mut command = self.command("git", &self.path(who));
        let output = command.env(name, value).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The commit that a line is at.
    pub(crate) fn tip(&self, branch: &str) -> String {
        self.git("origin.git", &["rev-parse", &format!("refs/heads/{branch}")])
    }

    /// A signed commit on a branch by plain git, pushed.
    pub(crate) fn change(&self, who: &str, branch: &str, path: &str, text: &str, message: &str) {
        self.git(who, &["fetch", "-q"]);
        self.git(who, &["checkout", "-q", "-B", branch, &format!("origin/{branch}")]);
        std::fs::write(self.path(who).join(path), text).unwrap();
        self.git(who, &["add", "-A"]);
        self.git(who, &["commit", "-q", "-m", message]);
        self.git(who, &["push", "-q", "origin", branch]);
    }

    /// What a node that starts from the anchor says of a line.
    pub(crate) fn verify(&self, environment: &str) {
        let anchor = self.git("config", &["rev-parse", environment]);
        let origin = self.path("origin.git").display().to_string();
        self.ok(
            "home",
            &["verify", "--repository", &origin, "--environment", environment, "--anchor", &anchor],
        );
    }

    /// A file of a line.
    pub(crate) fn file(&self, branch: &str, path: &str) -> String {
        self.git("origin.git", &["show", &format!("{branch}:{path}")])
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}
