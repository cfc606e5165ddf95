//! The documents that speak of one service on one node, and what they say of a key.

use std::collections::BTreeMap;

use crate::model::NodeName;
use crate::model::ServiceName;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;
use crate::reconcile::desired::explain::Candidate;
use crate::reconcile::desired::explain::Explanation;
use crate::reconcile::desired::explain::Standing;
use crate::reconcile::desired::explain::candidate;
use crate::reconcile::desired::explain::keys::Key;
use crate::reconcile::desired::explain::keys::PIN;
use crate::reconcile::desired::explain::value::written;
use crate::reconcile::desired::merge::unset_places;
use crate::reconcile::desired::repository::Repository;
use crate::reconcile::desired::resolve::labels;
use crate::reconcile::desired::ruleset::Layer;
use crate::reconcile::desired::ruleset::PinEntry;
use crate::reconcile::desired::ruleset::Ruleset;
use crate::reconcile::desired::ruleset::innermost;
use crate::reconcile::desired::select::Subject;
use crate::reconcile::desired::substitute::Scope;
use crate::reconcile::desired::substitute::Spent;
use crate::reconcile::desired::substitute::scalar;

/// Everything that speaks of one service on one node.
pub(crate) struct Sources<'a> {
    repository: &'a Repository<'a>,
    name: &'a ServiceName,
    app: &'a str,
    node_name: &'a NodeName,
    labels: BTreeMap<String, String>,
    /// `services/<name>.toml`.
    pub(crate) service: &'a Table,
    /// The environment's own.
    pub(crate) overlay: Option<&'a Table>,
    /// `environment.toml`.
    pub(crate) environment: Option<&'a Table>,
    /// `nodes/<node>.toml`.
    pub(crate) node: Option<&'a Table>,
    /// Rulesets that the service is shown, outer before inner.
    pub(crate) rulesets: Vec<&'a Ruleset>,
}

/// What one document says of a key.
enum Says<'a> {
    Value(&'a Node),
    Unset(Place),
}

impl<'a> Sources<'a> {
    /// Of a service; none if it does not flow.
    pub(crate) fn of(
        repository: &'a Repository<'a>,
        node_name: &'a NodeName,
        name: &'a ServiceName,
    ) -> Option<Self> {
        let service = &repository.services.get(name)?.table;
        let node = repository.nodes.get(node_name).map(|document| &document.table);
        let mut sources = Self {
            repository,
            name,
            app: service.get("app").and_then(Node::as_text).unwrap_or_default(),
            node_name,
            labels: node.map(labels).unwrap_or_default(),
            service,
            overlay: repository.overlays.get(name).map(|document| &document.table),
            environment: repository.environment.as_ref().map(|document| &document.table),
            node,
            rulesets: Vec::new(),
        };
        sources.rulesets = repository.rulesets.fitting(&sources.subject(None));
        sources.rulesets.sort_by_key(|r| (r.layer, r.name.segments().len()));
        Some(sources)
    }

    fn subject<'s>(&'s self, container: Option<&'s str>) -> Subject<'s> {
        Subject {
            service: self.name.as_str(),
            app: self.app,
            container,
            environment: self.repository.name.as_str(),
            node: self.node_name.as_str(),
            labels: &self.labels,
        }
    }

    /// Whether a ruleset is shown to the service, or to that container of it.
    pub(crate) fn fits(&self, ruleset: &Ruleset, container: Option<&str>) -> bool {
        ruleset.matches.fits(&self.subject(container))
    }

    /// The service's containers.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &'a String> {
        self.service.table("containers").into_iter().flat_map(|table| table.0.keys())
    }

    /// Whether the service has it.
    pub(crate) fn has_container(&self, name: &str) -> bool {
        self.containers().any(|known| known == name)
    }

    /// Every candidate for a key, and the value.
    pub(crate) fn explain(&self, key: &Key) -> Explanation {
        let (candidates, winner) = match key {
            Key::Var(container, name) => self.var(container.as_deref(), name),
            Key::Pin(container, key) => self.pin(container, key),
            Key::Path(path) if path[..] == ["mode"] => self.mode(),
            Key::Path(path) => self.path(path),
        };
        let container = match key {
            Key::Var(container, _) => container.as_deref(),
            Key::Pin(container, _) => Some(container.as_str()),
            Key::Path(path) => path.get(1).filter(|_| path[0] == "containers").map(String::as_str),
        };
        let literal = matches!(key, Key::Pin(..));
        let value = winner.map(|node| self.shown(&node, container, literal));
        Explanation { key: key.to_string(), value, candidates }
    }

    fn mode(&self) -> (Vec<Candidate>, Option<Node>) {
        let tables = [Some(self.service), self.overlay, self.environment, self.node];
        let said: Vec<&Node> = tables.into_iter().flatten().filter_map(|t| t.get("mode")).collect();
        // Environment and node may only tighten what the service says.
        let tight = said.iter().rposition(|node| node.as_text() == Some("report"));
        let winner = tight.or_else(|| {
            let own = [Some(self.service), self.overlay].into_iter().flatten();
            own.filter(|table| table.get("mode").is_some()).count().checked_sub(1)
        });
        let winner = winner.or(said.len().checked_sub(1));
        self.judged(said.into_iter().map(Says::Value).collect(), winner)
    }

    fn path(&self, path: &[String]) -> (Vec<Candidate>, Option<Node>) {
        let mut said = Vec::new();
        if path[0] == "update" {
            said.extend(self.environment.and_then(|table| at(table, path)).map(Says::Value));
        }
        said.extend(at(self.service, path).map(Says::Value));
        if let Some(overlay) = self.overlay {
            said.extend(unset_places(overlay, path).into_iter().map(Says::Unset));
            said.extend(at(overlay, path).map(Says::Value));
        }
        let winner = said.len().checked_sub(1);
        self.judged(said, winner)
    }

    /// Candidates with what came of them, and the value of the winner.
    fn judged(&self, said: Vec<Says<'a>>, winner: Option<usize>) -> (Vec<Candidate>, Option<Node>) {
        let removed = said.iter().rposition(|says| matches!(says, Says::Unset(_)));
        let mut value = None;
        let mut candidates = Vec::new();
        for (at, says) in said.into_iter().enumerate() {
            let (place, text) = match &says {
                Says::Value(node) => (node.at, written(node)),
                Says::Unset(place) => (*place, "unset".to_owned()),
            };
            let mut candidate = candidate(self.repository, place, text);
            if Some(at) == winner {
                candidate.standing = Standing::Wins;
                if let Says::Value(node) = says {
                    value = Some(node.clone());
                }
            } else if removed.is_some_and(|removed| at < removed) {
                candidate.standing = Standing::Removed;
            }
            candidates.push(candidate);
        }
        (candidates, value)
    }

    /// A pin is taken whole: a key that the winning pin lacks is not set.
    fn pin(&self, container: &str, key: &str) -> (Vec<Candidate>, Option<Node>) {
        let own = self.service.table("containers").and_then(|table| table.table(container));
        let own = own.and_then(|table| PinEntry::read(table, &mut Findings::default()));
        let shown: Vec<(&Ruleset, &PinEntry)> = self
            .rulesets
            .iter()
            .filter(|ruleset| self.fits(ruleset, Some(container)))
            .filter_map(|ruleset| Some((*ruleset, ruleset.pins.get(container)?)))
            .collect();
        let inner = innermost(&shown);
        let disputed = inner.iter().any(|(_, pin)| !inner[0].1.same(pin));
        let value = |pin: &PinEntry| {
            let index = PIN.iter().position(|known| *known == key)?;
            let text = [
                pin.digest.map(|digest| digest.to_string()),
                pin.image_id.as_ref().map(ToString::to_string),
                pin.version.clone(),
            ];
            let text = text.into_iter().nth(index)??;
            let value = crate::reconcile::desired::document::node::Value::Text(text);
            Some(Node { at: pin.places[index]?, value })
        };
        let mut said: Vec<(Node, bool)> = Vec::new();
        said.extend(own.as_ref().and_then(&value).map(|node| (node, shown.is_empty())));
        for (ruleset, pin) in &shown {
            let counts = inner.iter().any(|(other, _)| std::ptr::eq(*other, *ruleset));
            said.extend(value(pin).map(|node| (node, counts)));
        }
        self.ruled(said, disputed)
    }

    /// Variables of rulesets that flow, of the environment, of its rulesets.
    fn var(&self, container: Option<&str>, name: &str) -> (Vec<Candidate>, Option<Node>) {
        let mut groups: Vec<Vec<(Node, bool)>> = Vec::new();
        let mut disputed = false;
        for layer in [Layer::Flow, Layer::Environment] {
            if layer == Layer::Environment {
                let own = self.environment.and_then(|t| t.table("vars")).and_then(|t| t.get(name));
                groups.push(own.map(|node| (node.clone(), true)).into_iter().collect());
            }
            let all: Vec<(&Ruleset, &Node)> = self
                .rulesets
                .iter()
                .filter(|r| r.layer == layer && self.fits(r, container))
                .filter_map(|ruleset| Some((*ruleset, ruleset.vars.get(name)?)))
                .collect();
            let inner = innermost(&all);
            let differs =
                |(_, n): &(&Ruleset, &Node)| scalar(&n.value) != scalar(&inner[0].1.value);
            disputed |= inner.iter().any(differs);
            let counts =
                |ruleset: &Ruleset| inner.iter().any(|(other, _)| std::ptr::eq(*other, ruleset));
            groups.push(all.iter().map(|(r, node)| ((*node).clone(), counts(r))).collect());
        }
        let last = groups.iter().rposition(|group| !group.is_empty());
        let said = groups.into_iter().enumerate().flat_map(|(at, group)| {
            let is_last = Some(at) == last;
            group.into_iter().map(move |(node, counts)| (node, counts && is_last))
        });
        self.ruled(said.collect(), disputed)
    }

    fn ruled(&self, said: Vec<(Node, bool)>, disputed: bool) -> (Vec<Candidate>, Option<Node>) {
        let mut value = None;
        let mut candidates = Vec::new();
        for (node, counts) in said {
            let mut candidate = candidate(self.repository, node.at, written(&node));
            if counts {
                candidate.standing = if disputed { Standing::Disputed } else { Standing::Wins };
                value = value.or_else(|| (!disputed).then_some(node));
            }
            candidates.push(candidate);
        }
        (candidates, value)
    }

    /// The value as the node sees it; as it is written where something in it is not defined.
    fn shown(&self, node: &Node, container: Option<&str>, literal: bool) -> String {
        let vars = self.vars(container);
        let vars = vars.iter().map(|(name, node)| (name.as_str(), node)).collect();
        let hub = self.environment.and_then(|table| table.get("hub")).and_then(Node::as_text);
        let scope = Scope {
            environment: self.repository.name.as_str(),
            node: self.node_name.as_str(),
            labels: &self.labels,
            service: Some(self.name.as_str()),
            hub,
            vars: &vars,
            spent: Spent::default(),
        };
        let text = scalar(&node.value).filter(|_| !literal);
        let expanded = |text: &str| {
            let done = scope.substitute(text, node.at, &mut Findings::default())?;
            Some(done.into_owned())
        };
        match text {
            Some(text) => expanded(&text).unwrap_or_else(|| text.into_owned()),
            None if literal => scalar(&node.value).unwrap_or_default().into_owned(),
            None => written(node),
        }
    }

    fn vars(&self, container: Option<&str>) -> BTreeMap<String, Node> {
        let own = self.environment.and_then(|table| table.table("vars"));
        let ruled = self.rulesets.iter().flat_map(|ruleset| ruleset.vars.0.keys());
        let names = ruled.chain(own.into_iter().flat_map(|table| table.0.keys()));
        names.filter_map(|name| Some((name.clone(), self.var(container, name).1?))).collect()
    }
}

fn at<'t>(table: &'t Table, path: &[String]) -> Option<&'t Node> {
    let (first, rest) = path.split_first()?;
    let node = table.get(first)?;
    // A scalar or list replaces a whole table, so it speaks of every key below it.
    if rest.is_empty() { Some(node) } else { node.as_table().map_or(Some(node), |t| at(t, rest)) }
}
