//! Paths of entries: validation, and their components.

/// Bytes of one name, by Linux and by EROFS.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// The directory and the name in it; `None` for the root.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => Some((&path[..at], &path[at + 1..])),
        None => Some((b"", path)),
    }
}

/// Takes the part up to the next `/` off the front, even if it is invalid; `None` at the end.
pub(crate) fn next_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
    let part = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    Some(part)
}

/// Checks the form of `Entry::path`; returns the problem.
pub(crate) fn check(path: &[u8]) -> Result<(), &'static str> {
    if path.is_empty() {
        return Ok(());
    }
    if path.contains(&0) {
        return Err("has a NUL byte in its path");
    }
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" => return Err("has an empty name in its path"),
            b"." | b".." => return Err("has . or .. in its path"),
            _ => check_length(part)?,
        }
    }
    Ok(())
}

/// Whether a name is short enough.
pub(crate) fn check_length(name: &[u8]) -> Result<(), &'static str> {
    if name.len() > NAME_BYTES_MAX { Err("has a name of more than 255 bytes in its path") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_directory_and_name() {
        assert_eq!(split(b""), None);
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
    }

    #[test]
    fn parts_come_in_order_also_of_odd_paths() {
        for (path, parts) in
            [("", vec![]), ("a", vec!["a"]), ("/a//b/", vec!["", "a", "", "b"]), ("../x", vec!["..", "x"])]
        {
            let mut rest = path.as_bytes();
            let found: Vec<_> = std::iter::from_fn(|| next_part(&mut rest)).collect();
            assert_eq!(found, parts.iter().map(|p| p.as_bytes()).collect::<Vec<_>>(), "{path:?}");
        }
    }

    #[test]
    fn malformed_paths_are_told() {
        for good in ["", "a", "a/..b/.c", &"x".repeat(255), "x/y/".repeat(30_000).trim_end_matches('/')] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["/", "/a", "a/", "a//b", ".", "a/./b", "..", "a/..", "a\0", &"x".repeat(256)] {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
