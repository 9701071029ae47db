//! The cgroup directories of one instance.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use sys::ReadOnlyTree;

use super::directory::{Directory, Parent};
use super::files::{Freezer, MemoryFiles, Quota, Reclaim, Setting, apply, v1_settings, v2_settings};
use super::layout::Layout;
use super::limits::Limits;
use super::usage::{Peak, says_nothing};
use super::view::View;
use super::{kill_all, remove_dir};
use crate::error::Error;

/// What a process joins the cgroup by.
#[derive(Debug)]
pub struct CgroupFds {
    /// The files that it writes itself into (version 1). Writing `0` to `tasks` moves the writer
    /// alone and takes 0.1 ms; the first write to `cgroup.procs` on an idle machine takes 5 to 15
    /// ms.
    pub v1_tasks: Vec<OwnedFd>,
    /// The directory that it starts in (version 2).
    pub v2_directory: Option<OwnedFd>,
    /// What it sees of its cgroups.
    pub view: ReadOnlyTree,
    /// Where the mounts of that are, inside.
    pub view_places: Vec<String>,
}

/// A controller of version 1 or 2, and the directory where it is.
#[derive(Debug)]
struct Controlled {
    controller: &'static str,
    settings: fn(&str, &Limits) -> Vec<Setting>,
    folder: Directory,
}

/// The directories; removed with [`InstanceCgroup::remove`], or by the next start's cleaning.
#[derive(Debug)]
pub struct InstanceCgroup {
    v1: Vec<Directory>,
    v2: Option<Directory>,
    controlled: Vec<Controlled>,
    memory: MemoryFiles,
    peak: Mutex<Peak>,
    /// Of `peak`, for who does not wait for it.
    peak_bytes: AtomicU64,
    freezer: Option<Arc<Freezer>>,
    view: View,
    limits: Option<Limits>,
    /// No limit was ever set.
    is_new: bool,
    quota: Option<Quota>,
    /// The file of the processor quota while it is the one of a start.
    start_quota: Mutex<Option<File>>,
    /// Opened ahead, and taken by the start.
    fds: Option<CgroupFds>,
    remove_max: Duration,
}

impl InstanceCgroup {
    /// Makes the directories, without limits.
    pub(super) fn create(
        layout: &Layout,
        parents: &BTreeMap<PathBuf, Arc<Parent>>,
        instance: &str,
        remove_max: Duration,
    ) -> Result<Self, Error> {
        let instance: Arc<str> = instance.into();
        let place = |root: &PathBuf| Directory::new(parents[root].clone(), instance.clone());
        let v2 = layout.v2.as_ref().map(place);
        let mut v1: Vec<&PathBuf> = layout.v1.values().chain(&layout.freezer).collect();
        v1.sort();
        // Controllers of version 1 may share a hierarchy.
        v1.dedup();
        let v1: Vec<Directory> = v1.into_iter().map(place).collect();
        let memory = match (layout.v1.get("memory").map(&place), &v2) {
            (Some(folder), _) => MemoryFiles::v1(&folder),
            (None, Some(folder)) => MemoryFiles::v2(folder),
            (None, None) => return Err(Error::NoController { controller: "memory" }),
        };
        let freezer = match (&v2, layout.freezer.as_ref().map(&place)) {
            (Some(folder), _) => Some(Arc::new(Freezer::v2(folder.clone()))),
            (None, freezer) => freezer.map(|folder| Arc::new(Freezer::v1(folder))),
        };
        let of_v1 =
            layout.v1.iter().map(|(controller, root)| (*controller, v1_settings as fn(&_, &_) -> _, place(root)));
        let of_v2 = v2.iter().flat_map(|folder| {
            layout
                .v2_controllers()
                .into_iter()
                .map(|controller| (controller, v2_settings as fn(&_, &_) -> _, folder.clone()))
        });
        let controlled = of_v1
            .chain(of_v2)
            .map(|(controller, settings, folder)| Controlled { controller, settings, folder })
            .collect();
        let quota = match (layout.v1.get("cpu").map(&place), &v2) {
            (Some(folder), _) => Some(Quota::v1(folder)),
            (None, folder) => folder.clone().map(Quota::v2),
        };
        let view = View::new(layout, place);
        let made = Self {
            v1,
            v2,
            controlled,
            memory,
            peak: Mutex::default(),
            peak_bytes: AtomicU64::new(0),
            freezer,
            view,
            limits: None,
            is_new: true,
            quota,
            start_quota: Mutex::default(),
            fds: None,
            remove_max,
        };
        for folder in made.folders() {
            if let Err(error) = folder.make().map_err(Error::path("make the cgroup", folder.path())) {
                made.remove();
                return Err(error);
            }
        }
        Ok(made)
    }

    /// Its processor quota.
    pub fn quota(&self) -> Option<&Quota> {
        self.quota.as_ref()
    }

    fn folders(&self) -> impl Iterator<Item = &Directory> {
        self.v1.iter().chain(&self.v2)
    }

    /// Sets the limits, unless they are what they are to be.
    pub(super) fn limit(&mut self, limits: Limits) -> Result<(), Error> {
        if self.limits == Some(limits) {
            return Ok(());
        }
        let is_new = std::mem::replace(&mut self.is_new, false);
        self.limits = None;
        for Controlled { controller, settings, folder } in &self.controlled {
            let settings = settings(controller, &limits).into_iter();
            // What a new directory has by itself, or from the one above.
            let quota = apply(folder, settings.filter(|setting| !(is_new && setting.is_given)))?;
            if quota.is_some() {
                *self.start_quota.get_mut() = quota;
            }
        }
        self.limits = Some(limits);
        Ok(())
    }

    /// Ends the start: from now on the quota is the one of a settled instance.
    pub fn settle(&self) -> Result<(), Error> {
        let Some(limits) = self.limits.filter(|limits| limits.cpu_start_quota_us != limits.cpu_quota_us) else {
            return Ok(());
        };
        let settled = Limits { cpu_start_quota_us: limits.cpu_quota_us, ..limits };
        for Controlled { controller, settings, folder } in self.controlled.iter().filter(|c| c.controller == "cpu") {
            let mut quota = settings(controller, &settled).into_iter().filter(Setting::is_quota);
            match (self.start_quota.lock().take(), quota.next()) {
                (Some(file), Some(Setting { file: name, value, .. })) => file
                    .write_all_at(value.as_bytes(), 0)
                    .map_err(Error::path("set the limit", folder.path().join(name)))?,
                (None, Some(quota)) => drop(apply(folder, [quota].into_iter())?),
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// Opens ahead what the first process needs.
    pub(super) fn open_fds(&mut self) -> Result<(), Error> {
        self.fds = Some(self.fds_now()?);
        // Where the kernel has none, what is charged now is read in its place.
        self.memory.peak.open().or_else(|_| self.memory.current.open()).ok();
        Ok(())
    }

    /// What the first process joins by.
    pub fn fds(&mut self) -> Result<CgroupFds, Error> {
        self.fds.take().map_or_else(|| self.fds_now(), Ok)
    }

    fn fds_now(&self) -> Result<CgroupFds, Error> {
        const TASKS: &str = "tasks";
        let tasks = |folder: &Directory| {
            let opened = folder.open_file(TASKS, OFlags::WRONLY);
            Ok(OwnedFd::from(opened.map_err(Error::path("open", folder.path().join(TASKS)))?))
        };
        let directory = |folder: &Directory| folder.open().map_err(Error::path("open", folder.path()));
        Ok(CgroupFds {
            v1_tasks: self.v1.iter().map(tasks).collect::<Result<_, _>>()?,
            v2_directory: self.v2.as_ref().map(directory).transpose()?,
            view: self.view.mount()?,
            view_places: self.view.places(),
        })
    }

    /// The most memory that it used so far, in bytes: of its processes, its files and the kernel.
    /// Looks closely only when more is charged to it than when that was done last.
    pub fn memory_peak_bytes(&self) -> u64 {
        let whole = self.memory_whole();
        match self.peak.try_lock() {
            Some(mut peak) if peak.is_stale(whole) => self.sample(&mut peak, whole),
            // Known well enough, or being looked at.
            _ => self.peak_bytes.load(Ordering::Relaxed),
        }
    }

    /// Looks at what it uses; closely where the kernel's peak tells nothing any more, because page
    /// cache took all that it may have and is given back as the rest grows.
    pub fn look_at_memory(&self) {
        let limit = self.limits.map_or(u64::MAX, |limits| limits.memory_bytes);
        let whole = self.memory_whole();
        if says_nothing(whole, limit) {
            self.sample(&mut self.peak.lock(), whole);
        } else {
            self.memory_peak_bytes();
        }
    }

    /// Looks closely at what it uses now.
    pub fn sample_memory(&self) {
        self.sample(&mut self.peak.lock(), self.memory_whole());
    }

    /// The most that was ever charged to it; what is charged now where the kernel does not keep
    /// that.
    fn memory_whole(&self) -> u64 {
        self.memory.peak.read().or_else(|| self.memory.current.read()).unwrap_or_default()
    }

    fn sample(&self, peak: &mut Peak, whole: u64) -> u64 {
        if let Some(sample) = self.memory.parts.sample() {
            peak.add(whole, sample);
        }
        self.peak_bytes.store(peak.bytes(), Ordering::Relaxed);
        peak.bytes()
    }

    /// Processes that the kernel killed for memory. It used its limit then, however short.
    pub fn out_of_memory_kills(&self) -> u64 {
        let kills = self.memory.out_of_memory_kills();
        if kills > 0 {
            let mut peak = self.peak.lock();
            peak.raise(self.limits.map_or(0, |limits| limits.memory_bytes));
            self.peak_bytes.store(peak.bytes(), Ordering::Relaxed);
        }
        kills
    }

    /// What freezes its processes; `None` on a machine with version 1 and no freezer.
    pub fn freezer(&self) -> Option<&Arc<Freezer>> {
        self.freezer.as_ref()
    }

    /// What takes memory back from it; `None` with version 1.
    pub fn reclaim(&self) -> Option<Reclaim> {
        self.memory.reclaim.clone()
    }

    /// Removes it, and kills first whatever is still in it; what cannot be removed is left to the
    /// next start, and said.
    pub fn remove(&self) {
        let deadline = Instant::now() + self.remove_max;
        // Nearly always nothing is in it any more, and one call for each directory is enough.
        let left: Vec<PathBuf> = self.folders().filter(|folder| !folder.is_removed()).map(Directory::path).collect();
        if left.is_empty() {
            return;
        }
        if let Some(quota) = &self.quota {
            quota.lift().ok();
        }
        for folder in left {
            kill_all(&folder, deadline);
            if let Err(error) = remove_dir(&folder, self.remove_max) {
                tracing::warn!(%error, folder = %folder.display(), "a cgroup could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cgroup::files::lift_quota;
    use crate::cgroup::{Ceilings, Cgroups};

    const CEILINGS: Ceilings = Ceilings { tasks_max: Some(900), socket_bytes_max: Some(9 << 20) };

    const SMALL: Limits =
        Limits { memory_bytes: 128 << 20, cpu_quota_us: 7_142, cpu_start_quota_us: 100_000, pids_max: 64 };

    /// A tree of plain files that looks like version 2; what is written can be read back.
    #[test]
    fn version_2_directories_get_their_limits_and_are_read_back() {
        let tree = tempfile::tempdir().expect("a folder");
        let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
        let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
        let handed = fs::read_to_string(tree.path().join("ours/cgroup.subtree_control")).expect("written");
        assert_eq!(handed, "+pids", "the last controller that was handed down");
        let ceiling = fs::read_to_string(tree.path().join("ours/pids.max")).expect("written");
        assert_eq!(ceiling, "900", "of all instances together");
        let mut instance = cgroups.create("i-1").expect("made");
        instance.limit(SMALL).expect("limited");
        let folder = tree.path().join("ours/i-1");
        let read = |name: &str| fs::read_to_string(folder.join(name)).expect("written");
        assert_eq!(read("memory.max"), (128 << 20).to_string());
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(read("cpu.max"), "100000 100000", "a start takes its processor time ahead");
        assert_eq!(read("cpu.weight"), "7");
        // The kernel's files have no length that a shorter value would leave something of.
        fs::write(folder.join("cpu.max"), "").expect("emptied");
        instance.settle().expect("settled");
        assert_eq!(read("cpu.max"), "7142 100000");
        assert_eq!(read("pids.max"), "64");
        assert_eq!(instance.memory_peak_bytes(), 0, "nothing is known of it");
        fs::write(folder.join("memory.stat"), "anon 5\nfile 90\n").expect("written");
        fs::write(folder.join("memory.current"), "95\n").expect("written");
        assert_eq!(instance.memory_peak_bytes(), 5, "of a kernel without memory.peak");
        fs::write(folder.join("memory.stat"), "anon 7\nfile 90\n").expect("written");
        fs::write(folder.join("memory.peak"), "97\n").expect("written");
        assert_eq!(instance.memory_peak_bytes(), 5, "as good as the same");
        instance.sample_memory();
        assert_eq!(instance.memory_peak_bytes(), 7);
        fs::write(folder.join("memory.peak"), "128\n").expect("written");
        fs::write(folder.join("memory.stat"), "anon 9\nfile 90\n").expect("written");
        assert_eq!(instance.memory_peak_bytes(), 9, "more is charged to it");
        fs::write(folder.join("memory.events.local"), "low 0\noom 1\noom_kill 2\n").expect("written");
        assert_eq!(instance.out_of_memory_kills(), 2);
        assert_eq!(instance.memory_peak_bytes(), 128 << 20, "what was killed for memory used its limit");
        let fds = instance.fds().expect("opened");
        assert!(fds.v1_tasks.is_empty() && fds.v2_directory.is_some());
        let freezer = instance.freezer().expect("there").clone();
        freezer.freeze().expect("written");
        assert_eq!(read("cgroup.freeze"), "1");
        freezer.thaw().expect("written");
        assert!(read("cgroup.freeze") == "0" && !freezer.holds_kills());
        fs::write(folder.join("memory.stat"), "anon 7\ninactive_file 4096\nactive_file 3\n").expect("written");
        instance.reclaim().expect("there").run().expect("written");
        assert_eq!(read("memory.reclaim"), "4096");
    }

    #[test]
    fn a_directory_that_is_removed_has_no_processor_quota_any_more() {
        let tree = tempfile::tempdir().expect("a folder");
        let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
        let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
        let mut instance = cgroups.create("i-1").expect("made");
        instance.limit(SMALL).expect("limited");
        // Plain files keep it from going.
        instance.remove();
        let quota = |file: &str| fs::read_to_string(tree.path().join("ours/i-1").join(file)).expect("there");
        assert_eq!(quota("cpu.max"), "max");
        fs::write(tree.path().join("ours/i-1/cpu.cfs_quota_us"), "7142").expect("written");
        lift_quota(&tree.path().join("ours/i-1")).expect("lifted");
        assert_eq!(quota("cpu.cfs_quota_us"), "-1");
    }

    #[test]
    fn limits_are_written_again_only_when_they_change() {
        let tree = tempfile::tempdir().expect("a folder");
        let layout = Layout { v1: Default::default(), freezer: None, v2: Some(tree.path().to_owned()) };
        let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
        let mut instance = cgroups.create("i-1").expect("made");
        let file = tree.path().join("ours/i-1/memory.max");
        instance.limit(SMALL).expect("limited");
        fs::remove_file(&file).expect("there");
        instance.limit(SMALL).expect("limited");
        assert!(!file.exists());
        instance.limit(Limits { memory_bytes: 1 << 30, ..SMALL }).expect("limited");
        assert_eq!(fs::read_to_string(&file).expect("written"), (1 << 30).to_string());
    }

    #[test]
    fn version_1_alone_freezes_by_its_freezer() {
        let tree = tempfile::tempdir().expect("a folder");
        let root = |name: &str| {
            let root = tree.path().join(name);
            fs::create_dir(&root).expect("made");
            root
        };
        let v1 = ["memory", "cpu", "pids"].map(|name| (name, root(name))).into();
        let layout = Layout { v1, freezer: Some(root("freezer")), v2: None };
        let cgroups = Cgroups::open(layout, "ours".to_owned(), CEILINGS, Duration::ZERO).expect("made");
        let mut instance = cgroups.create("i-1").expect("made");
        instance.limit(SMALL).expect("limited");
        let read = |file: &str| fs::read_to_string(tree.path().join(file)).expect("written");
        assert_eq!(read("pids/ours/pids.max"), "900");
        assert_eq!(read("memory/ours/memory.kmem.tcp.limit_in_bytes"), (9 << 20).to_string());
        assert_eq!(read("memory/ours/i-1/memory.kmem.tcp.limit_in_bytes"), SMALL.memory_bytes.to_string());
        let freezer = instance.freezer().expect("there");
        freezer.freeze().expect("written");
        let file = tree.path().join("freezer/ours/i-1/freezer.state");
        assert_eq!(fs::read_to_string(&file).expect("written"), "FROZEN");
        assert!(freezer.holds_kills(), "a frozen process of version 1 dies only when it is thawed");
        assert!(instance.reclaim().is_none());
    }
}
