//! Attacks of a hostile image on the isolation of its instance, verified by its own report and by
//! the kernel. `docs/SECURITY.md` names these tests and has the same lists.
#![allow(missing_docs)] // A test binary has no readers of its interface.

#[allow(dead_code)] // Other tests use the rest.
#[path = "egress/machine.rs"]
mod machine;
#[path = "isolation/mounts.rs"]
mod mounts;
#[path = "isolation/written.rs"]
mod written;

use std::collections::BTreeSet;

use anyhow::Context;
use e2e::{Platform, hostile, kernel, leftovers, tools, wait};

/// Error numbers (errno(3)).
const NOT_PERMITTED: &str = "1";
const NO_SUCH_PROCESS: &str = "3";
const READ_ONLY: &str = "30";
const UNREACHABLE: &str = "101";
const RESET: &str = "104";
const REFUSED: &str = "111";
/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE.
const CAPABILITIES: &str = "00000000000005fb";
const NO_CAPABILITIES: &str = "0000000000000000";

/// System calls with a result other than "not permitted": successful ones, and those whose error
/// makes libraries fall back.
const OTHER_OUTCOMES: &[(&str, &[&str])] = &[
    (
        "0",
        &[
            "socket-unix",
            "socket-internet",
            "socket-internet-6",
            "socket-netlink-route",
            "personality-asking",
            "mknod-fifo",
            "memfd_create",
            "getpid",
        ],
    ),
    // EACCES.
    ("13", &["nice"]),
    // EINVAL: an id outside the mapping; no namespace; no filters, as without kernel support.
    ("22", &["setuid-beyond", "setns-user", "seccomp-filter", "prctl-filter"]),
    // ENOSYS.
    ("38", &["clone3", "io_uring_setup", "io_setup", "io_submit", "x32-getpid", "unknown"]),
    // ENOPROTOOPT.
    ("92", &["setsockopt-filter"]),
    // EAFNOSUPPORT.
    (
        "97",
        &[
            "socket-netlink-netfilter",
            "socket-netlink-xfrm",
            "socket-netlink-generic",
            "socket-netlink-audit",
            "socket-netlink-crypto",
            "socket-netlink-uevent",
            "socket-packet",
            "socket-key",
            "socket-vsock",
            "socket-cipher",
            "socket-bluetooth",
            "socket-can",
            "socket-tipc",
            "socket-rds",
            "socket-xdp",
            "socketpair-packet",
        ],
    ),
];

#[test]
fn a_name_that_resolves_to_what_is_denied_opens_nothing() -> anyhow::Result<()> {
    use machine::{MACHINE, METADATA, NAMED, OUTSIDE, WHO_PORT};
    machine::on_machine(async |_outside| {
        machine::settled().await?;
        let dns = format!("[\"{OUTSIDE}\"]");
        let env = [("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_NETWORK__DNS", dns.as_str())];
        let platform = Platform::start_with(&env).await?;
        hostile::push(&platform).await?;
        // The attacker controls the names on its list.
        let settings = ["--timeout", "30", "--egress", "*.attacker.example"];
        platform.deploy("attacker", "hostile:v1", &settings).await?;
        let attack = async |path: String| hostile::attack(&platform, "attacker", &path).await;
        for (name, address) in [("machine", MACHINE), ("metadata", METADATA), ("loopback", "127.0.0.1")] {
            assert_eq!(attack(format!("/resolve?{name}.attacker.example")).await?, address);
            let answer = attack(format!("/ask?{address}:{WHO_PORT}")).await?;
            assert_eq!(answer, format!("error {REFUSED}"), "{name}");
        }
        // An outside address under the attacker's name is allowed.
        assert_eq!(attack("/resolve?www.attacker.example".to_owned()).await?, NAMED.to_string());
        assert_eq!(attack(format!("/ask?{NAMED}:{WHO_PORT}")).await?, MACHINE);
        platform.stop().await
    })
}

#[test]
fn what_others_may_reach_of_the_machine_is_closed_to_an_attacker() -> anyhow::Result<()> {
    use machine::WHO_PORT;
    machine::on_machine(async |_outside| {
        machine::settled().await?;
        // A server of the machine, whose port only `database` declares.
        let ports = format!("[{WHO_PORT}]");
        let env = [("SAMPAN_NETWORK__ENABLED", "true"), ("SAMPAN_NETWORK__HOST_PORTS", ports.as_str())];
        let platform = Platform::start_with(&env).await?;
        hostile::push(&platform).await?;
        let settings = ["--timeout", "30", "--no-start-check"];
        let port = WHO_PORT.to_string();
        platform.deploy("database", "hostile:v1", &[&settings[..], &["--host-port", &port]].concat()).await?;
        platform.deploy("attacker", "hostile:v1", &settings).await?;
        let ask = async |function, port: &str, path: &str, name: &str| {
            hostile::attack(&platform, function, &format!("/http?{name}.sampan.internal:{port}{path}")).await
        };
        for (function, name, want) in [
            ("database", "host", "127.0.0.1"),
            ("database", "gateway", "error 104"),
            ("attacker", "host", "error 104"),
            ("attacker", "gateway", "error 104"),
        ] {
            let said = hostile::attack(&platform, function, &format!("/ask?{name}.sampan.internal:{port}")).await?;
            assert_eq!(said, want, "{function} {name}");
        }

        // The control address is unreachable by its port and through the gateway.
        let (_, control) = platform.control.rsplit_once(':').context("a port")?;
        for name in ["host", "gateway"] {
            assert_eq!(ask("attacker", control, "/healthz", name).await?, format!("error {RESET}"), "{name}");
        }
        for path in ["/healthz", "/metrics", "/v2/", &format!("/healthz@127.0.0.1:{control}")] {
            let answer = ask("attacker", "80", path, "gateway").await?;
            assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        }
        // A call that needs a signature from outside also needs one from an instance.
        let desc = r#"{"AuthType":"CAM"}"#;
        let create = ["trigger", "create", "database", "url", "--type", "http", "--desc", desc];
        tools::run_ok(&mut platform.cli(&create)).await?;
        let outside = platform.get("database", "/").await?.status().as_u16();
        let inside = ask("attacker", "80", "/fn/default/database/", "gateway").await?;
        assert_eq!(outside, 401);
        assert!(inside.starts_with("HTTP/1.1 401"), "{inside}");
        platform.stop().await
    })
}

/// A platform with a running instance of the hostile image, and its process.
async fn attacker(env: &[(&str, &str)]) -> anyhow::Result<(Platform, u32)> {
    // Without the freezer, because the instance is inspected while idle.
    let platform = Platform::start_with(&[env, &[("SAMPAN_POOL__FREEZE_AFTER_MS", "0")]].concat()).await?;
    hostile::push(&platform).await?;
    let settings = ["--memory", "512", "--timeout", "60", "--no-start-check", "--env", "NVIDIA_VISIBLE_DEVICES=all"];
    platform.deploy("attacker", "hostile:v1", &settings).await?;
    let pid = start(&platform, "attacker").await?;
    Ok((platform, pid))
}

/// Starts a function's first instance, and returns its first process.
async fn start(platform: &Platform, function: &str) -> anyhow::Result<u32> {
    let cgroup = platform.cgroup_name();
    let before = leftovers::processes(&cgroup);
    hostile::attack(platform, function, "/").await?;
    let mut now = leftovers::processes(&cgroup).into_iter().filter(|pid| !before.contains(pid));
    now.next().with_context(|| format!("no instance of {function} was started"))
}

#[tokio::test]
async fn system_calls_that_escape_are_refused() -> anyhow::Result<()> {
    let (platform, _) = attacker(&[]).await?;
    let calls = hostile::calls(&platform, "attacker").await?;
    let named =
        |call: &str| OTHER_OUTCOMES.iter().find(|(_, calls)| calls.contains(&call)).map(|(outcome, _)| *outcome);
    let wrong: Vec<_> =
        calls.iter().filter(|(call, outcome)| *outcome != named(call).unwrap_or(NOT_PERMITTED)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let unknown: Vec<_> =
        OTHER_OUTCOMES.iter().flat_map(|(_, calls)| *calls).filter(|c| !calls.contains_key(**c)).collect();
    assert!(unknown.is_empty() && calls.len() > 90, "not attempted: {unknown:?} of {}", calls.len());
    platform.stop().await
}

#[tokio::test]
async fn the_kernel_reports_the_confinement() -> anyhow::Result<()> {
    let (platform, pid) = attacker(&[]).await?;
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(kernel::status(pid, set)?, CAPABILITIES, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(kernel::status(pid, set)?, NO_CAPABILITIES, "{set}");
    }
    // One filter in mode 2, and set-user-ID programs have no effect.
    for (field, value) in [("Seccomp", "2"), ("Seccomp_filters", "1"), ("NoNewPrivs", "1"), ("Groups", "")] {
        assert_eq!(kernel::status(pid, field)?, value, "{field}");
    }
    for namespace in ["pid", "mnt", "net", "ipc", "uts", "user", "cgroup"] {
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{namespace}"));
        assert_ne!(of(&pid.to_string())?, of("self")?, "the {namespace} namespace is the machine's");
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().nth(1));
    // At 1 the kernel also pipes no core dump to a program (core(5)), at 0 it does.
    assert_eq!((limit("Max open files"), limit("Max core file size")), (Some("1024"), Some("1")), "{limits}");
    let files =
        [("memory.max", ("memory", "memory.limit_in_bytes"), "536870912"), ("pids.max", ("pids", "pids.max"), "1024")];
    for (v2, v1, value) in files {
        assert_eq!(kernel::cgroup_file(pid, v2, v1)?, value, "{v2}");
    }
    // 512 of 1,792 MB of a core, per 100 ms period; during the start it had a whole core.
    let settled = async || {
        let quota = kernel::cgroup_file(pid, "cpu.max", ("cpu", "cpu.cfs_quota_us"))?;
        Ok((quota.split(' ').next() == Some("28571")).then_some(()))
    };
    wait::until("the processor quota is the function's", settled).await?;
    platform.stop().await
}

#[tokio::test]
async fn instances_have_disjoint_unused_id_ranges() -> anyhow::Result<()> {
    let (platform, attacker) = attacker(&[]).await?;
    platform.deploy("other", "hostile:v1", &["--no-start-check"]).await?;
    let other = start(&platform, "other").await?;
    for file in ["uid_map", "gid_map"] {
        let (first, count) = kernel::ids(attacker, file)?;
        let (others_first, others_count) = kernel::ids(other, file)?;
        assert!(first >= 65_536 && others_first >= 65_536, "{file}: ids of the machine's own users");
        assert_eq!((count, others_count), (65_536, 65_536));
        assert!(first + count <= others_first || others_first + others_count <= first, "{file}: shared ids");
        assert_eq!(kernel::status(attacker, "Uid")?.split('\t').next(), Some(first.to_string().as_str()));
    }
    let user = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/user"));
    assert_ne!(user(attacker)?, user(other)?);
    platform.stop().await
}

#[tokio::test]
async fn the_kernels_files_are_masked_or_read_only() -> anyhow::Result<()> {
    let (platform, _) = attacker(&[]).await?;
    let attack = async |path: &str| hostile::attack(&platform, "attacker", path).await;
    // Masked files are the null device: writes succeed and are discarded.
    let masked: BTreeSet<&str> =
        ["keys", "kallsyms", "kcore", "interrupts", "timer_list", "timer_stats", "sched_debug", "latency_stats"].into();
    let writable = attack("/writable?/proc").await?;
    let writable: Vec<_> = writable.lines().filter_map(|path| path.strip_prefix("/proc/")).collect();
    assert!(writable.iter().all(|name| masked.contains(name)), "{writable:?}");
    for name in &masked {
        let content = attack(&format!("/read?/proc/{name}")).await?;
        assert!(content.is_empty() || content == "error 2", "/proc/{name}: {content}");
    }
    assert_eq!(attack("/writable?/sys").await?, "");
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/uevent_seqnum",
        "/proc/sys/kernel/hostname",
    ] {
        let error = attack(&format!("/open?{path}")).await?;
        // Read-only, denied, or absent.
        assert!([READ_ONLY, "13", "2"].contains(&error.as_str()), "{path}: {error}");
    }
    for dir in ["/sys/firmware", "/sys/kernel/debug", "/sys/kernel/tracing", "/proc/acpi", "/proc/pressure"] {
        assert_eq!(attack(&format!("/list?{dir}")).await?, "", "{dir}");
    }
    for path in ["/proc/kmsg", "/proc/kpageflags", "/proc/1/mem", "/proc/vmallocinfo", "/proc/slabinfo"] {
        let content = attack(&format!("/read?{path}")).await?;
        assert!(content.starts_with("error "), "{path}: {content}");
    }
    platform.stop().await
}

#[tokio::test]
async fn nothing_of_the_machines_file_systems_is_inside() -> anyhow::Result<()> {
    let (platform, pid) = attacker(&[]).await?;
    let inside = hostile::attack(&platform, "attacker", "/read?/proc/self/mountinfo").await?;
    let outside = std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    for table in [&inside, &outside] {
        assert!(!table.contains(&platform.work_dir().display().to_string()), "{table}");
        for line in table.lines() {
            // Fields of proc_pid_mountinfo(5); the optional ones, which show mount propagation, are
            // absent.
            let fields: Vec<_> = line.split(' ').collect();
            let (target, options, kind) = (fields[4], fields[5], fields[7]);
            assert_eq!(fields[6], "-", "a mount that is shared with others: {line}");
            let cgroups =
                kind.starts_with("cgroup") && target.starts_with("/sys/fs/cgroup") && options.starts_with("ro,");
            assert!(cgroups || ["overlay", "proc", "tmpfs", "devpts", "sysfs"].contains(&kind), "{line}");
            // Devices are in /dev only; masks are the null device.
            let devices = target.starts_with("/dev") || fields[3] == "/null";
            assert!(options.contains("nodev") || devices, "{line}");
            assert!(options.contains("nosuid") || target == "/", "{line}");
        }
        let sys = table.lines().find(|line| line.contains(" /sys ")).context("there is a /sys")?;
        assert!(sys.contains(" ro,"), "{sys}");
    }
    // Only its own cgroups: each mount's root is the instance's cgroup, without directories below.
    for line in inside.lines().filter(|line| line.contains(" - cgroup")) {
        let fields: Vec<_> = line.split(' ').collect();
        assert_eq!(fields[3], "/", "{line}");
        let below = hostile::attack(&platform, "attacker", &format!("/list?{}", fields[4])).await?;
        assert!(below.lines().all(|name| name.starts_with(|c: char| c.is_ascii_lowercase())), "{below}");
        assert!(!below.contains(&platform.cgroup_name()), "{below}");
    }
    // The variable with which other runtimes add devices has no effect.
    let variables = hostile::attack(&platform, "attacker", "/read?/proc/self/environ").await?;
    assert!(variables.contains("NVIDIA_VISIBLE_DEVICES=all"), "the attack works");
    let devices = hostile::attack(&platform, "attacker", "/list?/dev").await?;
    let devices: BTreeSet<&str> = devices.lines().collect();
    let wanted =
        ["null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"];
    assert_eq!(devices, wanted.into());
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let seen = hostile::attack(&platform, "attacker", "/read?/etc/machine-id").await?;
    assert!(seen.starts_with("error ") || seen != machine, "{seen}");
    platform.stop().await
}

#[tokio::test]
async fn other_processes_can_neither_be_seen_nor_signalled() -> anyhow::Result<()> {
    let (platform, _) = attacker(&[]).await?;
    platform.deploy("other", "hostile:v1", &["--no-start-check"]).await?;
    let other = start(&platform, "other").await?;
    assert_eq!(hostile::attack(&platform, "attacker", "/processes").await?, "1\n");
    for pid in [std::process::id(), platform.pid()?, other] {
        assert_eq!(hostile::attack(&platform, "attacker", &format!("/signal?{pid}")).await?, NO_SUCH_PROCESS, "{pid}");
    }
    let parent = hostile::attack(&platform, "attacker", "/read?/proc/self/status").await?;
    assert_eq!(kernel::field_of(&parent, "PPid").as_deref(), Some("0"), "it sees its parent");
    // Death by a signal leaves no core dump on the machine.
    assert_eq!(hostile::attack(&platform, "attacker", "/abort").await?, "signal 6 core false");
    platform.stop().await
}

#[tokio::test]
async fn without_egress_an_instance_reaches_only_itself() -> anyhow::Result<()> {
    // The gateway listens on every address of the machine.
    let platform = Platform::start_at(&[], "127.0.0.1:0", "0.0.0.0:0").await?;
    hostile::push(&platform).await?;
    platform.deploy("attacker", "hostile:v1", &["--no-start-check"]).await?;
    let port = |url: &str| url.rsplit(':').next().unwrap_or_default().to_owned();
    let (control, gateway) = (port(&platform.control), port(&platform.gateway));
    let connect = async |to: String| hostile::attack(&platform, "attacker", &format!("/connect?{to}")).await;
    for port in [&control, &gateway] {
        // The instance's own loopback, without a listener.
        assert_eq!(connect(format!("127.0.0.1:{port}")).await?, REFUSED, "port {port}");
    }
    let mut addresses = machine_addresses()?;
    addresses.extend(["169.254.169.254", "1.1.1.1"].map(str::to_owned));
    for address in addresses {
        for port in [&control, &gateway] {
            assert_eq!(connect(format!("{address}:{port}")).await?, UNREACHABLE, "{address}:{port}");
        }
    }
    // The instance reaches itself: the attack works, and the refusals above are real.
    assert_eq!(connect("127.0.0.1:9000".to_owned()).await?, "0");
    let links = hostile::attack(&platform, "attacker", "/read?/proc/net/dev").await?;
    assert_eq!(links.lines().filter(|line| line.contains(':')).count(), 1, "more than a loopback: {links}");
    platform.stop().await
}

/// Non-loopback IPv4 addresses of the machine, from the kernel's routing table (proc_net(5)).
fn machine_addresses() -> anyhow::Result<Vec<String>> {
    let table = std::fs::read_to_string("/proc/net/fib_trie")?;
    let lines: Vec<_> = table.lines().collect();
    let local = lines.windows(2).filter(|pair| pair[1].contains("/32 host LOCAL"));
    let addresses: BTreeSet<_> =
        local.filter_map(|pair| Some(pair[0].trim().strip_prefix("|-- ")?.to_owned())).collect();
    Ok(addresses.into_iter().filter(|address| !address.starts_with("127.")).collect())
}

#[tokio::test]
async fn a_non_root_user_has_no_capabilities_and_cannot_gain_any() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_POOL__FREEZE_AFTER_MS", "0")]).await?;
    hostile::push_as(&platform, "1000:1000").await?;
    platform.deploy("user", "hostile:v1", &["--no-start-check"]).await?;
    let pid = start(&platform, "user").await?;
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(kernel::status(pid, set)?, NO_CAPABILITIES, "{set}");
    }
    let (first, _) = kernel::ids(pid, "uid_map")?;
    assert_eq!(kernel::status(pid, "Uid")?.split('\t').next(), Some((first + 1000).to_string().as_str()));
    assert_eq!(hostile::attack(&platform, "user", "/open?/etc/image").await?, "13", "files of its root are read-only");
    let calls = hostile::calls(&platform, "user").await?;
    for call in ["unshare-user", "clone-user", "mknod-disk", "socket-internet-raw", "chroot"] {
        assert_eq!(calls[call], NOT_PERMITTED, "{call}");
    }
    platform.stop().await
}

#[tokio::test]
async fn secrets_of_other_functions_and_namespaces_cannot_be_read() -> anyhow::Result<()> {
    let (platform, _) = attacker(&[("SAMPAN_POOL__FREEZE_AFTER_MS", "0")]).await?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "of-the-owner-alone")?;
    let path = file.path().display().to_string();
    platform.cli_json(&["secret", "set", "db", "--file", &path]).await?;
    let secrets = ["--no-start-check", "--secret", "V=db", "--secret", "db"];
    platform.deploy("owner", "hostile:v1", &secrets).await?;
    // The secret exists, and cannot be changed.
    assert_eq!(hostile::attack(&platform, "owner", "/read?/run/secrets/db").await?, "of-the-owner-alone");
    assert_eq!(hostile::attack(&platform, "owner", "/open?/run/secrets/db").await?, READ_ONLY);
    let environment = hostile::attack(&platform, "owner", "/read?/proc/self/environ").await?;
    assert!(environment.contains("V=of-the-owner-alone"), "the attack works");
    assert_eq!(hostile::attack(&platform, "attacker", "/list?/run/secrets").await?, "");
    assert_eq!(hostile::attack(&platform, "attacker", "/read?/run/secrets/db").await?, "error 2");
    for file in ["/proc/self/environ", "/proc/1/environ", "/proc/self/mountinfo", "/proc/1/cmdline"] {
        let read = hostile::attack(&platform, "attacker", &format!("/read?{file}")).await?;
        assert!(!read.contains("of-the-owner") && !read.contains("/run/secrets"), "{file}: {read}");
    }
    // A secret belongs to its namespace: no other namespace can refer to it.
    platform.api.call("CreateNamespace", serde_json::json!({"Namespace": "other"})).await?;
    for secret in ["V=db", "db"] {
        let flags = ["--namespace", "other", "--no-start-check", "--secret", secret];
        let refused = platform.deploy("thief", "hostile:v1", &flags).await.expect_err("it is another's");
        assert!(format!("{refused:#}").contains("no secret db in namespace other"), "{refused:#}");
    }
    platform.stop().await
}
