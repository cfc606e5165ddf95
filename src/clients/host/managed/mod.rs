//! Things that programs of the host look after: packages, units, accounts.
//!
//! In: [`Move`]s. Out: what is so of a thing. Effect: runs those programs.
//!
//! # Guarantees
//! * What is no longer as it was when a change was decided is not changed.
//! * Nothing but what was decided is changed: a program that would do more is not run.

mod package;
mod account;
mod apt;
mod dnf;
mod unit;

pub use package::InstalledPackage;
pub use unit::Units;

use crate::clients::host::{HostError, HostRoot, ProcessError};
use crate::model::{Attributes, Move, Thing};

impl HostRoot {
    /// Makes things of one sort what they should be, all at once where their program can.
    ///
    /// # Errors
    /// When one of them is not as it was, or the program fails.
    pub fn manage(&self, moves: &[Move]) -> Result<(), HostError> {
        let Some(first) = moves.first() else { return Ok(()) };
        match &first.thing {
            Thing::Package { manager, .. } => {
                let installed = self.packages(*manager)?;
                for change in moves {
                    self.still(change, package::package(&installed, change.thing.name()).as_ref())?;
                }
                self.move_packages(*manager, moves)
            }
            Thing::Unit { .. } => moves.iter().try_for_each(|change| {
                self.still(change, self.unit(change.thing.name())?.as_ref())?;
                self.move_unit(change)
            }),
            Thing::User { .. } | Thing::Group { .. } | Thing::Member { .. } => {
                moves.iter().try_for_each(|change| {
                    let tables = self.account_tables()?;
                    self.still(change, account::account(&tables, &change.thing).as_ref())?;
                    self.move_account(change)
                })
            }
        }
    }

    /// Refuses what is no longer as it was.
    fn still(&self, change: &Move, now: Option<&Attributes>) -> Result<(), HostError> {
        if now == change.before.as_ref() {
            return Ok(());
        }
        let reason = format!("{} is no longer as it was when this was decided", change.thing);
        Err(HostError::unfit(self.folder(), reason))
    }
}

/// What was tried, and the program's reason.
fn cannot(action: impl Into<String>) -> impl FnOnce(ProcessError) -> HostError {
    let action = action.into();
    move |source| HostError::Program { action, source }
}
