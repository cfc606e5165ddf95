//! People at their own clones, who run this very program as they would at a shell.
//!
//! In: the demo's repository, who, a command line. Out: what it printed. Effect: makes a clone for
//! each person, runs processes there.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::demo::error::{DemoError, io};
use crate::demo::place::Place;
use crate::demo::repository::Repository;

/// What a command printed is read up to here.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// What is checked out in a clone: nothing that the story pushes to lies there as a branch.
const FIRST: &str = "dev";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it printed, on both streams, in its order.
    pub(crate) output: String,
}

/// The people's clones.
#[derive(Debug)]
pub(crate) struct People {
    root: PathBuf,
}

impl People {
    /// Nobody has a clone yet.
    pub(crate) fn at(place: &Place) -> Result<Self, DemoError> {
        Ok(Self { root: place.folder("people")? })
    }

    /// Where a person's clone lies; made at their first command, with the settings that
    /// docs/promotion.md asks for.
    pub(crate) fn clone_of(
        &self,
        repository: &Repository,
        person: &str,
    ) -> Result<PathBuf, DemoError> {
        let clone = self.root.join(person);
        if clone.is_dir() {
            return Ok(clone);
        }
        let text = |path: &Path| path.display().to_string();
        let (from, to) = (text(&repository.root), text(&clone));
        repository.git(None, &["clone", "--quiet", "--branch", FIRST, &from, &to])?;
        let mut settings = vec![
            ("user.name".to_owned(), person.to_owned()),
            ("user.email".to_owned(), format!("{person}@example.org")),
            ("gpg.format".to_owned(), "ssh".to_owned()),
            ("user.signingkey".to_owned(), text(&repository.keys.join(person))),
        ];
        settings.extend(repository.lines.iter().map(|line| {
            (format!("tidegate.{}.anchor", line.environment), line.anchor.to_string())
        }));
        for (key, value) in settings {
            repository.git(None, &["-C", &text(&clone), "config", &key, &value])?;
        }
        Ok(clone)
    }

    /// Runs a command in a person's clone, to its end.
    pub(crate) fn run(
        &self,
        repository: &Repository,
        person: &str,
        (program, args): (&str, &[&str]),
    ) -> Result<Done, DemoError> {
        let clone = self.clone_of(repository, person)?;
        let own = std::env::current_exe().map_err(io("find this program"))?;
        let file = if program == "tidegate" { own } else { PathBuf::from(program) };
        let failed = || io(format!("run {program}"));
        let (mut ours, theirs) = std::io::pipe().map_err(failed())?;
        let mut command = Command::new(file);
        command.args(args).current_dir(clone);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "TIDEGATE_CONFIG"] {
            command.env_remove(name);
        }
        let both = theirs.try_clone().map_err(failed())?;
        command.stdin(Stdio::null()).stdout(both).stderr(theirs);
        let mut child = command.spawn().map_err(failed())?;
        // The command holds the writing ends, which would keep the pipe open.
        drop(command);
        let mut bytes = Vec::new();
        ours.by_ref().take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed())?;
        let status = child.wait().map_err(failed())?;
        let output = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Done { code: status.code().unwrap_or(-1), output })
    }
}
