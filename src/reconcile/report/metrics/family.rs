//! What there is to be measured: names, types, labels, help. docs/metrics.md has the same table.
//!
//! Pure data.

/// A metric with all its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// `tidegate_…`, with its unit at the end.
    pub name: &'static str,
    /// How it moves.
    pub kind: FamilyKind,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it says, in a sentence without a backslash.
    pub help: &'static str,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Up and down.
    Gauge,
    /// Up, and to zero when what counts begins anew.
    Counter,
}

impl FamilyKind {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
        }
    }
}

impl Family {
    /// One that moves up and down.
    pub(crate) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: FamilyKind::Gauge, labels, help }
    }

    /// One that moves up.
    pub(crate) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: FamilyKind::Counter, labels, help }
    }
}

/// Defines the families and lists them in their order.
macro_rules! families {
    ($($id:ident = $kind:ident($name:literal, [$($label:literal),*], $help:literal);)*) => {
        $(pub(crate) static $id: Family = Family::$kind($name, &[$($label),*], $help);)*
        /// Every family that a node may show.
        pub static FAMILIES: &[&Family] = &[$(&$id),*];
    };
}

families! {
    AGENT_INFO = gauge("tidegate_agent_info", ["version", "environment", "node", "mode"],
        "The agent: always 1.");
    PASS_ENDED = gauge("tidegate_pass_timestamp_seconds", [], "When the last pass ended.");
    PASS_TOOK = gauge("tidegate_pass_duration_seconds", [],
        "How long the last pass took, with the rollouts that it waited for.");
    PASS_SUCCESS = gauge("tidegate_pass_success", [],
        "Whether the last pass could look and decide: 0 without an engine, or after an error.");
    PASSES = counter("tidegate_passes_total", ["result"],
        "Passes since the agent's start: ok or failed.");
    REVISION = gauge("tidegate_revision_info", ["revision", "commit"],
        "What the branch points at (tip), the newest commit believed (verified), the newest that runs whole (applied): always 1.");
    REVISION_COMMITTED = gauge("tidegate_revision_commit_timestamp_seconds", [],
        "The commit time of the newest revision that is believed and can be used.");
    REFUSED = gauge("tidegate_refused_info", ["commit", "rule"],
        "The commit that is not believed, and the rule that it breaks: always 1.");
    CONDITION = gauge("tidegate_condition", ["condition"],
        "Whether it is so: git_unreachable, engine_unreachable, tip_refused, tip_waits, revision_unusable, unverified.");
    CONDITION_SINCE = gauge("tidegate_condition_since_timestamp_seconds", ["condition"],
        "Since when it is so, where that is known.");
    SERVICES = gauge("tidegate_services", ["sync"],
        "Services by sync: synced, out_of_sync, held, unknown.");
    SERVICES_HEALTH = gauge("tidegate_services_by_health", ["health"],
        "Services by health: healthy, progressing, degraded, missing, suspended, unknown.");
    SERVICES_HELD = gauge("tidegate_services_held", ["reason"],
        "Services that are held, by the kind of reason; no series for a reason that holds none.");
    SERVICES_FAILING = gauge("tidegate_services_failing", [],
        "Services whose last change failed and was not done since.");
    CHANGES = counter("tidegate_changes_total", ["change", "result"],
        "What was done to services since the agent's start: apply, repair, rollback, remove; done or failed.");
    SERVICE_INFO = gauge("tidegate_service_info", ["service", "app", "mode"],
        "A service: always 1.");
    SERVICE_IN_SYNC = gauge("tidegate_service_in_sync", ["service"],
        "Whether it is as the newest verified revision wants it.");
    SERVICE_HEALTHY = gauge("tidegate_service_healthy", ["service"],
        "Whether all its containers run and are healthy.");
    SERVICE_SINCE = gauge("tidegate_service_since_timestamp_seconds", ["service"],
        "Since when its sync and health are so.");
    SERVICE_HELD = gauge("tidegate_service_held", ["service", "reason"],
        "A service that is held, and the kind of reason: 1 while it is.");
    SERVICE_WANTED = gauge("tidegate_service_containers_wanted", ["service"],
        "Its containers that must keep running.");
    SERVICE_RUNNING = gauge("tidegate_service_containers_running", ["service"],
        "Those of them that run; of a service that is no longer wanted, all that do.");
    SERVICE_RESTARTS = counter("tidegate_service_restarts_total", ["service"],
        "Restarts of its containers by the engine's restart policy, since they were made.");
    SERVICE_DIFFERENCES = gauge("tidegate_service_report_differences", ["service"],
        "In report mode: differences that were found and are left alone.");
    CHECK_ENDED = gauge("tidegate_check_timestamp_seconds", [], "When rules were last checked.");
    CHECK_STALE = gauge("tidegate_check_stale", [],
        "Whether that is too long ago by the schedule; every rule is unknown then.");
    CHECKS = counter("tidegate_checks_total", ["result"],
        "Checks of the rules since the agent's start: ok (they came to their end) or failed.");
    FIXES = counter("tidegate_fixes_total", [],
        "Fixes that the agent tried by itself since its start.");
    RULES = gauge("tidegate_rules", ["severity", "status"],
        "Rules by severity and status: ok, not_ok, not_applicable, error, unknown. Images are among them.");
    IMAGES = gauge("tidegate_images", ["status"],
        "Built-in verdicts on containers' images, by status.");
    SCORE = gauge("tidegate_score_ratio", [], "Of the rules that apply on this node, the part that holds.");
    SERVICE_SCORE = gauge("tidegate_service_score_ratio", ["service"],
        "Of the rules that apply to a service, the part that holds.");
    RULESET_SCORE = gauge("tidegate_ruleset_score_ratio", ["ruleset"],
        "Of a ruleset's rules that apply, the part that holds.");
    CUT = gauge("tidegate_metrics_cut", ["series"],
        "How many services and rulesets have no series of their own, because there are too many.");
}
