//! What a fix would change, as values and as a diff that people read.
//!
//! In: what is, what should be. Out: [`Change`]s and text. Pure.
//!
//! # Guarantees
//! * Contents that not everybody may read, before or after, are in no diff.

use std::fmt::Write as _;

use crate::compliance::compared::compared;
pub use crate::compliance::facts::HIDDEN;
use crate::compliance::public_keys::{self, is_key_file};
use crate::model::managed::PRIVATE;
use crate::model::{Attributes, Digest, HostPath, Move, Thing};
use crate::model::{PathState, Permissions};

/// Lines around a difference that are shown.
const CONTEXT_LINES: usize = 3;
/// Longer diffs are cut: nobody reads them.
const DIFF_LINES_MAX: usize = 200;

/// One step of a fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A path becomes something else.
    Path {
        /// Which.
        path: HostPath,
        /// What lies there.
        before: PathState,
        /// What should.
        after: PathState,
        /// Whether a folder on the way keeps others from what lies there.
        enclosed: bool,
    },
    /// A kernel parameter changes.
    Kernel {
        /// As sysctl names it.
        key: String,
        /// What it is.
        before: String,
        /// What it should be.
        after: String,
        /// Whether not everybody may read it.
        hidden: bool,
    },
    /// Things that programs of the host look after become something else, all together.
    Managed(Vec<Move>),
}

impl Change {
    /// The same the other way round.
    #[must_use]
    pub fn undone(&self) -> Self {
        match self {
            Self::Path { path, before, after, enclosed } => Self::Path {
                path: path.clone(),
                before: after.clone(),
                after: before.clone(),
                enclosed: *enclosed,
            },
            Self::Kernel { key, before, after, hidden } => Self::Kernel {
                key: key.clone(),
                before: after.clone(),
                after: before.clone(),
                hidden: *hidden,
            },
            Self::Managed(moves) => Self::Managed(moves.iter().map(Move::undone).collect()),
        }
    }

    /// A diff for people.
    pub fn diff(&self) -> String {
        match self {
            Self::Path { path, before, after, enclosed } => {
                path_diff(path, before, after, *enclosed)
            }
            Self::Kernel { key, hidden: true, .. } => {
                format!("--- kernel\n+++ kernel\n# {key} becomes {HIDDEN}\n")
            }
            Self::Kernel { key, before, after, .. } => {
                let (before, after) = (plain(before), plain(after));
                format!("--- kernel\n+++ kernel\n-{key} = {before}\n+{key} = {after}\n")
            }
            Self::Managed(moves) => moves.iter().map(move_diff).collect(),
        }
    }
}

/// A line for each attribute that changes.
fn move_diff(change: &Move) -> String {
    let Move { thing, before, after } = change;
    let name = |side: &Option<Attributes>| match side {
        Some(_) => thing.to_string(),
        None => "/dev/null".to_owned(),
    };
    let mut text = format!("--- {}\n+++ {}\n", name(before), name(after));
    let number = |key: &str| Some((before.as_ref()?.get(key)?, after.as_ref()?.get(key)?));
    let changes = |key: &str| number(key).is_some_and(|(before, after)| before != after);
    match thing {
        Thing::User { .. } if changes("uid") => text.push_str(
            "# what is theirs below the home directory goes along; other files keep the number\n",
        ),
        Thing::Group { .. } if changes("gid") => text.push_str(
            "# users whose first group it is get the new number; files keep the old one\n",
        ),
        _ => {}
    }
    let none = Attributes::new();
    let (before, after) = (before.as_ref().unwrap_or(&none), after.as_ref().unwrap_or(&none));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
        for (sign, side) in [('-', before), ('+', after)] {
            if let Some(value) = side.get(name).filter(|value| !value.is_empty()) {
                let shown = if PRIVATE.contains(&name.as_str()) { HIDDEN } else { value };
                let _fits = writeln!(text, "{sign}{name} = {}", plain(shown));
            }
        }
    }
    text
}

/// Control characters would drive the reader's terminal; tabs are kept.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Whether its own mode keeps it from some; a folder on the way may as well.
pub fn is_hidden(state: &PathState) -> bool {
    matches!(state, PathState::File { owned, .. } | PathState::Unread { owned } if owned.is_hidden())
}

fn path_diff(path: &HostPath, before: &PathState, after: &PathState, enclosed: bool) -> String {
    let mut text = String::new();
    let name = |state: &PathState| match state {
        PathState::Absent => "/dev/null".to_owned(),
        _ => path.to_string(),
    };
    let _fits = writeln!(text, "--- {}\n+++ {}", name(before), name(after));
    if before == after {
        text.push_str("# gets its access control list back\n");
        return text;
    }
    let hidden = enclosed || is_hidden(before) || is_hidden(after);
    let (old, new) = (describe(before, hidden), describe(after, hidden));
    if old != new {
        let _fits = writeln!(text, "# {old} → {new}");
    }
    let (old, new) = (content(before), content(after));
    if old == new {
        return text;
    }
    if hidden {
        match (str::from_utf8(old), str::from_utf8(new)) {
            // Public keys are no secrets.
            (Ok(old), Ok(new)) if is_key_file(path) => {
                text.push_str(
                    "# not everybody may read it: only the keys that go and come are shown\n",
                );
                let keys = public_keys::diff(old, new);
                text.extend(keys.lines().take(DIFF_LINES_MAX).map(|line| plain(line) + "\n"));
            }
            _ => text
                .push_str("# the content differs; not everybody may read it, so it is not shown\n"),
        }
        return text;
    }
    match (std::str::from_utf8(old), std::str::from_utf8(new)) {
        (Ok(old), Ok(new)) if !old.contains('\0') && !new.contains('\0') => {
            text.push_str(&lines(old, new));
        }
        _ => text.push_str("# the contents differ and are not text\n"),
    }
    text
}

fn content(state: &PathState) -> &[u8] {
    match state {
        PathState::File { content, .. } => content,
        _ => &[],
    }
}

/// Changed lines with some around them.
fn lines(old: &str, new: &str) -> String {
    let whole = compared(old, new).unified_diff().context_radius(CONTEXT_LINES).to_string();
    let mut text = String::new();
    for (at, line) in whole.lines().enumerate() {
        if at >= DIFF_LINES_MAX {
            text.push_str("# …and more\n");
            break;
        }
        text.push_str(&plain(line));
        text.push('\n');
    }
    text
}

/// What lies at a path, in one line.
pub fn describe(state: &PathState, hidden: bool) -> String {
    match state {
        PathState::File { content, owned } if hidden => {
            let empty = if content.is_empty() { ", empty" } else { "" };
            format!("a file, {}{empty}", access(*owned))
        }
        PathState::File { content, owned } => {
            let digest = Digest::of(content).short();
            format!("a file, {}, {} bytes, sha256:{digest}", access(*owned), content.len())
        }
        PathState::Unread { owned } => format!("a file, {}", access(*owned)),
        PathState::Directory { owned } => format!("a directory, {}", access(*owned)),
        PathState::Symlink { to } => format!("a symbolic link to {}", plain(to)),
        PathState::Absent | PathState::Special => state.noun().to_owned(),
    }
}

fn access(owned: Permissions) -> String {
    format!("mode {:04o}, owner {}:{}", owned.mode, owned.uid, owned.gid)
}

#[cfg(test)]
mod tests {
    use crate::compliance::change::Change;
    use crate::model::{PathState, Permissions};

    fn file(text: &str, mode: u32) -> PathState {
        let owned = Permissions { mode, uid: 0, gid: 0 };
        PathState::File { content: text.as_bytes().into(), owned }
    }

    fn diff(before: PathState, after: PathState) -> String {
        Change::Path { path: "/etc/x".parse().unwrap(), before, after, enclosed: false }.diff()
    }

    #[test]
    fn a_diff_is_what_people_know() {
        insta::assert_snapshot!(diff(file("a\nb\n", 0o644), file("a\nc\n", 0o644)), @r"
        --- /etc/x
        +++ /etc/x
        # a file, mode 0644, owner 0:0, 4 bytes, sha256:911169ddaaf1 → a file, mode 0644, owner 0:0, 4 bytes, sha256:b72cf6d79181
        @@ -1,2 +1,2 @@
         a
        -b
        +c
        ");
    }

    #[test]
    fn what_not_everybody_may_read_is_in_no_diff() {
        for (before, after) in [(0o600, 0o644), (0o644, 0o640), (0o600, 0o600)] {
            let shown = diff(file("canary-1\n", before), file("canary-2\n", after));
            assert!(!shown.contains("canary") && !shown.contains("sha256"), "{shown}");
        }
        let made = diff(PathState::Absent, file("canary\n", 0o600));
        assert!(!made.contains("canary"), "{made}");
    }

    #[test]
    fn a_key_that_comes_or_goes_is_shown_wherever_it_lies_and_none_of_its_neighbours() {
        let path = "/home/alice/.ssh/authorized_keys".parse().unwrap();
        let mine = "ssh-ed25519 AAAA1 alice\n";
        let theirs = "environment=\"TOKEN=canary\" ssh-ed25519 AAAA2 bob\n";
        let (before, after) = (file(theirs, 0o600), file(&format!("{theirs}{mine}"), 0o600));
        let shown = Change::Path { path, before, after, enclosed: true }.diff();
        assert!(shown.contains(&format!("\n+{mine}")), "{shown}");
        assert!(!shown.contains("AAAA2") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_diff_ends_soon_however_long_files_are_that_share_nothing() {
        let line = |all: String, n: u32, what: &str| all + what + &n.to_string() + "\n";
        let many = |what| (0..200_000).fold(String::new(), |all, n| line(all, n, what));
        for (path, mode) in [("/etc/x", 0o644), ("/home/alice/.ssh/authorized_keys", 0o600)] {
            let (before, after) = (file(&many("a"), mode), file(&many("b"), mode));
            let path = path.parse().unwrap();
            let shown = Change::Path { path, before, after, enclosed: false }.diff();
            assert!((200..210).contains(&shown.lines().count()), "{shown}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let shown = diff(PathState::Absent, file("a\x1b[31mb\n", 0o644));
        assert!(!shown.contains('\x1b'), "{shown}");
        let planted = PathState::Symlink { to: "a\x1b[31mb".to_owned() };
        let shown = diff(planted, file("a\n", 0o644));
        assert!(!shown.contains('\x1b'), "{shown}");
    }
}
