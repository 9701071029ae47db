//! Checks of this machine's features, and the substitutes for missing ones.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::cgroup::{CONTROLLERS, Layout, Mode, V1_SOCKETS};
use crate::runtime::Runtime;

/// Oldest kernel with every feature: it introduced overlays over idmapped layers.
const KERNEL_MIN: (u32, u32) = (5, 19);
/// Capabilities without which no instance can be made, by number (linux/capability.h) and name.
const NEEDED_CAPABILITIES: &[(u32, &str)] = &[
    (0, "CHOWN"),        // file systems of instances belong to their ids
    (1, "DAC_OVERRIDE"), // cgroups, and folders of images' owners
    (3, "FOWNER"),       // modes of what belongs to instances
    (5, "KILL"),         // instances have ids of their own
    (6, "SETGID"),       // maps of user namespaces
    (7, "SETUID"),       // the same
    (12, "NET_ADMIN"),   // links and packet rules
    (18, "SYS_CHROOT"),  // entering a mount namespace
    (21, "SYS_ADMIN"),   // namespaces and mounts
    (27, "MKNOD"),       // devices of instances
];
/// Capabilities with a substitute, and what is lost without them.
const USED_CAPABILITIES: &[(u32, &str, &str)] =
    &[(10, "NET_BIND_SERVICE", "Functions start without their public network: its name server listens on port 53.")];

/// Open files that some hundred instances and their connections need.
const OPEN_FILES_MIN: u64 = 4096;
/// Memory for the platform and a few instances.
const MEMORY_MB_MIN: u64 = 512;

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// Available.
    Ok,
    /// Not available; a substitute is used.
    Degraded,
    /// Not available and required.
    Missing,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        })
    }
}

/// One checked feature.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Name of the feature.
    pub name: &'static str,
    /// Result.
    pub status: CheckStatus,
    /// Details of the result.
    pub found: String,
    /// The substitute, or what to do; empty when nothing is missing.
    pub remedy: String,
}

impl Check {
    /// Whether instances cannot run without it.
    pub fn is_missing(&self) -> bool {
        self.status == CheckStatus::Missing
    }

    fn new(name: &'static str, ok: bool, otherwise: CheckStatus, found: impl Into<String>, remedy: &str) -> Self {
        let (status, remedy) = if ok { (CheckStatus::Ok, String::new()) } else { (otherwise, remedy.to_owned()) };
        Self { name, status, found: found.into(), remedy }
    }
}

/// Checks everything that instances need. Changes nothing.
pub fn doctor() -> Vec<Check> {
    let mut checks = vec![kernel(), root(), capabilities()];
    checks.extend(namespaces());
    checks.push(file_systems());
    checks.extend(cgroups());
    checks.extend([
        seccomp(),
        starting(),
        network(),
        readiness(),
        freezing(),
        swap(),
        oom_score(),
        sockets(),
        open_files(),
        memory(),
    ]);
    checks.extend(Runtime::known().map(|(name, found)| other_runtime(name, found)));
    checks
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default().trim().to_owned()
}

fn kernel() -> Check {
    let release = read("/proc/sys/kernel/osrelease");
    let remedy = "Sampan needs Linux 5.19 or newer on x86_64.";
    let fits = version(&release) >= KERNEL_MIN && cfg!(target_arch = "x86_64");
    Check::new("kernel", fits, CheckStatus::Missing, release, remedy)
}

/// Major and minor of a release such as `6.1.0-18-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

fn root() -> Check {
    let uid = rustix::process::geteuid();
    Check::new("root", uid.is_root(), CheckStatus::Missing, format!("user id {}", uid.as_raw()), "Run it as root.")
}

fn capabilities() -> Check {
    judge_capabilities(effective_capabilities())
}

fn judge_capabilities(bits: u64) -> Check {
    let lacks = |number: &u32| bits & (1 << number) == 0;
    let needed: Vec<&str> = NEEDED_CAPABILITIES.iter().filter(|(n, _)| lacks(n)).map(|(_, name)| *name).collect();
    let used: Vec<_> = USED_CAPABILITIES.iter().filter(|(n, ..)| lacks(n)).collect();
    let lacking: Vec<&str> = needed.iter().copied().chain(used.iter().map(|(_, name, _)| *name)).collect();
    if lacking.is_empty() {
        return Check::new("capabilities", true, CheckStatus::Missing, "all that are needed", "");
    }
    let all: Vec<&str> = NEEDED_CAPABILITIES.iter().map(|(_, name)| *name).collect();
    let found = format!("lacks {}", lacking.join(", "));
    let (status, remedy) = match used.first() {
        Some((_, _, lost)) if needed.is_empty() => (CheckStatus::Degraded, (*lost).to_owned()),
        _ => {
            let remedy = format!("Run outside a container, in a privileged one, or in one with {}.", all.join(", "));
            (CheckStatus::Missing, remedy)
        }
    };
    Check::new("capabilities", false, status, found, &remedy)
}

fn effective_capabilities() -> u64 {
    let status = read("/proc/self/status");
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(bits.trim(), 16).unwrap_or_default()
}

fn namespaces() -> Vec<Check> {
    let lacking: Vec<&str> = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .into_iter()
        .filter(|kind| !Path::new("/proc/self/ns").join(kind).exists())
        .collect();
    let all = lacking.is_empty();
    let found = if all { "all kinds".to_owned() } else { format!("lacks {}", lacking.join(", ")) };
    let kinds =
        Check::new("namespaces", all, CheckStatus::Missing, found, "Use a kernel built with all kinds of namespaces.");
    let most = read("/proc/sys/user/max_user_namespaces");
    let allowed = most != "0";
    let remedy = "Allow them: sysctl -w user.max_user_namespaces=10000.";
    vec![kinds, Check::new("user namespaces", allowed, CheckStatus::Missing, format!("at most {most}"), remedy)]
}

fn file_systems() -> Check {
    let known = read("/proc/filesystems");
    let has = |name: &str| known.lines().any(|line| line.split_whitespace().last() == Some(name));
    // A module that is not loaded yet is not in the list; the first mount loads it.
    let loadable = || Path::new(&format!("/lib/modules/{}", read("/proc/sys/kernel/osrelease"))).exists();
    let (ok, found) = match (has("overlay"), has("tmpfs")) {
        (true, true) => (true, "overlay and tmpfs"),
        (false, true) if loadable() => (true, "tmpfs; overlay as a module"),
        _ => (false, "no overlay or no tmpfs"),
    };
    Check::new("file systems", ok, CheckStatus::Missing, found, "Load the module: modprobe overlay.")
}

fn cgroups() -> Vec<Check> {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => {
            let remedy = "Mount cgroup2 at /sys/fs/cgroup with the controllers memory, cpu and pids.";
            return vec![Check::new("cgroups", false, CheckStatus::Missing, error.to_string(), remedy)];
        }
    };
    let found = match layout.mode() {
        Mode::V2 => format!("version 2 with {}", CONTROLLERS.join(", ")),
        Mode::V1 => format!("version 1 with {}", CONTROLLERS.join(", ")),
        Mode::Hybrid => "controllers of version 1, starting in version 2".to_owned(),
    };
    let whole = layout.mode() != Mode::V1;
    let remedy = "Processes join after they are made and are killed one by one; mount cgroup2 to start inside it.";
    vec![Check::new("cgroups", whole, CheckStatus::Degraded, found, remedy)]
}

fn seccomp() -> Check {
    let actions = read("/proc/sys/kernel/seccomp/actions_avail");
    let ok = actions.contains("errno");
    let found = if actions.is_empty() { "no filters".to_owned() } else { actions };
    Check::new("seccomp", ok, CheckStatus::Missing, found, "Use a kernel built with CONFIG_SECCOMP_FILTER.")
}

/// The seccomp filter of an outer container may block calls that the kernel has.
fn starting() -> Check {
    let pidfd = sys::process::open(rustix::process::getpid().as_raw_nonzero().get()).is_ok();
    let lacking: Vec<&str> =
        [("clone3", sys::clone3_available()), ("pidfd_open", pidfd)].iter().filter(|c| !c.1).map(|c| c.0).collect();
    let found = if lacking.is_empty() { "clone3, pidfd_open".to_owned() } else { format!("no {}", lacking.join(", ")) };
    let remedy = "Allow these system calls: run outside a container, or in a privileged one.";
    Check::new("system calls", lacking.is_empty(), CheckStatus::Missing, found, remedy)
}

/// An eBPF program on the instances' version 2 directory reports listening servers.
fn readiness() -> Check {
    let unified = Layout::detect().is_ok_and(|layout| layout.v2.is_some());
    let (ok, found) = match sys::bpf::available() {
        Ok(()) if unified => (true, "told by the kernel (eBPF)".to_owned()),
        Ok(()) => (false, "looked for: cgroup2 is not mounted".to_owned()),
        Err(error) => (false, format!("looked for: the kernel takes no eBPF program ({error})")),
    };
    let remedy = "Cold starts take up to a millisecond longer: mount cgroup2, use Linux 5.15 or newer with \
                  CONFIG_CGROUP_BPF, and allow CAP_BPF and CAP_NET_ADMIN.";
    Check::new("readiness", ok, CheckStatus::Degraded, found, remedy)
}

/// Tested in a network namespace of its own.
fn network() -> Check {
    let (ok, found, remedy) = match network::probe() {
        Ok(obstacles) if obstacles.is_empty() => (true, "links and packet rules".to_owned(), String::new()),
        Ok(obstacles) => {
            let found = format!("what instances send may be dropped by {}", obstacles.join(", "));
            let remedy = "Let the links smp* pass there, such as by: iptables -I FORWARD -i smp+ -j ACCEPT; iptables -I \
                          FORWARD -o smp+ -j ACCEPT.";
            (false, found, remedy.to_owned())
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let remedy = format!("Functions start without their public network. {}", error.remedy());
            (false, format!("{error}{cause}"), remedy)
        }
    };
    Check::new("public network", ok, CheckStatus::Degraded, found, &remedy)
}

/// Version 1 of cgroups has a file for it; version 2 counts it unless a kernel parameter disables
/// that.
fn sockets() -> Check {
    let counted = match Layout::detect() {
        Ok(layout) => match layout.v1.get("memory") {
            Some(root) => {
                root.join(V1_SOCKETS).exists().then_some("bounded beside other memory, for all instances together too")
            }
            None => (!told_off("nosocket")).then_some("counted with other memory, by instance"),
        },
        Err(_) => None,
    };
    let remedy = "Instances can fill the kernel's memory for TCP (net.ipv4.tcp_mem): use a kernel that counts it, without \
                  cgroup.memory=nosocket, and cgroup version 2 or CONFIG_MEMCG_V1.";
    let found = counted.unwrap_or("not counted");
    Check::new("socket memory", counted.is_some(), CheckStatus::Degraded, found, remedy)
}

/// Whether the kernel was started with this value of `cgroup.memory`.
fn told_off(what: &str) -> bool {
    let line = read("/proc/cmdline");
    let mut values = line.split_whitespace().filter_map(|word| word.strip_prefix("cgroup.memory="));
    values.any(|values| values.split(',').any(|value| value == what))
}

fn freezing() -> Check {
    let (ok, found) = match Layout::detect() {
        Ok(layout) if layout.v2.is_some() => (true, "version 2"),
        Ok(layout) if layout.freezer.is_some() => (true, "version 1"),
        _ => (false, "neither version's freezer"),
    };
    let remedy = "Idle instances run on until they are stopped: mount cgroup2.";
    Check::new("freezing", ok, CheckStatus::Degraded, found, remedy)
}

/// Version 1 limits swap only where swap accounting is enabled.
fn swap() -> Check {
    let used = read("/proc/swaps").lines().count() > 1;
    let limited = Layout::detect().is_ok_and(|layout| match layout.v1.get("memory") {
        Some(root) => root.join("memory.memsw.limit_in_bytes").exists(),
        None => true,
    });
    let (ok, found) = match (used, limited) {
        (false, _) => (true, "none in use"),
        (true, true) => (true, "in use, not by instances"),
        (true, false) => (false, "in use, and not counted"),
    };
    let remedy = "Memory limits hold without swap only: boot with swapaccount=1, or switch it off (swapoff -a).";
    Check::new("swap", ok, CheckStatus::Degraded, found, remedy)
}

/// Lowering a process's raised score requires the privilege of the process that raised it.
fn oom_score() -> Check {
    const SYS_RESOURCE: u32 = 24;
    let own: i32 = read("/proc/self/oom_score_adj").parse().unwrap_or_default();
    let kept = effective_capabilities() & (1 << SYS_RESOURCE) != 0;
    let found = if kept {
        "instances end before other programs, and cannot change that".to_owned()
    } else {
        format!("instances end before other programs, but can lower their score to {own}")
    };
    let remedy = "When the machine runs out of memory, the kernel may end others first: allow CAP_SYS_RESOURCE.";
    Check::new("oom score", kept, CheckStatus::Degraded, found, remedy)
}

fn open_files() -> Check {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let enough = most.is_none_or(|most| most >= OPEN_FILES_MIN);
    let found = most.map_or("no limit".to_owned(), |most| format!("at most {most}"));
    let remedy = "Every instance takes about ten, and sampan up takes what it may: raise LimitNOFILE of the service, or ulimit -Hn.";
    Check::new("open files", enough, CheckStatus::Degraded, found, remedy)
}

/// Other runtimes are optional, so that none counts as missing.
fn other_runtime(name: &'static str, found: Option<Runtime>) -> Check {
    let found = match found {
        None => "not installed; only functions that ask for it need it".to_owned(),
        Some(runtime) => match runtime.version() {
            Some(version) => format!("{version}, {}", runtime.program().display()),
            None => return Check::new(name, false, CheckStatus::Degraded, "it does not run", "Install it again."),
        },
    };
    Check::new(name, true, CheckStatus::Degraded, found, "")
}

fn memory() -> Check {
    let text = read("/proc/meminfo");
    let kib =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok());
    let available_mb = kib.unwrap_or(0_u64) / 1024;
    let remedy = "Small functions take 128 MB each at their limit: free some memory.";
    let found = format!("{available_mb} MB available");
    Check::new("memory", available_mb >= MEMORY_MB_MIN, CheckStatus::Degraded, found, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert!(version("6.1.0-18-amd64") >= KERNEL_MIN);
        assert!(version("5.19.0") >= KERNEL_MIN);
        assert!(version("5.4.0-150-generic") < KERNEL_MIN);
        assert!(version("nonsense") < KERNEL_MIN);
    }

    #[test]
    fn capabilities_that_lack_are_named() {
        let without = |numbers: &[u32]| judge_capabilities(numbers.iter().fold(u64::MAX, |bits, n| bits & !(1 << n)));
        assert_eq!(without(&[2, 4, 8, 13, 24, 31, 39]).status, CheckStatus::Ok);
        let one = without(&[18]);
        assert!(
            one.is_missing() && one.found == "lacks SYS_CHROOT" && one.remedy.contains("CHOWN, DAC_OVERRIDE, FOWNER")
        );
        let lost = without(&[10]);
        assert!(lost.status == CheckStatus::Degraded && lost.remedy.contains("public network"), "{lost:?}");
        assert!(without(&[10, 0]).is_missing());
    }

    #[test]
    fn every_check_that_is_not_well_says_what_to_do() {
        for check in doctor() {
            assert_eq!(check.remedy.is_empty(), check.status == CheckStatus::Ok, "{check:?}");
        }
    }
}
