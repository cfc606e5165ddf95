//! What a run-once container's success rests on, and whether that is still there.
//!
//! In: a service, what is observed. Out: a [`Ground`], or whether one is gone. Pure.
//!
//! A migration's work lies in data, so its success is worth as much as the data is there: volumes of
//! the service, told apart by the nonces that they were made with. The engine's id alone would not do:
//! an emptied engine may keep it (20.10 has it in /etc/docker), and a moved one may get another with
//! all its volumes. It decides where a service has no volume of its own.

use crate::clients::docker::VolumeInspect;
use crate::model::ServiceName;
use crate::reconcile::desired::{DesiredService, DesiredVolume};
use crate::reconcile::memory::Ground;
use crate::reconcile::observed::{ObjectKind, ObservedState, OwnershipKey};

/// What a success of `container`, a nonce, would rest on; volumes that are not there yet are made
/// with `nonce`.
pub(crate) fn ground(
    service: &DesiredService,
    observed: &ObservedState,
    key: &OwnershipKey,
    nonce: &str,
    container: &str,
) -> Ground {
    let volumes = own_volumes(service).map(|(name, volume)| {
        let found = observed.volumes.get(&volume.engine_name);
        let made = match found {
            Some(found) => nonce_of(found, &service.name, key).unwrap_or_default(),
            None => nonce.to_owned(),
        };
        (name.clone(), made)
    });
    Ground {
        engine: observed.engine.id.clone(),
        volumes: volumes.collect(),
        container: container.to_owned(),
    }
}

/// Whether what a success rests on is gone, or was made anew since.
pub(crate) fn is_gone(
    known: &Ground,
    service: &DesiredService,
    observed: &ObservedState,
    key: &OwnershipKey,
) -> bool {
    let mut rests = own_volumes(service)
        .filter_map(|(name, volume)| known.volumes.get(name).map(|made| (volume, made)))
        .peekable();
    if rests.peek().is_none() {
        let (then, now) = (&known.engine, &observed.engine.id);
        return then != now && !then.is_empty() && !now.is_empty();
    }
    rests.any(|(volume, made)| {
        let found = observed.volumes.get(&volume.engine_name);
        found.and_then(|found| nonce_of(found, &service.name, key)).as_ref() != Some(made)
    })
}

fn own_volumes(
    service: &DesiredService,
) -> impl Iterator<Item = (&crate::model::VolumeName, &DesiredVolume)> {
    service.volumes.iter().filter(|(_, volume)| !volume.external)
}

fn nonce_of(found: &VolumeInspect, service: &ServiceName, key: &OwnershipKey) -> Option<String> {
    let owned = key.check(ObjectKind::Volume, &found.labels)?;
    (&owned.service == service).then_some(owned.nonce)
}
