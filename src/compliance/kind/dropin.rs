//! `sudoers` and `cron`: a file of its own in a folder that a program reads whole.

use crate::compliance::kind::{Judgement, Sight, file, file_absent};
use crate::reconcile::desired::rule::kind::{
    Access, DropInRule, FileAbsentRule, FileRule, Principal,
};

/// What sudo accepts.
const SUDOERS_MODE: u32 = 0o440;
/// What cron accepts.
const CRON_MODE: u32 = 0o644;

/// What a rule sees of a file for sudo.
#[derive(Debug)]
pub struct SudoersSight<'a> {
    /// The file.
    pub file: Sight<'a>,
    /// What visudo says of the rule's content, where it was asked.
    pub syntax: Result<(), String>,
}

/// What a rule sees of a file for cron.
#[derive(Debug)]
pub struct CronSight<'a> {
    /// The file.
    pub file: Sight<'a>,
    /// Whether the host knows whom the job runs as.
    pub knows_user: bool,
}

/// Judges `cron`.
pub(crate) fn judge_cron(rule: &DropInRule, sight: &CronSight<'_>) -> Judgement {
    if let Some(user) = rule.user.as_ref().filter(|_| !sight.knows_user) {
        let reason = format!("there is no user {user} here: cron would leave the job out");
        return Judgement::Error { reason };
    }
    judge(rule, CRON_MODE, &sight.file)
}

/// Judges `sudoers`: what visudo refuses never lands.
pub(crate) fn judge_sudoers(rule: &DropInRule, sight: &SudoersSight<'_>) -> Judgement {
    match (judge(rule, SUDOERS_MODE, &sight.file), &sight.syntax) {
        (Judgement::NotOk { expected, actual, fix: Ok(_) }, Err(reason)) => {
            Judgement::NotOk { expected, actual, fix: Err(reason.clone()) }
        }
        (judgement, _) => judgement,
    }
}

fn judge(rule: &DropInRule, mode: u32, sight: &Sight<'_>) -> Judgement {
    let path = rule.path.clone();
    let Some(content) = &rule.content else {
        return file_absent::judge(&FileAbsentRule { path }, sight);
    };
    let root = Some(Principal::Id(0));
    let access = Access { mode: Some(mode), owner: root.clone(), group: root };
    file::judge(&FileRule { path, content: Some(content.clone()), access }, sight)
}
