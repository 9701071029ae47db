//! The cgroup directories of one instance.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{MemoryFiles, Setting, v1_settings, v2_settings};
use super::layout::Layout;
use super::{kill_all, make_dir, remove_dir};
use crate::error::Error;
use crate::instance::Memory;

/// What an instance may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Memory in bytes; no swap.
    pub memory_bytes: u64,
    /// Processor time in each 100 ms, in microseconds.
    pub cpu_quota_us: u64,
    /// Processes and threads.
    pub pids_max: u64,
}

/// The directories; removed with [`InstanceCgroup::remove`], or by the next start's cleaning.
#[derive(Debug)]
pub struct InstanceCgroup {
    v1: Vec<PathBuf>,
    v2: Option<PathBuf>,
    memory: MemoryFiles,
    remove_max: Duration,
}

impl InstanceCgroup {
    pub(super) fn create(
        layout: &Layout,
        name: &str,
        instance: &str,
        limits: &Limits,
        remove_max: Duration,
    ) -> Result<Self, Error> {
        let place = |root: &PathBuf| root.join(name).join(instance);
        let v2 = layout.v2.as_ref().map(place);
        let mut v1: Vec<PathBuf> = layout.v1.values().map(place).collect();
        v1.dedup();
        let memory = match (layout.v1.get("memory").map(place), &v2) {
            (Some(folder), _) => MemoryFiles::v1(&folder),
            (None, Some(folder)) => MemoryFiles::v2(folder),
            (None, None) => return Err(Error::NoController { controller: "memory" }),
        };
        let made = Self { v1, v2, memory, remove_max };
        if let Err(error) = made.fill(layout, place, limits) {
            made.remove();
            return Err(error);
        }
        Ok(made)
    }

    fn fill(&self, layout: &Layout, place: impl Fn(&PathBuf) -> PathBuf, limits: &Limits) -> Result<(), Error> {
        for folder in self.v1.iter().chain(&self.v2) {
            make_dir(folder).map_err(Error::path("make the cgroup", folder))?;
        }
        for (controller, root) in &layout.v1 {
            apply(&place(root), v1_settings(controller, limits))?;
        }
        if let Some(folder) = &self.v2 {
            for controller in layout.v2_controllers() {
                apply(folder, v2_settings(controller, limits))?;
            }
        }
        Ok(())
    }

    /// The files that a process writes itself into, to join (version 1). Writing `0` to `tasks` moves the writer alone and
    /// takes 0.1 ms; the first write to `cgroup.procs` on an idle machine takes 5 to 15 ms.
    pub fn v1_tasks(&self) -> Result<Vec<OwnedFd>, Error> {
        let open = |folder: &PathBuf| {
            let file = folder.join("tasks");
            let opened = File::options().write(true).open(&file).map_err(Error::path("open", &file))?;
            Ok(OwnedFd::from(opened))
        };
        self.v1.iter().map(open).collect()
    }

    /// The directory to start a process in (version 2).
    pub fn v2_directory(&self) -> Result<Option<OwnedFd>, Error> {
        let open = |folder: &PathBuf| File::open(folder).map(OwnedFd::from).map_err(Error::path("open", folder));
        self.v2.as_ref().map(open).transpose()
    }

    /// Memory now and at its most.
    pub fn memory(&self) -> Memory {
        let read = |file: &Path| fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let current_bytes = read(&self.memory.current).unwrap_or_default();
        Memory { current_bytes, peak_bytes: read(&self.memory.peak).unwrap_or_default().max(current_bytes) }
    }

    /// Processes that the kernel killed for memory.
    pub fn out_of_memory_kills(&self) -> u64 {
        let text = fs::read_to_string(&self.memory.events).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or_default()
    }

    /// Kills whatever is still in it and removes it; what cannot be removed is left to the next start, and said.
    pub fn remove(&self) {
        let deadline = std::time::Instant::now() + self.remove_max;
        for folder in self.v1.iter().chain(&self.v2) {
            kill_all(folder, deadline);
            if let Err(error) = remove_dir(folder, self.remove_max) {
                tracing::warn!(%error, folder = %folder.display(), "a cgroup could not be removed");
            }
        }
    }
}

fn apply(folder: &Path, settings: Vec<Setting>) -> Result<(), Error> {
    for setting in settings {
        let file = folder.join(setting.file);
        match fs::write(&file, &setting.value) {
            Err(error) if setting.optional && is_absent(&error) => {}
            other => other.map_err(Error::path("set the limit", &file))?,
        }
    }
    Ok(())
}

/// A control file that this kernel does not have; cgroup file systems refuse to create one.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        || error.raw_os_error() == Some(libc::EOPNOTSUPP)
        || error.raw_os_error() == Some(libc::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Cgroups;

    /// A tree of plain files that looks like version 2; what is written can be read back.
    #[test]
    fn version_2_directories_get_their_limits_and_are_read_back() {
        let tree = tempfile::tempdir().expect("a folder");
        let layout = Layout { v1: Default::default(), v2: Some(tree.path().to_owned()) };
        let cgroups = Cgroups::open(layout, "ours".to_owned(), Duration::ZERO).expect("made");
        let handed = fs::read_to_string(tree.path().join("ours/cgroup.subtree_control")).expect("written");
        assert_eq!(handed, "+pids", "the last controller that was handed down");
        let limits = Limits { memory_bytes: 128 << 20, cpu_quota_us: 7_142, pids_max: 64 };
        let instance = cgroups.create("i-1", &limits).expect("made");
        let folder = tree.path().join("ours/i-1");
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("written");
        assert_eq!(read("memory.max"), (128 << 20).to_string());
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("cpu.max"), "7142 100000");
        assert_eq!(read("pids.max"), "64");
        fs::write(folder.join("memory.current"), "5\n").expect("written");
        fs::write(folder.join("memory.peak"), "9\n").expect("written");
        fs::write(folder.join("memory.events"), "low 0\noom 1\noom_kill 2\n").expect("written");
        assert_eq!(instance.memory(), Memory { current_bytes: 5, peak_bytes: 9 });
        assert_eq!(instance.out_of_memory_kills(), 2);
        assert!(instance.v1_tasks().expect("none").is_empty());
        assert!(instance.v2_directory().expect("there").is_some());
    }
}
