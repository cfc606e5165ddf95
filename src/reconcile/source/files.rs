//! The files of an engineer's work tree, which nobody signed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::clients::host::{HostError, read_tree};
use crate::model::EnvironmentName;

/// The files of a work tree that `environment` may read; of every environment without one.
///
/// # Errors
/// When a file cannot be read, is a link, or is over its limit.
pub fn read_work_tree(
    folder: &Path,
    environment: Option<&EnvironmentName>,
) -> Result<BTreeMap<String, Arc<[u8]>>, HostError> {
    read_tree(folder, |path| environment.is_some_and(|own| is_foreign(path, own)))
}

/// Whether `path` lies in another environment's directory.
fn is_foreign(path: &str, own: &EnvironmentName) -> bool {
    let Some(rest) = path.strip_prefix("environments/").filter(|rest| !rest.is_empty()) else {
        return false;
    };
    rest.split('/').next() != Some(own.as_str())
}

#[cfg(test)]
mod tests {
    use crate::reconcile::source::read_work_tree;

    #[test]
    fn other_environments_are_never_read() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["environments/prd", "environments/dev", "services"] {
            std::fs::create_dir_all(dir.path().join(path)).unwrap();
            std::fs::write(dir.path().join(path).join("x"), "x").unwrap();
        }
        let paths = |own| {
            let files = read_work_tree(dir.path(), own).unwrap();
            files.into_keys().collect::<Vec<_>>()
        };
        let prd = "prd".parse().unwrap();
        assert_eq!(paths(Some(&prd)), ["environments/prd/x", "services/x"]);
        assert_eq!(paths(None).len(), 3);
    }
}
