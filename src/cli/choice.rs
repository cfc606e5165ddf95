//! Which rules `check` and `fix` are about.

use std::collections::BTreeSet;

use crate::agent::examine::Examined;
use crate::cli::error::CommandError;
use crate::compliance::matching::like;
use crate::compliance::verdict::Verdict;
use crate::model::ServiceName;
use crate::reconcile::desired::rule::{Rule, RuleSeverity, Target};

/// Which rules are meant.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Only rules about the node itself
    #[arg(long, conflicts_with = "service")]
    pub node: bool,
    /// Only rules about this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
    /// Only rules whose name is like this; `*` stands for any part
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only rules at least so severe: info, warning, critical
    #[arg(long, value_name = "SEVERITY", default_value = "info", hide_default_value = true)]
    severity: RuleSeverity,
}

impl Choice {
    /// Whether something so named, about this service and so severe, is meant.
    pub fn fits(&self, name: &str, service: Option<&ServiceName>, severity: RuleSeverity) -> bool {
        severity >= self.severity
            && (!self.node || service.is_none())
            && self.service.as_ref().is_none_or(|wanted| service == Some(wanted))
            && self.rule.as_ref().is_none_or(|pattern| like(pattern, name))
    }

    /// Those of `rules` that are meant.
    pub fn rules<'a>(&self, rules: &'a [Rule]) -> Vec<&'a Rule> {
        let fits = |rule: &Rule| {
            let service = match &rule.target {
                Target::Node => None,
                Target::Service(name) => Some(name),
            };
            self.fits(&rule.id.to_string(), service, rule.severity)
        };
        rules.iter().filter(|rule| fits(rule)).collect()
    }

    /// Refuses a name that none of `names` is like: nothing would be found wrong, whatever is.
    ///
    /// # Errors
    /// When no rule here is called so.
    pub fn is_known<'a>(
        &self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), CommandError> {
        let Some(pattern) = &self.rule else { return Ok(()) };
        if names.into_iter().any(|name| like(pattern, name)) {
            return Ok(());
        }
        Err(CommandError::usage(format!("no rule here is called `{pattern}`"))
            .hint("`tidegate check` lists those that are shown to this node and its services"))
    }

    /// Whether a verdict is meant.
    pub fn fits_verdict(&self, verdict: &Verdict) -> bool {
        self.fits(&verdict.rule, verdict.service.as_ref(), verdict.severity)
    }

    /// Refuses a service that is none of the node's.
    ///
    /// # Errors
    /// When there is no such service here.
    pub fn verify(&self, examined: &Examined) -> Result<(), CommandError> {
        self.is_service(examined.desired.services.keys())
    }

    /// Refuses a service that is none of `known`.
    ///
    /// # Errors
    /// When there is no such service here.
    pub fn is_service<'a>(
        &self,
        known: impl IntoIterator<Item = &'a ServiceName>,
    ) -> Result<(), CommandError> {
        let Some(name) = &self.service else { return Ok(()) };
        let known: BTreeSet<&str> = known.into_iter().map(ServiceName::as_str).collect();
        if known.contains(name.as_str()) {
            return Ok(());
        }
        let known = Vec::from_iter(known).join(", ");
        Err(CommandError::usage(format!("no service `{name}` runs on this node"))
            .hint(format!("services here: {known}")))
    }
}
