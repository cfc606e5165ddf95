//! What a node can be measured by, as Prometheus reads it.
//!
//! In: what passes and checks add to [`Measures`], the time. Out: text. Pure.
//!
//! ```text
//! family.rs    what there is     text.rs   how it is written
//! services.rs  what a pass saw of each service     rules.rs   what a check found
//! ```
//!
//! # Guarantees
//! * Labels hold names, commit ids and words of ours, never a message, a reason or a value.
//! * However many services and rulesets there are, only so many have series of their own; how many
//!   have not is said.

pub mod family;
mod rules;
mod services;
mod text;
#[cfg(test)]
mod tests;

pub use rules::RuleTally;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{EnvironmentName, NodeName, ServiceName};
use crate::reconcile::report::condition::Facts;
use crate::reconcile::report::metrics::family as f;
use crate::reconcile::report::metrics::services::{ServiceMeasure, measure};
use crate::reconcile::report::metrics::text::Page;
use crate::reconcile::report::status::{Health, Status, Sync, TrustLevel};

/// Services with series of their own: ten each, of which a scrape of all has some 400 KiB.
pub const SERVICES_MAX: usize = 500;
/// Rulesets with series of their own.
pub const RULESETS_MAX: usize = 500;

/// Everything that is measured.
#[derive(Debug)]
pub struct Measures {
    environment: EnvironmentName,
    node: NodeName,
    status: Option<Status>,
    committed_at: Option<Timestamp>,
    services: BTreeMap<ServiceName, ServiceMeasure>,
    pass: Option<Pass>,
    passes: Ends,
    changes: BTreeMap<&'static str, Ends>,
    rules: Option<RuleTally>,
    checks: Ends,
    n_fixes: usize,
}

/// How often something was done, and how often it failed.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    done: u64,
    failed: u64,
}

impl Ends {
    fn add(&mut self, end: End) {
        match end {
            End::Done => self.done += 1,
            End::Failed => self.failed += 1,
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// Otherwise.
    Failed,
}

/// The last pass.
#[derive(Debug, Clone, Copy)]
struct Pass {
    at: Timestamp,
    took: Duration,
    end: End,
}

impl Measures {
    /// Of a node that said nothing yet.
    pub fn new(environment: EnvironmentName, node: NodeName) -> Self {
        Self {
            environment,
            node,
            status: None,
            committed_at: None,
            services: BTreeMap::new(),
            pass: None,
            passes: Ends::default(),
            changes: CHANGES.iter().map(|change| (*change, Ends::default())).collect(),
            rules: None,
            checks: Ends::default(),
            n_fixes: 0,
        }
    }

    /// What a pass saw, and said.
    pub fn said(&mut self, facts: &Facts<'_>, status: &Status) {
        self.services = measure(facts, status);
        self.committed_at = facts.committed_at;
        if self.status.as_ref() != Some(status) {
            self.status = Some(status.clone());
        }
    }

    /// Something was done to a service, or could not be.
    pub fn did(&mut self, change: &'static str, end: End) {
        self.changes.entry(change).or_default().add(end);
    }

    /// A pass ended.
    pub fn passed(&mut self, at: Timestamp, took: Duration, end: End) {
        self.pass = Some(Pass { at, took, end });
        self.passes.add(end);
    }

    /// A check ended: what it found, unless it failed, and how many fixes it tried.
    pub fn checked(&mut self, found: Option<(RuleTally, usize)>) {
        self.checks.add(if found.is_some() { End::Done } else { End::Failed });
        if let Some((rules, n_fixes)) = found {
            self.rules = Some(rules);
            self.n_fixes += n_fixes;
        }
    }

    /// Everything, as text in format 0.0.4.
    pub fn render(&self, now: Timestamp) -> String {
        let mut page = Page::default();
        self.agent(&mut page);
        if let Some(status) = &self.status {
            revisions(status, self.committed_at, &mut page);
            conditions(status, &mut page);
            self.by_state(status, &mut page);
            self.by_service(status, &mut page);
        }
        self.work(&mut page);
        let rules = self.rules.as_ref().map(|rules| rules.aged(now));
        if let Some(rules) = &rules {
            page.family(&f::CHECK_ENDED).add(&[], seconds(rules.checked_at));
            page.family(&f::CHECK_STALE).add(&[], u8::from(rules.is_stale(now)));
            rules.write(&mut page);
        }
        self.cut(rules.as_ref(), &mut page);
        page.finish()
    }

    fn agent(&self, page: &mut Page) {
        let said = self.status.as_ref();
        let mode = said.map(|status| status.mode.to_string()).unwrap_or_default();
        let (environment, node) = (self.environment.as_str(), self.node.as_str());
        let values = [env!("CARGO_PKG_VERSION"), environment, node, &mode];
        page.family(&f::AGENT_INFO).add(&values, 1);
        if let Some(pass) = &self.pass {
            page.family(&f::PASS_ENDED).add(&[], seconds(pass.at));
            page.family(&f::PASS_TOOK).add(&[], pass.took.as_secs_f64());
            page.family(&f::PASS_SUCCESS).add(&[], u8::from(pass.end == End::Done));
        }
    }

    /// What was done since the agent's start.
    fn work(&self, page: &mut Page) {
        let ends = |ends: Ends| [("ok", ends.done), ("failed", ends.failed)];
        for (family, counted) in [(&f::PASSES, self.passes), (&f::CHECKS, self.checks)] {
            let mut samples = page.family(family);
            for (result, n) in ends(counted) {
                samples.add(&[result], n);
            }
        }
        page.family(&f::FIXES).add(&[], self.n_fixes);
        let mut samples = page.family(&f::CHANGES);
        for (change, counted) in &self.changes {
            samples.add(&[change, "done"], counted.done);
            samples.add(&[change, "failed"], counted.failed);
        }
    }

    fn by_state(&self, status: &Status, page: &mut Page) {
        let mut samples = page.family(&f::SERVICES);
        for (sync, name) in SYNCS {
            samples.add(&[name], status.services.values().filter(|s| s.sync == sync).count());
        }
        let mut samples = page.family(&f::SERVICES_HEALTH);
        for (health, name) in HEALTHS {
            samples.add(&[name], status.services.values().filter(|s| s.health == health).count());
        }
        let mut samples = page.family(&f::SERVICES_HELD);
        let mut held: BTreeMap<&str, usize> = BTreeMap::new();
        for code in self.services.values().filter_map(|service| service.held) {
            *held.entry(code).or_default() += 1;
        }
        for (code, n) in held {
            samples.add(&[code], n);
        }
        let failing = self.services.values().filter(|service| service.is_failing);
        page.family(&f::SERVICES_FAILING).add(&[], failing.count());
    }

    fn by_service(&self, status: &Status, page: &mut Page) {
        let all = || status.services.iter().take(SERVICES_MAX);
        let mut samples = page.family(&f::SERVICE_INFO);
        for (name, service) in all() {
            let app = service.app.as_deref().unwrap_or_default();
            samples.add(&[name.as_str(), app, &service.mode.to_string()], 1);
        }
        let mut samples = page.family(&f::SERVICE_IN_SYNC);
        for (name, service) in all() {
            samples.add(&[name.as_str()], u8::from(service.sync == Sync::Synced));
        }
        let mut samples = page.family(&f::SERVICE_HEALTHY);
        for (name, service) in all() {
            samples.add(&[name.as_str()], u8::from(service.health == Health::Healthy));
        }
        let mut samples = page.family(&f::SERVICE_SINCE);
        for (name, service) in all() {
            samples.add(&[name.as_str()], seconds(service.since));
        }
        let measured = || self.services.iter().take(SERVICES_MAX);
        let mut samples = page.family(&f::SERVICE_HELD);
        for (name, service) in measured() {
            if let Some(code) = service.held {
                samples.add(&[name.as_str(), code], 1);
            }
        }
        for (family, of) in OF_SERVICES {
            let mut samples = page.family(family);
            for (name, service) in measured() {
                if let Some(n) = of(service) {
                    samples.add(&[name.as_str()], n);
                }
            }
        }
    }

    fn cut(&self, rules: Option<&RuleTally>, page: &mut Page) {
        let n_services = self.status.as_ref().map_or(0, |status| status.services.len());
        let (services, rulesets) = rules.map_or((0, 0), |r| (r.services_cut, r.rulesets_cut));
        page.family(&f::CUT)
            .add(&["services"], n_services.saturating_sub(SERVICES_MAX).max(services))
            .add(&["rulesets"], rulesets);
    }
}

/// What is done to services.
const CHANGES: [&str; 4] = ["apply", "repair", "rollback", "remove"];

const SYNCS: [(Sync, &str); 4] = [
    (Sync::Synced, "synced"),
    (Sync::OutOfSync, "out_of_sync"),
    (Sync::Held, "held"),
    (Sync::Unknown, "unknown"),
];

const HEALTHS: [(Health, &str); 6] = [
    (Health::Healthy, "healthy"),
    (Health::Progressing, "progressing"),
    (Health::Degraded, "degraded"),
    (Health::Missing, "missing"),
    (Health::Suspended, "suspended"),
    (Health::Unknown, "unknown"),
];

/// A number of each service that has it.
type OfService = (&'static f::Family, fn(&ServiceMeasure) -> Option<u64>);

static OF_SERVICES: [OfService; 4] = [
    (&f::SERVICE_WANTED, |service| Some(service.n_wanted)),
    (&f::SERVICE_RUNNING, |service| service.n_running),
    (&f::SERVICE_RESTARTS, |service| service.n_restarts),
    (&f::SERVICE_DIFFERENCES, |service| service.n_differences),
];

fn revisions(status: &Status, committed_at: Option<Timestamp>, page: &mut Page) {
    let revision = &status.revision;
    let mut samples = page.family(&f::REVISION);
    for (name, commit) in
        [("tip", revision.tip), ("verified", revision.verified), ("applied", revision.applied)]
    {
        if let Some(commit) = commit {
            samples.add(&[name, &commit.to_string()], 1);
        }
    }
    if let Some(at) = committed_at {
        page.family(&f::REVISION_COMMITTED).add(&[], seconds(at));
    }
    if let Some(refused) = &status.refused {
        page.family(&f::REFUSED).add(&[&refused.commit.to_string(), &refused.rule], 1);
    }
}

fn conditions(status: &Status, page: &mut Page) {
    let waits = status.waits.is_some();
    let all = [
        ("git_unreachable", status.git.is_some(), status.git.as_ref().map(|o| o.since)),
        ("engine_unreachable", status.engine.is_some(), status.engine.as_ref().map(|o| o.since)),
        ("tip_refused", status.refused.is_some(), status.refused.as_ref().map(|r| r.since)),
        ("tip_waits", waits, None),
        (
            "revision_unusable",
            status.configuration.is_some(),
            status.configuration.as_ref().map(|fault| fault.since),
        ),
        ("unverified", status.trust == TrustLevel::None, None),
    ];
    let mut samples = page.family(&f::CONDITION);
    for (name, is_so, _) in all {
        samples.add(&[name], u8::from(is_so));
    }
    let mut samples = page.family(&f::CONDITION_SINCE);
    for (name, _, since) in all {
        if let Some(since) = since {
            samples.add(&[name], seconds(since));
        }
    }
}

/// Seconds since 1970.
fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}
