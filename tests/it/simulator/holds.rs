//! What is wanted and may not happen now; and healing meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tidegate::clients::docker::DockerErrorKind;
use tidegate::model::{Freeze, Mode};
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::desired::container::{
    Mount, MountSource, NetworkAttachment, PortMapping, Protocol,
};
use tidegate::reconcile::desired::service::Suspension;
use tidegate::reconcile::observed::Look;
use tidegate::reconcile::pass::Intent;
use tidegate::reconcile::plan::Hold;

use tokio::time::{Instant, sleep};

use crate::simulator::world::{World, app1, container, service};

fn remove(world: &World, name: &str) {
    let id = world.id(name);
    world.sim.hand(|engine| engine.containers.remove(&id));
}

#[tokio::test(start_paused = true)]
async fn a_closed_window_holds_the_new_version_and_heals_the_old() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    remove(&world, "app1.prd-web");
    let outcome = world.pass().await.unwrap();
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    insta::assert_snapshot!(outcome.left.to_string(), @"app1 ! held at prd@sha1:0101010: no window is open before 2026-03-03T02:00:00Z");
    assert_eq!(outcome.requeue.unwrap().as_secs(), 3600, "looks again within the hour");
    world.converge(1).await;
    world.now = "2026-03-03T02:30:00Z".parse().unwrap();
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_last_container_is_gone_is_healed_and_not_upgraded_outside_its_window() {
    let one = |image: &str| service("app2", vec![container("site", image)]);
    let mut world = World::new();
    world.commit(vec![one("web1")]);
    world.converge(1).await;
    world.commit(vec![one("web2")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    remove(&world, "app2.prd-site");
    world.converge(1).await;
    assert_eq!(world.running(), ["app2.prd-site web1"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_hub_is_away_a_new_version_waits_and_the_old_is_healed() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    for kind in [DockerErrorKind::Registry, DockerErrorKind::Unauthorized, DockerErrorKind::Engine]
    {
        remove(&world, "app1.prd-web");
        world.sim.pulls_fail.set(Some(kind));
        world.pass().await.unwrap();
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "{kind:?}");
    }
    world.sim.pulls_fail.set(None);
    world.converge(5).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

fn publishing(name: &str, port: u16, image: &str) -> DesiredService {
    let mut container = container("site", image);
    container.spec.ports.push(PortMapping {
        host_ip: None,
        host_port: Some(port),
        container_port: 80,
        protocol: Protocol::Tcp,
    });
    service(name, vec![container])
}

#[tokio::test(start_paused = true)]
async fn a_port_goes_from_one_service_to_another_and_an_exchange_harms_nobody_and_says_what_to_do()
{
    let mut world = World::new();
    world.commit(vec![publishing("app1", 81, "web1"), publishing("app2", 82, "web1")]);
    world.converge(1).await;
    // The first leaves its port to another, which is new; the second is renamed.
    world.commit(vec![publishing("app0", 81, "web1"), publishing("app3", 82, "web1")]);
    world.converge(4).await;
    assert_eq!(world.running(), ["app0.prd-site web1", "app3.prd-site web1"]);
    let before = world.ids();
    world.commit(vec![publishing("app0", 82, "web1"), publishing("app3", 81, "web1")]);
    world.tip_mut().services.insert("app9".parse().unwrap(), publishing("app9", 82, "web1"));
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @r"
    app0 ! held at prd@sha1:0202020: host port 82/tcp belongs to `app3.prd-site`, whose service waits for this one in turn: first give one of them a port that is free, in a commit of its own
    app3 ! held at prd@sha1:0202020: host port 81/tcp belongs to `app0.prd-site`, whose service waits for this one in turn: first give one of them a port that is free, in a commit of its own
    app9 ! held at prd@sha1:0202020: host port 82/tcp still belongs to `app3.prd-site`: waits until that is removed
    ");
    assert!(outcome.left.held[..2].iter().all(|held| held.reason.hold() == Hold::Fails));
    assert_eq!(world.ids(), before);
    assert!(world.memory.services.values().all(|known| known.failed.is_none()));
    // One of them steps aside first.
    world.commit(vec![publishing("app0", 83, "web1"), publishing("app3", 81, "web1")]);
    world.converge(3).await;
    world.commit(vec![publishing("app0", 82, "web1"), publishing("app3", 81, "web1")]);
    world.converge(3).await;
    assert_eq!(world.running(), ["app0.prd-site web1", "app3.prd-site web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_port_of_a_stranger_costs_few_tries_and_the_old_version_runs_between_them() {
    let mut world = World::new();
    world.commit(vec![publishing("app1", 81, "web1")]);
    world.converge(1).await;
    world.foreigner("stranger", &json!({}));
    let stranger = world.id("stranger");
    let bindings = json!({ "82/tcp": [{ "HostIp": "", "HostPort": "82" }] });
    world.sim.hand(|engine| {
        let body = &mut engine.containers.get_mut(&stranger).unwrap().body;
        body["HostConfig"]["PortBindings"] = bindings;
    });
    world.commit(vec![publishing("app1", 82, "web2")]);
    let starts = |world: &World| {
        world.sim.log.borrow().iter().filter(|effect| effect.starts_with("start")).count()
    };
    let (before, began) = (starts(&world), Instant::now());
    while began.elapsed() < Duration::from_secs(7200) {
        let outcome = world.pass().await.unwrap();
        assert!(world.running().contains(&"app1.prd-site web1".to_owned()), "{}", outcome.left);
        assert!(world.memory.services["app1"].failed.is_none());
        sleep(outcome.requeue.unwrap_or(Duration::from_secs(60))).await;
    }
    // Each try is a start, its one repetition, and the start of the way back.
    assert!((3..=40).contains(&(starts(&world) - before)), "{}", starts(&world) - before);
    world.sim.hand(|engine| engine.containers.remove(&stranger));
    world.converge(3).await;
    assert_eq!(world.running(), ["app1.prd-site web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_another_service_keeps_is_awaited_and_named() {
    let mut world = World::new();
    world.commit(vec![publishing("app1", 81, "web1")]);
    world.converge(1).await;
    world.commit(vec![publishing("app2", 81, "web1")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @r"
    app2 ! held at prd@sha1:0101010: host port 81/tcp still belongs to `app1.prd-site`: waits until that is removed
    app1 ! held at prd@sha1:0101010: no window is open before 2026-03-03T02:00:00Z
    ");
    assert_eq!(world.running(), ["app1.prd-site web1"]);
    world.now = "2026-03-03T02:30:00Z".parse().unwrap();
    world.converge(2).await;
    assert_eq!(world.running(), ["app2.prd-site web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_under_way_finishes_although_the_window_closes() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    let at = world.sim.effects() + 3;
    world.sim.crash_at.set(Some((at, crate::simulator::sim::Effect::Happened)));
    assert!(world.pass().await.is_none());
    world.restart();
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_neighbour_is_no_rollout_under_way_where_the_version_before_is_not_to_be_had()
{
    let mut world = World::new();
    let old = world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    let before = world.commits.remove(&old).unwrap();
    let outcome = world.pass().await.unwrap();
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    assert_eq!(outcome.left.held.len(), 1, "{}", outcome.left);
    // Once it is to be had again, it is healed.
    world.commits.insert(old, before);
    remove(&world, "app1.prd-web");
    world.look = Look::Everything;
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    // And a rollout that was under way finishes without it.
    world.tip_mut().windows.clear();
    let at = world.sim.effects() + 3;
    world.sim.crash_at.set(Some((at, crate::simulator::sim::Effect::Happened)));
    assert!(world.pass().await.is_none());
    world.commits.retain(|revision, _| Some(revision) == world.tip.as_ref());
    world.restart();
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_freeze_holds_even_a_first_deployment_and_a_window_does_not() {
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.tip_mut().freezes = vec![Freeze {
        from: Timestamp::MIN,
        to: "2026-03-05T00:00:00Z".parse().unwrap(),
        reason: "year's end".into(),
    }];
    world.converge(1).await;
    assert_eq!(world.sim.effects(), 0);
    world.tip_mut().freezes.clear();
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    world.converge(1).await;
    assert_eq!(world.running().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operator_may_open_a_window_for_one_run() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.tip_mut().windows = vec!["02:00-04:00 UTC".parse().unwrap()];
    world.overrides.now = Some("outage".into());
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web2"]);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_service_is_not_even_healed() {
    let mut world = World::deployed().await;
    remove(&world, "app1.prd-web");
    let until = Some("2026-03-02T13:00:00Z".parse().unwrap());
    world.tip_mut().services.values_mut().next().unwrap().suspend =
        Some(Suspension { reason: "repair of the disk".into(), until });
    let before = world.sim.effects();
    world.converge(1).await;
    assert_eq!(world.sim.effects(), before);
    world.now = "2026-03-02T13:00:00Z".parse().unwrap();
    world.converge(1).await;
    assert_eq!(world.running().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn report_mode_and_a_mere_plan_change_nothing() {
    let mut world = World::deployed().await;
    remove(&world, "app1.prd-web");
    world.commit(vec![app1("web2", "db2", "migrate2")]);
    let before = (world.sim.effects(), world.memory.clone());
    world.intent = Intent::Plan;
    assert_eq!(world.pass().await.unwrap().plan.services.len(), 1);
    world.intent = Intent::Apply;
    let tip = world.tip_mut();
    tip.mode = Mode::Report;
    tip.services.values_mut().for_each(|s| s.mode = Mode::Report);
    let outcome = world.pass().await.unwrap();
    assert_eq!(outcome.plan.services.len(), 1);
    assert_eq!((world.sim.effects(), world.memory.clone()), before);
    // Even what is not wanted any more stays.
    world.commit(vec![]);
    world.tip_mut().mode = Mode::Report;
    assert_eq!(world.pass().await.unwrap().plan.services.len(), 1);
    assert_eq!((world.sim.effects(), world.memory.clone()), before);
}

#[tokio::test(start_paused = true)]
async fn the_removal_brake_holds_until_people_allow_it() {
    let mut world = World::new();
    let both = || vec![container("web", "web1"), container("db", "db1")];
    world.commit(vec![service("app1", both()), service("app2", both())]);
    world.converge(1).await;
    let before = world.sim.effects();
    world.commit(vec![]);
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @r"
    app1 ! held at prd@sha1:0101010: 4 of 4 containers would be removed at once: allow it with a trailer `Allow-Removal: <service>` or `apply --allow-removal <service>`
    app2 ! held at prd@sha1:0101010: 4 of 4 containers would be removed at once: allow it with a trailer `Allow-Removal: <service>` or `apply --allow-removal <service>`
    ");
    assert_eq!(world.sim.log.borrow()[before..], ["save"]);
    world.overrides.allow_removal.insert("app1".parse().unwrap());
    world.converge(1).await;
    // Now it is two of two, below the brake's four, and nobody allowed it.
    assert_eq!(world.running(), ["app2.prd-db db1", "app2.prd-web web1"]);
    world.overrides.allow_removal.insert("app2".parse().unwrap());
    world.converge(1).await;
    assert!(world.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_without_its_document_keeps_what_runs() {
    let mut world = World::deployed().await;
    world.commit(vec![]);
    world.tip_mut().node_declared = false;
    remove(&world, "app1.prd-web");
    let before = world.sim.effects();
    let outcome = world.pass().await.unwrap();
    assert_eq!(outcome.left.held.len(), 1);
    assert_eq!(world.sim.effects(), before);
}

#[tokio::test(start_paused = true)]
async fn what_the_nodes_policy_denies_is_held_field_by_field_and_the_old_version_healed() {
    let mut world = World::deployed().await;
    let mut greedy = app1("web2", "db1", "migrate1");
    let web = greedy.containers.get_mut("web").unwrap();
    web.spec.privileged = true;
    web.spec.network = NetworkAttachment::Host;
    web.spec.cap_add = vec!["NET_ADMIN".into()];
    for path in ["/run/docker.sock", "/srv/app10", "/srv/app1/../../etc", "/srv/app1/x"] {
        web.spec.mounts.push(Mount {
            target: "/x".into(),
            source: MountSource::Bind {
                path: path.into(),
                propagation: None,
                create_host_path: false,
            },
            read_only: false,
        });
    }
    world.policy.bind_mounts = vec!["/srv/app1".into()];
    world.commit(vec![greedy]);
    remove(&world, "app1.prd-web");
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @r#"app1 ! held at prd@sha1:0101010: this node's policy denies it; agent.toml would allow it with: containers.web.privileged: [policy] privileged = ["app1"]; containers.web.network_mode = "host": [policy] host_namespaces = ["app1"]; containers.web.cap_add NET_ADMIN: [policy.cap_add] app1 = ["NET_ADMIN"]; containers.web.volumes /run/docker.sock: [policy] docker_socket = ["app1"]; containers.web.volumes /srv/app10: [policy] bind_mounts = ["/srv/app10"]; containers.web.volumes "/srv/app1/../../etc": only an absolute path without `..` and `.` is ever allowed"#);
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

/// app1 whose web is given a path below what the node allows.
fn with_link(world: &mut World) -> DesiredService {
    world.policy.bind_mounts = vec!["/srv/app1".into()];
    let mut service = app1("web2", "db1", "migrate1");
    let path = "/srv/app1/x".into();
    service.containers.get_mut("web").unwrap().spec.mounts.push(Mount {
        target: "/x".into(),
        source: MountSource::Bind { path, propagation: None, create_host_path: false },
        read_only: false,
    });
    service
}

#[tokio::test(start_paused = true)]
async fn a_link_planted_below_an_allowed_path_is_denied() {
    let mut world = World::deployed().await;
    let service = with_link(&mut world);
    world.sim.links.borrow_mut().insert("/srv/app1/x".into(), ["/".into()].into());
    world.commit(vec![service]);
    let outcome = world.pass().await.unwrap();
    let left = outcome.left.to_string();
    let said =
        "containers.web.volumes /srv/app1/x, which leads to /: [policy] bind_mounts = [\"/\"]";
    assert!(left.contains(said), "{left}");
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_link_planted_after_the_plan_is_seen_before_the_container_is_made_or_started() {
    for (looks, n_made) in [(1, 0), (2, 1)] {
        let mut world = World::deployed().await;
        let service = with_link(&mut world);
        let leads = std::iter::repeat_n("/srv/app1/x", looks).chain(["/"]).map(str::to_owned);
        world.sim.links.borrow_mut().insert("/srv/app1/x".into(), leads.collect());
        world.commit(vec![service]);
        let before = world.sim.effects();
        world.converge(9).await;
        let log = world.sim.log.borrow()[before..].to_vec();
        let count = |what: &str| log.iter().filter(|entry| entry.starts_with(what)).count();
        assert_eq!(count("create app1.prd-web"), n_made, "{log:#?}");
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "{log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_plan_reads_as_a_story() {
    let mut world = World::deployed().await;
    world.commit(vec![app1("web2", "db1", "migrate1")]);
    world.intent = Intent::Plan;
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.plan.to_string(), @r"
    app1 → prd@sha1:0101010
      because prd@sha1:0101010 changes web.image: hub.test/x@sha256:c1035d44be3c54ccb742616b160beb684a223b77378a7c56c73348e1256e7de0 → hub.test/x@sha256:0b405dead5832d0ab681f3e0804438b3e4124fffb6ffafea9d1bbdc21640588b
      + pull hub.test/x@0b405dead583
      ~ wait until app1.prd-db is healthy
      ~ rename app1.prd-web to app1.prd-web.old-00000001
      + create app1.prd-web
      ~ stop app1.prd-web.old-00000001
      ~ wait until app1.prd-db is healthy
      ~ start app1.prd-web
      ~ health gate of app1.prd-db, app1.prd-web
      - remove app1.prd-web.old-00000001
    ");
}
