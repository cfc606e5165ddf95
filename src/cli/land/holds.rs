//! What holds a promotion back: its soak, live hotfixes.

use std::time::Duration;

use crate::cli::error::CommandError;
use crate::cli::land::{Landing, explain};
use crate::model::CommitId;
use crate::model::duration::format_duration;
use crate::promote::act::Draft;
use crate::promote::desk::DeskError;
use crate::promote::tip::{Tip, TipError};
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::history::time;
use crate::reconcile::trust::kind::CommitKind;
use crate::reconcile::trust::tree::Trees;
use crate::reconcile::trust::{ledger, live_hotfixes};

/// How long a source has rested where it comes from.
pub(crate) struct Soak {
    rested: Duration,
    wanted: Duration,
    from: String,
}

impl Soak {
    /// What is left of it; none: it is over.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.wanted.checked_sub(self.rested).filter(|left| !left.is_zero())
    }

    /// For people.
    pub(crate) fn line(&self) -> String {
        let (rested, wanted) = (rounded(self.rested), format_duration(self.wanted));
        match self.left() {
            None if self.wanted.is_zero() => format!("rested {rested} on {}", self.from),
            None => format!("rested {rested} on {} (soak {wanted}: over)", self.from),
            Some(left) => {
                let left = rounded(left);
                format!("rested {rested} on {} (soak {wanted}: {left} left)", self.from)
            }
        }
    }
}

/// A time for people: minutes are enough above a minute.
pub(crate) fn rounded(time: Duration) -> String {
    match time.as_secs() {
        secs @ 0..60 => format_duration(Duration::from_secs(secs)),
        secs => format_duration(Duration::from_secs(secs / 60 * 60)),
    }
}

/// What a promote or pick comes from.
pub(crate) fn source(draft: &Draft) -> Option<CommitId> {
    let named = |key: &str| {
        let all = draft.words.trailers.iter();
        all.filter(|(known, _)| known == key).find_map(|(_, id)| id.parse().ok())
    };
    match draft.kind {
        CommitKind::Promote => draft.second,
        CommitKind::Pick => named("Promoted-From"),
        CommitKind::Rollback => named("Rollback-To"),
        _ => None,
    }
}

impl Landing<'_> {
    /// How long the source has rested; none where nothing has to.
    pub(crate) fn soak(&self, tip: &Tip, draft: &Draft) -> Result<Option<Soak>, CommandError> {
        if !matches!(draft.kind, CommitKind::Promote | CommitKind::Pick) {
            return Ok(None);
        }
        let (Some(source), Some(promotion)) = (source(draft), &tip.policy.promotion) else {
            return Ok(None);
        };
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let (trees, mut facts) =
            (Trees::new(&objects), FactsReader::new(&objects, &promotion.from));
        let since = time(&objects, &trees, &mut facts, source)
            .map_err(|error| explain(&DeskError::Objects(error)))?;
        let rested = self.desk.now.duration_since(since);
        let rested = Duration::try_from(rested).unwrap_or_default();
        let from = promotion.from.to_string();
        Ok(Some(Soak { rested, wanted: promotion.soak, from }))
    }

    /// Refuses what has not rested long enough.
    pub(crate) fn rested(&self, tip: &Tip, draft: &Draft) -> Result<(), CommandError> {
        let promotes = matches!(draft.kind, CommitKind::Promote | CommitKind::Pick);
        if let Some(wait) = tip.verdict.waits.as_ref().filter(|_| promotes) {
            let message = format!("too early: nodes wait for what is there: {}", wait.reason);
            return Err(CommandError::refused(message)
                .hint(format!("again after {}, or `tidegate rollback` first", wait.until)));
        }
        match self.soak(tip, draft)? {
            Some(soak) if soak.left().is_some() => {
                Err(CommandError::refused(format!("too early: {}", soak.line())).hint(
                    "past a soak: an earlier commit with --from-commit, or `tidegate hotfix`",
                ))
            }
            _ => Ok(()),
        }
    }

    /// The trailers that give up live hotfixes; one that would be lost unnamed is refused here.
    pub(crate) fn supersede(
        &self,
        tip: &Tip,
        draft: &Draft,
    ) -> Result<Vec<(String, String)>, CommandError> {
        if !matches!(draft.kind, CommitKind::Promote | CommitKind::Pick) {
            return Ok(Vec::new());
        }
        let objects = self.desk.objects().map_err(|error| explain(&error))?;
        let refused = |refusal| {
            let (environment, refusal) = (tip.environment.clone(), Box::new(refusal));
            explain(&DeskError::Tip(TipError::Refused { environment, refusal }))
        };
        let history = ledger(&objects, &tip.environment, tip.commit).map_err(refused)?;
        let live = live_hotfixes(&objects, &history, tip.commit).map_err(refused)?;
        let mut trailers = Vec::new();
        for (hotfix, paths) in live {
            let Some(path) = paths.iter().find(|path| draft.changed.contains(*path)) else {
                continue;
            };
            let id = hotfix.commit;
            if !self.supersedes.contains(&id) {
                let (short, reason) = (id.short(), &hotfix.reason);
                let message = format!("the hotfix {short} ({reason}) would be lost at `{path}`");
                return Err(CommandError::refused(message).hint(format!(
                    "bring it to {} first, or give it up: --supersedes {id}",
                    tip.policy.promotion.as_ref().map_or("the source", |p| p.from.as_str())
                )));
            }
            trailers.push(("Supersedes".to_owned(), id.to_string()));
        }
        Ok(trailers)
    }
}
