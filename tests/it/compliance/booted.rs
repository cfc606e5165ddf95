//! Units of a real systemd that runs: what `active` says, what systemctl then does, and what `/etc/init.d`
//! alone has.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::support::Said;
use crate::compliance::cli::{Stage, everybody, json};
use crate::compliance::debian;
use crate::compliance::support::{Host, rule};
use crate::compliance::units;
use crate::support::booted::Booted;
use crate::support::program::copy_program;

/// A Debian whose systemd runs. Everything that the program needs in there is in one folder.
struct Machine {
    booted: Booted,
    shared: TempDir,
    _host: Host,
}

impl Machine {
    fn boot(host: Host) -> Self {
        let shared = tempfile::tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(shared.path(), open).unwrap();
        let program = env!("CARGO_BIN_EXE_tidegate");
        copy_program(program, shared.path().join("tidegate"));
        bring_libraries(&host, program);
        let booted = Booted::start(&host.path("/"), shared.path());
        Self { booted, shared, _host: host }
    }

    fn stage(&self) -> Stage {
        let dir = tempfile::tempdir_in(self.shared.path()).unwrap();
        Stage::on(dir, "/".as_ref(), "[policy]\nfixes = [\"systemd_unit\"]\n")
    }

    /// The program in there, with `before` in front.
    fn tidegate(&self, stage: &Stage, before: &[&str], args: &[&str]) -> Said {
        let mut command = self.booted.inside("env");
        command.args(["-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]).args(before);
        command.arg(self.shared.path().join("tidegate")).args(args);
        command.arg("--config").arg(stage.dir.path().join("agent.toml"));
        command.output().unwrap().into()
    }

    fn systemctl(&self, args: &[&str]) -> String {
        let ran = self.booted.inside("systemctl").args(args).output().unwrap();
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }

    /// Whether it runs and whether it is enabled, as systemctl says it, and which start this is.
    fn unit(&self, name: &str) -> [String; 3] {
        let is = |verb| self.systemctl(&[verb, name]);
        let start = self.systemctl(&["show", "--property=InvocationID", "--value", name]);
        [is("is-active"), is("is-enabled"), start]
    }

    fn check(&self, stage: &Stage, before: &[&str]) -> Value {
        let said = self.tidegate(stage, before, &["check", "--node", "-o", "json"]);
        json(&said)["verdicts"][0].take()
    }
}

/// The machine that built the program may be newer than this Debian: it brings its own libraries, and
/// what else is of libc goes along.
fn bring_libraries(host: &Host, program: &str) {
    let needs = Command::new("ldd").arg(program).output().unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    for library in needs.split_whitespace().filter(|word| word.starts_with('/')) {
        copy_program(library, host.path(library));
        if let Some(folder) = library.strip_suffix("libc.so.6") {
            for name in
                ["libm.so.6", "libresolv.so.2", "libpthread.so.0", "libdl.so.2", "librt.so.1"]
            {
                let library = format!("{folder}{name}");
                copy_program(&library, host.path(&library));
            }
        }
    }
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// A rule's lines, what its verdict says, and lines of the plan.
type Case = (&'static str, [&'static str; 2], &'static [&'static str]);

fn all_seven(machine: &Machine, unit: &str, (lines, [expected, actual], plan): Case) {
    let lines = format!("unit = \"{unit}\"\n{lines}");
    let stage = machine.stage();
    let write = |stage: &Stage, more: &str| {
        let text = rule("systemd_unit", &format!("{lines}\n{more}"));
        stage.commit("rulesets/it/linux.toml", &text);
    };
    let before = machine.unit(unit);
    write(&stage, "match = { os = \"plan9\" }");
    assert_eq!(machine.check(&stage, &[])["status"], "not_applicable", "{lines}");
    write(&stage, "");
    let first = machine.check(&stage, &[]);
    assert_eq!(first["status"], "not_ok", "{lines}\n{first:#}");
    assert!(first["expected"].as_str().unwrap().starts_with(expected), "{first:#}");
    assert!(first["actual"].as_str().unwrap().starts_with(actual), "{first:#}");
    let dry = machine.tidegate(&stage, &[], &["fix", "--dry-run"]);
    for line in plan {
        assert!(dry.out.lines().any(|said| said.trim() == *line), "{line}\n{}", dry.out);
    }
    // Without privilege.
    let others = machine.stage();
    write(&others, "");
    everybody(others.dir.path());
    let denied = machine.check(&others, &NOBODY);
    assert_eq!(denied["status"], "error", "{denied:#}");
    assert!(denied["reason"].as_str().unwrap().contains("to connect to bus"), "{denied:#}");
    assert_ne!(machine.tidegate(&others, &NOBODY, &["fix", "--yes"]).code, 0);
    assert_eq!(machine.unit(unit), before, "{lines}");
    mended_and_taken_back(machine, &stage, unit, &lines);
    let again = machine.unit(unit);
    assert_eq!(again[..2], before[..2], "{lines}");
    let last = machine.check(&stage, &[]);
    for part in ["status", "expected", "actual"] {
        assert_eq!(last[part], first[part], "{lines}");
    }
}

fn mended_and_taken_back(machine: &Machine, stage: &Stage, unit: &str, lines: &str) {
    let fixed = machine.tidegate(stage, &[], &["fix", "--yes", "-o", "json"]);
    let fixed = json(&fixed);
    assert_eq!(fixed["fixes"][0]["result"], "fixed", "{lines}\n{fixed:#}");
    assert_eq!(machine.check(stage, &[])["status"], "ok", "{lines}");
    let mended = machine.unit(unit);
    let again = json(&machine.tidegate(stage, &[], &["fix", "--yes", "-o", "json"]));
    assert_eq!(again["fixes"], serde_json::json!([]), "{lines}");
    assert_eq!(machine.unit(unit), mended, "a second fix changes nothing: {lines}");
    let id = fixed["fixes"][0]["id"].as_str().unwrap();
    let restored = machine.tidegate(stage, &[], &["fix", "restore", id, "--yes"]);
    assert_eq!(restored.code, 0, "{lines}\n{}{}", restored.out, restored.err);
}

#[test]
fn what_runs_does_all_seven_where_systemd_runs() {
    let machine = Machine::boot(debian::host());
    let cron = "cron.service";
    assert_eq!(machine.unit(cron)[..2], ["active", "enabled"]);
    for (lines, says, plan) in [
        (
            "active = false",
            ["cron.service not active", "cron.service is active"],
            &["--- unit cron.service", "-active = active", "+active = inactive"][..],
        ),
        (
            "active = false\nenabled = false",
            ["cron.service not enabled and not active", "cron.service is enabled and active"],
            &["-active = active", "-enabled = enabled", "+enabled = disabled"],
        ),
        (
            "active = false\nmasked = true",
            ["cron.service masked and not active", "cron.service is not masked and active"],
            &["+active = inactive", "+enabled = masked"],
        ),
    ] {
        all_seven(&machine, cron, (lines, says, plan));
    }
    machine.systemctl(&["disable", "--now", cron]);
    assert_eq!(machine.unit(cron)[..2], ["inactive", "disabled"]);
    let says = ["cron.service active", "cron.service is not active"];
    all_seven(&machine, cron, ("active = true", says, &["+active = active"]));
    let says = ["cron.service enabled and active", "cron.service is not enabled and not active"];
    let plan = &["-active = inactive", "+active = active", "+enabled = enabled"];
    all_seven(&machine, cron, ("active = true\nenabled = true", says, plan));
    what_cannot_start_is_no_success(&machine);
}

#[test]
fn what_only_has_a_script_of_init_does_all_seven_where_systemd_runs() {
    let machine = Machine::boot(units::with_scripts());
    for (unit, lines, says, plan) in [
        (
            "tg-old.service",
            "enabled = false",
            ["tg-old.service not enabled", "tg-old.service is enabled"],
            &["-enabled = enabled", "+enabled = disabled"][..],
        ),
        (
            "tg-old.service",
            "active = false",
            ["tg-old.service not active", "tg-old.service is active"],
            &["+active = inactive"],
        ),
        (
            "tg-off.service",
            "enabled = true\nactive = true",
            ["tg-off.service enabled and active", "tg-off.service is not enabled and not active"],
            &["+active = active", "+enabled = enabled"],
        ),
    ] {
        all_seven(&machine, unit, (lines, says, plan));
    }
}

/// What was done before is taken back. Once it can start, the way back is to one that does not run.
fn what_cannot_start_is_no_success(machine: &Machine) {
    let text = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/test -e /run/ready\n\
                [Install]\nWantedBy=multi-user.target\n";
    let sh = |script: &str| {
        let mut sh = machine.booted.inside("sh");
        assert!(sh.args(["-c", script, text]).status().unwrap().success());
    };
    sh("printf %s \"$0\" >/etc/systemd/system/late.service && systemctl daemon-reload");
    let is = || machine.unit("late.service")[..2].join(" ");
    let stage = machine.stage();
    let lines = "unit = \"late.service\"\nactive = true\nenabled = true";
    stage.commit("rulesets/it/linux.toml", &rule("systemd_unit", lines));
    let fix =
        || json(&machine.tidegate(&stage, &[], &["fix", "--yes", "-o", "json"]))["fixes"][0].take();
    let failed = fix()["result"]["failed"]["reason"].take();
    assert!(failed.as_str().unwrap().starts_with("`systemctl start late.service`"), "{failed}");
    assert_eq!(is(), "failed disabled");
    sh("touch /run/ready");
    let fixed = fix();
    assert_eq!((&fixed["result"], &*is()), (&"fixed".into(), "active enabled"), "{fixed:#}");
    let id = fixed["id"].as_str().unwrap();
    let restored = machine.tidegate(&stage, &[], &["fix", "restore", id, "--yes"]);
    assert_eq!(
        (restored.code, &*is()),
        (0, "inactive disabled"),
        "{}{}",
        restored.out,
        restored.err
    );
}
