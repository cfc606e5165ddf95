//! Values as people write them, and the variables that they use.

use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::explain::keys::Key;

/// A value on one line, as TOML.
pub(crate) fn written(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => toml::Value::String(text.clone()).to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Octal(number) => format!("{number:#o}"),
        Value::Float(number) => number.to_string(),
        Value::Boolean(boolean) => boolean.to_string(),
        Value::Time(time) => time.clone(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let entries = table.0.iter().map(|(key, e)| format!("{key} = {}", written(&e.node)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The variables that a text names, of the container that `key` belongs to and of the service.
pub(crate) fn variables(text: &str, key: &Key) -> Vec<Key> {
    let container = match key {
        Key::Var(container, _) => container.clone(),
        Key::Pin(name, _) => Some(name.clone()),
        Key::Path(path) if path.len() > 2 && path[0] == "containers" => Some(path[1].clone()),
        Key::Path(_) => None,
    };
    // A `$${` is a dollar and a brace.
    let text = text.replace("$$", "");
    let names = text.split("${vars.").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    let both = |name: &str| {
        let own = container.clone().map(|own| Key::Var(Some(own), name.to_owned()));
        own.into_iter().chain([Key::Var(None, name.to_owned())])
    };
    names.flat_map(both).collect()
}
