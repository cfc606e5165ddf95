//! Replaying an example repository's `history/`: which environment ends with which content. Pure.
//!
//! `history/NN.toml` says who did what; the files in a directory `history/NN/` are laid over what
//! flows at that step. What is not under `environments/` or `history/` is the content at first.

use std::collections::BTreeMap;

use crate::clients::git::TreeFile;
use crate::model::EnvironmentName;

/// A repository's files by path.
pub type Files = BTreeMap<String, TreeFile>;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Content is laid over the environment's own.
    Change,
    /// The source environment's content comes whole.
    Promote,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    kind: StepKind,
    environment: EnvironmentName,
    source: Option<EnvironmentName>,
    signer: String,
    #[serde(default)]
    approvers: Vec<String>,
}

/// A history that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Not such a document.
    #[error("`{file}` is not a step of history")]
    Unreadable {
        /// Path within the repository.
        file: String,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A promotion from nowhere.
    #[error("`{file}` promotes to {environment} but names no source that has content by then")]
    NoSource {
        /// Path within the repository.
        file: String,
        /// The environment.
        environment: EnvironmentName,
    },
}

/// Where an environment's line ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// What flows, by path.
    pub flow: Files,
    /// Who signed the last step.
    pub signer: Option<String>,
    /// The steps, a line each, for people.
    pub story: Vec<String>,
}

/// A repository's files taken apart: what flows at first, and the steps.
#[derive(Debug)]
pub struct History {
    base: Files,
    steps: Vec<(String, Step)>,
    overlays: BTreeMap<String, Files>,
}

impl History {
    /// Reads the steps out of a repository's files.
    pub fn parse(files: &Files) -> Result<Self, HistoryError> {
        let (mut base, mut steps) = (Files::new(), Vec::new());
        let mut overlays: BTreeMap<String, Files> = BTreeMap::new();
        for (path, file) in files {
            if path.starts_with("environments/") {
                continue;
            }
            let Some(rest) = path.strip_prefix("history/") else {
                base.insert(path.clone(), file.clone());
                continue;
            };
            if let Some((number, inner)) = rest.split_once('/') {
                overlays
                    .entry(number.to_owned())
                    .or_default()
                    .insert(inner.to_owned(), file.clone());
            } else if let Some(number) = rest.strip_suffix(".toml") {
                let step = toml::from_slice(&file.bytes).map_err(|source| {
                    HistoryError::Unreadable { file: path.clone(), source: Box::new(source) }
                })?;
                steps.push((number.to_owned(), step));
            }
        }
        Ok(Self { base, steps, overlays })
    }

    /// What flows in `environment` when all steps are done.
    pub fn replay(&self, environment: &EnvironmentName) -> Result<Replayed, HistoryError> {
        let mut lines: BTreeMap<&EnvironmentName, Replayed> = BTreeMap::new();
        let first = || Replayed { flow: self.base.clone(), ..Replayed::default() };
        for (number, step) in &self.steps {
            let mut flow = match step.kind {
                StepKind::Change => {
                    lines.get(&step.environment).map_or_else(first, Clone::clone).flow
                }
                StepKind::Promote => step
                    .source
                    .as_ref()
                    .and_then(|source| lines.get(source))
                    .ok_or_else(|| HistoryError::NoSource {
                        file: format!("history/{number}.toml"),
                        environment: step.environment.clone(),
                    })?
                    .flow
                    .clone(),
            };
            flow.extend(self.overlays.get(number).cloned().unwrap_or_default());
            let line = lines.entry(&step.environment).or_default();
            line.flow = flow;
            line.signer = Some(step.signer.clone());
            line.story.push(told(number, step));
        }
        Ok(lines.remove(environment).unwrap_or_else(first))
    }
}

fn told(number: &str, step: &Step) -> String {
    let what = match (step.kind, &step.source) {
        (StepKind::Promote, Some(source)) => format!("promote {source} to {}", step.environment),
        (StepKind::Promote, None) | (StepKind::Change, _) => format!("change {}", step.environment),
    };
    let approved = if step.approvers.is_empty() {
        String::new()
    } else {
        format!(", approved by {}", step.approvers.join(", "))
    };
    format!("{number} {what}, signed by {}{approved}", step.signer)
}

#[cfg(test)]
mod tests {
    use crate::clients::git::TreeFile;
    use crate::promote::history::{Files, History, HistoryError};

    fn files(texts: &[(&str, &str)]) -> Files {
        let file = |text: &str| TreeFile { executable: false, bytes: text.as_bytes().to_vec() };
        texts.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    const CHANGE: &str = "kind = \"change\"\nenvironment = \"dev\"\nsigner = \"alice\"\n";
    const PROMOTE: &str = "kind = \"promote\"\nenvironment = \"tst\"\nsource = \"dev\"\n\
        signer = \"bob\"\napprovers = [\"carol\"]\n";

    #[test]
    fn each_line_ends_with_what_came_to_it() {
        let history = History::parse(&files(&[
            ("services/a.toml", "1"),
            ("environments/dev/trust.toml", ""),
            ("history/01.toml", CHANGE),
            ("history/02.toml", PROMOTE),
            ("history/03.toml", CHANGE),
            ("history/03/services/a.toml", "2"),
        ]))
        .unwrap();
        let replay = |name: &str| history.replay(&name.parse().unwrap()).unwrap();
        assert_eq!(replay("dev").flow, files(&[("services/a.toml", "2")]));
        assert_eq!(replay("tst").flow, files(&[("services/a.toml", "1")]));
        assert_eq!(
            replay("tst").story,
            ["02 promote dev to tst, signed by bob, approved by carol"]
        );
        assert_eq!(replay("prd").flow, files(&[("services/a.toml", "1")]));
        assert_eq!(replay("prd").signer, None);
    }

    #[test]
    fn a_promotion_needs_a_source_and_a_step_is_strict() {
        let history = History::parse(&files(&[("history/01.toml", PROMOTE)])).unwrap();
        let error = history.replay(&"tst".parse().unwrap()).unwrap_err();
        assert!(matches!(error, HistoryError::NoSource { .. }));
        for bad in ["kind = \"hotfix\"", "", &format!("{CHANGE}more = 1\n")] {
            let error = History::parse(&files(&[("history/01.toml", bad)])).unwrap_err();
            assert!(matches!(error, HistoryError::Unreadable { .. }), "{bad}");
        }
    }
}
