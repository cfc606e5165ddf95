//! Units of systemd: systemctl says how they are, and changes them.

use std::collections::BTreeMap;

use crate::clients::host::managed::cannot;
use crate::clients::host::{HostError, HostRoot, ProcessError, Program};
use crate::model::{Attributes, HostPath, Move, PathState};

/// What every list is asked with: one unit a line, nothing cut.
const PLAIN: [&str; 4] = ["--plain", "--no-legend", "--full", "--no-pager"];

/// Where an operator's units lie, or links to them.
const OWN: &str = "/etc/systemd/system";
/// Where systemd finds units by itself; a link out of them makes a unit known whose file lies elsewhere.
pub(super) const FOUND: [&str; 5] = [
    OWN,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// How a unit is called that does not run.
const DOWN: [&str; 2] = ["inactive", "failed"];
/// Where scripts lie that systemd starts as services although they are no units.
const SCRIPTS: &str = "/etc/init.d";
/// A folder with more than this is no configuration.
const LINKS_MAX: usize = 10_000;

/// Units by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Units(BTreeMap<String, Attributes>);

impl Units {
    /// Every one, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Attributes)> {
        self.0.iter().map(|(name, unit)| (name.as_str(), unit))
    }
}

impl HostRoot {
    /// Every unit with a file or a state: `enabled` as `systemctl is-enabled` says it, and `active`
    /// where systemd runs. None if systemd is not installed.
    ///
    /// # Errors
    /// When systemctl cannot say.
    pub fn units(&self) -> Result<Option<Units>, HostError> {
        let action = || cannot("listing units");
        let mut units: BTreeMap<String, Attributes> = BTreeMap::new();
        let files = [&["systemctl", "list-unit-files", "--all"][..], &PLAIN].concat();
        let ran = match self.run_well(Program::looking(&files)) {
            Err(ProcessError::Missing { .. }) => return Ok(None),
            other => other.map_err(action())?,
        };
        let learn = |units: &mut BTreeMap<String, Attributes>, [name, key, value]: [&str; 3]| {
            units.entry(name.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        };
        for line in ran.out().lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(state)) = (words.next(), words.next()) {
                learn(&mut units, [name, "enabled", state]);
            }
        }
        for (name, state) in self.scripts(&units)? {
            learn(&mut units, [&name, "enabled", &state]);
        }
        if self.runs_systemd() {
            let all = [&["systemctl", "list-units", "--all"][..], &PLAIN].concat();
            let ran = self.run_well(Program::looking(&all)).map_err(action())?;
            for line in ran.out().lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                if let [name, load, active, ..] = words[..]
                    && load != "not-found"
                {
                    learn(&mut units, [name, "active", active]);
                }
            }
            // A unit without a state does not run; lists have a unit's main name only.
            for unit in units.values_mut().filter(|unit| !is_alias(unit)) {
                unit.entry("active".to_owned()).or_insert_with(|| "inactive".to_owned());
            }
        }
        Ok(Some(Units(units)))
    }

    /// Whether what only has a script starts at boot: listed it is as `generated` either way, and not at
    /// all where systemd does not run. systemctl looks for the script's links.
    fn scripts(
        &self,
        units: &BTreeMap<String, Attributes>,
    ) -> Result<Vec<(String, String)>, HostError> {
        let mut names = Vec::new();
        for script in self.names(SCRIPTS, LINKS_MAX)? {
            let name = format!("{script}.service");
            let state = units.get(&name).and_then(|unit| unit.get("enabled"));
            let Ok(path) = format!("{SCRIPTS}/{script}").parse::<HostPath>() else { continue };
            if state.is_none_or(|state| state == "generated")
                && let PathState::Unread { owned } = self.look_outside(&path)?
                && owned.mode & 0o111 != 0
            {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let asked = ["systemctl", "is-enabled", "--"].into_iter();
        let argv: Vec<&str> = asked.chain(names.iter().map(String::as_str)).collect();
        let ran = self.run(Program::looking(&argv)).map_err(cannot("asking for /etc/init.d"))?;
        let states: Vec<String> = ran.out().lines().map(str::to_owned).collect();
        // A systemd that knows of no such scripts has no word for each.
        let is_whole = states.len() == names.len();
        Ok(if is_whole { names.into_iter().zip(states).collect() } else { Vec::new() })
    }

    /// What is so of one of them; systemctl lists no instances, such as `getty@tty1.service`, and is
    /// asked for each.
    ///
    /// # Errors
    /// When systemctl cannot say.
    pub fn unit_of(&self, units: &Units, name: &str) -> Result<Option<Attributes>, HostError> {
        let mut own = units.0.get(name).cloned();
        let asks = self.runs_systemd();
        if let Some(unit) = own.as_mut().filter(|unit| asks && is_alias(unit)) {
            let argv = ["systemctl", "show", "--property=ActiveState", "--value", "--", name];
            let ran = self.run_well(Program::looking(&argv));
            let ran = ran.map_err(cannot(format!("`systemctl show {name}`")))?;
            unit.insert("active".to_owned(), ran.out().trim().to_owned());
        }
        let template = || {
            let (prefix, rest) = name.split_once('@')?;
            let (instance, suffix) = rest.rsplit_once('.')?;
            let template = units.0.get(&format!("{prefix}@.{suffix}"))?;
            (!instance.is_empty()).then_some(template)
        };
        let Some(template) = template() else { return Ok(own) };
        let argv = ["systemctl", "is-enabled", "--", name];
        let ran = self.run(Program::looking(&argv));
        let ran = ran.map_err(cannot(format!("`systemctl is-enabled {name}`")))?;
        let mut unit = own.unwrap_or_default();
        unit.insert("enabled".to_owned(), ran.out().trim().to_owned());
        if template.contains_key("active") {
            unit.entry("active".to_owned()).or_insert_with(|| "inactive".to_owned());
        }
        Ok(Some(unit))
    }

    pub(super) fn unit(&self, name: &str) -> Result<Option<Attributes>, HostError> {
        match self.units()? {
            Some(units) => self.unit_of(&units, name),
            None => Ok(None),
        }
    }

    pub(super) fn move_unit(&self, change: &Move) -> Result<(), HostError> {
        let none = Attributes::new();
        let (before, after) =
            (change.before.as_ref().unwrap_or(&none), change.after.as_ref().unwrap_or(&none));
        let name = change.thing.name();
        for verb in verbs(before, after) {
            let takes_links = verb.starts_with("disable");
            let linked = if takes_links { self.linked()? } else { Vec::new() };
            let ran = self.systemctl(verb, &[name]);
            self.link_again(linked)?;
            ran?;
        }
        Ok(())
    }

    fn systemctl(&self, verb: &str, what: &[&str]) -> Result<(), HostError> {
        let words = ["systemctl"].into_iter().chain(verb.split(' ')).chain(["--"]);
        let argv: Vec<&str> = words.chain(what.iter().copied()).collect();
        let action = format!("`systemctl {verb} {}`", what.join(" "));
        self.run_well(Program::changing(&argv)).map(drop).map_err(cannot(action))
    }

    /// Links of units whose files lie elsewhere, and those files. Who disables one, or what names it
    /// in `Also=`, takes its link away as well, and with it the unit.
    fn linked(&self) -> Result<Vec<(HostPath, HostPath)>, HostError> {
        let mut linked = Vec::new();
        for name in self.names(OWN, LINKS_MAX)? {
            let Ok(link) = format!("{OWN}/{name}").parse::<HostPath>() else { continue };
            // A link of another name is one that enabling makes.
            if let PathState::Symlink { to } = self.look_outside(&link)?
                && to.rsplit('/').next() == Some(&*name)
                && let Some(file) = link.beside(&to)
                && !file.split().is_some_and(|(folder, _)| FOUND.contains(&folder.as_str()))
            {
                linked.push((link, file));
            }
        }
        Ok(linked)
    }

    /// Makes units known again whose links are gone.
    fn link_again(&self, linked: Vec<(HostPath, HostPath)>) -> Result<(), HostError> {
        let mut files = Vec::new();
        for (link, file) in linked {
            if self.look_outside(&link)? == PathState::Absent {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        self.systemctl("link", &files.iter().map(HostPath::as_str).collect::<Vec<_>>())
    }

    fn runs_systemd(&self) -> bool {
        // As sd_booted(3) has it.
        self.is_this_machine() && std::path::Path::new("/run/systemd/system").is_dir()
    }
}

/// Whether an alias's state was filled in rather than seen.
fn is_alias(unit: &Attributes) -> bool {
    unit.get("enabled").is_some_and(|state| state == "alias")
}

/// Whether a unit is still what was decided about. What only unmasks does not say what is below the
/// mask; what cannot be enabled is as good as disabled, and so is what is only linked; what failed does
/// not run.
pub(super) fn fits(before: Option<&Attributes>, now: Option<&Attributes>) -> bool {
    let (Some(before), Some(now)) = (before, now) else { return before == now };
    before.iter().all(|(key, was)| match now.get(key).map(String::as_str) {
        Some("static" | "indirect" | "linked" | "linked-runtime")
            if key == "enabled" && was == "disabled" =>
        {
            true
        }
        Some(is) if key == "active" && DOWN.contains(&is) => DOWN.contains(&was.as_str()),
        is => is == Some(was.as_str()),
    })
}

/// What systemctl is told: what is masked is stopped first, and what was masked is unmasked first.
fn verbs(before: &Attributes, after: &Attributes) -> Vec<&'static str> {
    let of = |side: &Attributes, key: &str| side.get(key).cloned().unwrap_or_default();
    let (was, is) = (of(before, "enabled"), of(after, "enabled"));
    let (ran, runs) = (of(before, "active"), of(after, "active"));
    let mut verbs = Vec::new();
    if ran != runs && DOWN.contains(&runs.as_str()) {
        verbs.push("stop");
    }
    if was != is {
        match (was.as_str(), is.as_str()) {
            ("masked", _) => verbs.push("unmask"),
            ("masked-runtime", to) if to != "masked" => verbs.push("unmask --runtime"),
            _ => {}
        }
        match is.as_str() {
            "masked" => verbs.push("mask"),
            "masked-runtime" => verbs.push("mask --runtime"),
            "enabled" => verbs.push("enable"),
            // A link that made it known stays.
            "disabled" | "linked" => verbs.push("disable"),
            "enabled-runtime" => verbs.extend(["disable", "enable --runtime"]),
            // What is so once nothing is above it. That it is so is seen afterwards.
            _ => {}
        }
    }
    if ran != runs && runs == "active" {
        verbs.push("start");
    }
    verbs
}

#[cfg(test)]
mod tests {
    use crate::clients::host::managed::unit::{fits, is_alias, verbs};
    use crate::model::managed::attributes;

    #[test]
    fn systemctl_is_told_what_differs_in_an_order_that_works() {
        let state = |enabled, active| attributes([("enabled", enabled), ("active", active)]);
        for (before, after, wanted) in [
            (("enabled", "active"), ("masked", "inactive"), &["stop", "mask"][..]),
            (("masked", "inactive"), ("enabled", "active"), &["unmask", "enable", "start"]),
            (("masked", "inactive"), ("static", "inactive"), &["unmask"]),
            (("masked", "inactive"), ("", "inactive"), &["unmask"]),
            (("", "inactive"), ("masked", "inactive"), &["mask"]),
            (("masked-runtime", "inactive"), ("", "inactive"), &["unmask --runtime"]),
            (("masked-runtime", "inactive"), ("masked", "inactive"), &["mask"]),
            (("masked", "inactive"), ("masked-runtime", "inactive"), &["unmask", "mask --runtime"]),
            (("disabled", "failed"), ("enabled", "active"), &["enable", "start"]),
            (("enabled", "active"), ("disabled", "failed"), &["stop", "disable"]),
            (("enabled", "x"), ("enabled-runtime", "x"), &["disable", "enable --runtime"]),
            (("enabled", "x"), ("linked", "x"), &["disable"]),
            (("enabled", "active"), ("enabled", "active"), &[]),
        ] {
            assert_eq!(verbs(&state(before.0, before.1), &state(after.0, after.1)), wanted);
        }
    }

    #[test]
    fn a_unit_below_its_mask_may_be_anything_and_a_static_one_counts_as_disabled() {
        let disabled = attributes([("enabled", "disabled")]);
        let state = |enabled| attributes([("enabled", enabled), ("active", "inactive")]);
        let unmasked = attributes([("active", "inactive")]);
        assert!(fits(Some(&unmasked), Some(&state("enabled"))));
        assert!(fits(Some(&disabled), Some(&state("static"))));
        assert!(fits(Some(&disabled), Some(&state("linked"))));
        assert!(!fits(Some(&disabled), Some(&state("enabled"))));
        assert!(!fits(Some(&attributes([("active", "active")])), Some(&state("static"))));
        let down = |active| attributes([("enabled", "disabled"), ("active", active)]);
        assert!(fits(Some(&down("inactive")), Some(&down("failed"))));
        assert!(fits(Some(&down("failed")), Some(&down("inactive"))));
        assert!(!fits(Some(&down("active")), Some(&down("failed"))));
        assert!(!fits(Some(&down("failed")), Some(&down("active"))));
        assert!(!fits(Some(&disabled), None) && !fits(None, Some(&disabled)));
    }

    #[test]
    fn an_alias_is_known_by_its_state_alone() {
        assert!(is_alias(&attributes([("enabled", "alias")])));
        assert!(!is_alias(&attributes([("enabled", "enabled"), ("active", "inactive")])));
        assert!(!is_alias(&attributes([("active", "active")])));
    }
}
