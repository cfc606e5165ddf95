//! The loop: wait for a trigger, collect what comes with it, run a pass, answer operators.
//!
//! Expected flow: locks → watches → `READY` → pass, wait, pass, … → a signal → the step under way
//! ends → `STOPPING`.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::agent::belief::Origin;
use crate::agent::effects::chance;
use crate::agent::lock::{LockError, StateLock, engine_locks};
use crate::agent::node::{Ask, Node, Report};
use crate::agent::pace::{Bursts, Idle, backoff, jitter};
use crate::agent::trigger::{Trigger, Wake};
use crate::agent::wakes::{TRIGGERS_MAX, listen, signals, watch_files};
use crate::agent::{AgentError, answer, control, systemd};
use crate::clients::docker::{DockerClient, DockerRead as _};
use crate::clients::host::{EngineLock, HostError, create_private_dir};
use crate::config::Settings;
use crate::model::EnvironmentName;
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::Overrides;
use crate::reconcile::report::{Reach, TrustLevel};
use crate::telemetry::Chain;

/// Passes in a row that may panic before the agent gives up and lets systemd start it anew.
const PANICS_MAX: u32 = 3;
/// Time that a pass under way has to come to the end of its step after SIGTERM.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Time that a command which has the state directory for a moment, as `status` and `apply` do, is
/// given to let go of it before the agent does not start.
const STATE_PATIENCE: Duration = Duration::from_secs(3);
/// How often is looked whether it has.
const STATE_LOOK: Duration = Duration::from_millis(50);

/// How the agent was started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its configuration file, watched for changes.
    pub config: PathBuf,
    /// Confines it to one environment's objects.
    pub scope: Option<EnvironmentName>,
}

/// Runs until a signal.
///
/// # Errors
/// When this machine's own files do not work, another agent has the engine, or passes keep panicking.
pub async fn run(settings: Settings, options: &Options) -> Result<(), AgentError> {
    let (to, mut triggers) = mpsc::channel(TRIGGERS_MAX);
    let stop = signals(to.clone())?;
    let mut settings = settings;
    loop {
        let events = DockerClient::new(&settings.engine.socket.to_string_lossy())
            .map_err(AgentError::Engine)?;
        let state = take_state(&settings).await?;
        let mut agent = Agent::open(settings, options, stop.clone())?;
        let watches = watch_files(&agent.node.settings, &options.config, &to);
        // One thread: nothing needs to be sent anywhere.
        let local = tokio::task::LocalSet::new();
        local.spawn_local(listen(events, to.clone()));
        local.spawn_local(systemd::watchdog());
        let next = local.run_until(agent.work(&mut triggers)).await?;
        drop((watches, state));
        match next {
            Some(reloaded) => settings = reloaded,
            None => return Ok(()),
        }
    }
}

/// As [`open_state`], with patience.
async fn take_state(settings: &Settings) -> Result<StateLock, AgentError> {
    let since = Instant::now();
    loop {
        match open_state(settings) {
            Err(AgentError::Lock(LockError::Taken { .. })) if since.elapsed() < STATE_PATIENCE => {
                tokio::time::sleep(STATE_LOOK).await;
            }
            taken => return taken,
        }
    }
}

/// Takes the state directory, and throws away what earlier processes left in it.
///
/// # Errors
/// When another process has it.
pub fn open_state(settings: &Settings) -> Result<StateLock, AgentError> {
    create_private_dir(&settings.state_dir).map_err(AgentError::Host)?;
    let lock = StateLock::take(&settings.state_dir).map_err(AgentError::Lock)?;
    control::clear(&settings.state_dir);
    create_private_dir(&control::directory(&settings.state_dir)).map_err(AgentError::Host)?;
    Ok(lock)
}

struct Agent<'a> {
    node: Node,
    options: &'a Options,
    stop: watch::Receiver<bool>,
    engine: Option<(String, EngineLock)>,
    /// Why the engine does not answer; said once.
    silence: String,
    bursts: Bursts,
    idle: Idle,
    n_panics: u32,
    n_git_failures: u32,
    last_pass: Option<Instant>,
}

impl<'a> Agent<'a> {
    fn open(
        settings: Settings,
        options: &'a Options,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, AgentError> {
        let origin = Origin::repository(&settings)?;
        let node = Node::open(settings, origin)?;
        Ok(Self {
            node,
            options,
            stop,
            engine: None,
            silence: String::new(),
            bursts: Bursts::default(),
            idle: Idle::default(),
            n_panics: 0,
            n_git_failures: 0,
            last_pass: None,
        })
    }

    /// Works until a signal, or until the configuration changed: then the new one is returned.
    async fn work(
        &mut self,
        triggers: &mut mpsc::Receiver<Trigger>,
    ) -> Result<Option<Settings>, AgentError> {
        if self.node.trust() == TrustLevel::None {
            warn!("trust.require is \"none\": whatever the branch points at runs here, UNVERIFIED");
        }
        self.take_engine().await?;
        systemd::ready();
        let mut wake = Wake::by(Trigger::Start);
        let mut next_poll = Instant::now();
        loop {
            if wake.fetches {
                next_poll = Instant::now();
            }
            if wake.reloads
                && let Some(settings) = self.reload()
            {
                return Ok(Some(settings));
            }
            let requeue = self.pass(&wake).await?;
            if *self.stop.borrow() {
                systemd::stopping();
                info!("stopped");
                return Ok(None);
            }
            if wake.fetches {
                next_poll += self.poll_interval();
            }
            let due = requeue.map_or(next_poll, |after| next_poll.min(Instant::now() + after));
            let Some(next) = self.wait(triggers, due, next_poll).await else {
                systemd::stopping();
                info!("stopped");
                return Ok(None);
            };
            wake = next;
        }
    }

    fn poll_interval(&mut self) -> Duration {
        let interval = self.node.settings.repository.interval;
        self.n_git_failures = match self.node.belief.git {
            Reach::Answers => 0,
            Reach::Silent(_) => self.n_git_failures.saturating_add(1),
        };
        jitter(backoff(interval, self.n_git_failures.max(1)), chance())
    }

    /// Sleeps until something happens; none when the agent is to stop.
    async fn wait(
        &mut self,
        triggers: &mut mpsc::Receiver<Trigger>,
        due: Instant,
        next_poll: Instant,
    ) -> Option<Wake> {
        let timer = if due < next_poll { Trigger::Time } else { Trigger::Poll };
        let first = tokio::select! {
            _ = self.stop.changed() => return None,
            Some(trigger) = triggers.recv() => trigger,
            () = tokio::time::sleep_until(due) => timer,
        };
        let mut wake = Wake::by(first);
        let delay = self.bursts.delay(self.last_pass.map(|at| at.elapsed()));
        if !delay.is_zero() {
            tokio::select! {
                _ = self.stop.changed() => return None,
                () = tokio::time::sleep(delay) => {}
            }
        }
        while let Ok(trigger) = triggers.try_recv() {
            wake.add(&trigger);
        }
        Some(wake)
    }

    /// The passes that a wake asks for: one, and one more for each operator's wish.
    async fn pass(&mut self, wake: &Wake) -> Result<Option<Duration>, AgentError> {
        if wake.events_lost {
            // Another engine may answer at the same socket now.
            self.take_engine().await?;
        }
        for id in &wake.changed {
            self.node.state.seen.forget(id);
        }
        if wake.networks_changed {
            self.node.state.seen.forget_networks_and_volumes();
        }
        let asked = control::take(&self.node.settings.state_dir);
        let mut requeue = None;
        if asked.is_empty() || !matches!(wake.first, Trigger::Operator) {
            let ask = Ask {
                trigger: wake.first.to_string(),
                fetches: wake.fetches,
                look: self.idle.next(wake.look),
                overrides: Overrides::default(),
                intent: Intent::Apply,
            };
            requeue = self.guarded(&ask).await?.and_then(|report| report.requeue);
        }
        for asked in asked {
            let wish = answer::before(&mut self.node, &asked.request)?;
            let said = match wish {
                Err(refusal) => refusal,
                Ok(ask) => {
                    let report = self.guarded(&ask).await?;
                    requeue = report.as_ref().and_then(|report| report.requeue);
                    answer::after(report.as_ref(), &asked.request)
                }
            };
            if let Err(error) = control::answer(&self.node.settings.state_dir, &asked, &said) {
                warn!(error = %Chain(&error), "an operator's request cannot be answered");
            }
        }
        self.last_pass = Some(Instant::now());
        Ok(requeue)
    }

    /// A pass that may panic, and that ends with its step when the agent is to stop.
    async fn guarded(&mut self, ask: &Ask) -> Result<Option<Report>, AgentError> {
        if self.engine.is_none() {
            self.take_engine().await?;
        }
        let has_engine = self.engine.is_some();
        let mut stop = self.stop.clone();
        let began = Instant::now();
        let ended = {
            let (node, silence) = (&mut self.node, &self.silence);
            let work = AssertUnwindSafe(async {
                if has_engine { node.pass(ask).await } else { node.pass_blind(ask, silence).await }
            });
            let mut work = std::pin::pin!(work.catch_unwind());
            tokio::select! {
                ended = &mut work => Some(ended),
                _ = stop.wait_for(|stop| *stop) => {
                    info!("stopping when the step under way has ended");
                    tokio::time::timeout(STOP_GRACE, &mut work).await.ok()
                }
            }
        };
        match ended {
            // Every state in between is recognised and finished by the next process.
            None => Ok(None),
            Some(Ok(Ok(report))) => {
                self.n_panics = 0;
                let (ms, n) = (began.elapsed().as_secs_f64() * 1e3, report.outcomes.len());
                debug!(
                    duration_ms = ms,
                    "pass by {}: {ms:.1} ms, services changed: {n}", ask.trigger
                );
                systemd::status(&line(&report));
                Ok(Some(report))
            }
            Some(Ok(Err(error @ (AgentError::Config(_) | AgentError::Lock(_))))) => Err(error),
            Some(Ok(Err(error))) => {
                error!(error = %Chain(&error), "the pass failed: {}", Chain(&error));
                Ok(None)
            }
            Some(Err(_)) => self.panicked(),
        }
    }

    fn panicked(&mut self) -> Result<Option<Report>, AgentError> {
        self.n_panics += 1;
        error!("a pass panicked; what it knew is forgotten");
        self.node.forget();
        if self.n_panics >= PANICS_MAX {
            return Err(AgentError::Panicked { reason: format!("{PANICS_MAX} passes in a row") });
        }
        Ok(None)
    }

    /// Locks the engine that answers at the socket, if one does.
    async fn take_engine(&mut self) -> Result<(), AgentError> {
        let id = match self.node.docker.info().await {
            Ok(info) => info.id,
            Err(error) => {
                let reason = error.message;
                if self.silence != reason {
                    warn!("the engine does not answer: {reason}");
                    self.silence = reason;
                }
                return Ok(());
            }
        };
        self.silence.clear();
        if self.engine.as_ref().is_some_and(|(held, _)| *held == id) {
            return Ok(());
        }
        let scope = self.options.scope.as_ref().or(self.node.settings.scope.as_ref());
        let folder = engine_locks(&self.node.settings.engine.socket, scope);
        let lock = EngineLock::acquire(&folder.map_err(AgentError::Lock)?, &id, scope);
        let lock = lock.map_err(|error: HostError| AgentError::Host(error))?;
        self.engine = Some((id, lock));
        Ok(())
    }

    /// The configuration as it is now, if it is another one and can be used.
    fn reload(&self) -> Option<Settings> {
        match Settings::load(&self.options.config) {
            Ok(settings) if settings == self.node.settings => None,
            Ok(settings) => {
                info!("the configuration has changed");
                Some(settings)
            }
            Err(error) => {
                error!(error = %Chain(&error), "the changed configuration is not used: {error}");
                None
            }
        }
    }
}

/// One line for `systemctl status`.
fn line(report: &Report) -> String {
    use crate::reconcile::report::Sync;
    let status = &report.status;
    let n_synced = status.services.values().filter(|s| s.sync == Sync::Synced).count();
    let applied = status.revision.applied.map_or_else(|| "-".to_owned(), |id| id.short());
    let trouble = match (&status.refused, &status.git, &status.engine) {
        (_, _, Some(_)) => ", engine unreachable",
        (Some(_), ..) => ", tip refused",
        (_, Some(_), _) => ", git unreachable",
        _ => "",
    };
    format!("applied {applied}, {n_synced} of {} services in sync{trouble}", status.services.len())
}

/// One pass by hand, in a process of its own.
///
/// # Errors
/// When this machine's own files do not work, or another agent has the engine.
pub async fn once(
    node: &mut Node,
    scope: Option<&EnvironmentName>,
    ask: &Ask,
) -> Result<Report, AgentError> {
    let id = match node.docker.info().await {
        Ok(info) => info.id,
        Err(error) => {
            return node.pass_blind(ask, &error.message).await;
        }
    };
    let scope = scope.or(node.settings.scope.as_ref());
    let folder = engine_locks(&node.settings.engine.socket, scope).map_err(AgentError::Lock)?;
    let _lock = EngineLock::acquire(&folder, &id, scope).map_err(AgentError::Host)?;
    node.pass(ask).await
}
