//! Promotions by hand, as somebody makes them who wants to get something past the nodes.
//!
//! In: the demo's repository. Out: what a merge takes over, an approval. Effect: runs git and
//! ssh-keygen.

use std::fs;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use jiff::Timestamp;

use crate::demo::error::{DemoError, io};
use crate::demo::process::run;
use crate::demo::repository::{By, Repository};
use crate::model::CommitId;
use crate::reconcile::trust::CommitKind;
use crate::reconcile::trust::approval::Statement;

/// Each line begins with an anchor of its own, so the first merge joins two histories.
const UNRELATED: &str = "--allow-unrelated-histories";
/// An approval is used at once.
const APPROVAL_LASTS: Duration = Duration::from_secs(600);

impl Repository {
    /// Takes over on `branch` everything outside `environments/` as it is at `from`, as a merge whose
    /// own directory stays.
    pub(crate) fn take_over(&self, branch: &str, from: &str, by: By<'_>) -> Result<(), DemoError> {
        self.switch(branch)?;
        self.git(
            Some(by),
            &["merge", "--quiet", "--no-ff", "--no-commit", "--strategy=ours", UNRELATED, from],
        )?;
        // Other environments' directories come along as inert copies.
        self.restore(from, &format!(":!environments/{branch}"))
    }

    fn restore(&self, from: &str, but: &str) -> Result<(), DemoError> {
        self.git(None, &["restore", "--source", from, "-SW", "--", ".", but]).map(drop)
    }

    /// The trailer with which a person approves of what lies in the index of `branch`.
    pub(crate) fn approve(
        &self,
        person: &str,
        branch: &str,
        kind: CommitKind,
        source: &str,
    ) -> Result<String, DemoError> {
        let unfit = |what: &str| DemoError::Example(format!("`{what}` is not an id or a name"));
        self.git(None, &["add", "--all"])?;
        let tree = self.git(None, &["write-tree"])?;
        let tree = tree.trim();
        let from: CommitId = self.head()?.parse().map_err(|_| unfit("HEAD"))?;
        let now = Timestamp::now();
        let expires = now.checked_add(APPROVAL_LASTS).unwrap_or(now);
        let expires = Timestamp::from_second(expires.as_second()).unwrap_or(expires);
        let statement = Statement {
            repository: self.id.clone(),
            environment: branch.parse().map_err(|_| unfit(branch))?,
            kind,
            from,
            source: Some(source.parse().map_err(|_| unfit(source))?),
            tree: tree.parse().map_err(|_| unfit(tree))?,
            expires,
        };
        let file = self.keys.join("statement");
        let signed = self.keys.join("statement.sig");
        fs::write(&file, statement.to_string()).map_err(io("write a statement"))?;
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", "promote@tidegate", "-f"]);
        run(command.arg(self.keys.join(person)).arg(&file))?;
        let armoured = fs::read(&signed).map_err(io("read a signature"))?;
        fs::remove_file(&signed).map_err(io("remove a signature"))?;
        let body = base64::engine::general_purpose::STANDARD.encode(armoured);
        Ok(format!("Approved-By: {expires} {body}"))
    }
}
