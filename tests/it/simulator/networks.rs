//! Networks and volumes whose settings a commit changes, and those that come and go beside us.

use serde_json::json;
use tidegate::clients::docker::DockerErrorKind;
use tidegate::reconcile::desired::DesiredNetwork;
use tidegate::reconcile::desired::service::Subnet;

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1, closed, container, service, with_volume};

const NETWORK: &str = "app1.prd";

fn is_internal(world: &World) -> bool {
    world.sim.engine.borrow().networks[NETWORK].raw["Internal"] == json!(true)
}

#[tokio::test(start_paused = true)]
async fn a_network_whose_settings_change_is_made_anew_with_all_that_is_on_it() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.commit(vec![closed(app1("web1", "db1", "migrate1"))]);
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.plan.to_string(), @r"
    app1 → prd@sha1:0101010
      because prd@sha1:0101010 changes network app1.prd.Internal: false → true
      because prd@sha1:0101010 changes db.NetworkSettings.Networks.app1.prd: one with its old settings → the network of now
      because prd@sha1:0101010 changes web.NetworkSettings.Networks.app1.prd: one with its old settings → the network of now
      ~ rename app1.prd-db to app1.prd-db.old-00000001
      ~ rename app1.prd-web to app1.prd-web.old-00000001
      + create app1.prd-db
      + create app1.prd-web
      ~ stop app1.prd-web.old-00000001
      ~ stop app1.prd-db.old-00000001
      ~ make network app1.prd anew
      ~ start app1.prd-db
      ~ wait until app1.prd-db is healthy
      ~ start app1.prd-web
      ~ health gate of app1.prd-db, app1.prd-web
      - remove app1.prd-db.old-00000001
      - remove app1.prd-web.old-00000001
    ");
    world.converge(1).await;
    assert!(is_internal(&world));
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    let after = world.ids();
    for name in ["app1.prd-web", "app1.prd-db"] {
        assert_ne!(before[name], after[name], "{name}");
    }
    let log = world.sim.log.borrow();
    let runs = log.iter().filter(|what| what.contains("create app1.prd-migrate")).count();
    assert_eq!(runs, 1, "the migration is not run again");
}

#[tokio::test(start_paused = true)]
async fn a_failed_version_takes_its_network_with_it_and_the_one_before_gets_its_own_back() {
    let mut world = World::deployed().await;
    world.commit(vec![closed(app1("bad", "db1", "migrate1"))]);
    world.converge(1).await;
    assert!(!is_internal(&world));
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
}

#[tokio::test(start_paused = true)]
async fn a_network_that_cannot_be_made_anew_fails_the_version_and_the_old_one_comes_back() {
    for kind in [DockerErrorKind::Refused, DockerErrorKind::NotFound, DockerErrorKind::Engine] {
        let mut good = World::deployed().await;
        good.commit(vec![closed(app1("web1", "db1", "migrate1"))]);
        let from = good.sim.effects();
        good.converge(1).await;
        let log = good.sim.log.borrow()[from..].to_vec();
        let at = log.iter().position(|what| what.starts_with("create network")).unwrap();

        let mut world = World::deployed().await;
        world.commit(vec![closed(app1("web1", "db1", "migrate1"))]);
        world.sim.fault_at.set(Some((world.sim.effects() + at, kind, Effect::Lost)));
        world.converge(1).await;
        assert!(world.memory.services["app1"].failed.is_some(), "{kind:?}");
        assert!(!is_internal(&world), "{kind:?}");
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_others_are_on_is_held_with_their_names_until_they_leave() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.foreigner("other", &json!({}));
    let on = |world: &World, is_on: bool| {
        world.sim.hand(|engine| {
            let other = engine.containers.values_mut().find(|c| c.name == "other").unwrap();
            other.networks.clear();
            other.networks.insert(if is_on { NETWORK } else { "none" }.to_owned(), json!({}));
        });
    };
    on(&world, true);
    world.commit(vec![closed(app1("web1", "db1", "migrate1"))]);
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @"app1 ! held at prd@sha1:0101010: network `app1.prd` has to be made anew for its new settings, but `other` is on it: disconnect or remove what is not this service's, or give the network another key in the service");
    world.converge(1).await;
    assert!(before.iter().all(|(name, id)| world.ids().get(name) == Some(id)));
    on(&world, false);
    world.converge(1).await;
    assert!(is_internal(&world));
}

#[tokio::test(start_paused = true)]
async fn another_service_on_a_network_keeps_it_as_it_is() {
    let guest = || {
        let mut guest = service("app2", vec![container("web", "web1")]);
        let network = guest.networks.values_mut().next().unwrap();
        NETWORK.clone_into(&mut network.engine_name);
        network.external = true;
        guest
    };
    let mut world = World::new();
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(1).await;
    world.commit(vec![app1("web1", "db1", "migrate1"), guest()]);
    world.converge(1).await;
    let before = world.ids();
    world.commit(vec![closed(app1("web1", "db1", "migrate1")), guest()]);
    let outcome = world.pass().await.unwrap();
    let held = outcome.left.held[0].reason.to_string();
    assert!(held.contains("but `app2.prd-web` is on it"), "{held}");
    world.converge(1).await;
    assert_eq!(world.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_network_made_from_this_very_definition_is_not_made_again_whatever_the_engine_shows() {
    let mut world = World::deployed().await;
    let before = world.ids();
    world.sim.hand(|engine| {
        engine.networks.get_mut(NETWORK).unwrap().raw["Attachable"] = json!(true);
    });
    world.state.seen.forget_networks_and_volumes();
    world.converge(1).await;
    assert_eq!(world.ids(), before);
}

#[tokio::test(start_paused = true)]
async fn a_container_whose_network_was_made_anew_without_it_is_made_anew_too() {
    let mut world = World::deployed().await;
    let web = world.id("app1.prd-web");
    // Stopped by hand, its network removed; then we die right after the network is there again.
    world.sim.hand(|engine| {
        for container in engine.containers.values_mut() {
            container.phase = crate::simulator::engine::Phase::Stopped(137);
        }
        engine.networks.remove(NETWORK);
    });
    world.state.seen.forget_networks_and_volumes();
    world.sim.crash_at.set(Some((world.sim.effects(), Effect::Happened)));
    assert!(world.pass().await.is_none());
    assert!(world.sim.engine.borrow().networks.contains_key(NETWORK));
    world.restart();
    world.converge(1).await;
    assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
    assert_ne!(world.id("app1.prd-web"), web);
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_a_commit_drops_is_the_engines_again() {
    let plain = || app1("web1", "db1", "migrate1");
    let with = |change: &dyn Fn(&mut DesiredNetwork)| {
        let mut service = plain();
        service.networks.values_mut().for_each(change);
        service
    };
    let subnet = |gateway: Option<&str>| Subnet {
        subnet: "10.1.0.0/24".into(),
        gateway: gateway.map(str::to_owned),
        ip_range: None,
    };
    let option = |n: &mut DesiredNetwork| drop(n.driver_opts.insert("mtu".into(), "1400".into()));
    let ranged = |n: &mut DesiredNetwork| n.subnets.push(subnet(None));
    let gated = |n: &mut DesiredNetwork| n.subnets.push(subnet(Some("10.1.0.9")));
    for (before, after, why) in [
        (with(&option), plain(), "network app1.prd.Options: mtu=1400 → left to the engine"),
        (with(&ranged), plain(), "network app1.prd.Subnet: 10.1.0.0/24 → left to the engine"),
        (with(&gated), with(&ranged), "Subnet: 10.1.0.0/24 10.1.0.9 → left to the engine"),
    ] {
        let mut world = World::new();
        world.commit(vec![before.clone()]);
        world.converge(1).await;
        world.commit(vec![after]);
        let outcome = world.pass().await.unwrap();
        assert!(outcome.plan.to_string().contains(why), "{why}\n{}", outcome.plan);
        world.converge(1).await;
        assert_eq!(world.running(), ["app1.prd-db db1", "app1.prd-web web1"]);
        let raw = world.sim.engine.borrow().networks[NETWORK].raw.clone();
        assert!(
            !raw.to_string().contains("1400") && !raw.to_string().contains("10.1.0.9"),
            "{raw}"
        );
        // And it comes again with the commit that asks for it again.
        world.commit(vec![before]);
        world.converge(1).await;
        assert_ne!(world.sim.engine.borrow().networks[NETWORK].raw, raw);
    }
}

#[tokio::test(start_paused = true)]
async fn a_volumes_setting_that_a_commit_drops_is_held_as_any_other() {
    let mut before = with_volume(app1("web1", "db1", "migrate1"), "local");
    for volume in before.volumes.values_mut() {
        volume.driver_opts.insert("type".into(), "tmpfs".into());
    }
    let mut world = World::new();
    world.commit(vec![before]);
    world.converge(1).await;
    world.commit(vec![with_volume(app1("web1", "db1", "migrate1"), "local")]);
    let left = world.pass().await.unwrap().left.to_string();
    assert!(left.contains("volume `app1.prd_data` exists with other settings"), "{left}");
}

#[tokio::test(start_paused = true)]
async fn a_volume_whose_settings_change_is_held_with_what_to_do_and_keeps_its_data() {
    let mut world = World::new();
    world.commit(vec![with_volume(app1("web1", "db1", "migrate1"), "local")]);
    world.converge(1).await;
    let before = world.ids();
    world.policy.volume_drivers = ["other".to_owned()].into();
    world.commit(vec![with_volume(app1("web1", "db1", "migrate1"), "other")]);
    let outcome = world.pass().await.unwrap();
    insta::assert_snapshot!(outcome.left.to_string(), @"app1 ! held at prd@sha1:0101010: volume `app1.prd_data` exists with other settings, which cannot change in place, and its data is never dropped: give the volume another key in the service; or, if the data may go or was saved, suspend the service, remove its containers and the volume by hand, and resume it");
    world.converge(1).await;
    assert_eq!(world.ids(), before);
    let log = world.sim.log.borrow().clone();
    assert!(!log.iter().any(|what| what.contains("remove") && what.contains("volume")));
    // What is to be done by hand, done.
    world.sim.hand(|engine| {
        engine.containers.clear();
        engine.volumes.clear();
    });
    world.state.seen.forget_networks_and_volumes();
    world.converge(1).await;
    let driver = world.sim.engine.borrow().volumes["app1.prd_data"].raw["Driver"].clone();
    assert_eq!(driver, json!("other"));
}
