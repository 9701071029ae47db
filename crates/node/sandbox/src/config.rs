//! Limits of the sandbox and of its pools.

use serde::{Deserialize, Serialize};

use crate::demand::Levels;
use crate::error::Error;

/// `[sandbox]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads that start instances; each holds one start at a time.
    pub launcher_threads: usize,
    /// Starts that wait for a thread; more are refused.
    pub launch_queue_len_max: usize,
    /// Instances at once, which bounds the ranges of host ids too.
    pub instances_max: u32,
    /// Network and user namespaces, and as many cgroup directories, kept ready for the next starts
    /// when there were few of late.
    pub slots_ready: usize,
    /// The same at most: as many are kept as the busiest of the last seconds took.
    pub slots_ready_max: usize,
    /// Seconds for which so many are kept after such a second, links too.
    pub ready_remembered_s: usize,
    /// Seconds after which half as many are kept then, and half of that, down to the present need.
    pub ready_halved_s: u64,
    /// First host id that instances use; ids from here to `id_base + instances_max *
    /// ids_per_instance` are theirs.
    pub id_base: u32,
    /// Host ids of one instance: ids 0 to this less one exist inside. The last of them becomes
    /// another one where the image's user is beyond.
    pub ids_per_instance: u32,
    /// Have a program in the kernel (eBPF) tell of servers that begin to listen. Without it, or
    /// where the kernel does not take it, they are looked for again and again.
    pub listen_events: bool,
    /// How often servers are looked for all the same, in milliseconds: the kernel drops what it has
    /// to tell when an instance listens thousands of times at once.
    pub listen_look_interval_ms: u64,
    /// Longest interval between two looks where the kernel does not tell, in milliseconds.
    pub poll_interval_ms_max: u64,
    /// Put mounts together ahead of the starts that take them, where the kernel can (Linux 6.15).
    pub assemble_mounts: bool,
    /// Give back, when an instance is frozen, the memory of files that it read once and not again
    /// (cgroup version 2).
    pub reclaim_frozen: bool,
    /// How often it is looked whether the memory of an instance that runs has grown, in
    /// milliseconds.
    pub memory_look_interval_ms: u64,
    /// How often its parts are read all the same, in milliseconds.
    pub memory_sample_interval_ms: u64,
    /// Size of `/dev/shm`, in bytes.
    pub shm_bytes_max: u64,
    /// Size of `/tmp`, in bytes; what is written there counts as memory of the instance.
    pub tmp_bytes_max: u64,
    /// Size of the writable layer over the image's files, in bytes; it counts as memory, too.
    pub writable_bytes_max: u64,
    /// Files and directories in the writable layer, and as many again in `/tmp`.
    pub writable_files_max: u64,
    /// Directories made in an instance's root because its image's volumes and working directory
    /// lack them.
    pub made_dirs_max: usize,
    /// Signals that wait and timers of an instance (`RLIMIT_SIGPENDING`); each of its threads may
    /// need one.
    pub signals_pending_max: u64,
    /// Bytes of an instance's POSIX message queues (`RLIMIT_MSGQUEUE`).
    pub message_queues_bytes_max: u64,
    /// Terminals of an instance at once.
    pub terminals_max: u32,
    /// Let programs inside install filters of their own (seccomp, SO_ATTACH_FILTER). The kernel has
    /// one pool of memory for the compiled filters of the whole machine (`net.core.bpf_jit_limit`),
    /// and one instance can fill it.
    pub filters_inside: bool,
    /// Processes and threads of all instances together, in percent of what this machine can have
    /// (`kernel.pid_max`, `kernel.threads-max`).
    pub machine_tasks_percent_max: u64,
    /// Memory of the sockets of all instances together, in percent of what the kernel lets TCP have
    /// (`net.ipv4.tcp_mem`); cgroup version 1. Version 2 counts it as memory of each instance.
    pub machine_socket_memory_percent_max: u64,
    /// Longest wait for an emptied cgroup to be removable, in milliseconds.
    pub cgroup_remove_ms_max: u64,
    /// Added to the out-of-memory score of instances: the kernel ends them before it ends the
    /// platform.
    pub oom_score_adj: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            launcher_threads: 2,
            launch_queue_len_max: 1024,
            instances_max: 10_000,
            slots_ready: 8,
            slots_ready_max: 64,
            ready_remembered_s: 10,
            ready_halved_s: 5,
            id_base: 1_000_000,
            ids_per_instance: 65_536,
            listen_events: true,
            listen_look_interval_ms: 250,
            poll_interval_ms_max: 10,
            assemble_mounts: true,
            reclaim_frozen: true,
            memory_look_interval_ms: 100,
            memory_sample_interval_ms: 1000,
            shm_bytes_max: 64 << 20,
            tmp_bytes_max: 512 << 20,
            writable_bytes_max: 512 << 20,
            writable_files_max: 262_144,
            made_dirs_max: 1_024,
            signals_pending_max: 4_096,
            message_queues_bytes_max: 819_200,
            terminals_max: 16,
            filters_inside: false,
            machine_tasks_percent_max: 75,
            machine_socket_memory_percent_max: 50,
            cgroup_remove_ms_max: 2000,
            oom_score_adj: 500,
        }
    }
}

/// What was taken is remembered by the second; an hour is far beyond any burst.
const READY_SECONDS_MAX: u64 = 3600;

impl Config {
    /// How many are kept ready between two limits.
    pub(crate) fn levels(&self, ready_min: usize, ready_max: usize) -> Levels {
        Levels { ready_min, ready_max, remembered_s: self.ready_remembered_s, halved_s: self.ready_halved_s }
    }

    /// Whether every instance has a range of ids, none of them the highest, which the kernel keeps
    /// for itself; whether percents are some, and times not endless.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let last = u64::from(self.id_base) + u64::from(self.instances_max) * u64::from(self.ids_per_instance);
        if self.ids_per_instance == 0 || last >= u64::from(u32::MAX) {
            return Err(Error::IdRange { last });
        }
        for (key, seconds) in [
            ("ready_remembered_s", u64::try_from(self.ready_remembered_s).unwrap_or(u64::MAX)),
            ("ready_halved_s", self.ready_halved_s),
        ] {
            if !(1..=READY_SECONDS_MAX).contains(&seconds) {
                return Err(Error::ReadySeconds { key, seconds, seconds_max: READY_SECONDS_MAX });
            }
        }
        for (key, percent) in [
            ("machine_tasks_percent_max", self.machine_tasks_percent_max),
            ("machine_socket_memory_percent_max", self.machine_socket_memory_percent_max),
        ] {
            if !(1..=100).contains(&percent) {
                return Err(Error::Percent { key, percent });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ids_must_fit_and_percents_be_some() {
        Config::default().check().expect("the defaults fit");
        for config in [
            Config { instances_max: 100_000, ..Config::default() },
            Config { ids_per_instance: 0, ..Config::default() },
        ] {
            assert!(config.check().expect_err("too many").to_string().contains("instances_max"));
        }
        for seconds in [0, 3601] {
            let error = Config { ready_halved_s: seconds, ..Config::default() }.check().expect_err("none");
            assert!(error.to_string().contains("ready_halved_s = "), "{error}");
            let remembered = Config { ready_remembered_s: seconds as usize, ..Config::default() };
            assert!(remembered.check().expect_err("none").to_string().contains("ready_remembered_s = "));
        }
        for percent in [0, 101] {
            let error = Config { machine_tasks_percent_max: percent, ..Config::default() }.check().expect_err("none");
            assert!(error.to_string().contains("machine_tasks_percent_max = "), "{error}");
        }
    }
}
