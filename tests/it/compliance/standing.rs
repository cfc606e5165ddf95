//! What a node keeps of its checks, and what its agent mends by itself.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tidegate::compliance::auto::{FIXES_MAX, may_mend};
use tidegate::compliance::record::FixedBy;
use tidegate::compliance::standing::{Occasion, Standing, next};
use tidegate::compliance::verdict::{Verdict, VerdictStatus};

use crate::cli::support::tidegate;
use crate::compliance::cli::{Stage, json};
use crate::compliance::support::{Host, only, rule, rules_of};

const AUTO: &str = "[[rules]]\nname = \"motd\"\nkind = \"file\"\npath = \"/etc/motd\"\ncontent = \"hello\\n\"\nfix = \"auto\"\n";

/// A stage whose newest commit the node believes.
pub(crate) fn believed(policy: &str, rules: &str) -> Stage {
    let stage = Stage::new(policy);
    stage.commit("rulesets/it/linux.toml", rules);
    // There is no engine, so it fails after it has believed.
    let once = stage.run(&["agent", "--once"]);
    assert!(once.err.contains("no.sock"), "{}", once.err);
    stage
}

fn last(stage: &Stage) -> Value {
    json(&stage.run(&["check", "--last", "--rule", "it.linux/*", "-o", "json"]))
}

#[test]
fn a_check_is_kept_with_since_when_and_what_changed() {
    let stage = believed("", &AUTO.replace("auto", "never"));
    let nothing = stage.run(&["check", "--last"]);
    assert!(nothing.code == 1 && nothing.err.contains("nothing was checked"), "{}", nothing.err);
    let first = json(&stage.run(&["check", "--keep", "schedule", "-o", "json"]));
    // The rule, and the image that no engine shows.
    assert_eq!(first["turns"].as_array().unwrap().len(), 2, "{first}");
    let since = last(&stage)["verdicts"][0]["since"].clone();
    let second = json(&stage.run(&["check", "--keep", "schedule", "-o", "json"]));
    assert!(second["turns"].as_array().unwrap().is_empty(), "{second}");
    let kept = last(&stage);
    assert_eq!(kept["verdicts"][0]["since"], since);
    assert!(kept["checked_at"].as_str() > since.as_str(), "{kept}");
    fs::write(stage.dir.path().join("root/etc/motd"), "hello\n").unwrap();
    stage.run(&["check", "--keep", "schedule"]);
    let history = json(&stage.run(&["check", "--history", "--node", "-o", "json"]));
    let words: Vec<_> = history["turns"].as_array().unwrap().iter().map(|t| &t["to"]).collect();
    assert_eq!(words, ["not_ok", "ok"]);
    let status = json(&stage.run(&["status", "-o", "json"]));
    assert_eq!(status["compliance"]["score"]["ok"], 1, "{status}");
    assert_eq!(status["compliance"]["rulesets"]["it.linux"]["ok"], 1, "{status}");
    let table = stage.run(&["status"]).out;
    assert!(table.contains("compliance: 1 of 2 rules hold"), "{table}");
    assert!(table.contains("web.image (hello.dev/web), critical: unknown"), "{table}");
}

const AUDIT: &str = "\
type=SYSCALL msg=audit(1763673602.101:9): syscall=257 success=yes pid=77 auid=4294967295 exe=\"/usr/bin/puppet\"
type=PATH msg=audit(1763673602.101:9): item=0 name=\"/etc/motd\" nametype=NORMAL
";

#[test]
fn what_does_not_stay_mended_is_fought_over_and_left_and_the_audit_log_tells_who_does_it() {
    let stage = believed("[policy]\nfixes = [\"file\"]\n", AUTO);
    for _ in 0..FIXES_MAX {
        let said = json(&stage.run(&["check", "--keep", "schedule", "-o", "json"]));
        assert_eq!(stage.motd().as_deref(), Some("hello\n"), "{said}");
        assert!(said["fixes"][0].as_str().unwrap().contains("mended"), "{said}");
        fs::write(stage.dir.path().join("root/etc/motd"), "other\n").unwrap();
    }
    stage.run(&["check", "--keep", "schedule"]);
    assert_eq!(stage.motd().as_deref(), Some("other\n"));
    let reason = || last(&stage)["verdicts"][0]["reason"].as_str().unwrap().to_owned();
    assert!(reason().starts_with("fought over"), "{}", reason());
    let since = reason().split_once("since ").unwrap().1.split_once(',').unwrap().0.to_owned();
    assert_eq!(since.len(), "2026-01-01T00:00:00Z".len(), "no fraction of a second: {since}");
    assert!(reason().ends_with("`auditctl -w /etc/motd -p wa` would tell who"), "{}", reason());
    let audit = stage.dir.path().join("root/var/log/audit");
    fs::create_dir_all(&audit).unwrap();
    fs::write(audit.join("audit.log"), AUDIT).unwrap();
    stage.run(&["check", "--keep", "schedule"]);
    assert!(
        reason().contains("the audit log tells of /usr/bin/puppet (process 77)"),
        "{}",
        reason()
    );
    // An operator may all the same.
    assert_eq!(stage.run(&["fix", "--node", "--yes"]).code, 0);
    assert_eq!(stage.motd().as_deref(), Some("hello\n"));
}

#[test]
fn what_the_agent_cannot_mend_is_not_called_fixable_and_says_why() {
    let auto = "[[rules]]\nname = \"a\"\nkind = \"package\"\npackage = \"a\"\nfix = \"auto\"\n";
    let stage = believed("[policy]\nfixes = [\"package\"]\n", auto);
    let dpkg = stage.dir.path().join("root/var/lib/dpkg");
    fs::create_dir_all(&dpkg).unwrap();
    fs::write(dpkg.join("status"), "").unwrap();
    stage.run(&["check", "--keep", "schedule"]);
    let verdict = last(&stage)["verdicts"][0].clone();
    assert_eq!((&verdict["status"], &verdict["fixable"]), (&"not_ok".into(), &false.into()));
    assert!(verdict["reason"].as_str().unwrap().contains("apt-cache"), "{verdict}");
}

const POLICY: &str = "for name; do :; done\n\
    echo \"$name:\"; echo '  Candidate: 1'; echo '  Version table:'; echo '     1 500'\n";
/// Installs when it may.
const APT: &str = "for wish; do :; done\nname=${wish%=*}\n\
    case \"$*\" in *--simulate*) echo \"Inst $name (1 x [all])\"; exit;; esac\n\
    echo > /begun-$name\nuntil [ -e /go ]; do /bin/busybox usleep 100000; done\necho said\n\
    printf 'Package: %s\\nStatus: install ok installed\\nVersion: 1\\n\\n' $name >> /var/lib/dpkg/status\n";

#[test]
fn a_check_that_is_ended_ends_its_fix_and_begins_no_other() {
    let auto = |name: &str| {
        format!(
            "[[rules]]\nname = \"{name}\"\nkind = \"package\"\npackage = \"{name}\"\nfix = \"auto\"\n"
        )
    };
    let stage =
        believed("[policy]\nfixes = [\"package\"]\n", &format!("{}{}", auto("aa"), auto("bb")));
    let root = stage.dir.path().join("root");
    fs::create_dir_all(root.join("var/lib/dpkg")).unwrap();
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    stage.install("usr/bin/apt-cache", POLICY);
    stage.install("usr/bin/apt-get", APT);
    let mut check = tidegate(stage.dir.path());
    check.args(["check", "--keep", "schedule", "--config", "agent.toml"]).stdout(Stdio::null());
    let mut check = Agent(check.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(60);
    while !root.join("begun-aa").exists() {
        assert!(Instant::now() < until && check.0.try_wait().unwrap().is_none(), "not begun");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let id = rustix::process::Pid::from_child(&check.0);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    // It has heard it by then.
    std::thread::park_timeout(Duration::from_millis(500));
    fs::write(root.join("go"), "").unwrap();
    check.0.wait().unwrap();
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    assert!(status.contains("aa") && !root.join("begun-bb").exists(), "{status}");
    let listed = stage.run(&["fix", "list"]).out;
    assert!(listed.contains("it.linux/aa") && !listed.contains("it.linux/bb"), "{listed}");
}

#[test]
fn report_mode_and_the_nodes_policy_keep_the_agent_from_mending() {
    for (policy, mode, why) in [
        ("", "", "policy does not allow"),
        ("[policy]\nfixes = [\"file_line\"]\n", "", "policy does not allow"),
        ("[policy]\nfixes = [\"file\"]\n", "mode = \"report\"\n", "report mode"),
    ] {
        let stage = believed(policy, AUTO);
        let file = "environments/dev/environment.toml";
        let text = fs::read_to_string(stage.dir.path().join("repo").join(file)).unwrap();
        stage.commit(file, &format!("# again\n{mode}{text}"));
        stage.run(&["agent", "--once"]);
        stage.run(&["check", "--keep", "schedule"]);
        assert_eq!(stage.motd(), None, "{policy}{mode}");
        let verdict = last(&stage)["verdicts"][0].clone();
        assert!(verdict["reason"].as_str().unwrap().contains(why), "{verdict}");
    }
}

#[test]
fn the_agent_mends_in_its_windows_alone_and_in_no_freeze() {
    let host = Host::default();
    let now: Timestamp = "2026-03-01T03:00:00Z".parse().unwrap();
    let of = |lines: &str| rules_of(&format!("{AUTO}{lines}"));
    let may = |state: &tidegate::reconcile::desired::DesiredState| {
        may_mend(&state.rules[0], "node", state, &host.records().all(), now)
    };
    assert_eq!(may(&of("")), Ok(()));
    assert_eq!(may(&of("window = \"02:00-04:00 UTC\"")), Ok(()));
    let closed = may(&of("window = \"04:00-05:00 UTC\"")).unwrap_err();
    assert!(closed.contains("opens 2026-03-01T04:00:00Z"), "{closed}");
    let mut state = of("");
    state.windows = vec!["04:00-05:00 UTC".parse().unwrap()];
    assert!(may(&state).is_err());
    let mut state = of("window = \"02:00-04:00 UTC\"");
    state.freezes = vec![tidegate::model::Freeze {
        from: now,
        to: "2026-03-02T00:00:00Z".parse().unwrap(),
        reason: "audit".to_owned(),
    }];
    assert!(may(&state).unwrap_err().contains("audit"));
    let by_hand = of("").rules[0].clone();
    let asked = tidegate::reconcile::desired::rule::Rule {
        fix: tidegate::reconcile::desired::rule::FixPolicy::Campaign,
        ..by_hand
    };
    assert!(may_mend(&asked, "node", &of(""), &[], now).is_err());
}

#[test]
fn what_an_operator_mended_is_not_counted() {
    let host = Host::default().with("/etc/motd", "x");
    let now = Timestamp::now();
    let state = rules_of(&rule("file", "path = \"/etc/motd\"\ncontent = \"y\"\nfix = \"auto\""));
    for _ in 0..FIXES_MAX {
        host.fix(&rule("file", "path = \"/etc/motd\"\ncontent = \"y\"\nfix = \"auto\"")).unwrap();
        fs::write(host.path("/etc/motd"), "x").unwrap();
    }
    let mut records = host.records().all();
    assert_eq!(may_mend(&state.rules[0], "node", &state, &records, now), Ok(()));
    for record in &mut records {
        record.by = FixedBy::Agent;
    }
    assert!(may_mend(&state.rules[0], "node", &state, &records, now).is_err());
    let tomorrow = now + jiff::SignedDuration::from_hours(25);
    assert_eq!(may_mend(&state.rules[0], "node", &state, &records, tomorrow), Ok(()));
}

fn kept(
    at: &str,
    until: Option<&str>,
    verdicts: Vec<Verdict>,
    before: Option<&Standing>,
) -> Standing {
    let state = rules_of("");
    let occasion = Occasion {
        node: state.node.clone(),
        revision: state.revision.clone(),
        unverified: false,
        at: at.parse().unwrap(),
        trigger: "schedule".to_owned(),
        stale_at: until.map(|until| until.parse().unwrap()),
    };
    next(before, occasion, verdicts).0
}

#[test]
fn what_was_checked_too_long_ago_is_unknown() {
    let host = Host::default().with("/etc/motd", "x");
    let ok = only(host.check(&rule("file", "path = \"/etc/motd\""))).verdict;
    let standing = kept("2026-03-01T00:00:00Z", Some("2026-03-01T02:00:00Z"), vec![ok], None);
    let fresh = standing.clone().aged("2026-03-01T01:59:59Z".parse().unwrap());
    assert_eq!(fresh, standing);
    let old = standing.aged("2026-03-01T02:00:00Z".parse().unwrap());
    assert_eq!(old.verdicts[0].status, VerdictStatus::Unknown);
    assert_eq!((old.score.ok, old.score.trouble, old.rulesets["it"].trouble), (0, 1, 1));
}

/// An agent that is ended with the test.
pub(crate) struct Agent(pub(crate) Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_agent_checks_on_each_commit_and_writes_it_into_its_journal() {
    let stage = Stage::new("[policy]\nfixes = [\"file\"]\n");
    stage.commit("rulesets/it/linux.toml", AUTO);
    let log = fs::File::create(stage.dir.path().join("log")).unwrap();
    let mut agent = tidegate(stage.dir.path());
    agent.args(["agent", "--scope", "dev", "--config", "agent.toml"]);
    let _agent = Agent(agent.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(120);
    let wait = async |done: &dyn Fn() -> bool| {
        while !done() {
            let log = fs::read_to_string(stage.dir.path().join("log")).unwrap();
            assert!(Instant::now() < until, "{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    wait(&|| stage.motd().as_deref() == Some("hello\n")).await;
    stage.commit("rulesets/it/linux.toml", &AUTO.replace("hello", "again"));
    wait(&|| stage.motd().as_deref() == Some("again\n")).await;
    wait(&|| {
        let entries = stage.run(&["history", "-o", "json"]).out;
        entries.matches("\"check\"").count() >= 2
    })
    .await;
    let names: BTreeSet<String> = last(&stage)["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| verdict["rule"].to_string())
        .collect();
    assert_eq!(names, BTreeSet::from(["\"it.linux/motd\"".to_owned()]));
}
