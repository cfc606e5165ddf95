//! Keys of a repository's people, one OpenSSH file each: `DIR/alice`, `DIR/alice.pub`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

/// A key that could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system said no.
    #[error("cannot access `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not an OpenSSH key.
    #[error("`{path}` is not an OpenSSH key without a passphrase")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: ssh_key::Error,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// The keys in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct People {
    dir: PathBuf,
    public: BTreeMap<String, String>,
}

impl People {
    /// Makes an ed25519 key in `dir` for each of `names` that has none there; reads the others.
    pub fn ensure<'a>(
        dir: &Path,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, KeyError> {
        let file = |path: &Path| {
            let path = path.display().to_string();
            move |source| KeyError::File { path, source }
        };
        fs::create_dir_all(dir).map_err(file(dir))?;
        let mut public = BTreeMap::new();
        for name in names {
            let path = dir.join(name);
            let unreadable =
                |source| KeyError::Unreadable { path: path.display().to_string(), source };
            let key = if path.exists() {
                PrivateKey::read_openssh_file(&path).map_err(unreadable)?
            } else {
                let key = new_key(name)?;
                let text = key.to_openssh(LineEnding::LF).map_err(unreadable)?;
                let mut out = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .map_err(file(&path))?;
                out.write_all(text.as_bytes()).map_err(file(&path))?;
                key
            };
            let line = key.public_key().to_openssh().map_err(unreadable)?;
            let beside = dir.join(format!("{name}.pub"));
            fs::write(&beside, format!("{line}\n")).map_err(file(&beside))?;
            public.insert(name.to_owned(), line);
        }
        Ok(Self { dir: dir.to_owned(), public })
    }

    /// A person's public key as trust.toml lists it.
    pub fn public(&self, name: &str) -> Option<&str> {
        self.public.get(name).map(String::as_str)
    }

    /// Where a person's private key lies.
    pub fn private_file(&self, name: &str) -> Option<PathBuf> {
        self.public.contains_key(name).then(|| self.dir.join(name))
    }
}

fn new_key(name: &str) -> Result<PrivateKey, KeyError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|_| KeyError::Random)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, format!("{name}@example.org"))
        .map_err(|source| KeyError::Unreadable { path: name.to_owned(), source })
}
