//! What the platform puts into an instance's root, as its first process is told it: the files of `/etc` with their content,
//! and directories. Where they go is `root`'s. Pure.

use std::ffi::CString;

use sys::spawn::{Injected, InjectedDir, InjectedFile};

use crate::id_map::IdMap;
use crate::root::{Dir, Facts, NAMES, Target, Tmp};

/// What is put into an instance.
pub struct Injection {
    /// Directories for the files.
    pub dirs: Vec<InjectedDir>,
    /// The files.
    pub files: Vec<InjectedFile>,
    /// Where these are put.
    pub injected: Injected,
    /// Other directories.
    pub made: Vec<InjectedDir>,
    /// What becomes of `/tmp`.
    pub tmp: sys::spawn::Tmp,
    /// Directories in the mount there.
    pub made_in_tmp: Vec<InjectedDir>,
}

/// Files that tell an instance its names, and whom to ask for others, and what the image wants made, for an
/// instance of these users and groups.
pub fn injection(facts: &Facts, hostname: &str, resolv_conf: String, (users, groups): (&IdMap, &IdMap)) -> Injection {
    let hosts = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let content = |name: &str| match name {
        "hosts" => hosts.clone(),
        "hostname" => format!("{hostname}\n"),
        _ => resolv_conf.clone(),
    };
    let file = |(name, place): (&str, &Option<Target>)| {
        let target = place.as_ref().map(target)?;
        Some(InjectedFile { target, content: content(name).into_bytes() })
    };
    let dir = |Dir { target: place, mode, owner: (uid, gid) }: &Dir| InjectedDir {
        target: target(place),
        mode: *mode,
        owner: (users.host_id(*uid), groups.host_id(*gid)),
    };
    let dirs = |dirs: &[Dir]| dirs.iter().map(dir).collect();
    Injection {
        dirs: dirs(&facts.etc.dirs),
        files: NAMES.into_iter().zip(&facts.etc.files).filter_map(file).collect(),
        injected: facts.etc.injected,
        made: dirs(&facts.dirs),
        tmp: match &facts.tmp {
            Tmp::Mounted(place) => sys::spawn::Tmp::Mounted(target(place).path),
            Tmp::Kept(place) => sys::spawn::Tmp::Kept(place.as_ref().map(target)),
        },
        made_in_tmp: dirs(&facts.tmp_dirs),
    }
}

fn target(place: &Target) -> sys::spawn::Target {
    let text = |bytes: &[u8]| CString::new(bytes).expect("names of files have no NUL");
    let Target { parent, name } = place;
    if parent.is_empty() {
        return sys::spawn::Target { parent: text(b"."), name: text(name), path: text(name) };
    }
    sys::spawn::Target { parent: text(parent), name: text(name), path: text(&[parent, name.as_slice()].join(&b'/')) }
}
