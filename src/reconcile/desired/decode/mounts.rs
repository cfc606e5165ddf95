//! `volumes`, `tmpfs` and `configs` of a container.

use crate::model::ConfigName;
use crate::model::VolumeName;
use crate::model::size::parse_size;
use crate::reconcile::desired::container::ConfigContent;
use crate::reconcile::desired::container::Mount;
use crate::reconcile::desired::container::MountSource;
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::decode::octal;
use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Table;
use crate::reconcile::desired::document::place::Place;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Files are readable unless said otherwise, as in Compose.
const CONFIG_MODE: u32 = 0o444;

/// What a container's mounts may refer to.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    /// `[volumes]` of the service.
    pub(crate) volumes: &'a BTreeSet<VolumeName>,
    /// `[configs]` of the service; none where the content could not be had.
    pub(crate) configs: &'a BTreeMap<ConfigName, Option<ConfigContent>>,
}

/// Reads everything mounted.
pub(crate) fn mounts(table: &Table, sources: &Sources<'_>, reader: &mut Reader<'_>) -> Vec<Mount> {
    let list = |key: &str| table.get(key).map(Node::one_or_many).unwrap_or_default();
    let mut found: Vec<(Place, Mount)> = Vec::new();
    for node in list("volumes") {
        let mount = match node.as_table() {
            Some(table) => long(table, node, sources, reader),
            None => short(node, sources, reader),
        };
        found.extend(mount.map(|mount| (node.at, mount)));
    }
    for node in list("tmpfs") {
        found.extend(reader.with(node, tmpfs).map(|mount| (node.at, mount)));
    }
    for node in list("configs") {
        found.extend(config(node, sources, reader).map(|mount| (node.at, mount)));
    }
    let mut targets = BTreeSet::new();
    for (at, mount) in &found {
        if let Some(why) = bad_path(&mount.target) {
            let message = format!("`{}` is not a path inside: {why}", mount.target);
            reader.findings.error(*at, message);
        } else if !targets.insert(mount.target.trim_end_matches('/')) {
            reader.findings.error(*at, format!("`{}` is mounted twice", mount.target));
        }
    }
    found.into_iter().map(|(_, mount)| mount).collect()
}

/// What is wrong with an absolute path.
fn bad_path(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.split('/').any(|part| part == "..") {
        Some("it contains `..`")
    } else if path.contains('\0') || path.contains('\n') {
        Some("it contains a control character")
    } else {
        None
    }
}

/// `SOURCE:TARGET[:OPTIONS]`.
fn short(node: &Node, sources: &Sources<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    let text = reader.text(node)?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        [_] => {
            let message = format!("`{text}` is an anonymous volume");
            let help = "name it: `data:/path`, with `[volumes.data]`";
            reader.findings.error_help(node.at, message, help);
            return None;
        }
        _ => {
            let help = "write `data:/path`, `/host/path:/path:ro` or the long form";
            reader.findings.error_help(node.at, format!("`{text}` is not a volume"), help);
            return None;
        }
    };
    let mut mount = Mount {
        target: target.to_owned(),
        source: source_of(source, node.at, sources, reader)?,
        read_only: false,
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let known = match (option, &mut mount.source) {
            ("ro", _) => {
                mount.read_only = true;
                true
            }
            ("rw", _) => true,
            ("nocopy", MountSource::Volume { nocopy, .. }) => {
                *nocopy = true;
                true
            }
            (
                "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave",
                MountSource::Bind { propagation, .. },
            ) => {
                *propagation = Some(option.to_owned());
                true
            }
            _ => false,
        };
        if !known {
            let message = format!("option `{option}` of a volume is not supported in this version");
            reader.findings.error_help(
                node.at,
                message,
                "known are ro, rw, nocopy and propagation",
            );
        }
    }
    Some(mount)
}

fn source_of(
    source: &str,
    at: Place,
    sources: &Sources<'_>,
    reader: &mut Reader<'_>,
) -> Option<MountSource> {
    if source.starts_with(['/', '.', '~']) {
        return bind(source, at, reader);
    }
    match source.parse::<VolumeName>() {
        Ok(volume) if sources.volumes.contains(&volume) => {
            Some(MountSource::Volume { volume, nocopy: false })
        }
        Ok(volume) => {
            let message = format!("volume `{volume}` is not defined");
            reader.findings.error_help(at, message, format!("add `[volumes.{volume}]`"));
            None
        }
        Err(error) => {
            reader.findings.error(at, error.to_string());
            None
        }
    }
}

fn bind(path: &str, at: Place, reader: &mut Reader<'_>) -> Option<MountSource> {
    if let Some(why) = bad_path(path) {
        let message = format!("`{path}` is not a path of the host: {why}");
        let help = "write an absolute path; files of the repository are mounted with `configs`";
        reader.findings.error_help(at, message, help);
        return None;
    }
    Some(MountSource::Bind { path: path.to_owned(), propagation: None, create_host_path: true })
}

fn long(
    table: &Table,
    node: &Node,
    sources: &Sources<'_>,
    reader: &mut Reader<'_>,
) -> Option<Mount> {
    let kind = reader.text_at(table, "type")?;
    let target = reader.text_at(table, "target")?;
    let read_only = reader.boolean(table, "read_only");
    for (options, of) in [("volume", "volume"), ("bind", "bind"), ("tmpfs", "tmpfs")] {
        if let Some(entry) = table.0.get(options).filter(|_| of != kind) {
            let message = format!("`{options}` does not go with `type = \"{kind}\"`");
            reader.findings.error(entry.key_at, message);
        }
    }
    let source = table.get("source");
    if kind != "tmpfs" && source.is_none() {
        reader.findings.error(node.at, "`source` is missing");
        return None;
    }
    let empty = Table::default();
    let options = table.table(&kind).unwrap_or(&empty);
    let source = match (kind.as_str(), source) {
        ("tmpfs", Some(source)) => {
            reader.findings.error(source.at, "a tmpfs has no source");
            return None;
        }
        ("tmpfs", None) => MountSource::Tmpfs {
            size: reader.size(options, "size"),
            mode: reader.mode(options, "mode"),
        },
        ("bind", Some(source)) => {
            let path = reader.text(source)?;
            let MountSource::Bind { path, .. } = bind(&path, source.at, reader)? else {
                return None;
            };
            MountSource::Bind {
                path,
                propagation: reader.text_at(options, "propagation"),
                create_host_path: reader.option(options, "create_host_path").unwrap_or(true),
            }
        }
        (_, Some(source)) => {
            let name = reader.text(source)?;
            let MountSource::Volume { volume, .. } = source_of(&name, source.at, sources, reader)?
            else {
                let message = "a volume's source is a key of `[volumes]`";
                reader.findings.error_help(source.at, message, "or write `type = \"bind\"`");
                return None;
            };
            MountSource::Volume { volume, nocopy: reader.boolean(options, "nocopy") }
        }
        (_, None) => return None,
    };
    Some(Mount { target, source, read_only })
}

/// `/path[:size=64m,mode=1777]`.
fn tmpfs(text: &str) -> Result<Mount, String> {
    let (target, options) = text.split_once(':').unwrap_or((text, ""));
    let (mut size, mut mode, mut read_only) = (None, None, false);
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", value)) => size = Some(parse_size(value).map_err(|e| e.to_string())?),
            Some(("mode", value)) => {
                let error = || format!("`{value}` is not octal digits");
                mode = Some(octal(value).ok_or_else(error)?);
            }
            None if option == "ro" => read_only = true,
            None if option == "rw" => {}
            _ => {
                return Err(format!(
                    "option `{option}` of a tmpfs is not supported in this version"
                ));
            }
        }
    }
    Ok(Mount { target: target.to_owned(), source: MountSource::Tmpfs { size, mode }, read_only })
}

fn config(node: &Node, sources: &Sources<'_>, reader: &mut Reader<'_>) -> Option<Mount> {
    let (source, target, mode) = match node.as_table() {
        Some(table) => {
            let source = table.get("source")?;
            (source, reader.text_at(table, "target"), reader.mode(table, "mode"))
        }
        None => (node, None, None),
    };
    let name: ConfigName = reader.parsed(source)?;
    let Some(content) = sources.configs.get(&name) else {
        let message = format!("config `{name}` is not defined");
        let help = format!("add `[configs.{name}]` with `file` or `content`");
        reader.findings.error_help(source.at, message, help);
        return None;
    };
    let target = target.unwrap_or_else(|| format!("/{name}"));
    let content = content.clone()?;
    let mode = mode.unwrap_or(CONFIG_MODE);
    let source = MountSource::Config { config: name, content, mode };
    Some(Mount { target, source, read_only: true })
}
