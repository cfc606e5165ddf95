//! `ssh_authorized_key`: a key that a user may log in with, or may not.

use crate::compliance::change::Change;
use crate::compliance::kind::{Judgement, Sight};
use crate::compliance::public_keys::{BLANK, options_end};
use crate::model::{HostPath, PathState, Permissions, UserEntry};
use crate::reconcile::desired::rule::kind::{AuthorizedKeyRule, Presence};

/// What sshd reads keys from, and only if nobody else may write it.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// What a rule sees of a user's keys.
#[derive(Debug)]
pub struct KeysSight<'a> {
    /// The user; none if there is none.
    pub user: Option<&'a UserEntry>,
    /// The files that sshd reads, the usual one first; none where a user has no home for them.
    pub files: Vec<(HostPath, Sight<'a>)>,
}

/// Where a user's keys stand, as sshd looks for them if nothing else is configured; none for a home
/// that is no path.
pub fn keys_paths(user: &UserEntry) -> Vec<HostPath> {
    let home = user.home.trim_end_matches('/');
    let paths = ["authorized_keys", "authorized_keys2"].map(|name| format!("{home}/.ssh/{name}"));
    paths.iter().filter_map(|path| path.parse().ok()).collect()
}

/// Judges it.
pub(crate) fn judge(rule: &AuthorizedKeyRule, sight: &KeysSight<'_>) -> Judgement {
    let AuthorizedKeyRule { user, fingerprint, comment, state, .. } = rule;
    let comment = if comment.is_empty() { String::new() } else { format!(" ({comment})") };
    let key = format!("key {fingerprint}{comment}");
    let expected = match state {
        Presence::Present => format!("{key} for {user}"),
        Presence::Absent => format!("no {key} for {user}"),
    };
    let stuck = |actual: String, reason: String| match state {
        Presence::Absent => Judgement::Ok { expected: expected.clone() },
        Presence::Present => {
            Judgement::NotOk { expected: expected.clone(), actual, fix: Err(reason) }
        }
    };
    let Some(entry) = sight.user else {
        if *state == Presence::Absent {
            let reason = format!(
                "user {user} is not in /etc/passwd: where their keys would lie is not known"
            );
            return Judgement::Error { reason };
        }
        let reason = format!("a rule of kind `user` makes user {user}");
        return stuck(format!("there is no user {user}"), reason);
    };
    if sight.files.is_empty() {
        return stuck(format!("{user} has no home"), "give the user one".to_owned());
    }
    // In further files it would give what the options of the first one keep.
    let nowhere = AuthorizedKeyRule { state: Presence::Absent, ..rule.clone() };
    let rules = std::iter::once(rule).chain(std::iter::repeat(&nowhere));
    let (mut actual, mut fix) = (None, Ok(Vec::new()));
    for ((path, seen), rule) in sight.files.iter().zip(rules) {
        let (text, owned) = match &seen.state {
            PathState::Absent => ("", None),
            PathState::File { content, owned } => match std::str::from_utf8(content) {
                Ok(text) => (text, Some(*owned)),
                Err(_) => return Judgement::Error { reason: format!("{path} is not UTF-8 text") },
            },
            other => return Judgement::Error { reason: format!("{path} is {}", other.noun()) },
        };
        let (new, found) = edited(text, rule);
        let writable = owned.is_some_and(|owned| owned.mode & 0o022 != 0);
        if new == text && !(writable && rule.state == Presence::Present) {
            continue;
        }
        let what = match (found, state, rule.state) {
            (_, Presence::Absent, _) => format!("{user} may log in with it"),
            (_, _, Presence::Absent) => format!("{user} has it in {path} too"),
            (Found::Nothing, ..) => format!("{user} has no such key"),
            (Found::Otherwise, ..) => {
                format!("{user} has it more than once, or with other options")
            }
            (Found::AsWanted, ..) => {
                format!("others may write to {path}, so sshd does not read it")
            }
        };
        actual.get_or_insert(what);
        let more = changes(path, seen, entry, new, owned);
        fix = fix.and_then(|fix: Vec<Change>| Ok([fix, more?].concat()));
    }
    match actual {
        None => Judgement::Ok { expected },
        Some(actual) => Judgement::NotOk { expected, actual, fix },
    }
}

/// The first of a user's files with the key as the rule wants it.
pub fn edit_keys(text: &str, rule: &AuthorizedKeyRule) -> String {
    edited(text, rule).0
}

/// What of the key stands in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    AsWanted,
    Otherwise,
}

/// The file with the key once and with these options, or without it; other lines stay.
fn edited(text: &str, rule: &AuthorizedKeyRule) -> (String, Found) {
    let parts = [rule.options.as_str(), &rule.key, &rule.comment];
    let line = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let wanted = rule.state == Presence::Present;
    let (mut new, mut hits, mut right) = (String::new(), 0, false);
    for old in text.split_inclusive('\n') {
        let Some((options, reads)) = options_of(old, &rule.key) else {
            new.push_str(old);
            continue;
        };
        hits += 1;
        if wanted && hits == 1 {
            right = reads && options == rule.options;
            let kept = if right { old.trim_end_matches('\n') } else { &line };
            new.push_str(kept);
            if !right || old.ends_with('\n') {
                new.push('\n');
            }
        }
    }
    if wanted && hits == 0 {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(&line);
        new.push('\n');
    }
    let found = match hits {
        0 => Found::Nothing,
        1 if right => Found::AsWanted,
        _ => Found::Otherwise,
    };
    (new, found)
}

/// What stands before the key in a line, and whether its type is written as in the rule; none if
/// the key is not in it. sshd takes a line for a key, or else for options and a key; of the type it
/// takes several spellings, while the key itself says which it is.
fn options_of<'a>(line: &'a str, key: &str) -> Option<(&'a str, bool)> {
    let (wanted_type, wanted) = key.split_once(' ')?;
    // sshd reads no further than a zero byte.
    let line = line.split('\0').next().unwrap_or_default().trim_start_matches(BLANK).trim_end();
    if line.starts_with('#') {
        return None;
    }
    let reads = |text: &str| {
        let (kind, rest) = text.split_once(BLANK)?;
        let blob = rest.trim_start_matches(BLANK).split(BLANK).next()?;
        // What decodes base64 skips these.
        let is_it = blob.chars().filter(|c| !c.is_whitespace()).eq(wanted.chars());
        let is_type = kind.chars().all(|c| c.is_ascii_alphanumeric() || "-@.".contains(c));
        (is_it && is_type).then_some(kind == wanted_type)
    };
    if let Some(exact) = reads(line) {
        return Some(("", exact));
    }
    let (options, rest) = line.split_at(options_end(line));
    reads(rest.trim_start_matches(BLANK)).map(|exact| (options, exact))
}

/// Folder and file, which are the user's own.
fn changes(
    path: &HostPath,
    seen: &Sight<'_>,
    user: &UserEntry,
    new: String,
    owned: Option<Permissions>,
) -> Result<Vec<Change>, String> {
    let folder = path.split().map(|(folder, _)| folder);
    if seen.missing.iter().any(|missing| Some(missing) != folder.as_ref()) {
        return Err(format!("there is no {}: a rule of kind `directory` makes it", user.home));
    }
    let own = |mode: u32| Permissions { mode, uid: user.uid, gid: user.gid };
    let mut changes: Vec<Change> = seen
        .missing
        .iter()
        .map(|folder| Change::Path {
            path: folder.clone(),
            before: PathState::Absent,
            after: PathState::Directory { owned: own(FOLDER_MODE) },
            enclosed: seen.enclosed,
        })
        .collect();
    let owned = owned
        .map_or_else(|| own(FILE_MODE), |owned| Permissions { mode: owned.mode & !0o022, ..owned });
    let after = PathState::File { content: new.into_bytes().into(), owned };
    let before = seen.state.clone();
    changes.push(Change::Path { path: path.clone(), before, after, enclosed: seen.enclosed });
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::authorized_key::{Found, edited};
    use crate::reconcile::desired::rule::kind::{AuthorizedKeyRule, Presence};

    fn rule(options: &str, state: Presence) -> AuthorizedKeyRule {
        AuthorizedKeyRule {
            user: "alice".to_owned(),
            key: "ssh-ed25519 AAAA".to_owned(),
            comment: "laptop".to_owned(),
            fingerprint: "SHA256:x".to_owned(),
            options: options.to_owned(),
            state,
        }
    }

    #[test]
    fn the_key_stands_once_with_its_options_and_other_lines_stay() {
        let other = "# ssh-ed25519 AAAA\nssh-ed25519 AAAAB bob\n";
        for (text, options, wanted, found) in [
            ("", "", "ssh-ed25519 AAAA laptop\n", Found::Nothing),
            ("a", "", "a\nssh-ed25519 AAAA laptop\n", Found::Nothing),
            ("ssh-ed25519 AAAA old", "", "ssh-ed25519 AAAA old", Found::AsWanted),
            ("no-pty ssh-ed25519 AAAA old\n", "", "ssh-ed25519 AAAA laptop\n", Found::Otherwise),
            (
                "ssh-ed25519 AAAA\nb\nssh-ed25519 AAAA\n",
                "",
                "ssh-ed25519 AAAA\nb\n",
                Found::Otherwise,
            ),
            ("", "no-pty", "no-pty ssh-ed25519 AAAA laptop\n", Found::Nothing),
            ("nonsense AAAA\n", "", "ssh-ed25519 AAAA laptop\n", Found::Otherwise),
            (
                "ssh-ed25519\tAAAA x\n",
                "no-pty",
                "no-pty ssh-ed25519 AAAA laptop\n",
                Found::Otherwise,
            ),
            (
                "command=\"ssh-ed25519 AAAA x\" ssh-rsa AAAAC\n",
                "",
                "command=\"ssh-ed25519 AAAA x\" ssh-rsa AAAAC\nssh-ed25519 AAAA laptop\n",
                Found::Nothing,
            ),
        ] {
            let rule = rule(options, Presence::Present);
            let (new, was) = edited(&format!("{other}{text}"), &rule);
            assert_eq!((new.as_str(), was), (format!("{other}{wanted}").as_str(), found), "{text}");
            assert_eq!(edited(&new, &rule), (new.clone(), Found::AsWanted), "{text}");
        }
        let gone =
            edited(&format!("no-pty ssh-ed25519 AAAA x\n{other}"), &rule("", Presence::Absent));
        assert_eq!(gone.0, other);
    }

    #[test]
    fn a_key_that_sshd_reads_is_found_however_it_is_written() {
        for line in [
            "ssh-ed25519  AAAA x",
            "ssh-ed25519\tAAAA\tx",
            " \t ssh-ed25519 \t AAAA\r",
            "ED25519 AAAA",
            "command=\"ssh-ed25519 AAAA x\" ssh-ed25519 AAAA c",
            "command=\"echo \\\"a b\\\"\",no-pty\t ssh-ed25519 AAAA",
            "ssh-ed25519 AAAA\0x",
        ] {
            let gone = edited(&format!("{line}\n# x\n"), &rule("", Presence::Absent));
            assert_eq!(gone.0, "# x\n", "{line}");
        }
        for line in ["command=\"ssh-ed25519 AAAA x\"", "a b ssh-ed25519 AAAA", "ssh-ed25519 AAAAB"]
        {
            let stays = edited(line, &rule("", Presence::Absent));
            assert_eq!(stays, (line.to_owned(), Found::Nothing));
        }
    }
}
