//! Whether what an engine calls an image is the pinned one.

use crate::clients::docker::ImageInspect;
use crate::model::Digest;
use crate::reconcile::desired::container::Pin;

/// Whether a container whose image the engine calls `image_id` provably runs the pinned image.
///
/// The engine's id is the config digest with the classic store and the manifest's (or index's)
/// digest with the containerd store; its record of an image lists the digests it was pulled by.
pub fn image_matches(pin: &Pin, image_id: &str, image: Option<&ImageInspect>) -> bool {
    let is_pinned = |digest: &Digest| {
        pin.digest.as_ref() == Some(digest)
            || pin.image_id.as_ref().is_some_and(|id| id.matches(digest))
    };
    if image_id.parse().is_ok_and(|digest| is_pinned(&digest)) {
        return true;
    }
    let Some(image) = image.filter(|image| image.id == image_id) else { return false };
    let descriptor = image.descriptor_digest.as_deref();
    if descriptor.and_then(|text| text.parse().ok()).is_some_and(|digest| is_pinned(&digest)) {
        return true;
    }
    // A record of a pull: `name@digest`. The name does not matter, the bytes are the same.
    image
        .repo_digests
        .iter()
        .filter_map(|entry| entry.rsplit_once('@')?.1.parse::<Digest>().ok())
        .any(|digest| pin.digest == Some(digest))
}
