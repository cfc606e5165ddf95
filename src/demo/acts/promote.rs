//! Act four: from line to line, by the people who may.

use crate::demo::acts::stage::{SERVICE, condition, until};
use crate::demo::error::DemoError;
use crate::demo::line::Line;
use crate::demo::story::Stage;
use crate::reconcile::report::Status;

/// Refused by trust or policy.
const REFUSED: i32 = 3;

/// Tells it.
pub(crate) async fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    to_tst(stage).await?;
    to_prd(stage).await
}

async fn to_tst(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Promote app1 from dev to tst: its images first, bit by bit, then a signed commit");
    let person = stage.repository.person("tst", "promote")?;
    let source = stage.repository.tip("dev")?;
    stage.types(&person, "tidegate promote --to tst --app app1", 0)?;
    applied(stage, "tst").await?;
    arrived(stage, "tst", "dev", &source).await
}

async fn to_prd(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Promote app1 from tst to prd, where two people must agree");
    let person = stage.repository.person("prd", "promote")?;
    let other = stage.repository.another("prd", "promote", &person)?;
    let (source, before) = (stage.repository.tip("tst")?, stage.repository.tip("prd")?);
    stage.types(&person, "tidegate promote --to prd --app app1", REFUSED)?;
    let same = stage.repository.tip("prd")? == before;
    stage.check(same, "nothing was pushed")?;
    stage.types(&person, "tidegate promote --to prd --app app1 --propose", 0)?;
    stage.types(&other, "tidegate approve promote/prd/1 --yes", 0)?;
    stage.types(&person, "tidegate promote --accept promote/prd/1 --land", 0)?;
    applied(stage, "prd").await?;
    arrived(stage, "prd", "tst", &source).await
}

/// Tells how prd goes back.
pub(crate) async fn back(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("prd goes back to what it had before, in one signed commit");
    let person = stage.repository.person("prd", "rollback")?;
    stage.types(&person, "tidegate rollback --env prd --to 1-back", 0)?;
    applied(stage, "prd").await?;
    let page = page(stage, "prd").await?;
    stage.check(page.contains("1.0.0"), format!("app1.prd says “{page}” again"))
}

/// Waits until a node has applied what its branch points at, everything in sync.
pub(crate) async fn applied(stage: &mut Stage<'_>, at: &str) -> Result<(), DemoError> {
    let commit = stage.repository.tip(at)?;
    let line = stage.line(at)?;
    until("the applied revision", || async {
        let status = line.status();
        let applied = status.as_ref().and_then(|s| s.revision.applied);
        let there = applied.is_some_and(|id| id.to_string() == commit)
            && status.as_ref().is_some_and(Status::is_in_sync);
        Ok(if there { Ok(()) } else { Err(condition(status.as_ref())) })
    })
    .await
}

/// What the service's published port answers.
pub(crate) async fn page(stage: &Stage<'_>, at: &str) -> Result<String, DemoError> {
    let line = stage.line(at)?;
    let web = line.container(SERVICE, "web").await?;
    match web.as_ref().and_then(Line::published) {
        Some(port) => Ok(line.page(port).await.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// Checks that a line runs what the one below it runs.
async fn arrived(
    stage: &mut Stage<'_>,
    at: &str,
    below: &str,
    source: &str,
) -> Result<(), DemoError> {
    let (here, there) = (page(stage, at).await?, page(stage, below).await?);
    let short = source.get(..7).unwrap_or(source);
    stage.check(
        !here.is_empty() && here == there,
        format!("app1.{at} says “{here}”, as {below} does, from {below}'s commit {short}"),
    )?;
    let same = {
        let ids = [stage.line(at)?, stage.line(below)?].map(|line| line.container(SERVICE, "web"));
        let [here, there] = ids;
        let (here, there) = (here.await?, there.await?);
        here.zip(there).is_some_and(|(here, there)| here.image_id == there.image_id)
    };
    stage.check(same, "its image is the very same one, byte for byte")
}
