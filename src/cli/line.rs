//! `tidegate line`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;

use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::land::{explain, fetch_line, rounded};
use crate::cli::output::{Cell, Format, Table, Tone, columns, write_json};
use crate::cli::registry::client;
use crate::hub::copy::{CopyRequest, WantedImage, survey};
use crate::hub::hub_of;
use crate::model::{CommitId, EnvironmentName};
use crate::promote::act::texts;
use crate::promote::desk::{Desk, DeskError};
use crate::promote::line::{AppView, Place, Relation, Running, Standing, view};
use crate::promote::review::images;
use crate::promote::tip::{files, judge, policy, states};
use crate::reconcile::trust::facts::FactsReader;
use crate::reconcile::trust::history::time;
use crate::reconcile::trust::tree::Trees;

/// How long a hub is waited for: people want to see the lines, whatever it does.
const HUB_WAIT_MAX: Duration = Duration::from_secs(10);

/// Show the lines at a glance: which version is where, and what is ahead of what
///
/// Fetches and verifies every environment's branch. For each app: versions and digests, how far each
/// line is behind the one below and since when, what is left of its soak, and whether its hub holds the
/// images that would come next. Exits 2 when a line is behind or has diverged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate line\n  tidegate line --app app1 -o json")]
pub struct LineArgs {
    /// The line's last environment (default: the last one of tidegate.toml)
    #[arg(long, value_name = "ENV")]
    to: Option<EnvironmentName>,
    /// Only these apps
    #[arg(long, value_name = "APP")]
    app: Vec<crate::model::AppName>,
    /// Do not ask the hubs
    #[arg(long)]
    no_images: bool,
    /// The clone to work in
    #[arg(short = 'C', long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// The remote that holds the lines (default: origin, or the only one)
    #[arg(long, value_name = "REMOTE")]
    remote: Option<String>,
}

#[derive(Serialize)]
struct LineDocument<'a> {
    schema: &'static str,
    environments: Vec<EnvironmentRow<'a>>,
    apps: &'a [AppView],
}

#[derive(Serialize)]
struct EnvironmentRow<'a> {
    environment: &'a EnvironmentName,
    commit: CommitId,
    refused: Option<&'a str>,
    hub: &'a HubState,
}

/// What an environment's hub holds of the images that its line below would bring.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
enum HubState {
    /// All of them.
    Complete,
    /// So many are not there yet.
    Lacking { missing: usize },
    /// It does not say, or was not asked.
    Unknown { reason: String },
}

/// Shows the lines.
///
/// # Errors
/// When a line cannot be fetched or read.
pub fn run(args: &LineArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let desk = Desk::open(&args.directory, args.remote.as_deref(), Timestamp::now());
    let desk = desk.map_err(|error| explain(&error))?;
    let last = match &args.to {
        Some(environment) => environment.clone(),
        None => last(&desk)?,
    };
    let mut names = fetch_line(&desk, &last)?;
    names.reverse();
    let line = names.iter().map(|name| standing(&desk, name)).collect::<Result<Vec<_>, _>>()?;
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let mut apps = view(&objects, &line, desk.now);
    if let Some(unknown) = args.app.iter().find(|name| apps.iter().all(|app| app.app != **name)) {
        let known: Vec<&str> = apps.iter().map(|app| app.app.as_str()).collect();
        return Err(CommandError::usage(format!("no service belongs to the app `{unknown}`"))
            .hint(format!("there are {}", known.join(", "))));
    }
    apps.retain(|app| args.app.is_empty() || args.app.contains(&app.app));
    let hubs: Vec<HubState> =
        line.iter().map(|above| hub_state(args, &desk, &line, above)).collect();
    match ctx.format {
        Format::Json => {
            let row = |(standing, hub)| row(standing, hub);
            let environments = line.iter().zip(&hubs).map(row).collect();
            let schema = "tidegate.line/1";
            write_json(out, &LineDocument { schema, environments, apps: &apps })?;
        }
        Format::Table => tell(&line, &hubs, &apps, (ctx, desk.now), out)?,
    }
    let differs = apps.iter().flat_map(|app| &app.places);
    let differs =
        differs.into_iter().any(|p| !matches!(p.relation, Relation::First | Relation::Same));
    Ok(if differs { Outcome::Differences } else { Outcome::Done })
}

fn row<'a>(standing: &'a Standing, hub: &'a HubState) -> EnvironmentRow<'a> {
    let (environment, commit) = (&standing.environment, standing.commit);
    EnvironmentRow { environment, commit, refused: standing.refused.as_deref(), hub }
}

/// The last environment that the repository lists, or the only branch that looks like one.
fn last(desk: &Desk) -> Result<EnvironmentName, CommandError> {
    let unknown = || {
        CommandError::usage("which line? nothing that is checked out lists `environments`")
            .hint("name the last environment with --to")
    };
    let head = desk.clone.commit("HEAD").ok_or_else(unknown)?;
    let listing = desk.files(head).map_err(|error| explain(&error))?;
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let all = texts(&objects, &listing).map_err(|error| CommandError::failed(&error))?;
    let table: Option<toml::Table> =
        all.get("tidegate.toml").and_then(|text| toml::from_str(text).ok());
    let names = table.as_ref().and_then(|table| table.get("environments")?.as_array());
    let last = names.and_then(|names| names.last()?.as_str()?.parse().ok());
    last.ok_or_else(unknown)
}

/// A line as its nodes would have it: at the last commit that counts.
fn standing(desk: &Desk, environment: &EnvironmentName) -> Result<Standing, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::failed(error);
    let head = desk.branch(environment.as_str()).map_err(|error| explain(&error))?;
    let (anchor, _) = desk.anchor(environment, head).map_err(|error| explain(&error))?;
    let objects = desk.objects().map_err(|error| explain(&error))?;
    let verdict = judge(&objects, environment, anchor, head, desk.now);
    let commit = verdict.verified_id().unwrap_or(anchor);
    let refused =
        verdict.refused.map(|refusal| format!("{}: {}", refusal.commit.short(), refusal.reason));
    let refused = refused.or(verdict.waits.map(|wait| wait.reason));
    let listing = desk.files(commit).map_err(|error| explain(&error))?;
    let own = files(&objects, environment, &listing).map_err(|error| failed(&error))?;
    let revision = crate::model::Revision::Commit { environment: environment.clone(), commit };
    let policy = policy(&objects, environment, &listing, commit).map_err(|error| failed(&error))?;
    let (trees, mut facts) = (Trees::new(&objects), FactsReader::new(&objects, environment));
    let time = time(&objects, &trees, &mut facts, commit)
        .map_err(|error| explain(&DeskError::Objects(error)))?;
    Ok(Standing {
        environment: environment.clone(),
        commit,
        refused,
        texts: texts(&objects, &listing).map_err(|error| failed(&error))?,
        states: states(&own, environment, &revision),
        listing,
        promotion: policy.promotion,
        time,
    })
}

/// Whether the hub of `above` holds what its line, and the one below, want.
fn hub_state(args: &LineArgs, desk: &Desk, line: &[Standing], above: &Standing) -> HubState {
    let unknown = |reason: String| HubState::Unknown { reason };
    if args.no_images {
        return unknown("not asked".to_owned());
    }
    let below = above.promotion.as_ref();
    let below = below.and_then(|p| line.iter().find(|other| other.environment == p.from));
    let wanted: BTreeSet<WantedImage> = images(&above.states)
        .into_iter()
        .chain(below.map(|below| images(&below.states)).unwrap_or_default())
        .map(|(repository, digest)| WantedImage { repository, digest })
        .collect();
    let found = (|| -> Result<HubState, CommandError> {
        let objects = desk.objects().map_err(|error| explain(&error))?;
        let own = files(&objects, &above.environment, &above.listing);
        let own = own.map_err(|error| CommandError::failed(&error))?;
        let hub = hub_of(&own, &above.environment).map_err(|error| CommandError::failed(&error))?;
        let client = client(&hub.hub, hub.plain_http)?;
        let request = CopyRequest { images: wanted, ..CopyRequest::default() };
        let found = block_on(async {
            let looked = timeout(HUB_WAIT_MAX, survey(&client, &client, &request)).await;
            let slow = |_| {
                let message = format!("it did not say within {} s", HUB_WAIT_MAX.as_secs());
                CommandError::new(ErrorKind::Failed, message)
            };
            looked.map_err(slow)?.map_err(|error| CommandError::failed(&error))
        })?;
        Ok(match found.lacking.len() {
            0 => HubState::Complete,
            missing => HubState::Lacking { missing },
        })
    })();
    found.unwrap_or_else(|error| unknown(error.message))
}

fn tell(
    line: &[Standing],
    hubs: &[HubState],
    apps: &[AppView],
    (ctx, now): (&Context, Timestamp),
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut table = Table::new(&["LINE", "COMMIT", "IMAGES", "VERIFIED"]);
    for (standing, hub) in line.iter().zip(hubs) {
        let images = match hub {
            HubState::Complete => Cell::toned("all there", Tone::Good),
            HubState::Lacking { missing } => {
                Cell::toned(format!("{missing} to come"), Tone::Notice)
            }
            HubState::Unknown { .. } => Cell::toned("?", Tone::Faint),
        };
        let verified = match &standing.refused {
            None => Cell::toned("yes", Tone::Good),
            Some(reason) => Cell::toned(format!("up to here; {reason}"), Tone::Bad),
        };
        table.row([
            standing.environment.to_string().into(),
            standing.commit.short().into(),
            images,
            verified,
        ]);
    }
    table.write(out, ctx.paint)?;
    for app in apps {
        writeln!(out, "\n{}", ctx.paint.tone(Tone::Strong, app.app.as_str()))?;
        write_app(app, out)?;
        for pair in app.places.windows(2) {
            if let Some((text, tone)) = relation(&pair[0], &pair[1], now) {
                writeln!(out, "  {}", ctx.paint.tone(tone, &text))?;
            }
        }
    }
    for (standing, hub) in line.iter().zip(hubs) {
        if let HubState::Unknown { reason } = hub {
            ctx.notice(&format!("the hub of {} was not looked at: {reason}", standing.environment));
        }
    }
    Ok(())
}

/// `tst is 2 commits behind dev, since 26h; soak 3h left`.
fn relation(below: &Place, above: &Place, now: Timestamp) -> Option<(String, Tone)> {
    let (name, from) = (&above.environment, &below.environment);
    match above.relation {
        Relation::First | Relation::Same => None,
        Relation::Diverged => Some((
            format!("{name} has diverged from {from}: a hotfix, or a state that {from} never had"),
            Tone::Bad,
        )),
        Relation::RolledBack => {
            let to = above.rolled_back_to.map(|id| id.short()).unwrap_or_default();
            let since = above.since.map(|since| format!(", {} ago", rounded(age(now, since))));
            let since = since.unwrap_or_default();
            Some((format!("{name} was rolled back to {to}{since}"), Tone::Notice))
        }
        Relation::Behind => {
            let commits = if above.n_commits == 1 { "commit" } else { "commits" };
            let since = above.since.map(|since| format!(", since {}", rounded(age(now, since))));
            let left = above.soak_left_secs.map(Duration::from_secs);
            let held = left.map(|left| format!("; held: soak {} left", rounded(left)));
            let text = format!(
                "{name} is {} {commits} behind {from}{}{}",
                above.n_commits,
                since.unwrap_or_default(),
                held.unwrap_or_default()
            );
            Some((text, Tone::Notice))
        }
    }
}

fn age(now: Timestamp, since: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// A row for each container, a column for each environment; one below the other where that is too
/// wide.
fn write_app(app: &AppView, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, place) in app.places.iter().enumerate() {
        for Running { service, container, version, digest } in &place.images {
            let row = rows.entry(format!("{service}.{container}"));
            let row = row.or_insert_with(|| vec!["-".to_owned(); app.places.len()]);
            let digest = digest.map(|digest| digest.short()).unwrap_or_default();
            row[at] = format!("{} {digest}", version.as_deref().unwrap_or("?"));
        }
    }
    let columns = columns();
    let name_width = rows.keys().map(String::len).max().unwrap_or(0);
    let width = rows.values().flatten().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let is_wide = 2 + name_width + app.places.len() * (width + 3) > columns;
    for (name, cells) in &rows {
        if is_wide {
            writeln!(out, "  {name}")?;
        } else {
            write!(out, "  {name:name_width$}")?;
        }
        for (place, cell) in app.places.iter().zip(cells) {
            let environment = &place.environment;
            if is_wide {
                writeln!(out, "    {environment} {cell}")?;
            } else {
                write!(out, "   {environment} {cell:width$}")?;
            }
        }
        if !is_wide {
            writeln!(out)?;
        }
    }
    Ok(())
}
