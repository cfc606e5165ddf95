//! One thing of a class → the rules that it comes to.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::collector::accounts::{group, key, members, user};
use crate::import::collector::fields::strange;
use crate::import::collector::running::{certificate, job, process, service, time, unit};
use crate::import::collector::values::{
    anchored, each, mode, path, principal, referring, scalar, truth,
};
use crate::import::collector::{list, text};
use crate::import::words::percent;

/// Rules to be, each with its kind and parameters.
pub(crate) type Rules = Vec<(&'static str, Vec<(&'static str, toml_edit::Value)>)>;

/// The rules that one thing comes to. `lost` is told what is left out of it.
pub(crate) fn rules(
    class: &str,
    one: &Value,
    lost: &mut dyn FnMut(String),
) -> Result<Rules, String> {
    let rules = match class {
        "file" => file(one, lost),
        "sudoers" => sudoers(one, lost),
        "fileprop" => property(one, lost),
        "fileinc" => line(one),
        "remove_files" => removed(one),
        "symlink" => {
            let (at, to) = (path(one.get("symlink"))?, referring(one.get("target"))?);
            let (at, to) = at.zip(to).ok_or("it has no `symlink` and `target`")?;
            Ok(vec![("symlink", vec![("path", at.into()), ("to", to.into())])])
        }
        "keyval" | "keyval_with_fpath" => keys(one, lost),
        "sysctl" => sysctl(one),
        "package" => package(one),
        "vuln" => vulnerable(one),
        "user" => user(one, lost),
        "group" => group(one),
        "group_membership" => members(one, lost),
        "authkey" | "authkey_list" => key(one),
        "systemd_unit_state" => unit(one),
        "rc" | "chkconfig" | "sysvinit" => service(one),
        "process" => process(one, lost),
        "cron" => job(one),
        "timedatectl" => time(one),
        "self_signed_cert" => certificate(one, lost),
        other => Err(why(other)),
    }?;
    strange(class, one, lost);
    Ok(rules)
}

/// Why a class has no counterpart.
fn why(class: &str) -> String {
    let why = match class {
        "crontabentry" => {
            "a user's own crontab is cron's to keep: write a rule of kind `cron`, a file in /etc/cron.d"
        }
        "ansible_playbook" => {
            "nothing of another tool is run: write what it makes sure of as rules"
        }
        "tar" | "tar_archive" => {
            "the archive lies elsewhere (`ref`): put it into the ruleset's .files/ folder, and write a rule of kind `archive`"
        }
        "fs" => "no rule makes a file system: write a rule of kind `mount` for where it is mounted",
        "volume_file" | "volume_tar" => {
            "what lies in a volume is its containers': mount a config of the service"
        }
        "nodeconf" => "it is about the agent that is replaced",
        "zfs" | "zpool" | "zprop" => "pools are made and tuned by hand: no rule changes a disk",
        "linux_mpath" | "linux.mpath" => {
            "multipath.conf has sections in braces: write the whole file, as kind `file`"
        }
        "xinetd" => "xinetd's files have sections in braces: write the whole file, as kind `file`",
        "bios" | "firmware" => {
            "no fact here says the firmware: a rule of kind `command` can ask for it"
        }
        "etcsystem" | "smfcfgs" | "smf" => {
            "it is about Solaris, which runs no containers of Docker's"
        }
        other => return format!("there is no kind of rule for class `{other}`"),
    };
    why.to_owned()
}

fn access(one: &Value, lost: &mut dyn FnMut(String)) -> Vec<(&'static str, toml_edit::Value)> {
    let at = text(one, "path");
    let mut found = Vec::new();
    if let Some(said) = scalar(one.get("mode")) {
        match mode(one.get("mode")) {
            Some(mode) => found.push(("mode", mode.into())),
            None => lost(format!("mode `{said}` of {at}: say it in octal digits")),
        }
    }
    for (key, ours) in [("uid", "owner"), ("gid", "group")] {
        match (scalar(one.get(key)), principal(one.get(key))) {
            (Some(said), _) if said.contains("%%") => {
                lost(format!("{key} `{said}` of {at}: say a name or a number"));
            }
            (_, principal) => found.extend(principal.map(|principal| (ours, principal))),
        }
    }
    found
}

fn is_folder(one: &Value) -> bool {
    text(one, "path").ends_with('/')
}

fn file(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    if is_folder(one) {
        return property(one, lost);
    }
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    let mut parameters = vec![("path", at.into()), ("content", content(one)?.into())];
    parameters.extend(access(one, lost));
    Ok(vec![("file", parameters)])
}

fn content(one: &Value) -> Result<String, String> {
    if one.get("fmt").is_none() {
        let why = "its content lies elsewhere (`ref`): put it into the ruleset's .files/ folder, and say `source`";
        return Err(why.to_owned());
    }
    // Not trimmed: blanks belong to it.
    let raw = one.get("fmt").and_then(Value::as_str).map(str::to_owned);
    let raw = raw.or_else(|| scalar(one.get("fmt"))).unwrap_or_default();
    let mut content = percent(&raw)?;
    if !content.ends_with('\n') {
        content.push('\n');
    }
    Ok(content)
}

fn sudoers(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    let Some(name) = at.strip_prefix("/etc/sudoers.d/").filter(|name| !name.contains('/')) else {
        return Err(format!("`{at}` is not in /etc/sudoers.d, where a rule has a file of its own"));
    };
    let content = content(one)?;
    let own = [
        mode(one.get("mode")).or(scalar(one.get("mode"))).filter(|mode| mode != "0440"),
        scalar(one.get("uid")),
        scalar(one.get("gid")),
    ];
    if own.into_iter().flatten().any(|said| !matches!(said.as_str(), "0" | "root")) {
        lost(format!("mode and owner of {at}: sudo reads root's alone, mode 0440"));
    }
    Ok(vec![("sudoers", vec![("file", name.into()), ("content", content.into())])])
}

fn property(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    let asked = access(one, lost);
    if asked.is_empty() && !is_folder(one) {
        return Err(format!("nothing is left to ask of {at}: a rule would only make it, empty"));
    }
    let mut parameters = vec![("path", at.into())];
    parameters.extend(asked);
    Ok(vec![(if is_folder(one) { "directory" } else { "file" }, parameters)])
}

fn line(one: &Value) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    if one.get("ref").is_some() {
        return Err("its line lies elsewhere (`ref`)".to_owned());
    }
    if truth(one, "strict_fmt")? == Some(false) {
        return Err("any line that matches was enough (`strict_fmt` false)".to_owned());
    }
    let escaped = |text: String| text.replace('$', "$$");
    let wanted = referring(one.get("fmt"))?;
    let mut parameters = vec![("path", at.into())];
    match (scalar(one.get("check")), scalar(one.get("replace")), wanted) {
        (Some(check), None, Some(line)) => {
            parameters.push(("line", line.into()));
            parameters.push(("regex", escaped(anchored(&check)).into()));
            parameters.push(("create", true.into()));
        }
        (Some(check), None, None) => {
            parameters.push(("regex", escaped(anchored(&check)).into()));
            parameters.push(("state", "absent".into()));
        }
        (None, Some(_), _) => {
            let why = "it replaces what is there and adds nothing: say which line there must be";
            return Err(why.to_owned());
        }
        (Some(_), Some(_), _) => {
            let why = "it replaces a part of what `check` finds (`replace`): say which line there must be";
            return Err(why.to_owned());
        }
        (None, None, Some(_)) => return Err("it has no `check`".to_owned()),
        (None, None, None) => return Err("it has neither `check` nor `fmt`".to_owned()),
    }
    Ok(vec![("file_line", parameters)])
}

fn removed(one: &Value) -> Result<Rules, String> {
    let at = path(Some(one))?.ok_or("it is no path")?;
    if at.contains(['*', '?', '[']) {
        return Err(format!("patterns never remove here: name what `{at}` stands for"));
    }
    Ok(vec![("file_absent", vec![("path", at.into())])])
}

fn keys(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it does not say which file it is about")?;
    let separator = one.get("separator").and_then(Value::as_str).unwrap_or(" ");
    let format = match separator.trim() {
        "" => "spaces",
        "=" => "equals",
        other => return Err(format!("no file here has keys with `{other}` after them")),
    };
    let mut found = Rules::new();
    for row in list(one, "keys") {
        let key = text(row, "key");
        let value = referring(row.get("value"))?;
        let mut parameters =
            vec![("path", at.as_str().into()), ("format", format.into()), ("key", key.into())];
        match (text(row, "op"), value) {
            ("" | "=", Some(value)) => parameters.push(("value", value.into())),
            ("unset", None) => parameters.push(("state", "absent".into())),
            // A key stands once here, whatever else is asked.
            ("reset", _) => continue,
            (op, value) => {
                lost(no_value(key, op, &value.unwrap_or_default()));
                continue;
            }
        }
        found.push(("key_value", parameters));
    }
    Ok(found)
}

fn no_value(key: &str, op: &str, value: &str) -> String {
    format!("`{key} {op} {value}` cannot be asked: say which value it must be")
}

fn sysctl(rows: &Value) -> Result<Rules, String> {
    let mut by_index = BTreeMap::new();
    let mut key = "";
    for row in each(rows) {
        key = text(row, "key");
        // `[["=", 4], ["=", 4]]`, or one such pair: all numbers of the parameter, in their order.
        if let Some(pairs) = row.get("value").and_then(Value::as_array) {
            let one = [row["value"].clone()];
            let pairs = if pairs.first().is_some_and(Value::is_array) { &pairs[..] } else { &one };
            for (at, pair) in pairs.iter().enumerate() {
                let (op, value) = (scalar(pair.get(0)), scalar(pair.get(1)).unwrap_or_default());
                if op.as_deref() != Some("=") {
                    return Err(no_value(key, &op.unwrap_or_default(), &value));
                }
                by_index.insert(at, value);
            }
            continue;
        }
        let value = scalar(row.get("value")).unwrap_or_default();
        if !matches!(text(row, "op"), "" | "=") {
            return Err(no_value(key, text(row, "op"), &value));
        }
        let index = row.get("index").and_then(Value::as_u64).unwrap_or(0);
        by_index.insert(usize::try_from(index).unwrap_or(usize::MAX), value);
    }
    let whole = by_index.keys().copied().eq(0..by_index.len());
    if !whole {
        return Err(format!("only some numbers of `{key}` are given: say all"));
    }
    let value = by_index.into_values().collect::<Vec<_>>().join(" ");
    Ok(vec![("sysctl", vec![("key", key.into()), ("value", value.into())])])
}

fn package(one: &Value) -> Result<Rules, String> {
    let named = one.get("pkgname").unwrap_or(one);
    let text = scalar(Some(named)).ok_or("it is no name of a package")?;
    let (package, state) = match text.strip_prefix('-') {
        Some(package) => (package, "absent"),
        None => (text.strip_prefix('+').unwrap_or(&text), "present"),
    };
    if package.contains('*') {
        return Err(format!("`{package}`: name each package"));
    }
    Ok(vec![("package", vec![("package", package.into()), ("state", state.into())])])
}

fn vulnerable(one: &Value) -> Result<Rules, String> {
    let (package, fixed) = (scalar(one.get("pkgname")), scalar(one.get("minver")));
    let (package, fixed) = package.zip(fixed).ok_or("it has no `pkgname` and `minver`")?;
    let range = match scalar(one.get("firstver")) {
        Some(first) => format!(">={first}, <{fixed}"),
        None => format!("<{fixed}"),
    };
    let parameters = vec![("package", package.into()), ("vulnerable", range.into())];
    Ok(vec![("package_vulnerable", parameters)])
}
