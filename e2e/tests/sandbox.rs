//! Confinement of an instance, checked from inside and through the kernel.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::{Platform, leftovers};
use reqwest::StatusCode;

#[tokio::test]
async fn the_kernel_confirms_the_confinement() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--memory", "256"]).await?;
    let read = async |path: &str| {
        platform.get("web", &format!("/read?{path}")).await?.text().await.map_err(anyhow::Error::from)
    };
    let status = read("/proc/self/status").await?;
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("Pid:"), "1", "the image's process is pid 1");
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16)?;
    assert_eq!(bounding & (1 << 21), 0, "CAP_SYS_ADMIN is not in the bounding set");
    let mapping = read("/proc/self/uid_map").await?;
    let outside: Vec<u64> = mapping.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    assert!(outside.first() == Some(&0) && outside.get(1).is_some_and(|id| *id >= 65_536), "{mapping}");

    let cgroup = platform.cgroup_name();
    let processes = leftovers::processes(&cgroup);
    assert_eq!(processes.len(), 1, "one instance, one process");
    let host_status = std::fs::read_to_string(format!("/proc/{}/status", processes[0]))?;
    assert!(host_status.contains("NoNewPrivs:\t1"), "{host_status}");
    for namespace in ["pid", "mnt", "net", "ipc", "uts", "user", "cgroup"] {
        let inside = std::fs::read_link(format!("/proc/{}/ns/{namespace}", processes[0]))?;
        assert_ne!(inside, std::fs::read_link(format!("/proc/self/ns/{namespace}"))?, "{namespace} is shared");
    }
    let interfaces = read("/proc/net/dev").await?;
    assert_eq!(interfaces.lines().filter(|l| l.contains(':')).count(), 1, "only the loopback: {interfaces}");
    assert_eq!(platform.get("web", "/read?/proc/interrupts").await?.text().await?.len(), 0, "masked");
    let answer = platform.get("web", "/write?/proc/sys/kernel/core_pattern:0").await?;
    assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE, "the kernel's settings are read-only");
    platform.stop().await
}

#[tokio::test]
async fn the_writable_layer_and_tmp_are_bounded_and_fresh_in_each_instance() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_POOL__KEEP_IDLE_S", "1")]).await?;
    platform.push_hello().await?;
    platform.deploy("web", "hello:v1", &["--memory", "3072", "--timeout", "60"]).await?;
    let write = async |target: &str| anyhow::Ok(platform.get("web", &format!("/write?{target}")).await?.status());
    assert_eq!(write("/small:1").await?, StatusCode::OK);
    assert_eq!(write("/tmp/small:1").await?, StatusCode::OK);
    assert_eq!(write("/large:600").await?, StatusCode::INSUFFICIENT_STORAGE);
    assert_eq!(write("/tmp/large:600").await?, StatusCode::INSUFFICIENT_STORAGE);
    let cgroup = platform.cgroup_name();
    e2e::wait::until("the instance stops", || async { Ok(leftovers::processes(&cgroup).is_empty().then_some(())) })
        .await?;
    assert_eq!(platform.get("web", "/read?/small").await?.status(), StatusCode::NOT_FOUND);
    platform.stop().await
}
