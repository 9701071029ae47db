//! Resource limits of instances (setrlimit(2)): per process, and those that the kernel counts for
//! all users of an instance together. An instance cannot get more than the platform has itself.

use rustix::process::{Resource, getrlimit};

use crate::config::Config;

/// Maximum size of core files. The kernel writes none below a page, and only this value keeps it
/// from piping one to a program (a `core_pattern` with `|`): it ignores 0 there, and the machine's
/// handler would store an instance's memory on disk, secrets included.
const CORE_BYTES_MAX: u64 = 1;

/// Limits of every process: resource, name, soft and hard limit.
pub fn of_processes(files_max: u64, config: &Config) -> Vec<(u32, &'static str, u64)> {
    let files = (libc::RLIMIT_NOFILE, "RLIMIT_NOFILE", available(Resource::Nofile, files_max));
    let core = (libc::RLIMIT_CORE, "RLIMIT_CORE", available(Resource::Core, CORE_BYTES_MAX));
    [vec![files, core], counted_by_user(config).into()].concat()
}

/// Limits of all users of an instance together, by its user namespace.
pub fn of_users(config: &Config) -> [(u32, u64); 2] {
    counted_by_user(config).map(|(resource, _, most)| (resource, most))
}

fn counted_by_user(config: &Config) -> [(u32, &'static str, u64); 2] {
    let Config { signals_pending_max, message_queues_bytes_max, .. } = *config;
    [
        (libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING", available(Resource::Sigpending, signals_pending_max)),
        (libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", available(Resource::Msgqueue, message_queues_bytes_max)),
    ]
}

fn available(resource: Resource, wanted: u64) -> u64 {
    getrlimit(resource).maximum.map_or(wanted, |hard| wanted.min(hard))
}
