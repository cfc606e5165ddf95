//! Who there is and may log in: users, groups, keys.

use serde_json::Value;

use crate::compliance::public_keys::{BLANK, options_end};
use crate::import::collector::rules::Rules;
use crate::import::collector::values::{principal, referring, scalar};
use crate::import::collector::{list, text};
use crate::import::words::percent;

/// The name, and whether it is one that must not be.
fn account(one: &Value) -> (&str, Option<(&'static str, toml_edit::Value)>) {
    let named = text(one, "name");
    match named.strip_prefix('-') {
        Some(name) => (name, Some(("state", "absent".into()))),
        None => (named, None),
    }
}

/// Class `user`.
pub(crate) fn user(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let (name, absent) = account(one);
    let of = one.get("of").filter(|of| of.is_object()).ok_or("it is no user")?;
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

/// Class `group`.
pub(crate) fn group(one: &Value) -> Result<Rules, String> {
    let (name, absent) = account(one);
    let of = one.get("of").filter(|of| of.is_object()).ok_or("it is no group")?;
    let mut parameters = vec![("group", name.into())];
    parameters.extend(principal(of.get("gid")).map(|gid| ("gid", gid)));
    parameters.extend(absent);
    Ok(vec![("group", parameters)])
}

/// Class `group_membership`.
pub(crate) fn members(one: &Value, lost: &mut dyn FnMut(String)) -> Result<Rules, String> {
    let of = one.get("of").filter(|of| of.is_object()).ok_or("it is no group")?;
    let group = text(one, "name");
    let mut found = Rules::new();
    for member in list(of, "members") {
        match member.as_str() {
            Some(user) => {
                found.push(("membership", vec![("user", user.into()), ("group", group.into())]));
            }
            None => lost(format!("member {member} of {group}: say the user's name")),
        }
    }
    Ok(found)
}

/// Class `authkey`: a line as in `authorized_keys`, with options before the key or without.
pub(crate) fn key(one: &Value) -> Result<Rules, String> {
    const TYPES: [&str; 3] = ["ssh-", "ecdsa-sha2-", "sk-"];
    let (user, line) = (referring(one.get("user"))?, scalar(one.get("key")));
    let (user, line) = user.zip(line).ok_or("it has no `user` and `key`")?;
    let line = line.replace('\n', "");
    let is_key = |text: &str| TYPES.iter().any(|kind| text.starts_with(kind));
    let at = if is_key(&line) { 0 } else { options_end(&line) };
    let (options, key) = (&line[..at], line[at..].trim_start_matches(BLANK));
    if !is_key(key) {
        return Err("it is no public key".to_owned());
    }
    let mut all = vec![("user", user.into()), ("key", key.into())];
    match text(one, "action") {
        "" | "add" => {
            let options = percent(options.trim())?;
            all.extend((!options.is_empty()).then(|| ("options", options.into())));
        }
        "del" => all.push(("state", "absent".into())),
        other => return Err(format!("`{other}` is neither `add` nor `del`")),
    }
    Ok(vec![("ssh_authorized_key", all)])
}
