//! Control groups of instances: one directory each in every hierarchy with a needed controller.
//!
//! Owns everything below `<hierarchy>/<name>`; touches nothing else. The mounts decide between
//! version 1 and 2 for each controller (`layout.rs`), so that hybrid machines work too.

mod ceilings;
mod directory;
mod files;
mod instance;
mod layout;
mod leaf;
mod limits;
mod pool;
mod state;
mod usage;
mod view;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use ceilings::Ceilings;
pub use files::{Freezer, Quota, V1_SOCKETS};
pub use instance::{CgroupFds, InstanceCgroup};
pub use layout::{CONTROLLERS, Layout, Mode};
pub use limits::Limits;
pub use pool::CgroupPool;
pub use state::CgroupState;

use self::directory::{Directory, Parent};
use crate::error::Error;

/// Time between two attempts to remove a directory that is still busy.
const REMOVE_INTERVAL: Duration = Duration::from_micros(500);

/// The cgroups of one data directory.
#[derive(Debug)]
pub struct Cgroups {
    layout: Layout,
    name: String,
    /// The platform's directory in every hierarchy, by its mount point.
    parents: BTreeMap<PathBuf, Arc<Parent>>,
    remove_max: Duration,
}

impl Cgroups {
    /// Creates the directory `name` in every hierarchy of the layout, with the ceilings of all
    /// instances, and enables controllers (version 2). Removes them again when it fails.
    pub fn open(mut layout: Layout, name: String, ceilings: Ceilings, remove_max: Duration) -> Result<Self, Error> {
        layout.v1.retain(|controller, root| {
            !layout::SHOWN.contains(controller) || can_be_shown(controller, root, &root.join(&name))
        });
        let mut cgroups = Self { layout, name, parents: BTreeMap::new(), remove_max };
        let made = cgroups.make().and_then(|()| cgroups.bound(ceilings)).and_then(|()| cgroups.open_parents());
        cgroups.parents = made.inspect_err(|_| cgroups.remove_after_failure())?;
        Ok(cgroups)
    }

    fn make(&self) -> Result<(), Error> {
        for root in self.layout.roots() {
            let folder = root.join(&self.name);
            make_dir(&folder).map_err(Error::path("make the cgroup", &folder))?;
        }
        if let Some(root) = &self.layout.v2 {
            let handed_down = self.layout.v2_controllers();
            leaf::empty_root(root, &handed_down).map_err(Error::path("move the processes of the cgroup", root))?;
            for folder in [root.clone(), root.join(&self.name)] {
                for controller in &handed_down {
                    let file = folder.join("cgroup.subtree_control");
                    fs::write(&file, format!("+{controller}"))
                        .map_err(Error::path("hand a controller down in", &file))?;
                }
            }
        }
        Ok(())
    }

    /// Sets the ceilings before any process joins: version 1 counts only sockets created after
    /// that.
    fn bound(&self, ceilings: Ceilings) -> Result<(), Error> {
        let Layout { v1, v2, .. } = &self.layout;
        let of_v1 = v1.iter().map(|(controller, root)| (root, files::v1_ceilings(controller, ceilings)));
        let in_v2 = self.layout.v2_controllers();
        let of_v2 = v2.iter().flat_map(|root| in_v2.iter().map(move |c| (root, files::v2_ceilings(c, ceilings))));
        of_v1.chain(of_v2).try_for_each(|(root, settings)| {
            let above = Parent::open(root.clone()).map_err(Error::path("open the cgroup", root))?;
            files::apply(&Directory::new(above, self.name.as_str().into()), settings.into_iter()).map(drop)
        })
    }

    fn open_parents(&self) -> Result<BTreeMap<PathBuf, Arc<Parent>>, Error> {
        let open = |root: PathBuf| {
            let ours = root.join(&self.name);
            Ok((root, Parent::open(ours.clone()).map_err(Error::path("open the cgroup", ours))?))
        };
        self.layout.roots().into_iter().map(open).collect()
    }

    /// Name of the platform's directory in every hierarchy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The platform's version 2 directory, the parent of all instances'.
    pub fn v2_directory(&self) -> Option<PathBuf> {
        self.layout.v2.as_ref().map(|root| root.join(&self.name))
    }

    /// Creates the directories of one instance, without limits.
    fn create(&self, instance: &str) -> Result<InstanceCgroup, Error> {
        InstanceCgroup::create(&self.layout, &self.parents, instance, self.remove_max)
    }

    /// Kills all processes below the platform's directories and removes them; returns the number of
    /// processes and of instance directories.
    pub fn clear(layout: &Layout, name: &str, remove_max: Duration) -> Result<(usize, usize), Error> {
        let (mut killed, mut removed) = (0, 0);
        let deadline = Instant::now() + remove_max;
        for folder in layout.roots().iter().flat_map(|root| children(&root.join(name))) {
            files::lift_quota(&folder).ok();
        }
        for root in layout.roots() {
            let top = root.join(name);
            for folder in children(&top) {
                killed += kill_all(&folder, deadline);
                remove_dir(&folder, remove_max).map_err(Error::path("remove the cgroup", &folder))?;
                removed += 1;
            }
            remove_dir(&top, remove_max).map_err(Error::path("remove the cgroup", &top))?;
        }
        Ok((killed, removed))
    }

    /// Removes the platform's directories, after every instance's.
    pub fn remove(&self) -> Result<(), Error> {
        Self::clear(&self.layout, &self.name, self.remove_max).map(drop)
    }

    /// Removes them after a failed start, whose error matters more than a failed removal.
    pub fn remove_after_failure(&self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "cgroups were left behind");
        }
    }
}

/// Creates the platform's directory of a controller that is only shown to instances. It is
/// optional.
fn can_be_shown(controller: &str, root: &Path, folder: &Path) -> bool {
    let made =
        make_dir(folder).and_then(|()| if controller == "cpuset" { hand_cpuset_down(root, folder) } else { Ok(()) });
    if let Err(error) = &made {
        tracing::warn!(%error, controller, "cgroup controller is not shown to instances; a JVM in them takes no limits");
        fs::remove_dir(folder).ok();
    }
    made.is_ok()
}

/// Processes can join a cpuset of version 1 only when it has processors and memory nodes; a new one
/// has none unless its parent clones its own.
fn hand_cpuset_down(root: &Path, folder: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        fs::write(folder.join(file), fs::read_to_string(root.join(file))?)?;
    }
    fs::write(folder.join("cgroup.clone_children"), "1")
}

fn make_dir(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Processes in a directory of either version.
fn processes(folder: &Path) -> Vec<i32> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// Kills until the directory is empty; returns the number of processes at first.
fn kill_all(folder: &Path, deadline: Instant) -> usize {
    let found = processes(folder).len();
    if found > 0 {
        files::thaw_v1(folder);
    }
    // Version 2 since Linux 5.14 kills all at once, so that none can fork meanwhile.
    let kill = folder.join("cgroup.kill");
    if found > 0 && kill.exists() {
        fs::write(kill, "1").ok();
    }
    loop {
        let left = processes(folder);
        if left.is_empty() || Instant::now() > deadline {
            return found;
        }
        for pid in left {
            // The pid may have been reused since the file was read: the pidfd refers to its present
            // process, which is killed only if it is still in the platform's directory.
            if let Ok(process) = sys::process::open(pid)
                && processes(folder).contains(&pid)
            {
                sys::process::send_signal(&process, libc::SIGKILL).ok();
            }
        }
        std::thread::sleep(REMOVE_INTERVAL);
    }
}

/// Removes a directory; it stays busy for a moment while its last process ends.
fn remove_dir(folder: &Path, remove_max: Duration) -> io::Result<()> {
    let deadline = Instant::now() + remove_max;
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(REMOVE_INTERVAL);
            }
            other => return other,
        }
    }
}
