//! Versions as people tag images with them.
//!
//! In: a tag. Out: [`semver::Version`]. Pure.

use semver::Version;

/// The version that a tag spells, `1.4.2` or `v1.4.2`; `latest` and `1.4` spell none.
pub fn tag_version(tag: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix('v').unwrap_or(tag)).ok()
}

#[cfg(test)]
mod tests {
    use crate::model::version::tag_version;

    #[test]
    fn a_tag_is_a_version_only_if_it_spells_one() {
        assert_eq!(tag_version("v1.4.2"), tag_version("1.4.2"));
        assert!(tag_version("1.4.2-rc.1").is_some_and(|v| !v.pre.is_empty()));
        for none in ["latest", "1.4", "", "vv1.0.0", "1.04.2"] {
            assert_eq!(tag_version(none), None, "{none}");
        }
    }
}
