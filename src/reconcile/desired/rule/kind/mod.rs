//! Kinds of rules: what each takes, one file a kind.
//!
//! In: a checked `[[rules]]` table. Out: [`RuleKind`]; mistakes as findings with their place. Pure.

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
mod forbidden_image;
mod hub_login;
mod kernel_module;
mod key_value;
mod mount;
mod owner;
mod package;
mod seen;
mod symlink;
mod sysctl;
mod systemd_unit;
mod time;
mod unmanaged_container;

pub use account::GroupRule;
pub use account::GroupWish;
pub use account::IdRange;
pub use account::MembershipRule;
pub use account::Presence;
pub use account::UserRule;
pub use account::UserWish;
pub use archive::ArchiveRule;
pub use authorized_key::AuthorizedKeyRule;
pub use container::ContainerRule;
pub use container::capability;
pub use dangling::DanglingRule;
pub use directory::DirectoryRule;
pub use dropin::DropInRule;
pub use file::FileRule;
pub use file_absent::FileAbsentRule;
pub use file_line::FileLineRule;
pub use file_line::LineWish;
pub use file_line::pattern;
pub use forbidden_image::ForbiddenImageRule;
pub use hub_login::HubLoginRule;
pub use kernel_module::KernelModuleRule;
pub use key_value::KeyFormat;
pub use key_value::KeyValueRule;
pub use mount::MountRule;
pub use mount::MountWish;
pub use owner::Access;
pub use owner::Principal;
pub use package::PackageRule;
pub use package::PackageVulnerableRule;
pub use package::PackageWish;
pub use seen::CertificateRule;
pub use seen::CommandRule;
pub use seen::ListeningPortRule;
pub use seen::ProcessRule;
pub use seen::Protocol;
pub use symlink::SymlinkRule;
pub use sysctl::SysctlRule;
pub use systemd_unit::SystemdUnitRule;
pub use time::TimeRule;
pub use unmanaged_container::UnmanagedContainerRule;

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::RuleFiles;
use crate::reconcile::desired::rule::Test;

/// The keys of every kind that this version has.
pub static KINDS: &[&Keys] = &[
    &file::KEYS,
    &file_line::KEYS,
    &file_absent::KEYS,
    &directory::KEYS,
    &symlink::KEYS,
    &key_value::KEYS,
    &sysctl::KEYS,
    &container::KEYS,
    &daemon_config::KEYS,
    &hub_login::KEYS,
    &forbidden_image::KEYS,
    &unmanaged_container::KEYS,
    &dangling::KEYS,
    &package::KEYS,
    &package::VULNERABLE,
    &systemd_unit::KEYS,
    &account::USER,
    &account::GROUP,
    &account::MEMBERSHIP,
    &authorized_key::KEYS,
    &dropin::SUDOERS,
    &dropin::CRON,
    &time::KEYS,
    &seen::PROCESS,
    &seen::PORT,
    &seen::CERTIFICATE,
    &seen::COMMAND,
    &kernel_module::KEYS,
    &mount::KEYS,
    &archive::KEYS,
];

/// What a rule wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A file with this content, mode and owner.
    File(FileRule),
    /// A line or block in a file.
    FileLine(FileLineRule),
    /// Nothing at a path.
    FileAbsent(FileAbsentRule),
    /// A directory.
    Directory(DirectoryRule),
    /// A symbolic link.
    Symlink(SymlinkRule),
    /// A key's value in a configuration file.
    KeyValue(KeyValueRule),
    /// A kernel parameter.
    Sysctl(SysctlRule),
    /// How containers of services run.
    Container(ContainerRule),
    /// A key of the engine's daemon.json.
    DaemonConfig(KeyValueRule),
    /// The node's credentials for its hub.
    HubLogin(HubLoginRule),
    /// Images that no container may be made of.
    ForbiddenImage(ForbiddenImageRule),
    /// No containers but those of services.
    UnmanagedContainer(UnmanagedContainerRule),
    /// Images and volumes that nothing uses.
    Dangling(DanglingRule),
    /// A package that is installed or not.
    Package(PackageRule),
    /// A package that must not be installed in some versions.
    PackageVulnerable(PackageVulnerableRule),
    /// A unit of systemd.
    SystemdUnit(SystemdUnitRule),
    /// A user.
    User(UserRule),
    /// A group.
    Group(GroupRule),
    /// A user in a group.
    Membership(MembershipRule),
    /// A key that a user may log in with.
    SshAuthorizedKey(AuthorizedKeyRule),
    /// A file that sudo reads.
    Sudoers(DropInRule),
    /// A job of cron.
    Cron(DropInRule),
    /// Time zone and clock.
    Time(TimeRule),
    /// A process.
    Process(ProcessRule),
    /// A port.
    ListeningPort(ListeningPortRule),
    /// A certificate.
    Certificate(CertificateRule),
    /// What a program says.
    Command(CommandRule),
    /// A kernel module.
    KernelModule(KernelModuleRule),
    /// What is mounted.
    Mount(MountRule),
    /// An unpacked archive.
    Archive(ArchiveRule),
}

impl RuleKind {
    /// As written in `kind = "…"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => file::KEYS.name,
            Self::FileLine(_) => file_line::KEYS.name,
            Self::FileAbsent(_) => file_absent::KEYS.name,
            Self::Directory(_) => directory::KEYS.name,
            Self::Symlink(_) => symlink::KEYS.name,
            Self::KeyValue(_) => key_value::KEYS.name,
            Self::Sysctl(_) => sysctl::KEYS.name,
            Self::Container(_) => container::KEYS.name,
            Self::DaemonConfig(_) => daemon_config::KEYS.name,
            Self::HubLogin(_) => hub_login::KEYS.name,
            Self::ForbiddenImage(_) => forbidden_image::KEYS.name,
            Self::UnmanagedContainer(_) => unmanaged_container::KEYS.name,
            Self::Dangling(_) => dangling::KEYS.name,
            Self::Package(_) => package::KEYS.name,
            Self::PackageVulnerable(_) => package::VULNERABLE.name,
            Self::SystemdUnit(_) => systemd_unit::KEYS.name,
            Self::User(_) => account::USER.name,
            Self::Group(_) => account::GROUP.name,
            Self::Membership(_) => account::MEMBERSHIP.name,
            Self::SshAuthorizedKey(_) => authorized_key::KEYS.name,
            Self::Sudoers(_) => dropin::SUDOERS.name,
            Self::Cron(_) => dropin::CRON.name,
            Self::Time(_) => time::KEYS.name,
            Self::Process(_) => seen::PROCESS.name,
            Self::ListeningPort(_) => seen::PORT.name,
            Self::Certificate(_) => seen::CERTIFICATE.name,
            Self::Command(_) => seen::COMMAND.name,
            Self::KernelModule(_) => kernel_module::KEYS.name,
            Self::Mount(_) => mount::KEYS.name,
            Self::Archive(_) => archive::KEYS.name,
        }
    }

    /// Whether both cannot be so. Asked of two rules about one [`thing`](Self::thing).
    pub fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => one.contradicts(other),
            (Self::SystemdUnit(one), Self::SystemdUnit(other)) => one.contradicts(other),
            (Self::User(one), Self::User(other)) => one.contradicts(other),
            (Self::ListeningPort(one), Self::ListeningPort(other)) => one.contradicts(other),
            _ => self != other,
        }
    }

    /// The thing of the host that it is about; two rules about one thing must agree.
    pub fn thing(&self) -> String {
        match self {
            Self::File(rule) => rule.path.to_string(),
            Self::FileLine(rule) => rule.thing(),
            Self::FileAbsent(rule) => rule.path.to_string(),
            Self::Directory(rule) => rule.path.to_string(),
            Self::Symlink(rule) => rule.path.to_string(),
            Self::KeyValue(rule) | Self::DaemonConfig(rule) => rule.thing(),
            Self::Sysctl(rule) => format!("kernel parameter {}", rule.key),
            // Several of these hold beside one another: nothing of them is mended.
            Self::Container(_)
            | Self::HubLogin(_)
            | Self::ForbiddenImage(_)
            | Self::UnmanagedContainer(_)
            | Self::Dangling(_) => format!("{self:?}"),
            Self::Package(rule) => format!("package {}", rule.package),
            Self::PackageVulnerable(rule) => {
                let ranges: Vec<String> = rule.vulnerable.iter().map(Test::to_string).collect();
                format!("versions {} of package {}", ranges.join(" or "), rule.package)
            }
            Self::SystemdUnit(rule) => format!("unit {}", rule.unit),
            Self::User(rule) => format!("user {}", rule.user),
            Self::Group(rule) => format!("group {}", rule.group),
            Self::Membership(rule) => format!("user {} in group {}", rule.user, rule.group),
            Self::SshAuthorizedKey(rule) => format!("key {} of {}", rule.fingerprint, rule.user),
            Self::Sudoers(rule) | Self::Cron(rule) => rule.path.to_string(),
            Self::Time(_) => "the time".to_owned(),
            Self::Process(rule) => rule.thing(),
            Self::ListeningPort(rule) => format!("{} port {}", rule.protocol.as_str(), rule.port),
            // Several may look at one certificate, or ask one program.
            Self::Certificate(rule) => format!("{rule:?}"),
            Self::Command(rule) => format!("{rule:?}"),
            Self::KernelModule(rule) => format!("kernel module {}", rule.module),
            Self::Mount(rule) => format!("what is mounted at {}", rule.path),
            Self::Archive(rule) => format!("the archive in {}", rule.path),
        }
    }
}

/// Whether two want one thing differently; who leaves it open agrees with everybody.
pub(crate) fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one != other)
}

/// Reads the parameters of a checked table; none after an error was noted.
pub(crate) fn read(
    table: &Table,
    files: &RuleFiles<'_>,
    reader: &mut Reader<'_>,
) -> Option<RuleKind> {
    match table.get("kind").and_then(Node::as_text)? {
        "file" => file::read(table, files, reader).map(RuleKind::File),
        "file_line" => file_line::read(table, reader).map(RuleKind::FileLine),
        "file_absent" => file_absent::read(table, reader).map(RuleKind::FileAbsent),
        "directory" => directory::read(table, reader).map(RuleKind::Directory),
        "symlink" => symlink::read(table, reader).map(RuleKind::Symlink),
        "key_value" => key_value::read(table, reader).map(RuleKind::KeyValue),
        "sysctl" => sysctl::read(table, reader).map(RuleKind::Sysctl),
        "container" => container::read(table, reader).map(RuleKind::Container),
        "daemon_config" => daemon_config::read(table, reader).map(RuleKind::DaemonConfig),
        "hub_login" => Some(RuleKind::HubLogin(hub_login::read(table, reader))),
        "forbidden_image" => Some(RuleKind::ForbiddenImage(forbidden_image::read(table, reader))),
        "unmanaged_container" => {
            Some(RuleKind::UnmanagedContainer(unmanaged_container::read(table, reader)))
        }
        "dangling" => dangling::read(table, reader).map(RuleKind::Dangling),
        "package" => package::read(table, reader).map(RuleKind::Package),
        "package_vulnerable" => {
            package::read_vulnerable(table, reader).map(RuleKind::PackageVulnerable)
        }
        "systemd_unit" => systemd_unit::read(table, reader).map(RuleKind::SystemdUnit),
        "user" => account::read_user(table, reader).map(RuleKind::User),
        "group" => account::read_group(table, reader).map(RuleKind::Group),
        "membership" => account::read_membership(table, reader).map(RuleKind::Membership),
        "ssh_authorized_key" => authorized_key::read(table, reader).map(RuleKind::SshAuthorizedKey),
        "sudoers" => dropin::read_sudoers(table, reader).map(RuleKind::Sudoers),
        "cron" => dropin::read_cron(table, reader).map(RuleKind::Cron),
        "time" => time::read(table, reader).map(RuleKind::Time),
        "process" => seen::read_process(table, reader).map(RuleKind::Process),
        "listening_port" => seen::read_port(table, reader).map(RuleKind::ListeningPort),
        "certificate" => seen::read_certificate(table, reader).map(RuleKind::Certificate),
        "command" => seen::read_command(table, reader).map(RuleKind::Command),
        "kernel_module" => kernel_module::read(table, reader).map(RuleKind::KernelModule),
        "mount" => mount::read(table, reader).map(RuleKind::Mount),
        "archive" => archive::read(table, files, reader).map(RuleKind::Archive),
        _ => None,
    }
}
