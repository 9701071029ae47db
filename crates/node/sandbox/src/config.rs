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
    /// Starts that wait for a thread; more are rejected.
    pub launch_queue_len_max: usize,
    /// Running instances; also bounds the ranges of host ids.
    pub instances_max: u32,
    /// Network and user namespaces, and as many cgroup directories, that are kept ready for the
    /// next starts while demand is low.
    pub slots_ready: usize,
    /// Upper limit of the same; the number kept ready follows the busiest recent second.
    pub slots_ready_max: usize,
    /// Seconds for which that number, of links too, is kept after the busiest second.
    pub ready_remembered_s: usize,
    /// Seconds after which that number halves, repeatedly, down to the present rate of starts.
    pub ready_halved_s: u64,
    /// First host id that instances use; ids from here to `id_base + instances_max *
    /// ids_per_instance` are theirs.
    pub id_base: u32,
    /// Host ids of one instance: ids from 0 to this less one exist inside. An image's user above
    /// the range takes the place of the last id.
    pub ids_per_instance: u32,
    /// Detect listening servers by an eBPF program (sock_ops). Without it, or where the kernel
    /// rejects it, servers are found by polling.
    pub listen_events: bool,
    /// Interval of polling for servers beside the eBPF events, in milliseconds: the ring buffer
    /// drops events when an instance listens thousands of times at once.
    pub listen_look_interval_ms: u64,
    /// Longest interval between two polls without eBPF events, in milliseconds.
    pub poll_interval_ms_max: u64,
    /// Assemble mounts ahead of the starts that take them, where the kernel can (Linux 6.15).
    pub assemble_mounts: bool,
    /// Reclaim, when an instance is frozen, the page cache of files that it read once and not again
    /// (cgroup version 2).
    pub reclaim_frozen: bool,
    /// Interval at which running instances are checked for memory growth, in milliseconds.
    pub memory_look_interval_ms: u64,
    /// Interval at which the parts of an instance's memory are read without growth, in
    /// milliseconds.
    pub memory_sample_interval_ms: u64,
    /// Size of `/dev/shm`, in bytes.
    pub shm_bytes_max: u64,
    /// Size of `/tmp`, in bytes; its files count as memory of the instance.
    pub tmp_bytes_max: u64,
    /// Size of the writable layer over the image's files, in bytes; its files count as memory of
    /// the instance.
    pub writable_bytes_max: u64,
    /// Files and directories in the writable layer, and as many again in `/tmp`.
    pub writable_files_max: u64,
    /// Directories created in an instance's root because the image lacks its volumes or working
    /// directory.
    pub made_dirs_max: usize,
    /// Pending signals and timers of an instance (`RLIMIT_SIGPENDING`); each of its threads may
    /// need one.
    pub signals_pending_max: u64,
    /// Bytes of an instance's POSIX message queues (`RLIMIT_MSGQUEUE`).
    pub message_queues_bytes_max: u64,
    /// Terminals of an instance at once.
    pub terminals_max: u32,
    /// Let programs inside install filters of their own (seccomp, SO_ATTACH_FILTER). The kernel has
    /// one pool of memory for the compiled filters of the whole machine (`net.core.bpf_jit_limit`),
    /// which one instance can fill.
    pub filters_inside: bool,
    /// Processes and threads of all instances together, in percent of the machine's limit
    /// (`kernel.pid_max`, `kernel.threads-max`).
    pub machine_tasks_percent_max: u64,
    /// Socket memory of all instances together, in percent of the kernel's limit for TCP
    /// (`net.ipv4.tcp_mem`); cgroup version 1 only. Version 2 counts it as memory of each instance.
    pub machine_socket_memory_percent_max: u64,
    /// Longest wait until an emptied cgroup can be removed, in milliseconds.
    pub cgroup_remove_ms_max: u64,
    /// Added to the out-of-memory score of instances, so that the kernel kills them before the
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

/// Demand is recorded by the second; an hour is longer than any burst.
const READY_SECONDS_MAX: u64 = 3600;

impl Config {
    /// Levels of a prewarm pool between two limits.
    pub(crate) fn levels(&self, ready_min: usize, ready_max: usize) -> Levels {
        Levels { ready_min, ready_max, remembered_s: self.ready_remembered_s, halved_s: self.ready_halved_s }
    }

    /// Checks that every instance has a range of ids below the highest, which the kernel reserves,
    /// that percentages are valid and that times are bounded.
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
