//! Trees: what they may hold, and where one differs from another.
//!
//! In: tree objects through [`Objects`]. Out: checked trees, differing paths, files by path. Pure.
//!
//! # Guarantees
//! * Every entry of a checked tree is a plain file or a directory under a plain name.
//! * A subtree is checked once however many commits share it, so that long histories are cheap.

use std::borrow::Cow;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use crate::model::ObjectId;
use crate::reconcile::trust::recent::RecentTrees;
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
    checked_files: HashSet<ObjectId>,
    recent: RefCell<RecentTrees>,
}

impl<'a, O: Objects> Trees<'a, O> {
    /// A reader that has checked nothing yet.
    pub fn new(objects: &'a O) -> Self {
        let (checked, checked_files) = (HashMap::new(), HashSet::new());
        Self { objects, checked, checked_files, recent: RefCell::default() }
    }

    /// The entries of a tree, unchecked.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn entries(&self, id: ObjectId) -> Result<Rc<[Entry]>, TreeError> {
        if let Some(known) = self.recent.borrow_mut().get(id) {
            return Ok(known);
        }
        let bytes = self.objects.tree(id).map_err(TreeError::Objects)?;
        let entries: Rc<[Entry]> = parse_tree(id, &bytes)?.into();
        self.recent.borrow_mut().keep(id, &entries);
        Ok(entries)
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
        for entry in entries.iter() {
            let name = check_name(path, &entry.name)?;
            let extent = match entry.mode {
                Mode::Directory => self.extent(entry.id, &format!("{path}{name}/"), depth + 1)?,
                Mode::File | Mode::Executable => self.file(entry.id, path, name)?,
                Mode::Other => {
                    let problem =
                        "is neither a plain file nor a directory (a symlink, a submodule)";
                    return Err(TreeError::Name { path: format!("{path}{name}"), problem });
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

    fn file(&mut self, id: ObjectId, path: &str, name: &str) -> Result<Extent, TreeError> {
        if !self.checked_files.contains(&id) {
            let bytes = self.objects.blob_size(id).map_err(TreeError::Objects)?;
            if bytes > FILE_BYTES_MAX {
                return Err(limit(format!("`{path}{name}` has {bytes} bytes"), FILE_BYTES_MAX));
            }
            self.checked_files.insert(id);
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
            match entries.iter().find(|entry| entry.name == part.as_bytes()) {
                Some(entry) => at = entry.clone(),
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
        if one == other {
            return Ok(true);
        }
        let flows = |e: &&Entry| e.name != b"environments" || e.mode != Mode::Directory;
        let (one, other) = (self.entries(one)?, self.entries(other)?);
        Ok(one.iter().filter(flows).eq(other.iter().filter(flows)))
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
        let entries = |id: Option<ObjectId>| id.map_or(Ok(Rc::default()), |id| self.entries(id));
        let (old, new) = (entries(old)?, entries(new)?);
        let (old, new) = without_common_ends(&old, &new);
        let mut both: BTreeMap<&[u8], [Option<&Entry>; 2]> = BTreeMap::new();
        for (side, entries) in [old, new].into_iter().enumerate() {
            for entry in entries {
                both.entry(&entry.name).or_default()[side] = Some(entry);
            }
        }
        for (name, [old, new]) in both {
            if old == new {
                continue;
            }
            let path = format!("{path}{}", String::from_utf8_lossy(name));
            let directory =
                |entry: Option<&Entry>| entry.filter(|e| e.mode == Mode::Directory).map(|e| e.id);
            let (old_directory, new_directory) = (directory(old), directory(new));
            let is_file = |entry: Option<&Entry>| entry.is_some_and(|e| e.mode != Mode::Directory);
            if is_file(old) || is_file(new) {
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

/// What is left of two lists of entries without those that both begin and end with: most of them.
fn without_common_ends<'e>(old: &'e [Entry], new: &'e [Entry]) -> (&'e [Entry], &'e [Entry]) {
    let first = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[first..], &new[first..]);
    let last = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    (&old[..old.len() - last], &new[..new.len() - last])
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
    let refuse = |problem| {
        let shown = String::from_utf8_lossy(name);
        Err(TreeError::Name { path: format!("{path}{}", shown.escape_debug()), problem })
    };
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
    let folded = entries.iter().map(|entry| {
        if entry.name.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(entry.name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(entry.name.as_slice())
        }
    });
    let mut names: Vec<(Cow<[u8]>, &Entry)> = folded.zip(entries).collect();
    // Almost sorted already: this is cheaper than a set.
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    let Some(twins) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) else { return Ok(()) };
    let name = String::from_utf8_lossy(&twins[1].1.name);
    let path = format!("{path}{}", name.escape_debug());
    let problem = "differs from another entry in upper and lower case alone";
    Err(TreeError::Name { path, problem })
}

/// Git sorts entries by name, directories as if they ended with a slash.
fn check_order(id: ObjectId, entries: &[Entry]) -> Result<(), TreeError> {
    let slash = |entry: &Entry| (entry.mode == Mode::Directory).then_some(b'/');
    let order = |a: &Entry, b: &Entry| {
        let shared = a.name.len().min(b.name.len());
        let (start, rest) = a.name.split_at(shared);
        let (other_start, other_rest) = b.name.split_at(shared);
        let rest = rest.iter().copied().chain(slash(a));
        start.cmp(other_start).then_with(|| rest.cmp(other_rest.iter().copied().chain(slash(b))))
    };
    if entries.windows(2).all(|pair| order(&pair[0], &pair[1]) != Ordering::Greater) {
        return Ok(());
    }
    Err(TreeError::Malformed { id })
}
