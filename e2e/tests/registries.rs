//! The platform's registry with common clients, and pulls from another registry that needs a
//! password.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use e2e::{Platform, images, tools, wait};
use serde_json::json;

fn credentials(platform: &Platform) -> String {
    format!("{}:{}", platform.api.secret_id, platform.api.secret_key)
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_an_image_that_then_runs() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layout = images::hello_layout(platform.work_dir()).await?;
    let (source, target) =
        (format!("oci:{}:v1", layout.display()), format!("docker://{}/skopeo/hello:v1", platform.registry()));
    let creds = credentials(&platform);
    let push = ["copy", "--dest-tls-verify=false", "--dest-creds", &creds, &source, &target];
    tools::run_ok(tools::command("skopeo").args(push)).await?;
    let schema2 = format!("docker://{}/skopeo/hello:schema2", platform.registry());
    let push = ["copy", "--format", "v2s2", "--dest-tls-verify=false", "--dest-creds", &creds, &source, &schema2];
    tools::run_ok(tools::command("skopeo").args(push)).await?;
    let back = format!("oci:{}:v1", platform.work_dir().join("back").display());
    let pull = ["copy", "--src-tls-verify=false", "--src-creds", &creds, &target, &back];
    tools::run_ok(tools::command("skopeo").args(pull)).await?;
    let tags = ["list-tags", "--tls-verify=false", "--creds", &creds, &target[..target.len() - 3]];
    let tags = tools::run_ok(tools::command("skopeo").args(tags)).await?;
    assert!(tags.contains("\"v1\"") && tags.contains("\"schema2\""), "{tags}");

    for (function, image) in [("oci", "skopeo/hello:v1"), ("schema2", "skopeo/hello:schema2")] {
        platform.deploy(function, image, &[]).await?;
        assert!(platform.get(function, "/").await?.text().await?.starts_with("hello from Sampan"));
    }
    let wrong = ["copy", "--dest-tls-verify=false", "--dest-creds", "who:knows", &source, &target];
    let refused = tools::run(tools::command("skopeo").args(wrong)).await?;
    assert!(!refused.ok, "a wrong password was let in: {}", refused.stdout);
    platform.stop().await
}

#[tokio::test]
async fn buildah_and_podman_push_and_pull() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layout = images::hello_layout(platform.work_dir()).await?;
    let store = Storage::new(platform.work_dir());
    let creds = credentials(&platform);
    let image = format!("{}/team/hello", platform.registry());
    let saved = platform.work_dir().join("saved.tar").display().to_string();
    let (source, archive) = (format!("oci:{}:v1", layout.display()), format!("docker-archive:{saved}:hello:saved"));
    tools::run_ok(tools::command("skopeo").args(["copy", &source, &archive])).await?;
    tools::run_ok(store.tool("podman").args(["load", "-q", "-i", &saved])).await?;
    let id = tools::run_ok(store.tool("podman").args(["images", "-q"])).await?;
    let id = id.trim();
    for (tool, tag) in [("podman", "podman"), ("buildah", "buildah")] {
        let target = format!("{image}:{tag}");
        let push = ["push", "--tls-verify=false", "--creds", &creds, id, &target];
        tools::run_ok(store.tool(tool).args(push)).await.with_context(|| format!("{tool} pushes"))?;
        let pull = ["pull", "--tls-verify=false", "--creds", &creds, &target];
        tools::run_ok(store.tool(tool).args(pull)).await.with_context(|| format!("{tool} pulls"))?;
        platform.deploy(tag, &format!("team/hello:{tag}"), &[]).await?;
        assert!(platform.get(tag, "/").await?.text().await?.starts_with("hello from Sampan"), "{tool}");
    }
    platform.stop().await
}

#[tokio::test]
async fn sampan_pushes_what_docker_and_podman_save() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let layout = images::hello_layout(platform.work_dir()).await?;
    let source = format!("oci:{}:v1", layout.display());
    for (kind, name) in [("docker-archive", "saved.tar"), ("oci-archive", "layout.tar")] {
        let file = platform.work_dir().join(name);
        let target = format!("{kind}:{}:hello:{kind}", file.display());
        tools::run_ok(tools::command("skopeo").args(["copy", &source, &target])).await?;
        let image = format!("{kind}:v1");
        tools::run_ok(&mut platform.cli(&["push", &file.display().to_string(), &image])).await?;
        platform.deploy(kind, &image, &[]).await?;
        assert!(platform.get(kind, "/").await?.text().await?.starts_with("hello from Sampan"), "{kind}");
    }
    tools::run_ok(&mut platform.cli(&["push", &layout.display().to_string(), "layout:v1"])).await?;
    platform.stop().await
}

#[tokio::test]
async fn an_image_behind_a_password_is_pulled_with_the_docker_config() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let registry = DebianRegistry::start(work.path()).await?;
    let layout = images::hello_layout(work.path()).await?;
    let target = format!("docker://{}/private/hello:v1", registry.address);
    let source = format!("oci:{}:v1", layout.display());
    let push = ["copy", "--dest-tls-verify=false", "--dest-creds", "reader:right", &source, &target];
    tools::run_ok(tools::command("skopeo").args(push)).await?;
    let image = format!("{}/private/hello:v1", registry.address);

    let good = docker_config(work.path(), "good", &registry.address, "cmVhZGVyOnJpZ2h0")?;
    let platform = Platform::start_with(&[("DOCKER_CONFIG", &good)]).await?;
    platform.deploy("private", &image, &[]).await?;
    assert!(platform.get("private", "/").await?.text().await?.starts_with("hello from Sampan"));
    let missing = json!({"FunctionName": "missing", "Code": {"ImageConfig": {
        "ImageType": "personal", "ImageUri": format!("{}/private/hello:v9", registry.address)}}});
    platform.api.call("CreateFunction", missing).await?;
    let reason = failed_reason(&platform, "missing").await?;
    assert!(reason.contains("v9"), "the missing tag is named: {reason}");
    platform.stop().await?;

    let bad = docker_config(work.path(), "bad", &registry.address, "cmVhZGVyOndyb25n")?;
    let platform = Platform::start_with(&[("DOCKER_CONFIG", &bad)]).await?;
    let refused =
        json!({"FunctionName": "refused", "Code": {"ImageConfig": {"ImageType": "personal", "ImageUri": image}}});
    platform.api.call("CreateFunction", refused).await?;
    let reason = failed_reason(&platform, "refused").await?;
    assert!(reason.contains(&registry.address), "the registry is named: {reason}");
    platform.stop().await
}

/// Waits until a function's preparation failed, and returns the reason's message.
async fn failed_reason(platform: &Platform, function: &str) -> anyhow::Result<String> {
    wait::until("the preparation fails", || async {
        let found = platform.api.call("GetFunction", json!({"FunctionName": function})).await?;
        let failed = found["Status"] == "CreateFailed";
        Ok(failed.then(|| found["StatusReasons"][0]["ErrorMessage"].as_str().unwrap_or_default().to_owned()))
    })
    .await
}

fn docker_config(work: &Path, name: &str, registry: &str, auth: &str) -> anyhow::Result<String> {
    let folder = work.join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("config.json"), json!({"auths": {registry: {"auth": auth}}}).to_string())?;
    Ok(folder.display().to_string())
}

/// Storage of podman and buildah for one test.
struct Storage {
    root: String,
    run: String,
}

impl Storage {
    fn new(work: &Path) -> Self {
        let folder = |name: &str| work.join(name).display().to_string();
        Self { root: folder("storage"), run: folder("storage-run") }
    }

    fn tool(&self, name: &str) -> tokio::process::Command {
        let mut command = tools::command(name);
        command.args(["--storage-driver", "vfs", "--root", &self.root, "--runroot", &self.run]);
        command
    }
}

/// Debian's docker-registry with one user.
struct DebianRegistry {
    address: String,
    _child: tokio::process::Child,
}

impl DebianRegistry {
    async fn start(work: &Path) -> anyhow::Result<Self> {
        let users = tools::run_ok(tools::command("htpasswd").args(["-nbB", "reader", "right"])).await?;
        std::fs::write(work.join("users"), users.trim())?;
        let address = format!("127.0.0.1:{}", tools::free_port()?);
        let config = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: {root}\n\
             http:\n  addr: {address}\nauth:\n  htpasswd:\n    realm: test\n    path: {users}\n",
            root = work.join("registry").display(),
            users = work.join("users").display(),
        );
        std::fs::write(work.join("registry.yml"), config)?;
        let mut command = tools::command("docker-registry");
        command.arg("serve").arg(work.join("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("docker-registry is a Debian package")?;
        let probe = address.clone();
        wait::until("docker-registry listens", || async {
            Ok(tokio::net::TcpStream::connect(&probe).await.ok().map(drop))
        })
        .await?;
        Ok(Self { address, _child: child })
    }
}
