//! A person's own clone, through their own `git`: its credentials, agents and hooks are theirs.
//!
//! In: a folder. Out: branches of the lines, a config. Effect: runs `git`, writes objects and
//! remote-tracking references, pushes.
//!
//! # Guarantees
//! * A push never forces a line: what is not a fast-forward is rejected by the repository it goes to.
//! * Neither the index nor a work tree is touched, except by [`UserRepository::follow`].

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::clients::git::ObjectReader;
use crate::clients::host::HostError;
use crate::model::{CommitId, ObjectId};

/// Where the lines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A remote of the clone.
    Remote(String),
    /// The repository itself: it has no remotes.
    Own,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The branch is there now.
    Landed,
    /// Somebody was faster: the branch has moved.
    Overtaken,
}

/// Whether a branch may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// Only carried on: a line.
    Never,
    /// If it still is at this commit (none: if it is not there): a proposal's branch.
    At(Option<CommitId>),
}

/// What lies in the work tree when a line has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkTreeFiles {
    /// What was there before.
    Old,
    /// What landed: it was taken from there.
    New,
}

/// A clone that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum UserGitError {
    /// There is no program.
    #[error("cannot run `git`")]
    Start(#[source] std::io::Error),
    /// Not in a repository.
    #[error("{} is not within a clone of a repository", .0.display())]
    NotAClone(PathBuf),
    /// Git said no.
    #[error("git {operation}: {message}")]
    Failed {
        /// What was asked.
        operation: String,
        /// Its words.
        message: String,
    },
    /// Several remotes, none of them called `origin`.
    #[error("which remote holds the lines? there are {0}")]
    WhichRemote(String),
    /// Objects cannot be read.
    #[error("cannot read the clone's objects")]
    Objects(#[source] HostError),
}

/// A person's clone.
#[derive(Debug, Clone)]
pub struct UserRepository {
    start: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    work_tree: Option<PathBuf>,
    /// Where its lines are.
    pub upstream: Upstream,
}

impl UserRepository {
    /// The clone that `start` lies in; its lines are those of `remote`, or else of `origin`, of the
    /// only remote, or its own.
    ///
    /// # Errors
    /// When it is none, or does not say which remote.
    pub fn discover(start: &Path, remote: Option<&str>) -> Result<Self, UserGitError> {
        let mut found = Self {
            start: start.to_owned(),
            git_dir: PathBuf::new(),
            common_dir: PathBuf::new(),
            work_tree: None,
            upstream: Upstream::Own,
        };
        if !start.is_dir() {
            return Err(UserGitError::NotAClone(start.to_owned()));
        }
        let args = ["rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"];
        let output = found.output(&args, &[])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines().map(PathBuf::from);
        let (Some(git_dir), Some(common_dir), true) =
            (lines.next(), lines.next(), output.status.success())
        else {
            return Err(UserGitError::NotAClone(start.to_owned()));
        };
        (found.git_dir, found.common_dir) = (git_dir, common_dir);
        let top = found.output(&["rev-parse", "--show-toplevel"], &[])?;
        let path = String::from_utf8_lossy(&top.stdout).trim().to_owned();
        found.work_tree = Some(PathBuf::from(path)).filter(|_| top.status.success());
        found.upstream = found.which(remote)?;
        Ok(found)
    }

    fn which(&self, remote: Option<&str>) -> Result<Upstream, UserGitError> {
        let text = self.run(&["remote"])?;
        let all: Vec<&str> = text.lines().collect();
        let named = |name: &str| Upstream::Remote(name.to_owned());
        match (remote, &all[..]) {
            (Some(name), all) if all.contains(&name) => Ok(named(name)),
            (None, all) if all.contains(&"origin") => Ok(named("origin")),
            (None, [only]) => Ok(named(only)),
            (None, []) => Ok(Upstream::Own),
            (_, all) => Err(UserGitError::WhichRemote(all.join(", "))),
        }
    }

    /// The top of its work tree; none: it is bare.
    pub fn work_tree(&self) -> Option<&Path> {
        self.work_tree.as_deref()
    }

    fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = Command::new("git");
        // Its words are looked at, so they must be its own.
        command
            .args(args)
            .current_dir(&self.start)
            .env("LC_ALL", "C")
            .env("GIT_NO_REPLACE_OBJECTS", "1");
        command.envs(env.iter().copied()).stdin(Stdio::null());
        command
    }

    fn output(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Output, UserGitError> {
        self.command(args, env).output().map_err(UserGitError::Start)
    }

    fn run(&self, args: &[&str]) -> Result<String, UserGitError> {
        self.run_with(args, &[])
    }

    fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Result<String, UserGitError> {
        let output = self.output(args, env)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        Err(failed(args, &output))
    }

    /// A value of its configuration, the user's included.
    pub fn config(&self, key: &str) -> Option<String> {
        self.run(&["config", "--get", key]).ok().filter(|value| !value.is_empty())
    }

    /// Its objects as they are: no replace refs, no grafts.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn objects(&self) -> Result<ObjectReader, UserGitError> {
        ObjectReader::open(&[self.common_dir.join("objects")]).map_err(UserGitError::Objects)
    }

    /// The repository's own folder, which its work trees share.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Brings `branches` as the remote has them; nothing to do for lines of its own.
    ///
    /// # Errors
    /// When the remote does not answer, or has no such branch.
    pub fn fetch(&self, branches: &[String]) -> Result<(), UserGitError> {
        let Upstream::Remote(remote) = &self.upstream else { return Ok(()) };
        let specs: Vec<String> = branches
            .iter()
            .map(|branch| format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}"))
            .collect();
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote];
        args.extend(specs.iter().map(String::as_str));
        self.run(&args).map(drop)
    }

    /// The commit that a branch of the lines is at, as last fetched.
    pub fn branch(&self, branch: &str) -> Option<CommitId> {
        let name = match &self.upstream {
            Upstream::Remote(remote) => format!("refs/remotes/{remote}/{branch}"),
            Upstream::Own => format!("refs/heads/{branch}"),
        };
        self.commit(&name)
    }

    /// The commit that a revision names.
    pub fn commit(&self, revision: &str) -> Option<CommitId> {
        let args = [
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &format!("{revision}^{{commit}}"),
        ];
        self.run(&args).ok()?.parse().ok()
    }

    /// Branches at the remote whose name begins with `prefix`.
    ///
    /// # Errors
    /// When the remote does not answer.
    pub fn branches(&self, prefix: &str) -> Result<Vec<String>, UserGitError> {
        let pattern = format!("refs/heads/{prefix}*");
        let text = match &self.upstream {
            Upstream::Remote(remote) => self.run(&["ls-remote", "--quiet", remote, &pattern])?,
            Upstream::Own => self.run(&[
                "for-each-ref",
                "--format=%(objectname)\t%(refname)",
                &pattern[..pattern.len() - 1],
            ])?,
        };
        let name = |line: &str| Some(line.split_once("refs/heads/")?.1.to_owned());
        Ok(text.lines().filter_map(name).filter(|name| name.starts_with(prefix)).collect())
    }

    /// Puts `commit` at the tip of `branch` where the lines are.
    ///
    /// # Errors
    /// When it is not allowed, or the remote does not answer.
    pub fn push(
        &self,
        commit: CommitId,
        branch: &str,
        replace: Replace,
    ) -> Result<Pushed, UserGitError> {
        let name = format!("refs/heads/{branch}");
        let Upstream::Remote(remote) = &self.upstream else {
            return self.move_own(commit, &name, replace);
        };
        let spec = format!("{commit}:{name}");
        let lease = match replace {
            Replace::Never => None,
            Replace::At(at) => {
                let at = at.map(|id| id.to_string()).unwrap_or_default();
                Some(format!("--force-with-lease={name}:{at}"))
            }
        };
        let mut args = vec!["push", "--porcelain"];
        args.extend(lease.as_deref());
        args.extend([remote.as_str(), spec.as_str()]);
        let output = self.output(&args, &[])?;
        if output.status.success() {
            return Ok(Pushed::Landed);
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // What git itself says of a race; a hook or a protected branch says `remote rejected`.
        let raced = ["(fetch first)", "(non-fast-forward)", "(stale info)", "cannot lock ref"];
        if raced.iter().any(|words| said.contains(words)) {
            return Ok(Pushed::Overtaken);
        }
        Err(failed(&args, &output))
    }

    /// Lines of its own are moved only if they are where they were when they were looked at.
    fn move_own(
        &self,
        commit: CommitId,
        name: &str,
        replace: Replace,
    ) -> Result<Pushed, UserGitError> {
        let before = match replace {
            Replace::At(at) => at,
            Replace::Never => self.run(&["rev-parse", &format!("{commit}^1")])?.parse().ok(),
        };
        let before = before.map_or_else(|| "0".repeat(40), |id| id.to_string());
        let (id, message) = (commit.to_string(), "tidegate");
        let output = self.output(&["update-ref", "-m", message, name, &id, &before], &[])?;
        Ok(if output.status.success() { Pushed::Landed } else { Pushed::Overtaken })
    }

    /// The branch that is checked out.
    pub fn checked_out(&self) -> Option<String> {
        let text = self.run(&["symbolic-ref", "--quiet", "--short", "HEAD"]).ok()?;
        Some(text).filter(|name| !name.is_empty())
    }

    /// Files that differ from what is checked out, as `git status` lists them.
    ///
    /// # Errors
    /// When git cannot tell.
    pub fn changes(&self) -> Result<Vec<String>, UserGitError> {
        let text = self.run(&["status", "--porcelain", "--untracked-files=all"])?;
        Ok(text.lines().filter_map(|line| line.get(3..)).map(str::to_owned).collect())
    }

    /// The work tree as a tree, what is ignored left out. The index stays as it is.
    ///
    /// # Errors
    /// When git cannot make it.
    pub fn work_tree_as_tree(&self) -> Result<ObjectId, UserGitError> {
        let index = self.git_dir.join("tidegate-index");
        let env = [("GIT_INDEX_FILE", index.to_string_lossy())];
        let env: Vec<(&str, &str)> =
            env.iter().map(|(key, value)| (*key, value.as_ref())).collect();
        let made = self
            .run_with(&["read-tree", "HEAD"], &env)
            .and_then(|_| self.run_with(&["add", "--all", "--", ":/"], &env))
            .and_then(|_| self.run_with(&["write-tree"], &env));
        let _gone = std::fs::remove_file(&index);
        let unreadable = |_| UserGitError::Failed {
            operation: "write-tree".to_owned(),
            message: "it named no tree".to_owned(),
        };
        made?.parse().map_err(unreadable)
    }

    /// Lets what is checked out follow its line from `before` to `commit`, which just landed.
    ///
    /// # Errors
    /// When git refuses, because changed files are in the way; then all is as it was.
    pub fn follow(
        &self,
        branch: &str,
        (before, commit): (CommitId, CommitId),
        files: WorkTreeFiles,
    ) -> Result<(), UserGitError> {
        if self.work_tree.is_none() || self.checked_out().as_deref() != Some(branch) {
            return Ok(());
        }
        let (old, new) = (before.to_string(), commit.to_string());
        match (files, &self.upstream) {
            (WorkTreeFiles::Old, Upstream::Remote(_)) => Ok(()),
            (WorkTreeFiles::Old, Upstream::Own) => {
                self.run(&["read-tree", "-m", "-u", &old, &new]).map(drop)
            }
            (WorkTreeFiles::New, upstream) => {
                if matches!(upstream, Upstream::Remote(_)) {
                    let name = format!("refs/heads/{branch}");
                    self.run(&["update-ref", "-m", "tidegate", &name, &new, &old])?;
                }
                self.run(&["read-tree", &new])?;
                self.run(&["update-index", "-q", "--refresh"]).map(drop)
            }
        }
    }
}

/// Git's last words, which say most.
fn failed(args: &[&str], output: &Output) -> UserGitError {
    let plain = args.iter().filter(|a| !a.starts_with('-') && !a.contains(':'));
    let operation = plain.copied().collect::<Vec<_>>().join(" ");
    let said = String::from_utf8_lossy(&output.stderr);
    let noise = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with("hint:") && !line.starts_with("To ")
    };
    let words: Vec<&str> = said.lines().filter(noise).map(str::trim).collect();
    let from = words.len().saturating_sub(3);
    let message = match words[from..].join("; ") {
        nothing if nothing.is_empty() => format!("ended with {}", output.status),
        words => words,
    };
    UserGitError::Failed { operation, message }
}
