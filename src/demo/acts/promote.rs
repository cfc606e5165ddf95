//! Act four: from line to line, and back; and what even a stolen forge cannot do.

use crate::demo::acts::refuse::refused;
use crate::demo::acts::stage::{SERVICE, condition, until};
use crate::demo::error::{DemoError, io};
use crate::demo::line::Line;
use crate::demo::promotion::bring;
use crate::demo::repository::By;
use crate::demo::story::Stage;
use crate::reconcile::trust::CommitKind;

/// Tells it.
pub(crate) async fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    to_tst(stage).await?;
    to_prd(stage).await?;
    let promoted = stage.repository.tip("prd")?;
    back(stage).await?;
    stolen_forge(stage, &promoted).await
}

async fn to_tst(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Promote dev to tst: the images first, bit by bit, then a signed merge");
    images(stage, "dev", "tst").await?;
    let person = stage.repository.person("tst", "promote")?;
    let source = stage.repository.tip("dev")?;
    merge(stage, "tst", "dev", &person)?;
    let message = "Promote dev to tst\n\nTidegate: promote tst";
    let commit = stage.repository.commit(By::Signed(&person), message)?;
    stage.command(format!("git commit -S --trailer 'Tidegate: promote tst'   # {person} on tst"));
    applied(stage, "tst", &commit).await?;
    arrived(stage, "tst", "dev", &source).await
}

async fn to_prd(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Promote tst to prd, which asks for two people");
    images(stage, "tst", "prd").await?;
    let (good, before) = (stage.repository.tip("prd")?, stage.line("prd")?.containers().await?);
    let person = stage.repository.person("prd", "promote")?;
    let other = stage.repository.another("prd", "promote", &person)?;
    merge(stage, "prd", "tst", &person)?;
    stage.repository.commit(By::Signed(&person), PROMOTE_PRD)?;
    stage.command(format!("git commit -S --trailer 'Tidegate: promote prd'   # {person}, alone"));
    refused(stage, "prd").await?;
    stage.repository.force("prd", &good)?;

    stage.say("An evil merge: both sign, but a file holds what tst never had.");
    merge(stage, "prd", "tst", &person)?;
    let file = stage.repository.root.join(format!("services/{SERVICE}/app1.conf"));
    std::fs::write(&file, "workers = 666\n").map_err(io("change a file"))?;
    together(stage, &person, &other)?;
    refused(stage, "prd").await?;
    let same = stage.line("prd")?.containers().await? == before;
    stage.check(same, "every container of prd is the same one")?;
    stage.repository.force("prd", &good)?;

    stage.say("Both, with exactly what tst has:");
    let source = stage.repository.tip("tst")?;
    merge(stage, "prd", "tst", &person)?;
    let commit = together(stage, &person, &other)?;
    applied(stage, "prd", &commit).await?;
    arrived(stage, "prd", "tst", &source).await
}

const PROMOTE_PRD: &str = "Promote tst to prd\n\nTidegate: promote prd";

/// Commits a promotion that one person signs and another approves of.
fn together(stage: &mut Stage<'_>, person: &str, other: &str) -> Result<String, DemoError> {
    let source = stage.repository.tip("tst")?;
    let approval = stage.repository.approve(other, "prd", CommitKind::Promote, &source)?;
    stage.command(format!(
        "ssh-keygen -Y sign -n promote@tidegate …   # {other} approves this tree"
    ));
    let message = format!("{PROMOTE_PRD}\n{approval}");
    let commit = stage.repository.commit(By::Signed(person), &message)?;
    stage.command(format!("git commit -S --trailer 'Approved-By: …'   # {person}, with {other}"));
    Ok(commit)
}

async fn back(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("prd goes back to what it had before, in one signed commit");
    let anchor = stage.anchor("prd")?;
    let person = stage.repository.person("prd", "rollback")?;
    stage.repository.switch("prd")?;
    stage.repository.restore_flow(&anchor)?;
    let message = format!("Back\n\nTidegate: rollback prd\nRollback-To: {anchor}");
    let commit = stage.repository.commit(By::Signed(&person), &message)?;
    let short = anchor.get(..7).unwrap_or(&anchor);
    stage.command(format!(
        "git commit -S --trailer 'Tidegate: rollback prd' --trailer 'Rollback-To: {short}…'   # {person}"
    ));
    applied(stage, "prd", &commit).await?;
    let page = page(stage, "prd").await?;
    stage.check(page.contains("1.0.0"), format!("app1.prd says “{page}” again"))
}

/// Whoever holds the forge can push anything that was signed once; the node knows what it has seen.
async fn stolen_forge(stage: &mut Stage<'_>, promoted: &str) -> Result<(), DemoError> {
    stage.act("Somebody owns the forge, and brings back what prd had before the rollback");
    let (good, before) = (stage.repository.tip("prd")?, stage.line("prd")?.containers().await?);
    let short = promoted.get(..7).unwrap_or(promoted);
    stage.command(format!("git push --force origin {short}:prd"));
    stage.repository.force("prd", promoted)?;
    refused(stage, "prd").await?;
    let same = stage.line("prd")?.containers().await? == before;
    stage.check(same, "every container of prd is the same one")?;
    stage.repository.force("prd", &good)
}

/// Copies what the next hub lacks.
async fn images(stage: &mut Stage<'_>, from: &str, to: &str) -> Result<(), DemoError> {
    let wanted = stage.repository.images(from, &stage.pins)?;
    let (source, target) = (&stage.line(from)?.hub.client, &stage.line(to)?.hub.client);
    let n_wanted = wanted.len();
    let report = bring(source, target, wanted).await?;
    let (n_copied, kilobytes) = (report.copied.len(), report.bytes_copied / 1024);
    stage.check(
        true,
        format!("dckhub.{to} has all {n_wanted} images; {n_copied} were copied ({kilobytes} KiB)"),
    )
}

fn merge(stage: &mut Stage<'_>, to: &str, from: &str, person: &str) -> Result<(), DemoError> {
    let source = stage.repository.tip(from)?;
    stage.repository.take_over(to, &source, By::Signed(person))?;
    stage.command(format!("git merge -s ours --no-commit --allow-unrelated-histories {from}"));
    stage.command(format!("git restore --source {from} -SW -- . ':!environments/{to}'"));
    Ok(())
}

/// Waits until a node has applied a commit, everything in sync.
async fn applied(stage: &mut Stage<'_>, at: &str, commit: &str) -> Result<(), DemoError> {
    let line = stage.line(at)?;
    until("the applied revision", || async {
        let status = line.status();
        let applied = status.as_ref().and_then(|s| s.revision.applied);
        let there = applied.is_some_and(|id| id.to_string() == commit)
            && status.as_ref().is_some_and(crate::reconcile::report::Status::is_in_sync);
        Ok(if there { Ok(()) } else { Err(condition(status.as_ref())) })
    })
    .await
}

async fn page(stage: &Stage<'_>, at: &str) -> Result<String, DemoError> {
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
