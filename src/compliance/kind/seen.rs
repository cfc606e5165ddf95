//! `process`, `listening_port`, `certificate`, `command`: what is looked at and never changed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::compliance::kind::{Judgement, listed};
use crate::compliance::matching::like;
use crate::model::seen::{CertificateSeen, Listener, ProcessSeen};
use crate::reconcile::desired::rule::kind::{
    CertificateRule, CommandRule, ListeningPortRule, Presence, ProcessRule, pattern,
};

/// What a program said that a rule runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The node's policy does not let rules run it.
    Forbidden,
    /// It could not be run to its end, and why.
    Failed(String),
    /// It came to its end.
    Said {
        /// What it exited with; none if it was killed.
        code: Option<i32>,
        /// What it wrote to standard output.
        out: String,
    },
}

/// Judges `process`. `user` is the number of the rule's user, if it names one.
pub(crate) fn judge_process(
    rule: &ProcessRule,
    user: Option<u32>,
    all: &[ProcessSeen],
) -> Judgement {
    let args = match rule.args.as_deref().map(pattern) {
        Some(Err(reason)) => return Judgement::Error { reason },
        Some(Ok(pattern)) => Some(pattern),
        None => None,
    };
    let fits = |process: &&ProcessSeen| {
        process.is_of(&rule.process)
            && args.as_ref().is_none_or(|pattern| pattern.is_match(&process.args.join(" ")))
            && user.is_none_or(|user| user == process.uid)
    };
    let found: Vec<u32> = all.iter().filter(fits).map(|process| process.pid).collect();
    let with = rule.args.as_ref().map(|args| format!(" with /{args}/")).unwrap_or_default();
    let of = rule.user.as_ref().map(|user| format!(" of user {user}")).unwrap_or_default();
    let what = format!("{}{with}{of}", rule.process);
    match (rule.state, found.is_empty()) {
        (Presence::Present, false) => Judgement::Ok { expected: format!("{what} runs") },
        (Presence::Absent, true) => Judgement::Ok { expected: format!("no {what} runs") },
        (Presence::Present, true) => Judgement::NotOk {
            expected: format!("{what} runs"),
            actual: "no such process".to_owned(),
            fix: Err(
                "Tidegate starts no processes: a rule of kind `systemd_unit` keeps a service \
                      running"
                    .to_owned(),
            ),
        },
        (Presence::Absent, false) => {
            let pids: Vec<String> = found.iter().map(u32::to_string).collect();
            Judgement::NotOk {
                expected: format!("no {what} runs"),
                actual: format!("{} run: process {}", found.len(), listed(&pids)),
                fix: Err("Tidegate ends no processes: whoever started it should".to_owned()),
            }
        }
    }
}

/// Judges `listening_port`.
pub(crate) fn judge_port(rule: &ListeningPortRule, all: &[Listener]) -> Judgement {
    let ListeningPortRule { port, protocol, addresses, state } = rule;
    let found: BTreeSet<IpAddr> =
        all.iter().filter(|l| l.port == *port).map(|l| l.address).collect();
    let shown = |addresses: &mut dyn Iterator<Item = &IpAddr>| {
        addresses.map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
    };
    let what = format!("{} port {port}", protocol.as_str());
    let right = match state {
        Presence::Absent => found.is_empty(),
        Presence::Present => {
            !found.is_empty()
                && (addresses.is_empty() || found.iter().all(|address| addresses.contains(address)))
        }
    };
    let expected = match state {
        Presence::Absent => format!("nothing listens on {what}"),
        Presence::Present if addresses.is_empty() => format!("something listens on {what}"),
        Presence::Present => {
            format!("something listens on {what}, at {} alone", shown(&mut addresses.iter()))
        }
    };
    if right {
        return Judgement::Ok { expected };
    }
    let actual = if found.is_empty() {
        format!("nothing listens on {what}")
    } else {
        format!("something listens on {what}, at {}", shown(&mut found.iter()))
    };
    let reason = "Tidegate starts and ends no services for a port: their own settings say where they \
                  listen";
    Judgement::NotOk { expected, actual, fix: Err(reason.to_owned()) }
}

/// Judges `certificate`; none if there is no such file.
pub(crate) fn judge_certificate(
    rule: &CertificateRule,
    seen: Option<&CertificateSeen>,
    now: Timestamp,
) -> Judgement {
    let path = &rule.path;
    let mut wishes = vec![match rule.days {
        0 => "valid now".to_owned(),
        1 => "valid for another day".to_owned(),
        days => format!("valid for another {days} days"),
    }];
    wishes.extend(rule.issuer.as_ref().map(|issuer| format!("issued by {issuer}")));
    if !rule.names.is_empty() {
        wishes.push(format!("for {}", rule.names.join(", ")));
    }
    let expected = format!("{path} {}", wishes.join(", "));
    let reason = "Tidegate makes no certificates: whoever issues them renews them".to_owned();
    let Some(seen) = seen else {
        let actual = "there is no such file".to_owned();
        return Judgement::NotOk { expected, actual, fix: Err(reason) };
    };
    let mut wrong = Vec::new();
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    let left = SignedDuration::from_hours(24 * i64::from(rule.days));
    if now < seen.from {
        wrong.push(format!("valid from {}", day(seen.from)));
    }
    if seen.to.duration_since(now) < left || seen.to <= now {
        let verb = if seen.to <= now { "expired on" } else { "expires on" };
        wrong.push(format!("it {verb} {}", day(seen.to)));
    }
    if rule.issuer.as_ref().is_some_and(|issuer| !like(issuer, &seen.issuer)) {
        wrong.push(format!("issued by {}", seen.issuer));
    }
    let lacks = |name: &&String| !seen.names.iter().any(|own| is_for(own, name));
    let missing: Vec<&str> = rule.names.iter().filter(lacks).map(String::as_str).collect();
    if !missing.is_empty() {
        wrong.push(format!("not for {}", missing.join(", ")));
    }
    if wrong.is_empty() {
        return Judgement::Ok { expected: format!("{expected}; it is until {}", day(seen.to)) };
    }
    Judgement::NotOk { expected, actual: wrong.join(", "), fix: Err(reason) }
}

/// Whether a certificate's name covers another: `*` stands for one label (RFC 6125, section 6.4.3).
fn is_for(own: &str, name: &str) -> bool {
    let below = own.strip_prefix("*.").zip(name.split_once('.'));
    own.eq_ignore_ascii_case(name)
        || below
            .is_some_and(|(own, (label, rest))| !label.is_empty() && own.eq_ignore_ascii_case(rest))
}

/// Judges `command`. What a program said may be secret: it is in no verdict.
pub(crate) fn judge_command(rule: &CommandRule, answer: &Answer) -> Judgement {
    let program = rule.argv.first().map(String::as_str).unwrap_or_default();
    let (code, out) = match answer {
        Answer::Forbidden => {
            let reason = format!(
                "the node's policy does not let rules run {program}: its operator allows it with \
                 `[policy] commands = [\"{program}\"]`"
            );
            return Judgement::Error { reason };
        }
        Answer::Failed(reason) => return Judgement::Error { reason: reason.clone() },
        Answer::Said { code, out } => (*code, out),
    };
    let mut wishes = vec![format!("`{}` exits {}", rule.argv.join(" "), rule.exit)];
    wishes.extend(rule.output.as_ref().map(|output| format!("says /{output}/")));
    let expected = wishes.join(" and ");
    let mut wrong = Vec::new();
    match code {
        Some(code) if code == rule.exit => {}
        Some(code) => wrong.push(format!("it exits {code}")),
        None => wrong.push("it was killed".to_owned()),
    }
    match rule.output.as_deref().map(pattern) {
        Some(Err(reason)) => return Judgement::Error { reason },
        Some(Ok(pattern)) if !pattern.is_match(out) => {
            wrong.push("it says something else".to_owned());
        }
        _ => {}
    }
    if wrong.is_empty() {
        return Judgement::Ok { expected };
    }
    let reason = "Tidegate does not know what would mend it: a command only looks".to_owned();
    Judgement::NotOk { expected, actual: wrong.join(" and "), fix: Err(reason) }
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::seen::is_for;

    #[test]
    fn a_star_in_a_certificate_stands_for_one_label() {
        assert!(
            is_for("*.example.org", "WWW.example.org") && is_for("a.example.org", "a.Example.org")
        );
        assert!(!is_for("*.example.org", "example.org"));
        assert!(!is_for("*.example.org", "a.b.example.org"));
        assert!(!is_for("*.example.org", ".example.org"));
    }
}
