//! `tidegate fix restore`.

use std::io::Write;

use jiff::Timestamp;

use crate::agent::belief::Origin;
use crate::agent::examine::mode_of;
use crate::agent::node::Node;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, Outcome};
use crate::cli::fix::{agree, beside, confirm, fix_error, lock, say};
use crate::cli::fixes::write_diffs;
use crate::cli::operate::agent_error;
use crate::cli::output::Format;
use crate::clients::host::HostRoot;
use crate::compliance::fix::Mender;
use crate::compliance::record::{FixRecord, FixRecords, FixedBy};
use crate::config::Settings;
use crate::model::Mode;

/// Takes a fix back.
///
/// # Errors
/// When there is no such fix, the node is in report mode, or something could not be taken back.
pub(super) fn restore(
    id: &str,
    yes: bool,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let settings = ctx.settings()?;
    let records = FixRecords::below(&settings.state_dir);
    let found = records.get(id).map_err(|error| CommandError::failed(&error))?;
    let Some(record) = found else {
        return Err(CommandError::usage(format!("there is no fix `{id}`"))
            .hint("`tidegate fix list` shows them"));
    };
    match mode(&settings, &record)? {
        Some(Mode::Apply) => {}
        Some(Mode::Report) => {
            let message = "report mode: nothing is changed here, neither forth nor back";
            return Err(CommandError::refused(message)
                .hint("`mode` in environment.toml, the node's or the service's file says so"));
        }
        // The way back is wanted most where a fix broke the way to the repository.
        None => ctx.notice("no revision is believed here, so that nothing says `mode`"),
    }
    let host = HostRoot::open(&settings.host.root).map_err(|error| CommandError::failed(&error))?;
    let host = host.with_package_time_max(settings.host.package_time_max);
    // Who may undo may undo whatever was done: the node's policy guards what is made, not the way back.
    let allowed = &settings.policy.fixes;
    let mender = Mender { host: &host, records: &records, allowed, by: FixedBy::Operator };
    let way = mender.way_back(&record).map_err(|error| fix_error(&error, ctx))?;
    for folder in &way.stays {
        ctx.notice(&format!("{folder} stays: something else lies in it by now"));
    }
    if way.changes.is_empty() {
        ctx.notice("nothing is left to take back");
        return if ctx.format == Format::Json { say(&[], ctx, out) } else { Ok(Outcome::Done) };
    }
    if ctx.format == Format::Table || !yes {
        write_diffs(&way.changes, ctx, &mut *beside(ctx, out))?;
    }
    agree(yes || confirm(&format!("Take back {} ({})?", record.id, record.rule))?)?;
    let _lock = lock(&settings)?;
    let restored = mender.restore(&record, &way, Timestamp::now());
    say(&[restored.map_err(|error| fix_error(&error, ctx))?], ctx, out)
}

/// What the repository lets be done to what a fix changed; none where nothing of it is believed.
fn mode(settings: &Settings, record: &FixRecord) -> Result<Option<Mode>, CommandError> {
    block_on(async {
        let origin = Origin::repository(settings).map_err(|error| agent_error(&error))?;
        let mut node = Node::open(settings.clone(), origin).map_err(|error| agent_error(&error))?;
        mode_of(&mut node, &record.target).await.map_err(|error| agent_error(&error))
    })
}
