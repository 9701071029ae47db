//! Writes a runtime's `config.json` (runtime-spec) for an instance. Pure.

use serde_json::{Value, json};
use sys::namespace::IdRange;

use super::{Kind, seccomp};
use crate::capabilities;
use crate::id_map::IdMap;
use crate::identity::Identity;

/// The version of the specification.
const SPECIFICATION: &str = "1.0.2";
/// Group of terminals, as `/dev/pts` has it.
const TTY_GROUP: u32 = 5;

/// Path of its user namespace, below the stage.
const USER: &str = "user";

/// Path of an instance's init, if any.
pub(crate) const INIT: &str = "/dev/init";

/// The parts of an instance that a runtime needs.
pub(crate) struct Bundle<'a> {
    /// The runtime.
    pub kind: Kind,
    /// Where the writable layer is attached, with the root as `r`.
    pub stage: &'a str,
    /// Command, the program first.
    pub argv: &'a [String],
    /// Whether the init is mounted at [`INIT`].
    pub init: bool,
    /// Environment, `KEY=value`.
    pub env: &'a [String],
    /// Absolute working directory.
    pub working_dir: &'a str,
    /// User and groups of the process.
    pub identity: &'a Identity,
    /// Whether `/tmp` is a mount, not the image's directory.
    pub mounts_tmp: bool,
    /// Host name inside.
    pub hostname: &'a str,
    /// Its users and groups.
    pub ids: (&'a IdMap, &'a IdMap),
    /// Limits that the runtime sets: number, name, maximum.
    pub rlimits: &'a [(u32, &'static str, u64)],
    /// Added to its out-of-memory score.
    pub oom_score_adj: i32,
    /// Masked paths below `/proc` and `/sys`.
    pub masked: &'a [String],
    /// Read-only paths.
    pub read_only: &'a [String],
    /// Whether its programs may install seccomp filters of their own.
    pub filters_inside: bool,
    /// Maximum number of terminals.
    pub terminals_max: u32,
    /// Paths of the mounts that show its cgroups, below `/sys`.
    pub cgroups: &'a [String],
    /// Directories of the host: name at the stage, path inside, whether it is read-only.
    pub binds: &'a [(String, String, bool)],
}

/// The content of `config.json`.
pub(crate) fn config(bundle: &Bundle<'_>) -> Vec<u8> {
    let config = json!({
        "ociVersion": SPECIFICATION,
        "process": process(bundle),
        "root": {"path": format!("{}/r", bundle.stage), "readonly": false},
        "hostname": bundle.hostname,
        "mounts": mounts(bundle),
        "linux": linux(bundle),
    });
    serde_json::to_vec(&config).expect("texts and numbers always serialize")
}

fn process(bundle: &Bundle<'_>) -> Value {
    let Identity { uid, gid, groups, .. } = bundle.identity;
    // Users other than root have none, as in Sampan's own isolation.
    let kept = if *uid == 0 { capabilities::names() } else { Vec::new() };
    let rlimits = bundle.rlimits.iter().map(|(_, name, most)| json!({"type": name, "hard": most, "soft": most}));
    json!({
        "terminal": false,
        "user": {"uid": uid, "gid": gid, "additionalGids": groups, "umask": 0o022},
        "args": bundle.argv,
        "env": bundle.env,
        "cwd": if bundle.working_dir.starts_with('/') { bundle.working_dir } else { "/" },
        "noNewPrivileges": true,
        "oomScoreAdj": bundle.oom_score_adj,
        "rlimits": rlimits.collect::<Vec<_>>(),
        "capabilities": {
            "bounding": capabilities::names(), "permitted": kept, "effective": kept, "inheritable": [], "ambient": [],
        },
    })
}

fn mounts(bundle: &Bundle<'_>) -> Value {
    let stage = bundle.stage;
    // Bound recursively, with the mounts over parts of them: the kernel lets no user namespace
    // uncover these.
    let bound = |to: &str, from: &str, options: &[&str]| {
        let options: Vec<&str> = ["rbind"].iter().chain(options).copied().collect();
        json!({"destination": to, "type": "bind", "source": format!("{stage}/{from}"), "options": options})
    };
    let of_its_own = |to: &str, kind: &str, options: Value| json!({"destination": to, "type": kind, "source": kind, "options": options});
    let (group, most) = (format!("gid={TTY_GROUP}"), format!("max={}", bundle.terminals_max));
    let terminals = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", group, most]);
    let read_only = &["ro", "nosuid", "nodev", "noexec"];
    let mut mounts = vec![
        of_its_own("/proc", "proc", json!(["nosuid", "noexec", "nodev"])),
        of_its_own("/dev", "tmpfs", json!(["nosuid", "strictatime", "mode=755", "size=65536k"])),
        of_its_own("/dev/pts", "devpts", terminals),
        bound("/dev/shm", "shm", &["nosuid", "nodev"]),
        bound("/sys", "sys", read_only),
    ];
    if bundle.mounts_tmp {
        mounts.push(bound("/tmp", "tmp", &["nosuid", "nodev"]));
    }
    for (name, path, read_only) in bundle.binds {
        mounts.push(bound(path, name, &[if *read_only { "ro" } else { "rw" }, "nosuid", "nodev"]));
    }
    if bundle.kind.leaves_submounts() {
        mounts.extend(bundle.cgroups.iter().map(|path| bound(path, path.trim_start_matches('/'), read_only)));
    }
    if bundle.init {
        mounts.push(bound(INIT, "init", &["ro", "nosuid", "nodev"]));
    }
    mounts.into()
}

fn linux(bundle: &Bundle<'_>) -> Value {
    let mut kinds = vec!["pid", "ipc", "uts", "mount"];
    let mut linux = json!({
        "maskedPaths": bundle.masked,
        "readonlyPaths": bundle.read_only,
    });
    let mut user = None;
    if bundle.kind.maps_ids() {
        // Not a namespace of the runtime: the host's root would own it, and resources used inside
        // would count as root's.
        user = Some(json!({"type": "user", "path": format!("{}/{USER}", bundle.stage)}));
        let (users, groups) = bundle.ids;
        (linux["uidMappings"], linux["gidMappings"]) = (mappings(users), mappings(groups));
    }
    // gVisor filters itself; the platform's filter would protect nothing on the host. Its processes
    // are in no cgroup of the host.
    if bundle.kind != Kind::Runsc {
        kinds.push("cgroup");
        linux["seccomp"] = seccomp::filter(bundle.filters_inside);
    }
    let namespaces = kinds.into_iter().map(|kind| json!({"type": kind}));
    linux["namespaces"] = namespaces.chain(user).collect();
    linux
}

fn mappings(ids: &IdMap) -> Value {
    let mapping = |range: IdRange| json!({"containerID": range.inside, "hostID": range.outside, "size": range.count});
    ids.ranges().into_iter().map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: Kind, uid: u32) -> Value {
        let identity = Identity { uid, gid: uid, groups: vec![uid], large_group: uid, home: None };
        let ids = IdMap::new(1_000_000, 65_536, uid);
        let (argv, env) = (["/app".to_owned()], ["A=b".to_owned()]);
        let bundle = Bundle {
            kind,
            stage: "/mnt",
            argv: &argv,
            init: kind == Kind::Crun,
            env: &env,
            working_dir: "",
            identity: &identity,
            mounts_tmp: true,
            hostname: "h",
            ids: (&ids, &ids),
            rlimits: &[(libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", 4096)],
            oom_score_adj: 500,
            masked: &["/proc/kcore".to_owned()],
            read_only: &["/proc/sys".to_owned()],
            filters_inside: false,
            terminals_max: 16,
            cgroups: &["/sys/fs/cgroup".to_owned()],
            binds: &[("b0".to_owned(), "/data".to_owned(), true)],
        };
        serde_json::from_slice(&config(&bundle)).expect("JSON")
    }

    #[test]
    fn an_instance_is_told_as_our_own_isolation_makes_it() {
        let config = made(Kind::Runc, 0);
        assert_eq!(config["root"]["path"], "/mnt/r");
        assert_eq!((&config["process"]["cwd"], &config["process"]["noNewPrivileges"]), (&json!("/"), &json!(true)));
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 1_000_000);
        assert!(config["process"]["capabilities"]["effective"].as_array().is_some_and(|kept| kept.len() == 9));
        assert_eq!(config["process"]["rlimits"][0]["hard"], 4096);
        let namespaces = config["linux"]["namespaces"].as_array().expect("a list");
        assert!(namespaces.contains(&json!({"type": "user", "path": "/mnt/user"})), "{namespaces:?}");
        assert!(!namespaces.contains(&json!({"type": "network"})), "it is in the instance's network already");
        assert!(config["linux"].get("cgroupsPath").is_none() && config["linux"].get("resources").is_none());
    }

    #[test]
    fn cgroups_are_seen_from_their_own_namespace_on_the_hosts_kernel() {
        let shown = |kind| {
            let config = made(kind, 0);
            let mounts = config["mounts"].as_array().expect("a list").clone();
            let bound = mounts.into_iter().find(|mount| mount["destination"] == "/sys/fs/cgroup");
            let namespaces = config["linux"]["namespaces"].as_array().expect("a list").clone();
            (namespaces.contains(&json!({"type": "cgroup"})), bound.map(|mount| mount["source"].clone()))
        };
        assert_eq!(shown(Kind::Runc), (true, None), "they come with /sys");
        assert_eq!(shown(Kind::Crun), (true, Some(json!("/mnt/sys/fs/cgroup"))));
        assert_eq!(shown(Kind::Runsc), (false, None));
    }

    #[test]
    fn a_large_user_has_a_mapping_of_its_own() {
        let mappings = &made(Kind::Runc, 1_000_660_000)["linux"]["uidMappings"];
        let large = json!({"containerID": 1_000_660_000, "hostID": 1_065_535, "size": 1});
        assert_eq!((&mappings[0]["size"], &mappings[1]), (&json!(65_535), &large));
    }

    #[test]
    fn whoever_is_not_root_has_no_capabilities() {
        assert_eq!(made(Kind::Crun, 1000)["process"]["capabilities"]["effective"], json!([]));
    }

    #[test]
    fn an_init_is_put_where_it_is_asked_for_and_cannot_be_written() {
        let init = |kind| made(kind, 0)["mounts"].as_array().expect("a list").last().cloned().expect("mounts");
        assert_eq!(
            (init(Kind::Crun)["destination"].clone(), init(Kind::Crun)["source"].clone()),
            (json!("/dev/init"), json!("/mnt/init"))
        );
        assert!(init(Kind::Crun)["options"].as_array().is_some_and(|options| options.contains(&json!("ro"))));
        assert_eq!(init(Kind::Runc)["destination"], "/data", "without one the last is a volume");
    }

    #[test]
    fn gvisor_gets_no_user_namespace_and_no_filter() {
        let config = made(Kind::Runsc, 0);
        assert!(config["linux"].get("uidMappings").is_none() && config["linux"].get("seccomp").is_none());
        let namespaces = config["linux"]["namespaces"].as_array().expect("a list");
        assert!(namespaces.iter().all(|namespace| namespace["type"] != "user"), "{namespaces:?}");
    }
}
