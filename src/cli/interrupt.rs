//! Ctrl-C, and SIGTERM of a check: at once where nothing is under way, else after what is.
//!
//! In: SIGINT, SIGTERM. Out: a flag, or the end of the process with the exit code 130. Effect: a thread that
//! waits for the signal.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::agent::brake::Brake;
use crate::cli::context::{Context, Verbosity, block_on};
use crate::cli::error::{CommandError, ErrorKind};

/// Time that what is under way has to end after Ctrl-C.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Time in which Ctrl-C is surely noticed.
const NOTICED: Duration = Duration::from_millis(300);

/// Listens for Ctrl-C as long as the process lives.
#[derive(Debug)]
pub struct Interrupts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Something is under way that should not be cut off.
    is_busy: AtomicBool,
    stop: Arc<AtomicBool>,
    cut: Notify,
}

impl Interrupts {
    /// Begins to listen.
    pub fn listen(ctx: &Context) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let (theirs, verbosity) = (Arc::clone(&shared), ctx.verbosity);
        // It ends with the process. Where there can be no further thread, Ctrl-C just ends it.
        std::thread::spawn(move || block_on(theirs.wait(verbosity)));
        Self(shared)
    }

    /// Set by Ctrl-C while something is under way: nothing more should be begun.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.stop)
    }

    /// Whether Ctrl-C came while something was under way.
    pub fn is_asked(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// The same after a failure: a child that heard Ctrl-C as well may have ended before it was
    /// noticed here.
    pub fn was_asked(&self) -> bool {
        if !self.is_asked() {
            std::thread::park_timeout(NOTICED);
        }
        self.is_asked()
    }

    /// Ready when what is under way had long enough to end.
    pub async fn cut(&self) {
        self.0.cut.notified().await;
    }

    /// Does what is not cut off by the first Ctrl-C.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.is_busy.store(true, Ordering::Relaxed);
        let result = work();
        self.0.is_busy.store(false, Ordering::Relaxed);
        result
    }

    /// What a command ends with.
    pub fn error() -> CommandError {
        CommandError::new(ErrorKind::Interrupted, "interrupted")
            .hint("run it again: it goes on where it was")
    }
}

/// SIGTERM ends this process as soon as no fix is under way.
pub fn end_between_fixes(brake: Arc<Brake>) {
    // It ends with the process.
    std::thread::spawn(move || block_on(ended_between_fixes(brake)));
}

async fn ended_between_fixes(brake: Arc<Brake>) -> Result<(), CommandError> {
    signal(SignalKind::terminate())?.recv().await;
    brake.stop();
    end()
}

/// Nothing is under way that returning through main would save.
#[expect(clippy::disallowed_methods, reason = "the thread that works may be waiting for good")]
fn end() -> ! {
    std::process::exit(i32::from(ErrorKind::Interrupted.code()))
}

impl Shared {
    async fn wait(&self, verbosity: Verbosity) -> Result<(), CommandError> {
        ctrl_c().await?;
        if !self.is_busy.load(Ordering::Relaxed) {
            end();
        }
        self.stop.store(true, Ordering::Relaxed);
        if verbosity > Verbosity::Quiet {
            let line = "stopping with what is under way; again to stop at once";
            // Nobody reads standard error: nothing is lost.
            drop(writeln!(std::io::stderr(), "{line}"));
        }
        tokio::select! {
            _ = ctrl_c() => end(),
            () = sleep(STOP_GRACE) => self.cut.notify_one(),
        }
        ctrl_c().await?;
        end()
    }
}
