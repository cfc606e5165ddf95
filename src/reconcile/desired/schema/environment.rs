//! Keys of `tidegate.toml`, `environment.toml` and `nodes/<node>.toml`.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_MAP;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::kind::TIME;
use crate::reconcile::desired::schema::service::MODES;
use crate::reconcile::desired::schema::service::UPDATE_DEFAULTS;

/// `tidegate.toml`.
pub static REPOSITORY: Keys = Keys {
    name: "repository",
    doc: "What the repository is; flows with promotion.",
    keys: &[
        Key::required("repository", Kind::Text, "the repository's id, which no commit changes"),
        Key::required("environments", TEXTS, "the environments, in display order"),
        Key::new(
            "requires",
            Kind::Text,
            "versions of Tidegate that understand it, such as `>=0.1`; older agents hold",
        ),
        Key::new("apps", Kind::Map(&Kind::Table(&APP)), "whom services belong and are billed to"),
    ],
};

static APP: Keys = Keys {
    name: "app",
    doc: "An app.",
    keys: &[
        Key::new("title", Kind::Text, "its name, for people"),
        Key::new("owner", Kind::Text, "who answers for it"),
        Key::new("contact", Kind::Text, "how to reach the owner"),
    ],
};

/// `environments/<environment>/environment.toml`.
pub static ENVIRONMENT: Keys = Keys {
    name: "environment",
    doc: "An environment; owned by it.",
    keys: &[
        Key::required("name", Kind::Text, "the environment's name, as its directory"),
        Key::required("hub", Kind::Text, "its registry: `host[:port][/prefix]`"),
        Key::new("hub_plain_http", Kind::Boolean, "reach the hub without TLS (a lab)"),
        Key::new("window", TEXT_OR_TEXTS, "when changes may land: `[days] HH:MM-HH:MM Zone`"),
        Key::new(
            "check",
            TEXT_OR_TEXTS,
            "when rules are checked: `[window] [@interval]`; default `@1h`",
        ),
        Key::new("freeze", Kind::List(&Kind::Table(&FREEZE)), "spans in which nothing new lands"),
        Key::new("mode", Kind::Choice(MODES), "`report` touches nothing"),
        Key::new("update", Kind::Table(&UPDATE_DEFAULTS), "defaults for services' `[update]`"),
        Key::new("retention", Kind::Table(&RETENTION), "how long the hub keeps images"),
        Key::new("vars", TEXT_MAP, "variables for `${vars.x}`"),
    ],
};

static FREEZE: Keys = Keys {
    name: "freeze",
    doc: "A span in which nothing new lands.",
    keys: &[
        Key::required("from", TIME, "first instant of it (RFC 3339)"),
        Key::required("to", TIME, "first instant after it (RFC 3339)"),
        Key::required("reason", Kind::Text, "why, for people"),
    ],
};

static RETENTION: Keys = Keys {
    name: "retention",
    doc: "How long the hub keeps images.",
    keys: &[
        Key::new("days", Kind::Integer, "images of commits younger than this are kept"),
        Key::new("commits", Kind::Integer, "images of so many last commits are kept"),
    ],
};

/// `environments/<environment>/nodes/<node>.toml`.
pub static NODE: Keys = Keys {
    name: "node",
    doc: "A node; owned by its environment.",
    keys: &[
        Key::new("labels", TEXT_MAP, "what selectors and `${node.labels.x}` see"),
        Key::new("report_key", Kind::Text, "public key of the node's signed reports"),
        Key::new("secrets_recipient", Kind::Text, "age recipient for the node's secrets"),
        Key::new("address", Kind::Text, "where people reach it"),
        Key::new("promoter", Kind::Boolean, "copies images for promotions that came another way"),
        Key::new("mode", Kind::Choice(MODES), "`report` touches nothing"),
    ],
};
