//! A folder as the host, rules as a ruleset writes them, and what comes of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;
use tidegate::clients::host::{HostRoot, Silence};
use tidegate::compliance::check::{CheckInput, Checked, Purpose, check};
use tidegate::compliance::dispute::Disputes;
use tidegate::compliance::facts::{Facts, Wanted, collect};
use tidegate::compliance::fix::{FixError, Mender, WayBack};
use tidegate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy};
use tidegate::compliance::verdict::VerdictStatus;
use tidegate::reconcile::desired::DesiredState;
use tidegate::reconcile::desired::rule::kind::KINDS;

use crate::desired::support::Repo;

/// A host in a temporary folder, with a state directory beside it.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) allowed: BTreeSet<String>,
    /// Programs that rules may run.
    pub(crate) commands: BTreeSet<String>,
    /// Files beside the rules.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Default for Host {
    fn default() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/etc")).unwrap();
        // Whatever the umask: only their owner may write here.
        for folder in ["root", "root/etc"] {
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(dir.path().join(folder), open).unwrap();
        }
        let allowed = KINDS.iter().map(|keys| keys.name.to_owned()).collect();
        Self { dir, allowed, commands: BTreeSet::new(), files: BTreeMap::new() }
            .with("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
            .with("/etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home:/bin/sh\n")
            .with("/etc/group", "root:x:0:\nalice:x:1000:\n")
    }
}

/// What one rule comes to.
pub(crate) fn only(mut checked: Vec<Checked>) -> Checked {
    assert_eq!(checked.len(), 1, "{checked:#?}");
    checked.remove(0)
}

impl Host {
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path.trim_start_matches('/'))
    }

    pub(crate) fn with(self, path: &str, content: &str) -> Self {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, content).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(0o644)).unwrap();
        self
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn root(&self) -> HostRoot {
        HostRoot::open(&self.dir.path().join("root")).unwrap()
    }

    pub(crate) fn records(&self) -> FixRecords {
        FixRecords::below(&self.dir.path().join("state"))
    }

    /// What a ruleset with these rules comes to.
    pub(crate) fn check(&self, rules: &str) -> Vec<Checked> {
        let files = self.files.iter();
        let repo = files.fold(Repo::default().web(""), |repo, (name, content)| {
            repo.with(&format!("rulesets/it.files/{name}"), content)
        });
        self.check_state(&repo.with("rulesets/it.toml", rules).state())
    }

    pub(crate) fn check_state(&self, state: &DesiredState) -> Vec<Checked> {
        self.check_beside(state, &Silence::of(&self.root()).unwrap())
    }

    /// The same, with what is known of file systems that do not answer.
    pub(crate) fn check_beside(&self, state: &DesiredState, silence: &Silence) -> Vec<Checked> {
        let (host, facts) = (self.root(), self.facts(&Wanted::by(&state.rules)));
        let purpose = Purpose::Mend;
        let commands = &self.commands;
        let accounts = host.account_tables().unwrap();
        let leads = |folder: &_| silence.leads_to(&host, folder);
        let disputes = &Disputes::on_node(&state.rules, &facts, &accounts, leads);
        let (desired, facts, host) = (state, &facts, &host);
        let input = CheckInput { desired, facts, host, purpose, disputes, silence, commands };
        check(input, &state.rules)
    }

    pub(crate) fn facts(&self, wanted: &Wanted) -> Facts {
        collect(&self.root(), Err("there is no engine"), wanted)
    }

    /// Mends one rule and checks again.
    pub(crate) fn fix(&self, rules: &str) -> Result<FixRecord, FixError> {
        let checked = only(self.check(rules));
        let recheck = || {
            let again = only(self.check(rules)).verdict;
            (again.status != VerdictStatus::Ok).then(|| format!("{again:?}"))
        };
        self.mender(|mender| mender.fix(&checked, recheck, Timestamp::now()))
    }

    pub(crate) fn restore(&self, record: &FixRecord) -> FixResult {
        let stored = self.records().get(&record.id).unwrap().unwrap();
        assert_eq!(stored, *record);
        self.mender(|mender| {
            let way = mender.way_back(&stored).unwrap();
            mender.restore(&stored, &way, Timestamp::now()).unwrap().result
        })
    }

    pub(crate) fn way_back(&self, record: &FixRecord) -> WayBack {
        self.mender(|mender| mender.way_back(record).unwrap())
    }

    pub(crate) fn mender<T>(&self, then: impl FnOnce(Mender<'_>) -> T) -> T {
        let (host, records, by) = (self.root(), self.records(), FixedBy::Operator);
        then(Mender { host: &host, records: &records, allowed: &self.allowed, by })
    }
}

/// Rules of ruleset `it`, as node n1 of prd is shown them.
pub(crate) fn rules_of(rules: &str) -> DesiredState {
    Repo::default().web("").with("rulesets/it.toml", rules).state()
}

/// One rule, called `a`.
pub(crate) fn rule(kind: &str, lines: &str) -> String {
    format!("[[rules]]\nname = \"a\"\nkind = \"{kind}\"\n{lines}\n")
}
