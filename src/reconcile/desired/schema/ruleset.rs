//! Keys of `rulesets/**.toml`.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;
use crate::reconcile::desired::document::kind::TEXT_MAP;
use crate::reconcile::desired::rule::RULE;

/// `rulesets/**/<ruleset>.toml`.
pub static RULESET: Keys = Keys {
    name: "ruleset",
    doc: "Variables, image pins and compliance rules for whatever its match fits.",
    keys: &[
        Key::new("match", Kind::Table(&MATCH), "what it is shown to; absent fits everything"),
        Key::new("vars", TEXT_MAP, "variables for `${vars.x}`"),
        Key::new("containers", Kind::Map(&Kind::Table(&PIN)), "image pins, by container"),
        Key::new("rules", Kind::List(&Kind::Tagged(&RULE)), "compliance rules"),
    ],
};

/// A `match` table, nested by `any` and `not`.
static MATCH: Keys = Keys {
    name: "match",
    doc: "All keys must fit; a list fits when one of it does.",
    keys: &[
        Key::new("service", SOME_TEXTS, "the service's name"),
        Key::new("app", SOME_TEXTS, "the service's app"),
        Key::new("container", SOME_TEXTS, "the container's name"),
        Key::new("environment", SOME_TEXTS, "the environment's name; not with pins"),
        Key::new("node", SOME_TEXTS, "the node's name; not with pins"),
        Key::new("labels", Kind::Map(&SOME_TEXTS), "the node's labels; not with pins"),
        Key::new("any", Kind::NonEmpty(&Kind::Table(&MATCH)), "one of these must fit"),
        Key::new("not", Kind::Table(&MATCH), "this must not fit"),
    ],
};

/// A pin, `[containers.<name>]` of a ruleset.
static PIN: Keys = Keys {
    name: "pin",
    doc: "The exact image of a container: its digest in the hub.",
    keys: &[
        Key::new("digest", Kind::Text, "manifest or index digest: what is pulled"),
        Key::new("image_id", Kind::Text, "config digest of this platform's image"),
        Key::new("version", Kind::Text, "for people"),
    ],
};
