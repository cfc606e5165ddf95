//! What was agreed to before something is mended, held against what would be done now.
//!
//! In: what was shown, what was done since, what would be done. Out: whether that is it. Pure.
//!
//! # Guarantees
//! * Nothing is covered that was not shown, unless it follows from what was: a step that goes on where
//!   an earlier fix of the same agreement ended, from where this one was shown to begin.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::compliance::change::Change;
use crate::model::{Attributes, HostPath, Move, PathState, Thing};

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
        let (shown, made) = (by_thing(steps), by_thing(made));
        by_thing(changes).iter().all(|(thing, now)| {
            let Some(shown) = shown.get(thing) else { return false };
            now.iter().all(|step| {
                let made = made.get(thing).map_or(&[][..], |made| made);
                let goes_on = |shown: &Sides<'_>| {
                    ends(made, shown)
                        .is_some_and(|(first, last)| shown.before == first && step.before == last)
                };
                shown.iter().any(|shown| shown == step || goes_on(shown))
            })
        })
    }
}

/// What changes by itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Name<'a> {
    Path(&'a HostPath),
    Kernel(&'a str),
    Managed(&'a Thing),
}

/// What is there of it, before or after.
#[derive(Clone, PartialEq, Eq)]
enum Side<'a> {
    Path(Cow<'a, PathState>),
    Kernel(&'a str),
    Managed(Option<&'a Attributes>),
}

/// One step.
#[derive(PartialEq, Eq)]
struct Sides<'a> {
    before: Side<'a>,
    after: Side<'a>,
}

/// What lay there before the first of these steps, and what lies there after the last. A step that
/// changes mode or owner alone does not say what a file says: another of them does, or what was shown.
fn ends<'a>(made: &[Sides<'a>], shown: &Sides<'a>) -> Option<(Side<'a>, Side<'a>)> {
    let says = |side: &&Side<'a>| matches!(side, Side::Path(path) if path.content().is_some());
    let whole = |end: &Side<'a>, told: Option<&Side<'a>>| {
        let (Side::Path(end), Side::Path(told)) = (end, told.unwrap_or(&shown.before)) else {
            return end.clone();
        };
        match (&**end, told.content()) {
            (PathState::Unread { owned }, Some(content)) => {
                Side::Path(Cow::Owned(PathState::File { content: content.clone(), owned: *owned }))
            }
            _ => Side::Path(end.clone()),
        }
    };
    let first = whole(&made.first()?.before, made.iter().map(|step| &step.before).find(says));
    let last = whole(&made.last()?.after, made.iter().map(|step| &step.after).rfind(says));
    Some((first, last))
}

/// The steps of each thing, in their order.
fn by_thing(changes: &[Change]) -> BTreeMap<Name<'_>, Vec<Sides<'_>>> {
    let mut all: BTreeMap<Name<'_>, Vec<Sides<'_>>> = BTreeMap::new();
    let mut add = |name, before, after| all.entry(name).or_default().push(Sides { before, after });
    for change in changes {
        match change {
            Change::Path { path, before, after, .. } => {
                let [before, after] = [before, after].map(|side| Side::Path(Cow::Borrowed(side)));
                add(Name::Path(path), before, after);
            }
            Change::Kernel { key, before, after, .. } => {
                add(Name::Kernel(key), Side::Kernel(before), Side::Kernel(after));
            }
            Change::Managed(moves) => {
                for Move { thing, before, after } in moves {
                    let [before, after] = [before, after].map(|side| Side::Managed(side.as_ref()));
                    add(Name::Managed(thing), before, after);
                }
            }
        }
    }
    all
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
        let unread = |mode| PathState::Unread { owned: Permissions { mode, uid: 0, gid: 0 } };
        let private = |text: &str| PathState::File {
            content: text.as_bytes().into(),
            owned: Permissions { mode: 0o600, uid: 0, gid: 0 },
        };
        let mode = || step("/etc/x", unread(0o644), unread(0o600));
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
                "ours, whose mode was ours too",
                vec![edit("a", "ab")],
                vec![edit("a", "ac"), mode()],
                vec![step("/etc/x", private("ac"), private("acb"))],
                true,
            ),
            (
                "another mode than ours",
                vec![edit("a", "ab")],
                vec![edit("a", "ac"), mode()],
                vec![edit("ac", "acb")],
                false,
            ),
            (
                "our mode, and a text that is not ours",
                vec![edit("a", "ab")],
                vec![mode()],
                vec![step("/etc/x", private("d"), private("db"))],
                false,
            ),
            (
                "our mode, and the text that was shown",
                vec![edit("a", "ab")],
                vec![mode()],
                vec![step("/etc/x", private("a"), private("ab"))],
                true,
            ),
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
