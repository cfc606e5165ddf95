//! Act one: from nothing to running, and a change of one image.

use crate::clients::docker::ContainerState;
use crate::demo::acts::stage::{SERVICE, is_well, until};
use crate::demo::error::DemoError;
use crate::demo::line::Line;
use crate::demo::story::Stage;

/// Tells it.
pub(crate) async fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    from_nothing(stage).await?;
    one_image(stage).await
}

async fn from_nothing(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Deploy: every node pulls its branch, verifies it, and makes its containers match");
    let environments: Vec<String> = stage.lines.iter().map(|l| l.environment.clone()).collect();
    for environment in &environments {
        let what = format!("{SERVICE}.{environment}");
        let web = stage.settled(environment, "web", &what, |_| true).await?;
        let line = stage.line(environment)?;
        let migrate = line.container(SERVICE, "migrate").await?;
        let page = match Line::published(&web) {
            Some(port) => {
                let host = line.engine.node_host;
                line.page(port).await.map(|page| format!("http://{host}:{port} says “{page}”"))
            }
            None => None,
        };
        let db = line.container(SERVICE, "db").await?.is_some_and(|c| is_well(&c));
        stage.check(db, format!("{what}: db is healthy, so web was started"))?;
        let once = migrate.is_some_and(|c| c.state == ContainerState::Exited && c.exit_code == 0);
        stage.check(once, format!("{what}: the migration ran once and exited 0"))?;
        let told = page.clone().unwrap_or_else(|| "the published port does not answer".to_owned());
        stage.check(page.is_some(), format!("{what}: {told}"))?;
    }
    Ok(())
}

async fn one_image(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("A commit changes one image of dev: it is rolled, nothing else is touched");
    let before = stage.line("dev")?.containers().await?;
    let elsewhere = stage.others("dev").await?;
    let web = stage.line("dev")?.name(SERVICE, "web");
    let old = stage.settled("dev", "web", "dev", |_| true).await?;
    let commit = stage.release("dev", "web", "1.3.0").await?;
    let new = stage.settled("dev", "web", "the new web", |id| id != old.id.as_str()).await?;
    stage.check(true, format!("{web} is {} now, was {}", new.id.short(), old.id.short()))?;
    let line = stage.line("dev")?;
    let page = match Line::published(&new) {
        Some(port) => line.page(port).await.unwrap_or_default(),
        None => String::new(),
    };
    stage.check(page.contains("1.3.0"), format!("it says “{page}”"))?;
    let line = stage.line("dev")?;
    until("the applied revision", || async {
        let applied = line.status().and_then(|s| s.revision.applied).map(|id| id.to_string());
        Ok(if applied.as_deref() == Some(&commit) {
            Ok(())
        } else {
            Err(format!("applied is {}", applied.unwrap_or_default()))
        })
    })
    .await?;
    let mut after = stage.line("dev")?.containers().await?;
    let mut rest = before;
    after.remove(&web);
    rest.remove(&web);
    stage.check(after == rest, "db and the migration are the very same containers")?;
    let same = stage.others("dev").await? == elsewhere;
    stage.check(same, "tst and prd were not touched")
}
