//! Rules about a real engine that do not apply, and who may not ask the engine.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::cli::real::stage::Stage;
use crate::cli::support::{Said, like_tidegate};
use crate::compliance::cli::json;
use crate::support::program::copy_program;

/// Each kind that asks the engine or the hub, with `# more` for lines of all.
const KINDS: &str = r#"
[[rules]]
name = "container"
kind = "container"
root = false
# more

[[rules]]
name = "login"
kind = "hub_login"
# more

[[rules]]
name = "forbidden"
kind = "forbidden_image"
images = ["*:latest"]
# more

[[rules]]
name = "strangers"
kind = "unmanaged_container"
# more

[[rules]]
name = "unused"
kind = "dangling"
images_max = 0
# more
"#;
const N_KINDS: usize = 5;
const NOBODY: u32 = 65_534;

/// The copy of a stage that is nobody's, but for the socket and the hub's password.
struct Nobodys(PathBuf);

impl Nobodys {
    fn of(stage: &Stage) -> Self {
        let copy = stage.engine.dir().join("nobodys");
        let copied = Command::new("cp").arg("-a").args([stage.dir.path(), &copy]).status();
        assert!(copied.unwrap().success());
        let config = fs::read_to_string(copy.join("agent.toml")).unwrap();
        let [from, to] = [stage.dir.path(), &copy].map(|path| path.display().to_string());
        fs::write(copy.join("agent.toml"), config.replace(&from, &to)).unwrap();
        copy_program(env!("CARGO_BIN_EXE_tidegate"), copy.join("tidegate"));
        let mut give = Command::new("chown");
        let given = give.args(["-R", &format!("{NOBODY}:{NOBODY}")]).arg(&copy).status();
        assert!(given.unwrap().success());
        // The way to the socket is open; the socket and the password are root's.
        for folder in [&copy, stage.engine.dir()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        }
        chown(copy.join("hub.json"), Some(0), Some(0)).unwrap();
        fs::set_permissions(copy.join("hub.json"), fs::Permissions::from_mode(0o600)).unwrap();
        Self(copy)
    }

    fn run(&self, args: &[&str]) -> Said {
        let mut command = like_tidegate(&self.0.join("tidegate"), &self.0);
        command.uid(NOBODY).gid(NOBODY).args(args).args(["--config", "agent.toml"]);
        command.output().unwrap().into()
    }
}

fn verdicts(said: &Said) -> Vec<Value> {
    json(said)["verdicts"].as_array().unwrap().clone()
}

pub(super) fn who_may_not_ask_and_what_does_not_apply(stage: &mut Stage) {
    let check = ["check", "--rule", "docker/*", "-o", "json"];
    let elsewhere = KINDS.replace("# more", "match = { os = \"plan9\" }");
    stage.history.write("rulesets/docker.toml", &elsewhere);
    stage.commit("rules for others");
    let all = verdicts(&stage.run(&check));
    assert_eq!(all.len(), N_KINDS, "{all:#?}");
    assert!(all.iter().all(|verdict| verdict["status"] == "not_applicable"), "{all:#?}");
    stage.history.write("rulesets/docker.toml", KINDS);
    stage.commit("rules about the engine");
    let (before, running) = (verdicts(&stage.run(&check)), stage.running());
    assert!(before.iter().all(|verdict| verdict["status"] != "error"), "{before:#?}");
    let nobodys = Nobodys::of(stage);
    let said = nobodys.run(&check);
    let denied = verdicts(&said);
    assert_eq!(denied.len(), N_KINDS, "{denied:#?}");
    for verdict in &denied {
        let words = match verdict["kind"].as_str() {
            Some("hub_login") => "ermission denied",
            _ => "may not be opened: join the group docker",
        };
        assert_eq!(verdict["status"], "error", "{verdict:#}");
        assert!(verdict.to_string().contains(words), "{verdict:#}");
    }
    // Images are not passed over in silence.
    let images = nobodys.run(&["check", "--rule", "*.image", "-o", "json"]);
    assert_eq!(images.code, 1, "{}{}", images.out, images.err);
    assert!(images.err.contains("no image was checked"), "{}", images.err);
    assert!(verdicts(&images).iter().all(|v| v["status"] != "ok"), "{}", images.out);
    assert_ne!(nobodys.run(&["fix", "--yes"]).code, 0);
    assert_eq!(stage.running(), running, "nobody changed something");
    assert_eq!(verdicts(&stage.run(&check)), before, "a second check finds what the first did");
    fs::remove_file(stage.history.path("rulesets/docker.toml")).unwrap();
    stage.commit("no more rules about the engine");
}

/// What runs once, and is gone, has nothing to check.
pub(super) fn what_ran_once_and_is_gone_does_not_apply(stage: &Stage) {
    stage.docker(&["rm", "app1.dev-migrate"]);
    let all = verdicts(&stage.run(&["check", "--rule", "*.image", "-o", "json"]));
    let gone = all.iter().find(|verdict| verdict["target"] == "app1.dev/migrate").unwrap();
    assert_eq!(gone["status"], "not_applicable", "{gone:#}");
    assert_eq!(gone["reason"], "it runs once, and nothing of it is left");
}
