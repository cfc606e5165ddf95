//! Names of kernel parameters, as sysctl(8) and sysctl.d(5) spell them.
//!
//! In: a name. Out: its path below /proc/sys, or the one spelling that is used here. Pure.
//!
//! # Guarantees
//! * The path leads nowhere but below /proc/sys.

/// The path below /proc/sys: after a first `/` as it is; after a first `.` both are swapped, so that
/// `net.ipv4.conf.eth0/100.rp_filter` is `net/ipv4/conf/eth0.100/rp_filter`. None if it is no name.
pub fn parameter_path(name: &str) -> Option<String> {
    let path = with_slashes(name);
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let is_step = |step: &str| !matches!(step, "" | "." | "..") && step.bytes().all(is_letter);
    (path.contains('/') && path.split('/').all(is_step)).then_some(path)
}

fn with_slashes(name: &str) -> String {
    let swapped = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    match name.find(['.', '/']) {
        Some(first) if name[first..].starts_with('.') => name.chars().map(swapped).collect(),
        _ => name.to_owned(),
    }
}

/// A pattern of sysctl.d(5), such as `net.ipv4.conf.*.rp_filter`: `*`, `?` and `[…]` as in a shell,
/// none of them for a separator.
#[derive(Debug, Clone)]
pub struct ParameterPattern(regex::Regex);

impl ParameterPattern {
    /// None if it has none of these signs, or is no pattern.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.contains(['*', '?', '[']) {
            return None;
        }
        let mut wanted = String::from("^");
        for letter in with_slashes(text).chars() {
            match letter {
                '*' => wanted.push_str("[^/]*"),
                '?' => wanted.push_str("[^/]"),
                '!' => wanted.push('^'),
                '[' | ']' | '-' => wanted.push(letter),
                other => wanted.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
            }
        }
        regex::Regex::new(&(wanted + "$")).ok().map(Self)
    }

    /// Whether it finds a parameter.
    pub fn finds(&self, name: &str) -> bool {
        parameter_path(name).is_some_and(|path| self.0.is_match(&path))
    }
}

/// One spelling of a name: with dots between its steps, or with `/` where a step has dots.
pub fn parameter_name(name: &str) -> Option<String> {
    let path = parameter_path(name)?;
    Some(if path.contains('.') { path } else { path.replace('/', ".") })
}

#[cfg(test)]
mod tests {
    use crate::model::kernel_parameter::{ParameterPattern, parameter_name, parameter_path};

    #[test]
    fn a_pattern_finds_whole_steps_in_either_spelling() {
        let (plain, vlan) = ("net.ipv4.conf.eth0.rp_filter", "net/ipv4/conf/eth0.100/rp_filter");
        for (pattern, finds) in [
            ("net.ipv4.conf.*.rp_filter", [true, true]),
            ("net/ipv4/conf/*/rp_filter", [true, true]),
            ("net.ipv4.conf.eth?.rp_filter", [true, false]),
            ("net.ipv4.conf.eth0/1*.rp_filter", [false, true]),
            ("net.ipv4.conf.eth[01].rp_filter", [true, false]),
            ("net.ipv4.conf.eth[!01].rp_filter", [false, false]),
            ("net.*.rp_filter", [false, false]),
            ("net.ipv4.conf.[.rp_filter", [false, false]),
            ("net.ipv4.conf.eth0.rp_filter", [false, false]),
        ] {
            let parsed = ParameterPattern::parse(pattern);
            let found = [plain, vlan].map(|name| parsed.as_ref().is_some_and(|p| p.finds(name)));
            assert_eq!(found, finds, "{pattern}");
        }
    }

    #[test]
    fn the_first_separator_says_which_one_it_is() {
        let vlan = "net/ipv4/conf/eth0.100/rp_filter";
        for (name, path, one) in [
            ("vm.swappiness", "vm/swappiness", "vm.swappiness"),
            ("vm/swappiness", "vm/swappiness", "vm.swappiness"),
            (vlan, vlan, vlan),
            ("net.ipv4.conf.eth0/100.rp_filter", vlan, vlan),
        ] {
            assert_eq!(parameter_path(name).as_deref(), Some(path), "{name}");
            assert_eq!(parameter_name(name).as_deref(), Some(one), "{name}");
        }
    }

    #[test]
    fn no_name_leads_out_of_proc_sys() {
        for name in [
            "",
            "vm",
            "vm/../../../etc/passwd",
            "vm.//.//.x",
            "/etc/passwd",
            "vm/./a",
            "vm..a",
            "a/b\0",
        ] {
            assert_eq!(parameter_path(name), None, "{name}");
        }
    }
}
