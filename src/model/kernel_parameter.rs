//! Names of kernel parameters, as sysctl(8) and sysctl.d(5) spell them.
//!
//! In: a name. Out: its path below /proc/sys, or the one spelling that is used here. Pure.
//!
//! # Guarantees
//! * The path leads nowhere but below /proc/sys.

/// The path below /proc/sys: after a first `/` as it is; after a first `.` both are swapped, so that
/// `net.ipv4.conf.eth0/100.rp_filter` is `net/ipv4/conf/eth0.100/rp_filter`. None if it is no name.
pub fn parameter_path(name: &str) -> Option<String> {
    let swapped = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path = match name.find(['.', '/']) {
        Some(first) if name[first..].starts_with('.') => name.chars().map(swapped).collect(),
        _ => name.to_owned(),
    };
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let is_step = |step: &str| !matches!(step, "" | "." | "..") && step.bytes().all(is_letter);
    (path.contains('/') && path.split('/').all(is_step)).then_some(path)
}

/// One spelling of a name: with dots between its steps, or with `/` where a step has dots.
pub fn parameter_name(name: &str) -> Option<String> {
    let path = parameter_path(name)?;
    Some(if path.contains('.') { path } else { path.replace('/', ".") })
}

#[cfg(test)]
mod tests {
    use crate::model::kernel_parameter::{parameter_name, parameter_path};

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
