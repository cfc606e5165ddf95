//! `mount`: what is mounted at a path, now and by /etc/fstab.

use crate::compliance::change::Change;
use crate::compliance::kind::text::TextFile;
use crate::compliance::kind::{Judgement, Sight};
use crate::model::managed::attributes;
use crate::model::mounts::{escaped, unescaped};
use crate::model::{Attributes, HostPath, MountSeen, Move, PathState, Permissions, Thing};
use crate::reconcile::desired::rule::kind::{MountRule, MountWish};

/// What a new directory to mount at may be used by.
const FOLDER_MODE: u32 = 0o755;

/// What a rule sees of a mount.
#[derive(Debug)]
pub struct MountSight<'a> {
    /// What is mounted there; the topmost of several.
    pub live: Option<MountSeen>,
    /// Whether that is of the source and type that the rule wants.
    pub is_wanted: bool,
    /// The folder that a bind mount shows, where it is one and can be told.
    pub shows: Option<String>,
    /// The path, if nothing is mounted there: a network's file system that is gone would hang
    /// whoever looks at it.
    pub place: Option<Sight<'a>>,
    /// /etc/fstab, and where it lies.
    pub fstab: (HostPath, Sight<'a>),
}

/// What is otherwise, and how it is mended.
type Otherwise = (String, Result<Vec<Change>, String>);

/// Judges it.
pub(super) fn judge(rule: &MountRule, sight: &MountSight<'_>) -> Judgement {
    let file = match TextFile::seen(&sight.fstab.0, &sight.fstab.1) {
        Ok(file) => file,
        Err(reason) => return Judgement::Error { reason },
    };
    let edited = edit(&file.text, rule);
    let (expected, live) = match &rule.wish {
        None => {
            (format!("nothing mounted at {}, now or at boot", rule.path), unmounted(rule, sight))
        }
        Some(wish) => {
            let live = if wish.now { mounted(rule, wish, sight) } else { None };
            (wanted(&rule.path, wish), live)
        }
    };
    let boot = (edited != file.text).then(|| {
        let lines: Vec<&str> = entries(&file.text, &rule.path).collect();
        let is = match (&lines[..], &rule.wish) {
            ([], _) => "not in /etc/fstab".to_owned(),
            (_, None) => "in /etc/fstab".to_owned(),
            // A line may have a password.
            _ if sight.fstab.1.is_hidden() => "otherwise in /etc/fstab".to_owned(),
            (lines, _) => format!("`{}` in /etc/fstab", lines.join("`, `")),
        };
        (is, file.rewritten(edited, true))
    });
    // What cannot be mounted is not kept for the next boot, which would fail.
    let otherwise: Vec<Otherwise> = live.into_iter().chain(boot).collect();
    if otherwise.is_empty() {
        return Judgement::Ok { expected };
    }
    let (actual, fixes): (Vec<String>, Vec<_>) = otherwise.into_iter().unzip();
    let fix = if rule.path.is_kept() {
        Err(format!("the host would be gone without {}: an operator must do that", rule.path))
    } else {
        fixes.into_iter().collect::<Result<Vec<_>, _>>().map(|all| all.concat())
    };
    Judgement::NotOk { expected, actual: actual.join(", "), fix }
}

fn wanted(path: &HostPath, wish: &MountWish) -> String {
    let options = wish.options.as_ref().map(|o| format!(", {}", o.join(","))).unwrap_or_default();
    let when = match (wish.now, wish.at_boot) {
        (true, true) => "mounted and in /etc/fstab",
        (true, false) => "mounted",
        _ => "in /etc/fstab",
    };
    format!("{} at {path} ({}{options}), {when}", wish.source, wish.kind)
}

/// What is not mounted as it should be.
fn mounted(rule: &MountRule, wish: &MountWish, sight: &MountSight<'_>) -> Option<Otherwise> {
    let options = wish.options.clone().unwrap_or_default();
    let written = options.join(",");
    let side = attributes([("source", &wish.source), ("type", &wish.kind), ("options", &written)]);
    let Some(live) = &sight.live else {
        let place = sight.place.as_ref().ok_or_else(|| "its place was not looked at".to_owned());
        let fix = place.and_then(|place| mount(rule, place, side));
        return Some(("not mounted".to_owned(), fix));
    };
    if !sight.is_wanted {
        let reason =
            format!("something else is mounted at {}: an operator must unmount it", rule.path);
        return Some((format!("{} ({}) is mounted there", live.source, live.kind), Err(reason)));
    }
    if live.fits(options.iter().map(String::as_str)) {
        return None;
    }
    let flags = live.flags();
    // What the rule does not name stays as it is.
    let beside = live.flags_beside(&options).into_iter();
    let all: Vec<&str> = options.iter().map(String::as_str).chain(beside).collect();
    let so = |options: &str| {
        attributes([("source", &wish.source), ("type", &wish.kind), ("options", options)])
    };
    let change = moved(rule, Some(so(&flags)), Some(so(&all.join(","))));
    Some((format!("mounted with {flags}"), Ok(vec![change])))
}

/// Makes the directory where there is none, and mounts.
fn mount(rule: &MountRule, place: &Sight<'_>, side: Attributes) -> Result<Vec<Change>, String> {
    let mut changes = match &place.state {
        PathState::Directory { .. } => Vec::new(),
        PathState::Absent => {
            let (uid, gid) = place.creator;
            let owned = Permissions { mode: FOLDER_MODE, uid, gid };
            place.change(&rule.path, PathState::Directory { owned })
        }
        other => return Err(format!("{} is in its place", other.noun())),
    };
    changes.push(moved(rule, None, Some(side)));
    Ok(changes)
}

/// What is mounted and should not be. What is taken away is kept as it could be mounted again.
fn unmounted(rule: &MountRule, sight: &MountSight<'_>) -> Option<Otherwise> {
    let live = sight.live.as_ref()?;
    let is = format!("{} ({}) is mounted there", live.source, live.kind);
    let options = live.all_options();
    // A part of a file system is a bind mount, unless its own options name the part.
    let side = if live.root == "/" || live.kind == "btrfs" {
        attributes([("source", &live.source), ("type", &live.kind), ("options", &options)])
    } else if let Some(folder) = &sight.shows {
        let options = format!("bind,{}", live.flags());
        attributes([("source", folder), ("type", "none"), ("options", &options)])
    } else {
        let reason = "it could not be mounted again: an operator must unmount it".to_owned();
        return Some((is, Err(reason)));
    };
    Some((is, Ok(vec![moved(rule, Some(side), None)])))
}

fn moved(rule: &MountRule, before: Option<Attributes>, after: Option<Attributes>) -> Change {
    let thing = Thing::Mount { name: rule.path.to_string() };
    Change::Managed(vec![Move { thing, before, after }])
}

/// Whether fstab has a line about a path.
pub fn is_in_fstab(text: &str, path: &HostPath) -> bool {
    entries(text, path).next().is_some()
}

/// Lines of fstab about a path.
fn entries<'t>(text: &'t str, path: &'t HostPath) -> impl Iterator<Item = &'t str> {
    text.lines().filter(|line| is_about(line, path)).map(str::trim)
}

fn is_about(line: &str, path: &HostPath) -> bool {
    let mut words = line.split_whitespace();
    let first = words.next().is_some_and(|word| !word.starts_with('#'));
    let at = |word: &str| {
        let word = unescaped(word);
        let steps = word.split('/').filter(|step| !matches!(*step, "" | "."));
        word.starts_with('/') && steps.eq(path.steps())
    };
    first && words.next().is_some_and(at)
}

/// fstab with one line for the path, or none; without a word about it unless the rule has one.
pub(crate) fn edit(text: &str, rule: &MountRule) -> String {
    let wish = match &rule.wish {
        Some(wish) if !wish.at_boot => return text.to_owned(),
        other => other.as_ref(),
    };
    let mut edited = String::with_capacity(text.len());
    let mut n_found = 0;
    for whole in text.split_inclusive('\n') {
        if !is_about(whole, &rule.path) {
            edited.push_str(whole);
            continue;
        }
        n_found += 1;
        match wish {
            Some(wish) if n_found == 1 && says(whole, wish) => edited.push_str(whole),
            Some(wish) if n_found == 1 => edited.push_str(&line(&rule.path, wish, Some(whole))),
            // The last one would win, or all would be mounted on one another.
            _ => {}
        }
    }
    if let (0, Some(wish)) = (n_found, wish) {
        if !edited.is_empty() && !edited.ends_with('\n') {
            edited.push('\n');
        }
        edited.push_str(&line(&rule.path, wish, None));
    }
    edited
}

/// Whether a line mounts what is wanted, whatever the order of its options.
fn says(line: &str, wish: &MountWish) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [source, _, kind, options, ..] = words[..] else { return false };
    unescaped(source) == wish.source
        && unescaped(kind) == wish.kind
        && wish
            .options
            .as_ref()
            .is_none_or(|all| sorted(options.split(',')) == sorted(all.iter().map(String::as_str)))
}

/// Options in one order, without the word for none.
fn sorted<'o>(options: impl Iterator<Item = &'o str>) -> Vec<&'o str> {
    let mut sorted: Vec<&str> = options.filter(|option| *option != "defaults").collect();
    sorted.sort_unstable();
    sorted
}

/// The line that mounts it; what the rule does not say stays.
fn line(path: &HostPath, wish: &MountWish, old: Option<&str>) -> String {
    let old: Vec<&str> = old.map(|line| line.split_whitespace().collect()).unwrap_or_default();
    let stays =
        |at: usize, otherwise: &'static str| (*old.get(at).unwrap_or(&otherwise)).to_owned();
    let options = match &wish.options {
        Some(options) if !options.is_empty() => options.join(","),
        Some(_) => "defaults".to_owned(),
        None => stays(3, "defaults"),
    };
    let fields = [
        escaped(&wish.source),
        escaped(path.as_str()),
        escaped(&wish.kind),
        options,
        stays(4, "0"),
        stays(5, "0"),
    ];
    fields.join(" ") + "\n"
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::mount::edit;
    use crate::reconcile::desired::rule::kind::{MountRule, MountWish};

    fn rule(options: Option<&[&str]>) -> MountRule {
        let options = options.map(|all| all.iter().map(|o| (*o).to_owned()).collect());
        let (source, kind) = ("/dev/sdb1".to_owned(), "ext4".to_owned());
        let wish = MountWish { source, kind, options, now: true, at_boot: true };
        MountRule { path: "/srv/a b".parse().unwrap(), wish: Some(wish) }
    }

    #[test]
    fn fstab_has_one_line_for_a_path_and_a_second_edit_changes_nothing() {
        let line = "/dev/sdb1 /srv/a\\040b ext4 noexec,nodev 0 2\n";
        let gone = MountRule { wish: None, ..rule(None) };
        for (rule, before, after) in [
            (rule(None), "", "/dev/sdb1 /srv/a\\040b ext4 defaults 0 0\n"),
            (
                rule(None),
                "# x\na / ext4",
                "# x\na / ext4\n/dev/sdb1 /srv/a\\040b ext4 defaults 0 0\n",
            ),
            (rule(None), line, line),
            (rule(Some(&["nodev", "noexec"])), line, line),
            (rule(Some(&["ro"])), line, "/dev/sdb1 /srv/a\\040b ext4 ro 0 2\n"),
            (rule(Some(&[])), line, "/dev/sdb1 /srv/a\\040b ext4 defaults 0 2\n"),
            (rule(None), "x /srv/a\\040b/ xfs ro\n", "/dev/sdb1 /srv/a\\040b ext4 ro 0 0\n"),
            (rule(None), &format!("{line}# y\nx\t/srv/a\\040b xfs ro\n"), &format!("{line}# y\n")),
            (gone.clone(), &format!("# /srv/a\\040b\n{line}a /b c\n"), "# /srv/a\\040b\na /b c\n"),
            (gone, "a /srv c\n", "a /srv c\n"),
        ] {
            let edited = edit(before, &rule);
            assert_eq!(edited, after, "{before:?}");
            assert_eq!(edit(&edited, &rule), edited, "{before:?}");
        }
    }
}
