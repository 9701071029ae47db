//! An instance's view of its cgroups at `/sys/fs/cgroup`: its own directories, read-only.
//!
//! Programs size themselves by it (HotSpot, V8, .NET, Go). Version 2 is the instance's directory
//! itself. Version 1 has one directory for each hierarchy, with the machine's names, in a tmpfs, by
//! which .NET detects the version:
//! ```text
//! cpu -> cpu,cpuacct    cpuacct -> cpu,cpuacct    cpu,cpuacct/    cpuset/    memory/    pids/
//! ```

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use sys::ReadOnlyTree;

use super::directory::Directory;
use super::layout::Layout;
use crate::error::Error;

/// Its mount point inside.
const PLACE: &str = "/sys/fs/cgroup";

/// The directories that the view shows.
#[derive(Debug)]
pub enum View {
    /// Of version 1: names and directories, then links and names.
    V1(Vec<(String, Directory)>, Vec<(&'static str, String)>),
    /// Of version 2.
    V2(Directory),
}

impl View {
    /// The view of an instance with a directory at a `place` in each hierarchy. Version 2 is shown
    /// where it has the memory limit.
    pub fn new(layout: &Layout, place: impl Fn(&PathBuf) -> Directory) -> Self {
        if let (None, Some(root)) = (layout.v1.get("memory"), &layout.v2) {
            return Self::V2(place(root));
        }
        let (mut dirs, mut links) = (Vec::new(), Vec::new());
        for (controller, root) in &layout.v1 {
            let name = root.file_name().map_or((*controller).into(), |name| name.to_string_lossy().into_owned());
            if name != *controller {
                links.push((*controller, name.clone()));
            }
            let dir = place(root);
            if !dirs.iter().any(|(_, other): &(String, Directory)| other.is_beside(&dir)) {
                dirs.push((name, dir));
            }
        }
        Self::V1(dirs, links)
    }

    /// Paths of its mounts inside the instance, parents first.
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
            Self::V2(dir) => {
                let (parent, name) = dir.place();
                ReadOnlyTree::of(parent, name).map_err(Error::path("make a mount of", dir.path()))
            }
            Self::V1(dirs, links) => {
                let dirs: Vec<(&str, (BorrowedFd<'_>, &Path))> =
                    dirs.iter().map(|(name, dir)| (name.as_str(), dir.place())).collect();
                let links: Vec<(&str, &str)> = links.iter().map(|(name, to)| (*name, to.as_str())).collect();
                ReadOnlyTree::of_each(&dirs, &links).map_err(Error::path("make mounts of its cgroups for", PLACE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use crate::cgroup::directory::Parent;

    /// A view of hierarchies whose mount points have these names.
    fn view(v1: &[(&'static str, &str)], v2: Option<&str>) -> View {
        let tree = tempfile::tempdir().expect("a folder");
        let root = |name: &&str| tree.path().join(name);
        let v1 = v1.iter().map(|(controller, name)| (*controller, root(name))).collect();
        let layout = Layout { v1, freezer: None, v2: v2.as_ref().map(root) };
        let opened = |root: PathBuf| {
            std::fs::create_dir_all(root.join("ours")).expect("made");
            (root.clone(), Parent::open(root.join("ours")).expect("opened"))
        };
        let parents: BTreeMap<PathBuf, _> = layout.roots().into_iter().map(opened).collect();
        View::new(&layout, |root| Directory::new(parents[root].clone(), "7".into()))
    }

    /// The last parts of a directory's path.
    fn is_at(directory: &Directory, place: &str) -> bool {
        directory.path().ends_with(place)
    }

    #[test]
    fn version_2_is_the_instances_directory_itself() {
        let is_v2 = |view: View, place: &str| matches!(&view, View::V2(directory) if is_at(directory, place));
        assert!(is_v2(view(&[], Some("cgroup")), "cgroup/ours/7"));
        assert!(is_v2(view(&[("pids", "pids")], Some("unified")), "unified/ours/7"));
    }

    #[test]
    fn hierarchies_of_version_1_keep_the_machines_names_and_each_controller_is_found_by_its_own() {
        let shared = "cpu,cpuacct";
        let all = [("cpu", shared), ("cpuacct", shared), ("memory", "memory")];
        let View::V1(dirs, links) = view(&all, Some("unified")) else { panic!("version 1") };
        let found: Vec<(&str, bool)> =
            dirs.iter().map(|(name, dir)| (name.as_str(), is_at(dir, &format!("{name}/ours/7")))).collect();
        assert_eq!(found, [("cpu,cpuacct", true), ("memory", true)]);
        let places = view(&all, None).places();
        assert_eq!(places, ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
        assert_eq!(links, [("cpu", "cpu,cpuacct".to_owned()), ("cpuacct", "cpu,cpuacct".to_owned())]);
    }
}
