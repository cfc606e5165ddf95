//! A check that is kept, as the agent runs it: rules, images, what may be mended by itself.
//!
//! In: settings, what started it. Out: [`Inspected`]. Effect: reads the host and the engine; mends
//! what `fix = "auto"` and the node's policy allow; writes what it found.
//!
//! # Guarantees
//! * One of them runs at a time. The repository is not asked: what the agent verified counts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::AgentError;
use crate::agent::belief::Origin;
use crate::agent::brake::Brake;
use crate::agent::examine::{Examined, Mended};
use crate::agent::lock::StateLock;
use crate::agent::node::Node;
use crate::clients::host::create_private_dir;
use crate::compliance::auto::{FOUGHT_OVER, may_mend};
use crate::compliance::check::{Checked, Purpose};
use crate::compliance::consent::Consent;
use crate::compliance::fix::Mender;
use crate::compliance::image;
use crate::compliance::record::{FixRecord, FixRecords, FixResult, FixedBy};
use crate::compliance::shelf::Shelf;
use crate::compliance::standing::{Occasion, Standing, Turn, next, stale_at};
use crate::compliance::verdict::Verdict;
use crate::config::Settings;
use crate::model::{Digest, NodeName, Revision, Share};
use crate::reconcile::desired::rule::{FixPolicy, Rule};
use crate::reconcile::report::{RuleTally, TrustLevel};
use crate::telemetry::Chain;

/// Lines about what changed that are passed on; all are in the history.
const LINES_MAX: usize = 20;

/// What a check says to whoever started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inspected {
    /// The rules' revision.
    pub revision: Revision,
    /// `12 of 14 rules hold`.
    pub score: String,
    /// What changed, a line each; the last may count others.
    pub turns: Vec<String>,
    /// What was mended, or could not be.
    pub fixes: Vec<String>,
    /// Every verdict, counted.
    pub tally: RuleTally,
}

/// A node's share of the interval that its checks are spread over.
pub fn share(node: &NodeName) -> Share {
    let digest = Digest::of(node.as_str().as_bytes()).hex();
    Share::of(u32::from_str_radix(&digest[..8], 16).unwrap_or_default())
}

/// Checks once and keeps what was found; mends as long as `brake` lets it.
///
/// # Errors
/// When this machine's own files do not work, or another check is under way. None if no revision is
/// believed here yet.
pub async fn inspect(
    settings: Settings,
    trigger: &str,
    brake: &Brake,
) -> Result<Option<(Inspected, Standing)>, AgentError> {
    let shelf = Shelf::below(&settings.state_dir);
    let folder = shelf.folder().map_err(AgentError::Host)?;
    let _lock = StateLock::take(folder).map_err(AgentError::Lock)?;
    let origin = Origin::repository(&settings)?;
    let node = Node::open(settings, origin)?;
    let Some(examined) = Examined::of_believed(&node).await? else { return Ok(None) };
    let (verdicts, fixes) = look(&node, &examined, brake)?;
    let desired = &examined.desired;
    let at = Timestamp::now();
    let before = shelf.standing().unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "what was found before is forgotten");
        None
    });
    let occasion = Occasion {
        node: desired.node.clone(),
        revision: desired.revision.clone(),
        unverified: node.trust() == TrustLevel::None,
        at,
        trigger: trigger.to_owned(),
        stale_at: stale_at(&desired.checks, at, share(&desired.node)),
    };
    let (standing, turns) = next(before.as_ref(), occasion, verdicts);
    shelf.keep(&standing, &turns).map_err(AgentError::Host)?;
    let mut lines: Vec<String> = turns.iter().take(LINES_MAX).map(Turn::line).collect();
    if turns.len() > LINES_MAX {
        lines.push(format!("and {} more", turns.len() - LINES_MAX));
    }
    let (revision, score) = (standing.revision.clone(), standing.score.to_string());
    let tally = RuleTally::from(&standing);
    Ok(Some((Inspected { revision, score, turns: lines, fixes, tally }, standing)))
}

/// Every verdict, after what the agent may mend is mended.
fn look(
    node: &Node,
    examined: &Examined,
    brake: &Brake,
) -> Result<(Vec<Verdict>, Vec<String>), AgentError> {
    let desired = &examined.desired;
    let mut checked = examined.check(&desired.rules, Purpose::Judge);
    let fixes = mend(node, examined, &mut checked, brake)?;
    let mut verdicts: Vec<Verdict> = checked.into_iter().map(|c| c.verdict).collect();
    verdicts.extend(match examined.images() {
        Ok(images) => images,
        Err(reason) => image::unknown(desired, &format!("the engine does not answer: {reason}")),
    });
    Ok((verdicts, fixes))
}

fn mend(
    node: &Node,
    examined: &Examined,
    checked: &mut [Checked],
    brake: &Brake,
) -> Result<Vec<String>, AgentError> {
    let rules = &examined.desired.rules;
    let due = |(rule, checked): &(&Rule, &mut Checked)| {
        rule.fix == FixPolicy::Auto && checked.verdict.fixable
    };
    let due: Vec<_> = rules.iter().zip(checked.iter_mut()).filter(due).collect();
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let records = FixRecords::below(&node.settings.state_dir);
    let folder = node.settings.state_dir.join("fixes");
    create_private_dir(&folder).map_err(AgentError::Host)?;
    // An operator mends: the next check looks again.
    let Ok(_lock) = StateLock::take(&folder) else { return Ok(Vec::new()) };
    let allowed = &node.settings.policy.fixes;
    let mender = Mender { host: &examined.host, records: &records, allowed, by: FixedBy::Agent };
    let earlier = records.all();
    let mut said = Vec::new();
    let mut tried = Vec::new();
    for (rule, checked) in due {
        let now = Timestamp::now();
        let target = checked.verdict.target.clone();
        let may = may_mend(rule, &target, &examined.desired, &earlier, now)
            .and_then(|()| mender.allows(&checked.verdict.kind).map_err(|e| e.to_string()));
        if let Err(mut reason) = may {
            if reason.starts_with(FOUGHT_OVER) {
                reason = format!("{reason}; {}", examined.undone_by(rule));
            }
            checked.verdict.reason = Some(reason);
            continue;
        }
        let leave = match brake.leave() {
            Ok(leave) => leave,
            Err(reason) => {
                checked.verdict.reason = Some(reason.to_owned());
                continue;
            }
        };
        let ended = examined.mend(rule, &mender, Consent::Whatever);
        drop(leave);
        match ended {
            Ok(Mended::Tried { record, found, .. }) => {
                said.push(line(&record));
                *checked = *found;
                tried.push((rule, checked));
            }
            // Only this look asked whether it can be mended.
            Ok(Mended::Left(found) | Mended::Unagreed(found)) => *checked = found,
            Err(error) => said.push(format!("{} ({target}): {}", rule.id, Chain(&error))),
        }
    }
    // A later fix may have undone an earlier one.
    if tried.len() > 1 {
        let again = examined.check(tried.iter().map(|(rule, _)| *rule), Purpose::Judge);
        for ((_, checked), again) in tried.into_iter().zip(again) {
            *checked = again;
        }
    }
    Ok(said)
}

fn line(record: &FixRecord) -> String {
    let result = match &record.result {
        FixResult::Fixed => "mended".to_owned(),
        FixResult::Begun => "begun".to_owned(),
        FixResult::NotFixed { reason } => format!("changed, but does not hold: {reason}"),
        FixResult::Failed { reason } => format!("could not be mended: {reason}"),
    };
    format!("{} ({}): {result}, fix {}", record.rule, record.target, record.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use crate::agent::inspect::share;
    use crate::model::CheckSchedule;

    #[test]
    fn a_thousand_nodes_do_not_begin_together() {
        let hourly: CheckSchedule = "@1h".parse().unwrap();
        let after: Timestamp = "2026-03-01T02:00:00Z".parse().unwrap();
        let begins =
            |n: u32| hourly.next(after, share(&format!("web{n}").parse().unwrap())).unwrap();
        let minutes = |begin: Timestamp| begin.as_second() / 60;
        let all: Vec<Timestamp> = (0..1000).map(begins).collect();
        // Each minute of the hour has its nodes.
        let n_minutes = all.iter().map(|begin| minutes(*begin)).collect::<BTreeSet<_>>().len();
        assert!(n_minutes >= 60, "{n_minutes}");
        assert!(all.iter().collect::<BTreeSet<_>>().len() > 600);
        assert_eq!(begins(1), begins(1));
    }
}
