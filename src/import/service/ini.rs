//! The file: sections with keys, a line each, a long value going on in indented lines.

/// A section: its name, and keys with values in the order written.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// `DEFAULT`, `container#1`.
    pub(crate) name: String,
    pub(crate) keys: Vec<(String, String)>,
}

impl Section {
    /// `container` of `container#1`.
    pub(crate) fn group(&self) -> &str {
        self.name.split('#').next().unwrap_or_default()
    }

    /// `1` of `container#1`.
    pub(crate) fn index(&self) -> &str {
        self.name.split_once('#').map_or("", |(_, index)| index)
    }

    /// The value of a key, without a scope.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Reads the sections, or says which line is none of it.
pub(crate) fn sections(text: &str) -> Result<Vec<Section>, String> {
    let mut all: Vec<Section> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            all.push(Section { name: name.trim().to_owned(), keys: Vec::new() });
            continue;
        }
        let bad = || format!("line {} is neither `[section]` nor `key = value`", at + 1);
        let section = all.last_mut().ok_or_else(bad)?;
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = section.keys.last_mut()
        {
            value.push(' ');
            value.push_str(trimmed);
            continue;
        }
        let (key, value) = trimmed.split_once('=').ok_or_else(bad)?;
        section.keys.push((key.trim().to_lowercase(), value.trim().to_owned()));
    }
    Ok(all)
}
