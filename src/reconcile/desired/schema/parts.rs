//! Tables within a container.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_MAP;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::kind::TEXT_OR_NUMBER;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::kind::TEXTS;

/// Why an environment may not set what runs.
pub(crate) const PROMOTED: &str =
    "what runs in an environment comes by promotion, not by its own files";

pub(crate) static PORT: Keys = Keys {
    name: "port",
    doc: "A published port.",
    keys: &[
        Key::required("target", Kind::Integer, "port inside"),
        Key::new("published", TEXT_OR_INTEGER, "port of the host; absent lets the engine choose"),
        Key::new("host_ip", Kind::Text, "address of the host; absent is every address"),
        Key::new("protocol", Kind::Choice(&["tcp", "udp", "sctp"]), "`tcp` unless said otherwise"),
        Key::new("name", Kind::Text, "for people"),
        Key::not_yet("app_protocol", "a hint for people"),
        Key::not_yet("mode", "how Swarm publishes"),
    ],
};

pub(crate) static VOLUME_MOUNT: Keys = Keys {
    name: "volume_mount",
    doc: "Something mounted.",
    keys: &[
        Key::required("type", Kind::Choice(&["volume", "bind", "tmpfs"]), "what is mounted"),
        Key::new("source", Kind::Text, "a key of `[volumes]`, or a path of the host"),
        Key::required("target", Kind::Text, "path inside"),
        Key::new("read_only", Kind::Boolean, "writing is refused"),
        Key::new("volume", Kind::Table(&VOLUME_OPTIONS), "for a volume"),
        Key::new("bind", Kind::Table(&BIND_OPTIONS), "for a bind mount"),
        Key::new("tmpfs", Kind::Table(&TMPFS_OPTIONS), "for a tmpfs"),
        Key::not_yet("consistency", "a hint for other platforms"),
        Key::not_yet("image", "a mounted image"),
    ],
};

static VOLUME_OPTIONS: Keys = Keys {
    name: "volume_options",
    doc: "How a volume is mounted.",
    keys: &[
        Key::new("nocopy", Kind::Boolean, "an empty volume is not filled from the image"),
        Key::not_yet("subpath", "a path within the volume"),
        Key::not_yet("labels", "labels"),
    ],
};

static BIND_OPTIONS: Keys = Keys {
    name: "bind_options",
    doc: "How a path of the host is mounted.",
    keys: &[
        Key::new(
            "propagation",
            Kind::Choice(&["private", "rprivate", "shared", "rshared", "slave", "rslave"]),
            "how mounts below it spread",
        ),
        Key::new(
            "create_host_path",
            Kind::Boolean,
            "make a missing path; true unless said otherwise",
        ),
        Key::not_yet("selinux", "an SELinux label"),
        Key::not_yet("recursive", "how mounts below it are treated"),
    ],
};

static TMPFS_OPTIONS: Keys = Keys {
    name: "tmpfs_options",
    doc: "How memory is mounted.",
    keys: &[
        Key::new("size", TEXT_OR_INTEGER, "its size"),
        Key::new("mode", TEXT_OR_INTEGER, "permission bits, `0o1777` or `\"1777\"`"),
    ],
};

pub(crate) static CONFIG_MOUNT: Keys = Keys {
    name: "config_mount",
    doc: "A file that the container sees.",
    keys: &[
        Key::required("source", Kind::Text, "its key in `[configs]`"),
        Key::new("target", Kind::Text, "path inside; absent is `/<source>`"),
        Key::new("mode", TEXT_OR_INTEGER, "permission bits; `0o444` unless said otherwise"),
        Key::not_yet("uid", "its owner"),
        Key::not_yet("gid", "its group"),
    ],
};

pub(crate) static ENDPOINT: Keys = Keys {
    name: "endpoint",
    doc: "A container's place on a network.",
    keys: &[
        Key::new("aliases", TEXTS, "more names it answers to there"),
        Key::new("ipv4_address", Kind::Text, "fixed IPv4 address"),
        Key::new("ipv6_address", Kind::Text, "fixed IPv6 address"),
        Key::not_yet("driver_opts", "options of the endpoint"),
        Key::not_yet("gw_priority", "which network is the way out"),
        Key::not_yet("interface_name", "the interface's name"),
        Key::not_yet("link_local_ips", "link-local addresses"),
        Key::not_yet("mac_address", "a fixed MAC address"),
        Key::not_yet("priority", "the order of networks"),
    ],
};

pub(crate) static DEPENDENCY: Keys = Keys {
    name: "dependency",
    doc: "What must be so before a container starts.",
    keys: &[
        Key::new(
            "condition",
            Kind::Choice(&["service_started", "service_healthy", "service_completed_successfully"]),
            "what the other one must have reached",
        ),
        Key::not_yet("restart", "restarting along"),
        Key::not_yet("required", "optional dependencies"),
    ],
};

macro_rules! healthcheck_keys {
    ($test:expr, $disable:expr) => {
        &[
            $test,
            $disable,
            Key::new("interval", Kind::Text, "time between checks"),
            Key::new("timeout", Kind::Text, "time one check may take"),
            Key::new("retries", Kind::Integer, "failures in a row until it is unhealthy"),
            Key::new("start_period", Kind::Text, "time in which failures do not count"),
            Key::not_yet("start_interval", "time between checks at first"),
        ]
    };
}

pub(crate) static HEALTHCHECK: Keys = Keys {
    name: "healthcheck",
    doc: "How a container's health is found out.",
    keys: healthcheck_keys!(
        Key::new(
            "test",
            TEXT_OR_TEXTS,
            "a shell line, or `[\"CMD\", …]`, `[\"CMD-SHELL\", …]`, `[\"NONE\"]`"
        ),
        Key::new("disable", Kind::Boolean, "no check, not even the image's")
    ),
};

pub(crate) static HEALTHCHECK_OVERLAY: Keys = Keys {
    name: "healthcheck_overlay",
    doc: "What differs in a health check in one environment.",
    keys: healthcheck_keys!(
        Key::refused("test", "the check itself", PROMOTED),
        Key::refused("disable", "the check itself", PROMOTED)
    ),
};

pub(crate) static LOGGING: Keys = Keys {
    name: "logging",
    doc: "A log driver.",
    keys: &[
        Key::new("driver", Kind::Text, "`json-file`, `local`, `journald`, …"),
        Key::new("options", TEXT_MAP, "its options"),
    ],
};

pub(crate) static ULIMIT: Keys = Keys {
    name: "ulimit",
    doc: "Soft and hard limit.",
    keys: &[
        Key::required("soft", Kind::Integer, "what applies"),
        Key::required("hard", Kind::Integer, "what the process may raise it to"),
    ],
};

pub(crate) static DEPLOY: Keys = Keys {
    name: "deploy",
    doc: "Limits and reservations.",
    keys: &[
        Key::new("resources", Kind::Table(&RESOURCES), "limits and reservations"),
        Key::not_yet("endpoint_mode", "a Swarm setting"),
        Key::not_yet("labels", "a Swarm setting"),
        Key::not_yet("mode", "a Swarm setting"),
        Key::not_yet("placement", "a Swarm setting"),
        Key::not_yet("replicas", "a Swarm setting"),
        Key::not_yet("restart_policy", "a Swarm setting"),
        Key::not_yet("rollback_config", "a Swarm setting"),
        Key::not_yet("update_config", "a Swarm setting"),
    ],
};

static RESOURCES: Keys = Keys {
    name: "resources",
    doc: "Limits and reservations.",
    keys: &[
        Key::new("limits", Kind::Table(&LIMITS), "what it may use at most"),
        Key::new("reservations", Kind::Table(&RESERVATIONS), "what it should have"),
    ],
};

static LIMITS: Keys = Keys {
    name: "limits",
    doc: "What a container may use at most.",
    keys: &[
        Key::new("cpus", TEXT_OR_NUMBER, "CPUs, such as `\"0.5\"`"),
        Key::new("memory", TEXT_OR_INTEGER, "memory, such as `\"64m\"`"),
        Key::new("pids", Kind::Integer, "processes"),
    ],
};

static RESERVATIONS: Keys = Keys {
    name: "reservations",
    doc: "What a container should have.",
    keys: &[
        Key::new("memory", TEXT_OR_INTEGER, "memory, such as `\"32m\"`"),
        Key::not_yet("cpus", "a CPU reservation"),
        Key::not_yet("devices", "devices"),
        Key::not_yet("generic_resources", "a Swarm setting"),
    ],
};
