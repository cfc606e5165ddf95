//! `tidegate ruleset tree`: the rulesets, each environment's leaf resolved from its own branch.
//!
//! In: one snapshot for each environment. Out: text. Pure.

use std::collections::BTreeMap;

use crate::model::RulesetName;
use crate::reconcile::desired::Repository;
use crate::reconcile::desired::rulesets_shown;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;

/// What one environment shows of a ruleset.
#[derive(Debug)]
struct Leaf {
    name: String,
    revision: String,
    values: Vec<String>,
}

/// A line to print under a ruleset.
enum Branch<'a> {
    Leaf(&'a Leaf),
    Ruleset(&'a RulesetName),
}

/// The tree, a line for each ruleset and for each of its leaves; documents with mistakes are left
/// out (`lint` names them).
pub fn ruleset_tree(lines: &[Verified<Snapshot>]) -> String {
    let mut leaves: BTreeMap<RulesetName, Vec<Leaf>> = BTreeMap::new();
    for line in lines {
        let snapshot = line.get();
        let environment = snapshot.revision.environment();
        let repository = Repository::read(&snapshot.files, environment);
        for (name, values) in rulesets_shown(&repository) {
            let leaf = Leaf {
                name: format!("{name}.{environment}"),
                revision: snapshot.revision.to_string(),
                values,
            };
            leaves.entry(name).or_default().push(leaf);
        }
    }
    let mut text = String::new();
    for name in leaves.keys().filter(|name| around(name, &leaves).is_none()) {
        text.extend([&name.to_string(), "\n"]);
        print(name, &leaves, "", &mut text);
    }
    text
}

/// The nearest ruleset around `name` that exists.
fn around<'a>(
    name: &RulesetName,
    leaves: &'a BTreeMap<RulesetName, Vec<Leaf>>,
) -> Option<&'a RulesetName> {
    let mut parent = name.parent();
    while let Some(outer) = parent {
        if let Some((known, _)) = leaves.get_key_value(&outer) {
            return Some(known);
        }
        parent = outer.parent();
    }
    None
}

fn print(
    name: &RulesetName,
    leaves: &BTreeMap<RulesetName, Vec<Leaf>>,
    indent: &str,
    text: &mut String,
) {
    let own = leaves.get(name).into_iter().flatten();
    let inner = leaves.keys().filter(|other| around(other, leaves) == Some(name));
    let branches: Vec<Branch<'_>> =
        own.clone().map(Branch::Leaf).chain(inner.map(Branch::Ruleset)).collect();
    let wide = |of: fn(&Leaf) -> &str| own.clone().map(|leaf| of(leaf).chars().count()).max();
    let name_width = wide(|leaf| &leaf.name).unwrap_or(0);
    let revision_width = wide(|leaf| &leaf.revision).unwrap_or(0);
    for (at, branch) in branches.iter().enumerate() {
        let last = at + 1 == branches.len();
        let (corner, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        match branch {
            Branch::Leaf(Leaf { name, revision, values }) => {
                let row = format!(
                    "{indent}{corner}{name:name_width$}   {revision:revision_width$}   {}",
                    values.join("   ")
                );
                text.push_str(row.trim_end());
                text.push('\n');
            }
            Branch::Ruleset(inner) => {
                text.extend([indent, corner, &inner.to_string(), "\n"]);
                print(inner, leaves, &format!("{indent}{below}"), text);
            }
        }
    }
}
