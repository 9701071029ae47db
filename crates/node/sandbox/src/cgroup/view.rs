//! What an instance sees of its cgroups at `/sys/fs/cgroup`: its own directories, which nobody
//! inside can write.
//!
//! Programs size themselves by it (HotSpot, V8, .NET, Go). Version 2 is the instance's directory
//! itself. Version 1 has one directory for each hierarchy, with the names that the machine has, in
//! a tmpfs, by which .NET tells the versions apart:
//! ```text
//! cpu -> cpu,cpuacct    cpuacct -> cpu,cpuacct    cpu,cpuacct/    cpuset/    memory/    pids/
//! ```

use std::path::{Path, PathBuf};

use sys::ReadOnlyTree;

use super::layout::Layout;
use crate::error::Error;

/// Where it is, inside.
const PLACE: &str = "/sys/fs/cgroup";

/// The directories to be shown.
#[derive(Debug, PartialEq, Eq)]
pub enum View {
    /// Of version 1: names and directories, then links and names.
    V1(Vec<(String, PathBuf)>, Vec<(&'static str, String)>),
    /// Of version 2.
    V2(PathBuf),
}

impl View {
    /// Of an instance whose directory is at a `place` in each hierarchy. Version 2 is shown where
    /// it has the memory limit.
    pub fn new(layout: &Layout, place: impl Fn(&PathBuf) -> PathBuf) -> Self {
        if let (None, Some(root)) = (layout.v1.get("memory"), &layout.v2) {
            return Self::V2(place(root));
        }
        let (mut dirs, mut links) = (Vec::new(), Vec::new());
        for (controller, root) in &layout.v1 {
            let name = root.file_name().map_or((*controller).into(), |name| name.to_string_lossy().into_owned());
            if name != *controller {
                links.push((*controller, name.clone()));
            }
            let dir = (name, place(root));
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        Self::V1(dirs, links)
    }

    /// Paths of its mounts inside the instance, each before those below it.
    pub fn places(&self) -> Vec<String> {
        let below = match self {
            Self::V1(dirs, _) => dirs.as_slice(),
            Self::V2(_) => &[],
        };
        [PLACE.to_owned()].into_iter().chain(below.iter().map(|(name, _)| format!("{PLACE}/{name}"))).collect()
    }

    /// Mounts it, detached.
    pub fn mount(&self) -> Result<ReadOnlyTree, Error> {
        match self {
            Self::V2(dir) => ReadOnlyTree::of(dir).map_err(Error::path("make a mount of", dir)),
            Self::V1(dirs, links) => {
                let dirs: Vec<(&str, &Path)> = dirs.iter().map(|(name, dir)| (name.as_str(), dir.as_path())).collect();
                let links: Vec<(&str, &str)> = links.iter().map(|(name, to)| (*name, to.as_str())).collect();
                ReadOnlyTree::of_each(&dirs, &links).map_err(Error::path("make mounts of its cgroups for", PLACE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(v1: &[(&'static str, &str)], v2: Option<&str>) -> View {
        let v1 = v1.iter().map(|(controller, root)| (*controller, PathBuf::from(root))).collect();
        View::new(&Layout { v1, freezer: None, v2: v2.map(PathBuf::from) }, |root| root.join("ours/7"))
    }

    #[test]
    fn version_2_is_the_instances_directory_itself() {
        assert_eq!(view(&[], Some("/sys/fs/cgroup")), View::V2("/sys/fs/cgroup/ours/7".into()));
        let mixed = view(&[("pids", "/sys/fs/cgroup/pids")], Some("/sys/fs/cgroup/unified"));
        assert_eq!(mixed, View::V2("/sys/fs/cgroup/unified/ours/7".into()));
    }

    #[test]
    fn hierarchies_of_version_1_keep_the_machines_names_and_each_controller_is_found_by_its_own() {
        let shared = "/sys/fs/cgroup/cpu,cpuacct";
        let all = [("cpu", shared), ("cpuacct", shared), ("memory", "/sys/fs/cgroup/memory")];
        let View::V1(dirs, links) = view(&all, Some("/sys/fs/cgroup/unified")) else { panic!("version 1") };
        let want = [("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/ours/7"), ("memory", "/sys/fs/cgroup/memory/ours/7")];
        assert_eq!(dirs, want.map(|(name, dir)| (name.to_owned(), PathBuf::from(dir))));
        let places = view(&all, None).places();
        assert_eq!(places, ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
        assert_eq!(links, [("cpu", "cpu,cpuacct".to_owned()), ("cpuacct", "cpu,cpuacct".to_owned())]);
    }
}
