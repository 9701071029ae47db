//! Limits as seen by a function and its language runtime, and the reported memory.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use anyhow::Context;
use e2e::layer_tar::LayerTar;
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::{Folder, Platform, TestRegistry, debian, images, kernel, leftovers, tools};

const MB: u64 = 1 << 20;
/// Files with the memory limit, in cgroup version 2 and version 1.
const MEMORY_LIMIT: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
/// Allocates repeatedly, with 60 MB in use at a time.
const CHURN: &str = "\
import java.util.ArrayDeque;
public class Churn {
    public static void main(String[] args) {
        ArrayDeque<byte[]> live = new ArrayDeque<>();
        for (int i = 0; i < 3000; i++) {
            live.add(new byte[1000000]);
            if (live.size() > 60) live.poll();
        }
        System.out.println(\"done\");
    }
}
";

/// The file of the memory limit on this machine.
fn memory_limit() -> &'static str {
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|c| c.contains("memory"));
    MEMORY_LIMIT[usize::from(!unified)]
}

#[tokio::test]
async fn a_function_reads_its_memory_limit_and_cannot_change_it() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", "[runc,crun]")]).await?;
    platform.push_hello().await?;
    for runtime in ["sampan", "runc", "crun"] {
        let flags: &[&str] = if runtime == "sampan" { &[] } else { &["--runtime", runtime] };
        platform.deploy(runtime, "hello:v1", &[&["--memory", "128"], flags].concat()).await?;
        let read = async |file: &str| Ok::<_, anyhow::Error>(platform.get(runtime, &format!("/read?{file}")).await?);
        let answer = read(memory_limit()).await?;
        assert_eq!(answer.text().await?.trim(), (128 * MB).to_string(), "{runtime}");
        let groups = read("/proc/self/cgroup").await?.text().await?;
        assert!(groups.lines().all(|line| line.ends_with(":/")), "{runtime}: {groups}");
        let written = platform.get(runtime, &format!("/write?{}:1", memory_limit())).await?;
        assert_eq!(written.status(), 507, "{runtime}: {}", written.text().await?);
        let limit = read(memory_limit()).await?.text().await?;
        assert_eq!(limit.trim(), (128 * MB).to_string(), "{runtime}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_jvm_and_node_size_their_heaps_by_the_functions_memory() -> anyhow::Result<()> {
    let base = debian::languages().await?;
    let mut app = LayerTar::new();
    app.file("srv/app.py", 0o644, &std::fs::read(tools::workspace().join("e2e/clients/shell_app.py"))?)?;
    app.file("srv/Churn.java", 0o644, CHURN.as_bytes())?;
    let layers = Layer::stack(&[base.to_vec(), app.finish()?], &[Compression::Zstd])?;
    let image = Image::new(Format::Oci, oci::config(&["python3", "/srv/app.py"]), &layers);
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("languages", &image);
    platform.deploy("languages", &reference, &["--memory", "512", "--timeout", "120"]).await?;
    let shell = async |command: &'static str| {
        let answer = platform.http.post(platform.url("languages", "/")).body(command).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status == 200, "{command}: {status} {text}");
        Ok(text.trim().to_owned())
    };
    // HotSpot's default: a quarter of the memory.
    let heap = shell("java -XX:+PrintFlagsFinal -version 2>/dev/null | awk '$2 == \"MaxHeapSize\" {print $4}'").await?;
    assert_eq!(heap, (128 * MB).to_string());
    let heap = shell("node -p 'require(\"v8\").getHeapStatistics().heap_size_limit'").await?;
    let heap: u64 = heap.parse().with_context(|| heap.clone())?;
    assert!(heap < 512 * MB, "{heap}");
    assert_eq!(shell("java /srv/Churn.java").await?, "done");
    platform.stop().await
}

/// Reported memory in bytes of an instance that allocates 20 MB and reads the large file, and the
/// kernel's charge to the only instance of `function`.
async fn walked(platform: &Platform, function: &str) -> anyhow::Result<(u64, u64)> {
    let before = leftovers::processes(&platform.cgroup_name());
    let held = platform.get(function, "/alloc?20").await?;
    anyhow::ensure!(held.status() == 200, "{}", held.text().await?);
    let answer = platform.get(function, "/walk?/data").await?;
    let request = answer.headers().get("x-scf-request-id").and_then(|id| id.to_str().ok()).context("an id")?.to_owned();
    anyhow::ensure!(answer.text().await?.contains("large"), "the file was not read");
    let pid = leftovers::processes(&platform.cgroup_name()).into_iter().find(|pid| !before.contains(pid));
    let charged =
        kernel::cgroup_file(pid.context("an instance")?, "memory.peak", ("memory", "memory.max_usage_in_bytes"))?;
    let record = platform.api.log_of(function, &request).await?;
    Ok((record["MemUsage"].as_u64().with_context(|| record.to_string())?, charged.trim().parse()?))
}

#[tokio::test]
async fn reported_memory_does_not_depend_on_who_reads_the_image_first() -> anyhow::Result<()> {
    const LARGE_MB: u64 = 48;
    let platform = Platform::start().await?;
    let folder: Folder = images::hello_folder()?;
    folder.write("data/large", &vec![7; (LARGE_MB * MB) as usize])?;
    platform.push_folder(folder.path(), &["/hello"], "large:v1").await?;
    for function in ["first", "second"] {
        platform.deploy(function, "large:v1", &["--memory", "256", "--timeout", "60", "--no-start-check"]).await?;
    }
    let (cold, charged) = walked(&platform, "first").await?;
    let (warm, charged_warm) = walked(&platform, "second").await?;
    assert!(charged > charged_warm + LARGE_MB * MB / 2, "{charged} {charged_warm}: nothing was read anew");
    assert!(cold.abs_diff(warm) * 20 < warm, "{cold} {warm}");
    assert!((19 * MB..LARGE_MB * MB / 2).contains(&warm), "{warm}");
    platform.stop().await
}

#[tokio::test]
async fn peak_memory_is_reported_and_is_the_limit_after_an_oom_kill() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("event", "hello:v1", &["--type", "event", "--memory", "256"]).await?;
    let used = async |route: &str| {
        let result = platform.api.invoke("event", &serde_json::json!({"route": route})).await?;
        let bytes = result["MemUsage"].as_u64().with_context(|| result.to_string())?;
        Ok::<_, anyhow::Error>((bytes, result["RetMsg"].as_str().unwrap_or_default().to_owned()))
    };
    let (idle, _) = used("sleep?1").await?;
    assert!(idle < 16 * MB, "{idle}");
    // Freed before the sample was taken.
    let (held, _) = used("alloc?100").await?;
    assert!((99 * MB..116 * MB).contains(&held), "{held}");
    let (ended, message) = used("alloc?400").await?;
    assert!(ended >= 256 * MB && message.contains("it had 256.00 MB"), "{ended} {message}");
    platform.stop().await
}
