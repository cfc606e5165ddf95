//! The first commit of each environment's line: its content and its message. Pure.

use std::collections::BTreeSet;

use toml_edit::{DocumentMut, Item, value};

use crate::clients::git::TreeFile;
use crate::model::{CommitId, EnvironmentName};
use crate::promote::history::{Files, History, HistoryError};

/// A repository that cannot be anchored.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// Its history cannot be replayed.
    #[error("cannot replay the history")]
    History(#[source] HistoryError),
    /// A directory under `environments/` that is not an environment's name.
    #[error("`environments/{0}` is not an environment's name")]
    Name(String),
    /// An environment without a trust.toml.
    #[error("`environments/{0}/trust.toml` is missing")]
    NoTrust(EnvironmentName),
    /// A trust.toml that is not readable.
    #[error("`environments/{environment}/trust.toml` is not readable")]
    Trust {
        /// The environment.
        environment: EnvironmentName,
        /// Where and why.
        #[source]
        source: Box<toml_edit::TomlError>,
    },
    /// No environments.
    #[error("there is no directory under `environments/`")]
    Empty,
    /// `[promotion] from` leads nowhere or in a circle.
    #[error("{0} is promoted from an environment that is not there, or from itself in a circle")]
    Circle(EnvironmentName),
}

/// One environment's line before its first commit.
#[derive(Debug, Clone)]
pub struct Line {
    /// The environment.
    pub environment: EnvironmentName,
    /// Where promotions come from; `None` is a first environment.
    pub from: Option<EnvironmentName>,
    /// Who signs the anchor, if the history says.
    pub signer: Option<String>,
    /// What flows, and the environment's own directory.
    pub files: Files,
    /// What led here, a line each.
    pub story: Vec<String>,
    trust: DocumentMut,
}

/// The lines of a repository that shows its environments side by side, sources before targets.
pub fn lines(files: &Files) -> Result<Vec<Line>, AnchorError> {
    let history = History::parse(files).map_err(AnchorError::History)?;
    let names: BTreeSet<&str> = files
        .keys()
        .filter_map(|path| path.strip_prefix("environments/")?.split_once('/'))
        .map(|(name, _)| name)
        .collect();
    let mut waiting = Vec::new();
    for name in names {
        let environment: EnvironmentName =
            name.parse().map_err(|_| AnchorError::Name(name.to_owned()))?;
        waiting.push(line(files, &history, environment)?);
    }
    if waiting.is_empty() {
        return Err(AnchorError::Empty);
    }
    let mut ordered: Vec<Line> = Vec::new();
    while let Some(first) = waiting.first() {
        let ready = waiting.iter().position(|line| {
            line.from.as_ref().is_none_or(|from| ordered.iter().any(|o| o.environment == *from))
        });
        let next = ready.ok_or_else(|| AnchorError::Circle(first.environment.clone()))?;
        ordered.push(waiting.remove(next));
    }
    Ok(ordered)
}

fn line(
    files: &Files,
    history: &History,
    environment: EnvironmentName,
) -> Result<Line, AnchorError> {
    let replayed = history.replay(&environment).map_err(AnchorError::History)?;
    let own = format!("environments/{environment}/");
    let trust = files
        .get(&format!("{own}trust.toml"))
        .ok_or_else(|| AnchorError::NoTrust(environment.clone()))?;
    let trust: DocumentMut = String::from_utf8_lossy(&trust.bytes).parse().map_err(|source| {
        AnchorError::Trust { environment: environment.clone(), source: Box::new(source) }
    })?;
    let from = trust.get("promotion").and_then(|p| p.get("from")).and_then(Item::as_str);
    let from = from.and_then(|name| name.parse().ok());
    let mut content = replayed.flow;
    let inside = files.iter().filter(|(path, _)| path.starts_with(&own));
    content.extend(inside.map(|(path, file)| (path.clone(), file.clone())));
    let (signer, story) = (replayed.signer, replayed.story);
    Ok(Line { environment, from, signer, files: content, story, trust })
}

impl Line {
    /// The people that its trust.toml names.
    pub fn people(&self) -> Vec<String> {
        let people = self.trust.get("people").and_then(Item::as_table_like);
        people.map(|t| t.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
    }

    /// Sets the keys of a person in its trust.toml.
    pub fn set_key(&mut self, person: &str, key: &str) {
        let mut keys = toml_edit::Array::new();
        keys.push(key);
        if let Some(entry) = self.trust.get_mut("people").and_then(|p| p.get_mut(person)) {
            entry["keys"] = value(keys);
        }
        self.write_trust();
    }

    /// Names the anchor of the environment that promotions come from.
    pub fn set_source_anchor(&mut self, anchor: CommitId) {
        if let Some(promotion) = self.trust.get_mut("promotion") {
            promotion["anchor"] = value(anchor.to_string());
        }
        self.write_trust();
    }

    fn write_trust(&mut self) {
        let path = format!("environments/{}/trust.toml", self.environment);
        let bytes = self.trust.to_string().into_bytes();
        self.files.insert(path, TreeFile { executable: false, bytes });
    }

    /// The nodes that it has documents of.
    pub fn nodes(&self) -> Vec<String> {
        let dir = format!("environments/{}/nodes/", self.environment);
        let names = self.files.keys().filter_map(|path| path.strip_prefix(&dir));
        names.filter_map(|file| file.strip_suffix(".toml")).map(str::to_owned).collect()
    }

    /// The anchor commit's message.
    pub fn message(&self) -> String {
        let story = if self.story.is_empty() {
            String::new()
        } else {
            format!("Ends with:\n  {}\n\n", self.story.join("\n  "))
        };
        let environment = &self.environment;
        format!("Begin {environment}\n\n{story}Tidegate: anchor {environment}\n")
    }
}

#[cfg(test)]
mod tests {
    use crate::clients::git::TreeFile;
    use crate::model::CommitId;
    use crate::promote::anchor::{AnchorError, lines};
    use crate::promote::history::Files;

    fn files(texts: &[(&str, &str)]) -> Files {
        let file = |text: &str| TreeFile { executable: false, bytes: text.as_bytes().to_vec() };
        texts.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn a_line_holds_what_flows_and_its_own_directory_and_follows_its_source() {
        let repository = files(&[
            ("services/a.toml", "1"),
            (
                "environments/prd/trust.toml",
                "[people.bob]\nkeys = []\n[promotion]\nfrom = \"tst\"\n",
            ),
            ("environments/tst/trust.toml", "[promotion]\nfrom = \"dev\" # the line\n"),
            ("environments/dev/trust.toml", ""),
            ("environments/dev/nodes/n1.toml", ""),
        ]);
        let mut lines = lines(&repository).unwrap();
        let order: Vec<&str> = lines.iter().map(|l| l.environment.as_str()).collect();
        assert_eq!(order, ["dev", "tst", "prd"]);
        assert_eq!(lines[0].nodes(), ["n1"]);
        let prd = &mut lines[2];
        prd.set_key("bob", "ssh-ed25519 AAAA bob");
        prd.set_source_anchor(CommitId::from_bytes([1; 20]));
        let paths: Vec<&str> = prd.files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["environments/prd/trust.toml", "services/a.toml"]);
        let trust = String::from_utf8(prd.files[paths[0]].bytes.clone()).unwrap();
        assert!(trust.contains("keys = [\"ssh-ed25519 AAAA bob\"]"), "{trust}");
        assert!(trust.contains(&format!("anchor = \"{}\"", "01".repeat(20))), "{trust}");
        assert_eq!(prd.message(), "Begin prd\n\nTidegate: anchor prd\n");
    }

    #[test]
    fn a_circle_and_a_missing_trust_file_are_named() {
        let circle = [("environments/tst/trust.toml", "[promotion]\nfrom = \"tst\"\n")];
        assert!(matches!(lines(&files(&circle)), Err(AnchorError::Circle(_))));
        let none = [("environments/tst/environment.toml", "")];
        assert!(matches!(lines(&files(&none)), Err(AnchorError::NoTrust(_))));
        assert!(matches!(lines(&files(&[])), Err(AnchorError::Empty)));
    }
}
