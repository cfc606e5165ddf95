//! An OpenSVC service's configuration → a service, its nodes and variables.

mod arguments;
mod container;
mod ini;

use toml_edit::{DocumentMut, InlineTable, Item, Table};

use crate::import::ImportError;
use crate::import::draft::{Draft, RulesetDraft};
use crate::import::service::container::{container, truth};
use crate::import::service::ini::{Section, sections};
use crate::import::words::{braces, name, variable};
use crate::model::EnvironmentName;

/// Drivers whose containers an engine of ours can run.
const DRIVERS: [&str; 3] = ["docker", "podman", "oci"];

/// Reads a configuration into the draft.
pub(crate) fn read(named: &str, text: &str, draft: &mut Draft) -> Result<(), ImportError> {
    let sections = sections(text).map_err(|what| ImportError::NotThat { what })?;
    let is_container = |section: &&Section| {
        section.group() == "container" && DRIVERS.contains(&section.get("type").unwrap_or("docker"))
    };
    if !sections.iter().any(|section| is_container(&section)) {
        let what = "it has no [container#…] that Docker runs: is it a service's configuration?";
        return Err(ImportError::NotThat { what: what.to_owned() });
    }
    let service = name(named);
    let mut document = DocumentMut::new();
    let mut containers = Table::new();
    containers.set_implicit(true);
    let mut volumes = Vec::new();
    document.insert("app", service.as_str().into());
    for section in &sections {
        match section.group() {
            "DEFAULT" => general(section, &mut document, draft),
            "env" => variables(&service, section, draft),
            "container" if !is_container(&section) => {
                let what = section.get("type").unwrap_or_default();
                let what = format!("all of it (type = {what})");
                draft.lost(&section.name, what, "Docker does not run it");
            }
            "container" if section.get("disable").and_then(truth) == Some(true) => {
                draft.lost(&section.name, "all of it", "it is disabled");
            }
            "container" if containers.contains_key(&name(section.index())) => {
                let why = format!("container {} is there already", name(section.index()));
                draft.lost(&section.name, "all of it", why);
            }
            "container" => {
                let (table, mounted) = container(section, draft);
                volumes.extend(mounted);
                containers.insert(&name(section.index()), Item::Table(table));
            }
            _ => other(section, draft),
        }
    }
    document.insert("containers", Item::Table(containers));
    if !volumes.is_empty() {
        let mut table = Table::new();
        table.set_implicit(true);
        for volume in volumes {
            table.insert(&volume, Item::Table(Table::new()));
        }
        document.insert("volumes", Item::Table(table));
    }
    let app = document.get("app").and_then(Item::as_str).unwrap_or_default().to_owned();
    draft.apps.insert(app);
    draft.services.insert(service, document);
    Ok(())
}

/// What a resource besides containers is here.
fn other(section: &Section, draft: &mut Draft) {
    let why = match section.group() {
        "ip" => "addresses are the node's: publish ports, or give the container's network",
        "volume" => "a volume is declared where a container mounts it",
        "fs" | "disk" => {
            "file systems are the node's: mount it there, and allow it in [policy] bind_mounts"
        }
        "task" | "sync" => "nothing here runs on a schedule: use a timer of the node's",
        "subset" => "containers start as soon as what they depend on is there: `depends_on`",
        _ => "there is nothing like it here",
    };
    draft.lost(&section.name, "all of it", why);
}

fn general(section: &Section, document: &mut DocumentMut, draft: &mut Draft) {
    let environment = environment(section, draft);
    for (key, value) in &section.keys {
        let mut lost = |why: &str| draft.lost("DEFAULT", format!("{key} = {value}"), why);
        match key.as_str() {
            "app" => {
                document.insert("app", name(value).into());
            }
            "nodes" => nodes(value, environment.as_ref(), document, draft),
            "env" if environment.is_some() => {}
            "env" => lost("it is not among the environments"),
            "id" | "name" | "comment" | "created" => {}
            "drpnodes" => lost("a site for disasters is an environment's nodes of its own"),
            "topology" | "orchestrate" | "placement" | "flex_min" | "flex_max" | "flex_target"
            | "flex_min_nodes" | "flex_max_nodes" | "priority" => {
                lost("every node in `nodes` runs it; for failover use an engine that has it");
            }
            "parents" | "children" | "slave" | "slaves" => {
                lost("services do not wait for one another: containers of one service do");
            }
            "comp_schedule" => lost("say `check` in environment.toml"),
            _ => lost("there is nothing like it here"),
        }
        if matches!(key.as_str(), "app" | "nodes") || (key == "env" && environment.is_some()) {
            draft.n_carried += 1;
        }
    }
}

fn environment(section: &Section, draft: &mut Draft) -> Option<EnvironmentName> {
    // The agent's default is the test environment; whoever leaves it out means production here.
    draft.environment(section.get("env").unwrap_or("prd"))
}

fn nodes(
    value: &str,
    environment: Option<&EnvironmentName>,
    document: &mut DocumentMut,
    draft: &mut Draft,
) {
    let plain = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if value == "*" {
        return;
    }
    if !value.split([' ', ',']).all(plain) {
        let why = "write a selector of labels into `nodes`: it runs on every node until then";
        return draft.lost("DEFAULT", format!("nodes = {value}"), why);
    }
    let names = value.split([' ', ',']).filter(|name| !name.is_empty());
    let names: Vec<String> =
        names.map(|node| name(node.split('.').next().unwrap_or(node))).collect();
    document.insert("nodes", format!("name in ({})", names.join(",")).into());
    if let Some(environment) = environment {
        draft.nodes.extend(names.into_iter().map(|node| (environment.clone(), node)));
    }
}

/// `[env]` → variables that `${vars.…}` names.
fn variables(service: &str, section: &Section, draft: &mut Draft) {
    let mut matches = InlineTable::new();
    matches.insert("service", service.into());
    let title = format!("[env] of {service}");
    let mut ruleset = RulesetDraft { title, matches, ..RulesetDraft::default() };
    for (key, value) in &section.keys {
        match braces(value) {
            Ok(value) if !key.contains('@') => {
                let own = variable(key);
                if ruleset.vars.get(&own).is_some_and(|there| *there != value) {
                    let why = format!("variable {own} is set already, to something else");
                    draft.lost("env", format!("{key} = {value}"), why);
                    continue;
                }
                draft.n_carried += 1;
                ruleset.vars.insert(own, value);
            }
            Ok(_) => draft.lost("env", key, "write it into a ruleset that matches those nodes"),
            Err(why) => draft.lost("env", format!("{key} = {value}"), why),
        }
    }
    if !ruleset.is_empty() {
        draft.rulesets.insert(format!("rulesets/it/services/{service}.toml"), ruleset);
    }
}
