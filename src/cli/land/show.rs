//! The plan as people read it, and what came of it.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::land::holds::source;
use crate::cli::land::images::Images;
use crate::cli::land::{Done, Landing, Prepared};
use crate::cli::output::{Format, Tone, one_line, write_json};
use crate::model::{CommitId, EnvironmentName, NodeName};
use crate::promote::act::Draft;
use crate::promote::compose::Listing;
use crate::promote::review::{ImageChange, ImageName, Review, ServiceChange};
use crate::promote::rules::RuleChange;
use crate::promote::tip::Tip;
use crate::promote::values::{Fate, ValueChange};
use crate::reconcile::desired::rule::Target;
use crate::reconcile::trust::Objects;
use crate::reconcile::trust::kind::{CommitKind, PathClass};
use crate::reconcile::trust::policy::POLICY_BYTES_MAX;

/// What is shown before anything is done.
pub(crate) struct Plan<'p> {
    pub(crate) tip: &'p Tip,
    pub(crate) draft: &'p Draft,
    pub(crate) review: &'p Review,
    pub(crate) people_needed: usize,
    pub(crate) signer: Option<String>,
    pub(crate) soak: Option<String>,
}

#[derive(Serialize)]
struct LandDocument<'a> {
    schema: &'static str,
    environment: &'a EnvironmentName,
    kind: CommitKind,
    from: CommitId,
    source: Option<CommitId>,
    services: &'a [ServiceChange],
    rules: &'a [RuleChange],
    files: &'a BTreeSet<String>,
    shared: &'a BTreeSet<String>,
    people_needed: usize,
    soak: Option<String>,
    images: &'a Images,
    commit: Option<CommitId>,
    proposed: Option<&'a str>,
}

/// Prints the plan.
pub(crate) fn write(
    plan: &Plan<'_>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let subject = &plan.draft.words.subject;
    let title = format!("{subject} (on {})", plan.tip.revision());
    writeln!(out, "{}", ctx.paint.tone(Tone::Strong, &title))?;
    let signer = plan.signer.as_deref().unwrap_or("git's signing key");
    match plan.people_needed {
        0 | 1 => writeln!(out, "  signed by {signer}")?,
        n => writeln!(out, "  signed by {signer}; {n} people must agree")?,
    }
    if let Some(soak) = &plan.soak {
        writeln!(out, "  {soak}")?;
    }
    for file in &plan.draft.shared {
        let text = format!("  along comes {file}, which concerns other apps too");
        writeln!(out, "{}", ctx.paint.tone(Tone::Notice, &text))?;
    }
    write_review(plan.review, (&plan.tip.environment, &plan.draft.changed), ctx, out)
}

/// Prints what changes, service by service and rule by rule.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_review(
    review: &Review,
    (environment, files): (&EnvironmentName, &BTreeSet<String>),
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    for service in &review.services {
        write_service(service, ctx, out)?;
    }
    for rule in &review.rules {
        write_rule(rule, ctx, out)?;
    }
    let head = if review.is_empty() {
        "no service and no rule changes; these files do:"
    } else {
        "  these files change:"
    };
    writeln!(out, "{head}")?;
    let is_foreign = |path: &&String| PathClass::of(path, environment) == PathClass::Foreign;
    let (foreign, read): (Vec<_>, Vec<_>) = files.iter().partition(is_foreign);
    for file in read {
        writeln!(out, "    {}", one_line(file))?;
    }
    if !foreign.is_empty() {
        let n = foreign.len();
        writeln!(out, "    and {n} of other environments, which {environment} never reads")?;
    }
    Ok(())
}

/// Prints what changes in trust.toml, line by line: whoever agrees must see it.
///
/// # Errors
/// When `out` cannot be written to, or a file cannot be read.
pub fn write_trust(
    objects: &impl Objects,
    tip: &Tip,
    new: &Listing,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let path = format!("environments/{}/trust.toml", tip.environment);
    let ids = [tip.listing.get(&path), new.get(&path)].map(|file| file.map(|file| file.id));
    if ids[0] == ids[1] {
        return Ok(());
    }
    let mut texts = Vec::new();
    for id in ids {
        let bytes = id.map_or(Ok(Vec::new()), |id| objects.blob(id, POLICY_BYTES_MAX));
        let bytes = bytes.map_err(|error| CommandError::failed(&error))?;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let [old, new] = [&texts[0], &texts[1]];
    for (sign, tone, lines, others) in [("-", Tone::Bad, old, new), ("+", Tone::Good, new, old)] {
        let fresh = lines.lines().filter(|line| !others.lines().any(|other| other == *line));
        for line in fresh {
            writeln!(out, "  {}", ctx.paint.tone(tone, &format!("{sign} {}", one_line(line))))?;
        }
    }
    Ok(())
}

fn write_service(
    service: &ServiceChange,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    write_head(service.fate, service.service.as_str(), &service.nodes, ctx, out)?;
    for image in &service.images {
        writeln!(out, "    {}", one_line(&image_line(image)))?;
    }
    service.values.iter().try_for_each(|value| write_value(service.fate, value, out))
}

fn write_rule(rule: &RuleChange, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let whose = match &rule.target {
        Target::Node => String::new(),
        Target::Service(service) => format!(" of {service}"),
    };
    write_head(rule.fate, &format!("rule {}{whose}", rule.rule), &rule.nodes, ctx, out)?;
    rule.values.iter().try_for_each(|value| write_value(rule.fate, value, out))
}

fn write_head(
    fate: Fate,
    name: &str,
    nodes: &BTreeSet<NodeName>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let (sign, tone) = match fate {
        Fate::New => ("+", Tone::Good),
        Fate::Changed => ("~", Tone::Notice),
        Fate::Removed => ("-", Tone::Bad),
    };
    let nodes: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    let head = ctx.paint.tone(tone, &format!("{sign} {name}"));
    Ok(writeln!(out, "{head}  on {}", nodes.join(", "))?)
}

fn write_value(fate: Fate, value: &ValueChange, out: &mut dyn Write) -> Result<(), CommandError> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    let ValueChange { key, old, new } = value;
    let line = match fate {
        Fate::New => format!("{key}: {}", text(new)),
        Fate::Changed | Fate::Removed => format!("{key}: {} → {}", text(old), text(new)),
    };
    Ok(writeln!(out, "    {}", one_line(&line))?)
}

fn image_line(image: &ImageChange) -> String {
    let version = |name: &ImageName| name.version.clone().unwrap_or_else(|| "?".to_owned());
    let digest = |name: &ImageName| name.digest.map_or_else(|| "-".to_owned(), |d| d.short());
    let container = &image.container;
    match (&image.old, &image.new) {
        (Some(old), Some(new)) => format!(
            "{container}  {} → {}  (sha256 {} → {})",
            version(old),
            version(new),
            digest(old),
            digest(new)
        ),
        (None, Some(name)) | (Some(name), None) => {
            format!("{container}  {}  (sha256 {})", version(name), digest(name))
        }
        (None, None) => container.to_string(),
    }
}

impl Landing<'_> {
    /// Says that there is nothing to do.
    pub(crate) fn in_sync(&self, out: &mut dyn Write) -> Result<Outcome, CommandError> {
        #[derive(Serialize)]
        struct InSync<'a> {
            schema: &'static str,
            environment: &'a EnvironmentName,
            services: [(); 0],
            commit: Option<CommitId>,
        }
        let environment = &self.environment;
        match self.ctx.format {
            Format::Table => writeln!(out, "nothing to do: {environment} has all of it")?,
            Format::Json => {
                let schema = "tidegate.landing/1";
                write_json(out, &InSync { schema, environment, services: [], commit: None })?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Says what came of it.
    pub(crate) fn report(
        &self,
        prepared: &Prepared,
        done: &Done,
        out: &mut dyn Write,
    ) -> Result<(), CommandError> {
        let plan = self.plan(prepared)?;
        if self.ctx.format == Format::Json {
            let document = LandDocument {
                schema: "tidegate.landing/1",
                environment: &self.environment,
                kind: prepared.draft.kind,
                from: prepared.tip.commit,
                source: source(&prepared.draft),
                services: &prepared.review.services,
                rules: &prepared.review.rules,
                files: &prepared.draft.changed,
                shared: &prepared.draft.shared,
                people_needed: plan.people_needed,
                soak: plan.soak,
                images: &done.images,
                commit: done.commit,
                proposed: done.proposed.as_deref(),
            };
            return Ok(write_json(out, &document)?);
        }
        let Images { present, copied, missing, .. } = done.images;
        if copied + missing > 0 {
            let word = if missing > 0 { "to be copied" } else { "copied" };
            writeln!(out, "images: {} {word}, {present} there", copied + missing)?;
        }
        match (done.commit, done.proposed.as_deref()) {
            (None, _) => self.ctx.notice("nothing was done: --dry-run"),
            (Some(id), None) => {
                let word = self.ctx.paint.tone(Tone::Good, "landed");
                writeln!(out, "{word} {}@sha1:{}", self.environment, id.short())?;
            }
            (Some(id), Some(branch)) => {
                let word = self.ctx.paint.tone(Tone::Good, "proposed");
                writeln!(out, "{word} {branch} ({})", id.short())?;
                self.ctx.notice(&format!(
                    "others run `tidegate approve {branch}`; then `tidegate promote --accept {branch} --land`"
                ));
            }
        }
        Ok(())
    }
}
