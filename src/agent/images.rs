//! Which images are no longer needed: only what this node pulled, never what is wanted.
//!
//! In: the memory's images, what is wanted, how many versions to keep. Out: references. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::reconcile::apply::ServiceOutcome;
use crate::reconcile::plan::Step;

/// References that the outcomes' pulls brought.
pub fn pulled(outcomes: &[ServiceOutcome]) -> BTreeSet<String> {
    let steps = outcomes.iter().flat_map(|outcome| &outcome.steps);
    let pulls = steps.filter(|step| step.error.is_none()).filter_map(|step| match &step.step {
        Step::Pull { image, .. } => Some(image.to_string()),
        _ => None,
    });
    pulls.collect()
}

/// References to remove: of each repository the newest `keep` stay, and whatever is wanted.
pub fn superfluous(
    images: &BTreeMap<String, Timestamp>,
    wanted: &BTreeSet<String>,
    keep: u32,
) -> Vec<String> {
    let mut by_repository: BTreeMap<&str, Vec<(&Timestamp, &String)>> = BTreeMap::new();
    for (reference, at) in images {
        let repository = reference.split('@').next().unwrap_or(reference);
        by_repository.entry(repository).or_default().push((at, reference));
    }
    let mut gone = Vec::new();
    for mut versions in by_repository.into_values() {
        versions.sort();
        let n_old = versions.len().saturating_sub(keep as usize);
        let old = versions.into_iter().take(n_old).map(|(_, reference)| reference);
        gone.extend(old.filter(|reference| !wanted.contains(*reference)).cloned());
    }
    gone
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::agent::images::superfluous;

    #[test]
    fn of_each_repository_the_newest_stay_and_whatever_is_wanted() {
        let at = |secs| Timestamp::from_second(secs).unwrap();
        let images = [("hub/a@1", 1), ("hub/a@2", 2), ("hub/a@3", 3), ("hub/b@1", 1)]
            .map(|(name, secs)| (name.to_owned(), at(secs)))
            .into();
        let none = [].into();
        assert_eq!(superfluous(&images, &none, 2), ["hub/a@1"]);
        assert_eq!(superfluous(&images, &["hub/a@1".to_owned()].into(), 2), [""; 0]);
        assert_eq!(superfluous(&images, &["hub/a@1".to_owned()].into(), 1), ["hub/a@2"]);
        assert_eq!(superfluous(&images, &none, 4), [""; 0]);
    }
}
