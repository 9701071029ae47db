//! The cgroup hierarchies of a machine, and the use of each.
//!
//! Version 2 is used for every controller that its root has, version 1 for the others; where
//! version 2 is mounted without controllers (the hybrid mode), processes still start inside its
//! directories and are found there again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Controllers that instances need.
pub const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// Controllers of version 1 that are only shown to instances: HotSpot accepts the limits of a group
/// only when it finds these, too (cgroupSubsystem_linux.cpp).
pub const SHOWN: [&str; 2] = ["cpuacct", "cpuset"];

/// Mount points of the hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Mount points of version 1, by controller.
    pub v1: BTreeMap<&'static str, PathBuf>,
    /// Mount point of version 1's freezer, on machines without version 2, which freezes without a
    /// controller.
    pub freezer: Option<PathBuf>,
    /// Mount point of version 2, with those of [`CONTROLLERS`] that are not in `v1`, or with none.
    pub v2: Option<PathBuf>,
}

/// Which versions are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Version 1 alone.
    V1,
    /// Version 2 with every controller.
    V2,
    /// Both.
    Hybrid,
}

impl Layout {
    /// Reads the mounts; fails with the controller that no hierarchy has.
    pub fn detect() -> Result<Self, Error> {
        let file = "/proc/self/mountinfo";
        let mounts = fs::read_to_string(file).map_err(Error::path("read", file))?;
        Self::find(&mounts, |root| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default())
    }

    /// Derives it from the text of mountinfo and the `controllers` of a version 2 mount.
    fn find(mountinfo: &str, controllers: impl Fn(&Path) -> String) -> Result<Self, Error> {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
        let v2 = mounts.iter().find(|mount| mount.kind == "cgroup2").map(|mount| PathBuf::from(mount.point));
        let in_v2 = v2.as_deref().map(controllers).unwrap_or_default();
        let in_v1 = |controller: &str| {
            let has = |mount: &&Mount<'_>| mount.kind == "cgroup" && mount.options.split(',').any(|o| o == controller);
            mounts.iter().find(has).map(|mount| PathBuf::from(mount.point))
        };
        let mut v1 = BTreeMap::new();
        for controller in CONTROLLERS.into_iter().filter(|c| !in_v2.split_whitespace().any(|have| have == *c)) {
            v1.insert(controller, in_v1(controller).ok_or(Error::NoController { controller })?);
        }
        if v1.contains_key("memory") {
            v1.extend(SHOWN.iter().filter_map(|controller| Some((*controller, in_v1(controller)?))));
        }
        let freezer = if v2.is_none() { in_v1("freezer") } else { None };
        Ok(Self { v1, freezer, v2 })
    }

    /// Every mount point in use, each once.
    pub fn roots(&self) -> Vec<PathBuf> {
        let mut roots: Vec<PathBuf> = self.v2.iter().cloned().collect();
        for root in self.v1.values().chain(&self.freezer) {
            // Controllers of version 1 may share a hierarchy, as cpu and cpuacct do.
            if !roots.contains(root) {
                roots.push(root.clone());
            }
        }
        roots
    }

    /// Controllers to enable in version 2's `cgroup.subtree_control`.
    pub fn v2_controllers(&self) -> Vec<&'static str> {
        let of_v2 = |controller: &&str| self.v2.is_some() && !self.v1.contains_key(controller);
        CONTROLLERS.into_iter().filter(of_v2).collect()
    }

    /// Which versions are in use.
    pub fn mode(&self) -> Mode {
        match (self.v1.is_empty(), &self.v2) {
            (_, None) => Mode::V1,
            (true, Some(_)) => Mode::V2,
            (false, Some(_)) => Mode::Hybrid,
        }
    }
}

/// One line of mountinfo (proc(5)): the mount point is the fifth field; type and super options
/// follow ` - `.
struct Mount<'a> {
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        let mut fields = filesystem.split(' ');
        let (kind, _source, options) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self { point, kind, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
30 23 0:26 / /sys/fs/cgroup rw shared:4 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:5 - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
    const UNIFIED: &str = "34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn version_2_is_used_where_it_has_the_controllers() {
        let found = Layout::find(V2, |_| "cpuset cpu io memory pids".into()).expect("a layout");
        assert_eq!((found.mode(), found.roots()), (Mode::V2, vec!["/sys/fs/cgroup".into()]));
        assert_eq!(found.v2_controllers(), CONTROLLERS);
        assert!(found.v1.is_empty());
    }

    #[test]
    fn controllers_that_version_2_lacks_come_from_version_1() {
        let hybrid = format!("{V1}{UNIFIED}");
        let found = Layout::find(&hybrid, |_| "hugetlb".into()).expect("a layout");
        assert_eq!((found.mode(), found.roots().len()), (Mode::Hybrid, 4));
        assert_eq!(found.v1["cpu"], PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(found.v2_controllers().is_empty());
        let mixed = Layout::find(&hybrid, |_| "pids".into()).expect("a layout");
        assert_eq!((mixed.v2_controllers(), mixed.v1.len()), (vec!["pids"], 3));
        let cpuset = "35 30 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";
        let whole = Layout::find(&format!("{V1}{cpuset}"), |_| String::new()).expect("a layout");
        assert_eq!(whole.v1.keys().copied().collect::<Vec<_>>(), ["cpu", "cpuacct", "cpuset", "memory", "pids"]);
        assert_eq!(whole.v1["cpuacct"], whole.v1["cpu"]);
        assert_eq!(whole.roots().len(), 4, "cpu and cpuacct share a hierarchy");
        let alone = Layout::find(V1, |_| String::new()).expect("a layout");
        assert_eq!((alone.mode(), alone.v2_controllers(), alone.freezer), (Mode::V1, vec![], None));
        let frozen = "35 30 0:31 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n";
        let freezer = |mounts: &str| Layout::find(mounts, |_| String::new()).expect("a layout").freezer;
        assert_eq!(freezer(&format!("{V1}{frozen}")), Some("/sys/fs/cgroup/freezer".into()));
        assert_eq!(freezer(&format!("{V1}{UNIFIED}{frozen}")), None, "version 2 freezes");
    }

    #[test]
    fn a_missing_controller_is_named() {
        for (mountinfo, controller) in [("", "memory"), (V2, "memory"), (&V1.replace("rw,pids", "rw"), "pids")] {
            let error = Layout::find(mountinfo, |_| "cpu".into()).expect_err("no layout");
            assert!(error.to_string().contains(&format!("{controller:?}")), "{error}");
        }
    }

    #[test]
    fn controllers_of_one_hierarchy_share_a_directory() {
        let layout = Layout { v1: [("memory", "/m".into()), ("pids", "/m".into())].into(), freezer: None, v2: None };
        assert_eq!(layout.roots(), [PathBuf::from("/m")]);
    }
}
