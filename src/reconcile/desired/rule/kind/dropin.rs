//! `sudoers` and `cron`: a file of its own in a folder that a program reads whole.

use serde::Serialize;

use crate::model::HostPath;
use crate::model::cron::is_cron;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::account::Presence;
use crate::reconcile::desired::rule::kind::account::name;
use crate::reconcile::desired::rule::kind::account::presence;

/// Keys of `kind = "sudoers"`.
pub(crate) static SUDOERS: Keys = Keys {
    name: "sudoers",
    doc: "A file in /etc/sudoers.d, which visudo accepts.",
    keys: &[
        Key::required("file", Kind::Text, "its name there: `50-deploy`"),
        Key::new("content", Kind::Text, "what it says; `${…}` is substituted"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
    ],
};

/// Keys of `kind = "cron"`.
pub(crate) static CRON: Keys = Keys {
    name: "cron",
    doc: "A job in a file of its own in /etc/cron.d.",
    keys: &[
        Key::required("file", Kind::Text, "its name there: `backup`"),
        Key::new("schedule", Kind::Text, "when: `15 3 * * *` or `@daily`"),
        Key::new("user", Kind::Text, "who runs it"),
        Key::new("command", Kind::Text, "what cron runs"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
    ],
};

/// A file in a folder that a program reads whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DropInRule {
    /// Where.
    pub path: HostPath,
    /// What it says; none if there must be no such file.
    pub content: Option<ConfigContent>,
    /// Whose job it is; cron leaves out those of users whom nobody knows.
    pub user: Option<String>,
}

/// Reads `sudoers`.
pub(crate) fn read_sudoers(table: &Table, reader: &mut Reader<'_>) -> Option<DropInRule> {
    let path = path(table, "/etc/sudoers.d", reader);
    let at = table.get("file")?.at;
    let content = match (presence(table, reader), table.get("content")) {
        (Presence::Absent, None) => None,
        (Presence::Absent, Some(node)) => {
            reader.findings.error_help(node.at, "what is absent has no `content`", "remove it");
            return None;
        }
        (Presence::Present, None) => {
            reader.findings.error_help(at, "`content` is missing", "add it: what the file says");
            return None;
        }
        (Presence::Present, Some(node)) => Some(ended(reader.text(node)?)),
    };
    Some(DropInRule { path: path?, content, user: None })
}

/// Reads `cron`.
pub(crate) fn read_cron(table: &Table, reader: &mut Reader<'_>) -> Option<DropInRule> {
    let path = path(table, "/etc/cron.d", reader);
    let at = table.get("file")?.at;
    let parts = ["schedule", "user", "command"].map(|key| table.get(key));
    if presence(table, reader) == Presence::Absent {
        if let Some(node) = parts.into_iter().flatten().next() {
            let message = "what is absent has no other parameters";
            reader.findings.error_help(node.at, message, "remove them");
            return None;
        }
        return Some(DropInRule { path: path?, content: None, user: None });
    }
    let [Some(schedule), Some(_), Some(command)] = parts else {
        let message = "a job needs `schedule`, `user` and `command`";
        reader.findings.error_help(at, message, "add what is missing");
        return None;
    };
    let schedule = reader.with(schedule, |text| {
        if is_cron(text) {
            return Ok(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Err(format!("`{text}` is no schedule of cron: write for example `15 3 * * *`"))
    });
    let user = name(table, "user", reader);
    let command = reader.with(command, |text| match text.trim() {
        "" => Err("the command is empty"),
        text if text.contains(['\n', '\r', '\0']) => Err("a command stands in one line"),
        text if ends_early(text) => Err(ENDS_EARLY),
        text => Ok(text.to_owned()),
    });
    let user = user?;
    let text = format!("{} {user} {}", schedule?, command?);
    Some(DropInRule { path: path?, content: Some(ended(text)), user: Some(user) })
}

/// Why a command with a `%` is refused.
const ENDS_EARLY: &str =
    "cron ends a command at `%` and hands it the rest as its input: write `\\%` for the character";

/// Whether cron ends the command before its end: at a `%` without a backslash (crontab(5)) that is
/// not behind another.
fn ends_early(command: &str) -> bool {
    let n_before = |at: usize| at - command[..at].trim_end_matches('\\').len();
    command.match_indices('%').any(|(at, _)| n_before(at) % 2 == 0)
}

fn ended(text: String) -> ConfigContent {
    let text = if text.ends_with('\n') { text } else { text + "\n" };
    ConfigContent(text.into_bytes().into())
}

/// sudo and cron leave out names with other characters without a word.
fn path(table: &Table, folder: &str, reader: &mut Reader<'_>) -> Option<HostPath> {
    reader.with(table.get("file")?, |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if text.is_empty() || text.len() > 100 || !text.bytes().all(plain) {
            let program = if folder == "/etc/cron.d" { "cron" } else { "sudo" };
            return Err(format!(
                "`{text}` would not be read by {program}: use letters, digits, `-` and `_`"
            ));
        }
        format!("{folder}/{text}").parse().map_err(|_| format!("`{text}` is no name of a file"))
    })
}
