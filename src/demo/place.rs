//! The one directory that holds everything the demo makes.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::demo::error::{DemoError, io};

/// Its presence says that the demo made the directory.
const MARK: &str = "made-by-tidegate-demo";

/// The demo's directory.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

/// Where the demo lives unless told otherwise: short, since sockets' paths are.
pub fn default_dir() -> PathBuf {
    let user = rustix::process::getuid();
    if user.is_root() {
        PathBuf::from("/var/tmp/tidegate-demo")
    } else {
        PathBuf::from(format!("/var/tmp/tidegate-demo-{}", user.as_raw()))
    }
}

impl Place {
    /// The directory at `root`, if it is absent or was made by this user's demo.
    pub fn at(root: &Path) -> Result<Self, DemoError> {
        let place = Self { root: root.to_owned() };
        match fs::symlink_metadata(root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(place),
            Err(error) => Err(io(format!("look at {}", root.display()))(error)),
            Ok(info) => {
                let own = info.is_dir() && info.uid() == rustix::process::getuid().as_raw();
                if own && root.join(MARK).is_file() {
                    Ok(place)
                } else {
                    Err(DemoError::Foreign(root.display().to_string()))
                }
            }
        }
    }

    /// Whether the demo has made it.
    pub fn exists(&self) -> bool {
        self.root.join(MARK).is_file()
    }

    /// Makes it, readable by this user alone.
    pub(crate) fn make(&self) -> Result<(), DemoError> {
        let action = || format!("make {}", self.root.display());
        fs::DirBuilder::new().mode(0o700).create(&self.root).map_err(io(action()))?;
        fs::write(self.root.join(MARK), "tidegate demo --stop removes this directory\n")
            .map_err(io(action()))
    }

    /// Makes a directory below it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, DemoError> {
        let path = self.root.join(name);
        fs::create_dir_all(&path).map_err(io(format!("make {}", path.display())))?;
        Ok(path)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where processes are recorded.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("processes")
    }

    /// A path below it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Removes it with all it holds.
    pub(crate) fn remove(&self) -> Result<(), DemoError> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io(format!("remove {}", self.root.display()))(error))
            }
            _ => Ok(()),
        }
    }
}
