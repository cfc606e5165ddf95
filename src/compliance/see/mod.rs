//! What rules have to see of the host.
//!
//! In: a rule, the host. Out: a [`View`]. Effect: reads the host, and runs programs that only look.
//!
//! # Guarantees
//! * What several rules need is looked at once a check, and only if one of them needs it.
//! * A rule about a file system that does not answer says so, and holds up no other.
//! * Package managers are asked what they would do only where something is about to be mended.

mod confs;
mod looked;
mod package;
mod places;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use crate::clients::host::{HostError, HostRoot, Modules, Silence, Units};
use crate::compliance::dispute::Disputes;
use crate::compliance::facts::Facts;
pub use crate::compliance::kind::FILE_BYTES_MAX;
use crate::compliance::kind::{self, BootSettings, FactSight, Need, Sight, View};
use crate::compliance::see::confs::ModuleConfs;
use crate::compliance::see::package::Packages;
use crate::model::seen::{Listener, ProcessSeen};
use crate::model::{AccountTables, HostPath, MountSeen, PathState};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::{Rule, RuleId};
use crate::telemetry::Chain;

/// What a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Verdicts: what would be changed is not asked of package managers.
    Judge,
    /// Verdicts, and what would be changed.
    Mend,
}

/// What rules are checked against.
#[derive(Debug, Clone, Copy)]
pub struct CheckInput<'a> {
    /// The rules, their revision, the modes.
    pub desired: &'a DesiredState,
    /// What is so.
    pub facts: &'a Facts,
    /// The host.
    pub host: &'a HostRoot,
    /// What for.
    pub purpose: Purpose,
    /// Rules that contradict one another, whichever are asked for.
    pub disputes: &'a Disputes,
    /// Which of its file systems do not answer.
    pub silence: &'a Silence,
    /// Programs that rules may run, as the node's policy says.
    pub commands: &'a BTreeSet<String>,
}

/// What one check has seen.
#[derive(Debug)]
pub struct Eyes<'a> {
    input: CheckInput<'a>,
    tables: Once<AccountTables>,
    /// With what only root may read of them.
    accounts: Once<AccountTables>,
    packages: Once<Option<Packages>>,
    units: Once<Option<Units>>,
    processes: Once<Vec<ProcessSeen>>,
    tcp: Once<Vec<Listener>>,
    udp: Once<Vec<Listener>>,
    sysctls: Once<BootSettings>,
    modules: Once<Option<Modules>>,
    module_confs: Once<ModuleConfs>,
    mounts: Once<Vec<MountSeen>>,
    /// Folders, and whether they or one around them keep others out.
    enclosing: RefCell<BTreeMap<HostPath, bool>>,
}

type Once<T> = OnceCell<Result<T, String>>;

impl<'a> Eyes<'a> {
    /// Eyes that have not looked yet.
    pub fn new(input: CheckInput<'a>) -> Self {
        Self {
            input,
            tables: OnceCell::new(),
            accounts: OnceCell::new(),
            packages: OnceCell::new(),
            units: OnceCell::new(),
            processes: OnceCell::new(),
            tcp: OnceCell::new(),
            udp: OnceCell::new(),
            sysctls: OnceCell::new(),
            modules: OnceCell::new(),
            module_confs: OnceCell::new(),
            mounts: OnceCell::new(),
            enclosing: RefCell::default(),
        }
    }

    /// Sees what a rule needs.
    ///
    /// # Errors
    /// When it cannot be seen, for people.
    pub fn see<'b>(&'b self, rule: &'b Rule) -> Result<View<'b>, String> {
        let CheckInput { desired, facts, host, silence, .. } = self.input;
        if silence.is_any() {
            let paths = kind::looked_at(&rule.kind, self.tables()?);
            paths.iter().try_for_each(|path| silence.answers(path))?;
        }
        match kind::need(&rule.kind) {
            Need::Path(path) => self.sight(path, &rule.id).map(View::Path),
            Need::Outside(path) => {
                let state = host.look_outside(path).map_err(said)?;
                self.around(path, state, &rule.id).map(View::Path)
            }
            Need::Sysctl(sysctl) => self.sysctl(sysctl, &rule.id).map(View::Sysctl),
            Need::Package(rule) => self
                .package(&rule.package, |manager, installed| kind::order(rule, manager, installed)),
            Need::Vulnerable(rule) => self.package(&rule.package, |manager, installed| {
                kind::order_vulnerable(rule, manager, installed)
            }),
            Need::Unit(rule) => self.unit(rule).map(View::Unit),
            Need::Facts => Ok(View::Facts(FactSight { facts, desired, target: &rule.target })),
            Need::Accounts => once(&self.accounts, || host.accounts_whole()).map(View::Accounts),
            Need::Keys(user) => self.keys(user, &rule.id).map(View::Keys),
            Need::Sudoers(sudoers) => self.sudoers(sudoers, &rule.id).map(View::Sudoers),
            Need::Cron(cron) => self.cron(cron, &rule.id).map(View::Cron),
            Need::Daemon(settings) => self.daemon(settings, &rule.id).map(View::Daemon),
            Need::Time(rule) => self.time(rule).map(View::Time),
            Need::Processes(rule) => self.processes(rule),
            Need::Listeners(protocol) => self.listeners(protocol),
            Need::Certificate(rule) => self.certificate(rule),
            Need::Command(rule) => Ok(View::Command(self.command(rule))),
            Need::Module(module) => self.module(module, &rule.id).map(View::Module),
            Need::Mount(mount) => self.mount(mount, &rule.id).map(Box::new).map(View::Mount),
            Need::Archive(archive) => self.archive(archive, &rule.id).map(View::Archive),
        }
    }

    fn sight<'b>(&'b self, path: &HostPath, id: &'b RuleId) -> Result<Sight<'b>, String> {
        let state = look(self.input.host, path).map_err(said)?;
        self.around(path, state, id)
    }

    /// The same for what must be read.
    fn sight_of_text<'b>(&'b self, path: &HostPath, id: &'b RuleId) -> Result<Sight<'b>, String> {
        let sight = self.sight(path, id)?;
        match sight.state {
            PathState::Unread { .. } => {
                Err(format!("{path} is larger than {} MiB", FILE_BYTES_MAX >> 20))
            }
            _ => Ok(sight),
        }
    }

    /// What is to be seen besides what lies at a path.
    fn around<'b>(
        &'b self,
        path: &HostPath,
        state: PathState,
        id: &'b RuleId,
    ) -> Result<Sight<'b>, String> {
        let accounts = self.tables()?;
        let missing = missing(self.input.host, path, &state).map_err(said)?;
        let enclosed = self.is_enclosed(path)?;
        Ok(Sight { state, enclosed, missing, accounts, creator: creator(), id })
    }

    /// Whether a folder on the way to `path` keeps others from it.
    fn is_enclosed(&self, path: &HostPath) -> Result<bool, String> {
        let Some((folder, _)) = path.split() else { return Ok(false) };
        if let Some(known) = self.enclosing.borrow().get(&folder) {
            return Ok(*known);
        }
        let is = self.input.host.is_enclosing(&folder).map_err(said)?;
        self.enclosing.borrow_mut().insert(folder, is);
        Ok(is)
    }

    fn tables(&self) -> Result<&AccountTables, String> {
        once(&self.tables, || self.input.host.account_tables())
    }
}

fn said(error: impl std::error::Error) -> String {
    Chain(&error).to_string()
}

fn once<T>(cell: &Once<T>, look: impl FnOnce() -> Result<T, HostError>) -> Result<&T, String> {
    cell.get_or_init(|| look().map_err(said)).as_ref().map_err(Clone::clone)
}

/// User and group of what is made without saying whose it is.
fn creator() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// What lies at a path; a file that is too large is not read.
fn look(host: &HostRoot, path: &HostPath) -> Result<PathState, HostError> {
    match host.look(path, FILE_BYTES_MAX) {
        Err(HostError::TooLarge { .. }) => host.look_outside(path),
        seen => seen,
    }
}

/// Which folders are missing on the way to a path at which this lies.
fn missing(
    host: &HostRoot,
    path: &HostPath,
    state: &PathState,
) -> Result<Vec<HostPath>, HostError> {
    match state {
        PathState::Absent => host.missing_folders(path),
        _ => Ok(Vec::new()),
    }
}
