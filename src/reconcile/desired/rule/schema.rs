//! Keys of `[[rules]]`: those of every rule; those of each kind stand in its own file.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::kind::Tagged;
use crate::reconcile::desired::rule::fact::RULE_MATCH;
use crate::reconcile::desired::rule::kind::KINDS;

/// A rule: the keys of every rule, then those of its kind.
pub static RULE: Tagged = Tagged {
    name: "rule",
    doc: "Something that must be so on the host.",
    tag: "kind",
    common: &[
        Key::required("name", Kind::Text, "its name within the ruleset"),
        Key::required("kind", Kind::Text, "what it is about"),
        Key::new(
            "severity",
            Kind::Choice(&["info", "warning", "critical"]),
            "how bad it is otherwise; default warning",
        ),
        Key::new(
            "fix",
            Kind::Choice(&["never", "campaign", "auto"]),
            "who may mend it; default campaign, `tidegate fix`",
        ),
        Key::new("window", TEXT_OR_TEXTS, "when `fix = \"auto\"` may mend it; default always"),
        Key::new("match", Kind::Table(&RULE_MATCH), "facts that must hold for it to apply"),
    ],
    variants: KINDS,
    later: &[],
};
