//! One step, done.
//!
//! In: a [`Step`]. Out: nothing, or why it failed. Effect: the step's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::clients::docker::{
    ContainerId, ContainerInspect, ContainerState, CreateContainer, DockerError, DockerErrorKind,
    DockerRead, DockerWrite,
};
use crate::model::{ContainerName, ImageReference, ServiceName};
use crate::reconcile::apply::outcome::StepError;
use crate::reconcile::apply::watch;
use crate::reconcile::apply::{ConfigFiles, Follows, Hands, Recorder};
use crate::reconcile::desired::container::Pin;
use crate::reconcile::observed::ObjectKind;
use crate::reconcile::plan::carry::with_carried;
use crate::reconcile::plan::fields::image_matches;
use crate::reconcile::plan::{ServicePlan, Step};

/// Pause before the one repetition of a start that an engine's internal error ended.
const START_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Does one step of `plan`.
pub(crate) async fn execute<D, F, R>(
    step: &Step,
    plan: &ServicePlan,
    hands: &Hands<D, F, R>,
) -> Result<(), StepError>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
    R: Recorder,
{
    let docker = &*hands.docker;
    let engine = |source| StepError::Engine { source };
    let remember = |reason| StepError::Memory { reason };
    let clock = || (hands.now)();
    match step {
        Step::Pull { image, pin } => pull(hands, image, pin).await,
        Step::WriteFile { path, content, mode } => hands
            .files
            .write(path, &content.0, *mode)
            .map_err(|source| StepError::File { path: path.clone(), source }),
        Step::CreateNetwork { body, .. } => {
            docker.create_network(body).await.map(drop).map_err(engine)
        }
        Step::CreateVolume { body, .. } => docker.create_volume(body).await.map_err(engine),
        Step::Rename { id, to, .. } => rename(docker, id, to).await.map_err(engine),
        Step::Create { .. } => create(hands, plan, step).await,
        Step::Stop { id, grace_secs, .. } => {
            unless_gone(docker.stop(id, *grace_secs).await).map_err(engine)
        }
        Step::Start { container, name, binds, .. } => {
            unmoved(&*hands.files, binds)?;
            start_one(hands, &plan.service, container, name).await
        }
        Step::Await { name, condition, kept, timeout, .. } => {
            watch::condition(docker, &clock, name, *condition, *kept, *timeout).await
        }
        Step::RunOnce { container, name, spec, ground, binds, timeout } => {
            unmoved(&*hands.files, binds)?;
            let found = ours(hands, &plan.service, container, name).await?;
            if found.state == ContainerState::Created {
                start(docker, &found.id, &found.state).await?;
            }
            watch::completed(docker, &clock, name, *timeout).await?;
            let service = &plan.service;
            let remembered = hands.recorder.completed(service, container, *spec, ground);
            remembered.await.map_err(remember)
        }
        Step::Update { id, body, .. } => docker.update(id, body).await.map_err(engine),
        Step::Connect { id, network, endpoint, .. } => {
            docker.connect(network, id, endpoint).await.map_err(engine)
        }
        Step::Disconnect { id, network, .. } => {
            docker.disconnect(network, id).await.map_err(engine)
        }
        Step::Gate(gate) => {
            watch::gate(docker, &clock, gate).await?;
            match &plan.target {
                Some(target) if gate.is_whole => {
                    let remembered =
                        hands.recorder.applied(&plan.service, target, after_gate(plan));
                    remembered.await.map_err(remember)
                }
                _ => Ok(()),
            }
        }
        Step::Remove { id, .. } => docker.remove_container(id).await.map_err(engine),
        Step::RenewNetwork { id, body, .. } => {
            docker.remove_network(id).await.map_err(engine)?;
            docker.create_network(body).await.map(drop).map_err(engine)
        }
        Step::RemoveNetwork { id, .. } => docker.remove_network(id).await.map_err(engine),
    }
}

/// What follows from the gate of `plan`.
fn after_gate(plan: &ServicePlan) -> Follows {
    match plan.stages.last().map(|stage| stage.steps.as_slice()) {
        Some([Step::Gate(_)]) => Follows::Nothing,
        _ => Follows::Something,
    }
}

/// A container that somebody removed meanwhile has stopped.
fn unless_gone(result: Result<(), DockerError>) -> Result<(), DockerError> {
    match result {
        Err(error) if error.kind == DockerErrorKind::NotFound => Ok(()),
        result => result,
    }
}

async fn pull<D, F, R>(
    hands: &Hands<D, F, R>,
    image: &ImageReference,
    pin: &Pin,
) -> Result<(), StepError>
where
    D: DockerRead + DockerWrite,
{
    let engine = |source| StepError::Engine { source };
    let auth = hands.auth.as_ref().filter(|auth| auth.server == image.hub.authority());
    hands.docker.pull(image, auth).await.map_err(engine)?;
    let found = hands.docker.image(&image.to_string()).await.map_err(engine)?;
    if found.as_ref().is_some_and(|found| image_matches(pin, &found.id, Some(found))) {
        return Ok(());
    }
    let found = found.map_or_else(|| "nothing".to_owned(), |found| found.id);
    Err(StepError::WrongImage { image: image.to_string(), found })
}

/// Whether the paths of the host that a container is given lead where they led when that was judged.
/// The engine follows their links anew at each start.
fn unmoved<F: ConfigFiles>(files: &F, binds: &BTreeMap<String, String>) -> Result<(), StepError> {
    let links = files.links(&binds.keys().map(String::as_str).collect());
    for (path, was) in binds {
        let unseen =
            |reason: &str| StepError::Path { path: path.clone(), reason: reason.to_owned() };
        let now = links.of(path).map_err(unseen)?;
        if now != was {
            let (was, now) = (was.clone(), now.to_owned());
            return Err(StepError::Moved { path: path.clone(), was, now });
        }
    }
    Ok(())
}

/// Makes a container, and connects it. Where the call may have had its effect although it failed,
/// the container is looked for by its nonce.
async fn create<D, F, R>(
    hands: &Hands<D, F, R>,
    plan: &ServicePlan,
    step: &Step,
) -> Result<(), StepError>
where
    D: DockerRead + DockerWrite,
    F: ConfigFiles,
{
    let Step::Create { container, name, nonce, body, connect, carried, binds } = step else {
        return Ok(());
    };
    unmoved(&*hands.files, binds)?;
    let engine = |source| StepError::Engine { source };
    let body = if carried.is_empty() {
        Arc::clone(body)
    } else {
        let image = body.get("Image").and_then(Value::as_str).unwrap_or_default();
        let image = hands.docker.image(image).await.map_err(engine)?;
        let config = image.map(|image| image.config).unwrap_or_default();
        Arc::new(with_carried(body, &config, carried))
    };
    let request = CreateContainer { name: name.clone(), body };
    let id = match hands.docker.create_container(&request).await {
        Ok(id) => id,
        Err(error) if error.may_have_happened() => {
            find(hands, &plan.service, container, nonce).await.ok_or_else(|| engine(error))?
        }
        Err(error) => return Err(engine(error)),
    };
    for (network, endpoint) in connect {
        hands.docker.connect(network, &id, endpoint).await.map_err(engine)?;
    }
    hands.made.borrow_mut().insert(name.clone(), id);
    Ok(())
}

/// Starts a container: one that this work has made is known to be ours, and is not looked at again.
async fn start_one<D, F, R>(
    hands: &Hands<D, F, R>,
    service: &ServiceName,
    container: &ContainerName,
    name: &str,
) -> Result<(), StepError>
where
    D: DockerRead + DockerWrite,
{
    let made = hands.made.borrow_mut().remove(name);
    let Some(id) = made else {
        let found = ours(hands, service, container, name).await?;
        return start(&*hands.docker, &found.id, &found.state).await;
    };
    match start(&*hands.docker, &id, &ContainerState::Created).await {
        // Somebody removed it meanwhile; or it is a network that it joins, which is for the engine to say.
        Err(StepError::Engine { source }) if source.kind == DockerErrorKind::NotFound => {
            ours(hands, service, container, name).await?;
            Err(StepError::Engine { source })
        }
        started => started,
    }
}

/// The container that carries our proof for this place with this nonce.
async fn find<D: DockerRead, F, R>(
    hands: &Hands<D, F, R>,
    service: &ServiceName,
    container: &ContainerName,
    nonce: &str,
) -> Option<ContainerId> {
    let all = hands.docker.containers().await.ok()?;
    let mut ours = all.into_iter().filter(|summary| {
        hands.key.check(ObjectKind::Container, &summary.labels).is_some_and(|owned| {
            owned.nonce == nonce && &owned.service == service && &owned.key == container
        })
    });
    ours.next().map(|summary| summary.id)
}

/// The container of this name, if its proof says that it is the one meant.
async fn ours<D: DockerRead, F, R>(
    hands: &Hands<D, F, R>,
    service: &ServiceName,
    container: &ContainerName,
    name: &str,
) -> Result<ContainerInspect, StepError> {
    let found = hands.docker.container(name).await;
    let found = found.map_err(|source| StepError::Engine { source })?;
    found
        .filter(|found| {
            let owned = hands.key.check(ObjectKind::Container, &found.labels);
            owned.is_some_and(|owned| &owned.service == service && &owned.key == container)
        })
        // A start can take long, and fifty may wait for theirs.
        .map(|found| ContainerInspect { raw: Value::Null, ..found })
        .ok_or_else(|| StepError::NotOurs { name: name.to_owned() })
}

/// Renames a container. Engines fail at one that is between two crashes, whose network is gone just
/// then: it serves nobody, so it is stopped and renamed after that.
async fn rename<D: DockerRead + DockerWrite>(
    docker: &D,
    id: &ContainerId,
    to: &str,
) -> Result<(), DockerError> {
    match docker.rename(id, to).await {
        // It is the container's sandbox that is not found, not the container.
        Err(error) if matches!(error.kind, DockerErrorKind::Engine | DockerErrorKind::NotFound) => {
            match docker.container(id.as_str()).await {
                // Somebody removed it meanwhile; `docker rm -f` tells of its death before it is gone.
                Ok(None) => Ok(()),
                Ok(Some(found)) if found.restart_count > 0 => {
                    docker.stop(id, 0).await?;
                    docker.rename(id, to).await
                }
                _ => Err(error),
            }
        }
        result => result,
    }
}

/// Starts or resumes a container. An internal error of the engine is given one more chance: it is as
/// often the moment's fault as the container's.
async fn start<D: DockerRead + DockerWrite>(
    docker: &D,
    id: &ContainerId,
    state: &ContainerState,
) -> Result<(), StepError> {
    let once = async || -> Result<(), DockerError> {
        if *state == ContainerState::Paused {
            docker.unpause(id).await
        } else {
            docker.start(id).await
        }
    };
    match once().await {
        Err(error) if error.kind == DockerErrorKind::Engine => {
            tokio::time::sleep(START_AGAIN_AFTER).await;
            once().await
        }
        result => result,
    }
    .map_err(|source| StepError::Engine { source })
}
