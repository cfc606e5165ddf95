//! Order of versions, as the two families of package managers have it.
//!
//! In: two texts. Out: which is newer. Pure.
//!
//! # Guarantees
//! * [`VersionOrder::Debian`] is dpkg's order (deb-version(7)), [`VersionOrder::Rpm`] is rpm's
//!   (rpm-version(7)); both are total, whatever the texts.

use std::cmp::Ordering;

/// Whose order is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionOrder {
    /// dpkg's, which also orders what no package manager made.
    #[default]
    Debian,
    /// rpm's.
    Rpm,
}

impl VersionOrder {
    /// How `a` compares with `b`. A release or revision that one of them lacks does not count
    /// with [`Self::Rpm`], as in rpm's own dependencies; with [`Self::Debian`] it is `0`.
    pub fn compare(self, a: &str, b: &str) -> Ordering {
        let (a, b) = (Parts::of(a), Parts::of(b));
        let part = |a: &str, b: &str| match self {
            Self::Debian => debian(a.as_bytes(), b.as_bytes()),
            Self::Rpm => rpm(a.as_bytes(), b.as_bytes()),
        };
        let releases = match (self, a.release, b.release) {
            (_, Some(a), Some(b)) => part(a, b),
            (Self::Debian, a, b) => part(a.unwrap_or("0"), b.unwrap_or("0")),
            (Self::Rpm, ..) => Ordering::Equal,
        };
        a.epoch.cmp(&b.epoch).then_with(|| part(a.version, b.version)).then(releases)
    }
}

/// `[epoch:]version[-release]`.
struct Parts<'a> {
    epoch: u64,
    version: &'a str,
    release: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let split = text.split_once(':').and_then(|(e, rest)| Some((e.parse().ok()?, rest)));
        let (epoch, rest) = split.unwrap_or((0, text));
        let (version, release) =
            rest.rsplit_once('-').map_or((rest, None), |(v, release)| (v, Some(release)));
        Self { epoch, version, release }
    }
}

/// Digits at the beginning, without leading zeros, and the rest.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let zeros = text[..end].iter().take_while(|b| **b == b'0').count();
    (&text[zeros..end], &text[end..])
}

fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn debian(mut a: &[u8], mut b: &[u8]) -> Ordering {
    // `~` sorts before the end, letters before everything else.
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        Some(b) if b.is_ascii_digit() => 0,
        None => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    };
    while !a.is_empty() || !b.is_empty() {
        let ends = |text: &[u8]| text.first().is_none_or(u8::is_ascii_digit);
        while !ends(a) || !ends(b) {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let ((x, rest_a), (y, rest_b)) = (number(a), number(b));
        let order = compare_numbers(x, y);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

fn rpm(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let skip = |text: &[u8]| {
            text.iter().take_while(|b| !b.is_ascii_alphanumeric() && !b"~^".contains(b)).count()
        };
        (a, b) = (&a[skip(a)..], &b[skip(b)..]);
        for (mark, alone) in [(b'~', Ordering::Less), (b'^', Ordering::Greater)] {
            let (in_a, in_b) = (a.first() == Some(&mark), b.first() == Some(&mark));
            // After `^`, a text that ends is the older one; other text is the newer one.
            let order = match (in_a, in_b) {
                (true, true) => {
                    (a, b) = (&a[1..], &b[1..]);
                    continue;
                }
                (true, false) if mark == b'^' && !b.is_empty() => Ordering::Less,
                (false, true) if mark == b'^' && !a.is_empty() => Ordering::Greater,
                (true, false) => alone,
                (false, true) => alone.reverse(),
                (false, false) => continue,
            };
            return order;
        }
        let (Some(x), Some(y)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        let order = match (x.is_ascii_digit(), y.is_ascii_digit()) {
            (true, true) => {
                let ((x, rest_a), (y, rest_b)) = (number(a), number(b));
                (a, b) = (rest_a, rest_b);
                compare_numbers(x, y)
            }
            (false, false) => {
                let letters =
                    |text: &[u8]| text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
                let ((x, rest_a), (y, rest_b)) = (a.split_at(letters(a)), b.split_at(letters(b)));
                (a, b) = (rest_a, rest_b);
                x.cmp(y)
            }
            // A number is newer than letters.
            (digits, _) => return if digits { Ordering::Greater } else { Ordering::Less },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use crate::model::version_order::VersionOrder;

    fn each(order: VersionOrder, cases: &[(&str, &str, Ordering)]) {
        for (a, b, wanted) in cases {
            assert_eq!(order.compare(a, b), *wanted, "{a} {b}");
            assert_eq!(order.compare(b, a), wanted.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn versions_of_debian_are_ordered_as_dpkg_does() {
        use Ordering::{Equal, Greater, Less};
        each(
            VersionOrder::Debian,
            &[
                ("1.0", "1.0", Equal),
                ("1.0-1", "1.0", Greater),
                ("1.0-0", "1.0", Equal),
                ("1.10", "1.9", Greater),
                ("1.0~rc1", "1.0", Less),
                ("1.0~~", "1.0~", Less),
                ("1:0.1", "2.0", Greater),
                ("1.0a", "1.0", Greater),
                ("1.0+b1", "1.0a", Greater),
                ("3.0.11-1~deb12u2", "3.0.11-1", Less),
                ("007", "7", Equal),
                ("2.4-1-3", "2.4-1-2", Greater),
            ],
        );
    }

    #[test]
    fn versions_of_rpm_are_ordered_as_rpm_does() {
        use Ordering::{Equal, Greater, Less};
        each(
            VersionOrder::Rpm,
            &[
                ("1.0", "1.0", Equal),
                ("1.0-1", "1.0", Equal),
                ("1.0-2.el9", "1.0-10.el9", Less),
                ("2.0.1a", "2.0.1", Greater),
                ("5.5p10", "5.5p1", Greater),
                ("10xyz", "10.1xyz", Less),
                ("xyz10", "10", Less),
                ("1.0~rc1", "1.0", Less),
                ("1.0^git1", "1.0", Greater),
                ("1.0^git1", "1.0.1", Less),
                ("1.0^git1~pre", "1.0^git1", Less),
                ("1_0", "1.0", Equal),
                ("1:1", "2", Greater),
            ],
        );
    }
}
