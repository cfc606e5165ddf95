//! Facts that a rule's own `match` may ask for: one description that collecting, matching, the
//! documents and the manual share.
//!
//! In: nothing; the descriptions are static. Out: [`FACTS`]. Pure.

use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SOME_TEXTS;

/// What a fact's values are, which decides how conditions are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactType {
    /// Text: equality, or `*` for any part.
    Text,
    /// A version: as text, or `>=3.0, <3.1`.
    Version,
    /// A whole number: equality, or `>=4`.
    Count,
    /// Bytes: as a count, with units: `>=4gb`.
    Bytes,
    /// Yes or no.
    Boolean,
}

/// One value of a fact.
#[derive(Debug)]
pub struct Field {
    /// As written and shown.
    pub name: &'static str,
    /// What its values are.
    pub of: FactType,
    /// For people.
    pub doc: &'static str,
}

/// A fact: one value, or rows of several.
#[derive(Debug)]
pub struct Fact {
    /// As written and shown.
    pub name: &'static str,
    /// For people.
    pub doc: &'static str,
    /// Its values.
    pub shape: Shape,
}

/// How many values a fact has.
#[derive(Debug)]
pub enum Shape {
    /// One.
    One(FactType),
    /// Many things with these fields each; conditions hold for the same one.
    Rows(&'static [Field]),
}

impl Fact {
    /// The fact called `name`.
    pub fn get(name: &str) -> Option<&'static Self> {
        FACTS.iter().find(|fact| fact.name == name)
    }

    /// Its field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        match self.shape {
            Shape::One(_) => None,
            Shape::Rows(fields) => fields.iter().find(|field| field.name == name),
        }
    }
}

/// What a condition on a value of this type looks like.
const fn condition(of: FactType) -> Kind {
    match of {
        FactType::Text | FactType::Version | FactType::Bytes => SOME_TEXTS,
        FactType::Count => Kind::OneOf(&[Kind::Integer, SOME_TEXTS]),
        FactType::Boolean => Kind::Boolean,
    }
}

macro_rules! facts {
    (
        one { $($one:literal $one_type:ident $one_doc:literal;)* }
        rows { $($row:literal $row_doc:literal { $($field:literal $type:ident $doc:literal;)* })* }
    ) => {
        /// Every fact.
        pub static FACTS: &[Fact] = &[
            $(Fact { name: $one, doc: $one_doc, shape: Shape::One(FactType::$one_type) },)*
            $(Fact { name: $row, doc: $row_doc, shape: Shape::Rows(&[
                $(Field { name: $field, of: FactType::$type, doc: $doc },)*
            ]) },)*
        ];

        /// A rule's own `match`: facts, and what a ruleset's `match` knows of places.
        pub static RULE_MATCH: Keys = Keys {
            name: "rule match",
            doc: "All keys must fit; a list fits when one of it does; a table's conditions hold for the same row.",
            keys: &[
                Key::new("service", SOME_TEXTS, "the service's name"),
                Key::new("app", SOME_TEXTS, "the service's app"),
                Key::new("environment", SOME_TEXTS, "the environment's name"),
                Key::new("node", SOME_TEXTS, "the node's name"),
                Key::new("labels", Kind::Map(&SOME_TEXTS), "the node's labels"),
                $(Key::new($one, condition(FactType::$one_type), $one_doc),)*
                $(Key::new($row, Kind::OneOf(&[Kind::Table(&Keys {
                    name: $row,
                    doc: $row_doc,
                    keys: &[$(Key::new($field, condition(FactType::$type), $doc),)*],
                }), Kind::NonEmpty(&Kind::Table(&Keys {
                    name: $row,
                    doc: $row_doc,
                    keys: &[$(Key::new($field, condition(FactType::$type), $doc),)*],
                }))]), $row_doc),)*
                Key::new("any", Kind::NonEmpty(&Kind::Table(&RULE_MATCH)), "one of these must fit"),
                Key::new("not", Kind::Table(&RULE_MATCH), "this must not fit"),
            ],
        };
    };
}

facts! {
    one {
        "os" Text "ID of os-release: debian, rhel, …";
        "os_like" Text "ID_LIKE of os-release";
        "os_version" Version "VERSION_ID of os-release";
        "os_name" Text "PRETTY_NAME of os-release";
        "kernel" Version "the running kernel's release";
        "arch" Text "the machine: x86_64, aarch64, …";
        "host_name" Text "the kernel's host name";
        "cpus" Count "processors that the kernel sees";
        "cpu_model" Text "the first processor's model";
        "memory" Bytes "memory that the kernel sees";
        "virtualization" Text "none, kvm, vmware, container, …";
        "boot_time" Text "when the kernel started, RFC 3339";
        "time_zone" Text "as in the zone database: Europe/Paris";
        "package_manager" Text "dpkg, rpm or none";
        "engine" Text "docker, if it answers";
        "engine_version" Version "the engine's version";
        "engine_api" Version "the API version spoken with the engine";
        "engine_image_store" Text "classic or containerd";
    }
    rows {
        "address" "addresses of the node, loopback aside" {
            "address" Text "the address";
            "family" Text "ipv4 or ipv6";
            "interface" Text "the interface, where it is known";
        }
        "filesystem" "file systems on disks and in memory" {
            "mount" Text "where it is mounted";
            "device" Text "what is mounted";
            "type" Text "ext4, xfs, tmpfs, …";
            "options" Text "mount options, separated by commas";
            "size" Bytes "its size";
            "free" Bytes "what users can still write";
            "used_percent" Count "how full it is";
        }
        "user" "users of /etc/passwd" {
            "name" Text "the name";
            "uid" Count "the number";
            "gid" Count "the number of the first group";
            "home" Text "the home directory";
            "shell" Text "the login shell";
        }
        "group" "groups of /etc/group" {
            "name" Text "the name";
            "gid" Count "the number";
            "members" Text "members, separated by commas";
        }
        "package" "installed packages" {
            "name" Text "the name";
            "version" Version "the version, epoch and revision included";
            "arch" Text "the architecture";
        }
        "unit" "systemd's services, sockets, timers and mounts" {
            "name" Text "the name, `ssh.service`";
            "enabled" Text "enabled, disabled, masked, static, …";
            "active" Text "active, inactive, failed; empty where systemd does not run";
        }
        "sysctl" "kernel parameters; only those that are asked for by name" {
            "key" Text "the key, `vm.swappiness`";
            "value" Text "the value, white space as single blanks";
        }
        "engine_setting" "what /etc/docker/daemon.json says, one row a leaf" {
            "key" Text "the path, `log-opts.max-size`";
            "value" Text "the value; text as it is, else JSON";
        }
        "container" "every container of the engine, others' too" {
            "name" Text "its name";
            "service" Text "the service it is of, if it is one of ours";
            "container" Text "its name within the service";
            "image" Text "what it was made from";
            "image_id" Text "the engine's id of its image";
            "version" Text "the pin's version, or else what its image says";
            "state" Text "running, exited, …";
            "health" Text "healthy, unhealthy, starting; none without a check";
            "restarts" Count "restarts by the engine";
            "privileged" Boolean "whether it may do everything";
            "host_namespaces" Text "network, pid, ipc, uts, userns: those it shares with the host";
            "user" Text "the user it runs as; empty is root";
            "read_only" Boolean "whether its root file system is read-only";
            "memory_limit" Bytes "the memory that it may use; 0 is no limit";
            "cpu_millis" Count "thousandths of a processor that it may use; 0 is no limit";
            "pids_limit" Count "processes and threads that it may have; 0 is no limit";
            "cap_add" Text "capabilities added, separated by commas";
            "cap_drop" Text "capabilities dropped, separated by commas";
            "no_new_privileges" Boolean "whether programs in it can gain no privileges";
            "ports" Text "published ports, separated by commas";
            "mounts" Text "sources on the host and volumes, separated by commas";
            "started_at" Text "when it last started, RFC 3339";
        }
        "image" "images that lie on the engine" {
            "id" Text "the engine's id";
            "names" Text "tags and digests, separated by commas";
            "size" Bytes "its size, with what it shares with others";
            "dangling" Boolean "whether it has no name and no container uses it";
        }
        "volume" "volumes of the engine" {
            "name" Text "its name";
            "driver" Text "who keeps it: local, …";
            "dangling" Boolean "whether no container uses it";
        }
        "hub_login" "the node's credentials for its hub; only a check knows them" {
            "hub" Text "the hub";
            "file" Text "where they lie; empty if none are configured";
            "others" Boolean "whether others than their owner may read the file";
            "answer" Text "accepted, or what the hub or the file says";
        }
    }
}
