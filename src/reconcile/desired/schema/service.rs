//! Keys of `services/<service>.toml` and of its overlays.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_MAP;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::kind::TEXTS_OR_MAP;
use crate::reconcile::desired::document::kind::TIME;
use crate::reconcile::desired::schema::container::CONTAINER;
use crate::reconcile::desired::schema::container::CONTAINER_OVERLAY;

/// Values of `mode`.
pub(crate) const MODES: &[&str] = &["apply", "report"];

macro_rules! service_keys {
    ($container:expr; $($own:expr,)*) => {
        &[
            $($own,)*
            Key::new("nodes", Kind::Text, "selector over nodes' labels and `name`; absent is every node"),
            Key::new("mode", Kind::Choice(MODES), "`report` touches nothing"),
            Key::new("engine", Kind::Text, "`docker`; `swarm` comes later"),
            Key::new("suspend", Kind::Table(&SUSPEND), "set aside: nothing is changed, not even repaired"),
            Key::new("containers", Kind::Map(&Kind::Table($container)), "its containers"),
            Key::new("networks", Kind::Map(&Kind::Table(&NETWORK)), "networks it makes or joins"),
            Key::new("volumes", Kind::Map(&Kind::Table(&VOLUME)), "volumes it makes or uses"),
            Key::new("configs", Kind::Map(&Kind::Table(&CONFIG)), "files its containers see"),
            Key::not_yet("secrets", "encrypted files of the service"),
            Key::new("update", Kind::Table(&UPDATE), "how changes are rolled out"),
            Key::refused("services", "Compose's containers", "containers are written as `[containers.<name>]`"),
            Key::refused("version", "Compose's file version", "a service has no file version"),
            Key::refused("name", "Compose's project name", "a service is called as its file is"),
            Key::refused("include", "other Compose files", "a service is one file; rulesets and overlays vary it"),
        ]
    };
}

/// `services/<service>.toml`.
pub static SERVICE: Keys = Keys {
    name: "service",
    doc: "One or more containers that belong together; flows with promotion.",
    keys: service_keys![&CONTAINER; Key::required("app", Kind::Text, "the app it belongs to, declared in tidegate.toml"),],
};

/// `environments/<environment>/services/<service>.toml`.
pub static OVERLAY: Keys = Keys {
    name: "overlay",
    doc: "What differs for a service in one environment.",
    keys: service_keys![&CONTAINER_OVERLAY;
        Key::new("unset", TEXTS, "paths of values to remove, such as `containers.web.environment.DEBUG`"),
        Key::refused("app", "the service's app", "an environment must not change which pins fit"),
    ],
};

static SUSPEND: Keys = Keys {
    name: "suspend",
    doc: "A service set aside.",
    keys: &[
        Key::required("reason", Kind::Text, "why, for people"),
        Key::new("until", TIME, "when it ends by itself (RFC 3339)"),
    ],
};

macro_rules! update_keys {
    ($($own:expr,)*) => {
        &[
            Key::new("strategy", Kind::Choice(&["stop-first", "start-first"]), "which goes first, old or new"),
            Key::new("health_timeout", Kind::Text, "time all containers have to become healthy"),
            Key::new("stable", Kind::Text, "without a health check: running without restart this long"),
            Key::new("on_failure", Kind::Choice(&["rollback", "hold"]), "what a failure does"),
            $($own,)*
        ]
    };
}

static UPDATE: Keys = Keys {
    name: "update",
    doc: "How changes are rolled out.",
    keys: update_keys![
        Key::new("window", TEXT_OR_TEXTS, "planned downtime: `[days] HH:MM-HH:MM Zone`"),
        Key::not_yet("waves", "an order of nodes"),
    ],
};

/// `[update]` of an environment.
pub(crate) static UPDATE_DEFAULTS: Keys = Keys {
    name: "update_defaults",
    doc: "Defaults for services' `[update]`.",
    keys: update_keys![
        Key::refused(
            "window",
            "when changes may land",
            "an environment's `window` stands at the top of environment.toml"
        ),
        Key::not_yet("waves", "an order of nodes"),
    ],
};

static NETWORK: Keys = Keys {
    name: "network",
    doc: "A network; `default` is the one that containers join without saying so.",
    keys: &[
        Key::new("driver", Kind::Text, "`bridge` unless said otherwise"),
        Key::new("driver_opts", TEXT_MAP, "options of the driver"),
        Key::new("internal", Kind::Boolean, "no way out"),
        Key::new("attachable", Kind::Boolean, "standalone containers may join (overlay)"),
        Key::new("enable_ipv6", Kind::Boolean, "IPv6 on"),
        Key::new("ipam", Kind::Table(&IPAM), "address ranges"),
        Key::new("labels", TEXTS_OR_MAP, "labels"),
        Key::new("external", Kind::Boolean, "made by others; only joined"),
        Key::new("name", Kind::Text, "its name at the engine"),
        Key::not_yet("enable_ipv4", "IPv4 off"),
    ],
};

static IPAM: Keys = Keys {
    name: "ipam",
    doc: "Address ranges of a network.",
    keys: &[
        Key::new("config", Kind::List(&Kind::Table(&SUBNET)), "the ranges"),
        Key::not_yet("driver", "another address manager"),
        Key::not_yet("options", "options of an address manager"),
    ],
};

static SUBNET: Keys = Keys {
    name: "subnet",
    doc: "An address range.",
    keys: &[
        Key::required("subnet", Kind::Text, "range as `172.28.0.0/16`"),
        Key::new("gateway", Kind::Text, "the gateway's address"),
        Key::new("ip_range", Kind::Text, "range from which containers get addresses"),
        Key::not_yet("aux_addresses", "reserved addresses"),
    ],
};

static VOLUME: Keys = Keys {
    name: "volume",
    doc: "A named volume.",
    keys: &[
        Key::new("driver", Kind::Text, "`local` unless said otherwise"),
        Key::new("driver_opts", TEXT_MAP, "options of the driver"),
        Key::new("labels", TEXTS_OR_MAP, "labels"),
        Key::new("external", Kind::Boolean, "made by others; only used"),
        Key::new("name", Kind::Text, "its name at the engine"),
    ],
};

static CONFIG: Keys = Keys {
    name: "config",
    doc: "A file that containers see.",
    keys: &[
        Key::new("file", Kind::Text, "path below `services/<service>/`"),
        Key::new("content", Kind::Text, "the content itself, with `${…}` substituted"),
        Key::not_yet("environment", "a value of the host's environment"),
        Key::not_yet("external", "a config made by others"),
        Key::not_yet("name", "its name at the engine"),
    ],
};
