//! What every act needs: waiting, checking, committing.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::docker::{ContainerInspect, ContainerState};
use crate::demo::error::DemoError;
use crate::demo::images::push;
use crate::demo::leftovers;
use crate::demo::line::Line;
use crate::demo::recipes::recipe;
use crate::demo::repository::{By, PinPlace};
use crate::demo::story::Stage;
use crate::demo::tell::Told;
use crate::reconcile::report::Status;

/// The service that the story is about.
pub(crate) const SERVICE: &str = "app1";
/// How long is waited for anything: pulling, rolling, rolling back. Seconds, on a machine at rest.
const WAIT_SECS_MAX: u64 = 180;
/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Container names, with what identifies the run behind each.
pub(crate) type Running = BTreeMap<String, String>;

/// Waits until `look` gives `Ok`; what it says otherwise is told when time is up.
pub(crate) async fn until<T, F: Future<Output = Result<Result<T, String>, DemoError>>>(
    what: &str,
    look: impl Fn() -> F,
) -> Result<T, DemoError> {
    let since = Instant::now();
    loop {
        let seen = match look().await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(seen)) => seen,
            // A busy machine's engine may take its time to answer, too.
            Err(DemoError::Docker(error)) => error.to_string(),
            Err(error) => return Err(error),
        };
        if since.elapsed() > Duration::from_secs(WAIT_SECS_MAX) {
            let what = what.to_owned();
            return Err(DemoError::Timeout { what, secs: WAIT_SECS_MAX, seen });
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Whether a container runs, and is healthy if it has a health check.
pub(crate) fn is_well(container: &ContainerInspect) -> bool {
    container.state == ContainerState::Running
        && container.health.as_deref().is_none_or(|health| health == "healthy")
}

/// One line about the service's condition on a node.
pub(crate) fn condition(status: Option<&Status>) -> String {
    let Some(status) = status else {
        return "the node has said nothing yet".to_owned();
    };
    if let Some(fault) = &status.configuration {
        return format!("the node says: {}", fault.mistakes.join("; "));
    }
    status.services.get(SERVICE).map_or_else(
        || "the node does not know the service".to_owned(),
        |service| format!("{}, {}: {}", service.sync, service.health, service.reason),
    )
}

impl Stage<'_> {
    pub(crate) fn act(&mut self, text: &str) {
        self.audience.tell(Told::Act(text.to_owned()));
    }

    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.audience.tell(Told::Say(text.into()));
    }

    pub(crate) fn command(&mut self, text: impl Into<String>) {
        self.audience.tell(Told::Command(text.into()));
    }

    /// Somebody types a command in their own clone; it must exit with `code`. Gives what it printed.
    pub(crate) fn types(
        &mut self,
        person: &str,
        line: &str,
        code: i32,
    ) -> Result<String, DemoError> {
        let mut words = line.split_whitespace();
        let program = words.next().unwrap_or_default();
        let args: Vec<&str> = words.collect();
        let ends = if code == 0 { String::new() } else { format!(" (exits {code})") };
        self.command(format!("{line}   # {person}{ends}"));
        let done = self.people.run(&self.repository, person, (program, &args))?;
        if !done.output.trim().is_empty() {
            self.audience.tell(Told::Output(done.output.clone()));
        }
        if done.code != code {
            let text = format!("`{line}` exited with {}, not {code}", done.code);
            self.audience.tell(Told::Bad(text.clone()));
            return Err(DemoError::Check(text));
        }
        Ok(done.output)
    }

    /// Tells a check; one that fails ends the story.
    pub(crate) fn check(&mut self, good: bool, text: impl Into<String>) -> Result<(), DemoError> {
        let text = text.into();
        if good {
            self.audience.tell(Told::Good(text));
            return Ok(());
        }
        self.audience.tell(Told::Bad(text.clone()));
        Err(DemoError::Check(text))
    }

    pub(crate) fn line(&self, environment: &str) -> Result<&Line, DemoError> {
        let found = self.lines.iter().find(|line| line.environment == environment);
        found.ok_or_else(|| DemoError::Example(format!("there is no environment {environment}")))
    }

    /// The commit that an environment's line began with.
    pub(crate) fn anchor(&self, environment: &str) -> Result<String, DemoError> {
        let lines = &self.repository.lines;
        let found = lines.iter().find(|line| line.environment.as_str() == environment);
        found
            .map(|line| line.anchor.to_string())
            .ok_or_else(|| DemoError::Example(format!("{environment} has no anchor")))
    }

    /// Every container of every environment but `but`.
    pub(crate) async fn others(&self, but: &str) -> Result<Running, DemoError> {
        let mut all = Running::new();
        for line in self.lines.iter().filter(|line| line.environment != but) {
            all.extend(line.containers().await?);
        }
        Ok(all)
    }

    /// Where a container's image is pinned.
    pub(crate) fn pinned(&self, container: &str) -> Result<PinPlace, DemoError> {
        let mut found = self.pins.iter().filter(|at| at.container == container);
        let at = found.find(|at| at.service == SERVICE && at.file.starts_with("rulesets/"));
        at.cloned().ok_or_else(|| DemoError::Example(format!("{SERVICE}.{container} has no pin")))
    }

    /// Makes a version of a container's image, pins it on a branch and commits that, signed.
    pub(crate) async fn release(
        &mut self,
        branch: &str,
        container: &str,
        version: &str,
    ) -> Result<String, DemoError> {
        let at = PinPlace { version: version.to_owned(), ..self.pinned(container)? };
        let line = self.line(branch)?;
        let made = recipe(&at.repository, version)?;
        let digest = push(&line.hub.client, &self.base, &made).await?;
        leftovers::note_image(&self.place, &made.repository, &digest)?;
        self.repository.switch(branch)?;
        self.repository.pin(&line.hub.client, &at).await?;
        let person = self.repository.person(branch, "change")?;
        let message = format!("{SERVICE}: {container} {version}");
        let commit = self.repository.commit(By::Signed(&person), &message)?;
        self.command(format!("git commit -S -m '{message}'   # {person} on {branch}"));
        Ok(commit)
    }

    /// Waits until the service is synced on a node and a container of it runs well, with an id
    /// that `fits`.
    pub(crate) async fn settled(
        &self,
        environment: &str,
        container: &str,
        what: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<ContainerInspect, DemoError> {
        let line = self.line(environment)?;
        until(what, || async {
            let status = line.status();
            let synced = status.as_ref().is_some_and(Status::is_in_sync);
            let found = line.container(SERVICE, container).await?;
            let good = found.filter(|c| synced && is_well(c) && fits(c.id.as_str()));
            Ok(good.ok_or_else(|| condition(status.as_ref())))
        })
        .await
    }
}
