//! How a container's process runs: health, restart, user, capabilities, names.

use crate::model::duration::parse_duration;
use crate::reconcile::desired::container::Healthcheck;
use crate::reconcile::desired::container::RestartPolicy;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;

/// Reads `healthcheck`.
pub(crate) fn healthcheck(table: &Table, reader: &mut Reader<'_>) -> Option<Healthcheck> {
    let node = table.get("healthcheck")?;
    let check = node.as_table()?;
    let mut test = match check.get("test") {
        Some(test) if test.as_list().is_none() => {
            vec!["CMD-SHELL".to_owned(), reader.text(test)?]
        }
        _ => reader.texts(check, "test"),
    };
    let kind = test.first().map(String::as_str);
    let written = check.get("test").and_then(Node::as_list).map_or(test.len(), <[Node]>::len);
    let bad = match kind {
        // What could not be substituted has its own mistake, and this would only follow from it.
        _ if test.len() < written => None,
        Some("CMD" | "CMD-SHELL") if test.len() < 2 => Some("has no command"),
        Some("CMD-SHELL") if test.len() > 2 => Some("takes one line after CMD-SHELL"),
        Some("NONE") if test.len() > 1 => Some("takes nothing after NONE"),
        Some("CMD" | "CMD-SHELL" | "NONE") | None => None,
        Some(_) => Some("must begin with CMD, CMD-SHELL or NONE"),
    };
    if let Some(why) = bad {
        let at = check.get("test").map_or(node.at, |test| test.at);
        let help = "write `[\"CMD\", \"wget\", \"-qO-\", \"http://localhost/\"]` or one shell line";
        reader.findings.error_help(at, format!("`test` {why}"), help);
    }
    if reader.boolean(check, "disable") {
        test = vec!["NONE".to_owned()];
    }
    for key in ["interval", "timeout", "start_period"] {
        if let Some(node) = check.get(key) {
            let short = node.as_text().and_then(|text| parse_duration(text).ok());
            if short.is_some_and(|d| !d.is_zero() && d.as_millis() == 0) {
                reader.findings.error(node.at, format!("`{key}` is at least 1ms"));
            }
        }
    }
    Some(Healthcheck {
        test,
        interval: reader.duration(check, "interval"),
        timeout: reader.duration(check, "timeout"),
        retries: reader.integer(check, "retries"),
        start_period: reader.duration(check, "start_period"),
    })
}

/// Reads `restart`.
pub(crate) fn restart(table: &Table, reader: &mut Reader<'_>) -> RestartPolicy {
    let Some(node) = table.get("restart") else { return RestartPolicy::No };
    let parsed = reader.with(node, |text| match text.split_once(':').unwrap_or((text, "")) {
        ("no", "") => Ok(RestartPolicy::No),
        ("always", "") => Ok(RestartPolicy::Always),
        ("unless-stopped", "") => Ok(RestartPolicy::UnlessStopped),
        ("on-failure", "") => Ok(RestartPolicy::OnFailure(0)),
        ("on-failure", times) if times.parse::<u32>().is_ok() => {
            Ok(RestartPolicy::OnFailure(times.parse().unwrap_or(0)))
        }
        _ => Err(format!(
            "`{text}` is not a restart policy: write `no`, `always`, `on-failure`, `on-failure:3` or `unless-stopped`"
        )),
    });
    parsed.unwrap_or_default()
}

/// Reads capabilities: upper case, without `CAP_`, in the order written, each once.
pub(crate) fn capabilities(table: &Table, key: &str, reader: &mut Reader<'_>) -> Vec<String> {
    let nodes = table.get(key).and_then(Node::as_list).unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    for node in nodes {
        let name = reader.with(node, |text| {
            let upper = text.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
            let sound =
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            if sound { Ok(name) } else { Err(format!("`{text}` is not a capability")) }
        });
        found.extend(name.filter(|name| !found.contains(name)));
    }
    found
}

/// Reads a text that must satisfy `sound`.
pub(crate) fn checked(
    table: &Table,
    key: &str,
    wanted: &str,
    sound: fn(&str) -> bool,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let node = table.get(key)?;
    reader.with(node, |text| {
        if sound(text) { Ok(text.to_owned()) } else { Err(format!("`{text}` is not {wanted}")) }
    })
}

/// Whether it is a host or domain name (RFC 1123).
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Whether it is a signal's name or number.
pub(crate) fn is_signal(text: &str) -> bool {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let word = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b));
    word && (name.bytes().any(|b| b.is_ascii_uppercase())
        || text.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n)))
}

/// Whether it is `user[:group]`.
pub(crate) fn is_user(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-$".contains(&b))
    };
    match text.split_once(':') {
        Some((user, group)) => part(user) && part(group),
        None => part(text),
    }
}
