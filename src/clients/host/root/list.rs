//! Access control lists as the kernel keeps them: who else may do what (acl(5)).
//!
//! In and out: their bytes. Pure.
//!
//! # Guarantees
//! * A list that loses whom it names gives nobody else more: where there is one, the mode's bits of the
//!   group are the list's mask, and what the group itself may stands in the list alone.

/// The only version there is, before the entries.
const VERSION: [u8; 4] = [2, 0, 0, 0];
/// An entry: a tag and what it lets, two bytes each, and whom it names.
const ENTRY_BYTES: usize = 8;
/// A user by number.
const USER: u8 = 2;
/// The group that owns the file.
const GROUP_OF_FILE: u8 = 4;
/// A group by number.
const GROUP: u8 = 8;
/// The most that any but the owner and the rest of the world may.
const MASK: u8 = 16;

/// Whether it names a user or group.
pub(super) fn names_somebody(list: &[u8]) -> bool {
    entries(list).any(|entry| is_of(entry, &[USER, GROUP]))
}

/// What is left of it without those whom it names; none where the mode says that as well.
pub(super) fn nameless(list: &[u8]) -> Option<Vec<u8>> {
    let may = |tag| entries(list).find(|entry| is_of(*entry, &[tag])).map(|entry| entry[2]);
    let (group, mask) = (may(GROUP_OF_FILE)?, may(MASK)?);
    if mask & !group == 0 {
        return None;
    }
    let left = entries(list).filter(|entry| !is_of(*entry, &[USER, GROUP]));
    Some(VERSION.into_iter().chain(left.flatten()).collect())
}

fn entries(list: &[u8]) -> impl Iterator<Item = [u8; ENTRY_BYTES]> {
    let entries = list.strip_prefix(&VERSION).unwrap_or_default();
    entries.chunks_exact(ENTRY_BYTES).filter_map(|entry| entry.try_into().ok())
}

fn is_of(entry: [u8; ENTRY_BYTES], tags: &[u8]) -> bool {
    tags.contains(&entry[0])
}

#[cfg(test)]
mod tests {
    use crate::clients::host::root::list::{nameless, names_somebody};

    /// The owner's file, its group, user 1001 and a mask.
    fn list(group: u8, mask: u8, has_name: bool) -> Vec<u8> {
        let mut list = vec![2, 0, 0, 0];
        for (tag, may) in [(1, 6), (2, 6), (4, group), (16, mask), (32, 0)] {
            if tag != 2 || has_name {
                list.extend([tag, 0, may, 0, 0xe9, 3, 0, 0]);
            }
        }
        list
    }

    #[test]
    fn a_list_without_names_gives_the_group_what_it_had() {
        for (group, mask, left) in [
            (4, 6, Some(list(4, 6, false))),
            (0, 4, Some(list(0, 4, false))),
            // The mode says the same: the mask is all that the group may.
            (6, 6, None),
            (6, 4, None),
            (4, 0, None),
        ] {
            let all = list(group, mask, true);
            assert!(names_somebody(&all));
            assert_eq!(nameless(&all), left, "{group} {mask}");
        }
        assert!(!names_somebody(&list(4, 6, false)));
        assert_eq!(nameless(b"not a list at all"), None);
    }
}
