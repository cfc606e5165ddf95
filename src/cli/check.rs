//! `tidegate check`, and what `fix` shares with it.

use std::io::Write;

use serde::Serialize;
use tracing::level_filters::LevelFilter;

use crate::agent::belief::Origin;
use crate::agent::examine::Examined;
use crate::agent::node::Node;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::operate::{agent_error, warn_unverified};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::compliance::check::Checked;
use crate::compliance::interchange::{junit, message, sarif};
use crate::compliance::matching::like;
use crate::compliance::verdict::{Score, Verdict, VerdictStatus};
use crate::model::{EnvironmentName, NodeName, Revision, ServiceName};
use crate::reconcile::desired::rule::{Rule, RuleSeverity, Target};
use crate::reconcile::report::TrustLevel;

/// Check this node against its rules
///
/// Checks every rule that the newest verified revision shows to this node and its services, and for
/// every container that rule, definition and running container are the same image. Changes nothing.
/// Exits 2 when a rule does not hold or could not be checked.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidegate check\n  tidegate check --service app1 --severity critical\n  \
    tidegate check --rule 'it.linux/*' -o json\n  tidegate check --report junit > check.xml"
)]
pub struct CheckArgs {
    #[command(flatten)]
    choice: Choice,
    /// Print for another tool
    #[arg(long, value_name = "FORMAT", value_enum, conflicts_with = "output")]
    report: Option<ReportFormat>,
}

/// Formats of other tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// One test case a rule, for CI
    Junit,
    /// Static analysis results, for code scanning
    Sarif,
}

/// Which rules are meant.
#[derive(Debug, Clone, clap::Args)]
pub struct Choice {
    /// Only rules about the node itself
    #[arg(long, conflicts_with = "service")]
    node: bool,
    /// Only rules about this service
    #[arg(long, value_name = "NAME")]
    service: Option<ServiceName>,
    /// Only rules whose name is like this; `*` stands for any part
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only rules at least so severe: info, warning, critical
    #[arg(long, value_name = "SEVERITY", default_value = "info", hide_default_value = true)]
    severity: RuleSeverity,
}

impl Choice {
    fn fits(&self, name: &str, service: Option<&ServiceName>, severity: RuleSeverity) -> bool {
        severity >= self.severity
            && (!self.node || service.is_none())
            && self.service.as_ref().is_none_or(|wanted| service == Some(wanted))
            && self.rule.as_ref().is_none_or(|pattern| like(pattern, name))
    }

    /// Those of `rules` that are meant.
    pub fn rules<'a>(&self, rules: &'a [Rule]) -> Vec<&'a Rule> {
        let fits = |rule: &Rule| {
            let service = match &rule.target {
                Target::Node => None,
                Target::Service(name) => Some(name),
            };
            self.fits(&rule.id.to_string(), service, rule.severity)
        };
        rules.iter().filter(|rule| fits(rule)).collect()
    }

    /// Whether a verdict is meant.
    fn fits_verdict(&self, verdict: &Verdict) -> bool {
        self.fits(&verdict.rule, verdict.service.as_ref(), verdict.severity)
    }

    /// Refuses what names nothing.
    ///
    /// # Errors
    /// When there is no such service here.
    pub fn verify(&self, examined: &Examined) -> Result<(), CommandError> {
        match &self.service {
            Some(name) if !examined.desired.services.contains_key(name) => {
                let known: Vec<&str> =
                    examined.desired.services.keys().map(ServiceName::as_str).collect();
                Err(CommandError::usage(format!("no service `{name}` runs on this node"))
                    .hint(format!("services here: {}", known.join(", "))))
            }
            _ => Ok(()),
        }
    }
}

/// Looks at this node as its rules need it.
///
/// # Errors
/// When nothing is believed here, or this machine's own files do not work.
pub fn examine(ctx: &Context) -> Result<(Node, Examined), CommandError> {
    let settings = ctx.settings()?;
    block_on(async {
        let origin = Origin::repository(&settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings, origin).map_err(|error| agent_error(&error))?;
        let examined = Examined::of(&mut node).await.map_err(|error| agent_error(&error))?;
        if node.trust() == TrustLevel::None {
            warn_unverified(ctx);
        }
        if let Some(refused) = &node.belief.refused {
            let line = format!(
                "{} is refused: {}; what was verified before it counts",
                refused.commit, refused.reason
            );
            ctx.notice(&ctx.paint_err.tone(Tone::Bad, &line));
        }
        for mistake in &node.belief.mistakes {
            ctx.notice(&ctx.paint_err.tone(Tone::Bad, &format!("unusable: {mistake}")));
        }
        match examined {
            Some(examined) => Ok((node, examined)),
            None if node.belief.refused.is_some() => {
                Err(CommandError::refused("nothing verified is here to check against"))
            }
            None => Err(CommandError::new(ErrorKind::Failed, "there is nothing to check against")
                .hint("`tidegate plan` says why no revision is believed here")),
        }
    })
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    node: &'a NodeName,
    environment: &'a EnvironmentName,
    revision: &'a Revision,
    unverified: bool,
    score: Score,
    verdicts: &'a [&'a Verdict],
}

/// Prints verdicts.
///
/// # Errors
/// When nothing can be checked at all.
pub fn run(args: &CheckArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    ctx.start_log(LevelFilter::WARN);
    let (node, examined) = examine(ctx)?;
    args.choice.verify(&examined)?;
    let checked = examined.check(args.choice.rules(&examined.desired.rules));
    let mut verdicts: Vec<Verdict> =
        checked.into_iter().map(|Checked { verdict, .. }| verdict).collect();
    let silent = match examined.images() {
        Ok(images) => {
            verdicts.extend(images);
            None
        }
        // Images belong to services.
        Err(_) if args.choice.node => None,
        Err(reason) => Some(reason.to_owned()),
    };
    let shown: Vec<&Verdict> = verdicts.iter().filter(|v| args.choice.fits_verdict(v)).collect();
    match (args.report, ctx.format) {
        (Some(ReportFormat::Junit), _) => {
            write!(out, "{}", junit(examined.desired.node.as_str(), &shown))?;
        }
        (Some(ReportFormat::Sarif), _) => write_json(out, &sarif(&shown))?,
        (None, Format::Json) => write_json(
            out,
            &CheckDocument {
                schema: "tidegate.check/1",
                node: &examined.desired.node,
                environment: examined.desired.revision.environment(),
                revision: &examined.desired.revision,
                unverified: node.trust() == TrustLevel::None,
                score: Score::of(shown.iter().copied()),
                verdicts: &shown,
            },
        )?,
        (None, Format::Table) => write_table(&shown, &examined.desired.revision, ctx, out)?,
    }
    if let Some(reason) = silent {
        return Err(CommandError::new(
            ErrorKind::Failed,
            format!("no image was checked: {reason}"),
        )
        .hint("is the engine running? `[engine] socket` says where it is looked for"));
    }
    let troubled = shown.iter().any(|verdict| verdict.status.is_trouble());
    Ok(if troubled { Outcome::Differences } else { Outcome::Done })
}

fn write_table(
    verdicts: &[&Verdict],
    revision: &Revision,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut table = Table::new(&["STATUS", "SEVERITY", "TARGET", "RULE", "KIND", "WHAT"]);
    for verdict in verdicts {
        table.row(row(verdict));
    }
    if !table.is_empty() {
        table.write(out, ctx.paint)?;
        writeln!(out)?;
    }
    let score = Score::of(verdicts.iter().copied());
    writeln!(out, "{score}, as {revision} says")?;
    Ok(())
}

fn row(verdict: &Verdict) -> Vec<Cell> {
    let what = match verdict.status {
        VerdictStatus::Ok => verdict.expected.clone(),
        _ => message(verdict),
    };
    vec![
        Cell::toned(verdict.status.as_str(), tone(verdict.status)),
        verdict.severity.to_string().into(),
        verdict.target.clone().into(),
        verdict.rule.clone().into(),
        verdict.kind.into(),
        what.into(),
    ]
}

fn tone(status: VerdictStatus) -> Tone {
    match status {
        VerdictStatus::Ok => Tone::Good,
        VerdictStatus::NotOk | VerdictStatus::Error => Tone::Bad,
        VerdictStatus::Unknown => Tone::Notice,
        VerdictStatus::NotApplicable => Tone::Faint,
    }
}
