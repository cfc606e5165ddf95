//! Files that hold configs' contents: what becomes of them on the host.

use tidegate::model::Digest;
use tidegate::reconcile::desired::DesiredService;
use tidegate::reconcile::desired::container::{ConfigContent, Mount, MountSource};
use tidegate::reconcile::observed::Look;

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
                Some(content) => drop(files.insert(path("good"), content.clone())),
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
        assert_eq!(world.sim.files.borrow()[&path("good")], b"good");
        let changed = |name: &str| before[name] != world.id(name);
        assert!(changed("app1.prd-web") && !changed("app1.prd-db") && !changed("app1.prd-migrate"));
    }
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
