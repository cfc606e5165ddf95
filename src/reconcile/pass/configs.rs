//! The files that hold configs' contents: who runs with one that is not as written, and which nothing
//! needs.
//!
//! In: what is observed and wanted. Out: containers, paths. Effect: reads and removes files of the node's store.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reconcile::apply::ConfigFiles;
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::MountSource;
use crate::reconcile::memory::Memory;
use crate::reconcile::observed::{Look, ObservedContainer, ObservedState, labels};
use crate::reconcile::pass::{Effects, PassInput, PassState};
use crate::reconcile::plan::body::config_path;
use crate::reconcile::plan::stages::needs_stop;
use crate::reconcile::plan::{ServicePlan, Step};

/// Notes which containers run with files that are not as they were written: all of them at a whole
/// look. Those that were noted stay so until they are gone.
pub(crate) fn check<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    look: Look,
    seen: &ObservedState,
    memory: &Memory,
    state: &mut PassState,
) {
    for (id, paths) in &memory.altered {
        state.altered.entry(id.clone()).or_default().extend(paths.iter().cloned());
    }
    // One that the engine does not show may be there.
    if seen.unknown.is_empty() {
        let own: BTreeSet<&str> = own(seen).map(|c| c.inspect.id.as_str()).collect();
        state.altered.retain(|id, _| own.contains(id.as_str()));
    }
    if look == Look::Everything {
        note(input, effects, seen, state, |_| true);
    }
}

/// The same of the files that `due` plans write: once a file is right nothing tells any more that
/// others still have the one before.
pub(crate) fn check_written<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    due: &[ServicePlan],
    seen: &ObservedState,
    state: &mut PassState,
) {
    let steps = due.iter().flat_map(|plan| &plan.stages).flat_map(|stage| &stage.steps);
    let written = steps.filter_map(|step| match step {
        Step::WriteFile { path, .. } => Some(path.as_str()),
        _ => None,
    });
    let written: BTreeSet<&str> = written.collect();
    note(input, effects, seen, state, |path| written.contains(path));
}

fn note<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    seen: &ObservedState,
    state: &mut PassState,
    is_asked: impl Fn(&str) -> bool,
) {
    let mut mounted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // One that does not run is given the file that is there at its start, and it is written before.
    for container in own(seen).filter(|container| needs_stop(container)) {
        for path in mounts(container, input.files_dir).filter(|path| is_asked(path)) {
            mounted.entry(path).or_default().push(container.inspect.id.as_str());
        }
    }
    mounted.retain(|path, _| !effects.files.is_intact(path));
    for (path, ids) in mounted {
        for id in ids {
            state.altered.entry(id.to_owned()).or_default().insert(path.to_owned());
        }
    }
}

/// Removes files that neither a container mounts nor the newest or the applied version names.
pub(crate) fn sweep<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    seen: &ObservedState,
    state: &PassState,
) {
    // What a container mounts that the engine does not show is not known.
    let mut strangers = seen.foreign.values().flat_map(|summary| summary.labels.keys());
    // Nor of one that was ours by a key that is lost, or of another environment.
    let was_ours = strangers.any(|label| label.starts_with(labels::PREFIX));
    if !seen.unknown.is_empty() || was_ours || !state.works.is_empty() {
        return;
    }
    let mounted = own(seen).flat_map(|container| mounts(container, input.files_dir));
    let mut kept: BTreeSet<String> = mounted.map(str::to_owned).collect();
    let services = state.older.versions(input.desired);
    kept.extend(services.flat_map(|service| named(service, input.files_dir)));
    effects.files.sweep(input.files_dir, &kept);
}

fn named<'a>(service: &'a DesiredService, files_dir: &'a str) -> impl Iterator<Item = String> {
    let mounts = service.containers.values().flat_map(|container| &container.spec.mounts);
    mounts.filter_map(move |mount| match &mount.source {
        MountSource::Config { content, mode, .. } => Some(config_path(files_dir, content, *mode)),
        _ => None,
    })
}

fn own(seen: &ObservedState) -> impl Iterator<Item = &ObservedContainer> {
    seen.services.values().flatten()
}

/// The files of the store that a container mounts.
fn mounts<'a>(container: &'a ObservedContainer, files_dir: &str) -> impl Iterator<Item = &'a str> {
    let mounts = container.inspect.raw.get("Mounts").and_then(Value::as_array);
    let sources = mounts.into_iter().flatten().filter_map(|mount| mount.get("Source")?.as_str());
    sources
        .filter(move |path| path.strip_prefix(files_dir).is_some_and(|rest| rest.starts_with('/')))
}
