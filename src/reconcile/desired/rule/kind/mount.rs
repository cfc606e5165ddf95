//! `mount`: what is mounted at a path, now and at boot.

use serde::Serialize;

use crate::model::HostPath;
use crate::model::mounts::FLAGS;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::read::path;

/// Keys of `kind = "mount"`.
pub(crate) static KEYS: Keys = Keys {
    name: "mount",
    doc: "What is mounted at a path, now and by /etc/fstab.",
    keys: &[
        Key::required("path", Kind::Text, "where, absolute and without links in the way"),
        Key::new(
            "source",
            Kind::Text,
            "what: a device, `UUID=…`, `host:/path`, `//host/share`, `tmpfs`, a folder",
        ),
        Key::new("type", Kind::Text, "ext4, xfs, nfs, tmpfs, …; a bind mount has none"),
        Key::new("options", TEXT_OR_TEXTS, "as in fstab: `noexec,nodev`; default any"),
        Key::new(
            "state",
            Kind::Choice(&["both", "mounted", "persisted", "absent"]),
            "now and in /etc/fstab, one of them, or neither; default both",
        ),
    ],
};

/// Options that would make another mount of it than the rule says.
const REFUSED: [(&str, &str); 6] = [
    ("remount", "a rule says what is mounted, not how it becomes so"),
    ("loop", "loop devices are not looked at: name the device"),
    ("offset", "loop devices are not looked at: name the device"),
    ("rbind", "name each mount in a rule of its own, with `bind`"),
    ("move", "a rule says what is mounted, not how it becomes so"),
    ("x-mount.mkdir", "a folder that is missing is made anyway"),
];
/// Options that hold a secret, which everybody could read.
const SECRET: [&str; 3] = ["password", "pass", "passwd"];

/// A mount, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountRule {
    /// Where.
    pub path: HostPath,
    /// What is wanted; none if nothing may be mounted there, now or at boot.
    pub wish: Option<MountWish>,
}

/// What is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountWish {
    /// A device, a folder, or whatever its type takes.
    pub source: String,
    /// The type; `none` for a bind mount.
    pub kind: String,
    /// Options, as in fstab; none leaves them as they are.
    pub options: Option<Vec<String>>,
    /// Whether it must be mounted.
    pub now: bool,
    /// Whether it must be in /etc/fstab.
    pub at_boot: bool,
}

impl MountWish {
    /// Whether it shows a folder in a second place.
    pub fn is_bind(&self) -> bool {
        self.options.iter().flatten().any(|option| option == "bind")
    }
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<MountRule> {
    let at = path(table, "path", reader)?;
    let state = reader.text_at(table, "state").unwrap_or_else(|| "both".to_owned());
    if state == "absent" {
        return absent(at, table, reader);
    }
    let node = table.get("path")?;
    let options = match table.get("options") {
        None => None,
        Some(node) => Some(options(node, reader)?),
    };
    let bind = options.iter().flatten().any(|option| option == "bind");
    let Some(source) = table.get("source") else {
        let help = "add it: what is mounted there, or `state = \"absent\"`";
        reader.findings.error_help(node.at, "`source` is missing", help);
        return None;
    };
    let source = reader.with(source, |text| one_source(text, bind))?;
    let kind = match (table.get("type"), bind) {
        (None, true) => "none".to_owned(),
        (None, false) => {
            let help = "add it: `ext4`, `tmpfs`, …; or `options = \"bind\"` for a folder";
            reader.findings.error_help(node.at, "`type` is missing", help);
            return None;
        }
        (Some(node), true) => {
            let help = "remove it: a bind mount is of the type of what it shows";
            reader.findings.error_help(node.at, "a bind mount has no `type`", help);
            return None;
        }
        (Some(node), false) => {
            reader.with(node, |text| one_type(text).and_then(|kind| of_share(&source, kind)))?
        }
    };
    let (now, at_boot) = (state != "persisted", state != "mounted");
    Some(MountRule { path: at, wish: Some(MountWish { source, kind, options, now, at_boot }) })
}

/// What must not be mounted has no other parameters, and is nothing that the host needs.
fn absent(at: HostPath, table: &Table, reader: &mut Reader<'_>) -> Option<MountRule> {
    if let Some(node) = ["source", "type", "options"].iter().find_map(|key| table.get(key)) {
        let message = "what is absent has no other parameters";
        reader.findings.error_help(node.at, message, "remove them");
        return None;
    }
    if at.is_kept() {
        let message = format!("`{at}` is never unmounted: the host would be gone without it");
        reader.findings.error_help(table.get("path")?.at, message, "remove the rule");
        return None;
    }
    Some(MountRule { path: at, wish: None })
}

fn one_source(text: &str, bind: bool) -> Result<String, String> {
    let is_path = text.parse::<HostPath>().is_ok();
    if (bind || text.starts_with('/')) && !is_path && (bind || !is_share(text)) {
        return Err(format!("`{text}` is not an absolute path without `.`, `..` and `//`"));
    }
    if text.starts_with("/dev/loop") {
        return Err(format!("`{text}` is a loop device, and those are not looked at"));
    }
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '\\';
    if text.is_empty() || text.starts_with(['-', '#']) || !text.chars().all(plain) {
        return Err(format!(
            "`{text}` is nothing that can be mounted: write for example `/dev/sdb1`"
        ));
    }
    Ok(text.to_owned())
}

/// Whether it names a share of SMB: `//host/share`, and what below it.
fn is_share(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("//") else { return false };
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    parts.len() >= 2 && parts.iter().all(|part| !["", ".", ".."].contains(part))
}

/// A share is of a type that mounts shares.
fn of_share(source: &str, kind: String) -> Result<String, String> {
    if source.starts_with("//") && !["cifs", "smb3"].contains(&kind.as_str()) {
        return Err(format!("`{source}` is a share, and of type `cifs` or `smb3`, not `{kind}`"));
    }
    Ok(kind)
}

fn one_type(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match text {
        "swap" => Err("swap is not mounted: this version has no rule for it".to_owned()),
        "auto" | "none" => Err(format!("`{text}` is no type: write for example `ext4`")),
        _ if text.is_empty() || text.starts_with('-') || !text.bytes().all(plain) => {
            Err(format!("`{text}` is no type of file system: write for example `ext4`"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// Options one by one, each once.
fn options(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for one in node.one_or_many() {
        let found = reader.with(one, |text| {
            text.split(',').map(one_option).collect::<Result<Vec<String>, String>>()
        })?;
        all.extend(found);
    }
    let twice = |option: &&String| all.iter().filter(|other| other == option).count() > 1;
    let both =
        |(yes, no): &&(&str, &str)| all.iter().any(|o| o == yes) && all.iter().any(|o| o == no);
    let message = match (all.iter().find(twice), FLAGS.iter().find(both)) {
        (Some(option), _) => format!("option `{option}` stands twice"),
        (None, Some((yes, no))) => format!("options `{yes}` and `{no}` cannot both be"),
        (None, None) => return Some(all),
    };
    reader.findings.error_help(node.at, message, "remove one of them");
    None
}

fn one_option(text: &str) -> Result<String, String> {
    let option = text.trim();
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(format!("option `{name}` is refused: {reason}"));
    }
    if SECRET.contains(&name) {
        return Err(format!(
            "option `{name}` would show a secret to everybody: write `credentials=FILE`"
        ));
    }
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '\\' | '"');
    if name.is_empty() || option.starts_with('-') || !option.chars().all(plain) {
        return Err(format!("`{option}` is no option of a mount: write for example `noexec`"));
    }
    Ok(option.to_owned())
}
