//! Which file of which version says what: limits to write, counters to read, what freezes.

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

/// Length of the period that the processor quota is of, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// Weight of one core's worth of quota, in version 1's unit (1024 is the default of a group).
const SHARES_PER_CORE: u64 = 1024;
/// Where the processor quota is set.
const V1_QUOTA: &str = "cpu.cfs_quota_us";
const V2_QUOTA: &str = "cpu.max";
/// What stands there for none.
const V1_UNLIMITED: &str = "-1";
const V2_UNLIMITED: &str = "max";
/// Where version 1 bounds the memory of sockets, of other protocols than TCP too; version 2 counts
/// it with all other memory. Sockets that were there before the limit are not counted.
pub const V1_SOCKETS: &str = "memory.kmem.tcp.limit_in_bytes";

/// How readily version 1 swaps; instances do not have any swap.
const V1_SWAPPINESS: &str = "memory.swappiness";

/// The processor quota of one instance.
#[derive(Debug, Clone)]
pub struct Quota {
    folder: Directory,
    file: &'static str,
    unlimited: &'static str,
}

impl Quota {
    /// Where version 1 has it.
    pub fn v1(folder: Directory) -> Self {
        Self { folder, file: V1_QUOTA, unlimited: V1_UNLIMITED }
    }

    /// Where version 2 has it.
    pub fn v2(folder: Directory) -> Self {
        Self { folder, file: V2_QUOTA, unlimited: V2_UNLIMITED }
    }

    /// Takes it off, for the reason of [`lift_quota`].
    pub fn lift(&self) -> io::Result<()> {
        self.folder.write(self.file, self.unlimited)
    }
}

/// Takes the processor quota off a directory. A killed process needs processor time to end, and
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

/// A value to be written, and whether a kernel without the file will do too.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// File name.
    pub file: &'static str,
    /// What to write.
    pub value: String,
    /// Swap accounting can be compiled out or off; without it there is no file.
    pub optional: bool,
    /// A new directory has this value by itself, or from ours above it.
    pub is_given: bool,
}

impl Setting {
    /// Whether it sets the processor quota.
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
            // The limit with swap may never be below the one without: out of its way before that
            // changes.
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
        // Those that are shown only.
        _ => Vec::new(),
    }
}

/// Settings of one controller in version 2.
pub fn v2_settings(controller: &str, limits: &super::limits::Limits) -> Vec<Setting> {
    match controller {
        "memory" => vec![
            required("memory.max", limits.memory_bytes),
            optional("memory.swap.max", 0),
            // The instance is one thing: when one of its processes must go, all do.
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

/// What all instances together may have, by one controller in version 1, and what each of them has
/// from ours: a new directory takes the swappiness of the one above.
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

/// Writes settings into a directory. Returns the file of the processor quota, if that is among
/// them: it is written once more when the instance has started.
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

/// A control file that this kernel does not have; cgroup file systems refuse to create one.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
        || error.raw_os_error() == Some(libc::EINVAL)
}

/// A file that is read repeatedly while requests wait, so it is kept open.
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

    /// Opens it ahead of its first reading.
    pub fn open(&self) -> io::Result<&File> {
        match self.file.get() {
            Some(file) => Ok(file),
            None => {
                let opened = self.folder.open_file(self.name, OFlags::RDONLY)?;
                Ok(self.file.get_or_init(|| opened))
            }
        }
    }

    /// The number in the file now; `None` where the kernel has no such file, or the group is gone.
    pub fn read(&self) -> Option<u64> {
        /// Digits of the highest number, and the end of the line.
        const TEXT_BYTES: usize = 24;
        let mut text = [0; TEXT_BYTES];
        let length = self.open().ok()?.read_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text[..length]).ok()?.trim().parse().ok()
    }
}

/// Where memory is read.
#[derive(Debug)]
pub struct MemoryFiles {
    /// Bytes now.
    pub current: Counter,
    /// Most bytes so far, page cache among them (version 2: Linux 5.19).
    pub peak: Counter,
    /// What is charged, by kind.
    pub parts: Parts,
    folder: Directory,
    /// Its file with a line `oom_kill <count>`.
    events: &'static str,
    /// Where the kernel takes memory back on demand (version 2 of Linux 5.19).
    pub reclaim: Option<Reclaim>,
}

/// What takes memory back from one group (version 2).
#[derive(Debug, Clone)]
pub struct Reclaim {
    folder: Directory,
}

impl Reclaim {
    /// Reclaims page cache of files that were read only once (the inactive list). Anonymous memory
    /// could only go to swap, which instances do not have, and active files would have to be read
    /// again for the next request. May take long.
    pub fn run(&self) -> io::Result<()> {
        let text = self.folder.read("memory.stat")?;
        let cold = text.lines().find_map(|line| line.strip_prefix("inactive_file ")).unwrap_or("0");
        match self.folder.write("memory.reclaim", cold) {
            // Less than that could be had.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }
}

impl MemoryFiles {
    /// Of a version 1 directory.
    pub fn v1(folder: &Directory) -> Self {
        Self {
            current: Counter::new(folder, "memory.usage_in_bytes"),
            peak: Counter::new(folder, "memory.max_usage_in_bytes"),
            parts: Parts::v1(folder),
            folder: folder.clone(),
            events: "memory.oom_control",
            // Version 1 has only `memory.force_empty`, which takes all that it can.
            reclaim: None,
        }
    }

    /// Of a version 2 directory.
    pub fn v2(folder: &Directory) -> Self {
        Self {
            current: Counter::new(folder, "memory.current"),
            peak: Counter::new(folder, "memory.peak"),
            parts: Parts::v2(folder),
            folder: folder.clone(),
            // Not `memory.events`, which counts what happens to groups that the instance makes
            // below its own too.
            events: "memory.events.local",
            reclaim: Some(Reclaim { folder: folder.clone() }),
        }
    }

    /// Processes that the kernel killed for memory; 0 where that cannot be read, which is logged.
    pub fn out_of_memory_kills(&self) -> u64 {
        let text = self.folder.read(self.events).unwrap_or_else(|error| {
            let file = self.folder.path().join(self.events);
            tracing::error!(%error, file = %file.display(), "the out-of-memory counter was not read");
            String::new()
        });
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        kills.unwrap_or_default()
    }
}

/// Where version 1 freezes, and what thaws there.
const V1_FREEZER: &str = "freezer.state";
const V1_THAWED: &str = "THAWED";

/// Thaws what version 1 has frozen in a directory, which dies only then.
pub fn thaw_v1(folder: &Path) {
    let freezer = folder.join(V1_FREEZER);
    if freezer.exists() {
        fs::write(freezer, V1_THAWED).ok();
    }
}

/// What freezes and thaws a directory's processes.
#[derive(Debug)]
pub struct Freezer {
    folder: Directory,
    file: &'static str,
    frozen: &'static str,
    thawed: &'static str,
    holds_kills: bool,
}

impl Freezer {
    /// Of a version 1 directory.
    pub fn v1(folder: Directory) -> Self {
        Self { folder, file: V1_FREEZER, frozen: "FROZEN", thawed: V1_THAWED, holds_kills: true }
    }

    /// Of a version 2 directory, whichever controllers it has.
    pub fn v2(folder: Directory) -> Self {
        Self { folder, file: "cgroup.freeze", frozen: "1", thawed: "0", holds_kills: false }
    }

    /// Tells the kernel to stop its processes; it has when they next leave it, which takes up to a
    /// millisecond or two.
    pub fn freeze(&self) -> io::Result<()> {
        self.folder.write(self.file, self.frozen)
    }

    /// Lets its processes go on.
    pub fn thaw(&self) -> io::Result<()> {
        self.folder.write(self.file, self.thawed)
    }

    /// Whether a killed process lives on until it is thawed.
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
