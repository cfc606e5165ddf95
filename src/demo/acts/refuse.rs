//! Act three: what no node believes, and a line that only reports.

use crate::demo::acts::stage::{SERVICE, condition, until};
use crate::demo::error::{DemoError, io};
use crate::demo::repository::{By, set};
use crate::demo::story::Stage;
use crate::model::Mode;
use crate::reconcile::report::Sync;

/// Tells it.
pub(crate) async fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    unsigned(stage).await?;
    report_only(stage).await
}

/// Waits until a node refuses what its branch points at; checks that nothing was touched.
pub(crate) async fn refused(stage: &mut Stage<'_>, environment: &str) -> Result<(), DemoError> {
    let tip = stage.repository.tip(environment)?;
    let line = stage.line(environment)?;
    let told = until("the refusal", || async {
        let status = line.status();
        let refused = status.as_ref().and_then(|s| s.refused.clone());
        let this = refused.filter(|_| {
            let seen = status.as_ref().and_then(|s| s.revision.tip);
            seen.is_some_and(|id| id.to_string() == tip)
        });
        Ok(this.ok_or_else(|| condition(status.as_ref())))
    })
    .await?;
    stage
        .check(true, format!("refused {} ({}): {}", told.commit.short(), told.rule, told.reason))?;
    stage.say(format!("what to do: {}", told.remedy));
    Ok(())
}

async fn unsigned(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("An unsigned commit on dev: refused, what runs stays");
    let (good, before) = (stage.repository.tip("dev")?, stage.line("dev")?.containers().await?);
    stage.repository.switch("dev")?;
    let file = stage.repository.root.join("README.md");
    std::fs::write(&file, "Trust me.\n").map_err(io("write README.md"))?;
    let person = stage.repository.person("dev", "change")?;
    stage.repository.commit(By::Unsigned(&person), "trust me")?;
    stage.command("git commit --no-gpg-sign -m 'trust me'");
    refused(stage, "dev").await?;
    let same = stage.line("dev")?.containers().await? == before;
    stage.check(same, "every container of dev is the same one")?;
    stage.repository.force("dev", &good)
}

/// Commits another mode for prd, as somebody who may.
async fn set_mode(stage: &mut Stage<'_>, mode: Mode) -> Result<(), DemoError> {
    let word = if mode == Mode::Report { "report" } else { "apply" };
    stage.repository.switch("prd")?;
    let file = "environments/prd/environment.toml";
    set(&stage.repository.root, file, &["mode"], word)?;
    let person = stage.repository.person("prd", "local")?;
    let message = format!("prd: {word}\n\nTidegate: local prd");
    let commit = stage.repository.commit(By::Signed(&person), &message)?;
    let trailer = "--trailer 'Tidegate: local prd'";
    stage.command(format!("git commit -S -m 'prd: {word}' {trailer}   # {person} on prd"));
    let line = stage.line("prd")?;
    until("prd's new mode", || async {
        let status = line.status();
        let verified = status.as_ref().and_then(|s| s.revision.verified);
        let seen = verified.is_some_and(|id| id.to_string() == commit);
        let there = seen && status.as_ref().is_some_and(|s| s.mode == mode);
        Ok(if there { Ok(()) } else { Err(condition(status.as_ref())) })
    })
    .await
}

async fn report_only(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("prd in report mode: it says what differs and touches nothing");
    set_mode(stage, Mode::Report).await?;
    let name = stage.line("prd")?.name(SERVICE, "web");
    let mut before = stage.line("prd")?.containers().await?;
    let ran = before.remove(&name);
    stage.command(format!("docker stop {name}"));
    stage.line("prd")?.docker(&["stop", "--time", "0", &name])?;
    let line = stage.line("prd")?;
    let reason = until("prd's report", || async {
        let status = line.status();
        let service = status.as_ref().and_then(|s| s.services.get(SERVICE));
        let differs = service.filter(|s| s.sync == Sync::OutOfSync || s.sync == Sync::Held);
        Ok(differs
            .map(|s| format!("{}: {}", s.sync, s.reason))
            .ok_or_else(|| condition(status.as_ref())))
    })
    .await?;
    stage.check(true, format!("reported: {reason}"))?;
    let mut after = stage.line("prd")?.containers().await?;
    // An engine's list may tell the stop a moment after `docker stop` has ended.
    let stopped = after.remove(&name).filter(|now| Some(now) != ran.as_ref());
    let id = |shown: &Option<String>| Some(shown.as_ref()?.split_once(' ')?.0.to_owned());
    let same = after == before && id(&stopped).is_some() && id(&stopped) == id(&ran);
    stage.check(same, "nothing was started, stopped or made")?;
    stage.say("Back to apply, and it is mended:");
    set_mode(stage, Mode::Apply).await?;
    stage.settled("prd", "web", "prd's web", |_| true).await?;
    stage.check(true, format!("{name} runs again"))
}
