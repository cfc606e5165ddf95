//! Public keys of people, which are no secrets wherever they lie.
//!
//! In: lines of an `authorized_keys` file (sshd(8)). Out: what people may see of them. Pure.
//!
//! # Guarantees
//! * Nothing is shown but a key, its comment and options, without what `command` and `environment`
//!   say; of any other line only that there is one.

use similar::ChangeTag;

use crate::compliance::compared::compared;
use crate::model::HostPath;

/// What parts the words of a line.
pub(crate) const BLANK: [char; 2] = [' ', '\t'];
/// How types of keys begin.
const TYPES: [&str; 3] = ["ssh-", "ecdsa-", "sk-"];
/// Options whose values may be secret.
const SECRET: [&str; 2] = ["command", "environment"];
/// Stands for those values.
const UNSAID: &str = "\"…\"";

/// Whether sshd reads keys from a file of this name, if nothing else is configured.
pub(super) fn is_key_file(path: &HostPath) -> bool {
    let path = path.as_str();
    path.ends_with("/.ssh/authorized_keys") || path.ends_with("/.ssh/authorized_keys2")
}

/// The keys that go and come, a line each.
pub(super) fn diff(old: &str, new: &str) -> String {
    let diff = compared(old, new);
    let line = |sign: char, line: &str| format!("{sign}{}\n", shown(line));
    let changes = diff.iter_all_changes();
    changes
        .map(|change| match change.tag() {
            ChangeTag::Delete => line('-', change.value()),
            ChangeTag::Insert => line('+', change.value()),
            ChangeTag::Equal => String::new(),
        })
        .collect()
}

/// Where options end: at the first blank outside quotes.
pub(crate) fn options_end(line: &str) -> usize {
    end_of(line, &BLANK)
}

fn end_of(text: &str, ends: &[char]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            c if !quoted && ends.contains(&c) => return at,
            _ => {}
        }
        escaped = c == '\\';
    }
    text.len()
}

fn shown(line: &str) -> String {
    let line = line.trim_start_matches(BLANK).trim_end();
    let is_key = |text: &str| TYPES.iter().any(|kind| text.starts_with(kind));
    if is_key(line) {
        return line.to_owned();
    }
    let (options, rest) = line.split_at(options_end(line));
    let rest = rest.trim_start_matches(BLANK);
    if line.starts_with('#') || !is_key(rest) {
        return "a line that is no key, which is not shown".to_owned();
    }
    format!("{} {rest}", plain(options))
}

fn plain(mut options: &str) -> String {
    let mut all = Vec::new();
    loop {
        let (option, rest) = options.split_at(end_of(options, &[',']));
        let name = option.split_once('=').map(|(name, _)| name);
        let secret = |name: &&str| SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        all.push(match name.filter(secret) {
            Some(name) => format!("{name}={UNSAID}"),
            None => option.to_owned(),
        });
        match rest.strip_prefix(',') {
            Some(rest) => options = rest,
            None => return all.join(","),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::compliance::public_keys::shown;

    #[test]
    fn a_key_is_shown_and_nothing_that_may_be_secret() {
        let unshown = "a line that is no key, which is not shown";
        for (line, seen) in [
            ("ssh-ed25519 AAAA alice", "ssh-ed25519 AAAA alice"),
            ("from=\"10.0.0.0/8\",no-pty ssh-rsa AAAA", "from=\"10.0.0.0/8\",no-pty ssh-rsa AAAA"),
            (
                "no-pty,Environment=\"A=canary, b\\\" c\",command=\"canary\" sk-x AAAA",
                "no-pty,Environment=\"…\",command=\"…\" sk-x AAAA",
            ),
            ("# ssh-rsa canary", unshown),
            ("canary", unshown),
            ("command=\"canary ssh-rsa AAAA", unshown),
            ("canary=x ssh", unshown),
        ] {
            assert_eq!(shown(line), seen);
        }
    }
}
