//! Act six: somebody owns the forge. They may push anything that was ever signed, to any branch.

use crate::demo::acts::refuse::refused;
use crate::demo::acts::stage::{SERVICE, condition, until};
use crate::demo::error::{DemoError, io};
use crate::demo::line::Line;
use crate::demo::repository::By;
use crate::demo::story::Stage;
use crate::reconcile::trust::CommitKind;

/// Tells it. prd was at `promoted` before it was rolled back.
pub(crate) async fn tell(stage: &mut Stage<'_>, promoted: &str) -> Result<(), DemoError> {
    stage.act("Somebody owns the forge, and pushes what they like to prd");
    let (good, before) = (stage.repository.tip("prd")?, stage.line("prd")?.containers().await?);
    stage.say("dev's tip as prd: signed, each commit of it");
    let dev = stage.repository.tip("dev")?;
    push(stage, &dev, "dev").await?;

    stage.say("What prd had before the rollback: signed by two people, and accepted once");
    push(stage, promoted, promoted.get(..7).unwrap_or(promoted)).await?;

    stage.say("An evil merge: two people sign it, but a file holds what tst never had");
    stage.repository.force("prd", &good)?;
    evil_merge(stage)?;
    refused(stage, "prd").await?;

    stage.command("git push --force origin prd   # the last good tip again");
    stage.repository.force("prd", &good)?;
    let line = stage.line("prd")?;
    restored(line, &good).await?;
    let same = stage.line("prd")?.containers().await? == before;
    stage.check(same, "every container of prd is the same one, and its branch is good again")
}

/// Pushes something over prd.
async fn push(stage: &mut Stage<'_>, commit: &str, name: &str) -> Result<(), DemoError> {
    stage.command(format!("git push --force origin {name}:prd"));
    stage.repository.force("prd", commit)?;
    refused(stage, "prd").await
}

/// Commits a promotion by hand, with a change of its own; one person signs, another approves of it.
fn evil_merge(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let person = stage.repository.person("prd", "promote")?;
    let other = stage.repository.another("prd", "promote", &person)?;
    let source = stage.repository.tip("tst")?;
    stage.repository.take_over("prd", &source, By::Signed(&person))?;
    stage.command("git merge -s ours --no-commit --allow-unrelated-histories tst");
    stage.command("git restore --source tst -SW -- . ':!environments/prd'");
    let name = format!("services/{SERVICE}/app1.conf");
    std::fs::write(stage.repository.root.join(&name), "workers = 666\n")
        .map_err(io("change a file"))?;
    stage.command(format!("echo 'workers = 666' > {name}; git add --all"));
    let approval = stage.repository.approve(&other, "prd", CommitKind::Promote, &source)?;
    stage.command(format!("ssh-keygen -Y sign -n promote@tidegate …   # {other} approves"));
    let message = format!("Promote tst to prd\n\nTidegate: promote prd\n{approval}");
    stage.repository.commit(By::Signed(&person), &message)?;
    stage.command(format!("git commit -S --trailer 'Approved-By: …'   # {person}, with {other}"));
    Ok(())
}

/// Waits until a node refuses nothing any more.
async fn restored(line: &Line, good: &str) -> Result<(), DemoError> {
    until("the good tip again", || async {
        let status = line.status();
        let there = status.as_ref().is_some_and(|status| {
            let tip = status.revision.tip.is_some_and(|tip| tip.to_string() == good);
            tip && status.refused.is_none()
        });
        Ok(if there { Ok(()) } else { Err(condition(status.as_ref())) })
    })
    .await
}
