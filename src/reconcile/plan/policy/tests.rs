//! Tables for what the node's policy denies; the rest of the plan is told in `tests/it/simulator`.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{NodePolicy, Settings};
use crate::model::Mode;
use crate::reconcile::desired::container::{
    ContainerSpec, Endpoint, Mount, MountSource, NetworkAttachment, Pin, Run,
};
use crate::reconcile::desired::service::UpdatePolicy;
use crate::reconcile::desired::{DesiredContainer, DesiredNetwork, DesiredService, DesiredVolume};
use crate::reconcile::plan::policy::{HostLinks, denied as denied_with};

/// Where no path is a link.
fn denied(service: &DesiredService, policy: &NodePolicy) -> Vec<String> {
    denied_with(service, policy, &HostLinks::default())
}

fn service(spec: ContainerSpec) -> DesiredService {
    let web = DesiredContainer {
        name: "web".parse().unwrap(),
        pin: Pin { repository: "x".parse().unwrap(), digest: None, image_id: None, version: None },
        run: Run::Always,
        depends_on: BTreeMap::new(),
        spec,
    };
    DesiredService {
        name: "app1".parse().unwrap(),
        app: "app1".parse().unwrap(),
        mode: Mode::Apply,
        suspend: None,
        update: UpdatePolicy::default(),
        containers: BTreeMap::from([(web.name.clone(), Box::new(web))]),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
    }
}

#[test]
fn a_host_path_is_allowed_by_whole_components_and_never_with_dots() {
    let policy = NodePolicy { bind_mounts: vec!["/srv/app1".into()], ..NodePolicy::default() };
    for (path, n_denied) in [
        ("/srv/app1", 0),
        ("/srv/app1/data", 0),
        ("/srv/app1/", 0),
        ("/srv/app10", 1),
        ("/srv", 1),
        ("/", 1),
        ("/srv/app1/../app2", 1),
        ("/srv/./app1", 1),
        ("srv/app1", 1),
        ("/var/run/docker.sock", 1),
        ("/srv/app1/docker.sock", 1),
    ] {
        let source =
            MountSource::Bind { path: path.into(), propagation: None, create_host_path: false };
        let mount = Mount { target: "/x".into(), source, read_only: true };
        let spec = ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() };
        assert_eq!(denied(&service(spec), &policy).len(), n_denied, "{path}");
    }
}

#[test]
fn a_folder_with_the_engines_socket_in_it_hands_that_over_whatever_it_is_called() {
    let bind = |path: &str| {
        let source =
            MountSource::Bind { path: path.into(), propagation: None, create_host_path: false };
        let mount = Mount { target: "/x".into(), source, read_only: true };
        service(ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() })
    };
    let links: HostLinks = [("/var/engine", "/srv/engines/main"), ("/srv/app1/up", "/srv")]
        .into_iter()
        .map(|(path, led)| (path.to_owned(), Ok(led.to_owned())))
        .collect();
    for (path, socket) in [
        ("/", Some("/run/docker.sock")),
        ("/run", Some("/run/docker.sock")),
        ("/run/containerd", Some("/run/containerd/containerd.sock")),
        ("/run/docker", Some("/run/docker/containerd/containerd.sock")),
        ("/srv", Some("/srv/engines/main")),
        ("/srv/app1/up", Some("/srv/engines/main")),
        ("/srv/engines/main", Some("/srv/engines/main")),
        ("/var/engine", Some("/srv/engines/main")),
        ("/run/app1", None),
        ("/srv/engines/main.d", None),
    ] {
        let mut policy = NodePolicy {
            bind_mounts: vec!["/".into()],
            engine_socket: "/var/engine".into(),
            ..NodePolicy::default()
        };
        let denials = denied_with(&bind(path), &policy, &links);
        assert_eq!(denials.len(), usize::from(socket.is_some()), "{path}: {denials:?}");
        let said = denials.join("; ");
        assert!(said.contains(socket.unwrap_or_default()), "{path}: {said}");
        policy.docker_socket.insert("app1".parse().unwrap());
        assert!(denied_with(&bind(path), &policy, &links).is_empty(), "{path}");
    }
}

#[test]
fn a_capability_is_allowed_for_one_service_or_for_every_one() {
    for (who, what, n_denied) in [
        ("app1", "NET_ADMIN", 0),
        ("*", "NET_ADMIN", 0),
        ("app1", "ALL", 0),
        ("app2", "NET_ADMIN", 1),
        ("app1", "SYS_ADMIN", 1),
    ] {
        let allowed = BTreeMap::from([(who.to_owned(), BTreeSet::from([what.to_owned()]))]);
        let policy = NodePolicy { capabilities: allowed, ..NodePolicy::default() };
        let spec = ContainerSpec { cap_add: vec!["NET_ADMIN".into()], ..ContainerSpec::default() };
        assert_eq!(denied(&service(spec), &policy).len(), n_denied, "{who} {what}");
    }
}

/// A service with one volume, mounted.
fn with_volume(driver: Option<&str>, options: &[(&str, &str)]) -> DesiredService {
    let source = MountSource::Volume { volume: "data".parse().unwrap(), nocopy: false };
    let mount = Mount { target: "/x".into(), source, read_only: false };
    let mut service = service(ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() });
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let volume = DesiredVolume {
        engine_name: "app1.prd_data".into(),
        external: false,
        driver: driver.map(str::to_owned),
        driver_opts: options.collect(),
        labels: BTreeMap::new(),
    };
    service.volumes.insert("data".parse().unwrap(), volume);
    service
}

#[test]
fn a_volume_that_is_a_mount_of_the_host_in_disguise_is_denied() {
    let policy = NodePolicy { bind_mounts: vec!["/srv/app1".into()], ..NodePolicy::default() };
    let up = "../../../../etc";
    for (options, is_denied) in [
        (&[][..], false),
        (&[("size", "1g")], false),
        (&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=100m,uid=1000")], false),
        (&[("type", "nfs"), ("device", ":/x"), ("o", "addr=192.0.2.1,rw,nfsvers=4")], false),
        (&[("type", "cifs"), ("device", "//files/x"), ("o", "username=alice")], false),
        (&[("type", "ceph"), ("device", "hub:/x"), ("o", "name=app1")], false),
        (&[("type", "9p"), ("device", "/run/x.sock"), ("o", "trans=unix")], true),
        (&[("type", "none"), ("device", "/srv/app1/x"), ("o", "bind")], false),
        (&[("type", "none"), ("device", "/etc"), ("o", "bind")], true),
        (&[("type", "none"), ("device", up), ("o", "bind")], true),
        (&[("type", "none"), ("device", "/srv/app1/../../etc"), ("o", "bind")], true),
        (&[("type", "none"), ("o", "bind")], true),
        (&[("type", "nfs"), ("device", "/etc"), ("o", "addr=192.0.2.1,bind")], true),
        (&[("type", "tmpfs"), ("device", up), ("o", "ro, RBIND")], true),
        (&[("device", "/etc"), ("o", "rbind")], true),
        (&[("device", "/srv/app1/docker.sock"), ("o", "bind")], true),
        (&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "rw,remount")], true),
        (&[("type", "proc"), ("device", "proc")], true),
        (&[("type", "sysfs"), ("device", "nfs")], true),
        (&[("type", "overlay"), ("device", "overlay"), ("o", "lowerdir=/etc:/usr")], true),
        (&[("type", "ext4"), ("device", "/dev/sda1")], true),
        (&[("type", "ext4"), ("device", "sda1")], true),
        (&[("device", "/srv/app1")], true),
        (&[("mountpoint", "/etc")], true),
    ] {
        for driver in [None, Some("local"), Some("")] {
            let denied = denied(&with_volume(driver, options), &policy);
            assert_eq!(denied.len(), usize::from(is_denied), "{driver:?} {options:?}: {denied:?}");
        }
    }
    let mut unmounted = with_volume(None, &[("type", "proc"), ("device", "proc")]);
    unmounted.containers.values_mut().for_each(|c| c.spec.mounts.clear());
    assert_eq!(denied(&unmounted, &policy).len(), 1, "another service may mount it");
    let mut external = with_volume(None, &[("type", "proc"), ("device", "proc")]);
    external.volumes.values_mut().for_each(|volume| volume.external = true);
    assert!(denied(&external, &policy).is_empty());
}

#[test]
fn a_volume_driver_is_allowed_by_name_alone() {
    let service = with_volume(Some("rclone"), &[("device", "/etc")]);
    assert_eq!(denied(&service, &NodePolicy::default()).len(), 1);
    let policy = NodePolicy { volume_drivers: ["rclone".into()].into(), ..NodePolicy::default() };
    assert!(denied(&service, &policy).is_empty());
}

#[test]
fn a_security_option_that_loosens_is_denied_unless_it_or_privilege_is_allowed() {
    let with = |option: &str| {
        service(ContainerSpec { security_opt: vec![option.into()], ..ContainerSpec::default() })
    };
    let closed = NodePolicy::default();
    for option in ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"] {
        assert!(denied(&with(option), &closed).is_empty(), "{option}");
    }
    let app1 = || BTreeSet::from(["app1".parse().unwrap()]);
    let privileged = NodePolicy { privileged: app1(), ..NodePolicy::default() };
    for option in [
        "seccomp=unconfined",
        "seccomp:unconfined",
        "seccomp={\"defaultAction\": \"SCMP_ACT_ALLOW\"}",
        "apparmor=unconfined",
        "apparmor=mine",
        "label=disable",
        "label:disable",
        "label=type:spc_t",
        "systempaths=unconfined",
        "no-new-privileges=false",
        "no-new-privileges:0",
    ] {
        assert_eq!(denied(&with(option), &closed).len(), 1, "{option}");
        assert!(denied(&with(option), &privileged).is_empty(), "{option}");
    }
    for (who, option, n_denied) in [
        ("app1", "seccomp:unconfined", 0),
        ("*", "seccomp=unconfined", 0),
        ("app2", "seccomp=unconfined", 1),
        ("app1", "apparmor=unconfined", 1),
    ] {
        let allowed = BTreeMap::from([(who.to_owned(), BTreeSet::from([option.into()]))]);
        let policy = NodePolicy { security_opt: allowed, ..NodePolicy::default() };
        assert_eq!(denied(&with("seccomp=unconfined"), &policy).len(), n_denied, "{who} {option}");
    }
}

/// A service that asks for everything a policy can deny and allow.
fn greedy() -> DesiredService {
    let mut service = with_volume(Some("rclone"), &[]);
    let web = service.containers.values_mut().next().unwrap();
    web.spec.privileged = true;
    web.spec.network = NetworkAttachment::Host;
    web.spec.cap_add = vec!["NET_ADMIN".into(), "ALL".into()];
    web.spec.security_opt = vec!["seccomp={\"a\": 1}".into(), "label:disable".into()];
    for path in ["/srv/a \"b\"", "/run/docker.sock"] {
        let source =
            MountSource::Bind { path: path.into(), propagation: None, create_host_path: false };
        web.spec.mounts.push(Mount { target: "/y".into(), source, read_only: true });
    }
    service
}

#[test]
fn what_a_denial_says_would_allow_it_does() {
    let service = greedy();
    let said = denied(&service, &NodePolicy::default());
    assert_eq!(said.len(), 9, "{said:#?}");
    for (n, denial) in said.iter().enumerate() {
        let line = &denial[denial.find(": [policy").unwrap() + 2..];
        let (section, line) = line.split_once("] ").unwrap();
        let text = format!(
            "node = \"n1\"\nenvironment = \"prd\"\n[repository]\nurl = \"/srv/config.git\"\n\
             id = \"acme\"\nanchor = \"0123456789abcdef0123456789abcdef01234567\"\n\
             {section}]\n{line}\n"
        );
        let settings = Settings::from_texts(vec![("agent.toml".into(), text)]).unwrap();
        let left = denied(&service, &settings.policy);
        assert!(!left.contains(denial), "{n}: {denial}");
    }
}

#[test]
fn the_hosts_network_by_its_name_is_the_hosts_network() {
    let networks = BTreeMap::from([("x".parse().unwrap(), Endpoint::default())]);
    let network = NetworkAttachment::Networks { networks };
    let mut service = service(ContainerSpec { network, ..ContainerSpec::default() });
    let host = DesiredNetwork {
        engine_name: "host".into(),
        external: true,
        driver: None,
        driver_opts: BTreeMap::new(),
        internal: false,
        attachable: false,
        enable_ipv6: false,
        subnets: Vec::new(),
        labels: BTreeMap::new(),
    };
    service.networks.insert("x".parse().unwrap(), host);
    assert_eq!(denied(&service, &NodePolicy::default()).len(), 1);
}

#[test]
fn a_link_is_what_it_leads_to() {
    let bind = |path: &str| {
        let source =
            MountSource::Bind { path: path.into(), propagation: None, create_host_path: false };
        let mount = Mount { target: "/x".into(), source, read_only: true };
        service(ContainerSpec { mounts: vec![mount], ..ContainerSpec::default() })
    };
    let volume = |path: &str| with_volume(None, &[("device", path), ("o", "bind")]);
    let policy = NodePolicy {
        bind_mounts: vec!["/srv/app1".into(), "/run/x".into()],
        docker_socket: BTreeSet::from(["app1".parse().unwrap()]),
        ..NodePolicy::default()
    };
    let links: HostLinks = [
        ("/srv/app1/root", Ok("/")),
        ("/srv/app1/etc", Ok("/etc")),
        ("/srv/app1/own", Ok("/srv/app1/data")),
        ("/srv/app1/hidden", Err("permission denied")),
        ("/var/run/x", Ok("/run/x")),
        ("/var/run/docker.sock", Ok("/run/docker.sock")),
        ("/var/run/containerd.sock", Ok("/etc")),
    ]
    .into_iter()
    .map(|(path, led)| (path.to_owned(), led.map(str::to_owned).map_err(str::to_owned)))
    .collect();
    for (path, said) in [
        ("/srv/app1/root", "/srv/app1/root, which leads to /: [policy] bind_mounts = [\"/\"]"),
        ("/srv/app1/etc", "which leads to /etc: [policy] bind_mounts = [\"/etc\"]"),
        ("/srv/app1/own", ""),
        ("/srv/app1/hidden", "where it leads cannot be seen: permission denied"),
        ("/var/run/x", ""),
        ("/var/run/docker.sock", ""),
        ("/var/run/containerd.sock", "which leads to /etc: [policy] bind_mounts"),
    ] {
        for service in [bind(path), volume(path)] {
            let denied = denied_with(&service, &policy, &links).join("; ");
            assert_eq!(denied.is_empty(), said.is_empty(), "{path}: {denied}");
            assert!(denied.contains(said), "{path}: {denied}");
        }
    }
}
