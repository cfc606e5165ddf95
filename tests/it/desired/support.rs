//! A small repository in memory, and what is wrong with it as `file:line:col: message`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate::model::Diagnostics;
use tidegate::model::Revision;
use tidegate::model::diagnostic::line_and_column;
use tidegate::reconcile::desired::DesiredState;
use tidegate::reconcile::desired::Resolution;
use tidegate::reconcile::desired::ResolveError;
use tidegate::reconcile::desired::resolve;
use tidegate::reconcile::source::Snapshot;
use tidegate::reconcile::trust::Verified;

pub(crate) const DIGEST: &str =
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const OTHER: &str =
    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Files of a repository with environment prd and node n1.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Default for Repo {
    fn default() -> Self {
        Self { files: BTreeMap::new() }
            .with(
                "tidegate.toml",
                "repository = \"acme\"\nenvironments = [\"prd\"]\n[apps.app1]\ntitle = \"One\"\n",
            )
            .with("environments/prd/environment.toml", "name = \"prd\"\nhub = \"dckhub.prd\"\n")
            .with("environments/prd/nodes/n1.toml", "[labels]\nrole = \"web\"\n")
    }
}

impl Repo {
    /// With a file of this content.
    pub(crate) fn with(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.to_owned(), Arc::from(content.as_ref()));
        self
    }

    /// With service app1 whose container web has these lines, pinned.
    pub(crate) fn web(self, lines: &str) -> Self {
        self.service("app1", &format!("[containers.web]\nimage = \"app1/web\"\n{lines}\n"))
    }

    /// With a service of app1; `digest` is added to every `[containers.x]` that has none.
    pub(crate) fn service(self, name: &str, text: &str) -> Self {
        let pinned = text.replace("\nimage =", &format!("\ndigest = \"{DIGEST}\"\nimage ="));
        self.with(&format!("services/{name}.toml"), format!("app = \"app1\"\n{pinned}"))
    }

    pub(crate) fn snapshot(&self) -> Verified<Snapshot> {
        Verified::unverified_own_work_tree(Snapshot {
            revision: Revision::WorkTree { environment: "prd".parse().unwrap() },
            time: None,
            allow_removal: BTreeSet::new(),
            files: self.files.clone(),
        })
    }

    pub(crate) fn resolve(&self) -> Result<Resolution, ResolveError> {
        resolve(&self.snapshot(), &"prd".parse().unwrap(), &"n1".parse().unwrap())
    }

    /// The state, or a panic that shows what is wrong.
    pub(crate) fn state(&self) -> DesiredState {
        let resolution = self.resolve();
        assert!(resolution.is_ok(), "{}", self.findings());
        resolution.unwrap().state
    }

    /// Findings, one a line, errors and warnings.
    pub(crate) fn findings(&self) -> String {
        match self.resolve() {
            Ok(resolution) => self.show(resolution.warnings),
            Err(ResolveError::Invalid(found)) => self.show(found),
            Err(other) => other.to_string(),
        }
    }

    /// What `tidegate lint` says of it.
    pub(crate) fn lint(&self) -> String {
        self.show(tidegate::lint::lint(&self.files))
    }

    fn show(&self, found: Diagnostics) -> String {
        let line = |d: tidegate::model::Diagnostic| {
            let text = self.files.get(&d.file).map(|b| String::from_utf8_lossy(b).into_owned());
            let place = match (&d.span, text) {
                (Some(span), Some(text)) => {
                    let (line, column) = line_and_column(&text, span.start);
                    format!("{}:{line}:{column}", d.file)
                }
                _ => d.file.clone(),
            };
            let help = d.help.map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{:?} {place}: {}{help}\n", d.severity, d.message)
        };
        found.into_sorted().into_iter().map(line).collect()
    }
}
