//! One look at the engine: a list, and inspects of what changed since the last one.
//!
//! In: [`DockerRead`], the node's key, a cache. Out: [`ObservedState`]. Effect: reads the engine.
//!
//! # Guarantees
//! * An idle look is one list call: what it lists as before is not inspected again.
//! * Volumes are those of now whenever a container that mounted one is gone.
//! * An inspect that hangs or fails makes its own container unknown, and no other.
//! * Nothing of one engine is believed of another that answers in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{try_join, try_join3};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::clients::docker::{
    ContainerInspect, ContainerState, ContainerSummary, DockerError, DockerRead, EngineInfo,
    ImageInspect, NetworkInspect, VolumeInspect, is_blank,
};
use crate::model::EnvironmentName;
use crate::reconcile::observed::ownership::{ObjectKind, Owned, OwnershipKey, labels};
use crate::reconcile::observed::uptime::{health_of, uptime_secs};
use crate::reconcile::observed::{ObservedContainer, ObservedState, UnknownContainer};

/// Inspects at the same time.
const INSPECTS_MAX: usize = 8;

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Inspect every own container, list networks and volumes, ask the engine who it is: at the
    /// start, after a broken event stream, every tenth idle pass, in one-shot commands.
    Everything,
    /// Inspect only what the list shows otherwise than before.
    Changes,
}

/// Whose objects are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// Proves what is ours.
    pub key: &'a OwnershipKey,
    /// Objects of another environment are another agent's.
    pub environment: &'a EnvironmentName,
    /// Images that are wanted, by reference or id, besides those in use.
    pub images: &'a BTreeSet<String>,
}

/// What the last look saw.
#[derive(Debug, Default)]
pub struct ObservedCache {
    engine: Option<EngineInfo>,
    containers: BTreeMap<String, Seen>,
    images: BTreeMap<String, ImageInspect>,
    networks: BTreeMap<String, NetworkInspect>,
    volumes: BTreeMap<String, VolumeInspect>,
    /// Whether networks and volumes are those of the last look.
    knows_lists: bool,
}

#[derive(Debug)]
struct Seen {
    summary: ContainerSummary,
    inspect: Arc<ContainerInspect>,
    /// Whether it is inspected again however it is listed.
    is_stale: bool,
}

impl ObservedCache {
    /// Forgets what one container is like, by id: an event says that it changed in a way no list
    /// shows, such as `docker update`. That it was there is kept, so that its absence is noticed.
    pub fn forget(&mut self, id: &str) {
        if let Some(seen) = self.containers.get_mut(id) {
            seen.is_stale = true;
        }
    }

    /// Forgets which images there are, after some were removed.
    pub fn forget_images(&mut self) {
        self.images.clear();
    }

    /// Forgets networks and volumes, after some were made or removed.
    pub fn forget_networks_and_volumes(&mut self) {
        self.networks.clear();
        self.volumes.clear();
        self.knows_lists = false;
    }

    fn take_lists(&mut self, networks: Vec<NetworkInspect>, volumes: Vec<VolumeInspect>) {
        self.networks = networks.into_iter().map(|n| (n.name.clone(), n)).collect();
        self.volumes = volumes.into_iter().map(|v| (v.name.clone(), v)).collect();
        self.knows_lists = true;
    }

    /// Whether a container is gone. While it was there, its volumes could not go; now they may have
    /// gone with it, and their events may come later than its own. A container made on a volume that
    /// is not there would get an empty one from the engine.
    fn misses_one(&self, summaries: &[ContainerSummary]) -> bool {
        let listed: BTreeSet<&str> = summaries.iter().map(|s| s.id.as_str()).collect();
        self.containers.keys().any(|id| !listed.contains(id.as_str()))
    }
}

/// Looks at the engine.
///
/// # Errors
/// When the list cannot be had: nothing is known then. A failing inspect is no error.
pub async fn observe<D: DockerRead>(
    docker: &D,
    viewer: Viewer<'_>,
    look: Look,
    cache: &mut ObservedCache,
) -> Result<ObservedState, DockerError> {
    let whole = look == Look::Everything || cache.engine.is_none();
    let knew = !cache.containers.is_empty();
    // An engine runs programs to say who it is: the rest is asked meanwhile.
    let who = async { if whole { docker.info().await.map(Some) } else { Ok(None) } };
    let lists = whole || !cache.knows_lists;
    let rest = Box::pin(objects(docker, viewer, look, lists, cache));
    let (engine, mut state) = Box::pin(try_join(who, rest)).await?;
    if !whole && knew && state.services.is_empty() && state.unknown.is_empty() {
        // Everything is gone at once: another engine may answer here, or an emptied one.
        *cache = ObservedCache::default();
        return Box::pin(observe(docker, viewer, Look::Everything, cache)).await;
    }
    cache.engine = engine.or(cache.engine.take());
    state.engine = cache.engine.clone().unwrap_or_default();
    Ok(state)
}

async fn objects<D: DockerRead>(
    docker: &D,
    viewer: Viewer<'_>,
    look: Look,
    lists: bool,
    cache: &mut ObservedCache,
) -> Result<ObservedState, DockerError> {
    let summaries = if lists {
        let lists = try_join3(docker.containers(), docker.networks(), docker.volumes());
        let (summaries, networks, volumes) = lists.await?;
        cache.take_lists(networks, volumes);
        summaries
    } else {
        let summaries = docker.containers().await?;
        if cache.misses_one(&summaries) {
            let lists = try_join(docker.networks(), docker.volumes());
            let (networks, volumes) = lists.await?;
            cache.take_lists(networks, volumes);
        }
        summaries
    };
    let mut state = ObservedState::default();
    let mut own = Vec::new();
    for summary in summaries {
        let owned = viewer.key.check(ObjectKind::Container, &summary.labels);
        match owned.filter(|owned| owned.environment == *viewer.environment) {
            Some(owned) => own.push((owned, summary)),
            None => {
                state.foreign.insert(foreign_name(&summary), summary);
            }
        }
    }
    let listed: BTreeSet<&str> = own.iter().map(|(_, summary)| summary.id.as_str()).collect();
    cache.containers.retain(|id, _| listed.contains(id.as_str()));
    inspect(docker, own, look, cache, &mut state).await;
    images(docker, viewer, look, cache, &mut state).await;
    disown_copies(&mut state);
    state.networks.clone_from(&cache.networks);
    state.volumes.clone_from(&cache.volumes);
    Ok(state)
}

/// A foreign container's name; one without keeps its id, so that none hides another.
fn foreign_name(summary: &ContainerSummary) -> String {
    if summary.name.is_empty() { summary.id.to_string() } else { summary.name.clone() }
}

async fn inspect<D: DockerRead>(
    docker: &D,
    own: Vec<(Owned, ContainerSummary)>,
    look: Look,
    cache: &mut ObservedCache,
    state: &mut ObservedState,
) {
    let (known, changed): (Vec<_>, Vec<_>) = own.into_iter().partition(|(_, summary)| {
        let seen = cache.containers.get(summary.id.as_str());
        let is_known = |seen: &Seen| !seen.is_stale && is_as_before(&seen.summary, summary);
        look == Look::Changes && seen.is_some_and(is_known)
    });
    for (owned, summary) in known {
        if let Some(seen) = cache.containers.get_mut(summary.id.as_str()) {
            seen.summary = summary;
            let inspect = Arc::clone(&seen.inspect);
            add(state, ObservedContainer { owned, inspect });
        }
    }
    let answers = stream::iter(changed)
        .map(async |(owned, summary)| {
            let answer = docker.container(summary.id.as_str()).await;
            (owned, summary, answer)
        })
        .buffer_unordered(INSPECTS_MAX);
    let mut answers = std::pin::pin!(answers);
    while let Some((owned, summary, answer)) = answers.next().await {
        match answer {
            Ok(Some(inspect)) => {
                let (id, inspect) = (summary.id.to_string(), Arc::new(lean(inspect)));
                let seen = Seen { summary, inspect: Arc::clone(&inspect), is_stale: false };
                cache.containers.insert(id, seen);
                add(state, ObservedContainer { owned, inspect });
            }
            // Gone between list and inspect: the next list will say so, too.
            Ok(None) => cache.forget(summary.id.as_str()),
            Err(error) => {
                cache.forget(summary.id.as_str());
                let reason = error.to_string();
                state.unknown.push(UnknownContainer { owned, summary, reason });
            }
        }
    }
    // Inspects answer in any order; what is observed must not depend on it.
    state.unknown.sort_by(|a, b| a.summary.id.cmp(&b.summary.id));
    for containers in state.services.values_mut() {
        containers.sort_by(|a, b| {
            (&a.inspect.name, &a.inspect.id).cmp(&(&b.inspect.name, &b.inspect.id))
        });
    }
}

/// An inspect without what no plan reads. It is kept as long as its container, and a tree of JSON
/// takes several times its text: mostly half-filled nodes and what Go writes for "nothing said".
fn lean(mut inspect: ContainerInspect) -> ContainerInspect {
    // The engine's own lists are long; a plan asks whether there are any.
    for list in ["/HostConfig/MaskedPaths", "/HostConfig/ReadonlyPaths"] {
        if let Some(list) = inspect.raw.pointer_mut(list) {
            *list = Value::Bool(!is_blank(list));
        }
    }
    let mut take = |path| inspect.raw.pointer_mut(path).map(Value::take).unwrap_or_default();
    let networks = object([("Networks", take("/NetworkSettings/Networks"))]);
    inspect.raw = object([
        // `StopTimeout` is the one number whose zero says something.
        ("Config", dense(take("/Config"), |value| value.is_number() || !is_blank(value))),
        ("HostConfig", dense(take("/HostConfig"), |value| !is_blank(value))),
        ("Mounts", take("/Mounts")),
        ("NetworkSettings", networks),
    ]);
    inspect
}

fn dense(map: Value, is_kept: impl Fn(&Value) -> bool) -> Value {
    match map {
        Value::Object(map) => map.into_iter().filter(|(_, value)| is_kept(value)).collect(),
        other => other,
    }
}

/// Made of the values themselves; `json!` would copy them.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn add(state: &mut ObservedState, container: ObservedContainer) {
    let service = container.owned.service.clone();
    state.services.entry(service).or_default().push(container);
}

/// A proof that an image brings in its own LABELs was copied from another container's: what is made
/// from that image is not ours.
fn disown_copies(state: &mut ObservedState) {
    let (images, foreign) = (&state.images, &mut state.foreign);
    for containers in state.services.values_mut() {
        containers.retain(|container| {
            let inspect = &container.inspect;
            let in_image = images
                .get(&inspect.image_id)
                .and_then(|image| image.config.get("Labels")?.get(labels::PROOF)?.as_str());
            let copied = in_image.is_some()
                && in_image == inspect.labels.get(labels::PROOF).map(String::as_str);
            if copied {
                foreign.insert(inspect.name.clone(), summary_of(inspect));
            }
            !copied
        });
    }
    state.services.retain(|_, containers| !containers.is_empty());
}

fn summary_of(inspect: &ContainerInspect) -> ContainerSummary {
    let image = inspect.raw.pointer("/Config/Image").and_then(Value::as_str).unwrap_or_default();
    ContainerSummary {
        id: inspect.id.clone(),
        name: inspect.name.clone(),
        image: image.to_owned(),
        image_id: inspect.image_id.clone(),
        state: inspect.state.clone(),
        status: String::new(),
        labels: inspect.labels.clone(),
        networks: Vec::new(),
    }
}

/// Whether a list shows a container as an earlier one did, time that went by aside.
fn is_as_before(before: &ContainerSummary, now: &ContainerSummary) -> bool {
    let same = |a: &ContainerSummary, b: &ContainerSummary| {
        a.name == b.name
            && a.image_id == b.image_id
            && a.state == b.state
            && a.networks == b.networks
            && health_of(&a.status) == health_of(&b.status)
    };
    // A restarting one changes all the time; an uptime that shrank is a restart.
    same(before, now)
        && now.state != ContainerState::Restarting
        && uptime_secs(&before.status) <= uptime_secs(&now.status)
}

/// Images in use by own containers, and those wanted. A wanted one that is not there is asked for
/// again each time; what fails is left out and found missing by the plan, which then pulls.
async fn images<D: DockerRead>(
    docker: &D,
    viewer: Viewer<'_>,
    look: Look,
    cache: &mut ObservedCache,
    state: &mut ObservedState,
) {
    let in_use = state.services.values().flatten().map(|c| c.inspect.image_id.clone());
    let names: BTreeSet<String> = in_use.chain(viewer.images.iter().cloned()).collect();
    cache.images.retain(|name, _| look == Look::Changes && names.contains(name));
    let missing: Vec<&String> =
        names.iter().filter(|name| !name.is_empty() && !cache.images.contains_key(*name)).collect();
    let answers = stream::iter(missing)
        .map(async |name| (name, docker.image(name).await))
        .buffer_unordered(INSPECTS_MAX);
    let mut answers = std::pin::pin!(answers);
    while let Some((name, answer)) = answers.next().await {
        if let Ok(Some(image)) = answer {
            cache.images.insert(name.clone(), image);
        }
    }
    state.images = cache.images.clone();
}
