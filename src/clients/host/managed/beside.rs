//! What changes along with what is decided: units that another one names in `Also=`.
//!
//! In: [`Move`]s of units. Out: nothing, or which others changed. Effect: puts those back.

use crate::clients::host::managed::Units;
use crate::clients::host::{HostError, HostRoot};
use crate::model::managed::attributes;
use crate::model::{Attributes, Move, Thing};
use crate::telemetry::Chain;

/// Whether a unit starts at boot, which is all that enabling another one changes.
const ENABLED: &str = "enabled";

/// Whether units are enabled or disabled: nothing else takes others along.
pub(super) fn takes_along(moves: &[Move]) -> bool {
    moves.iter().any(|change| {
        let is_unit = matches!(change.thing, Thing::Unit { .. });
        is_unit && said(change.before.as_ref()) != said(change.after.as_ref())
    })
}

impl HostRoot {
    /// Refuses what changed other units than those of `moves`.
    pub(super) fn alone(&self, moves: &[Move], before: &Units) -> Result<(), HostError> {
        let Some(other) = self.others(moves, before)?.into_iter().next() else { return Ok(()) };
        let named = moves.first().map(|change| change.thing.name()).unwrap_or_default();
        let (other, state) = (other.thing.name(), said(other.before.as_ref()));
        let reason = format!(
            "systemctl would leave {other} {state} as well, which {named} names in `Also=`: give \
             {other} a rule of its own"
        );
        Err(HostError::unfit(self.folder(), reason))
    }

    /// After a failure: other units that changed along go back to what they were.
    pub(super) fn beside_back(
        &self,
        moves: &[Move],
        before: &Units,
        error: HostError,
    ) -> HostError {
        let back = self.others(moves, before).and_then(|others| {
            others.iter().try_for_each(|change| self.move_unit(change))?;
            let left = self.others(moves, before)?;
            let own = self.outstanding(&moves.iter().map(Move::undone).collect::<Vec<_>>())?;
            match left.iter().chain(&own).next() {
                None => Ok(()),
                Some(left) => {
                    let reason = format!("{} is not as it was", left.thing);
                    Err(HostError::unfit(self.folder(), reason))
                }
            }
        });
        match (back, error) {
            (Err(back), error) if !matches!(error, HostError::HalfDone { .. }) => {
                HostError::HalfDone { reason: Chain(&back).to_string(), source: error.into() }
            }
            (_, error) => error,
        }
    }

    /// What would bring those units back that are not in `moves` and are not as they were.
    fn others(&self, moves: &[Move], before: &Units) -> Result<Vec<Move>, HostError> {
        let now = self.units()?.unwrap_or_default();
        let own = |name: &str| {
            let is_own =
                |own: &str| own == name || is_instance(own, name) || is_instance(name, own);
            moves.iter().any(|change| is_own(change.thing.name()))
        };
        let all = before.iter().filter(|(name, _)| !own(name)).filter_map(|(name, was)| {
            let is = now.iter().find(|(other, _)| *other == name).map(|(_, is)| is);
            let (was, is) = (said(Some(was)), said(is));
            let of = |state: &str| Some(attributes([(ENABLED, state)]));
            // An alias comes and goes with what it stands for; `indirect` is no start at boot.
            let changed = match was {
                "enabled" => is != was,
                "disabled" => is != was && is != "indirect",
                _ => false,
            };
            let thing = Thing::Unit { name: name.to_owned() };
            changed.then(|| Move { thing, before: of(is), after: of(was) })
        });
        Ok(all.collect())
    }
}

/// Whether the first is of the second, which is a template and says so of its instances.
fn is_instance(name: &str, template: &str) -> bool {
    let parts = |name: &str| {
        let (prefix, rest) = name.split_once('@')?;
        let (instance, suffix) = rest.rsplit_once('.')?;
        Some((prefix.to_owned(), suffix.to_owned(), instance.is_empty()))
    };
    match (parts(name), parts(template)) {
        (Some((prefix, suffix, false)), Some((of, kind, true))) => (prefix, suffix) == (of, kind),
        _ => false,
    }
}

fn said(unit: Option<&Attributes>) -> &str {
    unit.and_then(|unit| unit.get(ENABLED)).map_or("", String::as_str)
}
