//! `tidegate import`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, ErrorKind, Outcome};
use crate::cli::init::signer;
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::clients::host::{read_bounded, read_tree, write_file};
use crate::import::{Fate, Files, ImportError, Imported, Into, Remark};
use crate::import::{opensvc_compliance, opensvc_service};
use crate::model::EnvironmentName;

/// A collector's export has a few megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Bring services and rules from another tool
///
/// Writes services and rulesets into a directory, and lists what could not be carried, and why. What
/// is written passes `tidegate lint`. Nothing that is there already is changed, but apps are added to
/// tidegate.toml.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// An OpenSVC service: its .conf file
    #[command(
        after_help = "Examples:\n  tidegate import opensvc /etc/opensvc/app1.conf --to config\n  \
        tidegate import opensvc app1.conf --to config -o json"
    )]
    Opensvc(FileArgs),
    /// An OpenSVC collector's rules: what /compliance/modulesets/export or /compliance/rulesets/export
    /// answers
    #[command(
        after_help = "Examples:\n  tidegate import opensvc-compliance export.json --to config\n  \
        tidegate import opensvc-compliance export.json --environments dev,tst,prd --to config\n  \
        tidegate init --from config --keys people repository"
    )]
    OpensvcCompliance(FileArgs),
}

#[derive(Debug, clap::Args)]
struct FileArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The directory to write into: a new one, or a configuration repository's
    #[arg(long, value_name = "DIR", default_value = "imported")]
    to: PathBuf,
    /// The environments, the first one first (default: those of the directory or the file)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    environments: Vec<EnvironmentName>,
    /// Make a key here for you to sign with (default: the key that git signs with)
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    directory: &'a Path,
    files: Vec<&'a str>,
    carried: usize,
    remarks: &'a [Remark],
}

/// Imports a file.
///
/// # Errors
/// When it cannot be read, is something else, or something is in the way.
pub fn run(args: &ImportArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let (What::Opensvc(args) | What::OpensvcCompliance(args), is_service) =
        (&args.what, matches!(args.what, What::Opensvc(_)));
    let text = read(&args.file)?;
    let there = there(&args.to)?;
    let (person, key) = signer(args.keys.as_deref())?;
    let into = Into {
        there: &there,
        environments: &args.environments,
        person: key.as_deref().map(|key| (person.as_str(), key)),
    };
    let imported = if is_service {
        let stem = args.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        opensvc_service(&stem.unwrap_or_default(), &text, into)
    } else {
        opensvc_compliance(&text, into)
    };
    let imported = imported.map_err(|error| explain(&error, args))?;
    for (path, text) in &imported.files {
        let path = args.to.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                let message = format!("cannot make {}: {error}", folder.display());
                CommandError::new(ErrorKind::Failed, message)
            })?;
        }
        write_file(&path, text.as_bytes(), 0o644).map_err(|error| CommandError::failed(&error))?;
    }
    match ctx.format {
        Format::Json => write_json(
            out,
            &Document {
                schema: "tidegate.import/1",
                directory: &args.to,
                files: imported.files.keys().map(String::as_str).collect(),
                carried: imported.n_carried,
                remarks: &imported.remarks,
            },
        )?,
        Format::Table => tell(&imported, args, key.is_some(), ctx, out)?,
    }
    Ok(Outcome::Done)
}

fn read(file: &Path) -> Result<String, CommandError> {
    let bytes = read_bounded(file, FILE_BYTES_MAX).map_err(|error| CommandError::failed(&error))?;
    let bytes =
        bytes.ok_or_else(|| CommandError::usage(format!("there is no {}", file.display())))?;
    String::from_utf8(bytes).map_err(|_| {
        CommandError::new(ErrorKind::Failed, format!("{} is not UTF-8 text", file.display()))
    })
}

/// The files that are there already.
fn there(to: &Path) -> Result<Files, CommandError> {
    if !to.exists() {
        return Ok(Files::new());
    }
    let files = read_tree(to, |_| false).map_err(|error| CommandError::failed(&error))?;
    Ok(files.into_iter().map(|(path, bytes)| (path, Arc::from(&*bytes))).collect())
}

fn explain(error: &ImportError, args: &FileArgs) -> CommandError {
    let failed = CommandError::failed(error);
    match error {
        ImportError::There { .. } => failed.hint(format!(
            "remove it, or import into another directory than {}",
            args.to.display()
        )),
        ImportError::NotThat { .. } => failed.hint(format!("look into {}", args.file.display())),
        ImportError::Unreadable { .. } => failed,
        ImportError::Unsound { .. } => failed.hint(format!(
            "nothing was written: change that in {}, or take it out",
            args.file.display()
        )),
    }
}

fn tell(
    imported: &Imported,
    args: &FileArgs,
    signs: bool,
    ctx: &Context,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let mut table = Table::new(&["STATUS", "WHERE", "WHAT", "WHY"]);
    for remark in &imported.remarks {
        let tone = match remark.fate {
            Fate::NotCarried => Tone::Bad,
            Fate::Changed => Tone::Notice,
        };
        table.row([
            Cell::toned(remark.fate.as_str(), tone),
            remark.place.as_str().into(),
            remark.what.as_str().into(),
            remark.why.as_str().into(),
        ]);
    }
    if !table.is_empty() {
        table.write(out, ctx.paint)?;
        writeln!(out)?;
    }
    let lost = imported.remarks.iter().filter(|remark| remark.fate == Fate::NotCarried).count();
    writeln!(
        out,
        "{} things carried into {} files of {}; {lost} not carried, {} to look at",
        imported.n_carried,
        imported.files.len(),
        args.to.display(),
        imported.remarks.len() - lost
    )?;
    if imported.files.keys().any(|path| path.starts_with("history/")) {
        ctx.notice(&format!(
            "each environment has its own images in `history`: `tidegate init --from {}` makes the \
             repository in which they are each line's own",
            args.to.display()
        ));
    }
    if !signs {
        ctx.notice("nobody may sign yet: write trust.toml, or say --keys DIR");
    }
    Ok(())
}
