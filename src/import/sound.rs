//! The draft's files: linted, without what would not pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml_edit::{DocumentMut, Item, Table, Value};

use crate::import::draft::{Draft, Imported};
use crate::import::{Files, ImportError, Into};
use crate::lint::lint;
use crate::model::{Diagnostic, EnvironmentName, Severity};
use crate::promote::{Beginning, skeleton};

/// Writes the draft.
pub(crate) fn finish(mut draft: Draft, into: Into<'_>) -> Result<Imported, ImportError> {
    if draft.environments.is_empty() {
        draft.environments.extend("prd".parse::<EnvironmentName>().ok());
    }
    // Each round but the last takes out at least one rule.
    loop {
        let files = write(&draft, into);
        let mut all: Files = into.there.clone();
        let new = files.iter().filter(|(path, _)| !path.starts_with("history/"));
        all.extend(new.map(|(path, text)| (path.clone(), Arc::from(text.as_bytes()))));
        let own = |d: &Diagnostic| d.severity == Severity::Error && files.contains_key(&d.file);
        let errors: Vec<_> = lint(&all).into_sorted().into_iter().filter(own).collect();
        if take_out(&errors, &mut draft) {
            continue;
        }
        let Some(first) = errors.first() else { break };
        return Err(ImportError::Unsound {
            path: first.file.clone(),
            why: first.message.clone(),
            n_others: errors.len() - 1,
        });
    }
    draft.rulesets.retain(|_, ruleset| !ruleset.is_empty());
    let files = write(&draft, into);
    let other = |path: &&String| path.as_str() != "tidegate.toml" && into.there.contains_key(*path);
    if let Some(path) = files.keys().find(other) {
        return Err(ImportError::There { path: path.clone() });
    }
    draft.remarks.sort();
    Ok(Imported { files, n_carried: draft.n_carried, remarks: draft.remarks })
}

/// Takes the rules out that errors are about; false if they are about none.
fn take_out(errors: &[Diagnostic], draft: &mut Draft) -> bool {
    let mut gone: BTreeMap<(&str, usize), Vec<&str>> = BTreeMap::new();
    let placed = errors.iter().filter_map(|error| Some((error, error.span.as_ref()?)));
    for (error, span) in placed {
        let Some(ruleset) = draft.rulesets.get(&error.file) else { continue };
        let (text, ends) = ruleset.write();
        let begin = text.find("\n[[rules]]").unwrap_or(text.len());
        let at = ends.iter().position(|end| span.start >= begin && span.start < *end);
        if let Some(at) = at {
            gone.entry((&error.file, at)).or_default().push(&error.message);
        }
    }
    // The last of a file first: the others keep their places.
    for ((file, at), why) in gone.iter().rev() {
        let Some(ruleset) = draft.rulesets.get_mut(*file) else { continue };
        let rule = ruleset.rules.remove(*at);
        let place = ruleset.title.clone();
        draft.n_carried = draft.n_carried.saturating_sub(1);
        draft.lost(&place, format!("rule {} ({})", rule.name, rule.kind), why.join("; "));
    }
    !gone.is_empty()
}

fn write(draft: &Draft, into: Into<'_>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    files.extend(tidegate(draft));
    for environment in &draft.environments {
        let path = format!("environments/{environment}/environment.toml");
        if !into.there.contains_key(&path) {
            let text = format!("name = \"{environment}\"\nhub = \"dckhub.{environment}\"\n");
            files.insert(path, text);
        }
        let prefix = format!("environments/{environment}/nodes/");
        let mut own = draft.nodes.iter().filter(|(of, _)| of == environment).peekable();
        let is_there = into.there.keys().any(|path| path.starts_with(&prefix));
        if own.peek().is_none() && !is_there {
            files.insert(format!("{prefix}{environment}1.toml"), NODE.to_owned());
        }
        for (_, node) in own {
            let path = format!("{prefix}{node}.toml");
            if !into.there.contains_key(&path) {
                files.insert(path, NODE.to_owned());
            }
        }
    }
    for (name, service) in &draft.services {
        files.insert(format!("services/{name}.toml"), service.to_string());
    }
    for (path, ruleset) in &draft.rulesets {
        files.insert(path.clone(), ruleset.write().0);
    }
    files.extend(trust(draft, into));
    files.extend(history(draft, into.person.map_or("alice", |(name, _)| name)));
    files
}

const NODE: &str = "# Services and rulesets choose nodes by these labels.\n[labels]\n";

/// `tidegate.toml`, if it is new or lacks an app.
fn tidegate(draft: &Draft) -> Option<(String, String)> {
    let path = "tidegate.toml".to_owned();
    let mut document = if let Some(document) = &draft.tidegate {
        document.clone()
    } else {
        let mut document = DocumentMut::new();
        document.insert("repository", "imported".into());
        let names = draft.environments.iter().map(|name| Value::from(name.as_str()));
        document.insert("environments", Item::Value(names.collect()));
        document
    };
    let before = document.to_string();
    let apps = document.entry("apps").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    for app in &draft.apps {
        let apps = apps.as_table_like_mut()?;
        if apps.get(app).is_none() {
            apps.insert(app, Item::Table(Table::new()));
        }
    }
    let text = document.to_string();
    (draft.tidegate.is_none() || text != before).then_some((path, text))
}

/// What `tidegate init --from` replays, so that each line ends with its own pins: the last line's lie
/// in `rulesets/`, and each earlier line's come as a change that goes no further than it.
fn history(draft: &Draft, signer: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let (Some(first), false) = (draft.environments.first(), draft.lines.is_empty()) else {
        return files;
    };
    let mut steps: Vec<String> = Vec::new();
    for (at, environment) in draft.environments.iter().enumerate().rev() {
        let own = draft.lines.get(environment);
        if own.is_none() && at + 1 != draft.environments.len() {
            continue;
        }
        let change = format!("kind = \"change\"\nenvironment = \"{first}\"\n");
        steps.push(change);
        for (path, ruleset) in own.into_iter().flatten() {
            files.insert(format!("history/{:02}/{path}", steps.len()), ruleset.write().0);
        }
        for pair in draft.environments[..=at].windows(2) {
            if let [from, to] = pair {
                let to = format!("kind = \"promote\"\nenvironment = \"{to}\"\n");
                steps.push(format!("{to}source = \"{from}\"\n"));
            }
        }
    }
    for (at, step) in steps.iter().enumerate() {
        let text = format!("{step}signer = \"{signer}\"\n");
        files.insert(format!("history/{:02}.toml", at + 1), text);
    }
    files
}

/// Each environment's trust.toml, where it is known who signs.
fn trust(draft: &Draft, into: Into<'_>) -> BTreeMap<String, String> {
    let Some((person, key)) = into.person else { return BTreeMap::new() };
    let contact = format!("{person}@example.org");
    let (repository, environments) = ("imported", &draft.environments[..]);
    let beginning = Beginning { repository, environments, person, key, contact: &contact };
    let own = skeleton(&beginning).into_iter();
    let own = own.filter(|(path, _)| path.ends_with("/trust.toml"));
    own.filter(|(path, _)| !into.there.contains_key(path))
        .map(|(path, file)| {
            // `tidegate init` fills the anchor in.
            let zeros = format!("anchor = \"{}\"", "0".repeat(40));
            let text = String::from_utf8_lossy(&file.bytes).replace("anchor = \"\"", &zeros);
            (path, text)
        })
        .collect()
}
