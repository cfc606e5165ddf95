//! Images come before the commit that wants them.
//!
//! In: what the nodes will pull, both hubs. Effect: copies what the target lacks.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::cli::context::{Context, Verbosity, block_on};
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::land::{Landing, Prepared, explain};
use crate::cli::output::is_watched;
use crate::cli::registry::client;
use crate::clients::registry::RegistryClient;
use crate::hub::copy::{
    CopyEvent, CopyPlan, CopyRequest, CopySettings, Survey, WantedImage, copy, survey,
};
use crate::hub::{FirstHub, hub_of};
use crate::promote::review::images;
use crate::promote::tip::{files, states};
use crate::reconcile::trust::kind::CommitKind;

/// How often progress is drawn.
const DRAW_MILLIS: u64 = 100;

/// What became of the images.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Images {
    /// Images that were there.
    pub(crate) present: usize,
    /// Images that were brought now.
    pub(crate) copied: usize,
    /// Images that are still to be brought (a dry run).
    pub(crate) missing: usize,
    /// Bytes that were, or would be, copied.
    pub(crate) bytes: u64,
}

impl Landing<'_> {
    /// The hub that images come from: the environment's below, else the target's own.
    fn source_hub(&self, prepared: &Prepared, own: &FirstHub) -> Result<FirstHub, CommandError> {
        let Some(promotion) = &prepared.tip.policy.promotion else { return Ok(own.clone()) };
        let from = &promotion.from;
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let head = self.desk.branch(from.as_str()).map_err(|error| explain(&error))?;
        let listing = self.desk.files(head).map_err(|error| explain(&error))?;
        let files = files(&objects, from, &listing).map_err(|e| CommandError::failed(&e))?;
        hub_of(&files, from).map_err(|error| CommandError::failed(&error))
    }

    /// Copies what the target's hub lacks; a dry run only counts it.
    pub(crate) fn bring_images(&self, prepared: &Prepared) -> Result<Images, CommandError> {
        let environment = &self.environment;
        // People come and go whatever the hubs hold.
        if prepared.draft.kind == CommitKind::Admin {
            return Ok(Images::default());
        }
        let nodes = states(&prepared.files, environment, &prepared.tip.revision());
        let wanted: BTreeSet<WantedImage> = images(&nodes)
            .into_iter()
            .map(|(repository, digest)| WantedImage { repository, digest })
            .collect();
        if wanted.is_empty() {
            return Ok(Images::default());
        }
        let own = hub_of(&prepared.files, environment);
        let own = own.map_err(|error| CommandError::failed(&error))?;
        let from = self.source_hub(prepared, &own)?;
        let (source, target) =
            (client(&from.hub, from.plain_http)?, client(&own.hub, own.plain_http)?);
        let siblings = wanted.iter().map(|image| image.repository.clone()).collect();
        let request = CopyRequest { images: wanted, siblings, ..CopyRequest::default() };
        let unfinished =
            self.desk.clone.common_dir().join("tidegate-uploads").join(environment.as_str());
        let bring =
            Bring { ctx: self.ctx, from: &from, own: &own, source: &source, target: &target };
        block_on(async {
            let found = survey(&source, &target, &request).await;
            let found = found.map_err(|error| {
                CommandError::failed(&error)
                    .hint(format!("may you read {0}? docker login {0}", own.hub.authority()))
            })?;
            bring.lacking(&found)?;
            let mut counted = Images {
                present: found.present.len(),
                missing: found.plan.missing().count(),
                bytes: found.plan.bytes(),
                copied: 0,
            };
            if found.plan.is_empty() || self.args.dry_run {
                return Ok(counted);
            }
            bring
                .copy(
                    &found.plan,
                    &CopySettings { notes: Some(unfinished), ..CopySettings::default() },
                )
                .await?;
            (counted.copied, counted.missing) = (counted.missing, 0);
            Ok(counted)
        })
    }
}

struct Bring<'a> {
    ctx: &'a Context,
    from: &'a FirstHub,
    own: &'a FirstHub,
    source: &'a RegistryClient,
    target: &'a RegistryClient,
}

impl Bring<'_> {
    /// An image that neither hub has cannot be promoted.
    fn lacking(&self, found: &Survey) -> Result<(), CommandError> {
        let Some((image, error)) = found.lacking.iter().next() else { return Ok(()) };
        let more = match found.lacking.len() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more)"),
        };
        let message =
            format!("neither {} nor {} gives {image}{more}: {error}", self.own.hub, self.from.hub);
        Err(CommandError::new(ErrorKind::Failed, message)
            .hint(format!("push it to {}; nothing was pushed to the line", self.from.hub)))
    }

    async fn copy(&self, plan: &CopyPlan, settings: &CopySettings) -> Result<(), CommandError> {
        let bar = Bar::new(self.ctx, plan.bytes());
        self.ctx.notice(&format!(
            "copying {} images ({}) from {} to {}",
            plan.missing().count(),
            mebibytes(plan.bytes()),
            self.from.hub,
            self.own.hub
        ));
        let report =
            copy(self.source, self.target, plan, settings, &|event| bar.heard(event)).await;
        bar.clear();
        let Some((image, error)) = report.failed.iter().next() else { return Ok(()) };
        Err(CommandError::new(ErrorKind::Failed, format!("cannot copy {image}: {error}")).hint(
            format!(
                "may you push to {0}? docker login {0}; what was copied stays",
                self.own.hub.authority()
            ),
        ))
    }
}

/// `12.3 MiB`.
fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

/// One line that tells how far copying is, where somebody watches.
struct Bar {
    is_drawn: bool,
    total: u64,
    done: Cell<u64>,
    drawn: Cell<Option<Instant>>,
}

impl Bar {
    fn new(ctx: &Context, total: u64) -> Self {
        let is_drawn = is_watched() && ctx.verbosity > Verbosity::Quiet;
        Self { is_drawn, total, done: Cell::new(0), drawn: Cell::new(None) }
    }

    fn heard(&self, event: &CopyEvent) {
        match event {
            CopyEvent::Bytes { n_bytes } => self.done.set(self.done.get() + n_bytes),
            CopyEvent::Retry { n_bytes_lost, .. } => {
                self.done.set(self.done.get().saturating_sub(*n_bytes_lost));
            }
            _ => {}
        }
        let pause = Duration::from_millis(DRAW_MILLIS);
        let is_due = self.drawn.get().is_none_or(|last| last.elapsed() >= pause);
        if self.is_drawn && is_due {
            self.drawn.set(Some(Instant::now()));
            let line = format!("{} of {}", mebibytes(self.done.get()), mebibytes(self.total));
            // Nobody reads standard error: nothing is lost.
            drop(write!(std::io::stderr(), "\r{line}\x1b[K"));
        }
    }

    fn clear(&self) {
        if self.is_drawn && self.drawn.get().is_some() {
            drop(write!(std::io::stderr(), "\r\x1b[K"));
        }
    }
}
