//! Writing a pin into a ruleset's text: comments, order and spacing stay. Pure.

use std::collections::BTreeMap;

use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::model::{ContainerName, Digest, ServiceName};

/// What a pin says about one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What is pulled.
    pub digest: Digest,
    /// The configuration's digest.
    pub image_id: Digest,
    /// For people; without one, that of the same image is kept.
    pub version: Option<String>,
}

/// A ruleset that a pin cannot be written into.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Not TOML.
    #[error("`{file}` is not readable")]
    Unreadable {
        /// Path within the repository.
        file: String,
        /// Where and why.
        #[source]
        source: Box<toml_edit::TomlError>,
    },
    /// A key that must be a table is something else.
    #[error("`{key}` is not a table")]
    NotATable {
        /// The dotted key.
        key: String,
    },
    /// More than one ruleset could hold the pin.
    #[error("`{first}` and `{second}` could both hold the pin of {container}; name one")]
    Ambiguous {
        /// The container.
        container: String,
        /// A ruleset file.
        first: String,
        /// Another.
        second: String,
    },
    /// No ruleset is about this service alone.
    #[error(
        "no ruleset is about {service} alone; add one with `[match]` and `service = \"{service}\"`"
    )]
    NoRuleset {
        /// The service.
        service: ServiceName,
    },
}

/// The ruleset's text with the pin of `container` written into it.
pub fn edit(text: &str, container: &ContainerName, pin: &Pin) -> Result<String, EditError> {
    let mut document = parse("the ruleset", text)?;
    let containers = table(document.as_table_mut(), "containers", "containers")?;
    let key = format!("containers.{container}");
    let entry = table(containers, container.as_str(), &key)?;
    let digest = pin.digest.to_string();
    let before = entry.get("digest").and_then(Item::as_str);
    // Another image is not called what the one before it was.
    if pin.version.is_none() && before.is_some_and(|before| before != digest) {
        entry.remove("version");
    }
    put(entry, "digest", &digest);
    put(entry, "image_id", &pin.image_id.to_string());
    if let Some(version) = &pin.version {
        put(entry, "version", version);
    }
    Ok(document.to_string())
}

/// The digest and the version that `text`, a ruleset or a service, holds for `container`.
pub fn held_pin(text: &str, container: &ContainerName) -> Option<(Option<String>, Option<String>)> {
    let document: DocumentMut = text.parse().ok()?;
    let entry = document.get("containers")?.get(container.as_str())?;
    let text = |key: &str| entry.get(key).and_then(Item::as_str).map(str::to_owned);
    Some((text("digest"), text("version")))
}

/// Which of the ruleset `files` (path → text) holds the pin of `service`'s `container`: the one
/// that has it already, else the one that is about this service alone.
pub fn ruleset_for(
    files: &BTreeMap<String, String>,
    service: &ServiceName,
    container: &ContainerName,
) -> Result<String, EditError> {
    let (mut holders, mut candidates) = (Vec::new(), Vec::new());
    for (file, text) in files {
        let document = parse(file, text)?;
        if !matches_alone(&document, service) {
            continue;
        }
        let pinned = document.get("containers").and_then(|c| c.get(container.as_str()));
        if pinned.is_some_and(|c| c.get("digest").or_else(|| c.get("image_id")).is_some()) {
            holders.push(file);
        }
        candidates.push(file);
    }
    let found = if holders.is_empty() { candidates } else { holders };
    match found[..] {
        [] => Err(EditError::NoRuleset { service: service.clone() }),
        [only] => Ok(only.clone()),
        [first, second, ..] => Err(EditError::Ambiguous {
            container: format!("{service}.{container}"),
            first: first.clone(),
            second: second.clone(),
        }),
    }
}

fn parse(file: &str, text: &str) -> Result<DocumentMut, EditError> {
    text.parse()
        .map_err(|error| EditError::Unreadable { file: file.to_owned(), source: Box::new(error) })
}

/// Whether the ruleset's match names `service` and no other.
fn matches_alone(document: &DocumentMut, service: &ServiceName) -> bool {
    let Some(services) = document.get("match").and_then(|m| m.get("service")) else {
        return false;
    };
    let list = services.as_array().map(|list| list.iter().filter_map(|v| v.as_str()).collect());
    let names: Vec<&str> = list.unwrap_or_else(|| services.as_str().into_iter().collect());
    names == [service.as_str()]
}

/// The table at `key`, made if absent; a new one prints as `[containers.web]`.
fn table<'a>(
    parent: &'a mut dyn TableLike,
    key: &str,
    dotted: &str,
) -> Result<&'a mut dyn TableLike, EditError> {
    let mut new = Table::new();
    new.set_implicit(true);
    parent
        .entry(key)
        .or_insert(Item::Table(new))
        .as_table_like_mut()
        .ok_or_else(|| EditError::NotATable { key: dotted.to_owned() })
}

/// Sets a string, keeping the comment behind it.
fn put(table: &mut dyn TableLike, key: &str, text: &str) {
    let mut new = value(text);
    let old = table.get(key).and_then(Item::as_value).map(|v| v.decor().clone());
    if let (Some(new), Some(decor)) = (new.as_value_mut(), old) {
        *new.decor_mut() = decor;
    }
    match table.get_mut(key) {
        Some(item) => *item = new,
        None => {
            table.insert(key, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::hub::edit::{EditError, Pin, edit, ruleset_for};
    use crate::model::Digest;

    fn pin(version: Option<&str>) -> Pin {
        let (digest, image_id) = (Digest::of(b"manifest"), Digest::of(b"config"));
        Pin { digest, image_id, version: version.map(str::to_owned) }
    }

    #[test]
    fn comments_order_and_spacing_stay() {
        let before = "# app1's images\n[match]\nservice = \"app1\"   # this one\n\n[containers.web]\n\
            version  = \"1.0.0\" # for people\ndigest = \"sha256:0\"\n\n[vars]\nx = 1\n";
        let after = edit(before, &"web".parse().unwrap(), &pin(Some("1.1.0"))).unwrap();
        let wanted = before.replace("1.0.0", "1.1.0").replace(
            "digest = \"sha256:0\"\n",
            &format!(
                "digest = \"{}\"\nimage_id = \"{}\"\n",
                Digest::of(b"manifest"),
                Digest::of(b"config")
            ),
        );
        assert_eq!(after, wanted);
    }

    #[test]
    fn pinning_twice_changes_nothing() {
        let container = "web".parse().unwrap();
        let once = edit("[match]\nservice = \"a\"\n", &container, &pin(None)).unwrap();
        assert!(once.contains("[containers.web]\n"), "{once}");
        assert_eq!(edit(&once, &container, &pin(None)).unwrap(), once);
        let inline =
            edit("containers.web = { version = \"1\" }\n", &container, &pin(None)).unwrap();
        assert!(inline.contains("version = \"1\""), "{inline}");
        let error = edit("containers = 1\n", &container, &pin(None)).unwrap_err();
        assert!(matches!(error, EditError::NotATable { .. }));
    }

    #[test]
    fn another_image_does_not_keep_the_version_of_the_one_before() {
        let container = "web".parse().unwrap();
        let once = edit("", &container, &pin(Some("1.0.0"))).unwrap();
        assert_eq!(edit(&once, &container, &pin(None)).unwrap(), once);
        let other = Pin { digest: Digest::of(b"other"), ..pin(None) };
        assert!(!edit(&once, &container, &other).unwrap().contains("version"));
    }

    #[test]
    fn the_ruleset_that_has_the_pin_wins_over_one_that_could() {
        let (service, container) = ("app1".parse().unwrap(), "web".parse().unwrap());
        let about = "[match]\nservice = \"app1\"\n";
        let holds = edit("[match]\nservice = [\"app1\"]\n", &container, &pin(None)).unwrap();
        let files = |texts: &[(&str, &str)]| -> BTreeMap<String, String> {
            texts.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect()
        };
        let choose = |texts: &[(&str, &str)]| ruleset_for(&files(texts), &service, &container);
        assert_eq!(choose(&[("a", about), ("b", &holds)]).unwrap(), "b");
        assert_eq!(choose(&[("a", about), ("z", "[match]\napp = \"x\"\n")]).unwrap(), "a");
        let shared = "[match]\nservice = [\"app1\", \"app2\"]\n";
        assert!(matches!(choose(&[("s", shared)]), Err(EditError::NoRuleset { .. })));
        assert!(matches!(choose(&[("a", about), ("b", about)]), Err(EditError::Ambiguous { .. })));
        assert!(matches!(choose(&[("a", "[match")]), Err(EditError::Unreadable { .. })));
    }
}
