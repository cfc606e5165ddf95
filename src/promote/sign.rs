//! Signing a commit's bytes with a person's key, as the user's git configuration says.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ssh_key::private::KeypairData;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

/// What git signs commits under.
const NAMESPACE_COMMIT: &str = "git";
/// What approvals are signed under (TRUST.md, "Approvals").
pub const NAMESPACE_APPROVAL: &str = "promote@tidegate";

/// A signature that was not made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The configuration names no key.
    #[error("git is not told which key to sign with")]
    NoKey,
    /// A format other than `ssh` and `openpgp`.
    #[error("git is told to sign as `{0}`; write `ssh` or `openpgp`")]
    Format(String),
    /// The key could not be read or used.
    #[error("cannot sign with `{key}`")]
    Key {
        /// The key file.
        key: String,
        /// Why.
        #[source]
        source: ssh_key::Error,
    },
    /// The signing program could not be run.
    #[error("cannot run `{program}`")]
    Program {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Approvals are SSH signatures.
    #[error("approvals are signed with SSH keys, and git is told to sign with OpenPGP")]
    NotSsh,
    /// The signing program said no.
    #[error("`{program}` did not sign: {message}")]
    Refused {
        /// The program.
        program: String,
        /// Its last words.
        message: String,
    },
}

/// Who signs.
pub enum Signer {
    /// An unencrypted OpenSSH private key, used in this process.
    Key(Box<PrivateKey>),
    /// A key that only `ssh-keygen` can use: encrypted, in the agent, or on a security key.
    SshKeygen {
        /// `gpg.ssh.program`, else `ssh-keygen`.
        program: String,
        /// The private key, or the public key of one in the agent.
        key: PathBuf,
    },
    /// A key of the agent that the configuration holds itself (`key::ssh-ed25519 …`).
    Agent {
        /// `gpg.ssh.program`, else `ssh-keygen`.
        program: String,
        /// The public key.
        key: String,
    },
    /// A key of the user's OpenPGP keyring.
    Gpg {
        /// `gpg.program`, else `gpg`.
        program: String,
        /// Which one.
        key: String,
    },
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => write!(f, "Key({})", key.fingerprint(HashAlg::Sha256)),
            Self::SshKeygen { key, .. } => f.debug_tuple("SshKeygen").field(key).finish(),
            Self::Agent { key, .. } => f.debug_tuple("Agent").field(key).finish(),
            Self::Gpg { key, .. } => f.debug_tuple("Gpg").field(key).finish(),
        }
    }
}

impl Signer {
    /// The key in `file`.
    pub fn from_file(file: &Path) -> Result<Self, SignError> {
        PrivateKey::read_openssh_file(file)
            .map(|key| Self::Key(Box::new(key)))
            .map_err(|source| SignError::Key { key: file.display().to_string(), source })
    }

    /// Whom git is told to sign as: `gpg.format` and `user.signingkey`, asked through `config`. As with
    /// git, OpenPGP without a key is the committer's, and SSH without one is for
    /// `gpg.ssh.defaultKeyCommand` to say.
    pub fn from_git(
        config: impl Fn(&str) -> Option<String>,
        home: Option<&Path>,
    ) -> Result<Self, SignError> {
        let format = config("gpg.format").unwrap_or_else(|| "openpgp".to_owned());
        let program = |name: &str, usual: &str| config(name).unwrap_or_else(|| usual.to_owned());
        match (format.as_str(), named_key(&format, &config)?) {
            ("ssh", Some(key)) => {
                let own_program = config("gpg.ssh.program");
                let program = own_program.clone().unwrap_or_else(|| "ssh-keygen".to_owned());
                let literal = key.strip_prefix("key::").unwrap_or(&key);
                if literal.parse::<ssh_key::PublicKey>().is_ok() {
                    return Ok(Self::Agent { program, key: literal.to_owned() });
                }
                let path = expand(&key, home);
                let private = path.with_extension("");
                let is_public = path.extension().is_some_and(|e| e == "pub");
                let file = if is_public && private.exists() { &private } else { &path };
                match Self::from_file(file) {
                    Ok(Self::Key(key)) if is_whole(&key) && own_program.is_none() => {
                        Ok(Self::Key(key))
                    }
                    _ => Ok(Self::SshKeygen { program, key: path }),
                }
            }
            ("openpgp", Some(key)) => {
                let usual = program("gpg.program", "gpg");
                Ok(Self::Gpg { program: program("gpg.openpgp.program", &usual), key })
            }
            ("ssh" | "openpgp", None) => Err(SignError::NoKey),
            (other, _) => Err(SignError::Format(other.to_owned())),
        }
    }

    /// An armored signature over a commit's `payload`.
    pub fn sign(&self, payload: &[u8]) -> Result<String, SignError> {
        self.sign_as(NAMESPACE_COMMIT, payload)
    }

    /// An armored signature over `payload` in an SSH namespace.
    pub fn sign_as(&self, namespace: &str, payload: &[u8]) -> Result<String, SignError> {
        match self {
            Self::Key(key) => {
                let failed = |source| SignError::Key {
                    key: key.fingerprint(HashAlg::Sha256).to_string(),
                    source,
                };
                let signature = key.sign(namespace, HashAlg::Sha512, payload).map_err(failed)?;
                signature.to_pem(LineEnding::LF).map_err(failed)
            }
            Self::SshKeygen { program, key } => {
                let mut command = Command::new(program);
                command.args(["-Y", "sign", "-n", namespace, "-f"]).arg(key);
                run(program, command, payload)
            }
            Self::Agent { program, key } => {
                let file = PublicKeyFile::write(key)
                    .map_err(|source| SignError::Program { program: program.clone(), source })?;
                let mut command = Command::new(program);
                command.args(["-Y", "sign", "-n", namespace, "-U", "-f"]).arg(&file.0);
                run(program, command, payload)
            }
            Self::Gpg { .. } if namespace != NAMESPACE_COMMIT => Err(SignError::NotSsh),
            Self::Gpg { program, key } => {
                let mut command = Command::new(program);
                command.args(["--batch", "--armor", "--detach-sign", "--local-user", key]);
                run(program, command, payload)
            }
        }
    }
}

/// Whether a key's file is all that signing needs: no passphrase, and no security key's touch.
fn is_whole(key: &PrivateKey) -> bool {
    let data = key.key_data();
    !matches!(
        data,
        KeypairData::Encrypted(_) | KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_)
    )
}

/// The key that the configuration names, or lets a command name.
fn named_key(
    format: &str,
    config: &impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, SignError> {
    if let Some(key) = config("user.signingkey").filter(|key| !key.is_empty()) {
        return Ok(Some(key));
    }
    if format != "ssh" {
        return Ok(config("user.email"));
    }
    let Some(text) = config("gpg.ssh.defaultKeyCommand") else { return Ok(None) };
    let mut command = Command::new("sh");
    command.args(["-c", &text]);
    let said = run(&text, command, b"")?;
    // Git takes the first key of its agent so: `ssh-add -L`.
    Ok(said.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()))
}

/// A public key where `ssh-keygen` can read it; removed when dropped.
struct PublicKeyFile(PathBuf);

impl PublicKeyFile {
    fn write(key: &str) -> std::io::Result<Self> {
        let mut nonce = [0; 8];
        getrandom::fill(&mut nonce).map_err(|error| std::io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("tidegate-{}.pub", hex::encode(nonce)));
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?
            .write_all(format!("{key}\n").as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for PublicKeyFile {
    fn drop(&mut self) {
        // A public key that stays behind harms nobody.
        let _gone = std::fs::remove_file(&self.0);
    }
}

/// Runs a signing program: `payload` in, the signature out.
fn run(program: &str, mut command: Command, payload: &[u8]) -> Result<String, SignError> {
    let failed = |source| SignError::Program { program: program.to_owned(), source };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading says by itself what it thinks of it.
        let _unread = stdin.write_all(payload);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(SignError::Refused { program: program.to_owned(), message: last.trim().to_owned() })
}

/// The public key that git is told to sign with, as trust.toml lists it; SSH keys alone.
pub fn public_key(config: impl Fn(&str) -> Option<String>, home: Option<&Path>) -> Option<String> {
    if config("gpg.format")? != "ssh" {
        return None;
    }
    let key = named_key("ssh", &config).ok()??;
    let literal = key.strip_prefix("key::").unwrap_or(&key);
    if let Ok(key) = literal.parse::<ssh_key::PublicKey>() {
        return key.to_openssh().ok();
    }
    let path = expand(&key, home);
    let beside = PathBuf::from(format!("{}.pub", path.display()));
    [beside, path].iter().find_map(|file| {
        ssh_key::PublicKey::read_openssh_file(file).ok().and_then(|key| key.to_openssh().ok())
    })
}

fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}
