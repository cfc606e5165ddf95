//! Trees: what they may hold, and where one differs from another.
//!
//! In: tree objects through [`Objects`]. Out: checked trees, differing paths, files by path. Pure.
//!
//! # Guarantees
//! * Every entry of a checked tree is a plain file or a directory under a plain name.
//! * A subtree is checked once however many commits share it, so that long histories are cheap.

use std::collections::{BTreeMap, HashMap};

use crate::model::ObjectId;
use crate::reconcile::trust::{Objects, ObjectsError};

/// Entries in one commit's tree, directories included.
pub const ENTRIES_MAX: u32 = 100_000;
/// Directories within one another.
pub const LEVELS_MAX: u32 = 32;
/// Bytes of a path, with its slashes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Bytes of one file.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why a tree is refused. Paths are shown with what cannot be printed replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// An object is missing or damaged.
    #[error("{0}")]
    Objects(ObjectsError),
    /// Not as Git writes trees.
    #[error("the tree object {id} is malformed")]
    Malformed {
        /// Its id.
        id: ObjectId,
    },
    /// A name that is refused.
    #[error("`{path}` {problem}")]
    Name {
        /// Within the commit.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Over a limit.
    #[error("{what}; the limit is {limit}")]
    Limit {
        /// What is over it.
        what: String,
        /// The limit.
        limit: u64,
    },
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A directory.
    Directory,
    /// A plain file.
    File,
    /// A plain file that may be executed.
    Executable,
    /// A symlink, a submodule, or something Git never writes.
    Other,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, any bytes but NUL.
    pub name: Vec<u8>,
    /// What it is.
    pub mode: Mode,
    /// The object.
    pub id: ObjectId,
}

/// Splits the bytes of a tree object into entries.
///
/// # Errors
/// When they are not a tree object.
pub fn parse_tree(id: ObjectId, bytes: &[u8]) -> Result<Vec<Entry>, TreeError> {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (entry, after) = entry(rest).ok_or(TreeError::Malformed { id })?;
        entries.push(entry);
        if entries.len() > ENTRIES_MAX as usize {
            let what = format!("the tree object {id} has {} entries or more", entries.len());
            return Err(limit(what, ENTRIES_MAX.into()));
        }
        rest = after;
    }
    Ok(entries)
}

fn entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let space = bytes.iter().take(8).position(|b| *b == b' ')?;
    let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
    let nul = rest.iter().position(|b| *b == 0)?;
    let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
    let id = ObjectId::from_bytes(rest.first_chunk().copied()?);
    let mode = match mode {
        b"40000" => Mode::Directory,
        b"100644" => Mode::File,
        b"100755" => Mode::Executable,
        _ => Mode::Other,
    };
    Some((Entry { name: name.to_vec(), mode, id }, &rest[20..]))
}

/// What a checked subtree adds to the tree that holds it.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    entries: u32,
    levels: u32,
    path_bytes: usize,
}

/// Reads trees of one repository, each checked once.
pub struct Trees<'a, O> {
    objects: &'a O,
    checked: HashMap<ObjectId, Extent>,
}

impl<'a, O: Objects> Trees<'a, O> {
    /// A reader that has checked nothing yet.
    pub fn new(objects: &'a O) -> Self {
        Self { objects, checked: HashMap::new() }
    }

    /// The entries of a tree, unchecked.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn entries(&self, id: ObjectId) -> Result<Vec<Entry>, TreeError> {
        parse_tree(id, &self.objects.tree(id).map_err(TreeError::Objects)?)
    }

    /// Checks a commit's tree (TRUST.md, "The chain", 2).
    ///
    /// # Errors
    /// When anything in it is refused.
    pub fn check(&mut self, root: ObjectId) -> Result<(), TreeError> {
        self.extent(root, "", 0).map(drop)
    }

    fn extent(&mut self, id: ObjectId, path: &str, depth: u32) -> Result<Extent, TreeError> {
        if let Some(extent) = self.checked.get(&id) {
            return within(*extent, path, depth);
        }
        if depth > LEVELS_MAX {
            return Err(limit(format!("`{path}` lies {depth} levels deep"), LEVELS_MAX.into()));
        }
        let entries = self.entries(id)?;
        if entries.is_empty() && depth > 0 {
            return Err(TreeError::Malformed { id });
        }
        check_order(id, &entries)?;
        check_twins(path, &entries)?;
        let mut sum = Extent::default();
        for entry in &entries {
            let name = check_name(path, &entry.name)?;
            let below = format!("{path}{name}");
            let extent = match entry.mode {
                Mode::Directory => self.extent(entry.id, &format!("{below}/"), depth + 1)?,
                Mode::File | Mode::Executable => self.file(entry.id, &below)?,
                Mode::Other => {
                    let problem =
                        "is neither a plain file nor a directory (a symlink, a submodule)";
                    return Err(TreeError::Name { path: below, problem });
                }
            };
            let slash = usize::from(extent.path_bytes > 0);
            sum.entries = sum.entries.saturating_add(extent.entries).saturating_add(1);
            sum.levels = sum.levels.max(extent.levels);
            sum.path_bytes = sum.path_bytes.max(name.len() + slash + extent.path_bytes);
        }
        sum.levels += 1;
        let sum = within(sum, path, depth)?;
        self.checked.insert(id, sum);
        Ok(sum)
    }

    fn file(&self, id: ObjectId, path: &str) -> Result<Extent, TreeError> {
        let bytes = self.objects.blob_size(id).map_err(TreeError::Objects)?;
        if bytes > FILE_BYTES_MAX {
            return Err(limit(format!("`{path}` has {bytes} bytes"), FILE_BYTES_MAX));
        }
        Ok(Extent::default())
    }

    /// The entry at `path` below `root`, if there is one.
    ///
    /// # Errors
    /// When a tree on the way is missing or malformed.
    pub fn find(&self, root: ObjectId, path: &str) -> Result<Option<Entry>, TreeError> {
        let mut at = Entry { name: Vec::new(), mode: Mode::Directory, id: root };
        for part in path.split('/') {
            if at.mode != Mode::Directory {
                return Ok(None);
            }
            let entries = self.entries(at.id)?;
            match entries.into_iter().find(|entry| entry.name == part.as_bytes()) {
                Some(entry) => at = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// Whether two trees hold the same outside the directory `environments`.
    ///
    /// # Errors
    /// When one is missing or malformed.
    pub fn same_flow(&self, one: ObjectId, other: ObjectId) -> Result<bool, TreeError> {
        let flow = |root| {
            let mut entries = self.entries(root)?;
            entries.retain(|e| e.name != b"environments" || e.mode != Mode::Directory);
            Ok(entries)
        };
        Ok(one == other || flow(one)? == flow(other)?)
    }

    /// Paths of files that differ between two trees, walking only the subtrees that differ.
    ///
    /// # Errors
    /// When a tree is missing or malformed, or more than [`ENTRIES_MAX`] entries differ.
    pub fn differences(&self, old: ObjectId, new: ObjectId) -> Result<Vec<String>, TreeError> {
        let mut paths = Vec::new();
        self.differ("", Some(old), Some(new), &mut paths)?;
        Ok(paths)
    }

    fn differ(
        &self,
        path: &str,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        paths: &mut Vec<String>,
    ) -> Result<(), TreeError> {
        // The deepest path has a slash for each of its levels; the anchor's tree is unchecked.
        if path.matches('/').count() > LEVELS_MAX as usize {
            return Err(limit(format!("`{path}` lies too deep"), LEVELS_MAX.into()));
        }
        if old == new {
            return Ok(());
        }
        let mut both: BTreeMap<Vec<u8>, [Option<Entry>; 2]> = BTreeMap::new();
        for (side, id) in [old, new].into_iter().enumerate() {
            for entry in id.map_or(Ok(Vec::new()), |id| self.entries(id))? {
                let name = entry.name.clone();
                both.entry(name).or_default()[side] = Some(entry);
            }
        }
        for (name, [old, new]) in both {
            if old == new {
                continue;
            }
            let path = format!("{path}{}", String::from_utf8_lossy(&name));
            let directory = |entry: &Option<Entry>| {
                entry.as_ref().filter(|e| e.mode == Mode::Directory).map(|e| e.id)
            };
            let (old_directory, new_directory) = (directory(&old), directory(&new));
            let is_file =
                |entry: &Option<Entry>| entry.as_ref().is_some_and(|e| e.mode != Mode::Directory);
            if is_file(&old) || is_file(&new) {
                paths.push(path.clone());
            }
            if old_directory.is_some() || new_directory.is_some() {
                self.differ(&format!("{path}/"), old_directory, new_directory, paths)?;
            }
            if paths.len() > ENTRIES_MAX as usize {
                let what = format!("more than {ENTRIES_MAX} paths differ");
                return Err(limit(what, ENTRIES_MAX.into()));
            }
        }
        Ok(())
    }
}

fn limit(what: String, limit: u64) -> TreeError {
    TreeError::Limit { what, limit }
}

fn within(extent: Extent, path: &str, depth: u32) -> Result<Extent, TreeError> {
    if extent.entries > ENTRIES_MAX {
        let what = format!("the tree has {} entries or more", extent.entries);
        return Err(limit(what, ENTRIES_MAX.into()));
    }
    let levels = depth + extent.levels;
    if levels > LEVELS_MAX {
        return Err(limit(format!("below `{path}` are {levels} levels"), LEVELS_MAX.into()));
    }
    let bytes = path.len() + extent.path_bytes;
    if bytes > PATH_BYTES_MAX {
        let shown: String = path.chars().take(80).collect();
        return Err(limit(format!("a path below `{shown}` has {bytes} bytes"), 1_024));
    }
    Ok(extent)
}

fn check_name<'a>(path: &str, name: &'a [u8]) -> Result<&'a str, TreeError> {
    let shown = String::from_utf8_lossy(name);
    let shown = format!("{path}{}", shown.escape_debug());
    let refuse = |problem| Err(TreeError::Name { path: shown.clone(), problem });
    let Ok(text) = std::str::from_utf8(name) else {
        return refuse("is not UTF-8");
    };
    match text {
        "" => refuse("has an empty name"),
        "." | ".." => refuse("points elsewhere"),
        _ if text.eq_ignore_ascii_case(".git") => refuse("is Git's own directory"),
        _ if text.contains('/') => refuse("has a slash in its name"),
        _ if text.contains(char::is_control) => refuse("has a control character in its name"),
        _ => Ok(text),
    }
}

/// Names that a file system without upper and lower case would take for one.
fn check_twins(path: &str, entries: &[Entry]) -> Result<(), TreeError> {
    let mut folded = HashMap::new();
    for entry in entries {
        if folded.insert(entry.name.to_ascii_lowercase(), &entry.name).is_some() {
            let path = format!("{path}{}", String::from_utf8_lossy(&entry.name).escape_debug());
            let problem = "differs from another entry in upper and lower case alone";
            return Err(TreeError::Name { path, problem });
        }
    }
    Ok(())
}

/// Git sorts entries by name, directories as if they ended with a slash.
fn check_order(id: ObjectId, entries: &[Entry]) -> Result<(), TreeError> {
    let key = |entry: &Entry| {
        let slash: &[u8] = if entry.mode == Mode::Directory { b"/" } else { b"" };
        [&entry.name, slash].concat()
    };
    if entries.windows(2).all(|pair| key(&pair[0]) <= key(&pair[1])) {
        return Ok(());
    }
    Err(TreeError::Malformed { id })
}
