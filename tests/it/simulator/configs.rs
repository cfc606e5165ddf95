//! Files that hold configs' contents: what becomes of them on the host.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::model::Digest;
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::desired::container::{ConfigContent, Mount, MountSource};
use tidegate::reconcile::observed::Look;

use crate::simulator::sim::Effect;
use crate::simulator::world::{World, app1};

fn with_config(content: &str) -> DesiredService {
    let mut service = app1("web1", "db1", "migrate1");
    for name in ["web", "migrate"] {
        let container = service.containers.get_mut(name).unwrap();
        container.spec.mounts.push(Mount {
            target: "/etc/app.conf".to_owned(),
            source: MountSource::Config {
                config: "app".parse().unwrap(),
                content: ConfigContent(content.as_bytes().into()),
                mode: 0o444,
            },
            read_only: true,
        });
    }
    service
}

fn path(content: &str) -> String {
    format!("/var/lib/tidegate/files/{}-0444", Digest::of(content.as_bytes()).hex())
}

fn paths(world: &World) -> Vec<String> {
    world.sim.files.borrow().keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn a_config_changed_by_hand_is_repaired_at_the_next_whole_look() {
    for by_hand in [Some(b"evil".to_vec()), None] {
        let mut world = World::new();
        world.commit(vec![with_config("good")]);
        world.converge(1).await;
        let before = world.ids();
        {
            let mut files = world.sim.files.borrow_mut();
            match &by_hand {
                Some(content) => files[&path("good")].borrow_mut().clone_from(content),
                None => drop(files.remove(&path("good"))),
            }
        }
        world.look = Look::Everything;
        let plan = world.pass().await.unwrap().plan.to_string();
        assert!(
            plan.contains("drift in web.Mounts./etc/app.conf: is another one, or none"),
            "{plan}"
        );
        assert!(!plan.contains("migrate"), "what is over is not run again: {plan}");
        world.look = Look::Changes;
        world.converge(1).await;
        assert_eq!(*world.sim.files.borrow()[&path("good")].borrow(), b"good");
        assert_eq!(reads(&world), ["good"]);
        let changed = |name: &str| before[name] != world.id(name);
        assert!(changed("app1.prd-web") && !changed("app1.prd-db") && !changed("app1.prd-migrate"));
    }
}

/// What those that run find at their configs.
fn reads(world: &World) -> Vec<String> {
    let (engine, mounted) = (world.sim.engine.borrow(), world.sim.mounted.borrow());
    let up = engine.containers.values().filter(|container| engine.is_up(container));
    let files = up.filter_map(|container| mounted.get(&container.id)).flat_map(BTreeMap::values);
    files.map(|file| String::from_utf8(file.borrow().clone()).unwrap()).collect()
}

/// Somebody edits the file in its place, so that whoever has it mounted sees it.
fn edit(world: &World) {
    *world.sim.files.borrow()[&path("good")].borrow_mut() = b"evil".to_vec();
}

async fn whole_look(world: &mut World) {
    world.look = Look::Everything;
    world.pass().await;
    world.look = Look::Changes;
}

#[tokio::test(start_paused = true)]
async fn a_config_changed_by_hand_is_repaired_where_the_process_dies_between() {
    let prepared = async || {
        let mut world = World::new();
        world.commit(vec![with_config("good")]);
        world.converge(1).await;
        edit(&world);
        world
    };
    let mut world = prepared().await;
    let from = world.sim.effects();
    whole_look(&mut world).await;
    let log = world.sim.log.borrow()[from..].to_vec();
    assert!(log.iter().any(|effect| effect.starts_with("write ")), "{log:?}");
    for (k, died_at) in log.iter().enumerate() {
        for effect in [Effect::Happened, Effect::Lost] {
            let mut world = prepared().await;
            world.sim.crash_at.set(Some((world.sim.effects() + k, effect)));
            whole_look(&mut world).await;
            world.sim.crash_at.set(None);
            world.restart();
            // As a process begins.
            whole_look(&mut world).await;
            world.converge(3).await;
            assert_eq!(reads(&world), ["good"], "dies at {died_at}, {effect:?}");
            assert!(world.memory.altered.is_empty(), "{:?}", world.memory);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_changed_by_hand_is_repaired_for_each_that_mounts_it() {
    let other = || DesiredService { name: "app2".parse().unwrap(), ..with_config("good") };
    let two = || {
        let mut other = other();
        other.networks.values_mut().for_each(|network| network.engine_name = "app2.prd".to_owned());
        vec![with_config("good"), other]
    };
    let mut world = World::new();
    world.commit(two());
    world.converge(2).await;
    assert_eq!(reads(&world), ["good", "good"]);
    edit(&world);
    // Its file is written for another reason, before anybody looks at it.
    let web = world.id("app1.prd-web");
    world.sim.hand(|engine| engine.containers.remove(&web));
    world.converge(4).await;
    assert_eq!(reads(&world), ["good", "good"]);
    // One of them is not to be touched: that is no reason to forget it.
    edit(&world);
    world.overrides.services = BTreeSet::from(["app1".parse().unwrap()]);
    whole_look(&mut world).await;
    world.restart();
    world.overrides.services.clear();
    whole_look(&mut world).await;
    world.converge(4).await;
    assert_eq!(reads(&world), ["good", "good"]);
}

#[tokio::test(start_paused = true)]
async fn contents_that_nothing_needs_any_more_are_removed() {
    let mut world = World::new();
    world.commit(vec![with_config("first")]);
    world.converge(1).await;
    assert_eq!(paths(&world), [path("first")]);
    world.commit(vec![with_config("second")]);
    world.converge(2).await;
    assert_eq!(paths(&world), [path("second")]);
    world.commit(vec![app1("web1", "db1", "migrate1")]);
    world.converge(2).await;
    assert_eq!(paths(&world), [] as [String; 0]);
}
