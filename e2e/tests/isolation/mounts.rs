//! Attacks through volumes: on the machine, on functions that share a volume, and on the path of a
//! mount while it is made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use e2e::{Platform, hostile, tools};
use serde_json::json;
use tempfile::TempDir;

const FLAGS: &[&str] = &["--memory", "256", "--timeout", "60", "--no-start-check"];
/// Error numbers (errno(3)).
const NOT_PERMITTED: &str = "1";
const NOT_THERE: &str = "error 2";
const DENIED: &str = "13";
/// Fewest starts while a directory and a link exchange places; starts continue until both were
/// found.
const ROUNDS_MIN: usize = 8;
const ROUNDS_MAX: usize = 60;

/// A platform, its `[volumes] roots`, and a directory below that for functions, `data`.
async fn platform() -> anyhow::Result<(Platform, TempDir)> {
    let root = tempfile::tempdir()?;
    let data = root.path().join("data");
    fs::create_dir(&data)?;
    chown(&data, Some(10_000), Some(10_000))?;
    let roots = format!("[\"{}\"]", root.path().display());
    let platform = Platform::start_with(&[("SAMPAN_VOLUMES__ROOTS", &roots)]).await?;
    hostile::push(&platform).await?;
    let path = data.display().to_string();
    tools::run_ok(&mut platform.cli(&["volume", "create", "data", "--path", &path])).await?;
    Ok((platform, root))
}

async fn deploy(platform: &Platform, function: &str, mount: &str) -> anyhow::Result<()> {
    platform.deploy(function, "hostile:v1", &[FLAGS, &["--mount", mount]].concat()).await.map(drop)
}

async fn attack(platform: &Platform, path: &str) -> anyhow::Result<String> {
    hostile::attack(platform, "attacker", path).await
}

/// The error of a deploy that must be rejected.
async fn refused(platform: &Platform, mount: &str) -> anyhow::Result<String> {
    let args = ["deploy", "refused", "--image", "hostile:v1", "--mount", mount];
    let run = tools::run(&mut platform.cli(&args)).await?;
    ensure!(!run.ok, "{mount} was taken: {}", run.stdout);
    Ok(run.stderr)
}

#[tokio::test]
async fn a_link_in_a_volume_leads_to_nothing_of_the_machine() -> anyhow::Result<()> {
    let (platform, root) = platform().await?;
    deploy(&platform, "attacker", "data:/d").await?;
    ensure!(Path::new("/etc/shadow").exists(), "there is something to reach");
    for (link, target) in [
        ("shadow", "/etc/shadow"),
        ("etc", "/etc"),
        ("up", "../../../../../../etc"),
        ("process", "/proc/1/root"),
        ("beside", "../secret"),
    ] {
        assert_eq!(attack(&platform, &format!("/link?/d/{link}:{target}")).await?, "0");
        // A sub path that leads out of the volume is rejected, whoever created the link.
        let said = refused(&platform, &format!("data/{link}:/v")).await?;
        assert!(said.contains("leads out") || said.contains("not a directory"), "{link}: {said}");
    }
    // Inside the instance the links resolve to the instance's own files.
    assert_eq!(attack(&platform, "/read?/d/shadow").await?, NOT_THERE);
    assert_eq!(attack(&platform, "/read?/d/etc/image").await?, "of the image");
    fs::create_dir(root.path().join("secret"))?;
    fs::write(root.path().join("secret/file"), "of another")?;
    assert_eq!(attack(&platform, "/read?/d/beside/file").await?, NOT_THERE);
    assert_eq!(attack(&platform, "/read?/d/../secret/file").await?, NOT_THERE);
    platform.stop().await
}

#[tokio::test]
async fn no_mount_leaves_its_volume_or_covers_what_is_the_kernels() -> anyhow::Result<()> {
    let (platform, _root) = platform().await?;
    for (mount, why) in [
        ("data/..:/v", ". or .."),
        ("data/a/../../..:/v", ". or .."),
        ("data:/v/../proc", ". or .."),
        ("data:/", "is the platform's"),
        ("data:/proc", "/proc is the platform's"),
        ("data:/proc/sys/kernel", "/proc is the platform's"),
        ("data:/sys", "/sys is the platform's"),
        ("data:/dev/shm", "/dev is the platform's"),
        ("data:/etc", "/etc/hosts is the platform's"),
        ("data:/v:uid=0", "user_id_min"),
    ] {
        let said = refused(&platform, mount).await?;
        assert!(said.contains(why), "{mount}: {said}");
    }
    // Through the API, without the CLI.
    for (own, cfs) in [
        (
            json!({"Volume": "data", "Sub": "..", "Path": "/v"}),
            json!({"CfsId": "data", "LocalMountDir": "/v", "RemoteMountDir": "/.."}),
        ),
        (
            json!({"Volume": "data", "Path": "/proc"}),
            json!({"CfsId": "data", "LocalMountDir": "/dev", "RemoteMountDir": "/"}),
        ),
        (
            json!({"Volume": "data", "Path": "/v", "UserId": 0}),
            json!({"CfsId": "data", "LocalMountDir": "/v", "RemoteMountDir": "/", "UserId": "0"}),
        ),
    ] {
        let function = |more: serde_json::Value| {
            let uri = format!("{}/hostile:v1", platform.registry());
            let code = json!({"ImageConfig": {"ImageType": "personal", "ImageUri": uri}});
            let mut request = json!({"FunctionName": "refused", "Runtime": "CustomImage", "Code": code});
            if let Some((request, more)) = request.as_object_mut().zip(more.as_object()) {
                request.extend(more.clone());
            }
            request
        };
        for more in [json!({"Sampan": {"Mounts": [own]}}), json!({"CfsConfig": {"CfsInsList": [cfs]}})] {
            let (code, message) = platform.api.refused("CreateFunction", function(more)).await?;
            assert!(code.starts_with("InvalidParameter"), "{code}: {message}");
        }
    }
    // A link of the image makes the start fail.
    let folder = e2e::Folder::new()?;
    folder.copy(&tools::hostile(), "hostile")?;
    symlink("/proc/sys", folder.path().join("kernels"))?;
    platform.push_folder(folder.path(), &["/hostile"], "linked:v1").await?;
    let args = ["deploy", "linked", "--image", "linked:v1", "--mount", "data:/kernels/net", "--timeout", "30"];
    let run = tools::run(&mut platform.cli(&args)).await?;
    assert!(!run.ok && run.stderr.contains("kernel's files"), "{}", run.stderr);
    platform.stop().await
}

#[tokio::test]
async fn a_set_id_program_on_a_volume_gives_no_one_anything() -> anyhow::Result<()> {
    let (platform, root) = platform().await?;
    deploy(&platform, "attacker", "data:/d").await?;
    // Set-user-ID programs; for a function with user 1000, that user is mapped to root's id on
    // disk.
    assert_eq!(attack(&platform, "/set-id?/d/own:0").await?, "0");
    assert_eq!(attack(&platform, "/set-id?/d/other:1000").await?, "0");
    // On the machine the programs belong to the mapped users, never to its root.
    for (name, owner) in [("own", 10_000), ("other", 11_000)] {
        let meta = fs::metadata(root.path().join("data").join(name))?;
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (owner, owner, 0o6755), "{name}");
    }
    hostile::push_as(&platform, "1000:1000").await?;
    deploy(&platform, "victim", "data:/d").await?;
    for name in ["own", "other"] {
        assert_eq!(hostile::attack(&platform, "victim", &format!("/run?/d/{name}")).await?, "1000", "{name}");
    }
    let mounts = hostile::attack(&platform, "victim", "/read?/proc/self/mountinfo").await?;
    let line = mounts.lines().find(|line| line.contains(" /d ")).unwrap_or_default();
    assert!(line.contains("nosuid") && line.contains("nodev"), "{mounts}");
    // Volumes of the data directory are below a directory of root with mode 0700.
    tools::run_ok(&mut platform.cli(&["volume", "create", "made"])).await?;
    assert_eq!(fs::metadata(platform.data_dir())?.mode() & 0o7777, 0o700);
    platform.stop().await
}

#[tokio::test]
async fn a_device_on_a_volume_is_none() -> anyhow::Result<()> {
    let (platform, root) = platform().await?;
    deploy(&platform, "attacker", "data:/d").await?;
    assert_eq!(attack(&platform, "/device?/d/memory").await?, NOT_PERMITTED);
    let device = root.path().join("data/of-the-host");
    ensure!(Command::new("mknod").arg(&device).args(["c", "1", "3"]).status()?.success(), "mknod");
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666))?;
    chown(&device, Some(10_000), Some(10_000))?;
    assert_eq!(attack(&platform, "/open?/d/of-the-host").await?, DENIED);
    platform.stop().await
}

#[tokio::test]
async fn directories_that_change_places_while_they_are_mounted_lead_nowhere_else() -> anyhow::Result<()> {
    let (platform, root) = platform().await?;
    deploy(&platform, "attacker", "data:/d").await?;
    for path in ["/directory?/d/sub", "/put?/d/sub/inside:text", "/link?/d/link:../../../../../../../../etc"] {
        assert_eq!(attack(&platform, path).await?, "0", "{path}");
    }
    deploy(&platform, "victim", "data/sub:/v").await?;
    assert_eq!(hostile::attack(&platform, "victim", "/list?/v").await?, "inside\n");
    assert_eq!(attack(&platform, "/exchange?/d/sub:/d/link").await?, "0");
    let (mut mounted, mut failed) = (0, 0);
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS_MIN && mounted > 0 && failed > 0 {
            break;
        }
        // Each round starts a new instance, whose mount is made while the names exchange places.
        let env = format!("ROUND={round}");
        let args = ["deploy", "victim", "--env", &env];
        let change = tools::run(&mut platform.cli(&args)).await?;
        if !change.ok {
            assert!(change.stderr.contains("leads out"), "{}", change.stderr);
            failed += 1;
            continue;
        }
        let answer = platform.get("victim", "/list?/v").await?;
        if answer.status().is_success() {
            assert_eq!(answer.text().await?, "inside\n");
            mounted += 1;
        } else {
            let said = answer.text().await?;
            assert!(!said.contains("/etc") && !said.contains(&root.path().display().to_string()), "{said}");
            failed += 1;
        }
    }
    // Both states occurred: some starts found the directory, others the link.
    assert!(mounted > 0 && failed > 0, "{mounted} mounted, {failed} failed");
    platform.stop().await
}
