//! Environments as their verified tips want them, from the top one down: what hub commands go by.
//!
//! In: a repository, an environment, its anchor. Out: [`Line`]s. Effect: reads, or fetches into a
//! folder of its own that is removed again.

use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::source::{Opened, Question, SourceArgs};
use crate::clients::registry::{PlainHttp, RegistryClient};
use crate::hub::{Wants, open_hub, wanted};
use crate::model::{CommitId, EnvironmentName, Hub};
use crate::reconcile::desired::ResolveError;
use crate::reconcile::trust::{
    ENVIRONMENTS_MAX, Remembered, Sightings, SnapshotRequest, VerifyRequest, show, snapshot, verify,
};

/// An environment, as its verified tip wants it.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub environment: EnvironmentName,
    /// The last good commit.
    pub commit: CommitId,
    /// What it wants.
    pub wants: Wants,
    /// Its hub.
    pub hub: Hub,
    /// Whether without TLS.
    pub plain_http: PlainHttp,
    /// The environment below, and where its verification starts.
    below: Option<(EnvironmentName, CommitId)>,
}

/// How lines are read, and how hubs let us in.
pub struct Lines<'a> {
    ctx: &'a Context,
    question: Question,
    opened: Opened,
}

impl<'a> Lines<'a> {
    /// Opens what `args` name; `environment` is whose anchor is given, the node's own without.
    ///
    /// # Errors
    /// When the repository is none, or nothing says where verification starts.
    pub fn open(
        args: &SourceArgs,
        environment: Option<&EnvironmentName>,
        ctx: &'a Context,
    ) -> Result<Self, CommandError> {
        let question = Question::found(args, environment, ctx)?;
        let opened = question.open(None, ctx)?;
        Ok(Self { ctx, question, opened })
    }

    /// All lines from the topmost down; what is below a line that cannot be used is left out.
    ///
    /// # Errors
    /// When the topmost line does not verify or resolve.
    pub fn all(&self) -> Result<Vec<Line>, CommandError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut next = Some((self.question.environment.clone(), self.question.anchor));
        while let Some((environment, anchor)) = next {
            if lines.len() >= ENVIRONMENTS_MAX || lines.iter().any(|l| l.environment == environment)
            {
                return Err(CommandError::refused(format!("{environment} is below itself")));
            }
            let line = self.line(&environment, anchor)?;
            lines.push(line);
            next = lines.last().and_then(|line| line.below.clone());
        }
        Ok(lines)
    }

    /// A client of a line's hub.
    ///
    /// # Errors
    /// When what lets us in cannot be used.
    pub fn client(&self, line: &Line) -> Result<RegistryClient, CommandError> {
        match &self.question.hubs {
            Some(settings) => open_hub(&line.hub, line.plain_http, settings)
                .map_err(|error| CommandError::failed(&error).hint("see `[hub]` in agent.toml")),
            None => crate::cli::registry::client(&line.hub, line.plain_http),
        }
    }

    fn line(&self, environment: &EnvironmentName, anchor: CommitId) -> Result<Line, CommandError> {
        let objects = &self.opened.objects;
        let tip = self.tip(environment)?;
        let verdict = verify(
            objects,
            &VerifyRequest {
                environment: environment.clone(),
                anchor,
                remembered: Remembered::Nothing,
                tip,
                revoked: self.question.revoked.clone(),
                now: Timestamp::now(),
                sights: Sightings::default(),
            },
        );
        if let Some(refused) = &verdict.refused {
            self.ctx.notice(&format!(
                "{environment}: {} is refused: {}; what lies before it counts",
                refused.commit, refused.reason
            ));
        }
        let Some(verified) = verdict.verified else {
            let reason = verdict.refused.map(|refused| refused.reason).unwrap_or_default();
            return Err(CommandError::refused(format!("{environment} does not verify: {reason}")));
        };
        let commit = *verified.get();
        let request =
            SnapshotRequest { environment, applied: None, revoked: &self.question.revoked };
        let files =
            snapshot(objects, &verified, &request).map_err(|error| CommandError::failed(&error))?;
        let wants = wanted(&files, environment).map_err(|error| {
            let hint = format!("tidegate lint --repository PATH --environment {environment}");
            match &error {
                ResolveError::Invalid(found) => {
                    let first = found.clone().into_sorted().into_iter().next();
                    let first = first.map(|d| format!(": {}: {}", d.file, d.message));
                    let message =
                        format!("{environment} has mistakes{}", first.unwrap_or_default());
                    CommandError::new(ErrorKind::Failed, message).hint(hint)
                }
                ResolveError::TooOld { .. } => CommandError::failed(&error),
            }
        })?;
        let (hub, plain) = wants.hub.clone().ok_or_else(|| {
            CommandError::usage(format!("{environment} has no nodes, which would want images"))
        })?;
        let trust = show(objects, commit, environment)
            .map_err(|refused| CommandError::refused(refused.reason))?;
        let below = trust.promotion.map(|promotion| (promotion.from, promotion.anchor));
        let plain_http = if plain { PlainHttp::Allowed } else { PlainHttp::Loopback };
        Ok(Line { environment: environment.clone(), commit, wants, hub, plain_http, below })
    }

    /// What an environment's branch points at.
    fn tip(&self, environment: &EnvironmentName) -> Result<CommitId, CommandError> {
        if *environment == self.question.environment {
            return Ok(self.opened.tip);
        }
        self.opened.below(environment).ok_or_else(|| {
            CommandError::usage(format!("the repository has no branch `{environment}`"))
                .hint("`git branch --all` lists the branches")
        })
    }
}
