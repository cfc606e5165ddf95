//! Act seven: the lines at a glance, and what an auditor reads.

use crate::demo::error::DemoError;
use crate::demo::story::Stage;

/// There are differences.
const DIFFERENCES: i32 = 2;

/// Tells it.
pub(crate) fn tell(stage: &mut Stage<'_>) -> Result<(), DemoError> {
    stage.act("Where are we?");
    let person = stage.repository.person("prd", "promote")?;
    let said = stage.types(&person, "tidegate line --app app1", DIFFERENCES)?;
    stage.check(said.contains("app1.web"), "three lines, each verified from its anchor")?;
    stage.act("Who brought what to prd, when, and who agreed? From history alone");
    let anchor = stage.anchor("prd")?;
    let line = format!("tidegate audit log --env prd --repository . --anchor {anchor}");
    let said = stage.types(&person, &line, 0)?;
    let told = ["promote", "pick"].iter().any(|kind| said.contains(kind));
    stage.check(told && said.contains("rollback"), "every line names its commit and its people")
}
