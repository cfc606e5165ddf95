//! What each kind of rule makes of what it sees, one file a kind.
//!
//! In: a rule's parameters, a [`Sight`]. Out: [`Judgement`]: whether it holds, and how it could be
//! mended. Pure.
//!
//! # Guarantees
//! * A judgement's changes, once made, give a judgement without changes.
//! * No judgement shows contents that not everybody may read.

mod text;
mod account;
mod archive;
mod authorized_key;
mod container;
mod daemon_config;
mod dangling;
mod directory;
mod dropin;
mod file;
mod file_absent;
mod file_line;
mod files;
mod forbidden_image;
mod hub_login;
mod kernel_module;
mod key_value;
mod mount;
mod owned;
mod package;
mod seen;
mod symlink;
mod sysctl;
mod systemd_unit;
mod time;
mod unmanaged_container;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::compliance::change::{Change, is_hidden};
use crate::compliance::facts::{Facts, Known, Row};
pub use crate::compliance::kind::archive::{ArchiveSight, MemberSeen};
pub use crate::compliance::kind::authorized_key::{KeysSight, edit_keys, keys_paths};
pub use crate::compliance::kind::daemon_config::{DaemonSight, daemon_text};
pub use crate::compliance::kind::dropin::{CronSight, SudoersSight};
pub use crate::compliance::kind::files::{files_of, looked_at};
pub use crate::compliance::kind::hub_login::{ACCEPTED, NO_ANSWER};
pub use crate::compliance::kind::kernel_module::{ModuleSight, own_paths};
pub(crate) use crate::compliance::kind::kernel_module::{blocks_module, lists_module};
pub(crate) use crate::compliance::kind::mount::edit as edit_fstab;
pub use crate::compliance::kind::mount::{MountSight, is_in_fstab};
pub use crate::compliance::kind::package::{
    PackageOrder, PackageSight, choose, order, order_vulnerable,
};
pub use crate::compliance::kind::seen::Answer;
pub use crate::compliance::kind::sysctl::{BootSettings, Parameter, SysctlSight, own_path};
pub use crate::compliance::kind::systemd_unit::{Tied, UnitSight};
pub use crate::compliance::kind::time::{TIME_SERVICES, TimeSight, zone_path};
use crate::model::AccountTables;
use crate::model::HostPath;
use crate::model::seen::{CertificateSeen, Listener, ProcessSeen};
use crate::model::{PathState, Permissions};
use crate::reconcile::desired::DesiredState;
use crate::reconcile::desired::rule::kind::{
    ArchiveRule, CertificateRule, CommandRule, DropInRule, KernelModuleRule, KeyValueRule,
    MountRule, PackageRule, PackageVulnerableRule, ProcessRule, Protocol, SysctlRule,
    SystemdUnitRule, TimeRule,
};
use crate::reconcile::desired::rule::{RuleId, RuleKind, Target};

/// The largest file that a rule may be about: reading it must not fill memory.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why a file that was not read stays.
fn too_large() -> String {
    let size = FILE_BYTES_MAX >> 20;
    format!("it is larger than {size} MiB and could not be brought back: an operator must do that")
}

/// What a rule sees of the host.
#[derive(Debug)]
pub struct Sight<'a> {
    /// What lies at the rule's path.
    pub state: PathState,
    /// Whether a folder on the way keeps others from it.
    pub enclosed: bool,
    /// Folders that are missing on the way to it, outermost first.
    pub missing: Vec<HostPath>,
    /// Users and groups.
    pub accounts: &'a AccountTables,
    /// User and group of what is made without saying whose it is.
    pub creator: (u32, u32),
    /// The rule.
    pub id: &'a RuleId,
}

/// Where folders such as sysctl.d lie, the strongest first: a file of the same name hides those after
/// it.
pub const CONF_PLACES: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// Files of a folder that a program reads whole, such as sysctl.d, by their names there.
pub type Confs = BTreeMap<String, Conf>;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Where it lies.
    pub path: String,
    /// What it says.
    pub text: String,
    /// Whether not everybody may read it.
    pub hidden: bool,
}

/// What a rule of some kind sees.
#[derive(Debug)]
pub enum View<'a> {
    /// A path.
    Path(Sight<'a>),
    /// A kernel parameter.
    Sysctl(SysctlSight<'a>),
    /// A package.
    Package(PackageSight),
    /// A unit.
    Unit(UnitSight),
    /// Users and groups.
    Accounts(&'a AccountTables),
    /// A user's keys.
    Keys(KeysSight<'a>),
    /// A file for sudo.
    Sudoers(SudoersSight<'a>),
    /// A file for cron.
    Cron(CronSight<'a>),
    /// The engine's settings.
    Daemon(DaemonSight<'a>),
    /// Time zone and clock.
    Time(TimeSight),
    /// Processes.
    Processes {
        /// The number of the rule's user, if it names one.
        user: Option<u32>,
        /// Every one.
        all: &'a [ProcessSeen],
    },
    /// What listens.
    Listeners(&'a [Listener]),
    /// A certificate.
    Certificate {
        /// None if there is no such file.
        seen: Option<CertificateSeen>,
        /// When it was looked at.
        now: Timestamp,
    },
    /// What a program said.
    Command(Answer),
    /// A kernel module; none where the kernel loads none.
    Module(Option<ModuleSight<'a>>),
    /// A mount.
    Mount(Box<MountSight<'a>>),
    /// An archive's members.
    Archive(ArchiveSight<'a>),
    /// Facts.
    Facts(FactSight<'a>),
}

/// What a rule about the engine sees: facts, and what should run.
#[derive(Debug, Clone, Copy)]
pub struct FactSight<'a> {
    /// What is known.
    pub facts: &'a Facts,
    /// What should run.
    pub desired: &'a DesiredState,
    /// What the rule is checked for.
    pub target: &'a Target,
}

/// What a rule comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It holds.
    Ok {
        /// What is wanted, and is so.
        expected: String,
    },
    /// It does not.
    NotOk {
        /// What is wanted.
        expected: String,
        /// What is so.
        actual: String,
        /// How it is mended, or why it cannot be.
        fix: Result<Vec<Change>, String>,
    },
    /// There is nothing here that it could be about.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It could not be judged.
    Error {
        /// Why.
        reason: String,
    },
}

/// What a rule has to see.
#[derive(Debug, Clone, Copy)]
pub enum Need<'a> {
    /// What lies at a path.
    Path(&'a HostPath),
    /// What lies at a path, but not what it says.
    Outside(&'a HostPath),
    /// A kernel parameter.
    Sysctl(&'a SysctlRule),
    /// Facts.
    Facts,
    /// A package.
    Package(&'a PackageRule),
    /// A package of which some versions are vulnerable.
    Vulnerable(&'a PackageVulnerableRule),
    /// A unit of systemd.
    Unit(&'a SystemdUnitRule),
    /// Users and groups.
    Accounts,
    /// A user's keys.
    Keys(&'a str),
    /// A file for sudo.
    Sudoers(&'a DropInRule),
    /// A file for cron.
    Cron(&'a DropInRule),
    /// The engine's settings.
    Daemon(&'a KeyValueRule),
    /// Time zone and clock.
    Time(&'a TimeRule),
    /// Processes.
    Processes(&'a ProcessRule),
    /// What listens.
    Listeners(Protocol),
    /// A certificate.
    Certificate(&'a CertificateRule),
    /// A program's answer.
    Command(&'a CommandRule),
    /// A kernel module.
    Module(&'a KernelModuleRule),
    /// A mount.
    Mount(&'a MountRule),
    /// An archive's members.
    Archive(&'a ArchiveRule),
}

/// What this rule has to see.
pub fn need(kind: &RuleKind) -> Need<'_> {
    match kind {
        RuleKind::File(rule) if rule.content.is_none() => Need::Outside(&rule.path),
        RuleKind::File(rule) => Need::Path(&rule.path),
        RuleKind::FileLine(rule) => Need::Path(&rule.path),
        RuleKind::FileAbsent(rule) => Need::Path(&rule.path),
        RuleKind::Directory(rule) => Need::Path(&rule.path),
        RuleKind::Symlink(rule) => Need::Path(&rule.path),
        RuleKind::KeyValue(rule) => Need::Path(&rule.path),
        RuleKind::DaemonConfig(rule) => Need::Daemon(rule),
        RuleKind::Sysctl(rule) => Need::Sysctl(rule),
        RuleKind::Container(_)
        | RuleKind::HubLogin(_)
        | RuleKind::ForbiddenImage(_)
        | RuleKind::UnmanagedContainer(_)
        | RuleKind::Dangling(_) => Need::Facts,
        RuleKind::Package(rule) => Need::Package(rule),
        RuleKind::PackageVulnerable(rule) => Need::Vulnerable(rule),
        RuleKind::SystemdUnit(rule) => Need::Unit(rule),
        RuleKind::User(_) | RuleKind::Group(_) | RuleKind::Membership(_) => Need::Accounts,
        RuleKind::SshAuthorizedKey(rule) => Need::Keys(&rule.user),
        RuleKind::Sudoers(rule) => Need::Sudoers(rule),
        RuleKind::Cron(rule) => Need::Cron(rule),
        RuleKind::Time(rule) => Need::Time(rule),
        RuleKind::Process(rule) => Need::Processes(rule),
        RuleKind::ListeningPort(rule) => Need::Listeners(rule.protocol),
        RuleKind::Certificate(rule) => Need::Certificate(rule),
        RuleKind::Command(rule) => Need::Command(rule),
        RuleKind::KernelModule(rule) => Need::Module(rule),
        RuleKind::Mount(rule) => Need::Mount(rule),
        RuleKind::Archive(rule) => Need::Archive(rule),
    }
}

/// Judges a rule by what it needed to see.
pub fn judge(kind: &RuleKind, view: &View<'_>) -> Judgement {
    match (kind, view) {
        (RuleKind::File(rule), View::Path(sight)) => file::judge(rule, sight),
        (RuleKind::FileLine(rule), View::Path(sight)) => file_line::judge(rule, sight),
        (RuleKind::FileAbsent(rule), View::Path(sight)) => file_absent::judge(rule, sight),
        (RuleKind::Directory(rule), View::Path(sight)) => directory::judge(rule, sight),
        (RuleKind::Symlink(rule), View::Path(sight)) => symlink::judge(rule, sight),
        (RuleKind::KeyValue(rule), View::Path(sight)) => key_value::judge(rule, sight),
        (RuleKind::DaemonConfig(rule), View::Daemon(sight)) => daemon_config::judge(rule, sight),
        (RuleKind::Sysctl(rule), View::Sysctl(sight)) => sysctl::judge(rule, sight),
        (RuleKind::Container(rule), View::Facts(sight)) => container::judge(rule, *sight),
        (RuleKind::HubLogin(rule), View::Facts(sight)) => hub_login::judge(rule, *sight),
        (RuleKind::ForbiddenImage(rule), View::Facts(sight)) => {
            forbidden_image::judge(rule, *sight)
        }
        (RuleKind::UnmanagedContainer(rule), View::Facts(sight)) => {
            unmanaged_container::judge(rule, *sight)
        }
        (RuleKind::Dangling(rule), View::Facts(sight)) => dangling::judge(rule, *sight),
        (RuleKind::Package(rule), View::Package(sight)) => package::judge(rule, sight),
        (RuleKind::PackageVulnerable(rule), View::Package(sight)) => {
            package::judge_vulnerable(rule, sight)
        }
        (RuleKind::SystemdUnit(rule), View::Unit(sight)) => systemd_unit::judge(rule, sight),
        (RuleKind::User(rule), View::Accounts(tables)) => account::judge_user(rule, tables),
        (RuleKind::Group(rule), View::Accounts(tables)) => account::judge_group(rule, tables),
        (RuleKind::Membership(rule), View::Accounts(tables)) => {
            account::judge_membership(rule, tables)
        }
        (RuleKind::SshAuthorizedKey(rule), View::Keys(sight)) => authorized_key::judge(rule, sight),
        (RuleKind::Sudoers(rule), View::Sudoers(sight)) => dropin::judge_sudoers(rule, sight),
        (RuleKind::Cron(rule), View::Cron(sight)) => dropin::judge_cron(rule, sight),
        (RuleKind::Time(rule), View::Time(sight)) => time::judge(rule, sight),
        (RuleKind::Process(rule), View::Processes { user, all }) => {
            seen::judge_process(rule, *user, all)
        }
        (RuleKind::ListeningPort(rule), View::Listeners(all)) => seen::judge_port(rule, all),
        (RuleKind::Certificate(rule), View::Certificate { seen, now }) => {
            seen::judge_certificate(rule, seen.as_ref(), *now)
        }
        (RuleKind::Command(rule), View::Command(answer)) => seen::judge_command(rule, answer),
        (RuleKind::KernelModule(rule), View::Module(sight)) => {
            kernel_module::judge(rule, sight.as_ref())
        }
        (RuleKind::Mount(rule), View::Mount(sight)) => mount::judge(rule, sight),
        (RuleKind::Archive(rule), View::Archive(sight)) => archive::judge(rule, sight),
        _ => Judgement::Error { reason: "it was not looked at".to_owned() },
    }
}

/// Things that break a rule and are named; more are counted.
const NAMED_MAX: usize = 5;

/// `web is privileged; db runs as root; and 3 more`.
fn listed(all: &[String]) -> String {
    let text = all.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(NAMED_MAX) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

impl<'a> FactSight<'a> {
    /// The rows of a fact, or why they are not known.
    fn rows(&self, fact: &str) -> Result<&'a [Row], String> {
        match self.facts.get(fact) {
            Some(Known::Rows(rows)) => Ok(rows),
            Some(Known::Missing(reason)) => Err(reason.clone()),
            _ => Err(format!("fact `{fact}` was not collected")),
        }
    }
}

impl Sight<'_> {
    /// The step that makes `after` of what is there, after those that make missing folders.
    fn change(&self, path: &HostPath, after: PathState) -> Vec<Change> {
        let mut changes = self.made_folders();
        let before = self.state.clone();
        let enclosed = self.enclosed;
        changes.push(Change::Path { path: path.clone(), before, after, enclosed });
        changes
    }

    /// Whether not everybody may read it.
    pub fn is_hidden(&self) -> bool {
        self.enclosed || is_hidden(&self.state)
    }

    /// The steps that make the folders that are missing.
    fn made_folders(&self) -> Vec<Change> {
        let (uid, gid) = self.creator;
        let owned = Permissions { mode: 0o755, uid, gid };
        let made = |folder: &HostPath| Change::Path {
            path: folder.clone(),
            before: PathState::Absent,
            after: PathState::Directory { owned },
            enclosed: self.enclosed,
        };
        self.missing.iter().map(made).collect()
    }
}
