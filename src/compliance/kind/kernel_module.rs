//! `kernel_module`: a module that is loaded, or kept out, now and after the next boot.

use crate::compliance::change::Change;
use crate::compliance::kind::{Confs, Judgement, Sight};
use crate::model::{Attributes, HostPath, Move, PathState, Permissions, Thing};
use crate::reconcile::desired::rule::kind::{KernelModuleRule, Presence};

/// What a new file may be read by.
const MODE: u32 = 0o644;

/// What a rule sees of a module; none where the kernel loads none at all.
#[derive(Debug)]
pub struct ModuleSight<'a> {
    /// The kernel's release.
    pub release: &'a str,
    /// Whether it is loaded.
    pub loaded: bool,
    /// Whether it is part of the kernel itself.
    pub builtin: bool,
    /// Whether it could be loaded.
    pub there: bool,
    /// Files of modules-load.d(5).
    pub load: &'a Confs,
    /// Files of modprobe.d(5).
    pub probe: &'a Confs,
    /// Ours among the first.
    pub own_load: (HostPath, Sight<'a>),
    /// Ours among the others.
    pub own_probe: (HostPath, Sight<'a>),
}

/// Where a rule keeps what is loaded at boot, and what is kept out.
pub fn own_paths(module: &str) -> [String; 2] {
    [
        format!("/etc/modules-load.d/tidegate-{module}.conf"),
        format!("/etc/modprobe.d/tidegate-{module}.conf"),
    ]
}

/// Judges it.
pub(super) fn judge(rule: &KernelModuleRule, sight: Option<&ModuleSight<'_>>) -> Judgement {
    let Some(sight) = sight else {
        return Judgement::NotApplicable { reason: "this kernel loads no modules".to_owned() };
    };
    match rule.state {
        Presence::Present => judge_loaded(&rule.module, sight),
        Presence::Absent => judge_absent(&rule.module, sight),
    }
}

fn judge_loaded(module: &str, sight: &ModuleSight<'_>) -> Judgement {
    let expected = format!("module {module} loaded, now and at boot");
    let blocked = sight.blocked_by(module);
    let at_boot = sight.is_listed(module) && blocked.is_none();
    if sight.builtin || sight.loaded && at_boot {
        return Judgement::Ok { expected };
    }
    let mut wrong = Vec::new();
    if !sight.loaded {
        wrong.push("not loaded".to_owned());
    }
    match &blocked {
        Some(path) => wrong.push(format!("kept out by {path}")),
        None if !at_boot => wrong.push("not at boot".to_owned()),
        None => {}
    }
    let fix = || {
        let mut changes = Vec::new();
        match &blocked {
            Some(path) if *path == sight.own_probe.0.as_str() => {
                changes.extend(sight.own_probe.1.change(&sight.own_probe.0, PathState::Absent));
            }
            Some(path) => return Err(format!("{path} keeps it out: remove it there")),
            None => {}
        }
        if !sight.is_listed(module) {
            changes.extend(written(&sight.own_load, format!("{module}\n"))?);
        }
        if !sight.loaded {
            if !sight.there {
                let release = sight.release;
                return Err(format!(
                    "kernel {release} has no module {module}: install what brings it"
                ));
            }
            changes.push(moved(module, None, Some(Attributes::new())));
        }
        Ok(changes)
    };
    Judgement::NotOk { expected, actual: format!("{module}: {}", wrong.join(", ")), fix: fix() }
}

fn judge_absent(module: &str, sight: &ModuleSight<'_>) -> Judgement {
    let expected = format!("module {module} not loaded, and blacklisted");
    if sight.builtin {
        let reason = "what is built into the kernel stays: another kernel is needed".to_owned();
        let actual = format!("{module}: part of the kernel");
        return Judgement::NotOk { expected, actual, fix: Err(reason) };
    }
    let blocked = sight.blocked_by(module).is_some();
    let own_list = sight.own_load.1.state != PathState::Absent;
    if blocked && !sight.loaded && !own_list {
        return Judgement::Ok { expected };
    }
    let mut wrong = Vec::new();
    wrong.extend(sight.loaded.then_some("loaded"));
    wrong.extend((!blocked).then_some("not blacklisted"));
    wrong.extend(own_list.then_some("wanted at boot by an earlier rule"));
    let fix = || {
        let mut changes = Vec::new();
        if own_list {
            changes.extend(sight.own_load.1.change(&sight.own_load.0, PathState::Absent));
        }
        if !blocked {
            changes.extend(written(&sight.own_probe, format!("blacklist {module}\n"))?);
        }
        if sight.loaded {
            changes.push(moved(module, Some(Attributes::new()), None));
        }
        Ok(changes)
    };
    Judgement::NotOk { expected, actual: format!("{module}: {}", wrong.join(", ")), fix: fix() }
}

fn moved(module: &str, before: Option<Attributes>, after: Option<Attributes>) -> Change {
    let thing = Thing::Module { name: module.to_owned() };
    Change::Managed(vec![Move { thing, before, after }])
}

/// The steps that write a file of ours.
fn written((path, sight): &(HostPath, Sight<'_>), text: String) -> Result<Vec<Change>, String> {
    if let PathState::Directory { .. } | PathState::Special = sight.state {
        return Err(format!("{path} is {}", sight.state.noun()));
    }
    let (uid, gid) = sight.creator;
    let owned = Permissions { mode: MODE, uid, gid };
    Ok(sight.change(path, PathState::File { content: text.into_bytes().into(), owned }))
}

impl ModuleSight<'_> {
    /// Whether a file lists it for the next boot.
    fn is_listed(&self, module: &str) -> bool {
        self.load.values().any(|conf| lines(&conf.text).any(|line| lists_module(line, module)))
    }

    /// The first file that keeps it from being loaded by itself, or at all.
    fn blocked_by(&self, module: &str) -> Option<String> {
        let blocks = |text: &str| lines(text).any(|line| blocks_module(line, module));
        self.probe.values().find(|conf| blocks(&conf.text)).map(|conf| conf.path.clone())
    }
}

/// Whether a line of modprobe.d(5) keeps a module out: from what hardware asks for, or by running a
/// program in its stead that does nothing.
pub(crate) fn blocks_module(line: &str, module: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["blacklist", name, ..] => same(name, module),
        // What follows may load it after all.
        ["install", name, program] => {
            let program = program.rsplit('/').next();
            same(name, module) && matches!(program, Some("false" | "true"))
        }
        _ => false,
    }
}

/// Lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// Whether a line of modules-load.d(5) loads it.
pub(crate) fn lists_module(line: &str, module: &str) -> bool {
    same(line.trim(), module)
}

/// The kernel takes `-` and `_` for the same.
fn same(written: &str, module: &str) -> bool {
    written.replace('-', "_") == module
}
