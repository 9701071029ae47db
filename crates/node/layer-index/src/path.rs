//! The meaning of an entry's name: pure rules.
//!
//! Whiteouts: OCI image specification, layer.md.

const NAME_BYTES_MAX: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of aufs' internal files; they are ignored in images.
const AUFS: &[u8] = b".wh..wh.";

/// A clean path below the layer's root: no empty, `.` or `..` component; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct EntryPath(Vec<u8>);

/// Meaning of an entry's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The entry is created there.
    Entry(EntryPath),
    /// The path is hidden in lower layers.
    Whiteout(EntryPath),
    /// The content of this directory is hidden in lower layers.
    Opaque(EntryPath),
    /// The entry is ignored.
    Ignored,
}

impl EntryPath {
    /// Parses a name of an archive. Leading slashes are dropped, as in GNU tar and the container
    /// runtimes: ko, kaniko and nix2container write entries and hard-link targets from the root.
    /// `..` removes the part before it, whatever the layers have there, as in docker and containerd
    /// (Go's `path.Clean`); a name that leads out of the root is refused, even from `/`.
    pub(crate) fn parse(name: &[u8], len_max: usize) -> Result<Self, &'static str> {
        if name.len() > len_max {
            return Err("has a longer path than path_len_max of [image]");
        }
        if name.is_empty() {
            return Err("has no name");
        }
        if name.contains(&0) {
            return Err("has a NUL byte in its path");
        }
        let mut path: Vec<u8> = Vec::with_capacity(name.len());
        for part in name.split(|b| *b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." if path.is_empty() => return Err("has .. in its path that leads out of the root"),
                b".." => path.truncate(path.iter().rposition(|b| *b == b'/').unwrap_or(0)),
                part if part.len() > NAME_BYTES_MAX => return Err("has a name of more than 255 bytes in its path"),
                part => {
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    path.extend_from_slice(part);
                }
            }
        }
        Ok(Self(path))
    }

    /// The bytes, parts joined by `/`.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The parent directory, and the name in it; `None` for the root.
    pub(crate) fn split(&self) -> Option<(EntryPath, &[u8])> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(at) => Some((EntryPath(self.0[..at].to_vec()), &self.0[at + 1..])),
            None => Some((EntryPath::default(), &self.0)),
        }
    }

    /// Its components.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    fn join(&self, name: &[u8]) -> EntryPath {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        EntryPath(path)
    }
}

/// Separates whiteouts from entries.
pub(crate) fn place(path: EntryPath) -> Result<Place, &'static str> {
    let Some((dir, name)) = path.split() else { return Ok(Place::Entry(path)) };
    if dir.parts().any(|part| part.starts_with(WHITEOUT)) {
        // aufs kept its hard links in such directories.
        return if dir.parts().any(|part| part.starts_with(AUFS)) {
            Ok(Place::Ignored)
        } else {
            Err("lies in a whiteout")
        };
    }
    if name == OPAQUE {
        return Ok(Place::Opaque(dir));
    }
    if name.starts_with(AUFS) {
        return Ok(Place::Ignored);
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(Place::Entry(path)),
        Some(b"" | b"." | b"..") => Err("is a whiteout of nothing"),
        Some(hidden) => Ok(Place::Whiteout(dir.join(hidden))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(name: &str) -> Result<String, &'static str> {
        EntryPath::parse(name.as_bytes(), 4095).map(|p| String::from_utf8(p.0).expect("text stays text"))
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(parsed("./a//b/./c/"), Ok("a/b/c".into()));
        assert_eq!(parsed("./"), Ok(String::new()));
        assert_eq!(parsed("a/..b/c.."), Ok("a/..b/c..".into()));
    }

    #[test]
    fn leading_slashes_are_dropped() {
        for (name, path) in [("/", ""), ("//", ""), ("/./", ""), ("/ko-app/app", "ko-app/app"), ("//a//b/", "a/b")] {
            assert_eq!(parsed(name), Ok(path.into()), "{name}");
        }
    }

    #[test]
    fn parents_within_the_root_are_removed_lexically() {
        for (name, path) in [
            ("q/../b", "b"),
            ("x/../x/y", "x/y"),
            ("a/..", ""),
            ("/a/./..//b/c/../../d", "d"),
            ("a/b/c/../../../e", "e"),
            ("a/b/..", "a"),
            (".wh.a/../b", "b"),
            ("a/../.wh.b", ".wh.b"),
            ("a/.../b", "a/.../b"),
        ] {
            assert_eq!(parsed(name), Ok(path.into()), "{name}");
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for bad in [
            "",
            "..",
            "/..",
            "/../x",
            "../x",
            "a/../..",
            "a/../../a/b",
            "./../x",
            "a/b/../../../x",
            "a\0b",
            &"x".repeat(256),
            &"x/".repeat(3000),
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whiteouts_are_told_from_entries() {
        let at = |name: &str| place(EntryPath::parse(name.as_bytes(), 4095).expect("clean"));
        let path = |name: &str| EntryPath(name.as_bytes().to_vec());
        assert_eq!(at("a/.wh.b"), Ok(Place::Whiteout(path("a/b"))));
        assert_eq!(at(".wh.b"), Ok(Place::Whiteout(path("b"))));
        assert_eq!(at("/.wh.b"), Ok(Place::Whiteout(path("b"))));
        assert_eq!(at("/a/.wh..wh..opq"), Ok(Place::Opaque(path("a"))));
        assert_eq!(at("a/.wh..wh..opq"), Ok(Place::Opaque(path("a"))));
        assert_eq!(at(".wh..wh..opq"), Ok(Place::Opaque(path(""))));
        assert_eq!(at(".wh..wh.plnk/1.2"), Ok(Place::Ignored));
        assert_eq!(at(".wh..wh.aufs"), Ok(Place::Ignored));
        assert_eq!(at("a/b.wh.c"), Ok(Place::Entry(path("a/b.wh.c"))));
        for bad in ["a/.wh.", "a/.wh...", ".wh.a/b"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_below_the_root(name in proptest::collection::vec(
            prop_oneof![3 => Just(b'/'), 3 => Just(b'.'), 2 => Just(b'a'), 1 => any::<u8>()], 0..60)) {
            if let Ok(path) = EntryPath::parse(&name, 4095) {
                prop_assert!(!path.as_bytes().starts_with(b"/"));
                prop_assert!(path.parts().all(|p| p != b"." && p != b".." && !p.contains(&0)));
                prop_assert_eq!(path.parts().collect::<Vec<_>>().join(&b'/'), path.as_bytes());
                if !path.is_root() {
                    prop_assert_eq!(EntryPath::parse(path.as_bytes(), 4095), Ok(path.clone()));
                }
                let _ = place(path);
            }
        }
    }
}
