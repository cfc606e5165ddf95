//! Programs of the host: argv, a time limit, a cap on what is read. No shell, ever.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::clients::host::HostRoot;

/// Longer than any program takes that only looks; what hangs is ended.
pub const LOOK_TIME_MAX: Duration = Duration::from_secs(60);
/// Longer than it takes to change what one rule asks for. Package managers may be given another time.
pub const CHANGE_TIME_MAX: Duration = Duration::from_secs(300);
/// What is ended may put away its locks for so long before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// What a program leaves running may keep its output open: it is not waited for longer.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(1);
/// More than a package list of a large host.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Where programs are looked for, whatever this process was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Runs a program below a folder.
const CHROOT: &str = "chroot";
/// What it exits with when it cannot enter the folder, cannot start the program, or finds none.
const NOT_ENTERED: i32 = 125;
const NOT_STARTED: i32 = 126;
const NOT_FOUND: i32 = 127;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    program: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Whether it exited 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// What it said, if it succeeded.
    ///
    /// # Errors
    /// When it did not.
    pub fn well(self) -> Result<Self, ProcessError> {
        if self.succeeded() {
            return Ok(self);
        }
        let words = match self.last_words() {
            "" => self.code.map_or("it was killed".to_owned(), |code| format!("it exited {code}")),
            words => words.to_owned(),
        };
        Err(ProcessError::Failed { program: self.program, words })
    }

    /// Its exit code; none if it was killed.
    pub fn code(&self) -> Option<i32> {
        self.code
    }

    /// What it wrote to standard output.
    pub fn out(&self) -> &str {
        &self.out
    }

    /// What it wrote to standard error.
    pub fn err(&self) -> &str {
        &self.err
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
    /// It took too long and was ended.
    #[error("`{program}` took longer than {} s and was ended", time_max.as_secs())]
    Slow {
        /// Which.
        program: String,
        /// How long it was given.
        time_max: Duration,
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
    /// It said that something is wrong.
    #[error("`{program}` failed: {words}")]
    Failed {
        /// Which.
        program: String,
        /// Its last words.
        words: String,
    },
}

/// A program with everything that it is given.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its name and arguments.
    pub argv: &'a [&'a str],
    /// What it reads from standard input.
    pub input: &'a [u8],
    /// When it is ended.
    pub time_max: Duration,
}

impl<'a> Program<'a> {
    /// One that only looks.
    pub fn looking(argv: &'a [&'a str]) -> Self {
        Self { argv, input: &[], time_max: LOOK_TIME_MAX }
    }

    /// One that changes something.
    pub fn changing(argv: &'a [&'a str]) -> Self {
        Self { argv, input: &[], time_max: CHANGE_TIME_MAX }
    }

    /// Runs it on this machine and waits for it, whether or not a runtime is about.
    pub(crate) fn run_here(self) -> Result<Ran, ProcessError> {
        let failed = |source| ProcessError::Io { program: self.name(), source };
        let within = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(failed)?.block_on(start(self))
        };
        let ended = std::thread::scope(|scope| scope.spawn(within).join());
        ended.unwrap_or_else(|_| Err(failed(std::io::Error::other("it could not be waited for"))))
    }

    fn name(&self) -> String {
        self.argv.first().map(|&name| name.to_owned()).unwrap_or_default()
    }
}

impl HostRoot {
    /// Runs a program of this host; waits for it. A folder that stands for a host has programs of
    /// its own, which see nothing but that folder.
    ///
    /// # Errors
    /// When it is not there, cannot be run, or takes too long. What it exits with is in [`Ran`].
    pub fn run(&self, program: Program<'_>) -> Result<Ran, ProcessError> {
        if self.is_this_machine() {
            return program.run_here();
        }
        let folder = self.folder().to_string_lossy();
        let argv = [&[CHROOT, &folder][..], program.argv].concat();
        let mut ran = Program { argv: &argv, ..program }.run_here()?;
        ran.program = program.name();
        if ran.err.starts_with("chroot:") {
            match ran.code {
                Some(NOT_FOUND) => return Err(ProcessError::Missing { program: program.name() }),
                Some(NOT_ENTERED | NOT_STARTED) => return ran.well(),
                _ => {}
            }
        }
        Ok(ran)
    }

    /// The same for a program that must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn run_well(&self, program: Program<'_>) -> Result<Ran, ProcessError> {
        self.run(program)?.well()
    }
}

/// Runs a program of this machine that only looks, with a plain environment.
///
/// # Errors
/// When it is not there, cannot be run, or takes too long. What it exits with is in [`Ran`].
pub async fn run(argv: &[&str]) -> Result<Ran, ProcessError> {
    start(Program::looking(argv)).await
}

async fn start(program: Program<'_>) -> Result<Ran, ProcessError> {
    let Program { argv: [name, rest @ ..], input, time_max } = program else {
        return Err(ProcessError::Missing { program: String::new() });
    };
    let failed = |source| ProcessError::Io { program: program.name(), source };
    let mut command = Command::new(name);
    command.env_clear();
    if *name == CHROOT {
        // What systemctl does below a folder concerns that folder alone.
        command.env("SYSTEMD_OFFLINE", "1");
    }
    let mut child = command
        .args(rest)
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .current_dir("/")
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C ends this program, not a package manager that is half done.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => ProcessError::Missing { program: program.name() },
            _ => failed(source),
        })?;
    let ended = tokio::time::timeout(time_max, whole(&mut child, input)).await;
    if let Ok(ran) = ended {
        let (status, out, err) = ran.map_err(failed)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&out), text(&err));
        return Ok(Ran { program: program.name(), code: status.code(), out, err });
    }
    end(&mut child).await;
    Err(ProcessError::Slow { program: program.name(), time_max })
}

/// How it ended, and both of its outputs.
async fn whole(child: &mut Child, input: &[u8]) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let status = {
        let fed = async {
            if let Some(mut stdin) = stdin {
                // A program that has seen enough closes it.
                let _closed = stdin.write_all(input).await;
            }
        };
        let heard = async {
            tokio::join!(fed, bounded(stdout, &mut out), bounded(stderr, &mut err));
        };
        tokio::pin!(heard);
        tokio::select! {
            () = &mut heard => child.wait().await?,
            status = child.wait() => {
                let _left_open = tokio::time::timeout(LAST_WORDS_TIME_MAX, heard).await;
                status?
            }
        }
    };
    Ok((status, out, err))
}

/// Reads to the end and keeps the first [`BYTES_MAX`]: a pipe that nobody reads would block.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    if (&mut stream).take(BYTES_MAX).read_to_end(bytes).await.is_ok() {
        let _end = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

/// Ends a program with all that it started: asked first, then killed.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(group) = group else { return };
    let _gone = rustix::process::kill_process_group(group, Signal::TERM);
    let _ended = tokio::time::timeout(GRACE, child.wait()).await;
    let _gone = rustix::process::kill_process_group(group, Signal::KILL);
}
