//! What to do about a desk's errors.

use crate::cli::error::{CommandError, ErrorKind};
use crate::clients::git::UserGitError;
use crate::promote::SignError;
use crate::promote::desk::DeskError;
use crate::promote::tip::TipError;
use crate::telemetry::Chain;

/// Says it to people, with what mends it.
pub fn explain(error: &DeskError) -> CommandError {
    match error {
        DeskError::Clone(inner) => clone(inner),
        DeskError::NoLine(name) => CommandError::usage(format!("there is no branch `{name}`"))
            .hint("the branch of an environment is called as the environment: `git branch -r`"),
        DeskError::NoCommit(_) => CommandError::usage(error.to_string())
            .hint("write a branch, or a commit id: `git log --first-parent`"),
        DeskError::Anchor { setting, .. } => CommandError::usage(error.to_string())
            .hint(format!("git config {setting} <40 hex digits>, or git config --unset {setting}")),
        DeskError::NoIdentity => CommandError::usage(error.to_string())
            .hint("git config --global user.name … && git config --global user.email …"),
        DeskError::Sign(inner) => {
            let hint = match inner {
                SignError::NotSsh => {
                    "git config gpg.format ssh && git config user.signingkey ~/.ssh/id_ed25519.pub; \
                     trust.toml may list both of your keys"
                }
                SignError::Refused { .. } => {
                    "is the key in the agent (`ssh-add -l`), and its passphrase right?"
                }
                _ => {
                    "git config --global gpg.format ssh && \
                     git config --global user.signingkey ~/.ssh/id_ed25519.pub"
                }
            };
            CommandError::new(ErrorKind::Failed, Chain(error).to_string())
                .hint(format!("{hint}; nothing was pushed"))
        }
        DeskError::Tip(inner) => tip(inner, "the line itself is not in order"),
        DeskError::Refused(inner) => tip(inner, "nothing was pushed"),
        DeskError::Foreseen { refusal, .. } => CommandError::refused(error.to_string())
            .hint(format!("nothing was pushed: {}", refusal.remedy)),
        _ => CommandError::failed(error),
    }
}

fn tip(error: &TipError, then: &str) -> CommandError {
    match error {
        TipError::Refused { environment, refusal } => CommandError::refused(format!(
            "{environment}: {} does not count (rule {}): {}",
            refusal.commit.short(),
            refusal.rule.name(),
            refusal.reason
        ))
        .hint(format!("{then}: {}", refusal.remedy)),
        TipError::Waits { .. } => CommandError::refused(error.to_string()).hint(then),
        TipError::Ahead { wait, .. } => CommandError::refused(error.to_string()).hint(format!(
            "{then}: is this machine's clock right? else it counts at {}",
            wait.until
        )),
        _ => CommandError::failed(error).hint(then),
    }
}

fn clone(error: &UserGitError) -> CommandError {
    let failed = CommandError::new(ErrorKind::Failed, Chain(error).to_string());
    match error {
        UserGitError::NotAClone(_) => CommandError::usage(error.to_string())
            .hint("run it in a clone of the configuration repository, or name one with -C"),
        UserGitError::WhichRemote(_) => {
            CommandError::usage(error.to_string()).hint("name it with --remote")
        }
        UserGitError::Failed { operation, message } if operation.starts_with("push") => {
            let protected = ["protected", "hook declined", "not allowed", "denied", "permission"];
            let lower = message.to_lowercase();
            let hint = if protected.iter().any(|word| lower.contains(word)) {
                "may you push to this branch? if it takes pull requests alone, add --propose"
            } else {
                "nothing was pushed"
            };
            failed.hint(hint)
        }
        UserGitError::Failed { operation, message } if operation.starts_with("fetch") => {
            let hint = if message.contains("couldn't find remote ref refs/heads/promote/") {
                "which proposals are there? git ls-remote --heads origin 'promote/*'"
            } else if message.contains("couldn't find remote ref") {
                "the branch of an environment is called as the environment: `git branch -r`"
            } else {
                "does `git fetch` work here? nothing was done"
            };
            failed.hint(hint)
        }
        _ => failed,
    }
}
