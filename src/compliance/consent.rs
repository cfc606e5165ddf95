//! What was agreed to before something is mended, held against what would be done now.
//!
//! In: what was shown, what was done since, what would be done. Out: whether that is it. Pure.
//!
//! # Guarantees
//! * Nothing is covered that was not shown, unless it follows from what was: a step that goes on where
//!   an earlier fix of the same agreement ended, from where this one was shown to begin.

use crate::compliance::change::Change;

/// What whoever has something mended agreed to.
#[derive(Debug, Clone, Copy)]
pub enum Consent<'a> {
    /// To whatever mends the rule: `--yes`, `fix = "auto"`.
    Whatever,
    /// To what was shown.
    Shown {
        /// The rule's own steps.
        steps: &'a [Change],
        /// What was done by the same agreement since, in its order.
        made: &'a [Change],
    },
}

impl Consent<'_> {
    /// Whether these changes are what was agreed to, or less.
    pub fn covers(&self, changes: &[Change]) -> bool {
        let Self::Shown { steps, made } = self else { return true };
        let (shown, made) = (single(steps), single(made));
        single(changes).iter().all(|step| {
            shown.iter().any(|shown| {
                let is_it = step.begins_like(shown) && step.undone().begins_like(&shown.undone());
                let earlier = || made.iter().filter(|made| made.is_about(step));
                let goes_on = || {
                    earlier().next().is_some_and(|first| shown.begins_like(first))
                        && earlier()
                            .next_back()
                            .is_some_and(|last| step.begins_like(&last.undone()))
                };
                is_it || goes_on()
            })
        })
    }
}

/// Each thing that changes by itself.
fn single(changes: &[Change]) -> Vec<Change> {
    let parts = |change: &Change| match change {
        Change::Managed(moves) => {
            moves.iter().map(|one| Change::Managed(vec![one.clone()])).collect()
        }
        other => vec![other.clone()],
    };
    changes.iter().flat_map(parts).collect()
}

#[cfg(test)]
mod tests {
    use crate::compliance::change::Change;
    use crate::compliance::consent::Consent;
    use crate::model::{Attributes, Move, PathState, Permissions, Thing};

    fn file(text: &str) -> PathState {
        let owned = Permissions { mode: 0o644, uid: 0, gid: 0 };
        PathState::File { content: text.as_bytes().into(), owned }
    }

    fn step(path: &str, before: PathState, after: PathState) -> Change {
        Change::Path { path: path.parse().unwrap(), before, after, enclosed: false }
    }

    fn edit(before: &str, after: &str) -> Change {
        step("/etc/x", file(before), file(after))
    }

    fn packages(names: &[&str]) -> Change {
        let package = |name: &&str| Move {
            thing: Thing::Unit { name: (*name).to_owned() },
            before: None,
            after: Some(Attributes::new()),
        };
        Change::Managed(names.iter().map(package).collect())
    }

    #[test]
    fn what_was_shown_is_agreed_to_and_what_follows_from_it_but_nothing_else() {
        let folder = || step("/etc/d", PathState::Absent, PathState::Symlink { to: "x".into() });
        for (case, steps, made, now, is_covered) in [
            ("the same", vec![edit("a", "b")], vec![], vec![edit("a", "b")], true),
            ("less", vec![folder(), edit("a", "b")], vec![], vec![edit("a", "b")], true),
            ("fewer packages", vec![packages(&["a", "b"])], vec![], vec![packages(&["b"])], true),
            ("one more", vec![packages(&["a"])], vec![], vec![packages(&["a", "b"])], false),
            ("another step", vec![edit("a", "b")], vec![], vec![folder(), edit("a", "b")], false),
            ("changed by another", vec![edit("a", "ab")], vec![], vec![edit("c", "cb")], false),
            ("ours", vec![edit("a", "ab")], vec![edit("a", "ac")], vec![edit("ac", "acb")], true),
            ("since", vec![edit("a", "ab")], vec![edit("a", "ac")], vec![edit("d", "db")], false),
            (
                "before",
                vec![edit("a", "ab")],
                vec![edit("d", "dc")],
                vec![edit("dc", "dcb")],
                false,
            ),
        ] {
            let consent = Consent::Shown { steps: &steps, made: &made };
            assert_eq!(consent.covers(&now), is_covered, "{case}");
            assert!(Consent::Whatever.covers(&now), "{case}");
        }
    }
}
