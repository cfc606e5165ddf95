//! `package` and `package_vulnerable`: what is installed, and in which version.

use serde::Serialize;

use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::rule::Test;
use crate::reconcile::desired::rule::condition::versions;

/// Keys of `kind = "package"`.
pub(crate) static KEYS: Keys = Keys {
    name: "package",
    doc: "A package of dpkg or rpm, installed or not.",
    keys: &[
        Key::required("package", Kind::Text, "its name"),
        Key::new("version", Kind::Text, "which versions will do: `>=3.0, <3.1`; default any"),
        Key::new("state", Kind::Choice(&["present", "absent"]), "default present"),
    ],
};

/// Keys of `kind = "package_vulnerable"`.
pub(crate) static VULNERABLE: Keys = Keys {
    name: "package_vulnerable",
    doc: "A package that must not be installed in these versions.",
    keys: &[
        Key::required("package", Kind::Text, "its name"),
        Key::required("vulnerable", SOME_TEXTS, "ranges of versions: `<3.0.13`"),
        Key::new("advisory", Kind::Text, "what says so, for people"),
    ],
};

/// A package that is installed or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRule {
    /// Its name.
    pub package: String,
    /// What is wanted.
    pub wish: PackageWish,
}

/// What is wanted of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageWish {
    /// Installed, in a version that one of these fits.
    Present(Vec<Test>),
    /// Not installed.
    Absent,
}

/// A package that must not be installed in some versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageVulnerableRule {
    /// Its name.
    pub package: String,
    /// Versions that one of these fits are vulnerable.
    pub vulnerable: Vec<Test>,
    /// What says so.
    pub advisory: Option<String>,
}

/// Reads `package`.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<PackageRule> {
    let package = reader.with(table.get("package")?, name);
    let present = reader.text_at(table, "state").is_none_or(|state| state == "present");
    let wish = match table.get("version") {
        None if present => PackageWish::Present(Vec::new()),
        None => PackageWish::Absent,
        Some(node) if !present => {
            let message = "what is absent has no `version`";
            let help = "remove it, or write `kind = \"package_vulnerable\"` for some versions";
            reader.findings.error_help(node.at, message, help);
            return None;
        }
        Some(node) => PackageWish::Present(vec![reader.with(node, versions)?]),
    };
    Some(PackageRule { package: package?, wish })
}

/// Reads `package_vulnerable`.
pub(crate) fn read_vulnerable(
    table: &Table,
    reader: &mut Reader<'_>,
) -> Option<PackageVulnerableRule> {
    let package = reader.with(table.get("package")?, name);
    let ranges = table.get("vulnerable").map(Node::one_or_many).unwrap_or_default();
    let vulnerable: Option<Vec<Test>> =
        ranges.iter().map(|node| reader.with(node, versions)).collect();
    let advisory = reader.text_at(table, "advisory");
    Some(PackageVulnerableRule { package: package?, vulnerable: vulnerable?, advisory })
}

/// What dpkg and rpm take for a name, and neither apt nor dnf for anything else.
fn name(text: &str) -> Result<String, String> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-._:".contains(&b);
    if first && text.len() <= 200 && text.bytes().all(plain) && !text.ends_with(['+', '-', ':']) {
        return Ok(text.to_owned());
    }
    // apt takes a trailing `+` or `-` for an order, unless there is a package of that very name.
    if first && text.len() <= 200 && text.bytes().all(plain) && text.ends_with("++") {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no name of a package: write for example `openssl`, no pattern"))
}
