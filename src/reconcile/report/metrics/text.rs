//! The text exposition format, version 0.0.4.
//!
//! In: families and their samples. Out: text. Pure.
//!
//! # Guarantees
//! * Each family begins with its help and type, once, and only if it has a sample.
//! * Whatever a label's value holds, it stays within its quotes.

use std::fmt::{Display, Write as _};

use crate::reconcile::report::metrics::family::Family;

/// What is being written.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// The samples of one family.
    pub(crate) fn family(&mut self, family: &'static Family) -> Samples<'_> {
        Samples { page: self, family, begun: false }
    }

    /// The whole text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Samples of one family.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    page: &'a mut Page,
    family: &'static Family,
    begun: bool,
}

impl Samples<'_> {
    /// One sample: the values of the family's labels, in their order, and its number.
    pub(crate) fn add(&mut self, values: &[&str], number: impl Display) -> &mut Self {
        let Family { name, kind, labels, help } = *self.family;
        let text = &mut self.page.0;
        if !self.begun {
            let kind = kind.as_str();
            let _fits = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            self.begun = true;
        }
        text.push_str(name);
        for (at, (label, value)) in labels.iter().zip(values).enumerate() {
            text.push_str(if at == 0 { "{" } else { "," });
            let _fits = write!(text, "{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _fits = writeln!(text, " {number}");
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::reconcile::report::metrics::family::Family;
    use crate::reconcile::report::metrics::text::Page;

    static PLAIN: Family = Family::gauge("a_plain", &[], "Without labels.");
    static EMPTY: Family = Family::gauge("an_empty", &[], "Without samples.");
    static LABELLED: Family = Family::counter("b_total", &["x", "y"], "With labels.");

    #[test]
    fn a_value_stays_within_its_quotes_and_a_family_says_once_what_it_is() {
        let mut page = Page::default();
        page.family(&PLAIN).add(&[], 1.5);
        page.family(&EMPTY);
        page.family(&LABELLED).add(&["a\"} 9\n#", "\\n"], 2).add(&["é", ""], 3);
        insta::assert_snapshot!(page.finish(), @r##"
        # HELP a_plain Without labels.
        # TYPE a_plain gauge
        a_plain 1.5
        # HELP b_total With labels.
        # TYPE b_total counter
        b_total{x="a\"} 9\n#",y="\\n"} 2
        b_total{x="é",y=""} 3
        "##);
    }
}
