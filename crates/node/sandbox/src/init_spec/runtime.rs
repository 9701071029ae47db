//! Starts by an OCI runtime: its bundle, and the runtime as the process that the init executes.

use sys::init::spec::{OciRuntime, Process};

use super::Rlimit;
use super::text::{text, texts};
use crate::cgroup::CgroupFds;
use crate::config::Config;
use crate::environment::DEFAULT_PATH;
use crate::error::Error;
use crate::masks::{MASKED_PROC, MASKED_SYS, READ_ONLY_PROC};
use crate::root::{Facts, Tmp};
use crate::runtime::{self, Bundle, Runtime};
use crate::secrets;
use crate::spec::{LaunchSpec, Mount};
use crate::users::Users;

/// Where cgroups are mounted (systemd's file hierarchy).
const CGROUPS: &str = "/sys/fs/cgroup";

/// Has the process be an OCI runtime, which starts the image's program by its bundle.
pub(super) fn of_runtime(process: &mut Process, argv: &[String], runtime: &OciRuntime) -> Result<(), Error> {
    if !runtime.joins_user {
        process.rlimits.clear();
    }
    process.programs = texts("program", &argv[..1])?;
    process.argv = texts("argument", argv)?;
    process.env = texts("variable", &[format!("PATH={DEFAULT_PATH}")])?;
    Ok(())
}

/// The start of an OCI runtime that makes the instance.
pub(super) struct OciStart {
    pub stage: &'static str,
    pub argv: Vec<String>,
    pub runtime: OciRuntime,
}

pub(super) fn oci_runtime(
    runtime: &Runtime,
    spec: &LaunchSpec,
    (env, rlimits): (&[String], &[Rlimit]),
    facts: &Facts,
    (users, fds): (&Users, &CgroupFds),
    config: &Config,
) -> Result<OciStart, Error> {
    let stage = runtime::stage(runtime.program());
    let below = |folder: &str, names: &[&str]| names.iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>();
    let mounted = |(number, mount): (usize, &Mount)| (format!("b{number}"), mount.target.clone(), mount.read_only);
    let mut binds: Vec<_> = spec.mounts.iter().enumerate().map(mounted).collect();
    if !spec.secrets.is_empty() {
        binds.push((format!("b{}", binds.len()), secrets::DIR.to_owned(), true));
    }
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
        ids: (&users.users, &users.groups),
        // In a user namespace that is not root's, only CAP_SYS_RESOURCE may set the limits of
        // others: the runtime begins with them, and hands them on.
        rlimits: if runtime.kind().maps_ids() { &[] } else { rlimits },
        oom_score_adj: config.oom_score_adj,
        masked: &[below("/proc", MASKED_PROC), below("/sys", MASKED_SYS)].concat(),
        read_only: &below("/proc", READ_ONLY_PROC),
        filters_inside: config.filters_inside,
        terminals_max: config.terminals_max,
        cgroups: &fds.view_places,
        binds: &binds,
    };
    let oci = OciRuntime {
        config: runtime::config(&bundle),
        cgroups: text("path", CGROUPS)?,
        covers_cgroups: runtime.kind().covers_cgroups(),
        joins_user: runtime.kind().maps_ids(),
        bind_names: binds.iter().map(|(name, ..)| text("name", name)).collect::<Result<_, _>>()?,
        init: spec.init.then_some(sys::init_program::PROGRAM),
    };
    Ok(OciStart { stage, argv: runtime.argv(spec.id.as_str()), runtime: oci })
}

/// The command, for the init where there is one: it gives the command the score itself, being the
/// process that has it.
pub(super) fn behind_init(spec: &LaunchSpec, init: &str, score: i32) -> Vec<String> {
    let own = if spec.init { vec![init.to_owned(), score.to_string()] } else { Vec::new() };
    [own, spec.argv.clone()].concat()
}
