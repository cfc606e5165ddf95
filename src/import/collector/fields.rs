//! The fields that are read of each class; any other is named.

use serde_json::Value;

use crate::import::collector::list;
use crate::import::collector::values::each;

/// Classes with the fields that count. Whatever else they have had a meaning that is lost.
const FIELDS: [(&str, &[&str]); 24] = [
    ("file", &["path", "fmt", "mode", "uid", "gid"]),
    ("fileprop", &["path", "mode", "uid", "gid"]),
    ("sudoers", &["path", "fmt", "mode", "uid", "gid"]),
    ("fileinc", &["path", "check", "replace", "fmt", "strict_fmt"]),
    ("symlink", &["symlink", "target"]),
    ("keyval", &["path", "separator", "keys"]),
    ("keyval_with_fpath", &["path", "separator", "keys"]),
    ("keys", &["key", "op", "value"]),
    ("sysctl", &["key", "index", "op", "value"]),
    ("package", &["pkgname"]),
    ("vuln", &["pkgname", "minver", "firstver"]),
    ("user", &["uid", "gid", "shell", "home", "gecos", "password"]),
    ("group", &["gid"]),
    ("group_membership", &["members"]),
    ("authkey", &["action", "user", "key"]),
    ("authkey_list", &["action", "user", "key"]),
    ("systemd_unit_state", &["name", "mask", "disable"]),
    ("rc", &["service", "level", "state"]),
    ("chkconfig", &["service", "level", "state"]),
    ("sysvinit", &["service", "level", "state"]),
    ("process", &["comm", "args", "user", "uid", "state", "start"]),
    ("timedatectl", &["timezone", "ntpenabled"]),
    // That a key is not made is said.
    ("self_signed_cert", &["crt", "key", "alt_names"]),
    ("alt_names", &["dns", "DNS"]),
];

/// Fields that may hold more than one value.
const LISTS: [&str; 4] = ["keys", "members", "value", "alt_names"];

/// Names what of one thing is in no rule. Values are not shown: passwords are among them.
pub(crate) fn strange(class: &str, one: &Value, lost: &mut dyn FnMut(String)) {
    for rows in ["keys", "alt_names"] {
        for row in list(one, rows) {
            strange(rows, row, lost);
        }
    }
    let is_folder = one.get("path").and_then(Value::as_str).is_some_and(|at| at.ends_with('/'));
    let class = if class == "file" && is_folder { "fileprop" } else { class };
    let Some((_, known)) = FIELDS.iter().find(|(name, _)| *name == class) else { return };
    let rows = match class {
        "user" | "group" | "group_membership" => one.get("of").unwrap_or(one),
        _ => one,
    };
    let label = ["name", "path", "service", "user", "pkgname", "comm", "crt", "key"];
    let label = label.iter().find_map(|field| one.get(field)?.as_str());
    let of = label.map(|label| format!(" of {label}")).unwrap_or_default();
    for (field, value) in each(rows).iter().filter_map(Value::as_object).flatten() {
        // A key where sshd looks for it if nothing else is configured.
        let is_usual =
            class.starts_with("authkey") && field == "authfile" && value == "authorized_keys";
        let is_several = value.is_array() || value.is_object();
        if value.is_null() || is_usual {
            continue;
        }
        if !known.contains(&field.as_str()) {
            lost(format!("`{field}`{of}: there is nothing like it here"));
        } else if is_several && !LISTS.contains(&field.as_str()) {
            lost(format!("`{field}`{of}: it is no single value"));
        }
    }
}
