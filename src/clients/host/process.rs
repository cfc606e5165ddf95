//! Programs of the host: argv, a time limit, a cap on what is read. No shell, ever.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

/// Longer than any of them takes; what hangs is killed.
const TIME_MAX: Duration = Duration::from_secs(60);
/// More than a package list of a large host.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Where programs are looked for, whatever this process was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Whether it exited 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// Its exit code; none if it was killed.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// What it wrote to standard output.
    pub fn out(&self) -> &str {
        &self.out
    }

    /// The last line it wrote to standard error, or else to standard output.
    pub fn last_words(&self) -> &str {
        let of = |text: &str| text.rfind('\n').map_or(0, |at| at + 1);
        let err = self.err.trim_end();
        if err.is_empty() {
            let out = self.out.trim_end();
            return &out[of(out)..];
        }
        &err[of(err)..]
    }
}

/// A program that could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not installed.
    #[error("`{program}` is not installed")]
    Missing {
        /// Which.
        program: String,
    },
    /// It took too long and was killed.
    #[error("`{program}` took longer than {} s and was ended", TIME_MAX.as_secs())]
    Slow {
        /// Which.
        program: String,
    },
    /// It could not be started or heard.
    #[error("cannot run `{program}`")]
    Io {
        /// Which.
        program: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Runs a program of this machine with a plain environment.
///
/// # Errors
/// When it is not there, cannot be run, or takes too long. What it exits with is in [`Ran`].
pub async fn run(argv: &[&str]) -> Result<Ran, ProcessError> {
    let [program, rest @ ..] = argv else {
        return Err(ProcessError::Missing { program: String::new() });
    };
    let failed = |source| ProcessError::Io { program: (*program).to_owned(), source };
    let mut child = Command::new(program)
        .args(rest)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                ProcessError::Missing { program: (*program).to_owned() }
            }
            _ => failed(source),
        })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let whole = async {
        let (out, err) = tokio::join!(bounded(stdout), bounded(stderr));
        let status = child.wait().await?;
        Ok(Ran { code: status.code(), out: out?, err: err? })
    };
    match tokio::time::timeout(TIME_MAX, whole).await {
        Ok(ran) => ran.map_err(failed),
        Err(_) => Err(ProcessError::Slow { program: (*program).to_owned() }),
    }
}

/// Reads to the end and keeps the first [`BYTES_MAX`]: a pipe that nobody reads would block.
async fn bounded(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut bytes = Vec::new();
    (&mut stream).take(BYTES_MAX).read_to_end(&mut bytes).await?;
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
