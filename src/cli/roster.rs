//! `tidegate trust add`, `remove` and `rotate`.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::civil::Date;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::land::{LandArgs, Landing, explain};
use crate::clients::host::read_bounded;
use crate::model::EnvironmentName;
use crate::promote::act::Act;
use crate::promote::compose::FileId;
use crate::promote::desk::{Desk, DeskError};
use crate::promote::roster::{RosterChange, edit};
use crate::promote::tip::Tip;
use crate::reconcile::trust::Objects as _;
use crate::reconcile::trust::keys::Key;
use crate::reconcile::trust::policy::{
    POLICY_BYTES_MAX, PersonName, PolicyError, Role, TrustPolicy,
};

/// A public key is a line; a certificate is a page.
const KEY_BYTES_MAX: u64 = 1 << 20;

/// Whom a change is about, and where.
#[derive(Debug, clap::Args)]
struct Whose {
    /// The person, as trust.toml names them
    #[arg(value_name = "PERSON", value_parser = |text: &str| PersonName::parse(text))]
    person: PersonName,
    /// The environment whose trust.toml is changed
    #[arg(long, value_name = "ENV")]
    env: EnvironmentName,
    #[command(flatten)]
    landing: LandArgs,
}

/// Arguments of `trust add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    #[command(flatten)]
    whose: Whose,
    /// Their public key: a file, a line `ssh-ed25519 AAAA…`, or `openpgp:<fingerprint>`
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The OpenPGP certificate that holds the key, for keys/
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// What they may do: change, promote, local, hotfix, rollback, admin
    #[arg(long, value_name = "ROLE", value_delimiter = ',', value_parser = role)]
    role: Vec<Role>,
    /// The last day (UTC) on which their keys count
    #[arg(long, value_name = "DATE")]
    not_after: Option<Date>,
}

/// Arguments of `trust remove`.
#[derive(Debug, clap::Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    whose: Whose,
    /// Only this key of theirs
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

/// Arguments of `trust rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    whose: Whose,
    /// Their new public key, as in `trust add`
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The key that goes (default: all that they have)
    #[arg(long, value_name = "KEY")]
    old: Option<String>,
}

fn role(text: &str) -> Result<Role, String> {
    let all = [Role::Change, Role::Promote, Role::Local, Role::Hotfix, Role::Rollback, Role::Admin];
    let names = all.map(|role| role.to_string());
    let at = names.iter().position(|name| name == text);
    at.map(|at| all[at]).ok_or_else(|| format!("there are {}", names.join(", ")))
}

/// A key as trust.toml lists it: given itself, or in a file.
fn key_text(text: &str) -> Result<String, CommandError> {
    let written = match Path::new(text) {
        path if path.is_file() => {
            let bytes = read_bounded(path, KEY_BYTES_MAX);
            let bytes = bytes.map_err(|error| CommandError::failed(&error))?.unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim().to_owned()
        }
        _ => text.trim().to_owned(),
    };
    let hint = "name a public key: ~/.ssh/id_ed25519.pub, never the private one";
    // Nothing of a private key is ever shown.
    if written.contains("PRIVATE KEY") {
        return Err(CommandError::usage(format!("{text} is a private key")).hint(hint));
    }
    let is_path = text.contains('/') && !text.contains(' ');
    if is_path && !Path::new(text).exists() {
        return Err(CommandError::usage(format!("there is no {text}")).hint(hint));
    }
    written.parse::<Key>().map_err(|error| CommandError::usage(error.to_string()).hint(hint))?;
    Ok(written)
}

fn key(text: &str) -> Result<Key, CommandError> {
    key_text(text)?.parse().map_err(|error| CommandError::usage(format!("{error}")))
}

/// Adds.
///
/// # Errors
/// When it is refused, or something fails; then nothing was pushed.
pub fn add(args: &AddArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let change = RosterChange::Add {
        person: args.whose.person.clone(),
        key: args.key.as_deref().map(key_text).transpose()?,
        roles: args.role.clone(),
        not_after: args.not_after,
    };
    land(&args.whose, &change, args.certificate.as_deref(), ctx, out)
}

/// Removes.
///
/// # Errors
/// As [`add`].
pub fn remove(
    args: &RemoveArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let key = args.key.as_deref().map(key).transpose()?;
    let change = RosterChange::Remove { person: args.whose.person.clone(), key };
    land(&args.whose, &change, None, ctx, out)
}

/// Rotates.
///
/// # Errors
/// As [`add`].
pub fn rotate(
    args: &RotateArgs,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let change = RosterChange::Rotate {
        person: args.whose.person.clone(),
        key: key_text(&args.key)?,
        old: args.old.as_deref().map(key).transpose()?,
    };
    land(&args.whose, &change, None, ctx, out)
}

fn land(
    whose: &Whose,
    change: &RosterChange,
    certificate: Option<&Path>,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<Outcome, CommandError> {
    let certificate = match certificate {
        None => None,
        Some(path) => {
            let bytes = read_bounded(path, KEY_BYTES_MAX);
            let bytes = bytes.map_err(|error| CommandError::failed(&error))?;
            let none = || CommandError::usage(format!("there is no {}", path.display()));
            Some(bytes.ok_or_else(none)?)
        }
    };
    let landing = Landing::open(&whose.landing, &whose.env, ctx)?;
    let build = |desk: &Desk, tip: &Tip| {
        let own = format!("environments/{}", tip.environment);
        let mut listing = tip.listing.clone();
        let mut put = |path: String, bytes: &[u8]| -> Result<(), CommandError> {
            let id = desk.blob(bytes).map_err(|error| explain(&error))?;
            listing.insert(path, FileId { executable: false, id });
            Ok(())
        };
        let path = format!("{own}/trust.toml");
        let file = tip.listing.get(&path).map(|file| file.id);
        let objects = desk.objects().map_err(|error| explain(&error))?;
        let text = match file {
            Some(id) => objects.blob(id, POLICY_BYTES_MAX),
            None => return Err(CommandError::usage(format!("there is no {path}"))),
        };
        let text = text.map_err(|error| explain(&DeskError::Objects(error)))?;
        let text = edit(&String::from_utf8_lossy(&text), change)
            .map_err(|error| CommandError::new(ErrorKind::Usage, error.to_string()))?;
        TrustPolicy::parse(text.as_bytes()).map_err(|error| {
            let hint = match &error {
                PolicyError::KeyTwice { .. } => {
                    "it is there already: `tidegate trust remove NAME --key OLD` takes another one away"
                }
                _ => "give the role to somebody else first, or mend its threshold by hand",
            };
            CommandError::usage(format!("trust.toml would not be valid then: {error}")).hint(hint)
        })?;
        put(path, text.as_bytes())?;
        if let Some(bytes) = &certificate {
            put(format!("{own}/keys/{}.asc", whose.person), bytes)?;
        }
        Ok(Act::Admin { listing, subject: change.subject() })
    };
    landing.run(&build, out)
}
