//! Starts the fetching child, waits for it within its deadlines, ends it.
//!
//! In: a remote, what is known and what the store has. Out: the tip, in a quarantine. Effect: runs a
//! process.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Take};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use crate::clients::git::protocol::{Line, Order};
use crate::clients::git::{
    FailureKind, FetchLimits, GitError, NodeStore, Outcome, Quarantine, child,
};
use crate::clients::host::{HostError, read_bounded, write_file};
use crate::config::{Remote, RemoteUrl};
use crate::model::CommitId;

/// Keys, passwords and lists of hosts are small.
const SECRET_BYTES_MAX: u64 = 256 * 1024;
/// All that the child may say: four lines of progress a second, for as long as it may run.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// Each adopted fetch adds a pack, and each lookup may ask every pack.
const PACKS_MAX: usize = 50;

/// Where no TLS is spoken: libgit2 would read every authority of the system at its start.
const NO_AUTHORITIES: &str = "/dev/null";

/// The program that is run again as the child, and its limits.
#[derive(Debug, Clone)]
pub struct FetchProgram {
    /// This executable.
    pub executable: PathBuf,
    /// What a fetch may take.
    pub limits: FetchLimits,
}

impl FetchProgram {
    /// This very executable (also after it was replaced on disk), with the limits of the manual.
    pub fn current() -> Self {
        Self { executable: "/proc/self/exe".into(), limits: FetchLimits::default() }
    }
}

/// What is wanted of a remote.
#[derive(Debug, Clone)]
pub struct FetchWish<'a> {
    /// The remote.
    pub remote: &'a Remote,
    /// The tip that needs no fetching.
    pub known: Option<CommitId>,
    /// Commits that the store has, so that they are not sent again.
    pub haves: Vec<CommitId>,
}

/// Fetches into a new quarantine of `store`. The quarantine is empty, and not worth keeping, when the
/// tip is unchanged.
///
/// # Errors
/// When the remote cannot be read within its limits. Nothing was changed then.
pub async fn fetch(
    program: &FetchProgram,
    store: &NodeStore,
    wish: &FetchWish<'_>,
) -> Result<(Outcome, Quarantine), GitError> {
    let quarantine = store.quarantine()?;
    if let Some(path) = &wish.remote.known_hosts {
        // libgit2 also chooses the kind of key it asks for by this file.
        let known_hosts = read_needed(path)?;
        write_file(&quarantine.home().join(".ssh/known_hosts"), &known_hosts, 0o600)?;
    }
    let order = order(program, store, wish, &quarantine)?;
    let outcome = run(program, &quarantine, &order, authorities(wish.remote)).await?;
    Ok((outcome, quarantine))
}

/// Rewrites the store as one pack with what `roots` need, when it has more than [`PACKS_MAX`] packs.
/// Gives whether it did.
///
/// # Errors
/// When it cannot; the store is as good as before then.
pub async fn consolidate(
    program: &FetchProgram,
    store: &NodeStore,
    roots: &[CommitId],
) -> Result<bool, GitError> {
    let packs = store.packs()?;
    if packs.len() <= PACKS_MAX || roots.is_empty() {
        return Ok(false);
    }
    let quarantine = store.quarantine()?;
    let order = Order {
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        url: store.repository().display().to_string(),
        branch: String::new(),
        known: None,
        haves: Vec::new(),
        roots: roots.to_vec(),
        objects: store.objects(),
        quarantine: quarantine.repository(),
        known_hosts: None,
        identity: None,
        credentials: None,
        proxy: None,
        limits: program.limits.clone(),
    };
    run(program, &quarantine, &order, Some(Path::new(NO_AUTHORITIES))).await?;
    quarantine.adopt()?;
    store.remove_packs(&packs)?;
    Ok(true)
}

/// The file of certificate authorities; none for those of the system.
fn authorities(remote: &Remote) -> Option<&Path> {
    match remote.url {
        RemoteUrl::Path(_) => Some(Path::new(NO_AUTHORITIES)),
        _ => remote.ca.as_deref(),
    }
}

/// Starts the child, and ends it in any case.
async fn run(
    program: &FetchProgram,
    quarantine: &Quarantine,
    order: &Order,
    ca: Option<&Path>,
) -> Result<Outcome, GitError> {
    // The owner may be another user: whom the commits are from is decided by their signatures.
    let config = b"[safe]\n\tdirectory = *\n[http]\n\tfollowRedirects = false\n";
    let home = quarantine.home();
    write_file(&home.join(".gitconfig"), config, 0o600)?;
    let order = serde_json::to_vec(order).map(Zeroizing::new).map_err(|_| GitError::Nonsense)?;
    let mut child = start(program, &home, ca)?;
    let outcome = converse(program, &mut child, order).await;
    // Whatever it said, it has nothing more to do here.
    let _gone = child.start_kill();
    let status = child.wait().await.map_err(GitError::Start)?;
    outcome?.ok_or_else(|| GitError::Died {
        how: describe(status),
        memory_bytes_max: program.limits.memory_bytes_max,
    })
}

fn order(
    program: &FetchProgram,
    store: &NodeStore,
    wish: &FetchWish<'_>,
    quarantine: &Quarantine,
) -> Result<Order, GitError> {
    let remote = wish.remote;
    let text = |path: &Option<PathBuf>| path.as_deref().map(read_text).transpose();
    let secret = |path: &Option<PathBuf>| path.as_deref().map(read_secret).transpose();
    let credentials = secret(&remote.credentials)?.map(|text| {
        let line = text.lines().next().unwrap_or_default();
        let (user, password) = line.split_once(':').unwrap_or(("git", line));
        (user.to_owned(), password.to_owned())
    });
    let url = match &remote.url {
        RemoteUrl::Path(path) => path.display().to_string(),
        other => other.to_string(),
    };
    Ok(Order {
        parent: rustix::process::getpid().as_raw_nonzero().get(),
        url,
        branch: remote.branch.as_str().to_owned(),
        known: wish.known,
        haves: wish.haves.clone(),
        roots: Vec::new(),
        objects: store.objects(),
        quarantine: quarantine.repository(),
        known_hosts: text(&remote.known_hosts)?,
        identity: secret(&remote.identity)?,
        credentials,
        proxy: remote.proxy.clone(),
        limits: program.limits.clone(),
    })
}

fn read_needed(path: &Path) -> Result<Vec<u8>, GitError> {
    let missing = || HostError::unfit(path, "there is no such file");
    Ok(read_bounded(path, SECRET_BYTES_MAX)?.ok_or_else(missing)?)
}

fn read_text(path: &Path) -> Result<String, GitError> {
    let bytes = read_needed(path)?;
    String::from_utf8(bytes).map_err(|_| HostError::unfit(path, "it is not UTF-8").into())
}

fn read_secret(path: &Path) -> Result<String, GitError> {
    let text = read_text(path)?;
    let meta = path.metadata().map_err(|source| HostError::io("read", path, source))?;
    if meta.permissions().mode() & 0o007 != 0 {
        return Err(HostError::unfit(path, "everybody may read this secret: `chmod o=` it").into());
    }
    Ok(text)
}

fn start(program: &FetchProgram, home: &Path, ca: Option<&Path>) -> Result<Child, GitError> {
    let mut command = Command::new(&program.executable);
    command.arg(child::SUBCOMMAND).env_clear().env("HOME", home).current_dir(home);
    if let Some(ca) = ca {
        // The only authorities: an empty folder keeps the system's out.
        command.env("SSL_CERT_FILE", ca).env("SSL_CERT_DIR", home.join(".ssh"));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().map_err(GitError::Start)
}

/// Gives the order and reads until the answer; none if the child ends without one.
async fn converse(
    program: &FetchProgram,
    child: &mut Child,
    order: Zeroizing<Vec<u8>>,
) -> Result<Option<Outcome>, GitError> {
    let limits = &program.limits;
    let end = Instant::now() + limits.total;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(GitError::Nonsense);
    };
    // A child that does not read its order is noticed below.
    let _written = timeout(limits.idle, give(stdin, &order)).await;
    drop(order);
    let mut answers = BufReader::new(stdout.take(ANSWER_BYTES_MAX));
    let mut bytes_before = None;
    let mut idle_end = Instant::now() + limits.idle;
    loop {
        let read = timeout_at(idle_end.min(end), next(&mut answers)).await;
        match read {
            Err(_) if Instant::now() >= end => {
                return Err(GitError::TooSlow { after: limits.total });
            }
            Err(_) => return Err(GitError::Idle { after: limits.idle }),
            Ok(None) => return Ok(None),
            Ok(Some(Line::Done(outcome))) => return Ok(Some(outcome)),
            Ok(Some(Line::Failed { kind, message })) => {
                return Err(GitError::Refused { kind, message });
            }
            Ok(Some(Line::Progress { bytes })) => {
                if bytes_before != Some(bytes) {
                    bytes_before = Some(bytes);
                    idle_end = Instant::now() + limits.idle;
                }
            }
        }
    }
}

async fn give(mut stdin: ChildStdin, order: &[u8]) -> std::io::Result<()> {
    stdin.write_all(order).await?;
    stdin.shutdown().await
}

async fn next(answers: &mut BufReader<Take<ChildStdout>>) -> Option<Line> {
    let mut line = String::new();
    answers.read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "an unknown cause".to_owned(),
    }
}

impl GitError {
    /// Whether waiting may help, without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Idle { .. } | Self::TooSlow { .. } | Self::Start(_) => true,
            Self::Refused { kind, .. } => {
                matches!(kind, FailureKind::Unreachable | FailureKind::Storage)
            }
            Self::Host(_) | Self::Died { .. } | Self::Nonsense => false,
        }
    }
}
