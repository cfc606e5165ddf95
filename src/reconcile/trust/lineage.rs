//! Which commits lie on which chain: first parents, with what a wrapper lands in its place.
//!
//! In: commits, each after the one that it continues. Out: whether one is on the chain of another.
//! Pure.
//!
//! # Guarantees
//! * An answer costs a step for each fork between the two, however long their chain is.

use std::collections::HashMap;

use crate::model::CommitId;

/// A commit's place: which run of commits it is in, and where.
type Place = (usize, usize);

/// Commits that continue one another without a fork.
#[derive(Debug, Default)]
struct Run {
    /// What the run's first commit continues.
    above: Option<Place>,
    len: usize,
}

/// Chains that share their beginnings.
#[derive(Debug, Default)]
pub struct Lineage {
    places: HashMap<CommitId, Place>,
    runs: Vec<Run>,
}

impl Lineage {
    /// Adds `commit`, which continues `parent`; a parent that is not known begins a chain.
    pub fn add(&mut self, commit: CommitId, parent: Option<CommitId>) {
        if self.places.contains_key(&commit) {
            return;
        }
        let above = parent.and_then(|parent| self.places.get(&parent)).copied();
        let continued = above.filter(|(run, at)| self.runs[*run].len == at + 1);
        let run = continued.map_or(self.runs.len(), |(run, _)| run);
        if continued.is_none() {
            self.runs.push(Run { above, len: 0 });
        }
        self.places.insert(commit, (run, self.runs[run].len));
        self.runs[run].len += 1;
    }

    /// Whether it is known.
    pub fn has(&self, commit: CommitId) -> bool {
        self.places.contains_key(&commit)
    }

    /// Whether `commit` is `tip` or lies below it on its chain.
    pub fn is_on_chain(&self, tip: CommitId, commit: CommitId) -> bool {
        let (Some(mut at), Some(wanted)) =
            (self.places.get(&tip).copied(), self.places.get(&commit).copied())
        else {
            return false;
        };
        // A run only ever continues one that was there before it.
        while at.0 > wanted.0 {
            match self.runs[at.0].above {
                Some(above) => at = above,
                None => return false,
            }
        }
        at.0 == wanted.0 && at.1 >= wanted.1
    }
}

#[cfg(test)]
mod tests {
    use crate::model::CommitId;
    use crate::reconcile::trust::lineage::Lineage;

    fn id(n: u8) -> CommitId {
        CommitId::from_bytes([n; 20])
    }

    #[test]
    fn a_commit_is_on_the_chain_of_what_continues_it() {
        let mut lineage = Lineage::default();
        // 1 ← 2 ← 3 ← 4, and 2 ← 5 ← 6.
        for (commit, parent) in [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3))] {
            lineage.add(id(commit), parent.map(id));
        }
        lineage.add(id(5), Some(id(2)));
        lineage.add(id(6), Some(id(5)));
        lineage.add(id(4), Some(id(6)));
        for (tip, commit, on) in [
            (4, 1, true),
            (4, 4, true),
            (3, 4, false),
            (6, 2, true),
            (6, 3, false),
            (4, 5, false),
            (6, 5, true),
            (6, 9, false),
            (9, 6, false),
        ] {
            assert_eq!(lineage.is_on_chain(id(tip), id(commit)), on, "{commit} on {tip}");
        }
    }
}
