//! Files and directories that the platform creates in an instance's root, in the form that init
//! takes: the files of `/etc` with their content, and directories that the image requires. Their
//! places are decided in `root`. Pure.

use std::ffi::CString;
use std::net::Ipv4Addr;

use network::GATEWAY_NAME;
use sys::init::spec::{EtcFile, Files, NewDir};

use crate::id_map::IdMap;
use crate::root::{Dir, Facts, MountPlace, NAMES, Target, Tmp};

/// Host name of this machine inside an instance.
const HOST_NAME: &str = "host.sampan.internal";

/// Addresses at which an instance reaches this machine, and the platform's gateway if it may.
#[derive(Debug, Clone, Copy)]
pub struct MachineAddresses {
    pub host: Ipv4Addr,
    pub gateway: Option<Ipv4Addr>,
}

/// Content of `/etc/hosts`.
pub fn hosts(hostname: &str, machine: Option<MachineAddresses>) -> String {
    let own = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let Some(MachineAddresses { host, gateway }) = machine else { return own };
    let gateway = gateway.map(|address| format!("{address}\t{GATEWAY_NAME}\n")).unwrap_or_default();
    format!("{own}{host}\t{HOST_NAME}\n{gateway}")
}

/// Files with an instance's names and name servers, and directories that the image requires, for an
/// instance with these users and groups.
pub fn files(
    facts: &Facts,
    hosts: &str,
    (hostname, resolv_conf): (&str, &str),
    (users, groups): (&IdMap, &IdMap),
) -> Files {
    let content = |name: &str| match name {
        "hosts" => hosts.to_owned(),
        "hostname" => format!("{hostname}\n"),
        _ => resolv_conf.to_owned(),
    };
    let file = |(name, place): (&str, &Option<Target>)| {
        let target = place.as_ref().map(target)?;
        Some(EtcFile { target, content: content(name).into_bytes() })
    };
    let dirs = |dirs: &[Dir]| dirs.iter().map(|dir| new_dir(dir, (users, groups))).collect();
    Files {
        etc_dirs: dirs(&facts.etc.dirs),
        etc: NAMES.into_iter().zip(&facts.etc.files).filter_map(file).collect(),
        placement: facts.etc.placement,
        dirs: dirs(&facts.dirs),
        dirs_in_tmp: dirs(&facts.tmp_dirs),
    }
}

/// A mount point and the directories to create for it.
pub fn place(place: &MountPlace, (users, groups): (&IdMap, &IdMap)) -> (CString, Vec<NewDir>) {
    let dir = |dir: &Dir| new_dir(dir, (users, groups));
    (target(&place.target).path, place.dirs.iter().map(dir).collect())
}

fn new_dir(Dir { target: place, mode, owner: (uid, gid) }: &Dir, (users, groups): (&IdMap, &IdMap)) -> NewDir {
    NewDir { target: target(place), mode: *mode, owner: (users.host_id(*uid), groups.host_id(*gid)) }
}

/// How `/tmp` is set up.
pub fn tmp(facts: &Facts) -> sys::init::spec::Tmp {
    match &facts.tmp {
        Tmp::Mounted(place) => sys::init::spec::Tmp::Mounted(target(place).path),
        Tmp::Kept(place) => sys::init::spec::Tmp::Kept(place.as_ref().map(target)),
    }
}

fn target(place: &Target) -> sys::init::spec::Target {
    let text = |bytes: &[u8]| CString::new(bytes).expect("names of files have no NUL");
    let Target { parent, name } = place;
    if parent.is_empty() {
        return sys::init::spec::Target { parent: text(b"."), name: text(name), path: text(name) };
    }
    let path = text(&[parent, name.as_slice()].join(&b'/'));
    sys::init::spec::Target { parent: text(parent), name: text(name), path }
}
