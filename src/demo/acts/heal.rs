//! Act two: what people and images do to it, and how it comes back.

use crate::demo::acts::stage::{SERVICE, condition, is_well, until};
use crate::demo::error::DemoError;
use crate::demo::recipes::BROKEN;
use crate::demo::repository::By;
use crate::demo::story::Stage;
use crate::reconcile::report::Sync;

/// Tells it.
pub(crate) async fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    removed(stage).await?;
    updated(stage).await?;
    never_healthy(stage).await
}

async fn removed(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Somebody removes a container by hand: it comes back");
    let old = stage.settled("dev", "web", "dev", |_| true).await?;
    let name = stage.line("dev")?.name(SERVICE, "web");
    stage.command(format!("docker rm -f {name}"));
    // An engine under load may fail to empty the folder at once, and wants to be asked again.
    let line = stage.line("dev")?;
    until("the removal", || async {
        let gone = line.container(SERVICE, "web").await?.is_none_or(|c| c.id != old.id);
        let asked =
            if gone { Ok(String::new()) } else { line.docker(&["rm", "-f", old.id.as_str()]) };
        Ok(asked.map_err(|error| error.to_string()))
    })
    .await?;
    let new = stage.settled("dev", "web", "the new container", |id| id != old.id.as_str()).await?;
    let text = format!("{name} is back as {}, with the same image", new.id.short());
    stage.check(new.image_id == old.image_id, text)
}

async fn updated(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Somebody changes a setting by hand: it is repaired in place");
    let old = stage.settled("dev", "web", "dev", |_| true).await?;
    let policy = |c: &crate::clients::docker::ContainerInspect| {
        let name = c.raw.pointer("/HostConfig/RestartPolicy/Name").and_then(|v| v.as_str());
        name.unwrap_or_default().to_owned()
    };
    let (wanted, name) = (policy(&old), stage.line("dev")?.name(SERVICE, "web"));
    let other = if wanted == "no" { "always" } else { "no" };
    stage.command(format!("docker update --restart {other} {name}"));
    stage.line("dev")?.docker(&["update", "--restart", other, &name])?;
    let line = stage.line("dev")?;
    let now = until("the repair", || async {
        let found = line.container(SERVICE, "web").await?;
        Ok(found.filter(|c| policy(c) == wanted).ok_or_else(|| condition(line.status().as_ref())))
    })
    .await?;
    let shown = if wanted.is_empty() { "no" } else { &wanted };
    stage.check(
        now.id == old.id,
        format!("the restart policy is “{shown}” again; the container is the same one"),
    )
}

async fn never_healthy(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("A commit brings an image that never gets healthy: rolled back, and held");
    let old = stage.settled("dev", "web", "dev", |_| true).await?;
    stage.release("dev", "web", &format!("1.4.0{BROKEN}")).await?;
    let held = |line: &crate::demo::line::Line| {
        let status = line.status();
        let service = status.as_ref().and_then(|s| s.services.get(SERVICE));
        service.filter(|s| s.sync == Sync::Held).map(|s| s.reason.clone())
    };
    let line = stage.line("dev")?;
    let reason = until("the rollback", || async {
        let back = line.container(SERVICE, "web").await?.is_some_and(|c| is_well(&c));
        Ok(held(line).filter(|_| back).ok_or_else(|| condition(line.status().as_ref())))
    })
    .await?;
    stage.check(true, format!("held: {reason}"))?;
    let now = stage.line("dev")?.container(SERVICE, "web").await?;
    let same = now.is_some_and(|c| c.id == old.id && is_well(&c));
    stage.check(same, format!("{} runs again, the very same container", old.id.short()))?;

    stage.say("A commit to something else does not try it again:");
    let person = stage.repository.person("dev", "change")?;
    let readme = stage.repository.root.join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap_or_default();
    std::fs::write(&readme, format!("{text}\nNothing to see here.\n"))
        .map_err(crate::demo::error::io("write README.md"))?;
    let message = "README: nothing to see here";
    let commit = stage.repository.commit(By::Signed(&person), message)?;
    stage.command(format!("git commit -S -m '{message}'   # {person} on dev"));
    let line = stage.line("dev")?;
    let still = until("the node to see it", || async {
        let verified = line.status().and_then(|s| s.revision.verified).map(|id| id.to_string());
        let seen = verified.as_deref() == Some(&commit);
        Ok(held(line).filter(|_| seen).ok_or_else(|| condition(line.status().as_ref())))
    })
    .await;
    stage.check(still.is_ok(), "verified, and the service is still held")?;

    stage.say("One that changes the service does:");
    stage.release("dev", "web", "1.4.1").await?;
    let new = stage.settled("dev", "web", "the mended web", |id| id != old.id.as_str()).await?;
    stage.check(true, format!("rolled to 1.4.1, container {}", new.id.short()))
}
