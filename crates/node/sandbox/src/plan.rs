//! From what the caller wants to what the child is told: every path, option and number, ready made.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, getxattr, openat2, statat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use sys::Plan;
use sys::ahead::Mounts;
use sys::spawn::{Hosted, Masked, PathStep};

use crate::cgroup::Doors;
use crate::config::Config;
use crate::error::Error;
use crate::identity::{Identity, resolve};
use crate::injected::{Injection, injection};
use crate::runtime::{self, Bundle, Runtime};
use crate::slots::Slot;
use crate::spec::LaunchSpec;
use crate::{capabilities, seccomp};

/// Bytes read of an image's /etc/passwd or /etc/group.
const IDENTITY_FILE_BYTES_MAX: u64 = 1024 * 1024;
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
/// `doors`. `resolv_conf` is what is said there of name servers.
pub fn make(
    spec: LaunchSpec,
    (bare, proc): (Arc<OwnedFd>, BorrowedFd<'_>),
    (slot, mounts): (&Slot, Mounts),
    doors: Doors,
    resolv_conf: String,
    config: &Config,
) -> Result<Plan, Error> {
    check(&spec)?;
    let identity = identity(&spec, config.ids_per_instance)?;
    let env = environment(&spec, &identity)?;
    let maps_ids = spec.runtime.as_ref().is_none_or(|runtime| runtime.kind().maps_ids());
    let (owner, user) = (if maps_ids { slot.ids.first_id() } else { 0 }, slot.ids.namespace());
    give_output(&spec, owner, &identity)?;
    let lowers = lowers(&spec.lower_dirs, maps_ids.then(|| user.as_fd()))?;
    let lower_names: Vec<String> = (0..lowers.len()).map(|number| format!("l{number}")).collect();
    // Directories of the image cannot be renamed, as under other runtimes: programs see EXDEV and copy.
    let overlay_options = format!(
        "lowerdir={},upperdir=u,workdir=w,volatile,xino=off,redirect_dir=nofollow,index=off,metacopy=off",
        lower_names.join(":")
    );
    let hosted =
        spec.runtime.as_ref().map(|runtime| hosted(runtime, &spec, &env, &identity, slot, config)).transpose()?;
    let Injection { dirs, files, injected } = injection(&spec.lower_dirs, &spec.hostname, resolv_conf);
    let plan = Plan {
        bare,
        stage: text("stage", "/")?,
        overlay_options: text("mount options", &overlay_options)?,
        lower_names: texts("layer", &lower_names)?,
        lowers,
        owner,
        cgroup_v1_tasks: doors.v1_tasks,
        cgroup_v2: doors.v2_directory,
        network: slot.network.clone(),
        user: user.clone(),
        mounts,
        dirs,
        files,
        injected,
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
        programs: texts("program", &programs(&spec.argv, &env))?,
        argv: texts("argument", &spec.argv)?,
        env: texts("variable", &env)?,
        hosted: None,
    };
    match hosted {
        None => Ok(plan),
        Some(Made { stage, argv, hosted }) => Ok(Plan {
            stage: text("stage", stage)?,
            programs: texts("program", &argv[..1])?,
            argv: texts("argument", &argv)?,
            env: texts("variable", &[format!("PATH={DEFAULT_PATH}")])?,
            hosted: Some(hosted),
            ..plan
        }),
    }
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
    identity: &Identity,
    slot: &Slot,
    config: &Config,
) -> Result<Made, Error> {
    let stage = runtime::stage(runtime.program());
    let below = |folder: &str, names: &[&str]| names.iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>();
    let bundle = Bundle {
        kind: runtime.kind(),
        stage,
        argv: &spec.argv,
        env,
        working_dir: &spec.working_dir,
        identity,
        hostname: &spec.hostname,
        ids: (slot.ids.first_id(), config.ids_per_instance),
        files_max: spec.files_max,
        oom_score_adj: config.oom_score_adj,
        masked: &[below("/proc", MASKED_PROC), below("/sys", MASKED_SYS)].concat(),
        read_only: &below("/proc", READ_ONLY),
    };
    let hosted = Hosted {
        config: runtime::config(&bundle),
        cgroups: text("path", CGROUPS)?,
        covers_cgroups: runtime.kind().covers_cgroups(),
    };
    Ok(Made { stage, argv: runtime.argv(spec.id.as_str()), hosted })
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
fn give_output(spec: &LaunchSpec, owner: u32, identity: &Identity) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(owner + identity.uid), Gid::from_raw(owner + identity.gid));
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

fn environment(spec: &LaunchSpec, identity: &Identity) -> Result<Vec<String>, Error> {
    let mut env: Vec<String> = spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let lacks = |name: &str| !spec.env.iter().any(|(key, _)| key == name);
    if lacks("PATH") {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    if lacks("HOME") {
        env.push(format!("HOME={}", identity.home.as_deref().filter(|h| !h.is_empty()).unwrap_or("/")));
    }
    Ok(env)
}

fn identity(spec: &LaunchSpec, ids: u32) -> Result<Identity, Error> {
    let passwd = read_in_layers(&spec.lower_dirs, "etc/passwd");
    let group = read_in_layers(&spec.lower_dirs, "etc/group");
    resolve(&spec.user, &passwd, &group, ids)
}

/// The content of a file of `/etc` as the topmost layer has it. Links are followed inside the layer only; a whiteout
/// (a device), an opaque directory, or a file in the place of the directory hides what is below.
fn read_in_layers(lower_dirs: &[PathBuf], name: &str) -> String {
    for dir in lower_dirs {
        let Ok(root) = File::open(dir) else { continue };
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match openat2(&root, name, flags, Mode::empty(), inside) {
            Ok(file) => return read_regular(file.into()),
            Err(Errno::NOENT) if !is_opaque(&dir.join("etc")) => {}
            Err(_) => return String::new(),
        }
    }
    String::new()
}

/// A file that cannot be read gives no names; a user given by number works all the same.
fn read_regular(file: File) -> String {
    let mut bytes = Vec::new();
    if file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        file.take(IDENTITY_FILE_BYTES_MAX).read_to_end(&mut bytes).ok();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a directory of a layer hides those below it (Documentation/filesystems/overlayfs.rst).
fn is_opaque(dir: &Path) -> bool {
    let mut value = [0_u8; 1];
    getxattr(dir, "trusted.overlay.opaque", &mut value).is_ok_and(|length| length == 1 && value == *b"y")
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
    fn the_topmost_layers_file_counts() {
        let (top, bottom) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::fs::create_dir(bottom.path().join("etc")).expect("made");
        std::fs::write(bottom.path().join("etc/passwd"), "below").expect("written");
        let layers = [top.path().to_owned(), bottom.path().to_owned()];
        assert_eq!(read_in_layers(&layers, "etc/passwd"), "below");
        std::fs::create_dir(top.path().join("etc")).expect("made");
        assert_eq!(read_in_layers(&layers, "etc/passwd"), "below");
        let opaque = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(top.path().join("etc"), "trusted.overlay.opaque", b"y", opaque).expect("marked");
        assert_eq!(read_in_layers(&layers, "etc/passwd"), "");
        std::fs::write(top.path().join("etc/passwd"), "above").expect("written");
        assert_eq!(read_in_layers(&layers, "etc/passwd"), "above");
    }
}
