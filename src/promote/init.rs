//! Makes a repository whose lines each begin with a signed anchor, on a root that all share: git merges
//! only what is related.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::clients::git::{GitWriteError, OwnRepository, TreeFile, user_config};
use crate::model::{CommitId, EnvironmentName};
use crate::promote::anchor::{AnchorError, Line, lines};
use crate::promote::commit::{CommitDraft, Identity};
use crate::promote::history::Files;
use crate::promote::keys::{KeyError, People};
use crate::promote::sign::{SignError, Signer};

/// Files of a repository at most (TRUST.md, "The chain").
const FILES_MAX: usize = 100_000;
/// Directory levels at most.
const LEVELS_MAX: usize = 32;
/// Bytes of a file at most.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the root says: it is below every anchor, so nobody judges it.
const ROOT_MESSAGE: &str = "Begin\n\nEach environment's line goes on from here with its anchor.\n";

/// Run by git before a push: what would be refused on a node is refused here.
const PRE_PUSH: &str = r#"#!/bin/sh
# Installed by `tidegate init`: a node refuses what does not verify, so do not push it.
git_dir=$(git rev-parse --absolute-git-dir) || exit 1
while read -r _ local_id remote_ref _; do
    environment=${remote_ref#refs/heads/}
    anchor=$(git config "tidegate.$environment.anchor") || continue
    case $local_id in *[!0]*) ;; *) continue ;; esac
    tidegate verify --repository "$git_dir" --environment "$environment" \
        --anchor "$anchor" --revision "$local_id" >&2 || exit 1
done
"#;

/// What to make.
#[derive(Debug, Clone)]
pub struct InitRequest {
    /// Where the repository is made; nothing but an empty directory may be there.
    pub destination: PathBuf,
    /// Its environments side by side (see [`lines`]).
    pub files: Files,
    /// Where keys of its people are, or are made; else the user's own key signs.
    pub keys: Option<PathBuf>,
    /// The commits' time.
    pub time: Timestamp,
}

/// A line that was begun.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Anchored {
    /// The environment, and its branch.
    pub environment: EnvironmentName,
    /// Its anchor.
    pub anchor: CommitId,
    /// Who signed it.
    pub signer: String,
    /// The nodes that it has documents of.
    pub nodes: Vec<String>,
}

/// A repository that was not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something is there already.
    #[error("`{0}` is not an empty directory")]
    NotEmpty(String),
    /// A file could not be read or written.
    #[error("cannot access `{path}`")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something a repository may not hold.
    #[error("`{path}` {problem}")]
    Unfit {
        /// The file.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The content cannot be anchored.
    #[error("cannot begin the lines")]
    Anchor(#[source] AnchorError),
    /// A signer whom trust.toml does not list.
    #[error(
        "the history lets {signer} sign for {environment}, whose trust.toml does not list them"
    )]
    Stranger {
        /// Who.
        signer: String,
        /// Where.
        environment: EnvironmentName,
    },
    /// A trust.toml without people.
    #[error("`environments/{0}/trust.toml` lists nobody")]
    Nobody(EnvironmentName),
    /// Keys could not be made or read.
    #[error("cannot make the people's keys")]
    Keys(#[source] KeyError),
    /// Signing failed.
    #[error("cannot sign the anchor")]
    Sign(#[source] SignError),
    /// Git failed.
    #[error("cannot write the repository")]
    Git(#[source] GitWriteError),
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> InitError {
    let path = path.display().to_string();
    move |source| InitError::File { path, source }
}

/// Makes the repository: a branch for each environment, each begun by a signed anchor.
pub fn init(request: &InitRequest) -> Result<Vec<Anchored>, InitError> {
    let destination = &request.destination;
    if fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(InitError::NotEmpty(destination.display().to_string()));
    }
    let mut lines = lines(&request.files).map_err(InitError::Anchor)?;
    let people = match &request.keys {
        Some(dir) => Some(give_keys(&mut lines, dir)?),
        None => None,
    };
    let first = lines.first().map_or("main", |line| line.environment.as_str()).to_owned();
    let repository = OwnRepository::create(destination, &first).map_err(InitError::Git)?;
    let mut anchored: Vec<Anchored> = Vec::new();
    let mut root = None;
    for mut line in lines {
        let source = line.from.as_ref().and_then(|f| anchored.iter().find(|a| a.environment == *f));
        if let Some(source) = source {
            line.set_source_anchor(source.anchor);
        }
        let (signer, identity, name) = who(&line, people.as_ref())?;
        let commit = |files: &Files, parents, message| {
            let tree = repository.write_tree(files).map_err(InitError::Git)?;
            let (identity, time) = (identity.clone(), request.time);
            let draft = CommitDraft { tree, parents, identity, time, message };
            let signature = signer.sign(&draft.payload()).map_err(InitError::Sign)?;
            repository.write_commit(&draft.signed(&signature)).map_err(InitError::Git)
        };
        let shared = match root {
            Some(root) => root,
            None => commit(&root_files(&line.files), Vec::new(), ROOT_MESSAGE.to_owned())?,
        };
        root = Some(shared);
        let anchor = commit(&line.files, vec![shared], line.message())?;
        let branch = line.environment.as_str();
        repository.set_branch(branch, anchor).map_err(InitError::Git)?;
        let key = format!("tidegate.{branch}.anchor");
        repository.set_config(&key, &anchor.to_string()).map_err(InitError::Git)?;
        let nodes = line.nodes();
        anchored.push(Anchored { environment: line.environment, anchor, signer: name, nodes });
    }
    repository.check_out(&first).map_err(InitError::Git)?;
    install_hook(&repository.git_dir())?;
    Ok(anchored)
}

/// What the root holds: which repository this is.
fn root_files(files: &Files) -> Files {
    let named = files.iter().filter(|(path, _)| *path == "tidegate.toml");
    named.map(|(path, file)| (path.clone(), file.clone())).collect()
}

/// Makes or reads a key for everybody, and writes it into each trust.toml that lists them.
fn give_keys(lines: &mut [Line], dir: &Path) -> Result<People, InitError> {
    let mut names: Vec<String> = lines.iter().flat_map(Line::people).collect();
    names.sort();
    names.dedup();
    let people = People::ensure(dir, names.iter().map(String::as_str)).map_err(InitError::Keys)?;
    for line in lines {
        for person in line.people() {
            if let Some(key) = people.public(&person) {
                line.set_key(&person, key);
            }
        }
    }
    Ok(people)
}

/// Who signs a line's anchor: the history's last signer, else the first of its people; the user
/// where no keys are made.
fn who(line: &Line, people: Option<&People>) -> Result<(Signer, Identity, String), InitError> {
    let Some(people) = people else {
        let home = std::env::home_dir();
        let signer = Signer::from_git(user_config, home.as_deref()).map_err(InitError::Sign)?;
        let name = user_config("user.name").unwrap_or_else(|| "tidegate".to_owned());
        let email = user_config("user.email").unwrap_or_default();
        return Ok((signer, Identity::new(&name, &email), name));
    };
    let listed = line.people();
    let name = line
        .signer
        .as_ref()
        .or(listed.first())
        .ok_or_else(|| InitError::Nobody(line.environment.clone()))?
        .clone();
    let stranger =
        || InitError::Stranger { signer: name.clone(), environment: line.environment.clone() };
    let file =
        people.private_file(&name).filter(|_| listed.contains(&name)).ok_or_else(stranger)?;
    let signer = Signer::from_file(&file).map_err(InitError::Sign)?;
    let identity = Identity::new(&name, &format!("{name}@example.org"));
    Ok((signer, identity, name))
}

fn install_hook(git_dir: &Path) -> Result<(), InitError> {
    let hooks = git_dir.join("hooks");
    fs::create_dir_all(&hooks).map_err(file_error(&hooks))?;
    let hook = hooks.join("pre-push");
    fs::write(&hook, PRE_PUSH).map_err(file_error(&hook))?;
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).map_err(file_error(&hook))
}

/// Reads the files of a directory, `.git` left out.
pub fn read_files(root: &Path) -> Result<Files, InitError> {
    let mut files = Files::new();
    let mut waiting = vec![(root.to_owned(), 0)];
    while let Some((dir, level)) = waiting.pop() {
        for entry in fs::read_dir(&dir).map_err(file_error(&dir))? {
            let path = entry.map_err(file_error(&dir))?.path();
            let unfit = |problem| InitError::Unfit { path: path.display().to_string(), problem };
            let info = fs::symlink_metadata(&path).map_err(file_error(&path))?;
            if path.file_name().is_some_and(|name| name == ".git") {
                continue;
            }
            if info.is_dir() && level < LEVELS_MAX {
                waiting.push((path, level + 1));
                continue;
            }
            if !info.is_file() {
                return Err(unfit("is neither a plain file nor a directory, or lies too deep"));
            }
            if info.len() > FILE_BYTES_MAX || files.len() >= FILES_MAX {
                return Err(unfit("is too large, or one file too many"));
            }
            let name = path.strip_prefix(root).ok().and_then(Path::to_str);
            let name = name.ok_or_else(|| unfit("is not named in UTF-8"))?.to_owned();
            let bytes = fs::read(&path).map_err(file_error(&path))?;
            let executable = info.permissions().mode() & 0o111 != 0;
            files.insert(name, TreeFile { executable, bytes });
        }
    }
    Ok(files)
}
