//! What the world's images have in their roots, and what their programs then see: users and homes, links in `/etc`, volumes,
//! entries in `/tmp`, files in the places of the platform's mounts.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::{Platform, tools};
use serde_json::{Value, json};

const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n";

/// Pushes the static server with a layer of these entries over it, and deploys it under this name.
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
async fn home_is_the_users_and_the_host_has_a_name() -> anyhow::Result<()> {
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
