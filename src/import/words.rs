//! Names and texts in our grammar.

/// The longest name that ours may have.
const NAME_CHARS_MAX: usize = 63;

/// A name made of what a name may hold: `DB Server` is `db-server`.
pub(crate) fn name(text: &str) -> String {
    let lower = text.to_lowercase();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let mapped: String = lower.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let trimmed = mapped.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let name: String = trimmed.chars().take(NAME_CHARS_MAX).collect();
    if name.is_empty() { "x".to_owned() } else { name }
}

/// A dotted path of names.
pub(crate) fn path(text: &str) -> Vec<String> {
    text.split('.').filter(|part| !part.is_empty()).map(name).collect()
}

/// A variable's name: the collector puts `OSVC_COMP_` before it for its programs.
pub(crate) fn variable(text: &str) -> String {
    name(text.strip_prefix("OSVC_COMP_").unwrap_or(text))
}

/// Text in which `%%…%%` stands for something, in which `${…}` does, or what nothing here stands for.
pub(crate) fn percent(text: &str) -> Result<String, String> {
    let mut parts = text.split("%%");
    let mut out = parts.next().unwrap_or_default().replace('$', "$$");
    while let Some(inside) = parts.next() {
        match (reference(inside), parts.next()) {
            (Some(reference), Some(after)) => {
                out.push_str(&reference);
                out.push_str(&after.replace('$', "$$"));
            }
            (None, Some(_)) if is_reference(inside) => {
                return Err(format!("nothing here stands for `%%{inside}%%`"));
            }
            (_, after) => {
                out.push_str("%%");
                out.push_str(&inside.replace('$', "$$"));
                if let Some(after) = after {
                    out.push_str("%%");
                    out.push_str(&after.replace('$', "$$"));
                }
            }
        }
    }
    Ok(out)
}

/// `env.port`, `fs#1.mnt`, `nodes[0]`, `#nodes`.
fn is_reference(inside: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "_:-.#[]".contains(c);
    !inside.is_empty() && inside.len() < 100 && inside.chars().all(word)
}

fn reference(inside: &str) -> Option<String> {
    match inside {
        "HOSTNAME" | "SHORT_HOSTNAME" | "ENV:NODES_NODENAME" => Some("${node.name}".to_owned()),
        "ENV:SERVICES_SVCNAME" | "ENV:SERVICES_SVC_NAME" | "ENV:SVCNAME" => {
            Some("${service.name}".to_owned())
        }
        _ => inside.strip_prefix("ENV:").map(|name| format!("${{vars.{}}}", variable(name))),
    }
}

/// Text in which `{…}` stands for something, in which `${…}` does, or what nothing here stands for.
pub(crate) fn braces(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    if text.contains("$(") {
        return Err("nothing here computes `$(…)`".to_owned());
    }
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(&before.replace('$', "$$"));
        let Some((inside, next)) = after.split_once('}').filter(|(inside, _)| is_reference(inside))
        else {
            out.push('{');
            rest = after;
            continue;
        };
        match inside {
            "name" | "svcname" | "short_svcname" => out.push_str("${service.name}"),
            "nodename" | "short_nodename" => out.push_str("${node.name}"),
            other => match other.strip_prefix("env.") {
                Some(name) => {
                    out.push_str("${vars.");
                    out.push_str(&variable(name));
                    out.push('}');
                }
                None => return Err(format!("nothing here stands for `{{{inside}}}`")),
            },
        }
        rest = next;
    }
    out.push_str(&rest.replace('$', "$$"));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::import::words::{braces, name, percent};

    #[test]
    fn names_hold_what_names_may_hold() {
        for (text, wanted) in [("DB Server", "db-server"), ("#1", "1"), ("é", "x"), ("a_b", "a_b")]
        {
            assert_eq!(name(text), wanted);
        }
    }

    #[test]
    fn references_are_carried_dollars_are_dollars_and_what_nothing_stands_for_is_refused() {
        assert_eq!(percent("$a %%HOSTNAME%% 50%%").unwrap(), "$$a ${node.name} 50%%");
        assert_eq!(percent("%%ENV:OSVC_COMP_Mail%%").unwrap(), "${vars.mail}");
        assert!(percent("%%SAFE:1%%").is_err());
        assert_eq!(
            braces("a {env.Port} {svcname} $x {}").unwrap(),
            "a ${vars.port} ${service.name} $$x {}"
        );
        for computed in ["{fs#1.mnt}", "{ip1.ipname}", "{nodes[0]}", "{#nodes}", "$(1+1)"] {
            assert!(braces(computed).is_err(), "{computed}");
        }
    }
}
