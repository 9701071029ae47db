//! Mounts of a version: volume, subdirectory, path and owner. Pure.

use serde::{Deserialize, Serialize};

use crate::ids::VolumeName;
use crate::limits::{MOUNT_PATH_BYTES_MAX, MOUNTS_MAX};

/// Default user and group on disk: those of the reference's file systems.
pub const OWNER_DEFAULT: u32 = 10_000;

/// Paths of the kernel and the platform: a mount must not be at, above or below one.
const TAKEN: [&str; 7] = ["/proc", "/sys", "/dev", "/run/secrets", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// A mounted volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mount {
    /// The volume.
    pub volume: VolumeName,
    /// Directory in the volume, as names separated by slashes; empty for the root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Absolute path in the instance, with a slash before each name.
    pub path: String,
    /// Whether it is mounted read-only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// User on disk that the function's user is mapped to.
    #[serde(default = "owner_default", skip_serializing_if = "is_owner_default")]
    pub user_id: u32,
    /// Group on disk that the function's group is mapped to.
    #[serde(default = "owner_default", skip_serializing_if = "is_owner_default")]
    pub group_id: u32,
}

fn owner_default() -> u32 {
    OWNER_DEFAULT
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference.
fn is_owner_default(id: &u32) -> bool {
    *id == OWNER_DEFAULT
}

impl Mount {
    /// A mount with the default owner.
    ///
    /// # Errors
    /// The invalid part, and the remedy.
    pub fn new(volume: &str, sub: &str, path: &str, read_only: bool) -> Result<Self, String> {
        let volume: VolumeName = volume.parse().map_err(|error| format!("{error}"))?;
        let (sub, path) = (names(sub)?.join("/"), inside(path)?);
        Ok(Self { volume, sub, path, read_only, user_id: OWNER_DEFAULT, group_id: OWNER_DEFAULT })
    }

    /// Parses `NAME[/sub]:/path[:options]`; options are `ro`, `rw`, `uid=N` and `gid=N`, separated
    /// by commas.
    ///
    /// # Errors
    /// The invalid part, and the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not NAME[/sub]:/path[:ro]");
        let (source, rest) = text.split_once(':').ok_or_else(form)?;
        let (path, options) = rest.split_once(':').map_or((rest, ""), |(path, options)| (path, options));
        let (volume, sub) = source.split_once('/').unwrap_or((source, ""));
        let mut mount = Self::new(volume, sub, path, false)?;
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                None if option == "ro" => mount.read_only = true,
                None if option == "rw" => mount.read_only = false,
                Some(("uid", id)) => mount.user_id = id.parse().map_err(|_| form())?,
                Some(("gid", id)) => mount.group_id = id.parse().map_err(|_| form())?,
                _ => return Err(format!("{option:?} is not an option of a mount; use ro, rw, uid=N or gid=N")),
            }
        }
        Ok(mount)
    }
}

impl std::fmt::Display for Mount {
    /// The form that [`Mount::parse`] accepts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.sub.is_empty() { "" } else { "/" };
        write!(f, "{}{slash}{}:{}", self.volume, self.sub, self.path)?;
        let mut options = Vec::new();
        if self.read_only {
            options.push("ro".to_owned());
        }
        if self.user_id != OWNER_DEFAULT {
            options.push(format!("uid={}", self.user_id));
        }
        if self.group_id != OWNER_DEFAULT {
            options.push(format!("gid={}", self.group_id));
        }
        if options.is_empty() { Ok(()) } else { write!(f, ":{}", options.join(",")) }
    }
}

/// Refuses mounts of one version that conflict.
///
/// # Errors
/// The conflicting mounts, and the reason.
pub fn check_together(mounts: &[Mount]) -> Result<(), String> {
    if mounts.len() > MOUNTS_MAX {
        return Err(format!("there are {}; at most {MOUNTS_MAX} are allowed", mounts.len()));
    }
    for (index, mount) in mounts.iter().enumerate() {
        let met = |other: &&Mount| is_above(&other.path, &mount.path) || is_above(&mount.path, &other.path);
        if let Some(other) = mounts[..index].iter().find(met) {
            let (one, two) = (&other.path, &mount.path);
            return Err(format!("{two} and {one} are in one another; give each volume a path of its own"));
        }
    }
    Ok(())
}

/// The names in a relative path.
fn names(path: &str) -> Result<Vec<&str>, String> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| *name == "." || *name == "..") {
        return Err(format!("{path:?} has a part that is . or ..; name the directory by its own path"));
    }
    if path.len() > MOUNT_PATH_BYTES_MAX || names.iter().any(|name| name.len() > 255) || path.contains('\0') {
        return Err(format!("a path has at most {MOUNT_PATH_BYTES_MAX} bytes, 255 in each name, and no NUL"));
    }
    // A colon would separate parts in the text form of a mount, and a line break would separate
    // lines of lists.
    if let Some(odd) = path.chars().find(|odd| *odd == ':' || odd.is_control()) {
        return Err(format!("{path:?} has {odd:?}, which no path of a mount may have; name the directory otherwise"));
    }
    Ok(names)
}

fn inside(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        return Err(format!("{path:?} is not an absolute path inside the instance, such as /data"));
    }
    let path = format!("/{}", names(path)?.join("/"));
    match TAKEN.iter().find(|taken| is_above(taken, &path) || is_above(&path, taken)) {
        Some(taken) => Err(format!("{path} cannot be a volume's: {taken} is the platform's; use another path")),
        None => Ok(path),
    }
}

/// Whether a path equals another or is its ancestor.
fn is_above(above: &str, path: &str) -> bool {
    above == "/" || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_volume_a_directory_of_it_and_a_path() {
        for (text, shown) in [
            ("data:/srv", "data:/srv"),
            ("data/a//b/:/srv/x/:ro", "data/a/b:/srv/x:ro"),
            ("data:/srv:rw", "data:/srv"),
            ("data:/srv:ro,uid=20000,gid=10000", "data:/srv:ro,uid=20000"),
        ] {
            let mount = Mount::parse(text).expect(text);
            assert_eq!(mount.to_string(), shown);
            assert_eq!(Mount::parse(shown), Ok(mount.clone()), "what is shown can be given");
            let stored = serde_json::to_string(&mount).expect("serializes");
            assert_eq!(serde_json::from_str::<Mount>(&stored).expect("reads"), mount);
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for (text, why) in [
            ("data", "is not NAME"),
            ("data:srv", "not an absolute path"),
            ("data/../x:/srv", ". or .."),
            ("data/a/..:/srv", ". or .."),
            ("data:/srv/../proc", ". or .."),
            ("data:/", "is the platform's"),
            ("data:/proc/sys", "/proc is the platform's"),
            ("data:/dev", "/dev is the platform's"),
            ("data:/etc", "/etc/hosts is the platform's"),
            ("data:/run", "/run/secrets is the platform's"),
            ("Data:/srv", "lower-case"),
            ("roots:/srv", "not `roots`"),
            ("/srv/host:/srv", "volume name"),
            ("data:/srv:noexec", "not an option"),
            ("data:/srv:uid=-1", "is not NAME"),
            ("data:/a\0b", "no NUL"),
        ] {
            let error = Mount::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Mount::parse("data:/processes").is_ok() && Mount::parse("data:/run/app").is_ok());
    }

    #[test]
    fn no_part_has_what_would_be_read_otherwise_when_it_is_written_as_one_text() {
        for (sub, path) in [("", "/a:ro"), ("a:b", "/a"), ("", "/a\nb"), ("a\x1b[2J", "/a"), ("", "/a\u{85}")] {
            let error = Mount::new("data", sub, path, false).expect_err("refused");
            assert!(error.contains("which no path of a mount may have"), "{error}");
        }
        let spaced = Mount::new("data", "año nuevo", "/a b,c=d", true).expect("valid");
        assert_eq!(Mount::parse(&spaced.to_string()), Ok(spaced));
    }

    #[test]
    fn no_mount_is_in_another() {
        let together = |paths: &[&str]| {
            let mounts: Vec<_> = paths.iter().map(|path| Mount::new("d", "", path, false).expect("valid")).collect();
            check_together(&mounts)
        };
        assert_eq!(together(&["/a", "/ab", "/b/a"]), Ok(()));
        for paths in [&["/a", "/a"][..], &["/a", "/a/b"], &["/a/b", "/a"]] {
            assert!(together(paths).expect_err("refused").contains("in one another"), "{paths:?}");
        }
        let many: Vec<String> = (0..17).map(|number| format!("/{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(together(&many).expect_err("refused").contains("at most 16"));
    }
}
