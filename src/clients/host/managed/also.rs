//! Units that name each other in `Also=`, so that systemctl enables and disables all of them at once.
//!
//! In: a unit's name. Out: the others. Effect: reads their files, without those that lie beside them
//! in folders such as `a.service.d`.

use std::collections::{BTreeMap, BTreeSet};

use crate::clients::host::managed::unit::FOUND;
use crate::clients::host::{HostRoot, Silence};
use crate::model::HostPath;

/// A unit's file is a page or two.
const BYTES_MAX: u64 = 1024 * 1024;
/// More units that go together than any program has.
const UNITS_MAX: usize = 50;

impl HostRoot {
    /// Units that a unit names in `Also=`, itself or by others, and that name it in the same way.
    /// What cannot be read names none.
    pub fn tied_to(&self, name: &str, silence: &Silence) -> BTreeSet<String> {
        let mut also: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut asked = vec![name.to_owned()];
        while let Some(next) = asked.pop() {
            if also.len() < UNITS_MAX && !also.contains_key(&next) {
                let named = self.also(&next, silence);
                asked.extend(named.iter().cloned());
                also.insert(next, named);
            }
        }
        let others = also.keys().filter(|other| *other != name);
        others.filter(|other| leads_to(&also, other, name)).cloned().collect()
    }

    fn also(&self, name: &str, silence: &Silence) -> Vec<String> {
        let template = name.split_once('@').and_then(|(prefix, rest)| {
            let (_, suffix) = rest.rsplit_once('.')?;
            Some(format!("{prefix}@.{suffix}"))
        });
        for name in [Some(name.to_owned()), template].into_iter().flatten() {
            for folder in FOUND {
                let Ok(path) = format!("{folder}/{name}").parse::<HostPath>() else { continue };
                if silence.answers(&path).is_err() {
                    return Vec::new();
                }
                if let Ok(Some(text)) = self.text(path.as_str(), BYTES_MAX) {
                    return named(&text);
                }
            }
        }
        Vec::new()
    }
}

/// Whether units lead from one to another.
fn leads_to(also: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    let (mut seen, mut asked) = (BTreeSet::new(), vec![from]);
    while let Some(next) = asked.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            asked.extend(also.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// What a unit's file names in `Also=`, as far as it says that in so many words.
fn named(text: &str) -> Vec<String> {
    let mut section = "";
    let mut named = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[Install]"
            && let Some((key, value)) = line.split_once('=')
            && key.trim_end() == "Also"
        {
            named.extend(value.split_whitespace().filter(|name| !name.contains('%')));
        }
    }
    named.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use crate::clients::host::managed::also::named;

    #[test]
    fn only_its_install_section_says_what_a_unit_takes_along() {
        let text = "[Unit]\nAlso=x.service\n[Install]\n# Also=y.service\nAlso = a.socket b.timer\n\
                    Also=%i.service c.path\nWantedBy=multi-user.target\n";
        assert_eq!(named(text), ["a.socket", "b.timer", "c.path"]);
    }
}
