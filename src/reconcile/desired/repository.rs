//! A snapshot's files as documents, each checked against its description.
//!
//! In: files by path, an environment. Out: [`Repository`]. Pure.
//!
//! # Guarantees
//! * Of `environments/`, only the environment's own directory is ever looked at.
//! * A revision that asks for a newer agent is known as such before anything else is complained about.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use crate::model::EnvironmentName;
use crate::model::NodeName;
use crate::model::RulesetName;
use crate::model::ServiceName;
use crate::reconcile::desired::document::check::check;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::FileNames;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::document::read::read;
use crate::reconcile::desired::merge::normalise;
use crate::reconcile::desired::ruleset::Layer;
use crate::reconcile::desired::ruleset::Ruleset;
use crate::reconcile::desired::ruleset::Rulesets;
use crate::reconcile::desired::schema::ENVIRONMENT;
use crate::reconcile::desired::schema::NODE;
use crate::reconcile::desired::schema::OVERLAY;
use crate::reconcile::desired::schema::REPOSITORY;
use crate::reconcile::desired::schema::RULESET;
use crate::reconcile::desired::schema::SERVICE;

/// Contents by path.
pub(crate) type Contents = BTreeMap<String, Arc<[u8]>>;

/// A document that was read.
#[derive(Debug)]
pub(crate) struct Document {
    /// The file as a whole.
    pub(crate) at: Place,
    /// Its keys.
    pub(crate) table: Table,
}

/// All documents that concern one environment.
#[derive(Debug)]
pub(crate) struct Repository<'a> {
    /// Every file of the snapshot.
    pub(crate) contents: &'a Contents,
    /// The environment.
    pub(crate) name: &'a EnvironmentName,
    /// Paths of what was read.
    pub(crate) files: FileNames,
    /// What was found while reading.
    pub(crate) findings: Findings,
    /// `tidegate.toml`.
    pub(crate) root: Option<Document>,
    /// `environment.toml`.
    pub(crate) environment: Option<Document>,
    /// `nodes/*.toml`.
    pub(crate) nodes: BTreeMap<NodeName, Document>,
    /// `services/*.toml`.
    pub(crate) services: BTreeMap<ServiceName, Document>,
    /// The environment's own `services/*.toml`.
    pub(crate) overlays: BTreeMap<ServiceName, Document>,
    /// Rulesets that flow and the environment's own.
    pub(crate) rulesets: Rulesets,
}

impl<'a> Repository<'a> {
    /// Reads everything.
    pub(crate) fn read(contents: &'a Contents, name: &'a EnvironmentName) -> Self {
        let mut repository = Self {
            contents,
            name,
            files: FileNames::default(),
            findings: Findings::default(),
            root: None,
            environment: None,
            nodes: BTreeMap::new(),
            services: BTreeMap::new(),
            overlays: BTreeMap::new(),
            rulesets: Rulesets::default(),
        };
        let own = format!("environments/{name}/");
        repository.root = repository.wanted("tidegate.toml", &REPOSITORY);
        repository.environment = repository.wanted(&format!("{own}environment.toml"), &ENVIRONMENT);
        for (path, bytes) in contents {
            if let Some(rest) = path.strip_prefix(own.as_str()) {
                repository.read_own(path, rest, bytes);
            } else if let Some(file) = path.strip_prefix("services/") {
                if let Some(document) = repository.named(path, file, bytes, &SERVICE) {
                    repository.services.insert(document.0, document.1);
                }
            } else if let Some(file) = path.strip_prefix("rulesets/") {
                repository.read_ruleset(path, file, bytes, Layer::Flow);
            }
        }
        repository.check_pins();
        repository
    }

    /// A file of the environment's own directory.
    fn read_own(&mut self, path: &str, rest: &str, bytes: &Arc<[u8]>) {
        if let Some(file) = rest.strip_prefix("nodes/") {
            if let Some((name, document)) = self.named(path, file, bytes, &NODE) {
                self.nodes.insert(name, document);
            }
        } else if let Some(file) = rest.strip_prefix("services/") {
            if let Some((name, document)) = self.named(path, file, bytes, &OVERLAY) {
                self.overlays.insert(name, document);
            }
        } else if let Some(file) = rest.strip_prefix("rulesets/") {
            self.read_ruleset(path, file, bytes, Layer::Environment);
        } else if rest.starts_with("secrets/") {
            let at = self.files.add(path);
            let message = "secrets are not supported in this version";
            self.findings.error_help(at, message, "remove the file");
        } else if rest == "access.toml" {
            let at = self.files.add(path);
            let message = "`access.toml` is not supported in this version";
            self.findings.error_help(at, message, "remove the file");
        } else if rest.strip_suffix(".toml").is_some()
            && !["environment.toml", "trust.toml"].contains(&rest)
        {
            let at = self.files.add(path);
            let help = "known are environment.toml, trust.toml, nodes/, services/ and rulesets/";
            self.findings.warning(at, "nothing reads this file", help);
        }
    }

    /// A document that must be there.
    fn wanted(&mut self, path: &str, keys: &'static Keys) -> Option<Document> {
        let at = self.files.add(path);
        let Some(bytes) = self.contents.get(path) else {
            self.findings.error(at, "this file is missing");
            return None;
        };
        self.document_at(at, bytes, keys)
    }

    fn document_at(&mut self, at: Place, bytes: &[u8], keys: &'static Keys) -> Option<Document> {
        let mut table = read(bytes, at, &mut self.findings)?;
        check(&table, keys, at, &mut self.findings);
        normalise(&mut table, &mut self.findings);
        Some(Document { at, table })
    }

    /// A document called as its file `<name>.toml`; other files are no documents.
    fn named<N: FromStr<Err: std::fmt::Display>>(
        &mut self,
        path: &str,
        file: &str,
        bytes: &Arc<[u8]>,
        keys: &'static Keys,
    ) -> Option<(N, Document)> {
        let stem = file.strip_suffix(".toml").filter(|stem| !stem.contains('/'))?;
        let at = self.files.add(path);
        let document = self.document_at(at, bytes, keys);
        match stem.parse() {
            Ok(name) => Some((name, document?)),
            Err(error) => {
                self.findings.error_help(at, format!("{error}"), "rename the file");
                None
            }
        }
    }

    fn read_ruleset(&mut self, path: &str, file: &str, bytes: &Arc<[u8]>, layer: Layer) {
        // `it/linux.files/` holds files of rules, whatever they are called.
        let is_file_of_rules = |file: &str| {
            file.split('/').rev().skip(1).any(|step| step.strip_suffix(".files").is_some())
        };
        let Some(stem) = file.strip_suffix(".toml").filter(|_| !is_file_of_rules(file)) else {
            return;
        };
        let at = self.files.add(path);
        let document = self.document_at(at, bytes, &RULESET);
        match stem.replace('/', ".").parse::<RulesetName>() {
            // A dot in a file name would be taken for a level.
            Ok(name) if !stem.contains('.') => {
                if let Some(document) = document {
                    self.rulesets.add(Ruleset::read(name, layer, document, &mut self.findings));
                }
            }
            _ => {
                let message = format!("`{stem}` is not a ruleset's path");
                let help = "name files and directories with a-z, 0-9, `_` and `-`";
                self.findings.error_help(at, message, help);
            }
        }
    }

    /// Pins that no container of any service has are likely typing errors.
    fn check_pins(&mut self) {
        for ruleset in self.rulesets.all() {
            for (container, pin) in &ruleset.pins {
                let used = self.services.values().any(|service| {
                    service
                        .table
                        .table("containers")
                        .is_some_and(|table| table.0.contains_key(container))
                });
                if !used {
                    let message = format!("no service has a container `{container}`");
                    self.findings.warning(pin.at, message, "remove the pin, or correct its name");
                }
            }
        }
    }
}
