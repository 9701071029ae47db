//! Finds a data directory's leftovers on the machine: processes, mounts, cgroups. Matches by names
//! derived from the data directory, so that other platforms do not count.

use std::fs;
use std::path::{Path, PathBuf};

/// Everything that refers to the data directory, in readable lines.
pub fn of(data_dir: &Path, cgroup_name: Option<&str>) -> Vec<String> {
    let mut found = mounts(data_dir);
    if let Some(name) = cgroup_name {
        found.extend(cgroups(name).into_iter().map(|c| format!("cgroup {}", c.display())));
    }
    found
}

/// Mounts in this namespace whose source, target or options contain the directory's path.
fn mounts(data_dir: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let name = data_dir.display().to_string();
    table.lines().filter(|line| line.contains(&name)).map(|line| format!("mount {line}")).collect()
}

/// Directories of this name in any cgroup hierarchy, with their descendants.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    find(Path::new("/sys/fs/cgroup"), name, 0, &mut found);
    found
}

/// Processes in any cgroup below directories of this name.
pub fn processes(name: &str) -> Vec<u32> {
    let mut found: Vec<u32> = Vec::new();
    for folder in cgroups(name) {
        pids_below(&folder, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn pids_below(folder: &Path, found: &mut Vec<u32>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            pids_below(&entry.path(), found);
        }
    }
}

fn find(folder: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    // The platform's own cgroup is near the root of each hierarchy.
    const DEPTH_MAX: usize = 4;
    if depth > DEPTH_MAX {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|t| t.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy() == name {
            found.push(entry.path());
        } else {
            find(&entry.path(), name, depth + 1, found);
        }
    }
}
