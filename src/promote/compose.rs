//! The tree that a commit is to have, path by path.
//!
//! In: what two commits hold. Out: what the new one holds. Pure.
//!
//! # Guarantees
//! * A promote has every flow path exactly as its source has it, and every own path as it was.
//! * A pick or rollback of some paths has these exactly as its source has them, and nothing else.
//! * Nothing is merged: a path is taken from one side, or from the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{EnvironmentName, ObjectId};
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::kind::PathClass;
use crate::reconcile::trust::tree::{ENTRIES_MAX, LEVELS_MAX, Mode, TreeError, Trees};

/// A file of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    /// Whether it may be run.
    pub executable: bool,
    /// Its content.
    pub id: ObjectId,
}

/// Every file of a tree, by its path with `/`.
pub type Listing = BTreeMap<String, FileId>;

/// A tree that cannot be read or composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// An object is missing, or the tree is refused.
    #[error("cannot read a commit's tree")]
    Tree(#[source] TreeError),
    /// One side has a file where the other has a directory.
    #[error("`{file}` is a file on one side and a directory on the other")]
    Clash {
        /// The file.
        file: String,
    },
}

/// Reads every file of a tree.
pub fn listing(objects: &impl Objects, tree: ObjectId) -> Result<Listing, ComposeError> {
    let trees = Trees::new(objects);
    let mut found = Listing::new();
    let mut waiting = vec![(tree, String::new(), 0)];
    while let Some((id, prefix, level)) = waiting.pop() {
        for entry in trees.entries(id).map_err(ComposeError::Tree)?.iter() {
            let path = format!("{prefix}{}", String::from_utf8_lossy(&entry.name));
            let limit = |what: &str, limit: u32| {
                let what = format!("`{path}` {what}");
                ComposeError::Tree(TreeError::Limit { what, limit: limit.into() })
            };
            match entry.mode {
                Mode::Directory if level >= LEVELS_MAX => {
                    return Err(limit("lies too deep", LEVELS_MAX));
                }
                Mode::Directory => waiting.push((entry.id, format!("{path}/"), level + 1)),
                Mode::Other => {
                    let problem = "is neither a plain file nor a directory";
                    return Err(ComposeError::Tree(TreeError::Name { path, problem }));
                }
                mode => {
                    if found.len() >= ENTRIES_MAX as usize {
                        return Err(limit("is one file too many", ENTRIES_MAX));
                    }
                    found.insert(
                        path,
                        FileId { executable: mode == Mode::Executable, id: entry.id },
                    );
                }
            }
        }
    }
    Ok(found)
}

/// What a promote holds: the source's flow, and its copies of other environments' directories; the
/// target's own directory.
pub fn promote(
    environment: &EnvironmentName,
    target: &Listing,
    source: &Listing,
) -> Result<Listing, ComposeError> {
    let own =
        |path: &str| matches!(PathClass::of(path, environment), PathClass::Own | PathClass::Trust);
    let kept = target.iter().filter(|(path, _)| own(path));
    let taken = source.iter().filter(|(path, _)| !own(path));
    sound(kept.chain(taken).map(|(path, file)| (path.clone(), *file)).collect())
}

/// What a rollback of everything holds: the flow of `to`, and the rest of the target.
pub fn roll_back(
    environment: &EnvironmentName,
    target: &Listing,
    to: &Listing,
) -> Result<Listing, ComposeError> {
    let flow = |path: &str| PathClass::of(path, environment) == PathClass::Flow;
    let kept = target.iter().filter(|(path, _)| !flow(path));
    let taken = to.iter().filter(|(path, _)| flow(path));
    sound(kept.chain(taken).map(|(path, file)| (path.clone(), *file)).collect())
}

/// What a pick or a rollback of `paths` (files or directories) holds: under these what the source
/// holds, everything else as in the target.
pub fn take(
    paths: &BTreeSet<String>,
    target: &Listing,
    source: &Listing,
) -> Result<Listing, ComposeError> {
    let covered = |path: &str| paths.iter().any(|outer| covers(outer, path));
    let kept = target.iter().filter(|(path, _)| !covered(path));
    let taken = source.iter().filter(|(path, _)| covered(path));
    sound(kept.chain(taken).map(|(path, file)| (path.clone(), *file)).collect())
}

/// Whether `path` is `outer`, or lies below it.
pub fn covers(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The paths whose files differ.
pub fn differing(old: &Listing, new: &Listing) -> BTreeSet<String> {
    let paths = old.keys().chain(new.keys());
    paths.filter(|path| old.get(*path) != new.get(*path)).cloned().collect()
}

/// Refuses a listing that no tree can hold.
fn sound(listing: Listing) -> Result<Listing, ComposeError> {
    for path in listing.keys() {
        for (at, _) in path.match_indices('/') {
            if listing.contains_key(&path[..at]) {
                return Err(ComposeError::Clash { file: path[..at].to_owned() });
            }
        }
    }
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

    use crate::model::{EnvironmentName, ObjectId};
    use crate::promote::compose::{
        ComposeError, FileId, Listing, covers, differing, promote, roll_back, take,
    };
    use crate::reconcile::trust::kind::PathClass;

    fn listing(files: &[(&str, u8)]) -> Listing {
        let file = |n: u8| FileId { executable: false, id: ObjectId::from_bytes([n; 20]) };
        files.iter().map(|(path, n)| ((*path).to_owned(), file(*n))).collect()
    }

    fn prd() -> EnvironmentName {
        "prd".parse().unwrap()
    }

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_promote_takes_what_flows_and_foreign_copies_and_keeps_what_is_own() {
        let target = listing(&[
            ("services/a.toml", 1),
            ("services/gone.toml", 1),
            ("environments/prd/trust.toml", 1),
            ("environments/dev/x", 1),
        ]);
        let source = listing(&[
            ("services/a.toml", 2),
            ("services/new.toml", 2),
            ("environments/tst/trust.toml", 2),
            ("environments/prd/trust.toml", 2),
        ]);
        let wanted = listing(&[
            ("services/a.toml", 2),
            ("services/new.toml", 2),
            ("environments/tst/trust.toml", 2),
            ("environments/prd/trust.toml", 1),
        ]);
        assert_eq!(promote(&prd(), &target, &source).unwrap(), wanted);
    }

    #[test]
    fn a_rollback_of_everything_leaves_own_and_foreign_files() {
        let target =
            listing(&[("a", 2), ("b", 2), ("environments/prd/x", 2), ("environments/tst/x", 2)]);
        let to = listing(&[("a", 1), ("environments/prd/x", 1), ("environments/tst/x", 1)]);
        let wanted = listing(&[("a", 1), ("environments/prd/x", 2), ("environments/tst/x", 2)]);
        assert_eq!(roll_back(&prd(), &target, &to).unwrap(), wanted);
    }

    #[test]
    fn what_is_taken_is_exactly_what_the_paths_cover() {
        let target = listing(&[("a/x", 1), ("a/gone", 1), ("ab", 1), ("c", 1)]);
        let source = listing(&[("a/x", 2), ("a/new", 2), ("ab", 2), ("c", 2)]);
        let wanted = listing(&[("a/x", 2), ("a/new", 2), ("ab", 1), ("c", 1)]);
        assert_eq!(take(&set(&["a"]), &target, &source).unwrap(), wanted);
        let clash = take(&set(&["a/x"]), &listing(&[("a", 1)]), &source);
        assert!(matches!(clash, Err(ComposeError::Clash { file }) if file == "a"));
    }

    /// Paths of every class; no file is a directory elsewhere.
    fn listings() -> impl Strategy<Value = Listing> {
        let folders = ["", "services/", "services/app1/", "environments/prd/", "environments/tst/"];
        let files = proptest::collection::vec((0..folders.len(), 0..4_u8, 0..3_u8), 0..12);
        files.prop_map(move |files| {
            let path = |(folder, name, _): &(usize, u8, u8)| format!("{}f{name}", folders[*folder]);
            let file = |n: u8| FileId { executable: n == 0, id: ObjectId::from_bytes([n; 20]) };
            files.iter().map(|all| (path(all), file(all.2))).collect()
        })
    }

    proptest! {
        #[test]
        fn every_path_comes_from_the_side_that_its_class_says(
            target in listings(), source in listings()
        ) {
            let composed = promote(&prd(), &target, &source).unwrap();
            for path in target.keys().chain(source.keys()) {
                let from = match PathClass::of(path, &prd()) {
                    PathClass::Own | PathClass::Trust => &target,
                    PathClass::Flow | PathClass::Foreign => &source,
                };
                prop_assert_eq!(composed.get(path), from.get(path), "{}", path);
            }
            // Promoting again changes nothing.
            prop_assert_eq!(&promote(&prd(), &composed, &source).unwrap(), &composed);
        }

        #[test]
        fn taking_changes_nothing_that_is_not_covered(target in listings(), source in listings()) {
            let paths = set(&["services/app1", "services/f1", "f0"]);
            let composed = take(&paths, &target, &source).unwrap();
            for path in differing(&target, &composed) {
                prop_assert!(paths.iter().any(|outer| covers(outer, &path)), "{}", path);
            }
            for path in differing(&source, &composed) {
                prop_assert!(!paths.iter().any(|outer| covers(outer, &path)), "{}", path);
            }
        }
    }
}
