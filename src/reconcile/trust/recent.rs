//! The trees read last, as entries: a commit shares most of its trees with its first parent.
//!
//! In: entries by tree. Out: the same again, for a while. Pure.

use std::collections::HashMap;
use std::rc::Rc;

use crate::model::ObjectId;
use crate::reconcile::trust::tree::Entry;

/// Entries kept per generation, of which there are two: some megabytes at most, however large
/// trees are.
const ENTRIES_MAX: usize = 10_000;

/// Trees read last. What was not asked for lately is forgotten.
#[derive(Debug, Default)]
pub struct RecentTrees {
    young: HashMap<ObjectId, Rc<[Entry]>>,
    old: HashMap<ObjectId, Rc<[Entry]>>,
    n_young: usize,
}

impl RecentTrees {
    /// The entries of a tree, if they are still known.
    pub fn get(&mut self, id: ObjectId) -> Option<Rc<[Entry]>> {
        if let Some(entries) = self.young.get(&id) {
            return Some(Rc::clone(entries));
        }
        let entries = self.old.remove(&id)?;
        self.keep(id, &entries);
        Some(entries)
    }

    /// Keeps the entries of a tree for a while; not of one that would drive out all others.
    pub fn keep(&mut self, id: ObjectId, entries: &Rc<[Entry]>) {
        if entries.len() > ENTRIES_MAX {
            return;
        }
        if self.n_young + entries.len() > ENTRIES_MAX {
            self.old = std::mem::take(&mut self.young);
            self.n_young = 0;
        }
        self.n_young += entries.len();
        self.young.insert(id, Rc::clone(entries));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::model::ObjectId;
    use crate::reconcile::trust::recent::{ENTRIES_MAX, RecentTrees};
    use crate::reconcile::trust::tree::{Entry, Mode};

    fn tree(n_entries: usize) -> Rc<[Entry]> {
        let id = ObjectId::from_bytes([0; 20]);
        (0..n_entries).map(|_| Entry { name: Vec::new(), mode: Mode::File, id }).collect()
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_is_forgotten() {
        let id = |n| ObjectId::from_bytes([n; 20]);
        let mut recent = RecentTrees::default();
        recent.keep(id(0), &tree(10));
        for n in 1..50 {
            recent.keep(id(n), &tree(ENTRIES_MAX / 2));
            assert_eq!(recent.get(id(0)).map(|entries| entries.len()), Some(10), "{n}");
        }
        assert!(recent.get(id(1)).is_none());
        recent.keep(id(60), &tree(ENTRIES_MAX + 1));
        assert!(recent.get(id(60)).is_none());
    }
}
