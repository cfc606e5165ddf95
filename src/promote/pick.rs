//! Which paths a pick of apps takes along, and which it would need besides.
//!
//! In: what two trees say, as text. Out: [`Selection`]. Pure.
//!
//! # Guarantees
//! * A path is taken only if it is theirs alone; what others see too is named, never taken unasked.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AppName, EnvironmentName};

/// Documents by path, as text.
pub type Texts = BTreeMap<String, String>;

/// What decides a selection.
#[derive(Debug, Clone, Copy)]
pub struct SelectionRequest<'a> {
    /// The apps.
    pub apps: &'a BTreeSet<AppName>,
    /// Where they are taken to: a ruleset that never fits there is not needed.
    pub environment: &'a EnvironmentName,
    /// Shared rulesets that may come along, by path or dotted name.
    pub with: &'a BTreeSet<String>,
}

/// What a pick takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Files and directories, each the apps' own or asked for.
    pub paths: BTreeSet<String>,
    /// Files of `paths` that concern other apps too.
    pub shared: BTreeSet<String>,
    /// Rulesets that differ, would be seen by the apps, and were not asked for.
    pub missing: BTreeSet<String>,
}

/// Apps that cannot be picked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// A document that is not readable.
    #[error("`{file}` is not readable: {message}")]
    Unreadable {
        /// Path within the repository.
        file: String,
        /// Where and why.
        message: String,
    },
    /// Neither side has a service of it.
    #[error("no service belongs to the app `{app}`; there are {known}")]
    UnknownApp {
        /// As asked for.
        app: AppName,
        /// The apps that have services.
        known: String,
    },
    /// `--with` names nothing that is there.
    #[error("there is no ruleset `{0}`")]
    UnknownRuleset(String),
}

/// One side's documents, taken apart.
struct Side {
    /// Service → its app.
    services: BTreeMap<String, String>,
    /// Path → match.
    rulesets: BTreeMap<String, toml::Table>,
    apps: toml::Table,
}

impl Side {
    fn read(texts: &Texts) -> Result<Self, SelectionError> {
        let (mut services, mut rulesets) = (BTreeMap::new(), BTreeMap::new());
        let mut apps = toml::Table::new();
        for (file, text) in texts {
            let Some(stem) = file.strip_suffix(".toml").filter(|_| !is_inside_files(file)) else {
                continue;
            };
            let table = || -> Result<toml::Table, SelectionError> {
                toml::from_str(text).map_err(|error| SelectionError::Unreadable {
                    file: file.clone(),
                    message: error.message().to_owned(),
                })
            };
            let inner = |table: &toml::Table, key: &str| {
                table.get(key).and_then(toml::Value::as_table).cloned().unwrap_or_default()
            };
            if let Some(name) = stem.strip_prefix("services/").filter(|n| !n.contains('/')) {
                let app = table()?.get("app").and_then(toml::Value::as_str).map(str::to_owned);
                services.insert(name.to_owned(), app.unwrap_or_default());
            } else if stem.starts_with("rulesets/") {
                rulesets.insert(file.clone(), inner(&table()?, "match"));
            } else if file == "tidegate.toml" {
                apps = inner(&table()?, "apps");
            }
        }
        Ok(Self { services, rulesets, apps })
    }

    fn services_of<'a>(&'a self, apps: &BTreeSet<AppName>) -> BTreeSet<&'a str> {
        let own = self.services.iter().filter(|(_, owner)| apps.contains(owner.as_str()));
        own.map(|(name, _)| name.as_str()).collect()
    }
}

/// Whether a file lies in the folder of a ruleset's files, and is none itself.
pub fn is_inside_files(path: &str) -> bool {
    path.starts_with("rulesets/") && path.contains(".files/")
}

/// The folder of a ruleset's files: `rulesets/it/app1.toml` → `rulesets/it/app1.files`.
fn files_of(ruleset: &str) -> String {
    format!("{}.files", ruleset.strip_suffix(".toml").unwrap_or(ruleset))
}

/// What lies in a folder.
fn inside<'a>(texts: &'a Texts, folder: &str) -> BTreeMap<&'a str, &'a str> {
    let within = |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let found = texts.iter().filter(|(path, _)| within(path));
    found.map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

/// Selects what the apps take from `source` into `target`.
pub fn select(
    request: &SelectionRequest<'_>,
    target: &Texts,
    source: &Texts,
) -> Result<Selection, SelectionError> {
    let (old, new) = (Side::read(target)?, Side::read(source)?);
    let apps = request.apps;
    let owners: BTreeSet<&str> =
        old.services.values().chain(new.services.values()).map(String::as_str).collect();
    if let Some(app) = apps.iter().find(|app| !owners.contains(app.as_str())) {
        let known = owners.into_iter().collect::<Vec<_>>().join(", ");
        return Err(SelectionError::UnknownApp { app: app.clone(), known });
    }
    let services = &old.services_of(apps) | &new.services_of(apps);
    let mut found = Selection::default();
    for service in &services {
        found.paths.insert(format!("services/{service}.toml"));
        let folder = format!("services/{service}/");
        if target.keys().chain(source.keys()).any(|path| path.starts_with(&folder)) {
            found.paths.insert(format!("services/{service}"));
        }
    }
    let mut asked = request.with.clone();
    let files: BTreeSet<&String> = old.rulesets.keys().chain(new.rulesets.keys()).collect();
    for file in files {
        let sides: Vec<&toml::Table> =
            [&old, &new].iter().filter_map(|side| side.rulesets.get(file)).collect();
        let named = name_of(file);
        let asked_for = asked.remove(file.as_str()) | asked.remove(&named);
        let folder = files_of(file);
        let (its_old, its_new) = (inside(target, &folder), inside(source, &folder));
        let differs = target.get(file) != source.get(file) || its_old != its_new;
        let mut all = vec![file.clone()];
        all.extend(Some(folder).filter(|_| !its_old.is_empty() || !its_new.is_empty()));
        if sides.iter().all(|matches| names_only(matches, apps, &services)) {
            found.paths.extend(all);
        } else if asked_for {
            found.paths.extend(all.iter().cloned());
            found.shared.extend(all);
        } else if differs && sides.iter().any(|matches| may_fit(matches, request, &services)) {
            found.missing.insert(file.clone());
        }
    }
    if let Some(unknown) = asked.into_iter().next() {
        return Err(SelectionError::UnknownRuleset(unknown));
    }
    if apps.iter().any(|app| old.apps.get(app.as_str()) != new.apps.get(app.as_str())) {
        found.paths.insert("tidegate.toml".to_owned());
        found.shared.insert("tidegate.toml".to_owned());
    }
    Ok(found)
}

/// `rulesets/it/app1.toml` → `it.app1`.
fn name_of(file: &str) -> String {
    let stem = file.strip_prefix("rulesets/").and_then(|rest| rest.strip_suffix(".toml"));
    stem.unwrap_or(file).replace('/', ".")
}

fn texts<'a>(table: &'a toml::Table, key: &str) -> Option<Vec<&'a str>> {
    match table.get(key)? {
        toml::Value::String(text) => Some(vec![text]),
        toml::Value::Array(list) => Some(list.iter().filter_map(toml::Value::as_str).collect()),
        _ => Some(Vec::new()),
    }
}

fn alternatives(table: &toml::Table) -> Option<Vec<&toml::Table>> {
    let list = table.get("any")?.as_array()?;
    Some(list.iter().filter_map(toml::Value::as_table).collect())
}

/// Whether a match can fit nothing but the apps' services.
fn names_only(matches: &toml::Table, apps: &BTreeSet<AppName>, services: &BTreeSet<&str>) -> bool {
    let by_service = texts(matches, "service")
        .is_some_and(|names| !names.is_empty() && names.iter().all(|n| services.contains(n)));
    let by_app = texts(matches, "app")
        .is_some_and(|names| !names.is_empty() && names.iter().all(|n| apps.contains(*n)));
    let by_any = alternatives(matches).is_some_and(|all| {
        !all.is_empty() && all.iter().all(|inner| names_only(inner, apps, services))
    });
    by_service || by_app || by_any
}

/// Whether a match may fit one of the apps' services in the environment; in doubt it may.
fn may_fit(
    matches: &toml::Table,
    request: &SelectionRequest<'_>,
    services: &BTreeSet<&str>,
) -> bool {
    let names = |key: &str, wanted: &dyn Fn(&str) -> bool| {
        texts(matches, key).is_none_or(|names| names.iter().any(|name| wanted(name)))
    };
    names("service", &|name| services.contains(name))
        && names("app", &|name| request.apps.contains(name))
        && names("environment", &|name| name == request.environment.as_str())
        && alternatives(matches)
            .is_none_or(|all| all.iter().any(|inner| may_fit(inner, request, services)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::model::AppName;
    use crate::promote::pick::{Selection, SelectionError, SelectionRequest, Texts, select};

    fn texts(files: &[(&str, &str)]) -> Texts {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    fn apps(names: &[&str]) -> BTreeSet<AppName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    const BASE: [(&str, &str); 3] = [
        ("tidegate.toml", "[apps.a]\n[apps.b]\n"),
        ("services/a1.toml", "app = \"a\""),
        ("services/b1.toml", "app = \"b\""),
    ];

    fn pick(
        old: &[(&str, &str)],
        new: &[(&str, &str)],
        with: &[&str],
    ) -> Result<Selection, String> {
        let (apps, environment) = (apps(&["a"]), "prd".parse().unwrap());
        let with = set(with);
        let request = SelectionRequest { apps: &apps, environment: &environment, with: &with };
        let old = texts(&[&BASE, old].concat());
        let new = texts(&[&BASE, new].concat());
        select(&request, &old, &new).map_err(|error| error.to_string())
    }

    #[test]
    fn a_service_comes_with_its_files_also_when_one_side_lacks_it() {
        let new = [("services/a2.toml", "app = \"a\""), ("services/a2/x.conf", "")];
        let paths = set(&["services/a1.toml", "services/a2.toml", "services/a2"]);
        assert_eq!(pick(&[], &new, &[]).unwrap().paths, paths);
        // Taken away in the source: absent equals absent.
        assert_eq!(pick(&new, &[], &[]).unwrap().paths, paths);
    }

    #[test]
    fn each_ruleset_is_the_apps_own_or_shared_or_nothing_to_it() {
        for (matches, own, missing) in [
            ("[match]\nservice = \"a1\"", true, false),
            ("[match]\nservice = [\"a1\"]", true, false),
            ("[match]\napp = \"a\"", true, false),
            ("[match]\napp = \"a\"\nenvironment = \"dev\"", true, false),
            ("[match]\nany = [{ service = \"a1\" }, { app = \"a\" }]", true, false),
            ("[match]\nservice = [\"a1\", \"b1\"]", false, true),
            ("[match]\nany = [{ service = \"a1\" }, { app = \"b\" }]", false, true),
            ("[match]\nnot = { service = \"b1\" }", false, true),
            ("", false, true),
            ("[match]\nlabels = { zone = \"x\" }", false, true),
            ("[match]\nservice = \"b1\"", false, false),
            ("[match]\napp = \"b\"", false, false),
            ("[match]\nenvironment = \"dev\"", false, false),
        ] {
            let (old, new) = (format!("{matches}\n"), format!("{matches}\n[vars]\nx = 1\n"));
            let file = "rulesets/it/x.toml";
            let found = pick(&[(file, &old)], &[(file, &new)], &[]).unwrap();
            let seen = (found.paths.contains(file), found.missing.contains(file));
            assert_eq!(seen, (own, missing), "{matches}");
            // Where both sides agree, nothing is missing.
            let same = pick(&[(file, &new)], &[(file, &new)], &[]).unwrap();
            assert!(same.missing.is_empty(), "{matches}");
        }
    }

    #[test]
    fn a_ruleset_that_was_shared_on_one_side_is_not_taken_unasked() {
        let file = "rulesets/it/x.toml";
        let old = [(file, "[match]\nservice = [\"a1\", \"b1\"]\n")];
        let new = [(file, "[match]\nservice = \"a1\"\n")];
        assert_eq!(pick(&old, &new, &[]).unwrap().missing, set(&[file]));
        for with in [file, "it.x"] {
            let found = pick(&old, &new, &[with]).unwrap();
            assert_eq!((found.shared, found.missing), (set(&[file]), set(&[])));
            assert!(found.paths.contains(file));
        }
        assert_eq!(pick(&old, &new, &["it.y"]).unwrap_err(), "there is no ruleset `it.y`");
    }

    #[test]
    fn a_rulesets_files_come_with_it_and_tell_whether_it_differs() {
        let (file, folder) = ("rulesets/it/x.toml", "rulesets/it/x.files");
        let own = "[match]\nservice = \"a1\"\n";
        let inner = "rulesets/it/x.files/motd.toml";
        // What lies there is never read as a ruleset, whatever it is called.
        let found = pick(&[(file, own)], &[(file, own), (inner, "no toml ]")], &[]).unwrap();
        assert!(found.paths.contains(file) && found.paths.contains(folder), "{found:?}");
        let gone = pick(&[(file, own), (inner, "1")], &[(file, own)], &[]).unwrap();
        assert!(gone.paths.contains(folder), "absent equals absent: {gone:?}");
        let shared = "[match]\nservice = [\"a1\", \"b1\"]\n";
        let (old, new) = ([(file, shared), (inner, "1")], [(file, shared), (inner, "2")]);
        assert_eq!(pick(&old, &new, &[]).unwrap().missing, set(&[file]));
        let with = pick(&old, &new, &["it.x"]).unwrap();
        assert_eq!(with.shared, set(&[file, folder]));
        assert!(pick(&old, &old, &[]).unwrap().missing.is_empty());
    }

    #[test]
    fn the_repositorys_file_comes_whole_if_the_apps_entry_differs() {
        let new = [("tidegate.toml", "[apps.a]\nowner = \"alice\"\n[apps.b]\n")];
        assert_eq!(pick(&[], &new, &[]).unwrap().shared, set(&["tidegate.toml"]));
        let other = [("tidegate.toml", "[apps.a]\n[apps.b]\nowner = \"bob\"\n")];
        assert!(!pick(&[], &other, &[]).unwrap().paths.contains("tidegate.toml"));
    }

    #[test]
    fn an_app_without_services_is_named_with_those_that_are_there() {
        let (apps, environment) = (apps(&["a", "zzz"]), "prd".parse().unwrap());
        let with = BTreeSet::new();
        let request = SelectionRequest { apps: &apps, environment: &environment, with: &with };
        let error = select(&request, &texts(&BASE), &texts(&BASE)).unwrap_err();
        assert!(matches!(&error, SelectionError::UnknownApp { known, .. } if known == "a, b"));
    }
}
