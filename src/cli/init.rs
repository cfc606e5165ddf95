//! `tidegate init`.

use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::error::{CommandError, Outcome};
use crate::cli::output::{Cell, Format, Table, Tone, write_json};
use crate::clients::git::user_config;
use crate::model::EnvironmentName;
use crate::promote::{
    Anchored, Beginning, Files, InitError, InitRequest, People, init, public_key, read_files,
    skeleton,
};

/// Make a configuration repository whose lines begin signed
///
/// Without --from it holds a first service to change. Each environment is a branch that begins
/// with a signed anchor; its id goes into the nodes' own configuration, which is printed. Signs as
/// git is told to (gpg.format, user.signingkey), or with keys in the directory of --keys.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tidegate init config\n  \
    tidegate init --from example-repo --keys people demo-config")]
pub struct InitArgs {
    /// The directory to make it in, which must be empty or absent
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Begin the branches with what this directory shows side by side
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Make keys here for the people whom trust.toml names, or use those that lie there
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The environments, the first one first
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "from")]
    #[arg(default_values = ["dev", "tst", "prd"])]
    environments: Vec<EnvironmentName>,
}

#[derive(Serialize)]
struct Made<'a> {
    schema: &'static str,
    repository: &'a str,
    path: &'a Path,
    lines: Vec<MadeLine<'a>>,
}

#[derive(Serialize)]
struct MadeLine<'a> {
    environment: &'a EnvironmentName,
    anchor: String,
    signer: &'a str,
    nodes: Vec<MadeNode<'a>>,
}

#[derive(Serialize)]
struct MadeNode<'a> {
    node: &'a str,
    agent_toml: String,
}

/// Makes the repository and says how its nodes begin.
///
/// # Errors
/// When the directory is in use, there is no key to sign with, or something cannot be written.
pub fn run(args: &InitArgs, ctx: &Context, out: &mut dyn Write) -> Result<Outcome, CommandError> {
    let files = match &args.from {
        Some(dir) => read_files(dir).map_err(|error| CommandError::failed(&error))?,
        None => new_files(args)?,
    };
    let id = repository_id(&files).ok_or_else(|| {
        CommandError::usage("tidegate.toml names no `repository`")
            .hint("write: repository = \"acme-config\"")
    })?;
    if args.from.is_some() && args.keys.is_none() {
        listed_key(&files, ctx)?;
    }
    let request = InitRequest {
        destination: args.dir.clone(),
        files,
        keys: args.keys.clone(),
        time: Timestamp::now(),
    };
    let lines = init(&request).map_err(|error| explain(&error))?;
    let path = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let made = Made {
        schema: "tidegate.init/1",
        repository: &id,
        path: &path,
        lines: lines.iter().map(|line| made_line(line, &id, &path)).collect(),
    };
    match ctx.format {
        Format::Json => write_json(out, &made)?,
        Format::Table => tell(&made, ctx, out)?,
    }
    Ok(Outcome::Done)
}

/// Says whose trust.toml does not list the key that will sign; refuses when none does, for nobody
/// could ever add a commit to such lines.
fn listed_key(files: &Files, ctx: &Context) -> Result<(), CommandError> {
    // An OpenPGP key is named in too many ways to be compared.
    let Some(key) = public_key(user_config, std::env::home_dir().as_deref()) else { return Ok(()) };
    let body = key.split(' ').nth(1).unwrap_or(&key);
    let policies = files.iter().filter_map(|(path, file)| {
        let name = path.strip_prefix("environments/")?.strip_suffix("/trust.toml")?;
        Some((name, String::from_utf8_lossy(&file.bytes).contains(body)))
    });
    let (listing, strange): (Vec<_>, Vec<_>) = policies.partition(|(_, lists)| *lists);
    let names = strange.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if listing.is_empty() && !strange.is_empty() {
        return Err(CommandError::refused(format!(
            "no trust.toml ({names}) lists the key that you sign with, so you could add nothing"
        ))
        .hint("add --keys DIR, which makes a key for each of the people there, or list your key"));
    }
    if !strange.is_empty() {
        ctx.notice(&format!(
            "{} the trust.toml of {names} does not list your key: others go on there",
            ctx.paint_err.tone(Tone::Notice, "note:")
        ));
    }
    Ok(())
}

fn explain(error: &InitError) -> CommandError {
    let failed = CommandError::failed(error);
    match error {
        InitError::Sign(_) => failed.hint(
            "git config --global gpg.format ssh && \
             git config --global user.signingkey ~/.ssh/id_ed25519.pub, or use --keys DIR",
        ),
        InitError::NotEmpty(_) => failed.hint(
            "name a directory that is not there yet, or remove this one if an interrupted `init` left it",
        ),
        _ => failed,
    }
}

/// A skeleton that the user may do everything in.
fn new_files(args: &InitArgs) -> Result<Files, CommandError> {
    let (person, key) = signer(args.keys.as_deref())?;
    let key = key.ok_or_else(|| {
        CommandError::usage("git is not told which SSH key you sign with").hint(
            "git config --global gpg.format ssh && \
             git config --global user.signingkey ~/.ssh/id_ed25519.pub, or use --keys DIR",
        )
    })?;
    let absolute = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let directory = absolute.file_name().map(|n| n.to_string_lossy().into_owned());
    let id = directory.as_deref().and_then(slug).unwrap_or_else(|| "config".to_owned());
    Ok(skeleton(&Beginning {
        repository: &id,
        environments: &args.environments,
        person: &person,
        key: &key,
        contact: &user_config("user.email").unwrap_or_else(|| format!("{person}@example.org")),
    }))
}

/// Who works here, and the key that they sign with: one made in `keys`, or the one that git is told.
pub(crate) fn signer(keys: Option<&Path>) -> Result<(String, Option<String>), CommandError> {
    let name = user_config("user.name").unwrap_or_default();
    let person = slug(&name).unwrap_or_else(|| "alice".to_owned());
    let key = match keys {
        Some(dir) => People::ensure(dir, [person.as_str()])
            .map_err(|error| CommandError::failed(&error))?
            .public(&person)
            .map(str::to_owned),
        None => public_key(user_config, std::env::home_dir().as_deref()),
    };
    Ok((person, key))
}

/// A name made of what a name may hold.
fn slug(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let parts: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|p| !p.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join("-"))
}

fn repository_id(files: &Files) -> Option<String> {
    let file = files.get("tidegate.toml")?;
    let table: toml::Table = toml::from_slice(&file.bytes).ok()?;
    table.get("repository")?.as_str().map(str::to_owned)
}

fn made_line<'a>(line: &'a Anchored, id: &str, path: &Path) -> MadeLine<'a> {
    let agent_toml = |node: &str| {
        format!(
            "node = \"{node}\"\nenvironment = \"{}\"\n\n[repository]\nurl = \"{}\"\n\
             id = \"{id}\"\nanchor = \"{}\"\n",
            line.environment,
            path.display(),
            line.anchor
        )
    };
    let nodes = line.nodes.iter().map(|node| MadeNode { node, agent_toml: agent_toml(node) });
    MadeLine {
        environment: &line.environment,
        anchor: line.anchor.to_string(),
        signer: &line.signer,
        nodes: nodes.collect(),
    }
}

fn tell(made: &Made<'_>, ctx: &Context, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut table = Table::new(&["ENVIRONMENT", "ANCHOR", "SIGNER", "NODES"]);
    for line in &made.lines {
        let nodes: Vec<&str> = line.nodes.iter().map(|node| node.node).collect();
        table.row([
            Cell::from(line.environment.as_str()),
            Cell::from(line.anchor.as_str()),
            Cell::from(line.signer),
            Cell::from(nodes.join(",")),
        ]);
    }
    table.write(out, ctx.paint)?;
    for line in &made.lines {
        for node in &line.nodes {
            let title = format!("# /etc/tidegate/agent.toml on {}", node.node);
            write!(out, "\n{}\n{}", ctx.paint.tone(Tone::Faint, &title), node.agent_toml)?;
        }
    }
    writeln!(out, "\nmade {}; a push is verified first", made.path.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::cli::init::slug;

    #[test]
    fn a_persons_name_becomes_a_name_in_trust_toml() {
        assert_eq!(slug("Alice  Example"), Some("alice-example".to_owned()));
        assert_eq!(slug("--"), None);
    }
}
