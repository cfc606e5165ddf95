//! The demo's configuration repository: a copy of the example, its images pinned, its lines begun,
//! and commits made as people make them, with plain git.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use toml_edit::{DocumentMut, Item, Value};

use crate::clients::registry::{ManifestReference, Platform, RegistryClient};
use crate::demo::error::{DemoError, io};
use crate::demo::place::Place;
use crate::demo::process::run;
use crate::hub::{ContainerAddress, PinRequest, Pinned, pin};
use crate::model::{ContainerName, RepositoryPath, ServiceName};
use crate::promote::{Anchored, Files, InitRequest, init, read_files};

/// A container whose image a ruleset pins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PinPlace {
    pub(crate) service: String,
    pub(crate) container: String,
    pub(crate) repository: String,
    pub(crate) version: String,
    /// The ruleset's file below the copy.
    pub(crate) file: String,
}

/// The copy, before its lines begin.
#[derive(Debug)]
pub(crate) struct Example {
    root: PathBuf,
}

/// The repository that the nodes follow.
#[derive(Debug)]
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) lines: Vec<Anchored>,
    pub(crate) id: String,
}

fn parse(file: &str, text: &str) -> Result<DocumentMut, DemoError> {
    text.parse().map_err(|error| DemoError::Example(format!("{file}: {error}")))
}

/// Sets one value in a TOML file, making tables on the way.
pub(crate) fn set(
    root: &Path,
    file: &str,
    keys: &[&str],
    value: impl Into<Value>,
) -> Result<(), DemoError> {
    let path = root.join(file);
    let text = fs::read_to_string(&path).map_err(io(format!("read {file}")))?;
    let mut document = parse(file, &text)?;
    let mut item: &mut Item = document.as_item_mut();
    for key in keys {
        item = &mut item[key];
    }
    *item = Item::Value(value.into());
    fs::write(&path, document.to_string()).map_err(io(format!("write {file}")))
}

impl Example {
    /// Copies the example at `from`.
    pub(crate) fn copy(place: &Place, from: &Path) -> Result<Self, DemoError> {
        let root = place.folder("example")?;
        let files = read_files(from).map_err(DemoError::Init)?;
        for (name, file) in &files {
            let path = root.join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(io(format!("make {}", parent.display())))?;
            }
            fs::write(&path, &file.bytes).map_err(io(format!("write {name}")))?;
        }
        Ok(Self { root })
    }

    fn files(&self) -> Result<Files, DemoError> {
        read_files(&self.root).map_err(DemoError::Init)
    }

    /// Its environments, in display order.
    pub(crate) fn environments(&self) -> Result<Vec<String>, DemoError> {
        let text = fs::read_to_string(self.root.join("tidegate.toml"))
            .map_err(io("read tidegate.toml"))?;
        let document = parse("tidegate.toml", &text)?;
        let list = document.get("environments").and_then(Item::as_array);
        let names = list.into_iter().flatten().filter_map(Value::as_str);
        Ok(names.map(str::to_owned).collect())
    }

    /// Sets a value in one of its files.
    pub(crate) fn set(
        &self,
        file: &str,
        keys: &[&str],
        value: impl Into<Value>,
    ) -> Result<(), DemoError> {
        set(&self.root, file, keys, value)
    }

    /// Files whose path begins with `prefix` and ends in `.toml`.
    pub(crate) fn documents(&self, prefix: &str) -> Result<Vec<String>, DemoError> {
        let files = self.files()?.into_keys();
        Ok(files
            .filter(|path| {
                path.starts_with(prefix)
                    && Path::new(path.as_str()).extension().is_some_and(|e| e == "toml")
            })
            .collect())
    }

    /// Lets every health check take its time, look often, and nothing take long to stop: nobody is
    /// served here.
    pub(crate) fn adapt(&self, file: &str) -> Result<(), DemoError> {
        let text = fs::read_to_string(self.root.join(file)).map_err(io(format!("read {file}")))?;
        let document = parse(file, &text)?;
        for (name, container) in containers(&document) {
            if container.get("healthcheck").is_some() {
                self.set(file, &["containers", &name, "healthcheck", "timeout"], "20s")?;
                self.set(file, &["containers", &name, "healthcheck", "interval"], "500ms")?;
            }
            if container.get("stop_grace_period").is_some() {
                self.set(file, &["containers", &name, "stop_grace_period"], "0s")?;
            }
        }
        Ok(())
    }

    /// Every pin, in the first content and in what history lays over it.
    pub(crate) fn pins(&self) -> Result<BTreeSet<PinPlace>, DemoError> {
        let files = self.files()?;
        let text = |file: &str| String::from_utf8_lossy(&files[file].bytes).into_owned();
        let mut images: BTreeMap<(String, String), String> = BTreeMap::new();
        for file in files.keys() {
            let service = file.strip_prefix("services/").and_then(|f| f.strip_suffix(".toml"));
            let Some(service) = service.filter(|name| !name.contains('/')) else { continue };
            let document = parse(file, &text(file))?;
            for (container, entry) in containers(&document) {
                if let Some(image) = entry.get("image").and_then(Item::as_str) {
                    images.insert((service.to_owned(), container), image.to_owned());
                }
            }
        }
        let mut pins = BTreeSet::new();
        for file in files.keys() {
            let is_ruleset = file.starts_with("rulesets/")
                || (file.starts_with("history/") && file.contains("/rulesets/"));
            if !is_ruleset {
                continue;
            }
            let document = parse(file, &text(file))?;
            let service = document.get("match").and_then(|m| m.get("service"));
            let Some(service) = service.and_then(Item::as_str) else { continue };
            for (container, entry) in containers(&document) {
                let key = (service.to_owned(), container.clone());
                let Some(repository) = images.get(&key) else { continue };
                let version = entry.get("version").and_then(Item::as_str).unwrap_or("1.0.0");
                pins.insert(PinPlace {
                    service: key.0,
                    container,
                    repository: repository.clone(),
                    version: version.to_owned(),
                    file: file.clone(),
                });
            }
        }
        Ok(pins)
    }

    /// Pins one image in it.
    pub(crate) async fn pin(&self, hub: &RegistryClient, at: &PinPlace) -> Result<(), DemoError> {
        pin_in(&self.root, hub, at).await.map(drop)
    }

    /// Begins its lines: a branch for each environment, with a signed anchor.
    pub(crate) fn begin(&self, place: &Place) -> Result<Repository, DemoError> {
        let (root, keys) = (place.path("config"), place.path("keys"));
        let request = InitRequest {
            destination: root.clone(),
            files: self.files()?,
            keys: Some(keys.clone()),
            time: Timestamp::now(),
        };
        let lines = init(&request).map_err(DemoError::Init)?;
        let text = fs::read_to_string(self.root.join("tidegate.toml"))
            .map_err(io("read tidegate.toml"))?;
        let document = parse("tidegate.toml", &text)?;
        let id = document.get("repository").and_then(Item::as_str).unwrap_or_default();
        let repository = Repository { root, keys, lines, id: id.to_owned() };
        // People push to it, whatever the story has checked out here.
        repository.git(None, &["config", "receive.denyCurrentBranch", "ignore"])?;
        Ok(repository)
    }
}

fn containers(document: &DocumentMut) -> Vec<(String, &Item)> {
    let table = document.get("containers").and_then(Item::as_table_like);
    table.into_iter().flat_map(|t| t.iter()).map(|(name, item)| (name.to_owned(), item)).collect()
}

async fn pin_in(root: &Path, hub: &RegistryClient, at: &PinPlace) -> Result<Pinned, DemoError> {
    let unfit = |what: &str| DemoError::Example(format!("`{what}` is not a name"));
    let service: ServiceName = at.service.parse().map_err(|_| unfit(&at.service))?;
    let container: ContainerName = at.container.parse().map_err(|_| unfit(&at.container))?;
    let repository: RepositoryPath = at.repository.parse().map_err(|_| unfit(&at.repository))?;
    let request = PinRequest {
        address: ContainerAddress { service, container },
        repository,
        reference: ManifestReference::Tag(at.version.clone()),
        version: None,
        ruleset: Some(at.file.clone()),
        platforms: vec![Platform::own()],
    };
    pin(hub, root, &request).await.map_err(DemoError::Pin)
}

/// Who commits, and whether it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By<'a> {
    /// A person with their key.
    Signed(&'a str),
    /// A person without it.
    Unsigned(&'a str),
}

impl Repository {
    /// Runs git on it, as somebody or as nobody.
    pub(crate) fn git(&self, by: Option<By<'_>>, args: &[&str]) -> Result<String, DemoError> {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.root);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        if let Some(By::Signed(person) | By::Unsigned(person)) = by {
            let sign = if matches!(by, Some(By::Signed(_))) { "true" } else { "false" };
            for setting in [
                format!("user.name={person}"),
                format!("user.email={person}@example.org"),
                "gpg.format=ssh".to_owned(),
                format!("user.signingkey={}", self.keys.join(person).display()),
                format!("commit.gpgsign={sign}"),
            ] {
                command.arg("-c").arg(setting);
            }
        }
        run(command.args(args))
    }

    /// Somebody whom `role` on `branch` lists.
    pub(crate) fn person(&self, branch: &str, role: &str) -> Result<String, DemoError> {
        self.another(branch, role, "")
    }

    /// Somebody else than `but` whom `role` on `branch` lists.
    pub(crate) fn another(&self, branch: &str, role: &str, but: &str) -> Result<String, DemoError> {
        let file = format!("environments/{branch}/trust.toml");
        let text = self.git(None, &["show", &format!("{branch}:{file}")])?;
        let document = parse(&file, &text)?;
        let people = document.get("roles").and_then(|r| r.get(role)).and_then(|r| r.get("people"));
        let mut names =
            people.and_then(Item::as_array).into_iter().flatten().filter_map(Value::as_str);
        names
            .find(|name| *name != but)
            .map(str::to_owned)
            .ok_or_else(|| DemoError::Example(format!("{file}: nobody has the role `{role}`")))
    }

    /// Goes to a branch; what follows is changed there.
    pub(crate) fn switch(&self, branch: &str) -> Result<(), DemoError> {
        self.git(None, &["switch", "--quiet", "--discard-changes", branch]).map(drop)
    }

    /// Commits what was changed; returns the commit's id.
    pub(crate) fn commit(&self, by: By<'_>, message: &str) -> Result<String, DemoError> {
        self.git(Some(by), &["add", "--all"])?;
        self.git(Some(by), &["commit", "--quiet", "--message", message])?;
        self.head()
    }

    /// The id of what is checked out.
    pub(crate) fn head(&self) -> Result<String, DemoError> {
        self.git(None, &["rev-parse", "HEAD"]).map(|id| id.trim().to_owned())
    }

    /// The id that a branch points at.
    pub(crate) fn tip(&self, branch: &str) -> Result<String, DemoError> {
        self.git(None, &["rev-parse", &format!("refs/heads/{branch}")])
            .map(|id| id.trim().to_owned())
    }

    /// Points a branch elsewhere, as a forced push would.
    pub(crate) fn force(&self, branch: &str, to: &str) -> Result<(), DemoError> {
        self.git(None, &["switch", "--quiet", "--detach"])?;
        self.git(None, &["branch", "--force", branch, to]).map(drop)
    }

    /// Pins one image in what is checked out.
    pub(crate) async fn pin(
        &self,
        hub: &RegistryClient,
        at: &PinPlace,
    ) -> Result<Pinned, DemoError> {
        pin_in(&self.root, hub, at).await
    }
}
