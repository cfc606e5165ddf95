//! One copy between hubs as a command does it: looked at, told while it goes on, ended by Ctrl-C.
//!
//! In: two hubs, what is wanted. Out: what was there and what was done. Effect: writes to the target,
//! tells on standard error.

use std::path::PathBuf;

use crate::cli::context::{Context, block_on};
use crate::cli::error::CommandError;
use crate::cli::interrupt::Interrupts;
use crate::cli::progress::{Progress, Told};
use crate::clients::registry::{RegistryError, RegistryRead, RegistryWrite};
use crate::hub::copy::{CopyReport, CopyRequest, CopySettings, Survey, copy, survey};
use crate::model::Hub;

/// Whether what is missing is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    Copy,
    /// No, it was only to be known.
    Look,
}

/// How a copy is done.
pub struct Copying<'a> {
    /// How much is told.
    pub ctx: &'a Context,
    /// What Ctrl-C ends.
    pub interrupts: &'a Interrupts,
    /// Limits, and where unfinished uploads are noted.
    pub settings: CopySettings,
    /// To whom it is told.
    pub told: Told,
}

impl Copying<'_> {
    /// Looks what is missing, and copies it if `decide` says so.
    ///
    /// # Errors
    /// With `explain` where the target does not say what it has; when `decide` refuses; at Ctrl-C.
    pub fn run<S: RegistryRead, T: RegistryRead + RegistryWrite>(
        &self,
        (source, target): (&S, &T),
        request: &CopyRequest,
        explain: impl Fn(&RegistryError) -> CommandError,
        decide: impl FnOnce(&Survey) -> Result<Go, CommandError>,
    ) -> Result<(Survey, CopyReport), CommandError> {
        let found = block_on(async {
            survey(source, target, request).await.map_err(|error| explain(&error))
        })?;
        if decide(&found)? == Go::Look || found.plan.is_empty() {
            return Ok((found, CopyReport::default()));
        }
        let settings = CopySettings { stop: self.interrupts.stop(), ..self.settings.clone() };
        let progress = Progress::begin(self.ctx, &found, self.told);
        let report = self.interrupts.during(|| {
            block_on(async {
                let listen = |event: &_| progress.event(event);
                tokio::select! {
                    report = copy(source, target, &found.plan, &settings, &listen) => Ok(report),
                    () = self.interrupts.cut() => Err(Interrupts::error()),
                }
            })
        });
        progress.end();
        let report = report?;
        if self.interrupts.is_asked() {
            return Err(Interrupts::error());
        }
        Ok((found, report))
    }
}

/// Where this user's unfinished uploads to a hub are noted.
pub fn notes(target: &Hub) -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    let hub = target.to_string().replace('/', "_");
    Some(state.join("tidegate/uploads").join(hub))
}
