//! Process information from the kernel: status, ids, cgroups (version 2, version 1 and hybrid).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A field of `/proc/<pid>/status`, such as `CapEff`.
pub fn status(pid: u32, field: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid} is gone"))?;
    field_of(&text, field).with_context(|| format!("there is no {field} of process {pid}"))
}

/// A field in the text of such a file.
pub fn field_of(status: &str, field: &str) -> Option<String> {
    status.lines().find_map(|line| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned()))
}

/// Whether a process is running; zombies are not.
pub fn runs(pid: u32) -> bool {
    status(pid, "State").is_ok_and(|state| !state.starts_with(['Z', 'X']))
}

/// The hard limit of a process's open files.
pub fn open_files_max(pid: u32) -> anyhow::Result<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let hard = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().nth(1));
    hard.and_then(|text| text.parse().ok()).with_context(|| format!("no number of open files in {limits}"))
}

/// Resident memory of a process, in MB.
pub fn resident_mb(pid: u32) -> anyhow::Result<u64> {
    let text = status(pid, "VmRSS")?;
    let kb: u64 = text.split(' ').next().unwrap_or_default().parse().with_context(|| text.clone())?;
    Ok(kb >> 10)
}

/// Peak resident memory of a process since [`reset_peak`], in bytes.
pub fn peak_bytes(pid: u32) -> anyhow::Result<u64> {
    let text = status(pid, "VmHWM")?;
    let kb: u64 = text.split(' ').next().unwrap_or_default().parse().with_context(|| text.clone())?;
    Ok(kb * 1024)
}

/// Resets the peak; returns the current value.
pub fn reset_peak(pid: u32) -> anyhow::Result<u64> {
    // proc(5): 5 resets the peak to the resident size.
    fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
    peak_bytes(pid)
}

/// First host id and length of the only mapping of a process's user namespace.
pub fn ids(pid: u32, file: &str) -> anyhow::Result<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match numbers[..] {
        [0, first, count] => Ok((first, count)),
        _ => anyhow::bail!("{file} of process {pid} is {text}"),
    }
}

/// Content of a process's cgroup file: by name in version 2, or by controller and name in version
/// 1.
pub fn cgroup_file(pid: u32, v2: &str, v1: (&str, &str)) -> anyhow::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let places = text.lines().flat_map(|line| places(line, v2, v1));
    let found = places.filter_map(|path| fs::read_to_string(path).ok()).next();
    let found = found.with_context(|| format!("neither {v2} nor {} of process {pid} is there:\n{text}", v1.1))?;
    Ok(found.trim().to_owned())
}

/// Candidate paths of the file, from one line of `/proc/<pid>/cgroup` (cgroups(7)).
fn places(line: &str, v2: &str, (controller, v1): (&str, &str)) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { return Vec::new() };
    let path = path.trim_start_matches('/');
    if controllers.is_empty() {
        return vec![root.join(path).join(v2), root.join("unified").join(path).join(v2)];
    }
    if !controllers.split(',').any(|name| name == controller) {
        return Vec::new();
    }
    vec![root.join(controllers).join(path).join(v1), root.join(controller).join(path).join(v1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_files_are_found_in_both_versions() {
        let of = |line| places(line, "memory.max", ("memory", "memory.limit_in_bytes"));
        let in_v2 = Path::new("/sys/fs/cgroup/a/b/memory.max");
        assert_eq!(of("0::/a/b")[0], in_v2);
        assert_eq!(of("0::/a/b")[1], Path::new("/sys/fs/cgroup/unified/a/b/memory.max"));
        assert_eq!(of("4:memory:/a")[0], Path::new("/sys/fs/cgroup/memory/a/memory.limit_in_bytes"));
        assert_eq!(of("5:pids:/a"), Vec::<PathBuf>::new());
        assert_eq!(field_of("CapInh:\t00\nCapEff:\t0f\n", "CapEff").as_deref(), Some("0f"));
    }
}
