//! A bare repository made with plain git, whatever the user's own configuration says.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidegate::model::CommitId;

/// `git` with an empty configuration and fixed names and dates.
pub(crate) fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    for (name, value) in [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_AUTHOR_NAME", "alice"),
        ("GIT_AUTHOR_EMAIL", "alice@example.org"),
        ("GIT_COMMITTER_NAME", "alice"),
        ("GIT_COMMITTER_EMAIL", "alice@example.org"),
    ] {
        command.env(name, value);
    }
    command
}

/// Runs to the end and gives what it printed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A bare repository to fetch from.
pub(crate) struct Origin {
    pub(crate) path: PathBuf,
}

impl Origin {
    pub(crate) fn new(folder: &Path) -> Self {
        let path = folder.join("origin.git");
        run(git(folder).args(["init", "-q", "--bare", "-b", "main"]).arg(&path));
        Self { path }
    }

    /// Adds a commit with one file to `branch`.
    pub(crate) fn commit(&self, branch: &str, file: &str, content: &str) -> CommitId {
        let mut hash = git(&self.path);
        hash.args(["hash-object", "-w", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = hash.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), content.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        self.commit_blob(branch, file, String::from_utf8(output.stdout).unwrap().trim())
    }

    /// Adds a commit with one file, whose blob is there.
    pub(crate) fn commit_blob(&self, branch: &str, file: &str, blob: &str) -> CommitId {
        let mut tree = git(&self.path);
        tree.arg("mktree").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = tree.spawn().unwrap();
        let entry = format!("100644 blob {blob}\t{file}\n");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), entry.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        self.commit_tree(branch, String::from_utf8(output.stdout).unwrap().trim())
    }

    /// Adds a commit with this tree.
    pub(crate) fn commit_tree(&self, branch: &str, tree: &str) -> CommitId {
        let name = format!("refs/heads/{branch}");
        let parent = git(&self.path).args(["rev-parse", "-q", "--verify", &name]).output().unwrap();
        let parent = String::from_utf8(parent.stdout).unwrap();
        let mut commit = git(&self.path);
        commit.args(["commit-tree", "-m", "a change", tree]);
        if !parent.is_empty() {
            commit.args(["-p", parent.trim()]);
        }
        let id = run(&mut commit);
        self.point(branch, &id);
        id.parse().unwrap()
    }

    /// Moves `branch`, wherever it was.
    pub(crate) fn point(&self, branch: &str, id: &str) {
        run(git(&self.path).args(["update-ref", &format!("refs/heads/{branch}"), id]));
    }

    pub(crate) fn delete(&self, branch: &str) {
        run(git(&self.path).args(["update-ref", "-d", &format!("refs/heads/{branch}")]));
    }
}
