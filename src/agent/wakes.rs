//! Where triggers come from: files, the engine, signals.
//!
//! In: settings. Out: [`Trigger`]s in a [`Post`]. Effect: watches, a held connection, signal handlers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::agent::AgentError;
use crate::agent::control;
use crate::agent::inbox::Post;
use crate::agent::pace::backoff;
use crate::agent::trigger::Trigger;
use crate::clients::docker::{DockerClient, DockerEvents as _};
use crate::config::{RemoteUrl, Settings};
use crate::telemetry::Chain;

/// First wait before the event stream is asked for again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Watches that last as long as this lives.
#[derive(Debug)]
pub struct Watches {
    _watchers: Vec<RecommendedWatcher>,
}

/// Which of the paths in a watched folder matter.
type Filter = Box<dyn Fn(&Path) -> bool + Send>;

fn extension(wanted: &'static str) -> Filter {
    Box::new(move |path| path.extension().is_some_and(|found| found == wanted))
}

/// Watches the node's configuration, operators' requests, and the repository if it lies here. What
/// cannot be watched is polled anyway.
pub fn watch_files(settings: &Settings, config: &Path, to: &Post) -> Watches {
    let mut watchers = Vec::new();
    let mut add = |paths: Vec<(PathBuf, RecursiveMode)>, trigger: Trigger, of_ours: Filter| {
        let to = to.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            let matters = |event: &notify::Event| {
                !matches!(event.kind, EventKind::Access(_))
                    && event.paths.iter().any(|path| of_ours(path))
            };
            // What cannot be told apart wakes: a look is cheap.
            if event.is_err() || event.as_ref().is_ok_and(matters) {
                to.put(trigger.clone());
            }
        };
        let mut watcher = match notify::recommended_watcher(tell) {
            Ok(watcher) => watcher,
            Err(error) => {
                return warn!(error = %Chain(&error), "files are not watched, only polled");
            }
        };
        for (path, mode) in paths.into_iter().filter(|(path, _)| path.exists()) {
            if let Err(error) = watcher.watch(&path, mode) {
                warn!(error = %Chain(&error), "{} is not watched, only polled", path.display());
            }
        }
        watchers.push(watcher);
    };
    if let RemoteUrl::Path(path) = &settings.repository.remote.url {
        let dir = if path.join(".git").is_dir() { path.join(".git") } else { path.clone() };
        // Pushes and commits end with a reference that is renamed into place. What they write before
        // it, such as locks and the index, would only cost a pass that the reference then waits for.
        let refs = dir.join("refs");
        // A branch `a/b` may begin with a folder that is too young to be watched.
        let branch = PathBuf::from(format!("refs/heads/{}", settings.repository.remote.branch));
        let parts: Vec<PathBuf> = branch
            .ancestors()
            .take_while(|part| part.components().count() > 2)
            .map(Into::into)
            .collect();
        add(
            vec![(dir, RecursiveMode::NonRecursive), (refs, RecursiveMode::Recursive)],
            Trigger::Repository,
            Box::new(move |path| {
                path.ends_with("packed-refs") || parts.iter().any(|part| path.ends_with(part))
            }),
        );
    }
    let folder = config.parent().filter(|dir| !dir.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let drop_ins = drop_ins(config);
    let name = drop_ins.file_name().map(OsStr::to_owned);
    add(
        vec![
            (folder.to_owned(), RecursiveMode::NonRecursive),
            (drop_ins, RecursiveMode::NonRecursive),
        ],
        Trigger::Configuration,
        Box::new(move |path| {
            let is_toml = path.extension().is_some_and(|found| found == "toml");
            // The folder itself came or went.
            is_toml || (path.file_name().is_some() && path.file_name() == name.as_deref())
        }),
    );
    let requests = control::directory(&settings.state_dir);
    add(vec![(requests, RecursiveMode::NonRecursive)], Trigger::Operator, extension("request"));
    Watches { _watchers: watchers }
}

/// The folder of a configuration file's drop-ins.
pub fn drop_ins(config: &Path) -> PathBuf {
    PathBuf::from(format!("{}.d", config.display()))
}

/// Listens to the engine, for ever; a stream that broke may have missed anything.
pub async fn listen(docker: DockerClient, to: Post) {
    let mut n_failures = 0;
    loop {
        let mut events = pin!(docker.events());
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    n_failures = 0;
                    if let Some(trigger) = Trigger::from_event(&event) {
                        to.put(trigger);
                    }
                }
                Err(error) => {
                    debug!(error = %Chain(&error), "the engine's events are lost");
                    break;
                }
            }
        }
        n_failures += 1;
        tokio::time::sleep(backoff(LISTEN_AGAIN, n_failures).min(Duration::from_secs(10))).await;
        to.put(Trigger::EventsLost);
    }
}

/// SIGTERM and Ctrl-C end the agent; SIGHUP wakes it.
///
/// # Errors
/// When the kernel refuses a handler.
pub fn signals(to: Post) -> Result<watch::Receiver<bool>, AgentError> {
    let handler =
        |kind| signal(kind).map_err(|source| AgentError::System { what: "handle signals", source });
    let mut terminate = handler(SignalKind::terminate())?;
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut hangup = handler(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => drop(stop.send(true)),
                _ = interrupt.recv() => drop(stop.send(true)),
                _ = hangup.recv() => to.put(Trigger::Hangup),
            }
        }
    });
    Ok(stopped)
}
