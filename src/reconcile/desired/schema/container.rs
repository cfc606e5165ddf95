//! Keys of `[containers.<name>]`: the Compose Specification's service keys, every one of them.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::TEXT_OR_INTEGER;
use crate::reconcile::desired::document::kind::TEXT_OR_NUMBER;
use crate::reconcile::desired::document::kind::TEXT_OR_TEXTS;
use crate::reconcile::desired::document::kind::TEXTS;
use crate::reconcile::desired::document::kind::TEXTS_OR_MAP;
use crate::reconcile::desired::schema::parts::CONFIG_MOUNT;
use crate::reconcile::desired::schema::parts::DEPENDENCY;
use crate::reconcile::desired::schema::parts::DEPLOY;
use crate::reconcile::desired::schema::parts::ENDPOINT;
use crate::reconcile::desired::schema::parts::HEALTHCHECK;
use crate::reconcile::desired::schema::parts::HEALTHCHECK_OVERLAY;
use crate::reconcile::desired::schema::parts::LOGGING;
use crate::reconcile::desired::schema::parts::PORT;
use crate::reconcile::desired::schema::parts::PROMOTED;
use crate::reconcile::desired::schema::parts::ULIMIT;
use crate::reconcile::desired::schema::parts::VOLUME_MOUNT;

macro_rules! container_keys {
    ($healthcheck:expr; $($own:expr,)*) => {
        &[
            $($own,)*
            Key::new("run", Kind::Choice(&["always", "once"]), "`once` must exit 0 before its dependants start"),
            Key::new("environment", TEXTS_OR_MAP, "environment variables"),
            Key::new("ports", Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Integer, Kind::Table(&PORT)])), "published ports"),
            Key::new("volumes", Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Table(&VOLUME_MOUNT)])), "named volumes, bind mounts and tmpfs"),
            Key::new("tmpfs", TEXT_OR_TEXTS, "paths in memory"),
            Key::new("configs", Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Table(&CONFIG_MOUNT)])), "files of `[configs]` it sees"),
            Key::new("networks", Kind::OneOf(&[TEXTS, Kind::Map(&Kind::Table(&ENDPOINT))]), "networks it is on; absent is `default`"),
            Key::new("network_mode", Kind::Choice(&["none", "host"]), "no network, or the host's own"),
            Key::new("depends_on", Kind::OneOf(&[TEXTS, Kind::Map(&Kind::Table(&DEPENDENCY))]), "what must be so before it starts"),
            Key::new("healthcheck", Kind::Table($healthcheck), "how its health is found out"),
            Key::new("restart", Kind::Text, "`no`, `always`, `on-failure[:<times>]` or `unless-stopped`"),
            Key::new("user", TEXT_OR_INTEGER, "`user[:group]` it runs as"),
            Key::new("working_dir", Kind::Text, "working directory"),
            Key::new("hostname", Kind::Text, "host name inside"),
            Key::new("domainname", Kind::Text, "domain name inside"),
            Key::new("read_only", Kind::Boolean, "root file system read-only"),
            Key::new("init", Kind::Boolean, "a tiny init as process 1"),
            Key::new("cap_add", TEXTS, "capabilities to add"),
            Key::new("cap_drop", TEXTS, "capabilities to drop"),
            Key::new("security_opt", TEXTS, "security options such as `no-new-privileges:true`"),
            Key::new("privileged", Kind::Boolean, "every capability and device; node policy denies it by default"),
            Key::new("stop_signal", Kind::Text, "signal that stops it"),
            Key::new("stop_grace_period", Kind::Text, "time it has to stop before it is killed"),
            Key::new("labels", TEXTS_OR_MAP, "labels"),
            Key::new("ulimits", Kind::Map(&Kind::OneOf(&[Kind::Integer, Kind::Table(&ULIMIT)])), "limits of its processes"),
            Key::new("sysctls", TEXTS_OR_MAP, "kernel parameters of its namespaces"),
            Key::new("extra_hosts", Kind::OneOf(&[TEXTS, Kind::Map(&TEXT_OR_TEXTS)]), "more host names"),
            Key::new("dns", TEXT_OR_TEXTS, "name servers"),
            Key::new("dns_search", TEXT_OR_TEXTS, "search domains"),
            Key::new("dns_opt", TEXTS, "resolver options"),
            Key::new("logging", Kind::Table(&LOGGING), "log driver"),
            Key::new("deploy", Kind::Table(&DEPLOY), "limits and reservations"),
            Key::new("cpus", TEXT_OR_NUMBER, "the same as `deploy.resources.limits.cpus`"),
            Key::new("mem_limit", TEXT_OR_INTEGER, "the same as `deploy.resources.limits.memory`"),
            Key::new("mem_reservation", TEXT_OR_INTEGER, "the same as `deploy.resources.reservations.memory`"),
            Key::new("pids_limit", Kind::Integer, "the same as `deploy.resources.limits.pids`"),
            Key::new("shm_size", TEXT_OR_INTEGER, "size of /dev/shm"),
            Key::new("stdin_open", Kind::Boolean, "keeps standard input open"),
            Key::new("tty", Kind::Boolean, "a terminal"),
            Key::not_yet("annotations", "annotations"),
            Key::not_yet("attach", "whether logs are shown"),
            Key::not_yet("blkio_config", "block device limits"),
            Key::not_yet("cgroup", "a cgroup namespace"),
            Key::not_yet("cgroup_parent", "a parent cgroup"),
            Key::not_yet("container_name", "a name of its own at the engine"),
            Key::not_yet("cpu_count", "a CPU limit"),
            Key::not_yet("cpu_percent", "a CPU limit"),
            Key::not_yet("cpu_period", "a CPU limit"),
            Key::not_yet("cpu_quota", "a CPU limit"),
            Key::not_yet("cpu_rt_period", "a CPU limit"),
            Key::not_yet("cpu_rt_runtime", "a CPU limit"),
            Key::not_yet("cpu_shares", "a CPU weight"),
            Key::not_yet("cpuset", "a choice of CPUs"),
            Key::not_yet("device_cgroup_rules", "device rules"),
            Key::not_yet("devices", "devices of the host"),
            Key::not_yet("env_file", "variables from files"),
            Key::not_yet("expose", "unpublished ports"),
            Key::not_yet("external_links", "links to other containers"),
            Key::not_yet("gpus", "GPUs"),
            Key::not_yet("group_add", "more groups"),
            Key::not_yet("ipc", "an IPC namespace"),
            Key::not_yet("label_file", "labels from files"),
            Key::not_yet("links", "links to other containers"),
            Key::not_yet("mac_address", "a fixed MAC address"),
            Key::not_yet("mem_swappiness", "a swap setting"),
            Key::not_yet("memswap_limit", "a swap limit"),
            Key::not_yet("oom_kill_disable", "an out-of-memory setting"),
            Key::not_yet("oom_score_adj", "an out-of-memory setting"),
            Key::not_yet("pid", "a process namespace"),
            Key::not_yet("platform", "a choice of platform"),
            Key::not_yet("post_start", "hooks"),
            Key::not_yet("pre_stop", "hooks"),
            Key::not_yet("pull_policy", "when to pull; a pinned image is pulled when it is missing"),
            Key::not_yet("runtime", "another container runtime"),
            Key::not_yet("secrets", "encrypted files"),
            Key::not_yet("storage_opt", "storage driver options"),
            Key::not_yet("userns_mode", "a user namespace"),
            Key::not_yet("uts", "a host name namespace"),
            Key::not_yet("volumes_from", "another container's volumes"),
            Key::refused("build", "how an image is built", "images are built elsewhere and pinned by digest"),
            Key::refused("develop", "a development loop", "what runs comes from signed commits alone"),
            Key::refused("extends", "another file's service", "rulesets and environment overlays vary a service"),
            Key::refused("profiles", "optional services", "`nodes` and the environment say what runs where"),
            Key::refused("provider", "a program that provides it", "no program of the host is run for a service"),
            Key::refused("models", "AI models", "only containers are run"),
            Key::refused("credential_spec", "Windows credentials", "only Linux containers are run"),
            Key::refused("isolation", "a Windows isolation", "only Linux containers are run"),
            Key::refused("use_api_socket", "the engine's socket", "it hands the engine to the container"),
            Key::refused("scale", "how many", "each container has its own name; write one more"),
        ]
    };
}

/// `[containers.<name>]` of a service.
pub static CONTAINER: Keys = Keys {
    name: "container",
    doc: "A container, in the Compose Specification's words.",
    keys: container_keys![&HEALTHCHECK;
        Key::required("image", Kind::Text, "repository path in the hub; never a host, never a tag"),
        Key::new("digest", Kind::Text, "the pin's manifest digest, unless a ruleset holds it"),
        Key::new("image_id", Kind::Text, "the pin's config digest, unless a ruleset holds it"),
        Key::new("version", Kind::Text, "the pin's version, for people"),
        Key::new("versions", Kind::Text, "semver range such as `^1.4`: what `tidegate pin --check` offers"),
        Key::new("command", TEXT_OR_TEXTS, "arguments; replaces the image's"),
        Key::new("entrypoint", TEXT_OR_TEXTS, "replaces the image's entrypoint"),
    ],
};

/// `[containers.<name>]` of an overlay.
pub(crate) static CONTAINER_OVERLAY: Keys = Keys {
    name: "container_overlay",
    doc: "What differs for a container in one environment.",
    keys: container_keys![&HEALTHCHECK_OVERLAY;
        Key::new("unset", TEXTS, "paths of values to remove, such as `environment.DEBUG`"),
        Key::refused("image", "the image", PROMOTED),
        Key::refused("digest", "the pin", PROMOTED),
        Key::refused("image_id", "the pin", PROMOTED),
        Key::refused("version", "the pin", PROMOTED),
        Key::refused("versions", "the pin", PROMOTED),
        Key::refused("command", "arguments", PROMOTED),
        Key::refused("entrypoint", "the entrypoint", PROMOTED),
    ],
};
