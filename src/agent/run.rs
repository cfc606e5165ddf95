//! The loop: wait for a trigger, collect what comes with it, run a pass, answer operators.
//!
//! Expected flow: locks → watches → `READY` → pass, wait, pass, … → a signal → `STOPPING` → the
//! steps under way end.
//!
//! A pass is over when nothing is under way any more or when there is news, whatever comes first;
//! while it waits for news, the agent works on what is under way.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::agent::belief::Origin;
use crate::agent::checker::Checker;
use crate::agent::desk::{self, Desk};
use crate::agent::effects::chance;
use crate::agent::engine::Held;
use crate::agent::inbox::Inbox;
use crate::agent::lock::Presence;
use crate::agent::node::{Ask, Node};
use crate::agent::pace::{Bursts, Idle, backoff, jitter};
use crate::agent::port::Port;
use crate::agent::promoter::Promoter;
use crate::agent::reload::{Kept, Reload, say_unused};
use crate::agent::state::take_state;
use crate::agent::trigger::{Trigger, Wake};
use crate::agent::wakes::{listen, signals, watch_files};
use crate::agent::{AgentError, answer, control, systemd};
use crate::clients::docker::DockerClient;
use crate::config::Settings;
use crate::model::EnvironmentName;
use crate::reconcile::pass::Intent;
use crate::reconcile::plan::Overrides;
use crate::reconcile::report::{End, Reach, TrustLevel};
use crate::telemetry::Chain;

/// Passes in a row that may panic before the agent gives up and lets systemd start it anew.
const PANICS_MAX: u32 = 3;
/// Time that steps under way have to end after SIGTERM; those that take longer by nature do not
/// wait for their end. What is left then is recognised by the next process.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

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
pub async fn run(mut settings: Settings, options: &Options) -> Result<(), AgentError> {
    let (to, mut inbox) = Inbox::new();
    let stop = signals(to.clone())?;
    let mut before: Option<(Checker, Kept, Option<Port>)> = None;
    // The configuration that was in force before, and one that is of no use.
    let (mut old, mut useless) = (None, None);
    let mut held = Held::default();
    loop {
        let (mut agent, events) = match Agent::open(&settings, options, &stop, &mut held).await {
            Ok(opened) => opened,
            Err(error) => {
                let Some(old) = old.take() else { return Err(error) };
                useless = Some((std::mem::replace(&mut settings, old), say_unused(&error)));
                continue;
            }
        };
        if let Some((useless, reason)) = useless.take() {
            agent.reload.tried_in_vain(useless);
            agent.node.unused = Reach::Silent(reason);
        }
        agent.port = match before.take() {
            None => Port::open(&settings)?,
            Some((checker, kept, port)) => {
                agent.checker.take_over(checker);
                kept.give(&mut agent.node);
                let (port, metrics) = Port::change(&settings, port);
                agent.node.metrics = metrics;
                port
            }
        };
        agent.node.meter = agent.port.as_ref().map(|port| Rc::clone(&port.meter));
        let watches = watch_files(&agent.node.settings, &options.config, &to);
        // One thread: nothing needs to be sent anywhere.
        let local = tokio::task::LocalSet::new();
        local.spawn_local(listen(events, to.clone()));
        local.spawn_local(systemd::watchdog());
        if let Some(port) = agent.port.clone() {
            local.spawn_local(port.answer());
        }
        let next = local.run_until(agent.work(&mut inbox)).await;
        if !matches!(next, Ok(Some(_))) {
            local.run_until(agent.checker.stop()).await;
        }
        let Some(reloaded) = next? else { return Ok(()) };
        drop(watches);
        old = Some(std::mem::replace(&mut settings, reloaded));
        before = Some((agent.checker, Kept::of(agent.node), agent.port));
        held = agent.held;
    }
}

/// What came of work, if it did not panic.
type Caught<T> = std::thread::Result<Result<T, AgentError>>;

struct Agent<'a> {
    node: Node,
    options: &'a Options,
    stop: watch::Receiver<bool>,
    held: Held,
    bursts: Bursts,
    idle: Idle,
    n_panics: u32,
    n_git_failures: u32,
    last_pass: Option<Instant>,
    reload: Reload,
    desk: Desk,
    presence: Presence,
    promoter: Promoter,
    checker: Checker,
    port: Option<Port>,
}

impl<'a> Agent<'a> {
    /// Takes everything that the settings name, out of what is `held` already where that is the same;
    /// with it, who listens to the engine. What fails takes nothing out.
    async fn open(
        settings: &Settings,
        options: &'a Options,
        stop: &watch::Receiver<bool>,
        held: &mut Held,
    ) -> Result<(Self, DockerClient), AgentError> {
        let events = DockerClient::new(&settings.engine.socket.to_string_lossy())
            .map_err(AgentError::Engine)?;
        let is_held = held.state.as_ref().is_some_and(|state| state.is_of(&settings.state_dir));
        let state = if is_held { None } else { Some(take_state(settings).await?) };
        let origin = Origin::repository(settings)?;
        let checker = Checker::new(&options.config, &settings.host.root);
        let mut node = Node::open(settings.clone(), origin)?;
        held.engine.take(&mut node, options.scope.as_ref()).await?;
        let mut held = std::mem::take(held);
        held.state = state.or(held.state);
        let agent = Self {
            node,
            options,
            stop: stop.clone(),
            held,
            bursts: Bursts::default(),
            idle: Idle::default(),
            n_panics: 0,
            n_git_failures: 0,
            last_pass: None,
            reload: Reload::new(&options.config),
            desk: Desk::default(),
            presence: Presence::default(),
            promoter: Promoter::new(&options.config),
            checker,
            port: None,
        };
        Ok((agent, events))
    }

    /// Works until a signal, or until the configuration changed: then the new one is returned.
    async fn work(&mut self, inbox: &mut Inbox) -> Result<Option<Settings>, AgentError> {
        if self.node.trust() == TrustLevel::None {
            warn!("trust.require is \"none\": whatever the branch points at runs here, UNVERIFIED");
        }
        systemd::ready();
        // What changed before it was watched is seen now.
        let mut wake = Wake { reloads: true, ..Wake::by(Trigger::Start) };
        let mut next_poll = Instant::now();
        loop {
            if wake.reloads
                && let Some(reloaded) = self.reload.changed(&self.options.config, &mut self.node)
            {
                self.finish().await?;
                return Ok(Some(reloaded));
            }
            if wake.fetches {
                next_poll = Instant::now() + self.node.settings.repository.interval;
            }
            let requeue = self.pass(&wake, inbox, next_poll).await?;
            if self.node.copies() {
                self.promoter.consider(self.node.belief.verified);
            }
            self.checker.consider(&self.node, &wake);
            if wake.fetches {
                next_poll = Instant::now() + self.poll_interval();
            }
            let due = requeue.map_or(next_poll, |after| next_poll.min(Instant::now() + after));
            let next =
                if *self.stop.borrow() { None } else { self.wait(inbox, due, next_poll).await };
            let Some(next) = next else {
                systemd::stopping();
                self.finish().await?;
                info!("stopped");
                return Ok(None);
            };
            wake = next;
        }
    }

    /// Ends what is under way with its step; nobody gets an answer after that.
    async fn finish(&mut self) -> Result<(), AgentError> {
        let ended = self.node.finish(STOP_GRACE).await;
        self.desk.give_up(&self.node.settings.state_dir);
        ended
    }

    fn poll_interval(&mut self) -> Duration {
        let interval = self.node.settings.repository.interval;
        self.n_git_failures = match self.node.belief.git {
            Reach::Answers => 0,
            Reach::Silent(_) => self.n_git_failures.saturating_add(1),
        };
        jitter(backoff(interval, self.n_git_failures.max(1)), chance())
    }

    /// Works on what is under way until something happens; none when the agent is to stop.
    async fn wait(&mut self, inbox: &mut Inbox, due: Instant, next_poll: Instant) -> Option<Wake> {
        let timer = if due < next_poll { Trigger::Time } else { Trigger::Poll };
        let is_own = self.node.own_events();
        let mut stop = self.stop.clone();
        let first = loop {
            // What came from the works themselves is looked at when they have ended.
            let came = !self.node.is_working() && !inbox.is_empty();
            break tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return None,
                () = inbox.news(&is_own), if !came => None,
                () = std::future::ready(()), if came => None,
                () = self.node.work() => Some(Trigger::Ended),
                _ = self.promoter.ended() => {
                    self.node.state.ask_hub_again();
                    Some(Trigger::Copied)
                }
                (checked, trigger) = self.checker.ended() => {
                    self.node.say_checked(checked, &trigger);
                    continue;
                }
                () = tokio::time::sleep_until(due) => Some(timer),
            };
        };
        let delay = self.bursts.delay(self.last_pass.map(|at| at.elapsed()));
        if !delay.is_zero() && first != Some(Trigger::Ended) {
            let over = tokio::time::sleep(delay);
            let mut over = std::pin::pin!(over);
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return None,
                    () = &mut over => break,
                    () = self.node.work() => {}
                }
            }
        }
        inbox.take(first)
    }

    /// The passes that a wake asks for: one, and one more for each operator's wish.
    async fn pass(
        &mut self,
        wake: &Wake,
        inbox: &mut Inbox,
        next_poll: Instant,
    ) -> Result<Option<Duration>, AgentError> {
        if wake.events_lost {
            // Another engine may answer at the same socket now.
            self.take_engine().await?;
        }
        wake.forget_changed(&mut self.node.state.seen);
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
            requeue = self.guarded(&ask, inbox, next_poll).await?;
        }
        for asked in asked {
            if answer::needs_reading(&self.node, &asked.request) && !self.read().await? {
                let said = answer::after(None, &asked.request);
                desk::say(&self.node.settings.state_dir, &asked, &said);
                continue;
            }
            match answer::before(&mut self.node, &asked.request)? {
                Err(refusal) => desk::say(&self.node.settings.state_dir, &asked, &refusal),
                Ok(ask) => {
                    self.desk.put(asked);
                    requeue = self.guarded(&ask, inbox, next_poll).await?;
                }
            }
        }
        self.last_pass = Some(Instant::now());
        Ok(requeue)
    }

    /// Asks the remote about what is not known here; whether that ended well.
    async fn read(&mut self) -> Result<bool, AgentError> {
        let mut stop = self.stop.clone();
        let read = AssertUnwindSafe(self.node.read("operator", Intent::Apply)).catch_unwind();
        tokio::select! {
            ended = read => Ok(self.caught(ended)?.is_some()),
            _ = stop.wait_for(|stop| *stop) => Ok(false),
        }
    }

    /// A pass that may panic, and that is over when there are news, or the agent is to stop. Says
    /// when to look again.
    async fn guarded(
        &mut self,
        ask: &Ask,
        inbox: &mut Inbox,
        next_poll: Instant,
    ) -> Result<Option<Duration>, AgentError> {
        if !self.held.engine.is_held() {
            self.take_engine().await?;
        }
        let has_engine = self.held.engine.is_held();
        let mut stop = self.stop.clone();
        let began = Instant::now();
        let is_own = self.node.own_events();
        let over = async {
            tokio::select! {
                () = inbox.news(&is_own) => {}
                () = tokio::time::sleep_until(next_poll) => {}
            }
        };
        let (node, silence) = (&mut self.node, &self.held.engine.silence);
        let work = AssertUnwindSafe(async {
            if has_engine {
                node.pass(ask, over).await
            } else {
                node.pass_blind(ask, silence).await
            }
        });
        let ended = tokio::select! {
            ended = work.catch_unwind() => ended,
            // What is under way is in the node, and ends with its step.
            _ = stop.wait_for(|stop| *stop) => return Ok(None),
        };
        if let Some(port) = &self.port {
            let well = matches!(&ended, Ok(Ok(report)) if report.status.engine.is_none());
            let end = if well { End::Done } else { End::Failed };
            port.meter.borrow_mut().passed(Timestamp::now(), began.elapsed(), end);
        }
        let Some(report) = self.caught(ended)? else { return Ok(None) };
        self.n_panics = 0;
        self.presence.announce(&self.node.settings.state_dir).await;
        let (ms, n) = (began.elapsed().as_secs_f64() * 1e3, report.outcomes.len());
        debug!(duration_ms = ms, "pass by {}: {ms:.1} ms, services changed: {n}", ask.trigger);
        systemd::status(&report.line());
        let under_way: Vec<_> = self.node.state.under_way().collect();
        self.desk.settle(&self.node.settings.state_dir, &report, &under_way);
        if self.node.locked.is_none() && self.held.engine.let_go() {
            // Another engine answers: it is locked before anything is begun there.
            return Ok(Some(Duration::ZERO));
        }
        Ok(report.requeue)
    }

    /// What came of work that may have failed or panicked, which is said.
    fn caught<T>(&mut self, ended: Caught<T>) -> Result<Option<T>, AgentError> {
        let ended = match ended {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(error @ (AgentError::Config(_) | AgentError::Lock(_)))) => return Err(error),
            ended => ended,
        };
        self.desk.give_up(&self.node.settings.state_dir);
        if let Ok(Err(error)) = ended {
            error!(error = %Chain(&error), "the pass failed: {}", Chain(&error));
            return Ok(None);
        }
        self.n_panics += 1;
        error!("a pass panicked; what it knew is forgotten");
        self.node.forget();
        if self.n_panics >= PANICS_MAX {
            return Err(AgentError::Panicked { reason: format!("{PANICS_MAX} passes in a row") });
        }
        Ok(None)
    }

    async fn take_engine(&mut self) -> Result<(), AgentError> {
        self.held.engine.take(&mut self.node, self.options.scope.as_ref()).await
    }
}
