//! The files that hold configs' contents: whether they are as written, and which nothing needs.
//!
//! In: what is observed and wanted. Out: paths. Effect: reads and removes files of the node's store.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::reconcile::apply::ConfigFiles;
use crate::reconcile::desired::DesiredService;
use crate::reconcile::desired::container::MountSource;
use crate::reconcile::observed::{Look, ObservedState, labels};
use crate::reconcile::pass::{Effects, PassInput, PassState};
use crate::reconcile::plan::body::config_path;

/// Notes which files that containers mount are not as they were written: of all of them at a whole
/// look, at others of those that were not so before.
pub(crate) fn check<D, F: ConfigFiles, S>(
    input: &PassInput<'_>,
    effects: &Effects<'_, D, F, S>,
    look: Look,
    seen: &ObservedState,
    state: &mut PassState,
) {
    let mut mounted = mounted(seen, input.files_dir);
    if look == Look::Changes {
        mounted.retain(|path| state.altered.contains(path));
    }
    mounted.retain(|path| !effects.files.is_intact(path));
    state.altered = mounted;
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
    let mut kept = mounted(seen, input.files_dir);
    let services = input.desired.services.values().chain(state.applied().values());
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

/// The files of the store that our containers mount.
fn mounted(seen: &ObservedState, files_dir: &str) -> BTreeSet<String> {
    let containers = seen.services.values().flatten();
    let mounts = containers.filter_map(|c| c.inspect.raw.get("Mounts").and_then(Value::as_array));
    let sources = mounts.flatten().filter_map(|mount| mount.get("Source").and_then(Value::as_str));
    let ours = |path: &&str| path.strip_prefix(files_dir).is_some_and(|rest| rest.starts_with('/'));
    sources.filter(ours).map(str::to_owned).collect()
}
