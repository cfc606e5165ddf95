//! Rules that are checked on a node, explained, and fixed on demand.
//!
//! In: the [`crate::reconcile::desired::rule::Rule`]s of a verified revision, the host, what the
//! engine showed. Out: verdicts; fixes with backups. Effect: `facts` and `check` read the host, `fix`
//! alone changes it.
//!
//! ```text
//! facts     what is so on the node                       matching  whether a rule applies    pure
//! kind/     one file a kind: holds it, how is it mended  image     the built-in rule         pure
//! public_keys  of people, without secrets (pure)
//! see       what a rule has to see of the host           change    what a fix would do       pure
//! check     every rule → a verdict and changes           consent   what was agreed to        pure
//! fix       makes changes; backups (record, stored)      interchange  JUnit, SARIF           pure
//! standing  verdicts → since when, turns, scores (pure)  auto      what the agent may mend  pure
//! shelf     where both are kept                          culprit   who undoes a fix          pure
//! tally     what was found, counted for metrics (pure)   dispute   rules that contradict     pure
//! ```
//!
//! # Guarantees
//! * Every rule and target has a verdict of its own, with expected, actual and revision.
//! * Report mode and the node's policy win over whatever a rule, or an operator, asks for.

pub mod facts;
pub mod verdict;
pub mod matching;
mod compared;
pub(crate) mod public_keys;
pub mod change;
pub mod kind;
pub mod dispute;
pub mod image;
pub mod see;
pub mod check;
pub mod consent;
mod stored;
pub mod record;
pub mod fix;
pub mod auto;
pub mod culprit;
pub mod interchange;
pub mod standing;
pub mod shelf;
mod tally;

/// JSON Schemas of what commands print, by name.
pub const SCHEMAS: [(&str, &str); 5] = [
    ("check", include_str!("../../docs/schema/check.json")),
    ("check-history", include_str!("../../docs/schema/check-history.json")),
    ("facts", include_str!("../../docs/schema/facts.json")),
    ("fix-plan", include_str!("../../docs/schema/fix-plan.json")),
    ("fixes", include_str!("../../docs/schema/fixes.json")),
];
