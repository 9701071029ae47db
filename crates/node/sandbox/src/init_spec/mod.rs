//! Builds the [`InitSpec`] of a start from the caller's spec and the prewarmed resources: every
//! path, option and number.

mod runtime;
mod text;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Uid, chownat, fchown, fstat, statat};
use rustix::io::Errno;
use sys::Stack;
use sys::init::InitSpec;
use sys::init::spec::{Bind, Cgroup, Credentials, MaskedPath, Masks, Process, Rootfs, Stdio};
use sys::instance_mounts::InstanceMounts;
use zeroize::Zeroizing;

use self::runtime::{OciStart, behind_init, oci_runtime, of_runtime};
use self::text::{names, text, texts, way_to};
use crate::cgroup::CgroupFds;
use crate::config::Config;
use crate::disk_ids::Recent;
use crate::environment::{environment, programs};
use crate::error::Error;
use crate::etc_files::{self, MachineAddresses, files, hosts, tmp};
use crate::identity::Identity;
use crate::masks::{MASKED_PROC, READ_ONLY_PROC};
use crate::mounts::binds;
use crate::prewarm_pool::Namespaces;
use crate::root::{Facts, Image, MountPlace, Places};
use crate::spec::LaunchSpec;
use crate::users::Users;
use crate::{capabilities, rlimits, seccomp, secrets};

/// A resource limit: its number, its name in the runtime-spec, its maximum.
type Rlimit = (u32, &'static str, u64);

/// Layers that an overlay can have (fs/overlayfs/params.h, `OVL_MAX_STACK`).
const LOWER_DIRS_MAX: usize = 500;

/// Resources of a start beside the caller's spec.
pub struct Prepared<'a> {
    /// Mount namespace with an empty directory.
    pub bare_mounts: Arc<OwnedFd>,
    /// A `/proc` of the host.
    pub proc: BorrowedFd<'a>,
    /// Namespaces of the instance, owned by the caller.
    pub namespaces: &'a Namespaces,
    /// Its mounts.
    pub mounts: InstanceMounts,
    /// Its cgroup.
    pub cgroup: CgroupFds,
    /// Its `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Recent mappings of ids on disk.
    pub mapped: &'a Recent,
    /// Where it reaches this machine, if it may.
    pub machine: Option<MachineAddresses>,
}

/// Builds the spec of an instance; a user namespace that has to be created is created on `stack`.
pub fn init_spec(
    mut spec: LaunchSpec,
    prepared: Prepared<'_>,
    config: &Config,
    stack: &mut Stack,
) -> Result<InitSpec, Error> {
    check(&spec)?;
    let Prepared { bare_mounts, proc, namespaces, mut mounts, cgroup, resolv_conf, mapped, machine } = prepared;
    let (facts, places) = root(&spec, config)?;
    let identity = &facts.identity;
    // They include the values of secrets.
    let given = Zeroizing::new(std::mem::take(&mut spec.env));
    let env = Zeroizing::new(environment(&given, &spec.hostname, identity));
    let users = Users::new(identity, namespaces, spec.runtime.as_ref(), config, stack)?;
    if let Some(tmp) = spec.tmp.take() {
        give(&tmp, users.root).map_err(Error::path("hand over", "the file system for /tmp"))?;
        mounts.replace_tmp(tmp);
    }
    let binds = all_binds(&spec, &places, (&users, identity), (namespaces, mapped), config, stack)?;
    give_output(&spec, users.users.host_id(identity.uid), users.groups.host_id(identity.gid))?;
    let rlimits = rlimits::of_processes(spec.files_max, config);
    let (process, oci) = program(&spec, (&env, &rlimits), &facts, (&users, &cgroup), config)?;
    let stage = oci.as_ref().map_or("/", |oci| oci.stage);
    Ok(InitSpec {
        cgroup: Cgroup { v1_tasks: cgroup.v1_tasks, v2_directory: cgroup.v2_directory, view: cgroup.view },
        rootfs: rootfs(&spec.lower_dirs, stage, &users, mounts, (tmp(&facts), binds))?,
        files: files(
            &facts,
            &hosts(&spec.hostname, machine),
            (&spec.hostname, &resolv_conf),
            (&users.users, &users.groups),
        ),
        namespaces: sys::init::spec::Namespaces {
            mounts: bare_mounts,
            network: namespaces.network.clone(),
            user: users.namespace,
            hostname: text("host name", &spec.hostname)?,
        },
        masks: Masks { proc: masked(proc)?, read_only_proc: names(READ_ONLY_PROC)? },
        process,
        credentials: credentials(identity, config),
        stdio: Stdio { stdout: spec.stdout, stderr: spec.stderr },
        oci_runtime: oci.map(|oci| oci.runtime),
    })
}

/// What is known of the image's root, and the places in it for the instance's mounts.
fn root(spec: &LaunchSpec, config: &Config) -> Result<(Arc<Facts>, Places), Error> {
    let image = Image {
        lower_dirs: &spec.lower_dirs,
        user: &spec.user,
        working_dir: &spec.working_dir,
        volumes: &spec.volumes,
        made_dirs_max: config.made_dirs_max,
        covers_tmp: spec.tmp.is_some(),
    };
    let facts = spec.root_facts.of(&image)?;
    // Secrets last: no volume is mounted over them.
    let of_secrets = (!spec.secrets.is_empty()).then_some(secrets::DIR);
    let targets: Vec<&str> = spec.mounts.iter().map(|mount| &*mount.target).chain(of_secrets).collect();
    let places = spec.root_facts.places(&image, &targets)?;
    Ok((facts, places))
}

/// The mounts of a start, and of its secrets, which have the last place.
fn all_binds(
    spec: &LaunchSpec,
    places: &Places,
    (users, identity): (&Users, &Identity),
    (namespaces, mapped): (&Namespaces, &Recent),
    config: &Config,
    stack: &mut Stack,
) -> Result<Vec<Bind>, Error> {
    let mut binds = binds(&spec.mounts, places, (users, identity), (&namespaces.ids, mapped), config, stack)?;
    if let (false, Some(place)) = (spec.secrets.is_empty(), places.last()) {
        binds.push(secrets_bind(spec, place, users, identity)?);
    }
    Ok(binds)
}

/// The process that init executes: the image's program, or the OCI runtime that starts it.
fn program(
    spec: &LaunchSpec,
    (env, rlimits): (&[String], &[Rlimit]),
    facts: &Facts,
    (users, cgroup): (&Users, &CgroupFds),
    config: &Config,
) -> Result<(Process, Option<OciStart>), Error> {
    let runtime = spec.runtime.as_ref();
    let oci = runtime.map(|runtime| oci_runtime(runtime, spec, (env, rlimits), facts, (users, cgroup), config));
    let oci = oci.transpose()?;
    let mut process = process(spec, env, rlimits, config)?;
    if let Some(OciStart { argv, runtime, .. }) = &oci {
        of_runtime(&mut process, argv, runtime)?;
    }
    Ok((process, oci))
}

/// The image's user, with what every instance may do.
fn credentials(identity: &Identity, config: &Config) -> Credentials {
    Credentials {
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
        capabilities: capabilities::kept(),
        seccomp: seccomp::filter(config.filters_inside),
    }
}

/// The file system of an instance's secrets, detached, at its place.
fn secrets_bind(spec: &LaunchSpec, place: &MountPlace, users: &Users, identity: &Identity) -> Result<Bind, Error> {
    let host = |uid, gid| (users.users.host_id(uid), users.groups.host_id(gid));
    let tree = secrets::file_system(&spec.secrets, host(identity.uid, identity.gid), host(0, 0));
    let tree = tree.map_err(Error::path("make the file system at", secrets::DIR))?;
    let (target, dirs) = etc_files::place(place, (&users.users, &users.groups));
    Ok(Bind { tree, target, dirs })
}

/// The overlay over the layers, which show the image's owners where ids are mapped.
fn rootfs(
    lower_dirs: &[PathBuf],
    stage: &str,
    users: &Users,
    mounts: InstanceMounts,
    (tmp, binds): (sys::init::spec::Tmp, Vec<Bind>),
) -> Result<Rootfs, Error> {
    let lowers = lowers(lower_dirs, users.layers.as_ref().map(AsFd::as_fd))?;
    let lower_names: Vec<String> = (0..lowers.len()).map(|number| format!("l{number}")).collect();
    // Directories of the image cannot be renamed, as under other runtimes: programs get EXDEV and
    // copy.
    let overlay_options = format!(
        "lowerdir={},upperdir=u,workdir=w,volatile,xino=off,redirect_dir=nofollow,index=off,metacopy=off",
        lower_names.join(":")
    );
    Ok(Rootfs {
        stage: text("stage", stage)?,
        lowers,
        lower_names: texts("layer", &lower_names)?,
        overlay_options: text("mount options", &overlay_options)?,
        owner: users.root,
        mounts,
        tmp,
        binds,
    })
}

/// The image's program, behind an init if one is configured.
fn process(spec: &LaunchSpec, env: &[String], rlimits: &[Rlimit], config: &Config) -> Result<Process, Error> {
    let init = || sys::init_program::file().map_err(Error::path("make", "the init"));
    // Under an OCI runtime the init is a file of the bundle.
    let init = (spec.init && spec.runtime.is_none()).then(init).transpose()?;
    Ok(Process {
        oom_score_adj: text("score", &config.oom_score_adj.to_string())?,
        rlimits: rlimits.iter().map(|(resource, _, most)| (*resource, *most, *most)).collect(),
        working_dir: way_to(&spec.working_dir)?,
        init,
        programs: texts("program", &programs(&spec.argv, env))?,
        argv: texts("argument", &behind_init(spec, "init", config.oom_score_adj))?,
        env: texts("variable", env)?,
    })
}

/// The layers, detached; with the image's owners where ids are mapped.
fn lowers(dirs: &[PathBuf], user: Option<BorrowedFd<'_>>) -> Result<Vec<OwnedFd>, Error> {
    let detached = |dir: &PathBuf| match user {
        Some(user) => sys::mount::idmapped_tree(dir, user).map_err(Error::path("make an idmapped mount of", dir)),
        None => sys::mount::tree(dir).map_err(Error::path("make a mount of", dir)),
    };
    dirs.iter().map(detached).collect()
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
    // Values may be secrets: errors show names only.
    if let Some((key, _)) = spec.env.iter().find(|(key, _)| key.is_empty() || key.contains('=')) {
        return bad("variable", key.clone(), "its name is empty or has a '='");
    }
    if let Some((key, _)) = spec.env.iter().find(|(key, value)| key.contains('\0') || value.contains('\0')) {
        return bad("variable", key.replace('\0', "\\0"), "it has a NUL byte");
    }
    Ok(())
}

/// Makes the instance's root the owner of a file system.
fn give(mount: &OwnedFd, root: u32) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(root)), Some(Gid::from_raw(root)));
    Ok(chownat(mount, "", owner.0, owner.1, AtFlags::EMPTY_PATH)?)
}

/// Lets the image's user open its standard output by name, as `/dev/stdout`: pipes belong to their
/// creator, here the host's root, who is unmapped inside. Files other than pipes keep their owner.
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

/// The masked paths that the kernel has, and whether each is a directory: in the instance's `/proc`
/// each name would need another lookup.
fn masked(proc: BorrowedFd<'_>) -> Result<Vec<MaskedPath>, Error> {
    let mut found = Vec::new();
    for name in MASKED_PROC {
        match statat(proc, *name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                found.push(MaskedPath { name: text("path", name)?, is_dir });
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(Error::path("find in /proc", *name)(error.into())),
        }
    }
    Ok(found)
}
