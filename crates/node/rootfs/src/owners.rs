//! Folds owners above the mapped ids into one id that every instance has.
//!
//! Layers keep their owners unchanged; root file systems created from them are folded, and their
//! names carry the number of these rules (see `layers`).

use erofs::Meta;
use types::limits::{FOLDED_ID, MAPPED_ID_MAX};

const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
/// `struct posix_acl_xattr_header` and `posix_acl_xattr_entry` of Linux: a version; then tag,
/// permissions and id.
const ACL_HEADER_BYTES: usize = 4;
const ACL_ENTRY_BYTES: usize = 8;
/// Tags of entries that name a user or a group; the id of other entries is unused.
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

/// Folds owner, group, and those in access control lists.
pub(super) fn fold(meta: &mut Meta) {
    (meta.uid, meta.gid) = (folded(meta.uid), folded(meta.gid));
    for (_, acl) in meta.xattrs.iter_mut().filter(|(name, _)| ACLS.contains(&name.as_slice())) {
        fold_acl(acl);
    }
}

/// The folded id of an owner. The largest number is invalid in Linux, and stays unchanged so that
/// it is rejected.
fn folded(id: u32) -> u32 {
    if id > MAPPED_ID_MAX && id != u32::MAX { FOLDED_ID } else { id }
}

fn fold_acl(acl: &mut [u8]) {
    let Some(entries) = acl.get_mut(ACL_HEADER_BYTES..) else { return };
    for entry in entries.chunks_exact_mut(ACL_ENTRY_BYTES) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        if tag == ACL_USER || tag == ACL_GROUP {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            entry[4..].copy_from_slice(&folded(id).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut acl = 2u32.to_le_bytes().to_vec();
        for (tag, id) in entries {
            acl.extend(tag.to_le_bytes());
            acl.extend(7u16.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        acl
    }

    #[test]
    fn owners_above_the_mapped_range_become_one() {
        let cases = [
            (0, 0),
            (65_534, 65_534),
            (65_535, FOLDED_ID),
            (65_536, FOLDED_ID),
            (345_018, FOLDED_ID),
            (1_000_660_000, FOLDED_ID),
            (u32::MAX - 1, FOLDED_ID),
            (u32::MAX, u32::MAX),
        ];
        for (id, expected) in cases {
            let mut meta = Meta { uid: id, gid: id, ..Meta::default() };
            fold(&mut meta);
            assert_eq!((meta.uid, meta.gid), (expected, expected), "{id}");
        }
    }

    #[test]
    fn access_control_lists_are_folded_and_other_attributes_stay() {
        let given = acl(&[(0x01, u32::MAX), (ACL_USER, 345_018), (ACL_USER, 7), (ACL_GROUP, 70_000), (0x20, u32::MAX)]);
        let capability = vec![0xff; 24];
        let xattrs = vec![
            (ACLS[0].to_vec(), given.clone()),
            (b"security.capability".to_vec(), capability.clone()),
            (ACLS[1].to_vec(), vec![2, 0]),
        ];
        let mut meta = Meta { xattrs, ..Meta::default() };
        fold(&mut meta);
        let expected =
            acl(&[(0x01, u32::MAX), (ACL_USER, FOLDED_ID), (ACL_USER, 7), (ACL_GROUP, FOLDED_ID), (0x20, u32::MAX)]);
        assert_eq!(meta.xattrs[0].1, expected);
        assert_eq!((&meta.xattrs[1].1, &meta.xattrs[2].1), (&capability, &vec![2, 0]));
    }
}
