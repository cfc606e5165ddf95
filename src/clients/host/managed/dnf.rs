//! dnf: what its repositories have, what it would do, and doing it.

use crate::clients::host::managed::package::{Wish, Would};
use crate::clients::host::{HostRoot, ProcessError, Ran};
use crate::model::Offer;

/// What dnf says when it was told to ask and to take "no" for an answer.
const ABORTED: &str = "Operation aborted";

impl HostRoot {
    pub(super) fn dnf_offer(&self, name: &str) -> Result<Offer, ProcessError> {
        let query = ["--quiet", "repoquery", "--showduplicates", "--qf=%{evr}", "--", name];
        let ran = self.dnf(&query)?.well()?;
        let versions = ran.out().lines().map(|line| line.trim().to_owned());
        let versions = versions.filter(|version| !version.is_empty()).collect();
        Ok(Offer { candidate: None, versions })
    }

    pub(super) fn dnf_would(&self, wishes: &[Wish<'_>]) -> Result<Would, ProcessError> {
        let mut would = Would::new();
        for (verb, names) in steps(wishes) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let ran = self.dnf(&[&["--assumeno", verb, "--"], &names[..]].concat())?;
            let ran = if ran.err().contains(ABORTED) { ran } else { ran.well()? };
            would.extend(transaction(ran.out()));
        }
        Ok(would)
    }

    pub(super) fn dnf_do(&self, wishes: &[Wish<'_>]) -> Result<(), ProcessError> {
        for (verb, names) in steps(wishes) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.dnf(&[&["--assumeyes", verb, "--"], &names[..]].concat())?.well()?;
        }
        Ok(())
    }

    /// dnf of the host; a folder without one is cared for by this machine's.
    fn dnf(&self, args: &[&str]) -> Result<Ran, ProcessError> {
        // What a removal leaves without a use was not decided about.
        let dnf = ["dnf", "--setopt=clean_requirements_on_remove=False"];
        if self.has("/usr/bin/dnf") {
            return self.run(self.installing(&[&dnf[..], args].concat()));
        }
        let root = format!("--installroot={}", self.folder().display());
        self.installing(&[&dnf[..], &[root.as_str()], args].concat()).run_here()
    }
}

/// Removals first, then what is installed, upgraded or downgraded.
fn steps(wishes: &[Wish<'_>]) -> Vec<(&'static str, Vec<String>)> {
    let of = |gone: bool| -> Vec<String> {
        let these = wishes.iter().filter(|(_, version)| version.is_none() == gone);
        let named = |(name, version): &Wish<'_>| match version {
            Some(version) => format!("{name}-{version}"),
            None => (*name).to_owned(),
        };
        these.map(named).collect()
    };
    let steps = [("remove", of(true)), ("install", of(false))];
    steps.into_iter().filter(|(_, names)| !names.is_empty()).collect()
}

/// dnf's table of what it would do. Long names go on in the next line, which begins further in; so
/// does what a package replaces.
fn transaction(text: &str) -> Would {
    let mut would = Would::new();
    let mut installs = None;
    let mut words: Vec<&str> = Vec::new();
    let mut replaces = Vec::new();
    let mut note = |installs: Option<bool>, words: &[&str]| {
        if let (Some(installs), [name, _arch, version, ..]) = (installs, words) {
            would.insert((*name).to_owned(), installs.then(|| (*version).to_owned()));
        }
    };
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if depth > 1 && !words.is_empty() {
            match replaced(line) {
                Some(gone) => replaces.push(gone.to_owned()),
                None => words.extend(line.split_whitespace()),
            }
            continue;
        }
        note(installs, &words);
        words.clear();
        match line.strip_suffix(':') {
            Some(title) if depth == 0 => {
                let puts = ["Installing", "Upgrading", "Downgrading", "Reinstalling"];
                installs = if title.starts_with("Removing") {
                    Some(false)
                } else {
                    puts.iter().any(|verb| title.starts_with(verb)).then_some(true)
                };
            }
            _ if depth == 1 => words.extend(line.split_whitespace()),
            _ if line.starts_with("Transaction Summary") => installs = None,
            _ => {}
        }
    }
    note(installs, &words);
    // What has a row of its own stays in that version.
    for gone in replaces {
        would.entry(gone).or_insert(None);
    }
    would
}

/// The name in `replacing  hello-old.noarch 0.9-1`: what this package makes obsolete is removed.
fn replaced(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "replacing")?;
    let package = words.next()?;
    Some(package.rsplit_once('.').map_or(package, |(name, _arch)| name))
}

#[cfg(test)]
mod tests {
    use crate::clients::host::managed::dnf::transaction;

    #[test]
    fn what_dnf_would_do_is_read_from_its_table() {
        let text = "\
Last metadata expiration check: 0:00:13 ago on Mon Nov 23 03:20:26 2026.
Dependencies resolved.
================================================================================
 Package             Architecture      Version           Repository        Size
================================================================================
Installing:
 tg-user             noarch            1:1.0-1           local            5.4 k
     replacing  tg-old.noarch 0.9-1
Installing dependencies:
 a-name-that-is-so-long-that-the-table-does-not-hold-it
                     x86_64            2.0-1.el9         local            5.4 k
Removing dependent packages:
 tg-other            noarch            1.0-1             @local           0  

Transaction Summary
================================================================================
Install  2 Packages
Remove   1 Package

Total size: 5.4 k
Operation aborted.
";
        let would = transaction(text);
        let shown: Vec<String> =
            would.iter().map(|(n, v)| format!("{n} {}", v.as_deref().unwrap_or("-"))).collect();
        assert_eq!(
            shown,
            [
                "a-name-that-is-so-long-that-the-table-does-not-hold-it 2.0-1.el9",
                "tg-old -",
                "tg-other -",
                "tg-user 1:1.0-1"
            ]
        );
    }
}
