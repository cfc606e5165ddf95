//! Tables for what the node's policy denies; the rest of the plan is told in `tests/it/simulator`.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::NodePolicy;
use crate::model::Mode;
use crate::reconcile::desired::container::{ContainerSpec, Mount, MountSource, Pin, Run};
use crate::reconcile::desired::service::UpdatePolicy;
use crate::reconcile::desired::{DesiredContainer, DesiredService};
use crate::reconcile::plan::policy::denied;

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
