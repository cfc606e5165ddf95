//! `${…}` in strings.
//!
//! In: a string with its place, a [`Scope`]. Out: the string with everything substituted, or
//! findings that name line and column. Pure.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;

use crate::reconcile::desired::document::node::Node;
use crate::reconcile::desired::document::node::Value;
use crate::reconcile::desired::document::place::Findings;
use crate::reconcile::desired::document::place::Place;

/// How deeply variables may refer to others; more is a cycle or a riddle.
const VARS_DEPTH_MAX: usize = 8;

/// The longest string that substitution may give, so that nested variables cannot explode.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Substitutions within one scope: a service has tens. Depth and length alone do not bound variables
/// that are empty, or many texts that name a long one.
const EXPANSIONS_MAX: usize = 100_000;

/// Bytes that all substitutions within one scope may give; all files together are hardly more.
const EXPANDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What has been substituted within a scope.
#[derive(Debug, Default)]
pub(crate) struct Spent {
    expansions: Cell<usize>,
    bytes: Cell<usize>,
    is_told: Cell<bool>,
}

impl Spent {
    /// Counts a substitution; whether that was one too many.
    fn is_over(&self, bytes: usize) -> bool {
        self.expansions.set(self.expansions.get() + 1);
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        self.expansions.get() > EXPANSIONS_MAX || self.bytes.get() > EXPANDED_BYTES_MAX
    }
}

/// What `${…}` may name.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// `${environment.name}`.
    pub(crate) environment: &'a str,
    /// `${node.name}`.
    pub(crate) node: &'a str,
    /// `${node.labels.x}`.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// `${service.name}`; none outside services.
    pub(crate) service: Option<&'a str>,
    /// `${hub}`; none in `environment.toml`, which sets it.
    pub(crate) hub: Option<&'a str>,
    /// `${vars.x}`.
    pub(crate) vars: &'a BTreeMap<&'a str, &'a Node>,
    /// What was substituted so far.
    pub(crate) spent: Spent,
}

/// A string, number or boolean as text, where one is to be read. A number in octal would be read as
/// another one: it is refused.
pub(crate) fn text<'n>(node: &'n Node, findings: &mut Findings) -> Option<Cow<'n, str>> {
    if let Value::Octal(number) = node.value {
        let message = format!("`{number:#o}` would be read as {number}");
        let help = format!("write \"{number:04o}\" for permission bits, or else {number}");
        findings.error_help(node.at, message, help);
        return None;
    }
    scalar(&node.value)
}

/// A string, number or boolean as text.
pub(crate) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Integer(number) | Value::Octal(number) => Some(Cow::Owned(number.to_string())),
        Value::Float(number) => Some(Cow::Owned(number.to_string())),
        Value::Boolean(boolean) => Some(Cow::Owned(boolean.to_string())),
        Value::Time(time) => Some(Cow::Borrowed(time)),
        Value::List(_) | Value::Table(_) => None,
    }
}

impl Scope<'_> {
    /// `text`, written at `at`, with everything substituted; `None` after an error was noted.
    pub(crate) fn substitute<'t>(
        &self,
        text: &'t str,
        at: Place,
        findings: &mut Findings,
    ) -> Option<Cow<'t, str>> {
        self.expand(text, at, 0, findings)
    }

    fn expand<'t>(
        &self,
        text: &'t str,
        at: Place,
        depth: usize,
        findings: &mut Findings,
    ) -> Option<Cow<'t, str>> {
        if !text.contains('$') {
            return Some(Cow::Borrowed(text));
        }
        let (mut done, mut rest) = (String::with_capacity(text.len()), text);
        let mut sound = true;
        while let Some(dollar) = rest.find('$') {
            done.push_str(&rest[..dollar]);
            let offset = text.len() - rest.len() + dollar;
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                done.push('$');
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) else {
                let here = within(at, text, offset, 1);
                findings.error_help(here, "a lone `$`", "write `$$` for a dollar");
                sound = false;
                continue;
            };
            rest = after;
            let here = within(at, text, offset, name.len() + 3);
            let value = self.value(name, here, depth, findings);
            if self.spent.is_over(value.as_ref().map_or(0, String::len)) {
                self.tell(here, findings);
                return None;
            }
            match value {
                Some(value) if done.len() + value.len() <= TEXT_BYTES_MAX => done.push_str(&value),
                Some(_) => {
                    let message =
                        format!("`${{{name}}}` makes this longer than {TEXT_BYTES_MAX} bytes");
                    findings.error(here, message);
                    return None;
                }
                None => sound = false,
            }
        }
        done.push_str(rest);
        sound.then_some(Cow::Owned(done))
    }

    /// Says once, where it happened first, that there is too much to substitute.
    fn tell(&self, at: Place, findings: &mut Findings) {
        if !self.spent.is_told.replace(true) {
            let message = format!(
                "more than {EXPANSIONS_MAX} substitutions, or {EXPANDED_BYTES_MAX} bytes of them"
            );
            let help = "variables that name each other multiply: write fewer references";
            findings.error_help(at, message, help);
        }
    }

    fn value(
        &self,
        name: &str,
        at: Place,
        depth: usize,
        findings: &mut Findings,
    ) -> Option<String> {
        let fixed = match name {
            "environment.name" => Some(self.environment),
            "node.name" => Some(self.node),
            "service.name" => self.service,
            "hub" => self.hub,
            _ => name
                .strip_prefix("node.labels.")
                .and_then(|label| self.labels.get(label).map(String::as_str)),
        };
        if let Some(value) = fixed {
            return Some(value.to_owned());
        }
        let Some(node) = name.strip_prefix("vars.").and_then(|var| self.vars.get(var)) else {
            findings.error_help(at, format!("`${{{name}}}` is not defined"), self.help(name));
            return None;
        };
        if depth >= VARS_DEPTH_MAX {
            findings.error(node.at, format!("`{name}` refers to itself, or too deeply to others"));
            return None;
        }
        let text = text(node, findings)?;
        self.expand(&text, node.at, depth + 1, findings).map(Cow::into_owned)
    }

    fn help(&self, name: &str) -> String {
        let family = ["vars.", "node.labels."].iter().find(|prefix| name.starts_with(**prefix));
        let known = ["environment.name", "node.name", "service.name", "hub"].map(str::to_owned);
        let labels = self.labels.keys().map(|label| format!("node.labels.{label}"));
        let vars = self.vars.keys().map(|var| format!("vars.{var}"));
        // A shared beginning says nothing about how alike two names are.
        let own = |text: &str| text.strip_prefix(family.unwrap_or(&"")).map(str::to_owned);
        let likeness = |candidate: &str| {
            own(name).zip(own(candidate)).map_or(0.0, |(a, b)| strsim::jaro_winkler(&a, &b))
        };
        let best = known
            .into_iter()
            .chain(labels)
            .chain(vars)
            .map(|candidate| (likeness(&candidate), candidate))
            .filter(|(likeness, _)| *likeness >= 0.85)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((_, candidate)) => format!("did you mean `${{{candidate}}}`?"),
            None if name.starts_with("node.labels.") => {
                format!("give node {} the label, or narrow `nodes`", self.node)
            }
            None => "set it in `[vars]` of a ruleset or of environment.toml; \
                     there are also node.name, node.labels.x, environment.name, service.name and hub; \
                     write `$$` for a dollar"
                .to_owned(),
        }
    }
}

/// The place of `len` bytes at `offset` within a string written at `at`: exact where the string was
/// written without escapes, else the whole string.
fn within(at: Place, text: &str, offset: usize, len: usize) -> Place {
    let written = (at.end - at.start) as usize;
    let quotes = written.saturating_sub(text.len());
    if quotes != 2 {
        return at;
    }
    let byte = |n: usize| u32::try_from(n).unwrap_or(0);
    let start = at.start + 1 + byte(offset);
    Place { start, end: start + byte(len), ..at }
}
