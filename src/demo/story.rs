//! The order of things: clean up, set up, tell, and how to go on.

use std::net::IpAddr;
use std::path::PathBuf;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::agent::lock::tidy_locks;
use crate::demo::acts::{deploy, heal, look, promote, refuse, soak, stolen};
use crate::demo::engine::{DemoEngine, EngineKind, private, ready, remove_cgroups, shared};
use crate::demo::error::{DemoError, io};
use crate::demo::hub::{DemoHub, addresses, start_hub};
use crate::demo::images::{Recipe, base_layer, push};
use crate::demo::leftovers::{self, SHARED};
use crate::demo::line::Line;
use crate::demo::people::People;
use crate::demo::place::Place;
use crate::demo::process::read_ledger;
use crate::demo::recipes::recipe;
use crate::demo::repository::{Example, PinPlace, Repository};
use crate::demo::tell::{Audience, Told};

/// What the demo is told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything it makes lies.
    pub dir: PathBuf,
    /// The example repository.
    pub example: PathBuf,
    /// Use the machine's own engine even as root.
    pub shared_engine: bool,
}

/// The stage: what all acts play on.
pub(crate) struct Stage<'a> {
    pub(crate) place: Place,
    pub(crate) repository: Repository,
    pub(crate) people: People,
    pub(crate) lines: Vec<Line>,
    pub(crate) pins: Vec<PinPlace>,
    pub(crate) base: Vec<u8>,
    pub(crate) audience: &'a mut dyn Audience,
}

/// Tells the whole story. What it made keeps running, to be looked at.
pub async fn run(options: &Options, audience: &mut dyn Audience) -> Result<(), DemoError> {
    let since = Instant::now();
    let place = Place::at(&options.dir)?;
    if place.exists() {
        audience.tell(Told::Say("Ending what an earlier run left.".to_owned()));
        clean(&place).await?;
    }
    place.make()?;
    let mut stage = set_up(place, options, audience).await?;
    deploy::tell(&mut stage).await?;
    heal::tell(&mut stage).await?;
    refuse::tell(&mut stage).await?;
    promote::tell(&mut stage).await?;
    soak::begin(&mut stage).await?;
    let promoted = stage.repository.tip("prd")?;
    promote::back(&mut stage).await?;
    stolen::tell(&mut stage, &promoted).await?;
    soak::end(&mut stage).await?;
    look::tell(&mut stage)?;
    let secs = since.elapsed().as_secs();
    stage.audience.tell(Told::Act(format!("All of it took {secs} s, and every check passed.")));
    stage.farewell();
    Ok(())
}

/// Ends everything that an earlier run left, and removes it. Whether there was anything.
pub async fn stop(dir: &std::path::Path) -> Result<bool, DemoError> {
    let place = Place::at(dir)?;
    let existed = place.exists();
    if existed {
        clean(&place).await?;
    }
    Ok(existed)
}

async fn clean(place: &Place) -> Result<(), DemoError> {
    let recorded = read_ledger(&place.ledger());
    // Agents first, so that nothing repairs what is being taken away.
    for process in recorded.iter().filter(|p| p.name.starts_with("agent ")) {
        process.end().await;
    }
    let removed = leftovers::remove(place).await;
    for process in recorded.iter().filter(|p| !p.name.starts_with("agent ")) {
        process.end().await;
    }
    // What tells the demo's own things from others' stays until they are gone.
    removed?;
    for process in recorded.iter().filter(|p| p.name.starts_with("engine ")) {
        remove_cgroups(process.name.trim_start_matches("engine ")).await;
    }
    tidy_locks();
    place.remove()
}

async fn set_up<'a>(
    place: Place,
    options: &Options,
    audience: &'a mut dyn Audience,
) -> Result<Stage<'a>, DemoError> {
    audience.tell(Told::Act("Three lines side by side: engines, hubs, one repository".to_owned()));
    let example = Example::copy(&place, &options.example)?;
    let environments = example.environments()?;
    let private_engines = rustix::process::getuid().is_root() && !options.shared_engine;
    let (engines, hubs) = machines(&place, &environments, private_engines).await?;
    let base = base_layer()?;
    let found: Vec<PinPlace> = example.pins()?.into_iter().collect();
    for hub in &hubs {
        leftovers::note_hub(&place, hub)?;
        for at in &found {
            let made = made(at)?;
            let digest = push(&hub.client, &base, &made).await?;
            leftovers::note_image(&place, &made.repository, &digest)?;
        }
    }
    for (environment, hub) in environments.iter().zip(&hubs) {
        let file = format!("environments/{environment}/environment.toml");
        example.set(&file, &["hub"], hub.address.to_string())?;
        example.set(&file, &["hub_plain_http"], true)?;
    }
    let first = hubs.first().ok_or_else(|| DemoError::Example("no environments".to_owned()))?;
    for at in &found {
        example.pin(&first.client, at).await?;
    }
    // What is broken says so at once; what is well may be slow on a busy machine.
    for file in example.documents("services/")? {
        example.set(&file, &["update", "health_timeout"], "60s")?;
        example.set(&file, &["update", "stable"], "1s")?;
        example.adapt(&file)?;
    }
    // Nor a day for what it has just seen to rest; one act asks tst for some.
    for environment in environments.iter().skip(1) {
        let file = format!("environments/{environment}/trust.toml");
        example.set(&file, &["promotion", "soak"], "0s")?;
    }
    let repository = example.begin(&place)?;
    let mut lines = Vec::new();
    let rows = environments.iter().zip(engines).zip(hubs);
    for ((environment, engine), hub) in rows {
        let log = place.path(&format!("{environment}/engine.log"));
        let version = ready(&engine, &log).await?;
        let anchored = repository.lines.iter().find(|l| l.environment.as_str() == environment);
        let anchor = anchored.map(|l| l.anchor.short()).unwrap_or_default();
        let whose = match engine.kind {
            EngineKind::Private => "an engine of its own",
            EngineKind::Shared => "this machine's engine",
        };
        let at = hub.address;
        audience.tell(Told::Say(format!(
            "{environment}: branch {environment} from {anchor}, hub {at}, {whose} ({version})"
        )));
        lines.push(Line::start_agent(&place, &repository, environment, engine, hub)?);
    }
    let people = People::at(&place)?;
    Ok(Stage { place, repository, people, lines, pins: found, base, audience })
}

/// Starts every environment's engine and hub, side by side.
async fn machines(
    place: &Place,
    environments: &[String],
    private_engines: bool,
) -> Result<(Vec<DemoEngine>, Vec<DemoHub>), DemoError> {
    let engines = if private_engines {
        // 198.18.7.0/24 and the next ones.
        let numbered = environments.iter().zip(7..);
        try_join_all(numbered.map(|(name, at)| private(place, name, at))).await?
    } else {
        vec![shared().await?; environments.len()]
    };
    if !private_engines {
        // Before anything is made there.
        let used = engines.first().map(|engine| engine.socket.display().to_string());
        std::fs::write(place.path(SHARED), used.unwrap_or_default())
            .map_err(io("note whose engine it is"))?;
    }
    let hosts: Vec<IpAddr> = engines.iter().map(|engine| engine.hub_host).collect();
    let pairs = environments.iter().zip(addresses(&hosts)?);
    let hubs = try_join_all(pairs.map(|(name, at)| start_hub(place, name, at))).await?;
    Ok((engines, hubs))
}

fn made(at: &PinPlace) -> Result<Recipe, DemoError> {
    recipe(&at.repository, &at.version)
}
