//! Reads `agent.toml` and its drop-ins, bounded.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

/// The most that one file may hold: a node's configuration is a page of text.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The most drop-ins.
const DROP_INS_MAX: usize = 64;

/// The main file and then its drop-ins by name, each with its text. Drop-ins lie in a folder named
/// as the file with `.d` added; a missing folder is fine.
pub(crate) fn read_all(main: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let mut paths = vec![main.to_owned()];
    paths.extend(drop_ins(main)?);
    paths.into_iter().map(|path| Ok((path.display().to_string(), read(&path)?))).collect()
}

fn drop_ins(main: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = main.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let unreadable = |source| ConfigError::Unreadable { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
        if found.len() > DROP_INS_MAX {
            return Err(ConfigError::TooMany { path: folder, files_max: DROP_INS_MAX });
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(text)
}
