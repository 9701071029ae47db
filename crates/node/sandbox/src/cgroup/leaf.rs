//! Enables controllers in a version 2 root that is not the machine's: in a container with a cgroup
//! namespace of its own, the group at the mount point has limits and processes, and a group with
//! processes cannot delegate controllers (cgroups(7), "no internal processes").

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// The group that the root group's processes move into. It stays as long as they run.
const LEAF: &str = "sampan-platform";
/// Rounds of moving processes that started meanwhile.
const ROUNDS_MAX: usize = 16;

/// Moves the processes of the root group into a child group, unless the controllers are enabled
/// already or it is the machine's own root, which may have both.
pub fn empty_root(root: &Path, controllers: &[&str]) -> io::Result<()> {
    let handed_down = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
    let has_all = controllers.iter().all(|controller| handed_down.split_whitespace().any(|have| have == *controller));
    // Only the machine's own root has no type.
    if has_all || !root.join("cgroup.type").exists() || super::processes(root).is_empty() {
        return Ok(());
    }
    let leaf = root.join(LEAF);
    super::make_dir(&leaf)?;
    let procs = leaf.join("cgroup.procs");
    for _ in 0..ROUNDS_MAX {
        let left = super::processes(root);
        if left.is_empty() {
            break;
        }
        for pid in left {
            match fs::write(&procs, pid.to_string()) {
                Err(error) if !has_ended(&error) => return Err(error),
                _ => {}
            }
        }
    }
    tracing::info!(group = %leaf.display(), "moved the processes of the root cgroup, so that it can delegate controllers");
    Ok(())
}

fn has_ended(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH) || error.kind() == ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in the layout of a container's version 2 root, with these controllers enabled.
    fn tree(handed_down: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (file, text) in
            [("cgroup.type", "domain"), ("cgroup.procs", "7\n8\n"), ("cgroup.subtree_control", handed_down)]
        {
            fs::write(root.path().join(file), text).expect("written");
        }
        root
    }

    #[test]
    fn only_a_root_that_has_processes_and_is_not_the_machines_gets_a_leaf() {
        let root = tree("cpu");
        empty_root(root.path(), &["memory", "cpu"]).expect("moved");
        assert_eq!(fs::read_to_string(root.path().join(LEAF).join("cgroup.procs")).expect("a leaf"), "8");

        let done = tree("cpu memory pids");
        let machines = tree("");
        fs::remove_file(machines.path().join("cgroup.type")).expect("removed");
        let empty = tree("");
        fs::write(empty.path().join("cgroup.procs"), "").expect("written");
        for root in [&done, &machines, &empty] {
            empty_root(root.path(), &["memory", "cpu"]).expect("nothing to do");
            assert!(!root.path().join(LEAF).exists());
        }
    }

    /// On the real kernel, in a group of its own. Needs root and a version 2 hierarchy.
    #[test]
    fn privileged_processes_of_a_group_move_into_its_leaf() {
        let v2 = crate::cgroup::Layout::detect().expect("a layout").v2.expect("a version 2 hierarchy");
        let group = v2.join(format!("sampan-test-leaf-{}", std::process::id()));
        fs::create_dir(&group).expect("made");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("started");
        fs::write(group.join("cgroup.procs"), child.id().to_string()).expect("moved in");
        let outcome = empty_root(&group, &["memory"]);
        let (left, moved) = (crate::cgroup::processes(&group), crate::cgroup::processes(&group.join(LEAF)));
        child.kill().and_then(|()| child.wait()).expect("ended");
        crate::cgroup::remove_dir(&group.join(LEAF), std::time::Duration::from_secs(5)).expect("removed");
        crate::cgroup::remove_dir(&group, std::time::Duration::from_secs(5)).expect("removed");
        outcome.expect("moved");
        assert_eq!((left, moved), (vec![], vec![child.id().cast_signed()]));
    }
}
