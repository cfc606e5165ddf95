//! Keys, sudo, time, processes, ports, certificates, commands.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::clients::host::{ProcessError, Program, certificate};
use crate::compliance::kind::{
    Answer, CronSight, DaemonSight, KeysSight, SudoersSight, TIME_SERVICES, Tied, TimeSight,
    UnitSight, View, daemon_text, keys_paths, zone_path,
};
use crate::compliance::see::{Eyes, FILE_BYTES_MAX, creator, once, said};
use crate::model::{HostPath, PathState};
use crate::reconcile::desired::rule::kind::{
    CertificateRule, CommandRule, DropInRule, KeyValueRule, ProcessRule, Protocol, SystemdUnitRule,
    TimeRule,
};
use crate::reconcile::desired::rule::{RuleId, RuleKind};
use crate::telemetry::Chain;

impl Eyes<'_> {
    pub(super) fn keys<'b>(&'b self, user: &str, id: &'b RuleId) -> Result<KeysSight<'b>, String> {
        let user = self.tables()?.user(user);
        let paths = user.map(keys_paths).unwrap_or_default();
        let look = |path: HostPath| self.sight_of_text(&path, id).map(|sight| (path, sight));
        let files = paths.into_iter().map(look).collect::<Result<_, _>>()?;
        Ok(KeysSight { user, files })
    }

    pub(super) fn sudoers<'b>(
        &'b self,
        rule: &DropInRule,
        id: &'b RuleId,
    ) -> Result<SudoersSight<'b>, String> {
        let file = self.sight(&rule.path, id)?;
        let syntax = match (&rule.content, &file.state) {
            (None, _) => Ok(()),
            (Some(wanted), PathState::File { content, .. }) if wanted.0 == *content => Ok(()),
            (Some(wanted), _) => self.visudo(&wanted.0),
        };
        Ok(SudoersSight { file, syntax })
    }

    pub(super) fn cron<'b>(
        &'b self,
        rule: &DropInRule,
        id: &'b RuleId,
    ) -> Result<CronSight<'b>, String> {
        let file = self.sight(&rule.path, id)?;
        let knows = |user: &String| self.input.host.knows_user(file.accounts, user);
        let knows_user = rule.user.as_ref().is_none_or(knows);
        Ok(CronSight { file, knows_user })
    }

    /// What visudo says of a file's content, which it reads from standard input.
    fn visudo(&self, content: &[u8]) -> Result<(), String> {
        let argv = ["visudo", "--check", "--file=-"];
        let program = Program { input: content, ..Program::looking(&argv) };
        let unchecked = |error: &ProcessError| {
            format!("nothing lands that visudo has not checked: {}", Chain(error))
        };
        let ran = self.input.host.run(program).map_err(|error| unchecked(&error))?;
        if ran.succeeded() {
            return Ok(());
        }
        // The lines after it show the content.
        let words = ran.err().lines().next().unwrap_or_default();
        Err(format!("visudo refuses it: {words}"))
    }

    pub(super) fn daemon<'b>(
        &'b self,
        rule: &KeyValueRule,
        id: &'b RuleId,
    ) -> Result<DaemonSight<'b>, String> {
        let file = self.sight(&rule.path, id)?;
        let syntax = match daemon_text(rule, &file) {
            None => Ok(()),
            Some(text) => self.dockerd(&text, file.is_hidden()),
        };
        Ok(DaemonSight { file, syntax })
    }

    /// What dockerd says of its settings. Where it is not installed nothing reads them, and before
    /// engine 23 it could not be asked.
    fn dockerd(&self, text: &str, hidden: bool) -> Result<(), String> {
        let argv = ["dockerd", "--validate", "--config-file=/dev/stdin"];
        let program = Program { input: text.as_bytes(), ..Program::looking(&argv) };
        let ran = match self.input.host.run(program) {
            Err(ProcessError::Missing { .. }) => return Ok(()),
            Err(error) => {
                let error = Chain(&error);
                return Err(format!("nothing lands that dockerd has not checked: {error}"));
            }
            Ok(ran) => ran,
        };
        if ran.succeeded() || ran.err().contains("unknown flag: --validate") {
            return Ok(());
        }
        // It may tell what the file says.
        let words = if hidden { "which only root may read" } else { ran.last_words() };
        Err(format!("dockerd refuses it: {words}"))
    }

    pub(super) fn unit(&self, rule: &SystemdUnitRule) -> Result<UnitSight, String> {
        let host = self.input.host;
        let Some(units) = once(&self.units, || host.units())? else {
            return Ok(UnitSight::NoSystemd);
        };
        let unit = host.unit_of(units, &rule.unit).map_err(said)?;
        let mut tied = BTreeMap::new();
        if rule.enabled.is_some() && unit.is_some() {
            for name in host.tied_to(&rule.unit, self.input.silence) {
                let Some(mut unit) = host.unit_of(units, &name).map_err(said)? else { continue };
                let wanted = self.input.desired.rules.iter().find_map(|other| match &other.kind {
                    RuleKind::SystemdUnit(other) if other.unit == name => other.enabled,
                    _ => None,
                });
                let enabled = unit.remove("enabled").unwrap_or_default();
                tied.insert(name, Tied { enabled, wanted });
            }
        }
        Ok(UnitSight::Unit { unit, tied })
    }

    pub(super) fn time(&self, rule: &TimeRule) -> Result<TimeSight, String> {
        let look = |path: Option<HostPath>| match path {
            Some(path) => self.input.host.look(&path, FILE_BYTES_MAX).map_err(said),
            None => Ok(PathState::Absent),
        };
        let services = match rule.ntp {
            None => None,
            Some(_) => match once(&self.units, || self.input.host.units())? {
                None => None,
                Some(units) => {
                    let mut services = Vec::new();
                    for name in TIME_SERVICES {
                        let unit = self.input.host.unit_of(units, name).map_err(said)?;
                        services.extend(unit.map(|unit| (name, unit)));
                    }
                    Some(services)
                }
            },
        };
        Ok(TimeSight {
            localtime: look("/etc/localtime".parse().ok())?,
            timezone: look("/etc/timezone".parse().ok())?,
            zone: look(rule.zone.as_deref().and_then(zone_path))?,
            creator: creator(),
            services,
        })
    }

    pub(super) fn processes(&self, rule: &ProcessRule) -> Result<View<'_>, String> {
        let user = match &rule.user {
            None => None,
            // Their number may be known elsewhere, and its processes may run.
            Some(name) => {
                Some(self.tables()?.user(name).map(|user| user.uid).ok_or_else(|| {
                    format!(
                        "user {name} is not in /etc/passwd: whose processes are theirs is not known"
                    )
                })?)
            }
        };
        let all = once(&self.processes, || self.input.host.processes())?;
        Ok(View::Processes { user, all })
    }

    pub(super) fn listeners(&self, protocol: Protocol) -> Result<View<'_>, String> {
        let (cell, tcp) = match protocol {
            Protocol::Tcp => (&self.tcp, true),
            Protocol::Udp => (&self.udp, false),
        };
        once(cell, || self.input.host.listeners(tcp)).map(|all| View::Listeners(all))
    }

    pub(super) fn certificate(&self, rule: &CertificateRule) -> Result<View<'_>, String> {
        let text = self.input.host.text(rule.path.as_str(), FILE_BYTES_MAX).map_err(said)?;
        let seen = text.map(|text| certificate(text.as_bytes())).transpose();
        let seen = seen.map_err(|reason| format!("{}: {reason}", rule.path))?;
        Ok(View::Certificate { seen, now: Timestamp::now() })
    }

    /// Runs a program that the node's policy names.
    pub(super) fn command(&self, rule: &CommandRule) -> Answer {
        let argv: Vec<&str> = rule.argv.iter().map(String::as_str).collect();
        if !argv.first().is_some_and(|program| self.input.commands.contains(*program)) {
            return Answer::Forbidden;
        }
        let program = Program { time_max: rule.timeout, ..Program::looking(&argv) };
        match self.input.host.run(program) {
            Ok(ran) => Answer::Said { code: ran.code(), out: ran.out().to_owned() },
            Err(error) => Answer::Failed(Chain(&error).to_string()),
        }
    }
}
