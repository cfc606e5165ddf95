//! `sysctl`: a kernel parameter, now and after the next boot.

use serde::Serialize;

use crate::model::kernel_parameter::{parameter_name, parameter_path};
use crate::reconcile::desired::decode::Reader;
use crate::reconcile::desired::document::kind::Key;
use crate::reconcile::desired::document::kind::Keys;
use crate::reconcile::desired::document::kind::Kind;
use crate::reconcile::desired::document::kind::SCALAR;
use crate::reconcile::desired::document::node::Table;

/// Keys of `kind = "sysctl"`.
pub(crate) static KEYS: Keys = Keys {
    name: "sysctl",
    doc: "A kernel parameter, now and after the next boot.",
    keys: &[
        Key::required(
            "key",
            Kind::Text,
            "as sysctl names it: `vm.swappiness`, `net/ipv4/conf/eth0.100/rp_filter`",
        ),
        Key::required("value", SCALAR, "what it must be"),
    ],
};

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SysctlRule {
    /// As sysctl names it: with dots, or with `/` where a step has dots.
    pub key: String,
    /// What it must be, white space as single blanks.
    pub value: String,
}

/// Reads it.
pub(crate) fn read(table: &Table, reader: &mut Reader<'_>) -> Option<SysctlRule> {
    let key = reader.with(table.get("key")?, |text| {
        let name = parameter_name(text).ok_or_else(|| {
            format!("`{text}` is no kernel parameter: write for example `vm.swappiness`")
        })?;
        match of_interface(&name) {
            Some(spelling) => Err(format!(
                "`{text}` has too many steps: the parameter of an interface with a dot in its name \
                 is written `{spelling}`"
            )),
            None => Ok(name),
        }
    });
    let value = reader.with(table.get("value")?, |text| {
        if text.trim().is_empty() || text.contains(['\n', '\r', '\0']) {
            return Err("a kernel parameter has a value, in one line".to_owned());
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    Some(SysctlRule { key: key?, value: value? })
}

/// How a parameter of an interface is spelled whose name's dots were taken for steps, if it is one.
fn of_interface(name: &str) -> Option<String> {
    let path = parameter_path(name)?;
    let steps: Vec<&str> = path.split('/').collect();
    let ["net", "ipv4" | "ipv6", "conf" | "neigh", interface @ .., last] = &steps[..] else {
        return None;
    };
    let all = [&steps[..3].join("/"), &interface.join("."), *last].map(str::to_owned);
    (interface.len() > 1).then(|| all.join("/"))
}
