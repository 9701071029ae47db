//! Extended attributes: which are kept, and their layout after an inode.

use crate::entry::{Kind, Meta};
use crate::error::{Error, shown};

/// The number of a namespace, and its text; the rest of a name follows it.
const PREFIXES: [(u8, &[u8]); 3] = [(1, b"user."), (4, b"trusted."), (6, b"security.")];
const ACL_ACCESS: (u8, &[u8]) = (2, b"system.posix_acl_access");
const ACL_DEFAULT: (u8, &[u8]) = (3, b"system.posix_acl_default");

/// Bytes of a whole name (`XATTR_NAME_MAX` of Linux).
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a value: its length has sixteen bits.
const VALUE_BYTES_MAX: usize = u16::MAX as usize;
const HEADER_BYTES: u64 = 12;
const UNIT_BYTES: u64 = 4;
/// Bytes of all attributes of an inode: their units are counted, from 1, in sixteen bits.
const AREA_BYTES_MAX: u64 = HEADER_BYTES + (u16::MAX as u64 - 1) * UNIT_BYTES;

/// Bytes of all names and values, as counted by the limit.
pub(crate) fn counted_bytes(meta: &Meta) -> u64 {
    meta.xattrs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

/// Removes attributes that cannot be kept, and sorts the rest by name; the last of several with one
/// name stays.
///
/// # Errors
/// An attribute that is too long.
pub(crate) fn accept(path: &[u8], kind: &Kind, meta: &mut Meta) -> Result<(), Error> {
    if meta.xattrs.is_empty() {
        return Ok(());
    }
    meta.xattrs.retain(|(name, _)| is_kept(name, kind));
    meta.xattrs.sort_by(|(a, _), (b, _)| a.cmp(b));
    meta.xattrs.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            std::mem::swap(&mut later.1, &mut earlier.1);
        }
        same
    });
    if let Some((name, value)) = meta.xattrs.iter().find(|(_, value)| value.len() > VALUE_BYTES_MAX) {
        let (path, name) = (shown(path), shown(name));
        return Err(Error::XattrTooLarge { path, name, bytes: value.len(), max: VALUE_BYTES_MAX });
    }
    let bytes = area_bytes(meta);
    if bytes > AREA_BYTES_MAX {
        return Err(Error::XattrsTooLarge { path: shown(path), bytes, max: AREA_BYTES_MAX });
    }
    Ok(())
}

/// Whether an attribute is kept. Removed are overlayfs' own, which the overlay above would obey;
/// namespaces without a number in EROFS; names that system calls cannot express; and attributes
/// that Linux does not allow for inodes of that kind.
fn is_kept(name: &[u8], kind: &Kind) -> bool {
    if name.len() > NAME_BYTES_MAX || name.contains(&0) {
        return false;
    }
    let Some((index, rest)) = parts(name) else { return false };
    match (index, kind) {
        (1, Kind::File { .. } | Kind::Directory) | (4, _) => !rest.is_empty() && !rest.starts_with(b"overlay."),
        (6, _) => !rest.is_empty(),
        (2, kind) => !matches!(kind, Kind::Symlink { .. }),
        (3, Kind::Directory) => true,
        _ => false,
    }
}

/// Number of the namespace, and the rest of the name.
fn parts(name: &[u8]) -> Option<(u8, &[u8])> {
    for (index, whole) in [ACL_ACCESS, ACL_DEFAULT] {
        if name == whole {
            return Some((index, b""));
        }
    }
    PREFIXES.iter().find_map(|(index, prefix)| Some((*index, name.strip_prefix(*prefix)?)))
}

/// Bytes after the inode; 0 without attributes.
pub(crate) fn area_bytes(meta: &Meta) -> u64 {
    if meta.xattrs.is_empty() {
        return 0;
    }
    let bodies = meta.xattrs.iter().map(|(name, value)| {
        let rest = parts(name).map_or(0, |(_, rest)| rest.len());
        (UNIT_BYTES + (rest + value.len()) as u64).next_multiple_of(UNIT_BYTES)
    });
    HEADER_BYTES + bodies.sum::<u64>()
}

/// The size of an area of `bytes`, as stored in the inode.
pub(crate) fn area_units(bytes: u64) -> u16 {
    match bytes.checked_sub(HEADER_BYTES) {
        None => 0,
        Some(bodies) => u16::try_from(bodies / UNIT_BYTES + 1).expect("accepted attributes fit"),
    }
}

/// The area, whose header stays zero since no attribute is shared between inodes.
pub(crate) fn write(meta: &Meta, area: &mut [u8]) {
    let mut rest = area.get_mut(HEADER_BYTES as usize..).unwrap_or_default();
    for (name, value) in &meta.xattrs {
        let (index, name) = parts(name).expect("only attributes with a number are accepted");
        let name_len = u8::try_from(name.len()).expect("accepted names are short");
        let value_len = u16::try_from(value.len()).expect("accepted values are short").to_le_bytes();
        let whole = (4 + name.len() + value.len()).next_multiple_of(4);
        let (body, after) = rest.split_at_mut(whole);
        body[..4].copy_from_slice(&[name_len, index, value_len[0], value_len[1]]);
        body[4..4 + name.len()].copy_from_slice(name);
        body[4 + name.len()..4 + name.len() + value.len()].copy_from_slice(value);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Kind = Kind::File { size: 0, data: None };

    fn accepted(kind: &Kind, xattrs: &[(&str, &[u8])]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let xattrs = xattrs.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.to_vec())).collect();
        let mut meta = Meta { xattrs, ..Meta::default() };
        accept(b"p", kind, &mut meta)?;
        Ok(meta.xattrs.into_iter().map(|(n, v)| (String::from_utf8(n).unwrap(), v)).collect())
    }

    fn kept(kind: &Kind, name: &str) -> bool {
        !accepted(kind, &[(name, b"v")]).unwrap().is_empty()
    }

    #[test]
    fn what_overlayfs_obeys_is_left_out() {
        for name in ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.whiteout"] {
            assert!(!kept(&FILE, name), "{name}");
            assert!(!kept(&Kind::Directory, name), "{name}");
        }
        assert!(kept(&FILE, "trusted.overlays"));
    }

    #[test]
    fn names_that_cannot_be_written_or_asked_for_are_left_out() {
        let long = format!("user.{}", "x".repeat(250));
        assert!(kept(&FILE, &long));
        for name in ["", "user.", "system.nfs4_acl", "lustre.lov", "btrfs.x", "user.a\0b", &format!("{long}x")] {
            assert!(!kept(&FILE, name), "{name:?}");
        }
    }

    #[test]
    fn each_kind_keeps_what_linux_gives_it() {
        let link = Kind::Symlink { target: b"x".to_vec() };
        for (name, file, directory, symlink) in [
            ("user.a", true, true, false),
            ("security.selinux", true, true, true),
            ("trusted.a", true, true, true),
            ("system.posix_acl_access", true, true, false),
            ("system.posix_acl_default", false, true, false),
        ] {
            assert_eq!(
                (kept(&FILE, name), kept(&Kind::Directory, name), kept(&link, name)),
                (file, directory, symlink)
            );
        }
    }

    #[test]
    fn the_last_of_one_name_stays_and_names_are_sorted() {
        let xattrs: [(&str, &[u8]); 4] = [("user.b", b"1"), ("user.a", b"2"), ("user.b", b"3"), ("user.b", b"4")];
        let expected = vec![("user.a".to_owned(), b"2".to_vec()), ("user.b".to_owned(), b"4".to_vec())];
        assert_eq!(accepted(&FILE, &xattrs), Ok(expected));
    }

    #[test]
    fn what_is_too_long_is_refused_by_name() {
        let value = vec![0; VALUE_BYTES_MAX + 1];
        assert!(accepted(&FILE, &[("user.a", &value[1..])]).is_ok());
        let error = accepted(&FILE, &[("user.a", &value)]).unwrap_err().to_string();
        assert_eq!(error, r#"entry "p" has attribute "user.a" of 65536 bytes; 65535 is the most"#);
        let four = ["user.a", "user.b", "user.c", "user.d"].map(|name| (name, &value[1..]));
        assert!(matches!(accepted(&FILE, &four), Err(Error::XattrsTooLarge { bytes: 262_172, max: 262_148, .. })));
        assert!(accepted(&FILE, &four[1..]).is_ok());
    }

    #[test]
    fn the_area_counts_its_header_as_one_unit() {
        assert_eq!(area_units(0), 0);
        assert_eq!(area_units(16), 2);
        assert_eq!(area_units(AREA_BYTES_MAX), u16::MAX);
    }
}
