//! rule → definition → running container: each link broken in turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidegate::clients::docker::{ContainerId, ContainerInspect, ContainerState};
use tidegate::compliance::image::{ImageInput, judge};
use tidegate::compliance::verdict::{Link, Verdict, VerdictStatus};
use tidegate::reconcile::desired::{DesiredService, DesiredState};
use tidegate::reconcile::observed::{ObjectKind, ObservedContainer, ObservedState, Owned};

use crate::desired::support::{DIGEST, OTHER, Repo};

/// app1 whose pin a ruleset shows.
fn state(digest: &str) -> DesiredState {
    let pin = format!(
        "[match]\nservice = \"app1\"\n[containers.web]\ndigest = \"{digest}\"\nversion = \"1.0\"\n"
    );
    Repo::default()
        .with("services/app1.toml", "app = \"app1\"\n[containers.web]\nimage = \"app1/web\"\n")
        .with("rulesets/it/applications/app1.toml", pin)
        .state()
}

fn in_force(state: &DesiredState) -> BTreeMap<tidegate::model::ServiceName, DesiredService> {
    state.services.clone()
}

/// An engine on which a container of ours runs an image.
fn runs(key: &str, image_id: &str, state: ContainerState) -> ObservedState {
    let owned = Owned {
        kind: ObjectKind::Container,
        environment: "prd".parse().unwrap(),
        node: "n1".parse().unwrap(),
        service: "app1".parse().unwrap(),
        key: key.parse().unwrap(),
        revision: "worktree".to_owned(),
        spec: tidegate::model::Digest::of(b""),
        nonce: "00".to_owned(),
    };
    let inspect = ContainerInspect {
        id: ContainerId("c1".to_owned()),
        name: format!("app1.prd-{key}"),
        image_id: image_id.to_owned(),
        state,
        exit_code: 0,
        health: None,
        health_log: None,
        created_at: String::new(),
        started_at: String::new(),
        restart_count: 0,
        error: String::new(),
        labels: BTreeMap::new(),
        raw: json!({}),
    };
    let container = ObservedContainer { owned, inspect: Arc::new(inspect) };
    let mut observed = ObservedState::default();
    observed.services.insert("app1".parse().unwrap(), vec![container]);
    observed
}

fn verdicts(
    desired: &DesiredState,
    force: &BTreeMap<tidegate::model::ServiceName, DesiredService>,
    observed: &ObservedState,
) -> Vec<Verdict> {
    judge(ImageInput { desired, in_force: force, observed })
}

fn one(mut all: Vec<Verdict>) -> Verdict {
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

#[test]
fn all_links_whole_is_ok_and_names_the_rule() {
    let desired = state(DIGEST);
    let observed = runs("web", DIGEST, ContainerState::Running);
    let verdict = one(verdicts(&desired, &in_force(&desired), &observed));
    assert_eq!(verdict.status, VerdictStatus::Ok);
    assert_eq!((verdict.broken, verdict.rule.as_str()), (None, "it.applications.app1/web.image"));
    assert_eq!(verdict.target, "app1.prd/web");
    assert_eq!(verdict.revision, desired.revision);
}

#[test]
fn a_container_that_no_rule_asks_for_breaks_the_rule_link() {
    let desired = state(DIGEST);
    let observed = runs("old", DIGEST, ContainerState::Running);
    let all = verdicts(&desired, &in_force(&desired), &observed);
    let stray = all.iter().find(|v| v.target == "app1.prd/old").unwrap();
    assert_eq!((stray.status, stray.broken), (VerdictStatus::NotOk, Some(Link::Rule)));
}

#[test]
fn a_definition_that_asks_for_another_image_breaks_the_definition_link() {
    let (desired, older) = (state(DIGEST), state(OTHER));
    let observed = runs("web", OTHER, ContainerState::Running);
    let verdict = one(verdicts(&desired, &in_force(&older), &observed));
    assert_eq!((verdict.status, verdict.broken), (VerdictStatus::NotOk, Some(Link::Definition)));
    assert!(verdict.actual.contains("bbbbbbbbbbbb"), "{verdict:#?}");
    let never = one(verdicts(&desired, &BTreeMap::new(), &ObservedState::default()));
    assert_eq!((never.status, never.broken), (VerdictStatus::NotOk, Some(Link::Definition)));
}

#[test]
fn a_container_of_another_image_breaks_the_container_link() {
    let desired = state(DIGEST);
    for (image, state, wanted) in [
        (OTHER, ContainerState::Running, Some(Link::Container)),
        (DIGEST, ContainerState::Exited, Some(Link::Container)),
        (DIGEST, ContainerState::Running, None),
    ] {
        let observed = runs("web", image, state);
        let verdict = one(verdicts(&desired, &in_force(&desired), &observed));
        assert_eq!(verdict.broken, wanted, "{verdict:#?}");
    }
    let gone = one(verdicts(&desired, &in_force(&desired), &ObservedState::default()));
    assert_eq!((gone.broken, gone.actual.as_str()), (Some(Link::Container), "no container runs"));
}
