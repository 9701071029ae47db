//! Control files by cgroup version: limits to write, counters to read, freezing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::OFlags;

use super::ceilings::Ceilings;
use super::directory::{Directory, WRITTEN};
use super::usage::Parts;
use crate::error::Error;

/// Period of the processor quota, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// Weight of one core's worth of quota, in version 1's unit (1024 is the default of a group).
const SHARES_PER_CORE: u64 = 1024;
/// Version 1's file of the processor quota.
const V1_QUOTA: &str = "cpu.cfs_quota_us";
const V2_QUOTA: &str = "cpu.max";
/// Its value without a quota.
const V1_UNLIMITED: &str = "-1";
const V2_UNLIMITED: &str = "max";
/// Version 1's limit for the memory of sockets, of other protocols than TCP too; version 2 counts
/// it with all other memory. Sockets that were created before the limit are not counted.
pub const V1_SOCKETS: &str = "memory.kmem.tcp.limit_in_bytes";

/// Version 1's swappiness; instances do not have any swap.
const V1_SWAPPINESS: &str = "memory.swappiness";

/// The processor quota of one instance.
#[derive(Debug, Clone)]
pub struct Quota {
    folder: Directory,
    file: &'static str,
    unlimited: &'static str,
}

impl Quota {
    /// The quota of a version 1 directory.
    pub fn v1(folder: Directory) -> Self {
        Self { folder, file: V1_QUOTA, unlimited: V1_UNLIMITED }
    }

    /// The quota of a version 2 directory.
    pub fn v2(folder: Directory) -> Self {
        Self { folder, file: V2_QUOTA, unlimited: V2_UNLIMITED }
    }

    /// Removes it, for the reason of [`lift_quota`].
    pub fn lift(&self) -> io::Result<()> {
        self.folder.write(self.file, self.unlimited)
    }
}

/// Removes the processor quota of a directory. A killed process needs processor time to end, and
/// many that share a small quota would take minutes.
pub fn lift_quota(folder: &Path) -> io::Result<()> {
    for (file, unlimited) in [(V1_QUOTA, V1_UNLIMITED), (V2_QUOTA, V2_UNLIMITED)] {
        let file = folder.join(file);
        if file.exists() {
            fs::write(file, unlimited)?;
        }
    }
    Ok(())
}

/// A value to write, and whether a kernel may lack the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// File name.
    pub file: &'static str,
    /// The value.
    pub value: String,
    /// Swap accounting can be compiled out or disabled; then the file does not exist.
    pub optional: bool,
    /// A new directory has this value by default, or inherits it from the parent.
    pub is_given: bool,
}

impl Setting {
    /// Whether this is the processor quota.
    pub fn is_quota(&self) -> bool {
        [V1_QUOTA, V2_QUOTA].contains(&self.file)
    }

    fn given(self) -> Self {
        Self { is_given: true, ..self }
    }
}

fn required(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), optional: false, is_given: false }
}

fn optional(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), optional: true, is_given: false }
}

/// Settings of one controller in version 1.
pub fn v1_settings(controller: &str, limits: &super::limits::Limits) -> Vec<Setting> {
    match controller {
        "memory" => vec![
            // The limit with swap may never be below the one without, so it is lifted first.
            optional("memory.memsw.limit_in_bytes", -1).given(),
            required("memory.limit_in_bytes", limits.memory_bytes),
            optional("memory.memsw.limit_in_bytes", limits.memory_bytes),
            optional(V1_SWAPPINESS, 0).given(),
            optional(V1_SOCKETS, limits.memory_bytes),
        ],
        "cpu" => vec![
            required("cpu.cfs_period_us", CPU_PERIOD_US).given(),
            required(V1_QUOTA, limits.cpu_start_quota_us),
            required("cpu.shares", (limits.cpu_quota_us * SHARES_PER_CORE / CPU_PERIOD_US).max(2)),
        ],
        "pids" => vec![required("pids.max", limits.pids_max)],
        // Controllers that are only shown.
        _ => Vec::new(),
    }
}

/// Settings of one controller in version 2.
pub fn v2_settings(controller: &str, limits: &super::limits::Limits) -> Vec<Setting> {
    match controller {
        "memory" => vec![
            required("memory.max", limits.memory_bytes),
            optional("memory.swap.max", 0),
            // When one process of the instance must be killed, all are.
            optional("memory.oom.group", 1),
        ],
        "cpu" => vec![
            required(V2_QUOTA, format!("{} {CPU_PERIOD_US}", limits.cpu_start_quota_us)),
            // Version 2's default weight is 100 where version 1's is 1024.
            required("cpu.weight", (limits.cpu_quota_us * 100 / CPU_PERIOD_US).clamp(1, 10_000)),
        ],
        _ => vec![required("pids.max", limits.pids_max)],
    }
}

/// Version 1 ceilings of all instances together for one controller, and values that each instance
/// inherits: a new directory takes the swappiness of its parent.
pub fn v1_ceilings(controller: &str, ceilings: Ceilings) -> Vec<Setting> {
    let is_memory = controller == "memory";
    let sockets = ceilings.socket_bytes_max.filter(|_| is_memory);
    let sockets = sockets.map(|bytes| optional(V1_SOCKETS, bytes));
    let swappiness = is_memory.then(|| optional(V1_SWAPPINESS, 0));
    sockets.into_iter().chain(swappiness).chain(v2_ceilings(controller, ceilings)).collect()
}

/// The same in version 2, which has no limit for the memory of sockets by itself.
pub fn v2_ceilings(controller: &str, ceilings: Ceilings) -> Vec<Setting> {
    let tasks = ceilings.tasks_max.filter(|_| controller == "pids");
    tasks.map(|most| required("pids.max", most)).into_iter().collect()
}

/// Writes settings into a directory. Returns the file of the processor quota, if it is among them:
/// it is written once more when the instance has started.
pub fn apply(folder: &Directory, settings: impl Iterator<Item = Setting>) -> Result<Option<File>, Error> {
    let mut quota = None;
    for setting in settings {
        let written = folder.open_file(setting.file, WRITTEN).and_then(|mut file| {
            file.write_all(setting.value.as_bytes())?;
            Ok(file)
        });
        match written {
            Err(error) if setting.optional && is_absent(&error) => {}
            Err(error) => return Err(Error::path("set the limit", folder.path().join(setting.file))(error)),
            Ok(file) if setting.is_quota() => quota = Some(file),
            Ok(_) => {}
        }
    }
    Ok(quota)
}

/// Whether the kernel lacks a control file; cgroup file systems do not allow creating one.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
        || error.raw_os_error() == Some(libc::EINVAL)
}

/// A file that is read repeatedly during requests: it is opened once.
#[derive(Debug)]
pub struct Counter {
    folder: Directory,
    name: &'static str,
    file: OnceLock<File>,
}

impl Counter {
    fn new(folder: &Directory, name: &'static str) -> Self {
        Self { folder: folder.clone(), name, file: OnceLock::new() }
    }

    /// Opens it before its first reading.
    pub fn open(&self) -> io::Result<&File> {
        match self.file.get() {
            Some(file) => Ok(file),
            None => {
                let opened = self.folder.open_file(self.name, OFlags::RDONLY)?;
                Ok(self.file.get_or_init(|| opened))
            }
        }
    }

    /// The number in the file; `None` where the kernel has no such file, or the group is gone.
    pub fn read(&self) -> Option<u64> {
        /// Digits of the highest number, and the end of the line.
        const TEXT_BYTES: usize = 24;
        let mut text = [0; TEXT_BYTES];
        let length = self.open().ok()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
    }
}

/// Files that report memory.
#[derive(Debug)]
pub struct MemoryFiles {
    /// Bytes charged now.
    pub current: Counter,
    /// Highest number of bytes charged, page cache included (version 2: Linux 5.19).
    pub peak: Counter,
    /// Charged memory by kind.
    pub parts: Parts,
    folder: Directory,
    /// Its file with a line `oom_kill <count>`.
    events: &'static str,
    /// Reclaims memory on demand (version 2 of Linux 5.19).
    pub reclaim: Option<Reclaim>,
}

/// Reclaims memory of one group (version 2).
#[derive(Debug, Clone)]
pub struct Reclaim {
    folder: Directory,
}

impl Reclaim {
    /// Reclaims page cache that was read once and not again. Anonymous memory could only go to
    /// swap, which instances do not have, and page cache that is used repeatedly would have to be
    /// read again for the next request. The kernel decides how long it takes.
    pub fn run(&self) -> io::Result<()> {
        let text = self.folder.read("memory.stat")?;
        let cold = text.lines().find_map(|line| line.strip_prefix("inactive_file ")).unwrap_or("0");
        match self.folder.write("memory.reclaim", cold) {
            // The kernel reclaimed less than that.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

impl MemoryFiles {
    /// The files of a version 1 directory.
    pub fn v1(folder: &Directory) -> Self {
        Self {
            current: Counter::new(folder, "memory.usage_in_bytes"),
            peak: Counter::new(folder, "memory.max_usage_in_bytes"),
            parts: Parts::v1(folder),
            folder: folder.clone(),
            events: "memory.oom_control",
            // Version 1 has only `memory.force_empty`, which reclaims everything it can.
            reclaim: None,
        }
    }

    /// The files of a version 2 directory.
    pub fn v2(folder: &Directory) -> Self {
        Self {
            current: Counter::new(folder, "memory.current"),
            peak: Counter::new(folder, "memory.peak"),
            parts: Parts::v2(folder),
            folder: folder.clone(),
            // Not `memory.events`, which also counts events of groups that the instance creates
            // below its own.
            events: "memory.events.local",
            reclaim: Some(Reclaim { folder: folder.clone() }),
        }
    }

    /// Number of processes that the OOM killer ended; 0, with a log message, where it cannot be
    /// read.
    pub fn out_of_memory_kills(&self) -> u64 {
        let text = self.folder.read(self.events).unwrap_or_else(|error| {
            let file = self.folder.path().join(self.events);
            tracing::error!(%error, file = %file.display(), "cannot read the out-of-memory counter");
            String::new()
        });
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        kills.unwrap_or_default()
    }
}

/// Version 1's file that freezes and thaws.
const V1_FREEZER: &str = "freezer.state";
const V1_THAWED: &str = "THAWED";

/// Thaws the processes of a version 1 directory; killed processes end only then.
pub fn thaw_v1(folder: &Path) {
    let freezer = folder.join(V1_FREEZER);
    if freezer.exists() {
        fs::write(freezer, V1_THAWED).ok();
    }
}

/// Freezes and thaws a directory's processes.
#[derive(Debug)]
pub struct Freezer {
    folder: Directory,
    file: &'static str,
    frozen: &'static str,
    thawed: &'static str,
    holds_kills: bool,
}

impl Freezer {
    /// The freezer of a version 1 directory.
    pub fn v1(folder: Directory) -> Self {
        Self { folder, file: V1_FREEZER, frozen: "FROZEN", thawed: V1_THAWED, holds_kills: true }
    }

    /// The freezer of a version 2 directory, with any controllers.
    pub fn v2(folder: Directory) -> Self {
        Self { folder, file: "cgroup.freeze", frozen: "1", thawed: "0", holds_kills: false }
    }

    /// Requests the freeze; each process stops when it next leaves the kernel, which takes up to a
    /// millisecond or two.
    pub fn freeze(&self) -> io::Result<()> {
        self.folder.write(self.file, self.frozen)
    }

    /// Thaws its processes.
    pub fn thaw(&self) -> io::Result<()> {
        self.folder.write(self.file, self.thawed)
    }

    /// Whether a killed process ends only when it is thawed.
    pub fn holds_kills(&self) -> bool {
        self.holds_kills
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Limits;
    use super::*;

    #[test]
    fn one_core_is_the_whole_period_and_the_default_weight() {
        let limits = Limits { memory_bytes: 1 << 30, cpu_quota_us: 100_000, cpu_start_quota_us: 100_000, pids_max: 9 };
        let v1 = v1_settings("cpu", &limits);
        assert_eq!((v1[1].value.as_str(), v1[2].value.as_str()), ("100000", "1024"));
        let v2 = v2_settings("cpu", &limits);
        assert_eq!((v2[0].value.as_str(), v2[1].value.as_str()), ("100000 100000", "100"));
    }

    #[test]
    fn no_controller_allows_swap() {
        let limits = Limits { memory_bytes: 5, cpu_quota_us: 1, cpu_start_quota_us: 1, pids_max: 1 };
        assert!(v1_settings("memory", &limits).contains(&optional("memory.memsw.limit_in_bytes", 5)));
        assert!(v2_settings("memory", &limits).contains(&optional("memory.swap.max", 0)));
    }
}
