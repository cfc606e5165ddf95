//! Images come before the commit that wants them.
//!
//! In: what the nodes will pull, both hubs. Effect: copies what the target lacks.

use std::collections::BTreeSet;

use crate::cli::context::Context;
use crate::cli::copying::{Copying, Go};
use crate::cli::error::{CommandError, ErrorKind};
use crate::cli::interrupt::Interrupts;
use crate::cli::land::explain;
use crate::cli::output::counted;
use crate::cli::progress::{Told, amount};
use crate::cli::registry::{client, explain as hub_error};
use crate::clients::registry::RegistryErrorKind;
use crate::hub::copy::{CopyReport, CopyRequest, CopySettings, Survey, WantedImage};
use crate::hub::{FirstHub, hub_of};
use crate::lint::Files;
use crate::promote::desk::Desk;
use crate::promote::review::images;
use crate::promote::tip::{Tip, files, states};
use crate::reconcile::trust::kind::CommitKind;

/// What became of the images.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Images {
    /// Images that were there.
    pub(crate) present: usize,
    /// Those of them that lacked the keep-tag: they are given it with what is copied.
    pub(crate) untagged: usize,
    /// Images that were brought now.
    pub(crate) copied: usize,
    /// Images that are still to be brought (a dry run).
    pub(crate) missing: usize,
    /// Bytes that were, or would be, copied.
    pub(crate) bytes: u64,
}

/// Whose images are brought.
pub(crate) struct Bring<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) interrupts: &'a Interrupts,
    pub(crate) desk: &'a Desk,
    /// The line as it is.
    pub(crate) tip: &'a Tip,
    /// The files as they will be.
    pub(crate) files: &'a Files,
    /// What will be done.
    pub(crate) kind: CommitKind,
}

impl Bring<'_> {
    /// The hub that images come from: the environment's below, else the target's own.
    fn source_hub(&self, own: &FirstHub) -> Result<FirstHub, CommandError> {
        let Some(promotion) = &self.tip.policy.promotion else { return Ok(own.clone()) };
        let from = &promotion.from;
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let head = self.desk.branch(from.as_str()).map_err(|error| explain(&error))?;
        let listing = self.desk.files(head).map_err(|error| explain(&error))?;
        let files = files(&objects, from, &listing).map_err(|e| CommandError::failed(&e))?;
        hub_of(&files, from).map_err(|error| CommandError::failed(&error))
    }

    /// Copies what the target's hub lacks, or only counts it.
    pub(crate) fn run(&self, go: Go) -> Result<Images, CommandError> {
        let environment = &self.tip.environment;
        // People come and go whatever the hubs hold.
        if self.kind == CommitKind::Admin {
            return Ok(Images::default());
        }
        let nodes = states(self.files, environment, &self.tip.revision());
        let wanted: BTreeSet<WantedImage> = images(&nodes)
            .into_iter()
            .map(|(repository, digest)| WantedImage { repository, digest })
            .collect();
        if wanted.is_empty() {
            return Ok(Images::default());
        }
        let own = hub_of(self.files, environment);
        let own = own.map_err(|error| CommandError::failed(&error))?;
        let from = self.source_hub(&own)?;
        let (source, target) =
            (client(&from.hub, from.plain_http)?, client(&own.hub, own.plain_http)?);
        let siblings = wanted.iter().map(|image| image.repository.clone()).collect();
        let request = CopyRequest { images: wanted, siblings, ..CopyRequest::default() };
        let unfinished =
            self.desk.clone.common_dir().join("tidegate-uploads").join(environment.as_str());
        let settings = CopySettings { notes: Some(unfinished), ..CopySettings::default() };
        let copying =
            Copying { ctx: self.ctx, interrupts: self.interrupts, settings, told: Told::People };
        let (found, report) = copying.run(
            (&source, &target),
            &request,
            |error| hub_error(&own.hub, error),
            |found| self.decide(go, found, &from, &own),
        )?;
        all_copied(&report, &own)?;
        let untagged = found.untagged.len();
        let copied = report.copied.difference(&found.untagged).count();
        let missing = found.absent().count() - copied;
        let present = found.present.len() + untagged;
        Ok(Images { present, untagged, copied, missing, bytes: found.plan.bytes() })
    }

    /// An image that neither hub has cannot be promoted.
    fn decide(
        &self,
        go: Go,
        found: &Survey,
        from: &FirstHub,
        own: &FirstHub,
    ) -> Result<Go, CommandError> {
        if let Some((image, error)) = found.lacking.iter().next() {
            let more = match found.lacking.len() - 1 {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            let message =
                format!("neither {} nor {} gives {image}{more}: {error}", own.hub, from.hub);
            let hint = match error.kind {
                RegistryErrorKind::NotFound => format!("push it to {}", from.hub),
                _ => hub_error(&from.hub, error).hint.unwrap_or_default(),
            };
            return Err(CommandError::new(ErrorKind::Failed, message)
                .hint(format!("{hint}; nothing was pushed to the line")));
        }
        if go == Go::Copy {
            self.tell(found, from, own);
        }
        Ok(go)
    }

    /// Says what is about to be done, if anything is.
    fn tell(&self, found: &Survey, from: &FirstHub, own: &FirstHub) {
        let untagged = found.untagged.len();
        let n_copied = found.absent().count();
        if n_copied > 0 {
            let (images, bytes) = (counted(n_copied, "image"), amount(found.plan.bytes()));
            let (from, to) = (&from.hub, &own.hub);
            self.ctx.notice(&format!("copying {images} ({bytes}) from {from} to {to}"));
        }
        if untagged > 0 {
            let images = counted(untagged, "image");
            self.ctx.notice(&format!("adding the keep-tag of {images} that {} has", own.hub));
        }
    }
}

fn all_copied(report: &CopyReport, own: &FirstHub) -> Result<(), CommandError> {
    let Some((image, error)) = report.failed.iter().next() else { return Ok(()) };
    let hint = format!(
        "may you push to {0}? docker login {0}; what was copied stays",
        own.hub.authority()
    );
    Err(CommandError::new(ErrorKind::Failed, format!("cannot copy {image}: {error}")).hint(hint))
}
