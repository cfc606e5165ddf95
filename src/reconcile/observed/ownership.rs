//! Proof that this node made an object: an HMAC with the node's key, never a name or label alone.
//!
//! An image's own LABELs land on its containers, so a label can be anybody's; the proof cannot.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::model::{
    ContainerName, Digest, EnvironmentName, Instance, NodeName, Revision, ServiceName,
};

/// Names of our labels.
pub mod labels {
    /// Every label of ours begins so; authors may not set one.
    pub const PREFIX: &str = "io.tidegate.";
    /// The environment.
    pub const ENVIRONMENT: &str = "io.tidegate.environment";
    /// The node.
    pub const NODE: &str = "io.tidegate.node";
    /// The service.
    pub const SERVICE: &str = "io.tidegate.service";
    /// The container (of networks and volumes: their key).
    pub const CONTAINER: &str = "io.tidegate.container";
    /// The revision it was made from, as 40 hex digits, or `worktree`.
    pub const REVISION: &str = "io.tidegate.revision";
    /// The spec hash.
    pub const SPEC: &str = "io.tidegate.spec";
    /// Random, so that an object is found again after a call that failed half-way.
    pub const NONCE: &str = "io.tidegate.nonce";
    /// The HMAC over all of the above.
    pub const PROOF: &str = "io.tidegate.proof";
}

/// What a proof vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// `container`, `network` or `volume`.
    pub kind: ObjectKind,
    /// The environment.
    pub environment: EnvironmentName,
    /// The node.
    pub node: NodeName,
    /// The service.
    pub service: ServiceName,
    /// The container, network or volume key within the service.
    pub key: ContainerName,
    /// What it was made from: 40 hex digits, or `worktree`.
    pub revision: String,
    /// The spec hash it was made with.
    pub spec: Digest,
    /// Random hex.
    pub nonce: String,
}

/// A kind of engine object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

impl ObjectKind {
    /// The word in the proof.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }
}

impl Owned {
    /// The service in its environment.
    pub fn instance(&self) -> Instance {
        Instance { service: self.service.clone(), environment: self.environment.clone() }
    }

    /// How a revision is written in a label.
    pub fn revision_label(revision: &Revision) -> String {
        revision.commit().map_or_else(|| "worktree".to_owned(), |commit| commit.to_string())
    }
}

/// The secret that proofs are made with, derived from the node's key.
#[derive(Clone)]
pub struct OwnershipKey([u8; 32]);

impl std::fmt::Debug for OwnershipKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnershipKey(…)")
    }
}

impl OwnershipKey {
    /// Derives the key from the node's secret key material.
    pub fn derive(secret: &[u8]) -> Self {
        Self(mac(secret, &[b"tidegate ownership v1"]))
    }

    /// All labels of an object, proof included.
    pub fn labels(&self, owned: &Owned) -> BTreeMap<String, String> {
        let mut map = plain_labels(owned);
        map.insert(labels::PROOF.to_owned(), self.proof(owned));
        map
    }

    /// What the labels prove, if their proof is this node's.
    pub fn check(&self, kind: ObjectKind, found: &BTreeMap<String, String>) -> Option<Owned> {
        let text = |name: &str| found.get(name).map(String::as_str);
        let owned = Owned {
            kind,
            environment: text(labels::ENVIRONMENT)?.parse().ok()?,
            node: text(labels::NODE)?.parse().ok()?,
            service: text(labels::SERVICE)?.parse().ok()?,
            key: text(labels::CONTAINER)?.parse().ok()?,
            revision: text(labels::REVISION)?.to_owned(),
            spec: text(labels::SPEC)?.parse().ok()?,
            nonce: text(labels::NONCE)?.to_owned(),
        };
        let claimed = hex::decode(text(labels::PROOF)?).ok()?;
        let mut check = hmac(&self.0);
        feed(&mut check, &parts(&owned));
        check.verify_slice(&claimed).ok()?;
        Some(owned)
    }

    fn proof(&self, owned: &Owned) -> String {
        let texts = parts(owned);
        let slices: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        hex::encode(mac(&self.0, &slices))
    }
}

fn plain_labels(owned: &Owned) -> BTreeMap<String, String> {
    [
        (labels::ENVIRONMENT, owned.environment.to_string()),
        (labels::NODE, owned.node.to_string()),
        (labels::SERVICE, owned.service.to_string()),
        (labels::CONTAINER, owned.key.to_string()),
        (labels::REVISION, owned.revision.clone()),
        (labels::SPEC, owned.spec.to_string()),
        (labels::NONCE, owned.nonce.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn parts(owned: &Owned) -> Vec<String> {
    let mut parts = vec![owned.kind.as_str().to_owned()];
    parts.extend(plain_labels(owned).into_values());
    parts
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("any length")
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac(key);
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn feed(mac: &mut Hmac<Sha256>, parts: &[String]) {
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Digest;
    use crate::reconcile::observed::ownership::{ObjectKind, Owned, OwnershipKey, labels};

    fn owned() -> Owned {
        Owned {
            kind: ObjectKind::Container,
            environment: "prd".parse().unwrap(),
            node: "n1".parse().unwrap(),
            service: "app1".parse().unwrap(),
            key: "web".parse().unwrap(),
            revision: "worktree".into(),
            spec: Digest::of(b"spec"),
            nonce: "00ff".into(),
        }
    }

    #[test]
    fn a_proof_holds_for_its_own_labels_alone() {
        let key = OwnershipKey::derive(b"secret");
        let labels = key.labels(&owned());
        assert_eq!(key.check(ObjectKind::Container, &labels), Some(owned()));
        assert_eq!(key.check(ObjectKind::Network, &labels), None);
        assert_eq!(OwnershipKey::derive(b"other").check(ObjectKind::Container, &labels), None);
        for name in labels.keys() {
            let mut forged = labels.clone();
            let flipped =
                if name == labels::SPEC { Digest::of(b"x").to_string() } else { "dd".to_owned() };
            forged.insert(name.clone(), flipped);
            assert_eq!(key.check(ObjectKind::Container, &forged), None, "{name}");
        }
    }
}
