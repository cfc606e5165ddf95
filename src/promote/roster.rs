//! Changing who may do what: a trust.toml's text, comments and order kept.
//!
//! In: the text, a [`RosterChange`]. Out: the text. Pure; whether it is valid then is for the policy.

use toml_edit::{Array, DocumentMut, Item, Table, Value, value};

use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::policy::{PersonName, Role};

/// What is to be changed.
#[derive(Debug, Clone)]
pub enum RosterChange {
    /// A person, or one more key or role of theirs.
    Add {
        /// Who.
        person: PersonName,
        /// As trust.toml lists it.
        key: Option<String>,
        /// Roles they get.
        roles: Vec<Role>,
        /// The last day on which their keys count.
        not_after: Option<jiff::civil::Date>,
    },
    /// A person, or one key of theirs.
    Remove {
        /// Who.
        person: PersonName,
        /// One of their keys; none: all of them, and every role.
        key: Option<Key>,
    },
    /// Another key in place of theirs.
    Rotate {
        /// Who.
        person: PersonName,
        /// As trust.toml lists it.
        key: String,
        /// The one that goes; none: all of them.
        old: Option<Key>,
    },
}

/// A roster that cannot be changed so.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Not TOML.
    #[error("trust.toml is not readable")]
    Unreadable(#[source] Box<toml_edit::TomlError>),
    /// A key that must be something else.
    #[error("`{0}` in trust.toml is not what it should be")]
    Shape(String),
    /// Nobody of that name.
    #[error("trust.toml lists no {person}; it lists {known}")]
    Nobody {
        /// As asked for.
        person: PersonName,
        /// Those who are there.
        known: String,
    },
    /// Somebody new without a key.
    #[error("{0} is not listed yet: a key is needed")]
    NoKey(PersonName),
    /// Not one of their keys.
    #[error("{person} has no key {key}")]
    NoSuchKey {
        /// Whose.
        person: PersonName,
        /// As asked for.
        key: String,
    },
}

impl RosterChange {
    /// A subject for the commit.
    pub fn subject(&self) -> String {
        match self {
            Self::Add { person, key: Some(_), .. } => format!("Trust a key of {person}"),
            Self::Add { person, .. } => format!("Trust {person} with more"),
            Self::Remove { person, key: None } => format!("Trust {person} no longer"),
            Self::Remove { person, .. } => format!("Trust a key of {person} no longer"),
            Self::Rotate { person, .. } => format!("Another key of {person}"),
        }
    }
}

/// The text after the change.
pub fn edit(text: &str, change: &RosterChange) -> Result<String, RosterError> {
    let mut document: DocumentMut =
        text.parse().map_err(|error| RosterError::Unreadable(Box::new(error)))?;
    match change {
        RosterChange::Add { person, key, roles, not_after } => {
            let name = person.to_string();
            let is_new = people(&mut document)?.get(&name).is_none();
            match key {
                Some(key) => add_key(&mut document, person, key)?,
                None if is_new => return Err(RosterError::NoKey(person.clone())),
                None => {}
            }
            if let Some(day) = not_after {
                let date = day.to_string().parse::<toml_edit::Datetime>();
                let date = date.map_err(|_| RosterError::Shape("not_after".to_owned()))?;
                entry(&mut document, person)?["not_after"] = value(date);
            }
            roles.iter().try_for_each(|role| add_role(&mut document, *role, &name))?;
        }
        RosterChange::Remove { person, key: Some(key) } => {
            remove_keys(&mut document, person, |known| known == key)?;
        }
        RosterChange::Remove { person, key: None } => {
            entry(&mut document, person)?;
            people(&mut document)?.remove(&person.to_string());
            remove_from_roles(&mut document, &person.to_string());
        }
        RosterChange::Rotate { person, key, old } => {
            entry(&mut document, person)?;
            let is_old = |known: &Key| old.as_ref().is_none_or(|old| known == old);
            remove_keys(&mut document, person, is_old)?;
            add_key(&mut document, person, key)?;
        }
    }
    Ok(document.to_string())
}

fn shape(key: &str) -> RosterError {
    RosterError::Shape(key.to_owned())
}

fn people(document: &mut DocumentMut) -> Result<&mut Table, RosterError> {
    let mut new = Table::new();
    new.set_implicit(true);
    let item = document.entry("people").or_insert(Item::Table(new));
    item.as_table_mut().ok_or_else(|| shape("people"))
}

fn entry<'a>(
    document: &'a mut DocumentMut,
    person: &PersonName,
) -> Result<&'a mut Item, RosterError> {
    let people = people(document)?;
    let known = people.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>().join(", ");
    let nobody = || RosterError::Nobody { person: person.clone(), known };
    people.get_mut(&person.to_string()).ok_or_else(nobody)
}

fn add_key(document: &mut DocumentMut, person: &PersonName, key: &str) -> Result<(), RosterError> {
    let people = people(document)?;
    let item = people.entry(&person.to_string()).or_insert(Item::Table(Table::new()));
    let table = item.as_table_like_mut().ok_or_else(|| shape("people"))?;
    let keys = table.entry("keys").or_insert(value(Array::new()));
    keys.as_array_mut().ok_or_else(|| shape("keys"))?.push(key);
    Ok(())
}

fn remove_keys(
    document: &mut DocumentMut,
    person: &PersonName,
    goes: impl Fn(&Key) -> bool,
) -> Result<(), RosterError> {
    let keys = entry(document, person)?.get_mut("keys").and_then(Item::as_array_mut);
    let keys = keys.ok_or_else(|| shape("keys"))?;
    let before = keys.len();
    let is_gone = |item: &Value| {
        item.as_str().and_then(|text| text.parse::<Key>().ok()).is_some_and(|key| goes(&key))
    };
    keys.retain(|item| !is_gone(item));
    if keys.len() == before {
        let key = "that is asked for".to_owned();
        return Err(RosterError::NoSuchKey { person: person.clone(), key });
    }
    Ok(())
}

fn add_role(document: &mut DocumentMut, role: Role, name: &str) -> Result<(), RosterError> {
    let roles = document.entry("roles").or_insert(Item::Table(Table::new()));
    let roles = roles.as_table_like_mut().ok_or_else(|| shape("roles"))?;
    let key = role.to_string();
    let new = || {
        let mut inner = toml_edit::InlineTable::new();
        inner.insert("people", Value::Array(Array::new()));
        value(inner)
    };
    let role = roles.entry(&key).or_insert_with(new);
    let list = role.get_mut("people").and_then(Item::as_array_mut).ok_or_else(|| shape(&key))?;
    if !list.iter().any(|known| known.as_str() == Some(name)) {
        list.push(name);
    }
    Ok(())
}

fn remove_from_roles(document: &mut DocumentMut, name: &str) {
    let Some(roles) = document.get_mut("roles").and_then(Item::as_table_like_mut) else { return };
    for (_, role) in roles.iter_mut() {
        if let Some(list) = role.get_mut("people").and_then(Item::as_array_mut) {
            list.retain(|known| known.as_str() != Some(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::promote::roster::{RosterChange, RosterError, edit};
    use crate::reconcile::trust::policy::{PersonName, Role, TrustPolicy};

    const OLD: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDyqn3NieJIQDnfs9/L8jX2goy6LOkkE5vXsA1TUedmY alice@example";
    const NEW: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMHI4/ys36Iw1eaDEVdEtEXhyM1nmXbrjHgK3ujUPbTH bob@example";

    fn text() -> String {
        format!(
            "# who may\nversion = 1\n[people.alice]   # first\nkeys = [\"{OLD}\"]\n\n[roles]\n\
             admin = {{ people = [\"alice\"] }} # one\n"
        )
    }

    fn person(name: &str) -> PersonName {
        PersonName::parse(name).unwrap()
    }

    #[test]
    fn a_person_comes_and_goes_and_comments_stay() {
        let add = RosterChange::Add {
            person: person("bob"),
            key: Some(NEW.to_owned()),
            roles: vec![Role::Admin, Role::Local],
            not_after: Some("2027-06-30".parse().unwrap()),
        };
        let with = edit(&text(), &add).unwrap();
        let policy = TrustPolicy::parse(with.as_bytes()).unwrap();
        assert_eq!(policy.people.len(), 2);
        assert_eq!(policy.roles[&Role::Admin].people.len(), 2);
        assert!(with.contains("# who may") && with.contains("# first") && with.contains("# one"));
        assert!(with.contains("not_after = 2027-06-30"), "{with}");
        let remove = RosterChange::Remove { person: person("bob"), key: None };
        let without = edit(&with, &remove).unwrap();
        assert!(!without.contains("bob"), "{without}");
        // A role that nobody holds is refused by the policy, not by the edit.
        let remove = RosterChange::Remove { person: person("alice"), key: None };
        assert!(TrustPolicy::parse(edit(&text(), &remove).unwrap().as_bytes()).is_err());
    }

    #[test]
    fn a_key_is_rotated_added_and_removed() {
        let (person, old) = (person("alice"), OLD.parse().unwrap());
        let rotate =
            RosterChange::Rotate { person: person.clone(), key: NEW.to_owned(), old: None };
        let rotated = edit(&text(), &rotate).unwrap();
        assert_eq!(rotated, text().replace(OLD, NEW));
        let add = RosterChange::Add {
            person: person.clone(),
            key: Some(NEW.to_owned()),
            roles: Vec::new(),
            not_after: None,
        };
        let both = edit(&text(), &add).unwrap();
        let remove = RosterChange::Remove { person: person.clone(), key: Some(old) };
        let policy = TrustPolicy::parse(edit(&both, &remove).unwrap().as_bytes()).unwrap();
        assert_eq!(policy.people[&person].keys, [NEW.parse().unwrap()]);
        let again = edit(&rotated, &remove);
        assert!(matches!(again, Err(RosterError::NoSuchKey { .. })));
    }

    #[test]
    fn who_is_not_there_is_named_with_those_who_are() {
        let remove = RosterChange::Remove { person: person("zoe"), key: None };
        let error = edit(&text(), &remove).unwrap_err();
        assert_eq!(error.to_string(), "trust.toml lists no zoe; it lists alice");
        let add = RosterChange::Add {
            person: person("zoe"),
            key: None,
            roles: vec![Role::Admin],
            not_after: None,
        };
        assert!(matches!(edit(&text(), &add), Err(RosterError::NoKey(_))));
    }
}
