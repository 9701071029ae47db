//! Limits of all instances together on resources that the kernel has once for the whole machine: a
//! share, so that the machine's own programs keep the rest. Pure except for reading the kernel's
//! own limits.

use std::fs;

/// Page size, the unit of the kernel's socket memory.
const PAGE_BYTES: u64 = 4096;

/// The ceilings; `None` where the kernel's limit is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ceilings {
    /// Processes and threads.
    pub tasks_max: Option<u64>,
    /// Memory of sockets, in bytes. Only version 1 can limit it separately.
    pub socket_bytes_max: Option<u64>,
}

impl Ceilings {
    /// Percentages of this machine's limits.
    pub fn of_machine(tasks_percent: u64, socket_memory_percent: u64) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
        let tasks = [read("kernel/pid_max"), read("kernel/threads-max")];
        Self::of([&tasks[0], &tasks[1]], tasks_percent, &read("net/ipv4/tcp_mem"), socket_memory_percent)
    }

    /// Derives them from the texts of `pid_max` and `threads-max`, the lower of which applies, and
    /// of `tcp_mem`: low, pressure, and maximum pages.
    fn of(tasks: [&str; 2], tasks_percent: u64, tcp_mem: &str, socket_memory_percent: u64) -> Self {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let part =
            |all: u64, percent: u64| (u128::from(all) * u128::from(percent) / 100).try_into().unwrap_or(u64::MAX);
        let pages = tcp_mem.split_whitespace().nth(2).and_then(number);
        Self {
            tasks_max: tasks.into_iter().filter_map(number).min().map(|all| part(all, tasks_percent)),
            socket_bytes_max: pages.map(|all| part(all.saturating_mul(PAGE_BYTES), socket_memory_percent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceilings_are_parts_of_what_the_machine_has() {
        let of = |tasks, tcp_mem| {
            let Ceilings { tasks_max, socket_bytes_max } = Ceilings::of(tasks, 75, tcp_mem, 50);
            (tasks_max, socket_bytes_max)
        };
        assert_eq!(of(["32768\n", "192730\n"], "287898\t383867\t575796\n"), (Some(24_576), Some(1_179_230_208)));
        assert_eq!(of(["4194304", "1000"], "1 2"), (Some(750), None));
        assert_eq!(of(["", "no"], ""), (None, None));
        assert_eq!(of(["18446744073709551615", ""], "1 2 18446744073709551615").0, Some(13_835_058_055_282_163_711));
    }
}
