//! The cgroup directories of one instance.

mod memory;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::OFlags;
use sys::ReadOnlyTree;

use super::directory::{Directory, Parent};
use super::files::{Freezer, MemoryFiles, Quota, Reclaim, Setting, apply, v1_settings, v2_settings};
use super::layout::Layout;
use super::limits::Limits;
use super::usage::Peak;
use super::view::View;
use super::{kill_all, remove_dir};
use crate::error::Error;

/// Descriptors by which a process joins the cgroup.
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
    /// A copy of `peak` for readers that must not wait for its lock.
    peak_bytes: AtomicU64,
    freezer: Option<Arc<Freezer>>,
    view: View,
    limits: Option<Limits>,
    /// No limit was ever set.
    is_new: bool,
    quota: Option<Quota>,
    /// The file of the processor quota while it is the one of a start.
    start_quota: Mutex<Option<File>>,
    /// Opened in advance by the pool, and taken by the start.
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
        let made = Self {
            memory: memory_files(layout, v2.as_ref(), place)?,
            freezer: freezer(layout, v2.as_ref(), place),
            controlled: controlled(layout, v2.as_ref(), place),
            quota: quota(layout, v2.as_ref(), place),
            view: View::new(layout, place),
            v1,
            v2,
            peak: Mutex::default(),
            peak_bytes: AtomicU64::new(0),
            limits: None,
            is_new: true,
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

    /// Sets the limits, unless they are set already.
    pub(super) fn limit(&mut self, limits: Limits) -> Result<(), Error> {
        if self.limits == Some(limits) {
            return Ok(());
        }
        let is_new = std::mem::replace(&mut self.is_new, false);
        self.limits = None;
        for Controlled { controller, settings, folder } in &self.controlled {
            let settings = settings(controller, &limits).into_iter();
            // Skip the defaults of a new directory and what it inherits.
            let quota = apply(folder, settings.filter(|setting| !(is_new && setting.is_given)))?;
            if quota.is_some() {
                *self.start_quota.get_mut() = quota;
            }
        }
        self.limits = Some(limits);
        Ok(())
    }

    /// Ends the start: replaces the processor quota of a start by the regular one.
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

    /// Opens the descriptors for the first process in advance.
    pub(super) fn open_fds(&mut self) -> Result<(), Error> {
        self.fds = Some(self.fds_now()?);
        // Kernels without a recorded peak: read the current charge instead.
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

    /// What freezes its processes; `None` on a machine with version 1 and no freezer.
    pub fn freezer(&self) -> Option<&Arc<Freezer>> {
        self.freezer.as_ref()
    }

    /// What takes memory back from it; `None` with version 1.
    pub fn reclaim(&self) -> Option<Reclaim> {
        self.memory.reclaim.clone()
    }

    /// Kills all processes in it and removes it. What cannot be removed is logged and left to the
    /// next start.
    pub fn remove(&self) {
        let deadline = Instant::now() + self.remove_max;
        // Usually it is empty already, and one call per directory is enough.
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

/// The files of the memory controller.
fn memory_files(
    layout: &Layout,
    v2: Option<&Directory>,
    place: impl Fn(&PathBuf) -> Directory,
) -> Result<MemoryFiles, Error> {
    match (layout.v1.get("memory").map(place), v2) {
        (Some(folder), _) => Ok(MemoryFiles::v1(&folder)),
        (None, Some(folder)) => Ok(MemoryFiles::v2(folder)),
        (None, None) => Err(Error::NoController { controller: "memory" }),
    }
}

/// What freezes the processes: version 2 without a controller, version 1 with one of its own.
fn freezer(layout: &Layout, v2: Option<&Directory>, place: impl Fn(&PathBuf) -> Directory) -> Option<Arc<Freezer>> {
    match (v2, layout.freezer.as_ref().map(place)) {
        (Some(folder), _) => Some(Arc::new(Freezer::v2(folder.clone()))),
        (None, freezer) => freezer.map(|folder| Arc::new(Freezer::v1(folder))),
    }
}

/// The file of the processor quota.
fn quota(layout: &Layout, v2: Option<&Directory>, place: impl Fn(&PathBuf) -> Directory) -> Option<Quota> {
    match (layout.v1.get("cpu").map(place), v2) {
        (Some(folder), _) => Some(Quota::v1(folder)),
        (None, folder) => folder.cloned().map(Quota::v2),
    }
}

/// Controllers of both versions, each with its directory and what is set there.
fn controlled(layout: &Layout, v2: Option<&Directory>, place: impl Fn(&PathBuf) -> Directory) -> Vec<Controlled> {
    let of_v1 = layout.v1.iter().map(|(controller, root)| Controlled {
        controller,
        settings: v1_settings,
        folder: place(root),
    });
    let of_v2 = v2.iter().flat_map(|folder| {
        let controllers = layout.v2_controllers().into_iter();
        controllers.map(|controller| Controlled { controller, settings: v2_settings, folder: (*folder).clone() })
    });
    of_v1.chain(of_v2).collect()
}
