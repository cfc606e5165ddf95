//! Act five: what comes to tst has to rest on dev first, whoever lands it, and by whatever button.

use std::time::{Duration, Instant};

use crate::demo::acts::promote::{applied, page};
use crate::demo::acts::stage::{condition, until};
use crate::demo::error::DemoError;
use crate::demo::repository::{By, set};
use crate::demo::story::Stage;

/// How long: enough for a busy machine to see it held, and over while other acts are told.
const SOAK_SECS: u64 = 12;
/// What comes.
const VERSION: &str = "1.5.0";
/// Refused by trust or policy.
const REFUSED: i32 = 3;

/// Tells how it begins to wait.
pub(crate) async fn begin(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("tst lets nothing in that has not rested on dev");
    demand(stage)?;
    let begun = Instant::now();
    stage.release("dev", "web", VERSION).await?;
    let person = stage.repository.person("tst", "promote")?;
    stage.types(&person, "tidegate promote --to tst --app app1", REFUSED)?;
    stage.say("It may be proposed meanwhile; and a forge's merge button knows nothing of soaks:");
    stage.types(&person, "tidegate promote --to tst --app app1 --propose", 0)?;
    let before = stage.line("tst")?.containers().await?;
    stage.types(&person, "git fetch --quiet", 0)?;
    stage.types(&person, "git push --quiet origin origin/promote/tst/1:tst", 0)?;
    let tip = stage.repository.tip("tst")?;
    let line = stage.line("tst")?;
    let held = until("the soak", || async {
        let status = line.status();
        let waits = status.as_ref().and_then(|status| status.waits.clone());
        let this = waits.filter(|waits| waits.commit.to_string() == tip);
        let verified = status.as_ref().and_then(|status| status.revision.verified);
        let is_over = verified.is_some_and(|commit| commit.to_string() == tip);
        Ok(if is_over {
            Ok(None)
        } else {
            this.map(Some).ok_or_else(|| condition(status.as_ref()))
        })
    })
    .await?;
    let Some(held) = held else {
        let rested = begun.elapsed() >= Duration::from_secs(SOAK_SECS);
        return stage
            .check(rested, "so busy a machine that the soak was over before tst's node looked");
    };
    let (commit, until) = (held.commit.short(), held.until.strftime("%H:%M:%S"));
    stage.check(true, format!("tst's node holds {commit} until {until}: {}", held.reason))?;
    let same = stage.line("tst")?.containers().await? == before;
    stage.check(same, "every container of tst is the same one")?;
    stage.say("Its time passes while the story goes on.");
    Ok(())
}

/// tst's admin asks for a soak.
fn demand(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    let person = stage.repository.person("tst", "admin")?;
    stage.repository.switch("tst")?;
    let file = "environments/tst/trust.toml";
    set(&stage.repository.root, file, &["promotion", "soak"], format!("{SOAK_SECS}s"))?;
    let message = format!("tst: sources rest for {SOAK_SECS}s");
    let full = format!("{message}\n\nTidegate: admin tst");
    stage.repository.commit(By::Signed(&person), &full)?;
    let trailer = "--trailer 'Tidegate: admin tst'";
    stage.command(format!("git commit -S -m '{message}' {trailer}   # {person} on tst"));
    Ok(())
}

/// Tells how it ends.
pub(crate) async fn end(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("tst's soak is over: its node goes on by itself");
    applied(stage, "tst").await?;
    let page = page(stage, "tst").await?;
    stage.check(page.contains(VERSION), format!("app1.tst says “{page}”"))
}
