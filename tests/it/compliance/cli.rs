//! The commands, as an operator types them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::cli::support::{Said, like_tidegate, run};
use crate::support::program::{copy_program, write_program};

pub(crate) const RULES: &str = r#"
[[rules]]
name = "motd"
kind = "file"
path = "/etc/motd"
content = "hello\n"
severity = "critical"

[[rules]]
name = "issue"
kind = "file_absent"
path = "/etc/issue"
fix = "never"

[[rules]]
name = "hosts"
kind = "file_line"
path = "/etc/hosts"
line = "127.0.0.1 localhost"
severity = "info"
"#;

/// A node whose repository is a folder that nobody signed, with a folder as its host.
pub(crate) struct Stage {
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        for (name, text) in
            [("os-release", "ID=debian\n"), ("issue", "x"), ("hosts", "127.0.0.1 localhost\n")]
        {
            fs::write(root.join("etc").join(name), text).unwrap();
        }
        let stage = Self::on(dir, &root, policy);
        stage.commit("rulesets/it/linux.toml", RULES);
        stage
    }

    /// A node whose host is `root`.
    pub(crate) fn on(dir: tempfile::TempDir, root: &Path, policy: &str) -> Self {
        let at = dir.path();
        let made =
            run(at, ["init", "--keys", "people", "--environments", "dev", "repo", "-o", "json"]);
        assert_eq!(made.code, 0, "{}", made.err);
        let text = format!(
            "node = \"dev1\"\nenvironment = \"dev\"\nstate_dir = \"{0}/state\"\n\
             [repository]\nurl = \"{0}/repo\"\nid = \"repo\"\n[trust]\nrequire = \"none\"\n\
             [host]\nroot = \"{1}\"\n[engine]\nsocket = \"unix://{0}/no.sock\"\n{policy}",
            at.display(),
            root.display()
        );
        fs::write(at.join("agent.toml"), text).unwrap();
        Self { dir }
    }

    pub(crate) fn commit(&self, path: &str, content: &(impl AsRef<[u8]> + ?Sized)) {
        let repo = self.dir.path().join("repo");
        fs::create_dir_all(repo.join(path).parent().unwrap()).unwrap();
        fs::write(repo.join(path), content).unwrap();
        for args in [&["add", "."][..], &["commit", "--quiet", "--message", "rules"]] {
            let mut git = std::process::Command::new("git");
            git.current_dir(&repo).args(["-c", "user.name=alice", "-c", "commit.gpgsign=false"]);
            git.args(["-c", "user.email=alice@example.org"]).args(args);
            assert!(git.status().unwrap().success());
        }
    }

    /// What the environment lets be changed.
    fn mode(&self, mode: &str) {
        let file = "environments/dev/environment.toml";
        let text = fs::read_to_string(self.dir.path().join("repo").join(file)).unwrap();
        let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with("mode ")).collect();
        self.commit(file, &format!("mode = \"{mode}\"\n{}\n", rest.join("\n")));
    }

    /// As another user, where this one may become one.
    pub(crate) fn as_nobody(&self, args: &[&str]) -> Said {
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
        let is_open = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o001 != 0;
        if !program.ancestors().all(is_open) {
            program = self.dir.path().join("tidegate");
            copy_program(env!("CARGO_BIN_EXE_tidegate"), &program);
        }
        let mut command = like_tidegate(&program, self.dir.path());
        if rustix::process::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, 65_534);
            std::os::unix::process::CommandExt::gid(&mut command, 65_534);
        }
        command.args(args).args(["--config", "agent.toml"]).output().unwrap().into()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Said {
        run(self.dir.path(), args.iter().copied().chain(["--config", "agent.toml"]))
    }

    /// Installs a program on the host: a script of a shell that is there already, or is put there.
    pub(crate) fn install(&self, path: &str, script: &str) {
        let root = self.dir.path().join("root");
        let busybox = root.join("bin/busybox");
        if !busybox.exists() {
            let mut known = ["/bin/busybox", "/usr/bin/busybox"].iter();
            copy_program(known.find(|path| fs::exists(path).unwrap()).unwrap(), busybox);
        }
        write_program(root.join(path), &format!("#!/bin/busybox sh\n{script}"));
    }

    pub(crate) fn motd(&self) -> Option<String> {
        fs::read_to_string(self.dir.path().join("root/etc/motd")).ok()
    }
}

pub(crate) fn json(said: &Said) -> serde_json::Value {
    let parsed = serde_json::from_str(&said.out);
    assert!(parsed.is_ok(), "{parsed:?}: {}{}", said.out, said.err);
    parsed.unwrap()
}

#[test]
fn a_check_without_an_engine_says_what_it_could_and_fails() {
    let stage = Stage::new("");
    let said = stage.run(&["check", "-o", "json"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert!(said.err.contains("no image was checked"), "{}", said.err);
    let document = json(&said);
    assert_eq!(document["schema"], "tidegate.check/1");
    assert_eq!(document["unverified"], true);
    assert_eq!(document["verdicts"][0]["rule"], "it.linux/hosts");
    assert_eq!(document["verdicts"][2]["status"], "not_ok");
    assert_eq!(document["verdicts"][2]["source"]["line"], 3);
    assert_eq!(document["score"]["ok"], 1);
    let critical = json(&stage.run(&["check", "--severity", "critical", "-o", "json"]));
    assert_eq!(critical["verdicts"].as_array().unwrap().len(), 1);
    let named = json(&stage.run(&["check", "--rule", "it.*/i*", "-o", "json"]));
    assert_eq!(named["verdicts"][0]["rule"], "it.linux/issue");
    assert_eq!(stage.run(&["check", "--service", "nothing"]).code, 64);
    let junit = stage.run(&["check", "--report", "junit"]).out;
    assert!(junit.contains("tests=\"3\" failures=\"2\" errors=\"0\" skipped=\"0\""), "{junit}");
    let sarif = json(&stage.run(&["check", "--report", "sarif"]));
    assert_eq!(sarif["runs"][0]["results"][1]["ruleId"], "it.linux/motd");
    assert_eq!(sarif["runs"][0]["results"][1]["level"], "error");
    assert_eq!(stage.motd(), None);
}

#[test]
fn a_fix_is_shown_allowed_made_recorded_and_taken_back() {
    let stage = Stage::new("");
    let dry = stage.run(&["fix", "--dry-run"]);
    assert_eq!(dry.code, 2, "{}", dry.err);
    assert!(dry.out.contains("+++ /etc/motd") && dry.out.contains("+hello"), "{}", dry.out);
    assert!(dry.err.contains("it.linux/issue"), "{}", dry.err);
    let refused = stage.run(&["fix", "--yes"]);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains("[policy] fixes = [\"file\"]"), "{}", refused.err);
    assert_eq!(stage.motd(), None);

    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    let unasked = stage.run(&["fix"]);
    assert_eq!((unasked.code, stage.motd()), (64, None), "{}", unasked.err);
    let done = json(&stage.run(&["fix", "--yes", "-o", "json"]));
    assert_eq!(done["fixes"][0]["result"], "fixed");
    assert_eq!(stage.motd().as_deref(), Some("hello\n"));
    let again = stage.run(&["fix", "--yes", "--rule", "it.linux/motd"]);
    assert_eq!(again.code, 0, "{}", again.err);
    let id = done["fixes"][0]["id"].as_str().unwrap();
    assert!(stage.run(&["fix", "list"]).out.contains(id));
    let settled = json(&stage.run(&["fix", "--yes", "--rule", "it.linux/motd", "-o", "json"]));
    assert_eq!(settled["fixes"], serde_json::json!([]));
    stage.mode("report");
    let refused = stage.run(&["fix", "restore", id, "--yes"]);
    assert_eq!((refused.code, stage.motd().is_some()), (3, true), "{}", refused.err);
    assert!(refused.err.contains("report mode"), "{}", refused.err);
    stage.mode("apply");
    let restored = stage.run(&["fix", "restore", id, "--yes"]);
    assert_eq!((restored.code, stage.motd()), (0, None), "{}", restored.err);
    assert_eq!(stage.run(&["fix", "restore", "../x", "--yes"]).code, 64);
}

#[test]
fn a_fix_is_taken_back_although_no_repository_is_to_be_had() {
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    let done = json(&stage.run(&["fix", "--yes", "-o", "json"]));
    let id = done["fixes"][0]["id"].as_str().unwrap();
    fs::remove_dir_all(stage.dir.path().join("repo")).unwrap();
    let restored = stage.run(&["fix", "restore", id, "--yes"]);
    assert_eq!((restored.code, stage.motd()), (0, None), "{}", restored.err);
    assert!(restored.err.contains("no revision is believed here"), "{}", restored.err);
}

#[test]
fn rules_in_dispute_are_neither_right_nor_mended_when_one_of_them_is_asked_for() {
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    let rule = |name: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nkind = \"file\"\npath = \"/etc/motd\"\n\
             content = \"{name}\"\nmatch = {{ os = \"debian\" }}\n"
        )
    };
    stage.commit("rulesets/it/linux.toml", &(rule("a") + &rule("b")));
    let said = json(&stage.run(&["check", "--rule", "it.linux/a", "-o", "json"]));
    assert_eq!(said["verdicts"][0]["status"], "error", "{said}");
    let reason = said["verdicts"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("wanted differently by rules it.linux/a and it.linux/b"), "{reason}");
    let fixed = stage.run(&["fix", "--rule", "it.linux/a", "--yes"]);
    assert_eq!((fixed.code, stage.motd()), (2, None), "{}", fixed.err);
}

#[test]
fn one_kind_that_policy_forbids_keeps_no_other_from_being_mended() {
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    let rules = "[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/etc/motd\"\ncontent = \"x\"\n\
                 [[rules]]\nname = \"b\"\nkind = \"symlink\"\npath = \"/etc/mail\"\nto = \"x\"\n";
    stage.commit("rulesets/it/linux.toml", rules);
    let plan = stage.run(&["fix", "--node", "--dry-run"]);
    assert_eq!(plan.code, 2, "{}", plan.err);
    assert!(plan.err.contains("policy: 1 rule left alone, of the kinds symlink: "), "{}", plan.err);
    let plan = json(&stage.run(&["fix", "--node", "--dry-run", "-o", "json"]));
    let allowed = [&plan["fixes"][0]["allowed"], &plan["fixes"][1]["allowed"]];
    assert_eq!(allowed.map(serde_json::Value::as_bool), [Some(true), Some(false)], "{plan}");
    let said = stage.run(&["fix", "--node", "--yes"]);
    assert_eq!((said.code, stage.motd().as_deref()), (2, Some("x")), "{}", said.err);
    assert!(said.err.contains("it.linux/b (node): left alone: "), "{}", said.err);
}

#[test]
fn a_fix_says_what_could_not_be_judged_and_does_not_call_it_nothing() {
    let rule = |name: &str, path: &str, more: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nkind = \"file\"\npath = \"{path}\"\ncontent = \"hello\\n\"\n{more}\n"
        )
    };
    // Nobody knows the engine's version while it does not answer.
    let unknown = rule("b", "/etc/other", "match = { engine_version = \">=1\" }");
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    stage.commit("rulesets/it/linux.toml", &unknown);
    for args in [&["fix", "--node", "--yes"][..], &["fix", "--node", "--dry-run"]] {
        let said = stage.run(args);
        assert_eq!(said.code, 2, "{}{}", said.out, said.err);
        assert!(said.err.contains("it.linux/b (node): could not be judged: "), "{}", said.err);
        assert!(said.err.contains("nothing can be mended here, 1 rule left"), "{}", said.err);
    }
    stage.commit("rulesets/it/linux.toml", &format!("{}{unknown}", rule("a", "/etc/motd", "")));
    let said = stage.run(&["fix", "--node", "--yes"]);
    assert_eq!((said.code, stage.motd().as_deref()), (2, Some("hello\n")), "{}", said.err);
    let settled = stage.run(&["fix", "--yes", "--rule", "it.linux/a"]);
    assert_eq!(settled.code, 0, "{}", settled.err);
    assert!(settled.err.contains("nothing to mend"), "{}", settled.err);
}

const DOCKERD: &str = r#"
[ "$*" = "--validate --config-file=/dev/stdin" ] || exit 9
if /bin/busybox grep -q nonsense; then
    echo "unable to configure: the following directives don't match any option: nonsense" >&2
    exit 1
fi
"#;

#[test]
fn what_dockerd_refuses_never_lands_in_its_settings() {
    let setting = |key: &str| {
        format!(
            "[[rules]]\nname = \"a\"\nkind = \"daemon_config\"\nkey = \"{key}\"\nvalue = true\n"
        )
    };
    let stage = Stage::new("[policy]\nfixes = [\"daemon_config\"]\n");
    let file = stage.dir.path().join("root/etc/docker/daemon.json");
    stage.install("usr/bin/dockerd", DOCKERD);
    stage.commit("rulesets/it/linux.toml", &setting("nonsense"));
    let found = json(&stage.run(&["check", "--node", "-o", "json"]));
    let verdict = &found["verdicts"][0];
    assert_eq!((&verdict["status"], &verdict["fixable"]), (&"not_ok".into(), &false.into()));
    let reason = verdict["reason"].as_str().unwrap();
    assert!(reason.starts_with("dockerd refuses it: unable to configure"), "{reason}");
    assert_eq!(stage.run(&["fix", "--node", "--yes"]).code, 2);
    assert!(!file.exists());
    stage.commit("rulesets/it/linux.toml", &setting("live-restore"));
    assert_eq!(stage.run(&["fix", "--node", "--yes"]).code, 0);
    assert!(fs::read_to_string(&file).unwrap().contains("live-restore"));
    // An engine that cannot be asked yet.
    stage.install("usr/bin/dockerd", "echo 'unknown flag: --validate' >&2; exit 125\n");
    stage.commit("rulesets/it/linux.toml", &setting("nonsense"));
    assert_eq!(stage.run(&["fix", "--node", "--yes"]).code, 0);
    assert!(fs::read_to_string(&file).unwrap().contains("nonsense"));
}

/// One rule of each kind that has something to change on the stage's host.
const EVERY_KIND: [(&str, &str); 8] = [
    ("file", "path = \"/etc/motd\"\ncontent = \"new\""),
    ("file_line", "path = \"/etc/motd\"\nline = \"new\""),
    ("file_absent", "path = \"/etc/motd\""),
    ("directory", "path = \"/etc/new\""),
    ("symlink", "path = \"/etc/link\"\nto = \"motd\""),
    ("key_value", "path = \"/etc/motd\"\nformat = \"equals\"\nkey = \"a\"\nvalue = 1"),
    ("daemon_config", "path = \"/etc/daemon.json\"\nkey = \"live-restore\"\nvalue = true"),
    ("sysctl", "key = \"vm.swappiness\"\nvalue = 10"),
];

#[test]
fn without_privilege_each_rule_is_an_error_and_nothing_is_changed() {
    for (kind, lines) in EVERY_KIND {
        let stage = Stage::new(&format!("[policy]\nfixes = [\"{kind}\"]\n"));
        let root = stage.dir.path().join("root");
        fs::write(root.join("etc/motd"), "old").unwrap();
        fs::create_dir_all(root.join("proc/sys/vm")).unwrap();
        fs::write(root.join("proc/sys/vm/swappiness"), "60").unwrap();
        let rule = format!("[[rules]]\nname = \"a\"\nkind = \"{kind}\"\n{lines}\n");
        stage.commit("rulesets/it/linux.toml", &rule);
        everybody(stage.dir.path());
        fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o755)).unwrap();
        let mode = |path: &str, mode: u32| {
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("etc", 0o555);
        let failed = stage.as_nobody(&["fix", "--rule", "it.linux/a", "--yes"]);
        let said = format!("{kind}: {}{}", failed.out, failed.err);
        // Nobody may ask the host's dockerd, so nothing is even begun.
        let (code, words) = match kind {
            "daemon_config" => (2, "not permitted"),
            _ => (1, "ermission denied"),
        };
        assert_eq!(failed.code, code, "{said}");
        assert!(said.contains(words), "{said}");
        assert_eq!(stage.motd().as_deref(), Some("old"), "{kind}");
        mode("etc", 0o000);
        let said = stage.as_nobody(&["check", "--rule", "it.linux/a", "-o", "json"]);
        let verdict = &json(&said)["verdicts"][0];
        assert_eq!(verdict["status"], "error", "{kind} {verdict}");
        assert!(verdict["reason"].as_str().unwrap().contains("ermission denied"), "{verdict}");
        mode("etc", 0o755);
    }
}

/// Lets any user work in the stage: it is another user's in this test.
pub(crate) fn everybody(folder: &Path) {
    let found = std::process::Command::new("chmod").args(["-R", "a+rwX"]).arg(folder).status();
    assert!(found.unwrap().success());
    if rustix::process::geteuid().is_root() {
        let mut chown = std::process::Command::new("chown");
        assert!(chown.args(["-R", "65534:65534"]).arg(folder).status().unwrap().success());
    }
}

#[test]
fn nothing_that_a_host_says_drives_the_terminal_of_who_mends_it() {
    let stage = Stage::new("");
    let root = stage.dir.path().join("root");
    fs::create_dir_all(root.join("proc/sys/vm")).unwrap();
    for (path, text) in [
        ("etc/x", "k=\u{1b}[2J\u{7} x\n"),
        ("proc/sys/vm/swappiness", "\u{1b}[31m\n"),
        ("etc/fstab", "a\u{1b}[31m /srv/x ext4 defaults\n"),
    ] {
        fs::write(root.join(path), text).unwrap();
    }
    let rules = "[[rules]]\nname = \"x\"\nkind = \"key_value\"\npath = \"/etc/x\"\nformat = \"equals\"\n\
                 key = \"k\"\nvalue = \"1\"\n\
                 [[rules]]\nname = \"y\"\nkind = \"sysctl\"\nkey = \"vm.swappiness\"\nvalue = \"1\"\n\
                 [[rules]]\nname = \"z\"\nkind = \"mount\"\npath = \"/srv/x\"\nstate = \"absent\"\n";
    stage.commit("rulesets/it/linux.toml", rules);
    for args in [
        &["check"][..],
        &["check", "-o", "json"],
        &["check", "--report", "junit"],
        &["fix", "--dry-run"],
        &["fix", "--yes"],
    ] {
        let said = stage.run(args);
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains("it.linux/x"), "{args:?}: {all}");
        assert!(!all.contains(['\u{1b}', '\u{7}']), "{args:?}: {all:?}");
    }
}
