//! What is wrong with a repository, and what it comes to, for its authors.
//!
//! In: a work tree's files, or snapshots. Out: [`Diagnostics`] and text. Pure.
//!
//! # Guarantees
//! * Every environment that has a directory is resolved for each of its nodes, as a node would.
//! * Rules that no node is shown are read as well, as far as they refer to nothing of a node's.
//! * All mistakes at once.

mod render;
mod tree;

pub use render::render_json;
pub use render::render_text;
pub use tree::ruleset_tree;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compliance::dispute::Disputes;
use crate::model::AccountTables;
use crate::model::Diagnostic;
use crate::model::Diagnostics;
use crate::model::EnvironmentName;
use crate::model::Revision;
use crate::reconcile::desired::Reading;
use crate::reconcile::desired::ResolveError;
use crate::reconcile::desired::rule::Rule;
use crate::reconcile::source::Snapshot;
use crate::reconcile::trust::Verified;
use crate::reconcile::trust::policy::TrustPolicy;

/// Contents by path within the repository.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Environments whose directories lie in `files`.
pub fn environments(files: &Files) -> BTreeSet<EnvironmentName> {
    files
        .keys()
        .filter_map(|path| path.strip_prefix("environments/")?.split_once('/')?.0.parse().ok())
        .collect()
}

/// A work tree as `environment` sees it.
pub fn work_tree(files: &Files, environment: &EnvironmentName) -> Verified<Snapshot> {
    Verified::unverified_own_work_tree(Snapshot {
        revision: Revision::WorkTree { environment: environment.clone() },
        time: None,
        allow_removal: BTreeSet::new(),
        files: files.clone(),
    })
}

/// Every mistake in a work tree: all environments, all nodes.
pub fn lint(files: &Files) -> Diagnostics {
    let mut found = Diagnostics::default();
    let environments = environments(files);
    for environment in &environments {
        lint_environment(files, environment, &mut found);
    }
    if environments.is_empty() {
        let missing = Diagnostic::error("environments/", None, "there is no environment")
            .help("`tidegate init` makes one; is this a configuration repository?");
        found.push(missing);
    }
    let mut sorted = Diagnostics::default();
    found.into_sorted().into_iter().for_each(|diagnostic| sorted.push(diagnostic));
    sorted
}

fn lint_environment(files: &Files, environment: &EnvironmentName, found: &mut Diagnostics) {
    lint_trust(files, environment, found);
    let snapshot = work_tree(files, environment);
    let reading = match Reading::new(snapshot.get(), environment) {
        Ok(reading) => reading,
        Err(ResolveError::Invalid(diagnostics)) => return found.append(diagnostics),
        Err(error @ ResolveError::TooOld { .. }) => {
            let help = "install a newer tidegate to work on this repository";
            return found
                .push(Diagnostic::error("tidegate.toml", None, error.to_string()).help(help));
        }
    };
    found.append(reading.general_with_rules());
    if reading.nodes().next().is_none() {
        let file = format!("environments/{environment}/nodes/");
        let warning = Diagnostic::warning(&file, None, "the environment has no node")
            .help("add `nodes/<name>.toml`; nothing was checked for a node");
        found.push(warning);
    }
    for node in reading.nodes() {
        match reading.node(node) {
            Ok(resolution) => {
                found.append(resolution.warnings);
                lint_rules(files, &resolution.state.rules, found);
            }
            Err(diagnostics) => found.append(diagnostics),
        }
    }
}

/// Rules that apply whatever the facts are, and contradict one another: nodes would mend none.
fn lint_rules(files: &Files, rules: &[Rule], found: &mut Diagnostics) {
    let always: Vec<&Rule> = rules.iter().filter(|rule| rule.condition.is_always()).collect();
    let disputes = Disputes::among(always.iter().copied(), &AccountTables::default());
    for rule in always {
        let Some(reason) = disputes.of(rule) else { continue };
        let file = &rule.source.file;
        let text = files.get(file).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let lines = text.unwrap_or_default().split_inclusive('\n');
        let at: usize = lines.take(rule.source.line.saturating_sub(1)).map(str::len).sum();
        let help = "leave it to one of them, or narrow a `match`";
        found.push(Diagnostic::error(file, Some(at..at), reason).help(help));
    }
}

fn lint_trust(files: &Files, environment: &EnvironmentName, found: &mut Diagnostics) {
    let path = format!("environments/{environment}/trust.toml");
    let Some(bytes) = files.get(&path) else {
        let warning = Diagnostic::warning(&path, None, "nobody may sign for this environment")
            .help("a node refuses commits without it; see docs/trust.md");
        return found.push(warning);
    };
    if let Err(error) = TrustPolicy::parse(bytes) {
        let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
        found.push(Diagnostic::error(&path, None, format!("{error}{cause}")));
    }
}
