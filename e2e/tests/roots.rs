//! Root file systems of published images as their programs see them: users and homes, links in
//! `/etc`, volumes, entries in `/tmp`, files at the platform's mount points.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::{Platform, tools};
use serde_json::{Value, json};

const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n";

/// Pushes the static server under a layer of these entries, and deploys it under this name.
async fn deploy(
    platform: &Platform,
    name: &str,
    config: Value,
    fill: impl FnOnce(&mut LayerTar) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut tar = LayerTar::new();
    fill(&mut tar)?;
    let layers = Layer::stack(&[layer_tar::hello()?, tar.finish()?], &[Compression::Gzip])?;
    let mut whole = oci::config(&["/hello"]);
    for (key, value) in config.as_object().into_iter().flatten() {
        whole["config"][key] = value.clone();
    }
    let layout = tempfile::tempdir_in(platform.work_dir())?;
    Image::new(Format::Oci, whole, &layers).write_layout(layout.path(), "v1")?;
    let image = format!("{name}:v1");
    tools::run_ok(&mut platform.cli(&["push", &layout.path().display().to_string(), &image])).await?;
    platform.deploy(name, &image, &["--memory", "128"]).await.map(drop)
}

async fn get(platform: &Platform, name: &str, path: &str) -> anyhow::Result<String> {
    let answer = platform.get(name, path).await?;
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{name}{path} answers {status}: {text}");
    Ok(text)
}

#[tokio::test]
async fn home_and_hostname_are_set() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (name, user, env, home) in [
        ("node", "node", json!([]), "/home/node"),
        ("number", "1000:1000", json!([]), "/home/node"),
        ("unlisted", "4242", json!([]), "/"),
        ("root", "", json!([]), "/root"),
        ("own", "node", json!(["HOME=/srv"]), "/srv"),
    ] {
        let passwd = |tar: &mut LayerTar| tar.file("etc/passwd", 0o644, PASSWD).map(drop);
        deploy(&platform, name, json!({"User": user, "Env": env}), passwd).await?;
        assert_eq!(get(&platform, name, "/env?HOME").await?, home, "{name}");
        let hostname = get(&platform, name, "/env?HOSTNAME").await?;
        assert!(!hostname.is_empty());
        assert_eq!(get(&platform, name, "/read?/proc/sys/kernel/hostname").await?.trim_end(), hostname);
    }
    platform.deploy("function", "node:v1", &["--env", "HOME=/mine", "--env", "HOSTNAME=me"]).await?;
    assert_eq!(get(&platform, "function", "/env?HOME").await?, "/mine");
    assert_eq!(get(&platform, "function", "/env?HOSTNAME").await?, "me");
    platform.stop().await
}

#[tokio::test]
async fn symbolic_links_in_etc_work() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (name, hosts, resolv_conf) in [
        ("systemd", "/run/hosts", "../run/systemd/resolve/stub-resolv.conf"),
        ("openwrt", "/tmp/hosts", "/tmp/resolv.conf"),
        ("outside", "../../../../../../../etc/passwd", "/proc/sys/kernel/core_pattern"),
        ("circle", "hosts", "/etc/resolv.conf"),
    ] {
        deploy(&platform, name, json!({}), |tar| {
            tar.directory("etc")?.symlink("etc/hosts", hosts)?.symlink("etc/resolv.conf", resolv_conf).map(drop)
        })
        .await?;
        let hosts = get(&platform, name, "/read?/etc/hosts").await?;
        assert!(hosts.contains("127.0.0.1\tlocalhost"), "{name}: {hosts}");
        // Tests run without egress, as the file states.
        let resolv_conf = get(&platform, name, "/read?/etc/resolv.conf").await?;
        assert!(resolv_conf.contains("options"), "{name}: {resolv_conf}");
    }
    let followed = get(&platform, "systemd", "/read?/run/systemd/resolve/stub-resolv.conf").await?;
    assert!(followed.contains("options"), "{followed}");
    platform.stop().await
}

#[tokio::test]
async fn volumes_are_writable_for_the_images_user() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for (name, user) in [("root", ""), ("app", "1000:1000")] {
        let volumes = json!({"User": user, "Volumes": {"/data": {}, "/var/lib/app": {}, "/there": {}}});
        deploy(&platform, name, volumes, |tar| {
            tar.directory_of("there", 0o755, (1000, 1000))?.file("there/of-the-image", 0o644, b"kept").map(drop)
        })
        .await?;
        for volume in ["/data", "/var/lib/app", "/there"] {
            get(&platform, name, &format!("/write?{volume}/new")).await?;
        }
        assert_eq!(get(&platform, name, "/read?/there/of-the-image").await?, "kept");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_tmp_with_entries_is_not_covered() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    deploy(&platform, "model", json!({"User": "1000"}), |tar| {
        tar.file("tmp/model/weights", 0o644, b"of the image").map(drop)
    })
    .await?;
    assert_eq!(get(&platform, "model", "/read?/tmp/model/weights").await?, "of the image");
    get(&platform, "model", "/write?/tmp/new").await?;
    platform.stop().await
}

#[tokio::test]
async fn a_tmp_linked_to_shared_memory_is_writable() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    deploy(&platform, "shm", json!({"User": "1000"}), |tar| tar.symlink("tmp", "/dev/shm").map(drop)).await?;
    get(&platform, "shm", "/write?/tmp/new").await?;
    get(&platform, "shm", "/read?/dev/shm/new").await?;
    platform.stop().await
}

#[tokio::test]
async fn an_entry_that_blocks_a_mount_point_is_named() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    for name in ["tmp", "proc", "sys", "dev"] {
        let deployed = deploy(&platform, name, json!({}), |tar| tar.file(name, 0o644, b"a file").map(drop)).await;
        let text = format!("{:#}", deployed.expect_err("it cannot start"));
        assert!(text.contains("ContainerInitError") && text.contains(&format!("has a file at /{name}")), "{text}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_program_with_a_file_capability_runs_without_it() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    // CAP_NET_RAW, permitted and effective (linux/capability.h, revision 2).
    let capability: Vec<u8> = [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    for (name, user, kept) in [("root", "", "00000000000005fb"), ("app", "1000", "0000000000000000")] {
        deploy(&platform, name, json!({"User": user, "Entrypoint": ["/ping"]}), |tar| {
            tar.file_with("ping", &std::fs::read(tools::hello())?, ("security.capability", &capability)).map(drop)
        })
        .await?;
        let status = get(&platform, name, "/read?/proc/self/status").await?;
        assert!(status.contains(&format!("CapEff:\t{kept}")), "{status}");
    }
    platform.stop().await
}

#[tokio::test]
async fn a_user_above_the_mapped_range_keeps_its_number() -> anyhow::Result<()> {
    let platform = Platform::start_with(&[("SAMPAN_LAUNCHER__RUNTIMES_ALLOWED", "[runc,crun]")]).await?;
    let config = json!({"User": "1000660000", "Volumes": {"/data": {}}});
    let own = (1_000_660_000, 1_000_660_000);
    deploy(&platform, "openshift", config, |tar| tar.directory_of("app", 0o700, own).map(drop)).await?;
    for runtime in ["runc", "crun"] {
        platform.deploy(runtime, "openshift:v1", &["--memory", "128", "--runtime", runtime]).await?;
    }
    for name in ["openshift", "runc", "crun"] {
        let status = get(&platform, name, "/read?/proc/self/status").await?;
        assert!(status.contains("Uid:\t1000660000\t1000660000\t"), "{name}: {status}");
        get(&platform, name, "/write?/data/new").await?;
        get(&platform, name, "/write?/app/of-its-own").await?;
    }
    platform.stop().await
}
