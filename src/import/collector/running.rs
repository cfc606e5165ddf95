//! What runs, and when: units, processes, jobs, the clock, certificates.

use serde_json::Value;

use crate::import::collector::rules::Rules;
use crate::import::collector::values::{anchored, each, path, referring, scalar, truth};
use crate::import::collector::{list, text};
use crate::import::draft::texts;
use crate::import::words::percent;
use crate::model::cron::is_cron;

/// Class `systemd_unit_state`.
pub(crate) fn unit(one: &Value) -> Result<Rules, String> {
    let name = scalar(one.get("name")).ok_or("it has no `name`")?;
    let mut parameters = vec![("unit", name.into())];
    match truth(one, "mask")? {
        Some(true) => parameters.push(("masked", true.into())),
        masked => {
            parameters.extend(masked.map(|masked| ("masked", masked.into())));
            let enabled = truth(one, "disable")?.map(|disable| ("enabled", (!disable).into()));
            parameters.extend(enabled);
        }
    }
    Ok(vec![("systemd_unit", parameters)])
}

/// Class `rc`: a service of a runlevel is a unit that is enabled.
pub(crate) fn service(one: &Value) -> Result<Rules, String> {
    let name = referring(one.get("service"))?.ok_or("it has no `service`")?;
    let levels = scalar(one.get("level")).unwrap_or_else(|| "2345".to_owned());
    if !levels.contains(['3', '5']) {
        return Err(format!("{name} at {levels}: there are no runlevels, only what is enabled"));
    }
    let enabled = truth_of(one, "state", ["on", "off"])?;
    let unit = if name.contains('.') { name } else { format!("{name}.service") };
    Ok(vec![("systemd_unit", vec![("unit", unit.into()), ("enabled", enabled.into())])])
}

/// Whether a field says the first of two words.
fn truth_of(one: &Value, field: &str, [yes, no]: [&str; 2]) -> Result<bool, String> {
    match text(one, field) {
        said if said == yes => Ok(true),
        said if said == no => Ok(false),
        said => Err(format!("`{field}` is `{said}`, neither `{yes}` nor `{no}`")),
    }
}

/// Class `process`. The agent asked for a beginning, of the name as of the whole command line.
pub(crate) fn process(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let (comm, args) = (referring(one.get("comm"))?, scalar(one.get("args")));
    let of_args = args.as_deref().and_then(|args| args.split_whitespace().next());
    let of_args = of_args.and_then(|program| program.rsplit('/').next()).map(str::to_owned);
    let name = comm.or(of_args).ok_or("it has neither `comm` nor `args`")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.+@".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`{name}` is a pattern: name the program"));
    }
    let is_running = truth_of(one, "state", ["on", "off"])?;
    let mut parameters = vec![("process", name.as_str().into())];
    if let Some(args) = args {
        parameters.push(("args", anchored(&percent(&args)?).into()));
    }
    let user = referring(one.get("user"))?;
    if let Some(uid) = scalar(one.get("uid")) {
        let why = format!("uid {uid} of {name}: name the `user`");
        if !is_running && user.is_none() {
            return Err(format!("{why}, or else everybody would be forbidden it"));
        }
        lost(why);
    }
    parameters.extend(user.map(|user| ("user", user.into())));
    if !is_running {
        parameters.push(("state", "absent".into()));
    }
    if scalar(one.get("start")).is_some() {
        lost(format!("what starts {name}: a rule of kind `systemd_unit` keeps a service running"));
    }
    Ok(vec![("process", parameters)])
}

/// Class `cron`: `add:user:* * * * *:command:file`, a line of a file in /etc/cron.d, which may have
/// others.
pub(crate) fn job(one: &Value) -> Result<Rules, String> {
    let entry = one.as_str().unwrap_or_default();
    let parts: Vec<&str> = entry.split(':').map(str::trim).collect();
    let [action, user, schedule, command, file] = parts[..] else {
        return Err("it is not `action:user:schedule:command:file`".to_owned());
    };
    let folder = "/etc/cron.d/";
    let name = file.strip_prefix(folder).unwrap_or(file);
    if name.is_empty() || name.contains('/') {
        return Err(format!(
            "`{file}` is no file in {folder}: a user's own crontab is cron's to keep"
        ));
    }
    if !is_cron(schedule) || user.is_empty() || command.is_empty() {
        return Err(format!("`{schedule} {user} {command}` is no job of cron"));
    }
    let (at, line) =
        (percent(&format!("{folder}{name}"))?, percent(&format!("{schedule} {user} {command}"))?);
    let mut parameters = vec![("path", at.into()), ("line", line.into())];
    parameters.push(match action {
        "add" => ("create", true.into()),
        "del" => ("state", "absent".into()),
        other => return Err(format!("`{other}` is neither `add` nor `del`")),
    });
    Ok(vec![("file_line", parameters)])
}

/// Class `timedatectl`.
pub(crate) fn time(one: &Value) -> Result<Rules, String> {
    let zone = referring(one.get("timezone"))?.map(|zone| ("zone", zone.into()));
    let ntp = truth(one, "ntpenabled")?.map(|ntp| ("ntp", ntp.into()));
    let parameters: Vec<_> = zone.into_iter().chain(ntp).collect();
    if parameters.is_empty() {
        return Err("it has neither `timezone` nor `ntpenabled`".to_owned());
    }
    Ok(vec![("time", parameters)])
}

/// Class `self_signed_cert`: that it is there and valid; who made it made it with a key.
pub(crate) fn certificate(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let at = path(one.get("crt"))?.ok_or("it has no `crt`")?;
    let names = list(one, "alt_names").iter().flat_map(each);
    let names =
        names.filter_map(|name| referring(name.get("dns").or_else(|| name.get("DNS"))).transpose());
    let names = names.collect::<Result<Vec<String>, String>>()?;
    let mut parameters = vec![("path", at.as_str().into())];
    parameters.extend((!names.is_empty()).then(|| ("names", texts(names))));
    lost(format!("the key of {at}, and making both: Tidegate makes no certificates"));
    Ok(vec![("certificate", parameters)])
}
