//! Which tags of a repository are newer than what is pinned. Pure.

use semver::{Version, VersionReq};

use crate::model::tag_version;

/// What the hub offers for one pin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The newest tag that the range allows, if it is newer than the pinned one.
    pub allowed: Option<String>,
    /// The newest release of all, if it is newer than that, or than the pinned one.
    pub beyond: Option<String>,
}

/// Looks through `tags`. Without a range nothing is allowed, only shown; pre-releases are offered
/// only where the range names one, as Cargo has it.
pub fn offer(tags: &[String], pinned: Option<&str>, range: Option<&VersionReq>) -> Offer {
    let pinned = pinned.and_then(tag_version);
    let mut versions: Vec<(Version, &String)> = tags
        .iter()
        .filter_map(|tag| Some((tag_version(tag)?, tag)))
        .filter(|(version, _)| pinned.as_ref().is_none_or(|pinned| version > pinned))
        .collect();
    versions.sort();
    let fits = |version: &Version| range.is_some_and(|range| range.matches(version));
    let allowed = versions.iter().rev().find(|(version, _)| fits(version));
    let beyond = versions.iter().rev().find(|(version, _)| version.pre.is_empty());
    let beyond = beyond.filter(|(newest, _)| allowed.is_none_or(|(version, _)| newest > version));
    let tag = |(_, tag): &(Version, &String)| (*tag).clone();
    Offer { allowed: allowed.map(tag), beyond: beyond.map(tag) }
}

#[cfg(test)]
mod tests {
    use crate::hub::newer::offer;

    #[test]
    fn what_is_offered_is_newer_within_the_range_and_no_pre_release() {
        let all = ["1.0.0", "v1.4.2", "1.10.0", "1.11.0-rc.1", "2.0.0", "latest", "2.1.0-beta"];
        let tags: Vec<String> = all.map(str::to_owned).to_vec();
        for (pinned, range, allowed, beyond) in [
            (Some("1.0.0"), Some("^1"), Some("1.10.0"), Some("2.0.0")),
            (Some("1.0.0"), Some("~1.4"), Some("v1.4.2"), Some("2.0.0")),
            (Some("1.10.0"), Some("^1"), None, Some("2.0.0")),
            (Some("1.10.0"), Some(">=1.11.0-rc.1, <2"), Some("1.11.0-rc.1"), Some("2.0.0")),
            (Some("2.0.0"), Some("*"), None, None),
            (Some("2.0.0"), Some(">=2.1.0-alpha"), Some("2.1.0-beta"), None),
            (Some("1.0.0"), None, None, Some("2.0.0")),
            (None, Some("^1"), Some("1.10.0"), Some("2.0.0")),
            (Some("mine"), Some("^1"), Some("1.10.0"), Some("2.0.0")),
        ] {
            let range = range.map(|text| text.parse().unwrap());
            let found = offer(&tags, pinned, range.as_ref());
            let found = (found.allowed.as_deref(), found.beyond.as_deref());
            assert_eq!(found, (allowed, beyond), "{pinned:?} {range:?}");
        }
    }
}
