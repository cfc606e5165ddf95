//! One thing of a class → the rules that it comes to.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::collector::values::{each, mode, path, principal, referring, scalar, truth};
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
    match class {
        "file" | "sudoers" => file(class, one),
        "fileprop" => property(one),
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
        "group_membership" => members(one),
        "systemd_unit_state" => unit(one),
        "timedatectl" => {
            let zone = scalar(one.get("timezone")).ok_or("it has no `timezone`")?;
            let mut parameters = vec![("zone", zone.into())];
            parameters.extend(truth(one.get("ntpenabled")).map(|ntp| ("ntp", ntp.into())));
            Ok(vec![("time", parameters)])
        }
        "authkey" | "authkey_list" => {
            let (user, key) = (scalar(one.get("user")), scalar(one.get("key")));
            let (user, key) = user.zip(key).ok_or("it has no `user` and `key`")?;
            let state = if text(one, "action") == "del" { "absent" } else { "present" };
            let all = vec![("user", user.into()), ("key", key.into()), ("state", state.into())];
            Ok(vec![("ssh_authorized_key", all)])
        }
        other => Err(format!("there is no kind of rule for class `{other}`")),
    }
}

fn access(one: &Value) -> Vec<(&'static str, toml_edit::Value)> {
    let mode = mode(one.get("mode")).map(|mode| ("mode", mode.into()));
    let owner = principal(one.get("uid")).map(|user| ("owner", user));
    let group = principal(one.get("gid")).map(|group| ("group", group));
    [mode, owner, group].into_iter().flatten().collect()
}

fn is_folder(one: &Value) -> bool {
    text(one, "path").ends_with('/')
}

fn file(class: &str, one: &Value) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    if is_folder(one) {
        return property(one);
    }
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
    let mut parameters = vec![("path", at.into()), ("content", content.into())];
    parameters.extend(access(one));
    Ok(vec![(if class == "sudoers" { "sudoers" } else { "file" }, parameters)])
}

fn property(one: &Value) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    let mut parameters = vec![("path", at.into())];
    parameters.extend(access(one));
    Ok(vec![(if is_folder(one) { "directory" } else { "file" }, parameters)])
}

fn line(one: &Value) -> Result<Rules, String> {
    let at = path(one.get("path"))?.ok_or("it has no `path`")?;
    if one.get("ref").is_some() {
        return Err("its line lies elsewhere (`ref`)".to_owned());
    }
    if truth(one.get("strict_fmt")) == Some(false) {
        return Err("any line that matches was enough (`strict_fmt` false)".to_owned());
    }
    let anchored = |pattern: String| {
        if pattern.starts_with('^') { pattern } else { format!("^(?:{pattern})") }
    };
    let escaped = |text: String| text.replace('$', "$$");
    let wanted = referring(one.get("fmt"))?;
    let mut parameters = vec![("path", at.into())];
    match (scalar(one.get("check")), scalar(one.get("replace")), wanted) {
        (Some(check), None, Some(line)) => {
            parameters.push(("line", line.into()));
            parameters.push(("regex", escaped(anchored(check)).into()));
            parameters.push(("create", true.into()));
        }
        (Some(check), None, None) => {
            parameters.push(("regex", escaped(anchored(check)).into()));
            parameters.push(("state", "absent".into()));
        }
        (None, Some(_), _) => {
            let why = "it replaces what is there and adds nothing: say which line there must be";
            return Err(why.to_owned());
        }
        _ => return Err("it has no `check` and `fmt`".to_owned()),
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
                let value = value.unwrap_or_default();
                lost(format!("`{key} {op} {value}` cannot be asked: say which value it must be"));
                continue;
            }
        }
        found.push(("key_value", parameters));
    }
    Ok(found)
}

fn sysctl(rows: &Value) -> Result<Rules, String> {
    let mut by_index = BTreeMap::new();
    let mut key = "";
    for row in each(rows) {
        key = text(row, "key");
        let value = scalar(row.get("value")).unwrap_or_default();
        if !matches!(text(row, "op"), "" | "=") {
            let why = format!("`{key} {} {value}` cannot be asked", text(row, "op"));
            return Err(format!("{why}: say which value it must be"));
        }
        let index = row.get("index").and_then(Value::as_u64).unwrap_or(0);
        by_index.insert(index, value);
    }
    let whole = by_index.keys().copied().eq(0..by_index.len() as u64);
    if !whole {
        return Err(format!("only some numbers of `{key}` are given: say all"));
    }
    let value = by_index.into_values().collect::<Vec<_>>().join(" ");
    Ok(vec![("sysctl", vec![("key", key.into()), ("value", value.into())])])
}

fn package(one: &Value) -> Result<Rules, String> {
    let text = scalar(Some(one)).ok_or("it is no name of a package")?;
    let (package, state) = match text.strip_prefix('-') {
        Some(package) => (package, "absent"),
        None => (text.as_str(), "present"),
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

/// The name, and whether it is one that must not be.
fn account(one: &Value) -> (&str, Option<(&'static str, toml_edit::Value)>) {
    let named = text(one, "name");
    match named.strip_prefix('-') {
        Some(name) => (name, Some(("state", "absent".into()))),
        None => (named, None),
    }
}

fn user(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let (name, absent) = account(one);
    let of = one.get("of").ok_or("it is no user")?;
    let mut parameters = vec![("user", name.into())];
    if absent.is_none() {
        parameters.extend(principal(of.get("uid")).map(|uid| ("uid", uid)));
        parameters.extend(principal(of.get("gid")).map(|gid| ("group", gid)));
        for (key, ours) in [("shell", "shell"), ("home", "home"), ("gecos", "comment")] {
            parameters.extend(referring(of.get(key))?.map(|text| (ours, text.into())));
        }
        if scalar(of.get("password")).is_some() {
            lost(format!("the password of {name}: secrets do not lie in rules"));
        }
    }
    parameters.extend(absent);
    Ok(vec![("user", parameters)])
}

fn group(one: &Value) -> Result<Rules, String> {
    let (name, absent) = account(one);
    let of = one.get("of").ok_or("it is no group")?;
    let mut parameters = vec![("group", name.into())];
    parameters.extend(principal(of.get("gid")).map(|gid| ("gid", gid)));
    parameters.extend(absent);
    Ok(vec![("group", parameters)])
}

fn members(one: &Value) -> Result<Rules, String> {
    let of = one.get("of").ok_or("it is no group")?;
    let group = text(one, "name");
    let users = list(of, "members").iter().filter_map(Value::as_str);
    let one = |user: &str| ("membership", vec![("user", user.into()), ("group", group.into())]);
    Ok(users.map(one).collect())
}

fn unit(one: &Value) -> Result<Rules, String> {
    let name = scalar(one.get("name")).ok_or("it has no `name`")?;
    let mut parameters = vec![("unit", name.into())];
    match truth(one.get("mask")) {
        Some(true) => parameters.push(("masked", true.into())),
        masked => {
            parameters.extend(masked.map(|masked| ("masked", masked.into())));
            let enabled = truth(one.get("disable")).map(|disable| ("enabled", (!disable).into()));
            parameters.extend(enabled);
        }
    }
    Ok(vec![("systemd_unit", parameters)])
}
