//! `ssh_authorized_key`: a key that a user may log in with, or may not.

use serde::Serialize;
use ssh_key::{HashAlg, PublicKey};

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::kind::account::Presence;
use crate::reconcile::desired::rule::kind::account::name;
use crate::reconcile::desired::rule::kind::account::presence;

/// Keys of `kind = "ssh_authorized_key"`.
pub(crate) static KEYS: Keys = Keys {
    name: "ssh_authorized_key",
    doc: "A key in a user's ~/.ssh/authorized_keys, there or not.",
    keys: &[
        Key::required("user", Kind::Text, "whose file"),
        Key::required("key", Kind::Text, "`ssh-ed25519 AAAA… comment`"),
        Key::new("options", Kind::Text, "what stands before it: `from=\"10.0.0.0/8\"`"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
    ],
};

/// A key of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorizedKeyRule {
    /// Whose file.
    pub user: String,
    /// `ssh-ed25519 AAAA…`, without a comment.
    pub key: String,
    /// The comment.
    pub comment: String,
    /// For people: `SHA256:…`.
    pub fingerprint: String,
    /// What stands before it.
    pub options: String,
    /// Whether it must be there.
    pub state: Presence,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<AuthorizedKeyRule> {
    let user = name(table, "user", reader);
    let state = presence(table, reader);
    let node = table.get("key")?;
    let key = reader.with(node, |text| {
        let one_line = !text.trim().contains(['\n', '\r', '\0']);
        let parsed = PublicKey::from_openssh(text.trim()).ok().filter(|_| one_line);
        parsed.ok_or("it is no public key: write one line of a `.pub` file".to_owned())
    });
    let options = match table.get("options") {
        None => String::new(),
        Some(node) => {
            if state == Presence::Absent {
                let message = "what is absent has no `options`: the key alone counts";
                reader.findings.error_help(node.at, message, "remove them");
                return None;
            }
            reader.with(node, |text| {
                if text.contains(['\n', '\r', '\0', '#']) {
                    return Err("options stand in one line, before the key");
                }
                Ok(text.trim().to_owned())
            })?
        }
    };
    let (user, key) = (user?, key?);
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let comment = key.comment().to_string();
    let mut bare = key;
    bare.set_comment("");
    let key = bare.to_openssh().ok()?.trim().to_owned();
    Some(AuthorizedKeyRule { user, key, comment, fingerprint, options, state })
}
