//! A look at a node without a pass: what should run, what runs, what is so on the host.
//!
//! In: settings, a node. Out: [`Examined`]. Effect: reads Git, the engine and the host; changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::agent::AgentError;
use crate::agent::belief::Believer;
use crate::agent::below::Keep;
use crate::agent::login::login;
use crate::agent::node::Node;
use crate::clients::docker::{DockerClient, DockerError};
use crate::clients::host::{HostRoot, NodeKey, Silence};
use crate::compliance::change::Change;
use crate::compliance::check::{CheckInput, Checked, Purpose, check, check_one};
use crate::compliance::consent::Consent;
use crate::compliance::culprit::{AUDIT_BYTES_MAX, AUDIT_LOG, culprit};
use crate::compliance::dispute::Disputes;
use crate::compliance::facts::{Facts, Known, Wanted, collect, learn_stock, learn_versions};
use crate::compliance::fix::{FixError, Mender};
use crate::compliance::image::{self, ImageInput};
use crate::compliance::interchange::message;
use crate::compliance::kind::files_of;
use crate::compliance::record::FixRecord;
use crate::compliance::verdict::{Verdict, VerdictStatus};
use crate::config::Settings;
use crate::model::{HostPath, Mode, Revision, ServiceName};
use crate::reconcile::desired::rule::Rule;
use crate::reconcile::desired::{DesiredService, DesiredState};
use crate::reconcile::observed::{
    Look, ObservedCache, ObservedState, OwnershipKey, Viewer, observe,
};
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::body::image_name;
use crate::telemetry::Chain;

/// Facts of this node.
///
/// # Errors
/// When the host cannot be read at all; an engine that does not answer is part of the facts.
pub async fn facts_here(settings: Settings, wanted: &Wanted) -> Result<Facts, AgentError> {
    let host = HostRoot::open(&settings.host.root).map_err(AgentError::Host)?;
    let key = NodeKey::load(&settings.keys.node).ok().flatten();
    // Without a key of its own yet, nothing is this node's.
    let secret = key.map(|key| key.secret());
    let key = OwnershipKey::derive(secret.as_ref().map_or(&[], |secret| secret.as_slice()));
    let observed = look(&settings, &key, &BTreeSet::new()).await;
    let mut facts = facts(&settings, &host, &observed, wanted).await;
    facts.learn("hub_login", Known::Missing("only `tidegate check` asks the hub".to_owned()));
    Ok(facts)
}

async fn facts(
    settings: &Settings,
    host: &HostRoot,
    observed: &Result<ObservedState, String>,
    wanted: &Wanted,
) -> Facts {
    let seen = observed.as_ref().map(|seen| (&seen.engine, seen)).map_err(String::as_str);
    let mut facts = collect(host, seen, wanted);
    if let (Ok(observed), true) = (observed, wanted.any(&["image", "volume"])) {
        let stock = match engine(settings) {
            Ok(docker) => docker.stock().await.map_err(|error| Chain(&error).to_string()),
            Err(reason) => Err(reason),
        };
        let seen = stock.as_ref().map(|stock| (stock, observed)).map_err(String::as_str);
        learn_stock(seen, &mut facts);
    }
    facts
}

fn engine(settings: &Settings) -> Result<DockerClient, String> {
    let socket = settings.engine.socket.to_string_lossy();
    DockerClient::new(&socket).map_err(|error| Chain(&error).to_string())
}

async fn look(
    settings: &Settings,
    key: &OwnershipKey,
    images: &BTreeSet<String>,
) -> Result<ObservedState, String> {
    let said = |error: DockerError| Chain(&error).to_string();
    let docker = engine(settings)?;
    let viewer = Viewer { key, environment: &settings.environment, images };
    observe(&docker, viewer, Look::Everything, &mut ObservedCache::default()).await.map_err(said)
}

/// How mending one rule ended.
#[derive(Debug)]
pub enum Mended {
    /// It was tried.
    Tried {
        /// How it ended.
        record: FixRecord,
        /// With these steps.
        steps: Vec<Change>,
        /// What the rule comes to since.
        found: Box<Checked>,
    },
    /// Nothing was begun: what was found just before says why.
    Left(Checked),
    /// Nothing was begun: this would be done now, to which nobody has agreed.
    Unagreed(Checked),
}

/// What rules are checked against, collected once.
#[derive(Debug)]
pub struct Examined {
    /// The newest verified revision's state.
    pub desired: DesiredState,
    /// The host.
    pub host: HostRoot,
    facts: Facts,
    disputes: Disputes,
    silence: Silence,
    in_force: BTreeMap<ServiceName, DesiredService>,
    observed: Result<ObservedState, String>,
    commands: BTreeSet<String>,
}

impl Examined {
    /// Looks at everything that the rules of the newest verified revision need.
    ///
    /// # Errors
    /// When this machine's own files do not work. None if no revision is believed here yet.
    pub async fn of(node: &mut Node) -> Result<Option<Self>, AgentError> {
        node.read("check", Intent::Plan).await?;
        match node.belief.desired.clone() {
            Some(desired) => Self::look(node, desired).await.map(Some),
            None => Ok(None),
        }
    }

    /// The same for the revision that the agent believes, without asking the repository for a newer
    /// one: the one that it verified last, or else the one that runs.
    ///
    /// # Errors
    /// When this machine's own files do not work. None if no revision is believed here yet.
    pub async fn of_believed(node: &Node) -> Result<Option<Self>, AgentError> {
        match believed(node) {
            Some(desired) => Self::look(node, desired).await.map(Some),
            None => Ok(None),
        }
    }

    async fn look(node: &Node, desired: DesiredState) -> Result<Self, AgentError> {
        let host = HostRoot::open(&node.settings.host.root).map_err(AgentError::Host)?;
        let host = host.with_package_time_max(node.settings.host.package_time_max);
        let in_force = in_force(node, &desired);
        let services = desired.services.values().chain(in_force.values());
        let pins = services.flat_map(|service| service.containers.values()).map(|c| &c.pin);
        let images = pins.map(|pin| image_name(pin, &desired.hub)).collect();
        let observed = look(&node.settings, &node.ownership, &images).await;
        let wanted = Wanted::by(&desired.rules);
        let mut facts = facts(&node.settings, &host, &observed, &wanted).await;
        let services: Vec<&DesiredService> =
            in_force.values().chain(desired.services.values()).collect();
        learn_versions(&services, &desired.hub, &mut facts);
        if wanted.any(&["hub_login"]) {
            facts.learn("hub_login", login(&node.settings, &desired).await);
        }
        let commands = node.settings.policy.commands.clone();
        // Where nobody tells what is mounted, nothing is known against any file system.
        let unasked = |_| Silence::below(host.folder().to_owned());
        let silence = Silence::of(&host).unwrap_or_else(unasked);
        let leads = |folder: &HostPath| silence.leads_to(&host, folder);
        let accounts = host.account_tables().unwrap_or_default();
        let disputes = Disputes::on_node(&desired.rules, &facts, &accounts, leads);
        Ok(Self { desired, host, facts, disputes, silence, in_force, observed, commands })
    }

    /// Mends what one rule finds now, if it finds anything and `consent` covers it: what an earlier
    /// fix changed, such as a folder, is looked at anew.
    ///
    /// # Errors
    /// When nothing was begun.
    pub fn mend(
        &self,
        rule: &Rule,
        mender: &Mender<'_>,
        consent: Consent<'_>,
    ) -> Result<Mended, FixError> {
        let fresh = check_one(self.input(Purpose::Mend), rule);
        if !fresh.verdict.fixable {
            return Ok(Mended::Left(fresh));
        }
        if !consent.covers(&fresh.changes) {
            return Ok(Mended::Unagreed(fresh));
        }
        let again = || check_one(self.input(Purpose::Judge), rule);
        let mut found = None;
        let recheck = || {
            let verdict = &found.insert(again()).verdict;
            (verdict.status != VerdictStatus::Ok).then(|| message(verdict))
        };
        let record = mender.fix(&fresh, recheck, Timestamp::now())?;
        let found = Box::new(found.unwrap_or_else(again));
        Ok(Mended::Tried { record, steps: fresh.changes, found })
    }

    /// Who undoes what was mended of a rule, for people: what the audit log tells, or what would make
    /// it tell.
    pub fn undone_by(&self, rule: &Rule) -> String {
        let files = files_of(&rule.kind);
        let [path, ..] = &files[..] else {
            return "nothing here tells who undoes it".to_owned();
        };
        let log = self.host.tail(AUDIT_LOG, AUDIT_BYTES_MAX).ok().flatten();
        let of = |log: &str| files.iter().find_map(|path| culprit(log, path.as_str()));
        match log.as_deref().and_then(of) {
            Some(culprit) => format!("the audit log tells of {culprit}"),
            None => format!("`auditctl -w {path} -p wa` would tell who"),
        }
    }

    /// Checks some of the rules.
    pub fn check<'a>(
        &self,
        rules: impl IntoIterator<Item = &'a Rule>,
        purpose: Purpose,
    ) -> Vec<Checked> {
        check(self.input(purpose), rules)
    }

    fn input(&self, purpose: Purpose) -> CheckInput<'_> {
        let (desired, facts, host) = (&self.desired, &self.facts, &self.host);
        let (disputes, silence, commands) = (&self.disputes, &self.silence, &self.commands);
        CheckInput { desired, facts, host, purpose, disputes, silence, commands }
    }

    /// The built-in verdicts on images.
    ///
    /// # Errors
    /// When the engine does not answer, and why.
    pub fn images(&self) -> Result<Vec<Verdict>, &str> {
        let observed = self.observed.as_ref().map_err(String::as_str)?;
        let input = ImageInput { desired: &self.desired, in_force: &self.in_force, observed };
        Ok(image::judge(input))
    }
}

/// What the agent believes: the revision that it verified last, or else the one that runs.
fn believed(node: &Node) -> Option<DesiredState> {
    let believer = believer(node);
    let environment = &node.settings.environment;
    let applied = node.status.as_ref().and_then(|status| status.revision.applied);
    node.memory.verified.into_iter().chain(applied).find_map(|commit| {
        believer.resolve_older(&Revision::Commit { environment: environment.clone(), commit })
    })
}

/// What may be done here to the target of a rule, as verdicts name it: by the newest verified
/// revision, or else by what the agent believes. None where nothing is believed.
///
/// # Errors
/// When this machine's own files do not work.
pub async fn mode_of(node: &mut Node, target: &str) -> Result<Option<Mode>, AgentError> {
    node.read("check", Intent::Plan).await?;
    let Some(desired) = node.belief.desired.clone().or_else(|| believed(node)) else {
        return Ok(None);
    };
    let environment = desired.revision.environment();
    let of = |service: &DesiredService| format!("{}.{environment}", service.name) == target;
    Ok(Some(desired.services.values().find(|s| of(s)).map_or(desired.mode, |s| s.mode)))
}

fn believer(node: &Node) -> Believer<'_> {
    Believer {
        settings: &node.settings,
        origin: &node.origin,
        store: &node.store,
        keep: Keep::No,
        applied: None,
    }
}

/// The definition in force of each service: what last passed its health gate here.
fn in_force(node: &Node, desired: &DesiredState) -> BTreeMap<ServiceName, DesiredService> {
    let believer = believer(node);
    let mut found = BTreeMap::new();
    for (name, service) in &desired.services {
        let remembered = node.memory.services.get(name);
        let Some(applied) = remembered.and_then(|known| known.applied.as_ref()) else { continue };
        if applied.content == service.content_hash() {
            found.insert(name.clone(), service.clone());
        } else if let Some(mut older) = believer.resolve_older(&applied.revision)
            && let Some(service) = older.services.remove(name)
        {
            found.insert(name.clone(), service);
        }
    }
    found
}
