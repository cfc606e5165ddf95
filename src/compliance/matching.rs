//! Whether a rule's own `match` fits what is known.
//!
//! In: a [`Condition`], [`Facts`]. Out: [`Applies`]. Pure.
//!
//! # Guarantees
//! * The conditions of one table hold for the same row.
//! * What is not known makes a condition unknown, never true or false.

use crate::compliance::facts::{FactValue, Facts, Known, Row};
use crate::reconcile::desired::rule::{Condition, Test};

/// Whether a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applies {
    /// It does.
    Yes,
    /// It does not, and why.
    No(String),
    /// Nobody knows, and why.
    Unknown(String),
}

/// Judges a condition.
pub fn applies(condition: &Condition, facts: &Facts) -> Applies {
    match condition {
        Condition::Place(true) => Applies::Yes,
        Condition::Place(false) => Applies::No("another place is meant".to_owned()),
        Condition::All(all) => {
            let mut unknown = None;
            for inner in all {
                match applies(inner, facts) {
                    Applies::Yes => {}
                    no @ Applies::No(_) => return no,
                    other @ Applies::Unknown(_) => unknown = unknown.or(Some(other)),
                }
            }
            unknown.unwrap_or(Applies::Yes)
        }
        Condition::Any(any) => {
            let (mut unknown, mut reasons) = (None, Vec::new());
            for inner in any {
                match applies(inner, facts) {
                    Applies::Yes => return Applies::Yes,
                    Applies::No(reason) => reasons.push(reason),
                    other @ Applies::Unknown(_) => unknown = unknown.or(Some(other)),
                }
            }
            reasons.dedup();
            unknown.unwrap_or_else(|| Applies::No(reasons.join(", ")))
        }
        Condition::Not(inner) => match applies(inner, facts) {
            Applies::Yes => Applies::No("what is excluded is so".to_owned()),
            Applies::No(_) => Applies::Yes,
            unknown @ Applies::Unknown(_) => unknown,
        },
        Condition::One { fact, tests } => one(fact, tests, facts),
        Condition::Row { fact, fields } => row(fact, fields, facts),
    }
}

fn one(fact: &str, tests: &[Test], facts: &Facts) -> Applies {
    match facts.get(fact) {
        Some(Known::One(value)) if fits(value, tests) => Applies::Yes,
        Some(Known::One(value)) => Applies::No(format!("{fact} is {value}, not {}", wanted(tests))),
        Some(Known::Missing(reason)) => Applies::Unknown(format!("{fact} is not known: {reason}")),
        Some(Known::Rows(_)) | None => Applies::Unknown(format!("{fact} was not collected")),
    }
}

fn row(fact: &str, fields: &[(&str, Vec<Test>)], facts: &Facts) -> Applies {
    match facts.get(fact) {
        Some(Known::Rows(rows)) => {
            let mut unknown = None;
            for row in rows {
                match row_fits(row, fields) {
                    Some(lacking) if lacking.is_empty() => return Applies::Yes,
                    Some(lacking) => unknown = unknown.or(Some((row, lacking))),
                    None => {}
                }
            }
            if let Some((row, lacking)) = unknown {
                // What a row is called comes first or under `name`.
                let called = row.get("name").or_else(|| row.0.first().map(|(_, value)| value));
                let called = called.map(|value| format!(" {value}")).unwrap_or_default();
                let lacking = lacking.join(" and ");
                return Applies::Unknown(format!("{lacking} of {fact}{called} is not known"));
            }
            let shown = |(name, tests): &(&str, Vec<Test>)| format!("{name} {}", wanted(tests));
            let all: Vec<String> = fields.iter().map(shown).collect();
            Applies::No(format!("no {fact} has {}", all.join(" and ")))
        }
        Some(Known::Missing(reason)) => Applies::Unknown(format!("{fact} is not known: {reason}")),
        Some(Known::One(_)) | None => Applies::Unknown(format!("{fact} was not collected")),
    }
}

/// The fields that a row does not say, if what it does say fits.
fn row_fits<'c>(row: &Row, fields: &[(&'c str, Vec<Test>)]) -> Option<Vec<&'c str>> {
    let mut lacking = Vec::new();
    for (name, tests) in fields {
        match row.get(name) {
            Some(value) if fits(value, tests) => {}
            Some(_) => return None,
            None => lacking.push(*name),
        }
    }
    Some(lacking)
}

fn wanted(tests: &[Test]) -> String {
    tests.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Whether a value fits one of these.
pub fn fits(value: &FactValue, tests: &[Test]) -> bool {
    tests.iter().any(|test| match (test, value) {
        (
            Test::Like(pattern),
            FactValue::Text(text) | FactValue::Hidden(text) | FactValue::Version(text, _),
        ) => like(pattern, text),
        (Test::Is(wanted), FactValue::Boolean(is)) => wanted == is,
        (Test::Numbers(all), FactValue::Number(number)) => {
            all.iter().all(|(comparison, other)| comparison.holds(number.cmp(other)))
        }
        (Test::Versions(all), FactValue::Version(version, order)) => {
            all.iter().all(|(comparison, other)| comparison.holds(order.compare(version, other)))
        }
        _ => false,
    })
}

/// Whether `text` is like `pattern`, in which `*` stands for any part. Linear in the text for each
/// `*`.
pub fn like(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::compliance::facts::{FactValue, Facts, Known, Row};
    use crate::compliance::matching::{Applies, applies, like};
    use crate::model::VersionOrder;
    use crate::reconcile::desired::rule::{Comparison, Condition, Test};

    fn package(name: &str, version: &str) -> Row {
        Row(vec![
            ("name", FactValue::text(name)),
            ("version", FactValue::Version(version.to_owned(), VersionOrder::Debian)),
        ])
    }

    fn asks(name: &str, below: &str) -> Condition {
        let version = Test::Versions(vec![(Comparison::Less, below.to_owned())]);
        let fields = vec![("name", vec![Test::Like(name.to_owned())]), ("version", vec![version])];
        Condition::Row { fact: "package", fields }
    }

    #[test]
    fn two_conditions_on_packages_hold_for_the_same_package() {
        let mut facts = Facts::default();
        let rows = vec![package("openssl", "3.0.11-1"), package("zlib1g", "1.2")];
        facts.learn("package", Known::Rows(rows));
        assert_eq!(applies(&asks("zlib1g", "2"), &facts), Applies::Yes);
        assert_eq!(applies(&asks("openssl", "3.0.12"), &facts), Applies::Yes);
        // zlib1g is below 2, openssl is there: no one package is both.
        assert_eq!(
            applies(&asks("openssl", "2"), &facts),
            Applies::No("no package has name openssl and version <2".to_owned())
        );
    }

    #[test]
    fn what_is_not_known_is_neither_true_nor_false() {
        let mut facts = Facts::default();
        facts.learn("package", Known::Missing("rpm failed".to_owned()));
        let unknown = Applies::Unknown("package is not known: rpm failed".to_owned());
        assert_eq!(applies(&asks("x", "2"), &facts), unknown);
        assert_eq!(applies(&Condition::Not(Box::new(asks("x", "2"))), &facts), unknown);
        let any = Condition::Any(vec![asks("x", "2"), Condition::Place(true)]);
        assert_eq!(applies(&any, &facts), Applies::Yes);
        let all = Condition::All(vec![asks("x", "2"), Condition::Place(false)]);
        assert!(matches!(applies(&all, &facts), Applies::No(_)));
    }

    #[test]
    fn a_field_that_a_row_does_not_say_is_neither_true_nor_false() {
        let row = |values: &[(&'static str, FactValue)]| Row(values.to_vec());
        let (name, no_service) =
            (|n| ("name", FactValue::text(n)), ("service", FactValue::Nothing));
        let is = |truth| ("privileged", FactValue::Boolean(truth));
        let foreign = row(&[name("proxy"), no_service.clone()]);
        let asks = |more: &[(&'static str, Test)]| {
            let fields = more.iter().map(|(name, test)| (*name, vec![test.clone()])).collect();
            Condition::Row { fact: "container", fields }
        };
        let privileged = ("privileged", Test::Is(true));
        let text = |text: &str| Test::Like(text.to_owned());
        let unknown = Applies::Unknown("privileged of container proxy is not known".to_owned());
        let seen = |rows: &[Row], condition: &Condition| {
            let mut facts = Facts::default();
            facts.learn("container", Known::Rows(rows.to_vec()));
            applies(condition, &facts)
        };
        let one = asks(std::slice::from_ref(&privileged));
        let own = |truth| row(&[name("app1"), is(truth)]);
        let alone = [foreign.clone()];
        assert_eq!(seen(&[own(false), foreign.clone()], &one), unknown);
        assert_eq!(seen(&alone, &Condition::Not(Box::new(one.clone()))), unknown);
        assert_eq!(seen(&[foreign.clone(), own(true)], &one), Applies::Yes);
        assert!(matches!(seen(&[own(false)], &one), Applies::No(_)));
        // What it says does not fit, or is known to be nothing.
        for other in [("name", text("app*")), ("service", text("*"))] {
            let both = asks(&[privileged.clone(), other]);
            assert!(matches!(seen(&alone, &both), Applies::No(_)));
        }
    }

    #[test]
    fn a_star_stands_for_any_part() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("*", "", true),
            ("aa*aa", "aaa", false),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
