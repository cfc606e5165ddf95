//! Things that programs of the host look after: packages, units, accounts, modules, mounts.
//!
//! In: [`Move`]s. Out: what is so of a thing. Effect: runs those programs.
//!
//! # Guarantees
//! * What is no longer as it was when a change was decided is not changed.
//! * What fails half-way goes back to what it was, or the error says that it did not; so does what a
//!   program says it did and did not.
//! * Nothing but what was decided is changed: a program that would do more is not run.

mod package;
mod account;
mod also;
mod apt;
mod beside;
mod dnf;
mod module;
mod mount;
mod unit;

pub use module::Modules;
pub use package::{InstalledPackage, unfinished_of, versions_of};
pub use unit::Units;

use crate::clients::host::managed::beside::takes_along;
use crate::clients::host::{HostError, HostRoot, ProcessError};
use crate::model::{Attributes, Move, Thing};
use crate::telemetry::Chain;

impl HostRoot {
    /// Makes things of one sort what they should be, all at once where their program can.
    ///
    /// # Errors
    /// When one of them is not as it was, or the program fails.
    pub fn manage(&self, moves: &[Move]) -> Result<(), HostError> {
        for (change, now) in moves.iter().zip(self.now(moves)?) {
            self.still(change, now.as_ref())?;
        }
        let beside = if takes_along(moves) { self.units()? } else { None };
        let made = self.make(moves).and_then(|()| self.became(moves));
        let Some(beside) = beside else { return made.map_err(|error| self.back(moves, error)) };
        let made = made.and_then(|()| self.alone(moves, &beside));
        made.map_err(|error| {
            let error = self.back(moves, error);
            self.beside_back(moves, &beside, error)
        })
    }

    /// Refuses what its program left otherwise than it was told. What was started may have ended, and
    /// a version may have been installed beside others, as a kernel's are.
    fn became(&self, moves: &[Move]) -> Result<(), HostError> {
        let mut undone: Vec<Move> = moves.iter().map(Move::undone).collect();
        let now = self.now(&undone)?;
        for (undone, now) in undone.iter_mut().zip(now) {
            let mut is_so = fits(undone, now.as_ref());
            match (&undone.thing, &mut undone.before, &now) {
                (Thing::Unit { .. }, Some(wanted), _) => {
                    wanted.remove("active");
                    is_so = fits(undone, now.as_ref());
                }
                (Thing::Package { .. }, Some(wanted), Some(now)) => {
                    is_so |= package::has(now, wanted);
                }
                _ => {}
            }
            if !is_so {
                let reason = format!("{} did not become what it was told to", undone.thing);
                return Err(HostError::unfit(self.folder(), reason));
            }
        }
        Ok(())
    }

    /// Those of the moves, all of one sort, whose things are not yet what they would become.
    ///
    /// # Errors
    /// When what is so cannot be told.
    pub fn outstanding(&self, moves: &[Move]) -> Result<Vec<Move>, HostError> {
        let undone: Vec<Move> = moves.iter().map(Move::undone).collect();
        let now = self.now(&undone)?;
        let is_so = undone.iter().zip(now).map(|(undone, now)| fits(undone, now.as_ref()));
        Ok(moves.iter().zip(is_so).filter(|(_, so)| !so).map(|(left, _)| left.clone()).collect())
    }

    /// What is so of each; they are of one sort.
    fn now(&self, moves: &[Move]) -> Result<Vec<Option<Attributes>>, HostError> {
        let Some(first) = moves.first() else { return Ok(Vec::new()) };
        let things = moves.iter().map(|change| &change.thing);
        Ok(match &first.thing {
            Thing::Package { manager, .. } => {
                let installed = self.packages(*manager)?;
                things.map(|thing| package::package(&installed, thing.name())).collect()
            }
            Thing::Unit { .. } => {
                return things.map(|thing| self.unit(thing.name())).collect();
            }
            Thing::Module { .. } => {
                let loaded = self.loaded()?.unwrap_or_default();
                let is = |thing: &Thing| loaded.contains(thing.name()).then(Attributes::new);
                things.map(is).collect()
            }
            Thing::Mount { .. } => {
                return moves.iter().map(|change| self.mounted(change)).collect();
            }
            Thing::User { .. } | Thing::Group { .. } | Thing::Member { .. } => {
                let tables = self.accounts_whole()?;
                things.map(|thing| account::account(&tables, thing)).collect()
            }
        })
    }

    fn make(&self, moves: &[Move]) -> Result<(), HostError> {
        let Some(first) = moves.first() else { return Ok(()) };
        match &first.thing {
            Thing::Package { manager, .. } => self.move_packages(*manager, moves),
            Thing::Unit { .. } => moves.iter().try_for_each(|change| self.move_unit(change)),
            Thing::Module { .. } => moves.iter().try_for_each(|change| self.move_module(change)),
            Thing::Mount { .. } => moves.iter().try_for_each(|change| self.move_mount(change)),
            Thing::User { .. } | Thing::Group { .. } | Thing::Member { .. } => {
                moves.iter().try_for_each(|change| self.move_account(change))
            }
        }
    }

    /// After a failure: what was changed before it goes back to what it was.
    fn back(&self, moves: &[Move], error: HostError) -> HostError {
        let back = self.now(moves).and_then(|now| {
            let changed = moves.iter().zip(now).rev();
            let changed = changed.filter(|(change, now)| !fits(change, now.as_ref()));
            let back = |(change, now): (&Move, Option<Attributes>)| Move {
                thing: change.thing.clone(),
                before: now,
                after: change.before.clone(),
            };
            self.make(&changed.map(back).collect::<Vec<_>>())
        });
        match back {
            Ok(()) => error,
            Err(back) => {
                HostError::HalfDone { reason: Chain(&back).to_string(), source: error.into() }
            }
        }
    }

    /// Refuses what is no longer as it was.
    fn still(&self, change: &Move, now: Option<&Attributes>) -> Result<(), HostError> {
        if fits(change, now) {
            return Ok(());
        }
        let reason = format!("{} is no longer as it was when this was decided", change.thing);
        Err(HostError::unfit(self.folder(), reason))
    }
}

fn fits(change: &Move, now: Option<&Attributes>) -> bool {
    match change.thing {
        Thing::Unit { .. } => unit::fits(change.before.as_ref(), now),
        Thing::User { .. } | Thing::Group { .. } => account::fits(change.before.as_ref(), now),
        _ => now == change.before.as_ref(),
    }
}

/// What was tried, and the program's reason.
fn cannot(action: impl Into<String>) -> impl FnOnce(ProcessError) -> HostError {
    let action = action.into();
    move |source| HostError::Program { action, source }
}
