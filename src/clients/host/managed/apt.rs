//! apt: what its lists have, what it would do, and doing it.

use crate::clients::host::managed::package::{Wish, Would};
use crate::clients::host::{HostRoot, ProcessError, Program};
use crate::model::Offer;

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

/// What apt gives a version that nobody said anything about.
const PRIORITY: i32 = 500;

impl HostRoot {
    pub(super) fn apt_offer(&self, name: &str) -> Result<Offer, ProcessError> {
        let ran = self.run_well(Program::looking(&["apt-cache", "policy", "--", name]))?;
        Ok(offer(ran.out(), name))
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
        self.run_well(self.installing(&argv)).map(drop)
    }
}

/// What `apt-cache policy` says of one package; it knows no sources. Versions below the usual
/// priority are there on demand alone (backports), installed already, or forbidden.
fn offer(text: &str, name: &str) -> Offer {
    let bare = name.split_once(':').map_or(name, |(bare, _arch)| bare);
    // apt leaves out its own architecture. Another package is there when none has this name.
    let is_it = |line: &&str| line.strip_suffix(':').is_some_and(|n| n == name || n == bare);
    let of_it = text.lines().skip_while(|line| !is_it(line)).skip(1);
    let mut offer = Offer::default();
    for line in of_it.take_while(|line| line.starts_with(' ')) {
        if let Some(candidate) = line.strip_prefix("  Candidate: ") {
            offer.candidate = Some(candidate.to_owned()).filter(|version| version != "(none)");
        }
        let row = line.strip_prefix("     ").or_else(|| line.strip_prefix(" *** "));
        // What begins further in is a version's source.
        let Some(row) = row.filter(|row| !row.starts_with(' ')) else { continue };
        let mut words = row.split_whitespace();
        if let (Some(version), Some(priority)) = (words.next(), words.next())
            && priority.parse::<i32>().is_ok_and(|priority| priority >= PRIORITY)
        {
            offer.versions.push(version.to_owned());
        }
    }
    offer
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
    use crate::clients::host::managed::apt::{offer, simulated};

    #[test]
    fn what_apt_has_leaves_out_what_it_would_not_install_by_itself() {
        let text = "\
tg-hellos:
  Installed: (none)
  Candidate: 9
  Version table:
     9 500
        500 http://localhost ./ Packages
tg-hello:
  Installed: 1.0-1
  Candidate: 1.1-1
  Package pin: 1.1-1
  Version table:
     3.0-1~bpo12+1 100
        100 http://localhost bookworm-backports/main amd64 Packages
     2.0-1 -1
        500 http://localhost sid/main amd64 Packages
     1.2-1 500 (phased 10%)
        500 http://localhost bookworm/main amd64 Packages
     1.1-1 990
        500 http://localhost bookworm/main amd64 Packages
 *** 1.0-1 100
        100 /var/lib/dpkg/status
";
        for name in ["tg-hello", "tg-hello:amd64"] {
            let offer = offer(text, name);
            assert_eq!(offer.candidate.as_deref(), Some("1.1-1"));
            assert_eq!(offer.versions, ["1.2-1", "1.1-1"]);
        }
        assert_eq!(offer(text, "tg-nowhere"), crate::model::Offer::default());
        let forbidden = "a:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        assert_eq!(offer(forbidden, "a").candidate, None);
    }

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
