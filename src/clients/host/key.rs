//! The node's own key: proves which objects are this node's, later signs its reports.
//!
//! In: a path. Out: [`NodeKey`]. Effect: reads the file, or makes it on first start.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::clients::host::files::{Durability, sync_parent, write_beside};
use crate::clients::host::{HostError, create_private_dir, read_bounded};

/// A private key with a long comment is below a kilobyte.
const BYTES_MAX: u64 = 16 * 1024;

/// The node's Ed25519 key.
pub struct NodeKey {
    pair: Ed25519Keypair,
    public: String,
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({})", self.public)
    }
}

impl NodeKey {
    /// Reads the key at `path`, in OpenSSH's format; if there is no file, makes one durably with mode
    /// 0600. It never replaces a file.
    ///
    /// # Errors
    /// When it cannot be read or made, others may read it, or it is not a plain Ed25519 key.
    pub fn load_or_create(path: &Path) -> Result<Self, HostError> {
        if let Some(key) = Self::load(path)? {
            return Ok(key);
        }
        create(path)?;
        Self::load(path)?.ok_or_else(|| HostError::unfit(path, "it vanished"))
    }

    /// Reads the key at `path`; none if there is no file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it is not a plain Ed25519 key.
    pub fn load(path: &Path) -> Result<Option<Self>, HostError> {
        let Some(bytes) = read_bounded(path, BYTES_MAX)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let meta = fs::metadata(path).map_err(|source| HostError::io("read", path, source))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(HostError::unfit(path, "others may read this key: `chmod 600` it"));
        }
        let reason = "it is not an OpenSSH private key of type Ed25519 without passphrase";
        let key = PrivateKey::from_openssh(&*bytes).map_err(|_| HostError::unfit(path, reason))?;
        let public = key
            .public_key()
            .to_openssh()
            .map_err(|error| HostError::unfit(path, error.to_string()))?;
        match key.key_data() {
            KeypairData::Ed25519(pair) => Ok(Some(Self { pair: pair.clone(), public })),
            _ => Err(HostError::unfit(path, reason)),
        }
    }

    /// The public half, as OpenSSH writes it: `ssh-ed25519 AAAA… comment`.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The secret that other keys are derived from.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.pair.private.to_bytes())
    }

    /// An armored SSHSIG over `message`, bound to `namespace`.
    ///
    /// # Errors
    /// When the signature cannot be made.
    pub fn sign(&self, namespace: &str, message: &[u8]) -> Result<String, HostError> {
        PrivateKey::new(KeypairData::Ed25519(self.pair.clone()), "")
            .and_then(|key| key.sign(namespace, HashAlg::Sha256, message))
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .map_err(|error| HostError::unfit(Path::new("node key"), error.to_string()))
    }
}

fn create(path: &Path) -> Result<(), HostError> {
    if let Some(folder) = path.parent() {
        create_private_dir(folder)?;
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed)
        .map_err(|source| HostError::io("make", path, std::io::Error::other(source.to_string())))?;
    let key = PrivateKey::new(
        KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed)),
        "tidegate node key",
    )
    .and_then(|key| key.to_openssh(LineEnding::LF))
    .map_err(|error| HostError::unfit(path, error.to_string()))?;
    let temporary = write_beside(path, key.as_bytes(), 0o600, Durability::Durable)?;
    // A link, unlike a rename, never replaces a key that another process made meanwhile.
    let linked = fs::hard_link(&temporary, path);
    let _gone = fs::remove_file(&temporary);
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(HostError::io("make", path, error))
        }
        _ => sync_parent(path),
    }
}
