//! Anonymous volumes outlive the containers that they were made for.

use std::collections::BTreeMap;

use serde_json::json;
use tidegate::reconcile::desired::container::{Mount, MountSource};
use tidegate::reconcile::desired::service::Strategy;

use crate::simulator::engine::Behaviour;
use crate::simulator::world::{World, app1};

/// Images whose web declares these volumes.
fn world(declared: &[(&str, &[&str])]) -> World {
    let world = World::new();
    for (name, paths) in declared {
        world.image(name, Behaviour::Plain);
        let volumes: BTreeMap<&str, _> = paths.iter().map(|path| (*path, json!({}))).collect();
        let digest = crate::simulator::world::digest(name);
        world.sim.hand(|engine| {
            engine.hub.get_mut(&digest).unwrap().config["Volumes"] = json!(volumes);
        });
    }
    world
}

/// What web shows: path and volume of each mount.
fn mounts(world: &World) -> BTreeMap<String, String> {
    let engine = world.sim.engine.borrow();
    let raw = engine.inspect(engine.find("app1.prd-web").unwrap()).raw;
    let text = |mount: &serde_json::Value, key: &str| mount[key].as_str().unwrap().to_owned();
    let mounts = raw["Mounts"].as_array().unwrap().iter();
    mounts.map(|mount| (text(mount, "Destination"), text(mount, "Name"))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_recreated_container_has_the_anonymous_volumes_of_the_one_before() {
    for strategy in [Strategy::StopFirst, Strategy::StartFirst] {
        let mut world = world(&[("web1", &["/data/", "/old"]), ("web2", &["/data", "/new"])]);
        let commit = |world: &mut World, image: &str, label: &str| {
            let mut service = app1(image, "db1", "migrate1");
            service.update.strategy = strategy;
            let spec = &mut service.containers.get_mut("web").unwrap().spec;
            spec.labels.insert("n".into(), label.into());
            world.commit(vec![service]);
        };
        commit(&mut world, "web1", "1");
        world.converge(9).await;
        let first = mounts(&world);
        let id = world.id("app1.prd-web");
        commit(&mut world, "web1", "2");
        world.converge(9).await;
        assert_ne!(world.id("app1.prd-web"), id);
        let second = mounts(&world);
        assert_eq!(second["/data"], first["/data"], "the same volume");
        assert_eq!(second["/old"], first["/old"]);
        commit(&mut world, "web2", "2");
        world.converge(9).await;
        let third = mounts(&world);
        assert_eq!(third["/data"], first["/data"], "another image, the same place");
        assert!(!third.contains_key("/old"), "the image declares it no more: {third:?}");
        assert_ne!(third["/new"], first["/old"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_new_version_mounts_itself_is_its_own() {
    let mut world = world(&[("web1", &["/data"])]);
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(9).await;
    let mut service = app1("web1", "db1", "migrate1");
    let source = MountSource::Tmpfs { size: None, mode: None };
    let own = Mount { target: "/data/".into(), source, read_only: false };
    service.containers.get_mut("web").unwrap().spec.mounts.push(own);
    world.commit(vec![service]);
    let outcome = world.pass().await.unwrap();
    let created = outcome.plan.services.iter().flat_map(|s| &s.stages).flat_map(|s| &s.steps);
    let carried = created.filter_map(|step| match step {
        tidegate::reconcile::plan::Step::Create { carried, .. } => Some(carried),
        _ => None,
    });
    assert!(carried.into_iter().all(BTreeMap::is_empty));
}
