//! The memory as a durable file in the state directory.

use std::path::Path;

use crate::clients::host::{DurableFile, HostError, Loaded};
use crate::reconcile::memory::{Memory, MemoryStore};

/// Name of the file within the state directory.
const FILE: &str = "memory.json";

/// The memory in `<state_dir>/memory.json`.
#[derive(Debug, Clone)]
pub struct FileMemoryStore {
    file: DurableFile,
}

impl FileMemoryStore {
    /// The store in `state_dir`, which need not be there.
    pub fn new(state_dir: &Path) -> Self {
        Self { file: DurableFile::new(&state_dir.join(FILE)) }
    }

    /// The memory, with what could not be read of it, for people. Nothing readable is an empty
    /// memory: it is rebuilt from Docker and Git.
    pub fn load(&self) -> (Memory, Vec<String>) {
        let Loaded { content, problems } = self.file.load(|bytes| {
            serde_json::from_slice(bytes).map_err(|error| format!("it is not a memory: {error}"))
        });
        (content.unwrap_or_default(), problems)
    }
}

impl MemoryStore for FileMemoryStore {
    type Error = HostError;

    fn save(&self, memory: &Memory) -> Result<(), HostError> {
        let bytes = serde_json::to_vec(memory)
            .map_err(|error| HostError::unfit(Path::new(FILE), error.to_string()))?;
        self.file.save(&bytes)
    }
}
