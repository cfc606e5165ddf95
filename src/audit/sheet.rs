//! A report as people read it: what it is, what to know first, tables. Printed as text or as HTML.
//!
//! In: a report. Out: [`Sheet`]. Pure.

use jiff::Timestamp;

use crate::audit::chain::Head;
use crate::audit::step::{Signed, Step};
use crate::audit::wanted::Image;
use crate::model::{CommitId, EnvironmentName};

/// A report for people.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// What it is.
    pub title: String,
    /// What it says and what it does not, in a sentence or two.
    pub lead: String,
    /// What to know before anything else: what is refused, what does not count.
    pub alerts: Vec<String>,
    /// What it was made from.
    pub facts: Vec<(&'static str, String)>,
    /// Its tables.
    pub parts: Vec<Part>,
    /// Commands that check it.
    pub checks: Vec<String>,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// What it holds; empty for the first.
    pub heading: &'static str,
    /// Upper case.
    pub columns: Vec<&'static str>,
    /// One row an object.
    pub rows: Vec<Vec<Cell>>,
    /// Said where there are no rows.
    pub empty: &'static str,
}

/// A cell: short text for all, and what only paper has room for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What is shown everywhere.
    pub text: String,
    /// Whole ids, digests and fingerprints.
    pub ids: Vec<String>,
    /// More words.
    pub words: Vec<String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl Cell {
    /// With whole ids.
    #[must_use]
    pub fn ids(mut self, ids: impl IntoIterator<Item = String>) -> Self {
        self.ids.extend(ids);
        self
    }

    /// With more words.
    #[must_use]
    pub fn words(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.extend(words.into_iter().filter(|words| !words.is_empty()));
        self
    }
}

/// A time to the second, in UTC.
pub fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// Since when a commit counts, and how old it is if that is not the same.
pub fn since(step: &Step) -> Cell {
    let signed = (step.since() > step.at).then(|| format!("signed {}", time(step.at)));
    Cell::from(time(step.since())).words(signed)
}

/// A commit as people quote it, whole on paper.
pub fn commit(environment: &EnvironmentName, id: CommitId) -> Cell {
    Cell::from(format!("{environment}@sha1:{}", id.short())).ids([id.to_string()])
}

/// Who signed.
pub fn people(signed: &[Signed]) -> Cell {
    let names: Vec<&str> = signed.iter().map(|signed| signed.person.as_str()).collect();
    Cell::from(names.join(", ")).ids(signed.iter().map(|signed| signed.key.clone()))
}

/// Who signed a commit.
pub fn signer(step: &Step) -> Cell {
    people(step.signed_by.as_slice())
}

/// Where a commit's content came from.
pub fn source(step: &Step) -> Cell {
    let cell = Cell::from(step.came_from());
    cell.ids(step.source.as_ref().map(|source| source.commit.to_string()))
}

/// Digest and image id, whole.
pub fn image_ids(image: &Image) -> Vec<String> {
    let digest = image.digest.map(|digest| format!("digest {digest}"));
    let id = image.image_id.as_ref().map(|id| format!("image_id {id}"));
    digest.into_iter().chain(id).collect()
}

/// What every report says about its history: alerts and facts.
pub fn begin(sheet: &mut Sheet, head: &Head) {
    let environment = &head.environment;
    if let Some(refused) = &head.refused {
        let counted = match head.verified {
            Some(id) => format!("only what leads up to {id} counts here"),
            None => "nothing counts here".to_owned(),
        };
        sheet.alerts.push(format!(
            "REFUSED: commit {} of {environment} is not believed (rule {}): {}; {counted}. {}",
            refused.commit,
            refused.rule.name(),
            refused.reason,
            sentence(&refused.remedy),
        ));
    }
    if let Some(wait) = &head.waits {
        let (commit, until, reason) = (wait.commit, time(wait.until), &wait.reason);
        sheet
            .alerts
            .push(format!("NOT YET: commit {commit} does not count before {until}: {reason}"));
    }
    let shown = |id: Option<CommitId>| id.map_or("none".to_owned(), |id| id.to_string());
    let begun = head.begins_at.map(|at| format!(", {}", time(at))).unwrap_or_default();
    sheet.facts.extend([
        ("Repository", head.repository.clone().unwrap_or_default()),
        ("Environment", environment.to_string()),
        ("Branch points at", head.tip.to_string()),
        ("Verified up to", shown(head.verified)),
        ("Verified from", format!("{} (the anchor, which you vouch for{begun})", head.anchor)),
        ("Commits that count", head.n_commits.to_string()),
        ("Made", format!("{} by {}", time(head.made_at), head.made_by)),
    ]);
    let anchor = head.anchor;
    sheet.checks.push(format!(
        "tidegate verify --repository PATH --environment {environment} --anchor {anchor} --revision {}",
        head.tip
    ));
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
