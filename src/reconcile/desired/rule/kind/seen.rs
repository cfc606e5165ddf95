//! `process`, `listening_port`, `certificate`, `command`: what is looked at and never changed.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use crate::model::HostPath;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::account::Noted;
use crate::reconcile::desired::rule::kind::account::Presence;
use crate::reconcile::desired::rule::kind::account::name;
use crate::reconcile::desired::rule::kind::file_line::pattern;
use crate::reconcile::desired::rule::read::path;

/// The longest that a rule's program may take: a check has many rules.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(60);
/// What it gets unless the rule says otherwise.
const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Keys of `kind = "process"`.
pub(crate) static PROCESS: Keys = Keys {
    name: "process",
    doc: "A process that runs, or that does not.",
    keys: &[
        Key::required("process", Kind::Text, "its program's name: `sshd`"),
        Key::new("args", Kind::Text, "a pattern that its whole command line must have"),
        Key::new("user", Kind::Text, "whose it must be"),
        Key::new("state", Kind::Choice(&["running", "absent"]), "default running"),
    ],
};

/// Keys of `kind = "listening_port"`.
pub(crate) static PORT: Keys = Keys {
    name: "listening_port",
    doc: "A port that something listens on, or that nothing does.",
    keys: &[
        Key::required("port", Kind::Integer, "the number"),
        Key::new("protocol", Kind::Choice(&["tcp", "udp"]), "default tcp"),
        Key::new("address", SOME_TEXTS, "where alone it may listen; default anywhere"),
        Key::new("state", Kind::Choice(&["listening", "closed"]), "default listening"),
    ],
};

/// Keys of `kind = "certificate"`.
pub(crate) static CERTIFICATE: Keys = Keys {
    name: "certificate",
    doc: "A certificate that is valid, and for how much longer.",
    keys: &[
        Key::required("path", Kind::Text, "the PEM file, absolute"),
        Key::new("days", Kind::Integer, "for how many more days at least; default 0"),
        Key::new("issuer", Kind::Text, "who issued it; `*` for any part"),
        Key::new("names", SOME_TEXTS, "host names that it must be for"),
    ],
};

/// Keys of `kind = "command"`.
pub(crate) static COMMAND: Keys = Keys {
    name: "command",
    doc: "What a program says that the node's policy lets rules run.",
    keys: &[
        Key::required("argv", TEXTS, "the program, absolute, and its arguments; no shell"),
        Key::new("exit", Kind::Integer, "the exit code that it must have; default 0"),
        Key::new("output", Kind::Text, "a pattern that its output must have"),
        Key::new("timeout", Kind::Text, "how long it may take; default 10s, at most 60s"),
    ],
};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProcessRule {
    /// Its program's name.
    pub process: String,
    /// What its command line must have.
    pub args: Option<String>,
    /// Whose it must be.
    pub user: Option<String>,
    /// Whether there must be one.
    pub state: Presence,
}

impl ProcessRule {
    /// What of the host it is about.
    pub(crate) fn thing(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("process {} /{}/ {}", self.process, part(&self.args), part(&self.user))
    }
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListeningPortRule {
    /// The number.
    pub port: u16,
    /// How.
    pub protocol: Protocol,
    /// Where alone; anywhere if empty.
    pub addresses: Vec<IpAddr>,
    /// Whether something must listen.
    pub state: Presence,
}

impl ListeningPortRule {
    /// Whether both cannot be so.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let both = !self.addresses.is_empty() && !other.addresses.is_empty();
        self.state != other.state || (both && self.addresses != other.addresses)
    }
}

/// What ports are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateRule {
    /// The file.
    pub path: HostPath,
    /// For how many more days it must be valid.
    pub days: u16,
    /// Who issued it.
    pub issuer: Option<String>,
    /// Host names that it must be for.
    pub names: Vec<String>,
}

/// A program that only says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandRule {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its exit code.
    pub exit: i32,
    /// What its output must have.
    pub output: Option<String>,
    /// When it is ended.
    pub timeout: Duration,
}

/// Reads `process`.
pub(crate) fn read_process(table: &Table, reader: &mut Reader<'_>) -> Option<ProcessRule> {
    let process = reader.with(table.get("process")?, |text| {
        if text.is_empty() || text.contains(['/', '\0', '\n']) {
            return Err(format!("`{text}` is no name of a program: write for example `sshd`"));
        }
        Ok(text.to_owned())
    });
    let args = optional_pattern(table, "args", reader).ok()?;
    let user = match table.get("user") {
        None => None,
        Some(_) => Some(name(table, "user", reader)?),
    };
    let running = reader.text_at(table, "state").is_none_or(|state| state == "running");
    let state = if running { Presence::Present } else { Presence::Absent };
    Some(ProcessRule { process: process?, args, user, state })
}

/// Reads `listening_port`.
pub(crate) fn read_port(table: &Table, reader: &mut Reader<'_>) -> Option<ListeningPortRule> {
    let node = table.get("port")?;
    let port: u16 = reader.integer(table, "port")?;
    if port == 0 {
        reader.findings.error(node.at, "0 is no port");
        return None;
    }
    let udp = reader.text_at(table, "protocol").is_some_and(|protocol| protocol == "udp");
    let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
    let closed = reader.text_at(table, "state").is_some_and(|state| state == "closed");
    let state = if closed { Presence::Absent } else { Presence::Present };
    let wanted = table.get("address").map_or(0, |node| node.one_or_many().len());
    let addresses: Vec<IpAddr> = reader.list(table, "address");
    if addresses.len() != wanted {
        return None;
    }
    if let (true, Some(node)) = (closed, table.get("address")) {
        let message = "what is closed is closed at every address";
        reader.findings.error_help(node.at, message, "remove it");
        return None;
    }
    Some(ListeningPortRule { port, protocol, addresses, state })
}

/// Reads `certificate`.
pub(crate) fn read_certificate(table: &Table, reader: &mut Reader<'_>) -> Option<CertificateRule> {
    let path = path(table, "path", reader);
    let days = match table.get("days") {
        None => 0,
        Some(_) => reader.integer(table, "days")?,
    };
    let issuer = reader.text_at(table, "issuer");
    let names = reader.texts(table, "names");
    Some(CertificateRule { path: path?, days, issuer, names })
}

/// Reads `command`.
pub(crate) fn read_command(table: &Table, reader: &mut Reader<'_>) -> Option<CommandRule> {
    let node = table.get("argv")?;
    let argv = reader.texts(table, "argv");
    let program = argv.first().map(String::as_str).unwrap_or_default();
    if program.parse::<HostPath>().is_err() {
        let message = format!("`{program}` is no program: name it by its whole path");
        reader.findings.error_help(
            node.at,
            message,
            "for example `[\"/usr/bin/test\", \"-e\", …]`",
        );
        return None;
    }
    if argv.iter().any(|arg| arg.contains('\0')) {
        reader.findings.error(node.at, "an argument has a NUL in it");
        return None;
    }
    let exit = match table.get("exit") {
        None => 0,
        Some(_) => reader.integer::<u8>(table, "exit")?.into(),
    };
    let output = optional_pattern(table, "output", reader).ok()?;
    let timeout = match table.get("timeout") {
        None => COMMAND_TIME,
        Some(node) => {
            let timeout = reader.duration(table, "timeout")?;
            if timeout.is_zero() || timeout > COMMAND_TIME_MAX {
                let message =
                    format!("at most {} s: a check has many rules", COMMAND_TIME_MAX.as_secs());
                reader.findings.error(node.at, message);
                return None;
            }
            timeout
        }
    };
    Some(CommandRule { argv, exit, output, timeout })
}

fn optional_pattern(
    table: &Table,
    key: &str,
    reader: &mut Reader<'_>,
) -> Result<Option<String>, Noted> {
    let Some(node) = table.get(key) else { return Ok(None) };
    let read = reader.with(node, |text| pattern(text).map(|_| text.to_owned()));
    read.map(Some).ok_or(Noted)
}
