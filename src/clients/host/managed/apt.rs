//! apt: what its lists have, what it would do, and doing it.

use crate::clients::host::managed::package::{Wish, Would};
use crate::clients::host::{HostRoot, ProcessError, Program};

/// What apt is told each time: somebody else's run is waited for, configuration files stay.
const APT: [&str; 7] = [
    "apt-get",
    "--quiet",
    "--assume-yes",
    "--allow-downgrades",
    "-oDPkg::Lock::Timeout=60",
    "-oDpkg::Options::=--force-confdef",
    "-oDpkg::Options::=--force-confold",
];

impl HostRoot {
    pub(super) fn apt_versions(&self, name: &str) -> Result<Vec<String>, ProcessError> {
        let ran = self.run_well(Program::looking(&["apt-cache", "madison", "--", name]))?;
        let version = |line: &str| line.split('|').nth(1).map(|version| version.trim().to_owned());
        Ok(ran.out().lines().filter_map(version).collect())
    }

    pub(super) fn apt_would(&self, wishes: &[Wish<'_>]) -> Result<Would, ProcessError> {
        let wishes = written(wishes);
        let wishes: Vec<&str> = wishes.iter().map(String::as_str).collect();
        let argv = [&APT[..], &["--simulate", "install", "--"], &wishes].concat();
        let ran = self.run_well(Program::looking(&argv))?;
        Ok(ran.out().lines().filter_map(simulated).collect())
    }

    pub(super) fn apt_do(&self, wishes: &[Wish<'_>]) -> Result<(), ProcessError> {
        let wishes = written(wishes);
        let wishes: Vec<&str> = wishes.iter().map(String::as_str).collect();
        let argv = [&APT[..], &["install", "--"], &wishes].concat();
        self.run_well(Program::changing(&argv)).map(drop)
    }
}

/// `hello=1.0` installs, `hello-` removes.
fn written(wishes: &[Wish<'_>]) -> Vec<String> {
    let one = |(name, version): &Wish<'_>| match version {
        Some(version) => format!("{name}={version}"),
        None => format!("{name}-"),
    };
    wishes.iter().map(one).collect()
}

/// A line of `apt-get --simulate`: `Inst hello [1.0] (2.0 Debian:12 [all])`, `Remv hello [1.0]`.
fn simulated(line: &str) -> Option<(String, Option<String>)> {
    let (verb, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "Inst" => {
            let (_, version) = rest.split_once('(')?;
            Some((name.to_owned(), Some(version.split([' ', ')']).next()?.to_owned())))
        }
        "Remv" | "Purg" => Some((name.to_owned(), None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::clients::host::managed::apt::simulated;

    #[test]
    fn what_apt_would_do_is_read_from_its_simulation() {
        let some =
            |name: &str, version: Option<&str>| Some((name.to_owned(), version.map(str::to_owned)));
        for (line, wanted) in [
            ("Inst tg-lib (1.0 localhost [all])", some("tg-lib", Some("1.0"))),
            (
                "Inst a:i386 [1:1.0-1] (1:2.0-1 Debian:12 [i386]) []",
                some("a:i386", Some("1:2.0-1")),
            ),
            ("Inst a [1] (2)", some("a", Some("2"))),
            ("Remv tg-hello [1.0-1]", some("tg-hello", None)),
            ("Conf tg-lib (1.0 localhost [all])", None),
            ("Reading package lists...", None),
        ] {
            assert_eq!(simulated(line), wanted, "{line}");
        }
    }
}
