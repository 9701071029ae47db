//! From what the caller wants to what the child is told: every path, option and number, ready made.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Uid, fchown, fstat, statat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use sys::ahead::Mounts;
use sys::namespace::IdRange;
use sys::spawn::{Hosted, Masked, PathStep};
use sys::{Plan, Stack};
use types::limits::FOLDED_ID;

use crate::cgroup::Doors;
use crate::config::Config;
use crate::error::Error;
use crate::id_map::IdMap;
use crate::identity::Identity;
use crate::injected::{Injection, injection};
use crate::root::{Facts, Image, Tmp};
use crate::runtime::{self, Bundle, Runtime};
use crate::slots::Slot;
use crate::spec::LaunchSpec;
use crate::{capabilities, seccomp};

/// Layers that an overlay can have (fs/overlayfs/params.h, `OVL_MAX_STACK`).
const LOWER_DIRS_MAX: usize = 500;
/// Where cgroups are mounted (systemd's file hierarchy).
const CGROUPS: &str = "/sys/fs/cgroup";
/// Where programs are looked for when the environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What tells about or reaches the machine below `/proc` and `/sys` (the list of the OCI runtimes).
const MASKED_PROC: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    // Anyone may have it watched, which costs the kernel a thread, and it tells of the whole machine.
    "pressure",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
/// Directories, for what covers them is one.
pub const MASKED_SYS: &[&str] = &["devices/virtual/powercap", "firmware", "kernel/debug", "kernel/tracing"];
/// What may be read below `/proc`.
const READ_ONLY: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Makes the plan of an instance in `slot`, which stays the caller's, on a copy of the `bare` mounts and in the cgroup behind
/// `doors`. `resolv_conf` is what is said there of name servers; a user namespace that has to be made is made on `stack`.
pub fn make(
    spec: LaunchSpec,
    (bare, proc): (Arc<OwnedFd>, BorrowedFd<'_>),
    (slot, mounts): (&Slot, Mounts),
    doors: Doors,
    resolv_conf: String,
    config: &Config,
    stack: &mut Stack,
) -> Result<Plan, Error> {
    check(&spec)?;
    let image = Image {
        lower_dirs: &spec.lower_dirs,
        user: &spec.user,
        working_dir: &spec.working_dir,
        volumes: &spec.volumes,
        made_dirs_max: config.made_dirs_max,
    };
    let facts = spec.root_facts.of(&image)?;
    let identity = facts.identity.clone();
    let env = environment(&spec.env, &spec.hostname, &identity);
    let argv = behind_init(&spec, "init", config.oom_score_adj);
    let maps_ids = spec.runtime.as_ref().is_none_or(|runtime| runtime.kind().maps_ids());
    let owner = if maps_ids { slot.ids.first_id() } else { 0 };
    let (users, groups) = id_maps(&identity, maps_ids.then_some(owner), config);
    give_output(&spec, users.host_id(identity.uid), groups.host_id(identity.gid))?;
    // By the slot's own namespace in any case: the owners in prepared images are folded into it.
    let layers_user = if maps_ids { Some(slot.ids.namespace().clone()) } else { unfolding(&identity, stack)? };
    let lowers = lowers(&spec.lower_dirs, layers_user.as_ref().map(AsFd::as_fd))?;
    let user = match &spec.runtime {
        // The runtime makes its own.
        None if !users.is_plain() || !groups.is_plain() => new_user(&users.ranges(), &groups.ranges(), stack)?,
        _ => slot.ids.namespace().clone(),
    };
    let lower_names: Vec<String> = (0..lowers.len()).map(|number| format!("l{number}")).collect();
    // Directories of the image cannot be renamed, as under other runtimes: programs see EXDEV and copy.
    let overlay_options = format!(
        "lowerdir={},upperdir=u,workdir=w,volatile,xino=off,redirect_dir=nofollow,index=off,metacopy=off",
        lower_names.join(":")
    );
    let hosted = spec
        .runtime
        .as_ref()
        .map(|runtime| hosted(runtime, &spec, &env, &facts, ((&users, &groups), &doors), config))
        .transpose()?;
    let Injection { dirs, files, injected, made, tmp, made_in_tmp } =
        injection(&facts, &spec.hostname, resolv_conf, (&users, &groups));
    let plan = Plan {
        bare,
        stage: text("stage", "/")?,
        overlay_options: text("mount options", &overlay_options)?,
        lower_names: texts("layer", &lower_names)?,
        lowers,
        owner,
        cgroup_v1_tasks: doors.v1_tasks,
        cgroup_v2: doors.v2_directory,
        cgroup_view: doors.view,
        network: slot.network.clone(),
        user,
        mounts,
        dirs,
        files,
        injected,
        made,
        tmp,
        made_in_tmp,
        masked_proc: masked(proc)?,
        read_only: names(READ_ONLY)?,
        hostname: text("host name", &spec.hostname)?,
        rlimits: rlimits(spec.files_max),
        working_dir: way_to(&spec.working_dir)?,
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups,
        capabilities: capabilities::kept(),
        seccomp: seccomp::filter(),
        stdout: spec.stdout,
        stderr: spec.stderr,
        init: if spec.init { Some(sys::init::file().map_err(Error::path("make", "the init"))?) } else { None },
        programs: texts("program", &programs(&spec.argv, &env))?,
        argv: texts("argument", &argv)?,
        env: texts("variable", &env)?,
        hosted: None,
    };
    match hosted {
        None => Ok(plan),
        Some(Made { stage, argv, hosted }) => Ok(Plan {
            stage: text("stage", stage)?,
            init: None,
            programs: texts("program", &argv[..1])?,
            argv: texts("argument", &argv)?,
            env: texts("variable", &[format!("PATH={DEFAULT_PATH}")])?,
            hosted: Some(hosted),
            ..plan
        }),
    }
}

/// Users and groups of an instance whose host ids begin with `first`, if it has any of its own.
fn id_maps(identity: &Identity, first: Option<u32>, config: &Config) -> (IdMap, IdMap) {
    let map = |used| first.map_or_else(IdMap::of_host, |first| IdMap::new(first, config.ids_per_instance, used));
    (map(identity.uid), map(identity.gid))
}

/// A namespace that gives the owners in prepared images back to a user that has an id of the host's.
fn unfolding(identity: &Identity, stack: &mut Stack) -> Result<Option<Arc<OwnedFd>>, Error> {
    let (users, groups) = (IdMap::unfolded(identity.uid), IdMap::unfolded(identity.gid));
    if users.is_none() && groups.is_none() {
        return Ok(None);
    }
    let same = || vec![IdRange { inside: 0, outside: 0, count: FOLDED_ID + 1 }];
    new_user(&users.unwrap_or_else(same), &groups.unwrap_or_else(same), stack).map(Some)
}

fn new_user(users: &[IdRange], groups: &[IdRange], stack: &mut Stack) -> Result<Arc<OwnedFd>, Error> {
    let made = sys::namespace::new_user(users, groups, stack);
    made.map(Arc::new).map_err(|source| Error::Namespace { kind: "user", source })
}

/// The layers, detached; with the owners the image gave them where ids are mapped.
fn lowers(dirs: &[PathBuf], user: Option<BorrowedFd<'_>>) -> Result<Vec<OwnedFd>, Error> {
    let detached = |dir: &PathBuf| match user {
        Some(user) => sys::mount::idmapped_tree(dir, user).map_err(Error::path("make an idmapped mount of", dir)),
        None => sys::mount::tree(dir).map_err(Error::path("make a mount of", dir)),
    };
    dirs.iter().map(detached).collect()
}

/// What differs where another runtime makes the instance.
struct Made {
    stage: &'static str,
    argv: Vec<String>,
    hosted: Hosted,
}

fn hosted(
    runtime: &Runtime,
    spec: &LaunchSpec,
    env: &[String],
    facts: &Facts,
    (ids, doors): ((&IdMap, &IdMap), &Doors),
    config: &Config,
) -> Result<Made, Error> {
    let stage = runtime::stage(runtime.program());
    let below = |folder: &str, names: &[&str]| names.iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>();
    let bundle = Bundle {
        kind: runtime.kind(),
        stage,
        argv: &behind_init(spec, runtime::INIT, config.oom_score_adj),
        init: spec.init,
        env,
        working_dir: &spec.working_dir,
        identity: &facts.identity,
        mounts_tmp: matches!(facts.tmp, Tmp::Mounted(_)),
        hostname: &spec.hostname,
        ids,
        files_max: spec.files_max,
        oom_score_adj: config.oom_score_adj,
        masked: &[below("/proc", MASKED_PROC), below("/sys", MASKED_SYS)].concat(),
        read_only: &below("/proc", READ_ONLY),
        cgroups: &doors.view_places,
    };
    let hosted = Hosted {
        config: runtime::config(&bundle),
        cgroups: text("path", CGROUPS)?,
        covers_cgroups: runtime.kind().covers_cgroups(),
        init: spec.init.then_some(sys::init::PROGRAM),
    };
    Ok(Made { stage, argv: runtime.argv(spec.id.as_str()), hosted })
}

/// The command, for the init where there is one: it gives the command the score itself, being the process that has it.
fn behind_init(spec: &LaunchSpec, init: &str, score: i32) -> Vec<String> {
    let own = if spec.init { vec![init.to_owned(), score.to_string()] } else { Vec::new() };
    [own, spec.argv.clone()].concat()
}

/// What no later step would name.
fn check(spec: &LaunchSpec) -> Result<(), Error> {
    let bad = |what, value: String, reason| Err(Error::BadSpec { what, value, reason });
    if spec.argv.first().is_none_or(String::is_empty) {
        return bad("command", spec.argv.join(" "), "it names no program");
    }
    if spec.lower_dirs.is_empty() || spec.lower_dirs.len() > LOWER_DIRS_MAX {
        return bad("root", format!("{} layers", spec.lower_dirs.len()), "an overlay takes 1 to 500");
    }
    if let Some((key, value)) = spec.env.iter().find(|(key, _)| key.is_empty() || key.contains('=')) {
        return bad("variable", format!("{key}={value}"), "its name is empty or has a '='");
    }
    Ok(())
}

/// Lets the image's user open its standard output by name, as `/dev/stdout`: pipes belong to whoever made them, here the
/// host's root, who is nobody inside. What is no pipe is another's and stays.
fn give_output(spec: &LaunchSpec, uid: u32, gid: u32) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    for output in [&spec.stdout, &spec.stderr] {
        let give = || {
            if FileType::from_raw_mode(fstat(output)?.st_mode) == FileType::Fifo {
                fchown(output, Some(uid), Some(gid))?;
            }
            Ok(())
        };
        give().map_err(|error: Errno| Error::path("hand over", "the output pipes")(error.into()))?;
    }
    Ok(())
}

/// What of the list the kernel shows at all, and as what: in the instance's `/proc` each name would be looked up anew.
fn masked(proc: BorrowedFd<'_>) -> Result<Vec<Masked>, Error> {
    let mut found = Vec::new();
    for name in MASKED_PROC {
        match statat(proc, *name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                found.push(Masked { name: text("path", name)?, is_dir });
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(Error::path("find in /proc", *name)(error.into())),
        }
    }
    Ok(found)
}

fn text(what: &'static str, value: &str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| Error::BadSpec {
        what,
        value: value.replace('\0', "\\0"),
        reason: "it has a NUL byte",
    })
}

fn names(names: &[&str]) -> Result<Vec<CString>, Error> {
    names.iter().map(|name| text("path", name)).collect()
}

fn texts(what: &'static str, values: &[String]) -> Result<Vec<CString>, Error> {
    values.iter().map(|value| text(what, value)).collect()
}

/// Files and core dumps; an instance cannot be given more than the platform has itself.
fn rlimits(files_max: u64) -> Vec<(u32, u64, u64)> {
    let files = getrlimit(Resource::Nofile).maximum.map_or(files_max, |hard| files_max.min(hard));
    vec![(libc::RLIMIT_NOFILE, files, files), (libc::RLIMIT_CORE, 0, 0)]
}

/// The steps from the root to the working directory: `/a/b` is `a`, `a/b`.
fn way_to(working_dir: &str) -> Result<Vec<PathStep>, Error> {
    let mut so_far = String::new();
    let mut steps = Vec::new();
    for name in working_dir.split('/').filter(|name| !name.is_empty()) {
        if !so_far.is_empty() {
            so_far.push('/');
        }
        so_far.push_str(name);
        steps.push(PathStep { path: text("working directory", &so_far)?, name: text("working directory", name)? });
    }
    Ok(steps)
}

/// The files to try for a program, as `execvp` does: a name with a slash is a path, any other is looked up on PATH.
fn programs(argv: &[String], env: &[String]) -> Vec<String> {
    let Some(program) = argv.first() else { return Vec::new() };
    if program.contains('/') {
        return vec![program.clone()];
    }
    let search = env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    search.split(':').map(|dir| if dir.is_empty() { program.clone() } else { format!("{dir}/{program}") }).collect()
}

fn environment(given: &[(String, String)], hostname: &str, identity: &Identity) -> Vec<String> {
    // An empty home counts as none, as container runtimes have it.
    let given: Vec<_> = given.iter().filter(|(key, value)| key != "HOME" || !value.is_empty()).collect();
    let mut env: Vec<String> = given.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOSTNAME", hostname), ("HOME", home(identity))] {
        if !given.iter().any(|(key, _)| key == name) {
            env.push(format!("{name}={value}"));
        }
    }
    env
}

/// Home of the user by the image's /etc/passwd (POSIX XBD 8.3). Root has one in images without that file, too.
fn home(identity: &Identity) -> &str {
    match identity.home.as_deref() {
        Some(home) if !home.is_empty() => home,
        _ if identity.uid == 0 => "/root",
        _ => "/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_directory_is_made_from_the_top() {
        for (dir, want) in [("/srv//app/", &["srv", "srv/app"][..]), ("app", &["app"]), ("", &[]), ("/", &[])] {
            let steps = way_to(dir).expect("no NUL");
            assert_eq!(steps.iter().map(|step| step.path.to_str().expect("text")).collect::<Vec<_>>(), want, "{dir}");
            assert!(steps.iter().all(|step| step.path.to_bytes().ends_with(step.name.to_bytes())));
        }
        assert!(way_to("/a\0b").is_err());
    }

    #[test]
    fn a_name_is_looked_up_on_the_path_and_a_path_is_not() {
        let argv = |text: &str| vec![text.to_owned()];
        let env = ["PATH=/a:/b".to_owned()];
        assert_eq!(programs(&argv("run"), &env), ["/a/run", "/b/run"]);
        assert_eq!(programs(&argv("./run"), &env), ["./run"]);
        assert!(programs(&argv("run"), &[]).contains(&"/bin/run".to_owned()));
    }

    #[test]
    fn home_is_the_users_unless_the_environment_has_one() {
        let identity = |uid, home: &str| Identity { uid, home: Some(home.to_owned()), ..Identity::default() };
        for (own, identity, want) in [
            (None, identity(1000, "/home/app"), "/home/app"),
            (None, identity(0, "/var/root"), "/var/root"),
            (None, identity(1000, ""), "/"),
            (None, Identity::default(), "/root"),
            (None, Identity { uid: 4242, ..Identity::default() }, "/"),
            (Some("/own"), identity(1000, "/home/app"), "/own"),
            (Some(""), identity(1000, "/home/app"), "/home/app"),
        ] {
            let own: Vec<_> = own.map(|home| ("HOME".to_owned(), home.to_owned())).into_iter().collect();
            let env = environment(&own, "me", &identity);
            let homes: Vec<_> = env.iter().filter_map(|variable| variable.strip_prefix("HOME=")).collect();
            assert_eq!(homes, [want], "{own:?} {identity:?}");
            assert!(env.contains(&"HOSTNAME=me".to_owned()), "{env:?}");
        }
        let own = [("HOSTNAME".to_owned(), "mine".to_owned())];
        assert!(!environment(&own, "me", &Identity::default()).contains(&"HOSTNAME=me".to_owned()));
    }
}
