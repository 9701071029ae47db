//! Directories of the host in instances: owners of their files, forbidden operations, and mount
//! points.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};
use sandbox::Mount;
use tempfile::TempDir;

use crate::runtimes::every_isolation;
use crate::support::Bench;

/// Ids on disk.
const OWNER: (u32, u32) = (10_000, 10_000);
/// A runtime's own memory counts too.
const MEMORY_BYTES: u64 = 256 << 20;

/// A directory of the instances' user on disk.
fn folder() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    chown(folder.path(), Some(OWNER.0), Some(OWNER.1))?;
    Ok(folder)
}

fn mount(source: &Path, target: &str) -> anyhow::Result<Mount> {
    let source = Arc::new(OwnedFd::from(File::open(source)?));
    Ok(Mount { name: "data".to_owned(), source, target: target.to_owned(), read_only: false, owner: Some(OWNER) })
}

fn ids(path: &Path) -> anyhow::Result<(u32, u32)> {
    let meta = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    Ok((meta.uid(), meta.gid()))
}

#[tokio::test]
async fn what_an_instance_writes_is_its_users_on_disk_and_there_for_the_next() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    for runtime in every_isolation() {
        let data = folder()?;
        for (user, file) in [("", "root"), ("app", "app"), ("1000660000", "large")] {
            let write = format!("put=/srv/data/{file}:by {file}\n");
            let (_, text) = bench
                .run_changed(&["owner=/srv/data", &write, "list=/srv"], |spec| {
                    (spec.runtime, spec.memory_bytes, spec.user) = (runtime.clone(), MEMORY_BYTES, user.to_owned());
                    spec.mounts = vec![mount(data.path(), "/srv/data").expect("opened")];
                })
                .await?;
            let own = match user {
                "" => "0:0",
                "app" => "1000:1000",
                large => &format!("{large}:0"),
            };
            // A group of its own on disk, whatever group it is inside.
            assert!(text.starts_with(&format!("{own}\n/srv/data/{file} put\n")), "{runtime:?} {user}: {text}");
            assert_eq!(ids(&data.path().join(file))?, OWNER, "{runtime:?} {user}");
        }
        let (_, text) = bench
            .run_changed(&["owner=/srv/data/root", "cat=/srv/data/app"], |spec| {
                (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
                spec.mounts = vec![mount(data.path(), "/srv/data").expect("opened")];
            })
            .await?;
        assert_eq!(text, "0:0\nby app\n", "{runtime:?}");
    }
    bench.finish().await
}

#[tokio::test]
async fn other_users_of_an_instance_follow_its_own_on_disk_and_none_is_root() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let data = folder()?;
    fs::write(data.path().join("of-the-hosts-root"), "secret")?;
    fs::write(data.path().join("of-another"), "x")?;
    chown(data.path().join("of-another"), Some(10_033), Some(10_033))?;
    let args = ["owner=/d/of-another", "owner=/d/of-the-hosts-root", "write=/d/of-the-hosts-root"];
    let (_, text) =
        bench.run_changed(&args, |spec| spec.mounts = vec![mount(data.path(), "/d").expect("opened")]).await?;
    let nobody = "65534:65534";
    assert_eq!(text, format!("33:33\n{nobody}\n/d/of-the-hosts-root Permission denied\n"));
    bench.finish().await
}

#[tokio::test]
async fn a_read_only_mount_is_read_only_and_shows_no_mount_below_it() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let data = folder()?;
    fs::write(data.path().join("there"), "x")?;
    chown(data.path().join("there"), Some(OWNER.0), Some(OWNER.1))?;
    fs::create_dir(data.path().join("inner"))?;
    let inner = data.path().join("inner");
    let run = |program: &str, args: &[&str]| -> anyhow::Result<()> {
        anyhow::ensure!(Command::new(program).args(args).arg(&inner).status()?.success(), "{program}");
        Ok(())
    };
    run("mount", &["-t", "tmpfs", "none"])?;
    fs::write(inner.join("hidden"), "x")?;
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o777))?;
    for runtime in every_isolation() {
        let (_, text) = bench
            .run_changed(&["write=/d/there", "fill=/d/new:1", "list=/d/inner", "fill=/d/inner/x:1"], |spec| {
                (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
                spec.mounts = vec![Mount { read_only: true, ..mount(data.path(), "/d").expect("opened") }];
            })
            .await?;
        assert!(!text.contains("hidden"), "{runtime:?}: {text}");
        assert_eq!(text.matches("Read-only file system").count(), 3, "{runtime:?}: {text}");
    }
    run("umount", &[])?;
    bench.finish().await
}

#[tokio::test]
async fn devices_and_set_id_bits_of_a_mount_mean_nothing() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let data = folder()?;
    let device = data.path().join("memory");
    anyhow::ensure!(Command::new("mknod").arg(&device).args(["c", "1", "3"]).status()?.success(), "mknod");
    fs::set_permissions(&device, fs::Permissions::from_mode(0o666))?;
    chown(&device, Some(OWNER.0), Some(OWNER.1))?;
    for runtime in every_isolation() {
        let (_, text) = bench
            .run_changed(&["write=/d/memory", "cat=/proc/self/mountinfo"], |spec| {
                (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
                spec.mounts = vec![mount(data.path(), "/d").expect("opened")];
            })
            .await?;
        let gvisor = runtime.as_ref().is_some_and(|runtime| runtime.name() == "runsc");
        // gVisor opens no device of the host under any name, and shows mounts its own way.
        if !gvisor {
            assert!(text.starts_with("/d/memory Permission denied\n"), "{runtime:?}: {text}");
            let line = text.lines().find(|line| line.contains(" /d ")).context("it is mounted")?;
            assert!(line.contains("nosuid") && line.contains("nodev") && line.contains("idmapped"), "{line}");
        } else {
            assert!(!text.starts_with("/d/memory opened"), "{text}");
        }
    }
    bench.finish().await
}

#[tokio::test]
async fn places_are_made_and_links_of_the_image_stay_inside() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let data = folder()?;
    fs::write(data.path().join("there"), "x\n")?;
    symlink("/", bench.root.join("all"))?;
    symlink("/proc/sys", bench.root.join("kernels"))?;
    symlink("../../../../../../srv/linked", bench.root.join("out"))?;
    fs::write(bench.root.join("file"), "x")?;
    for (target, seen) in
        [("/made/for/it", "/made/for/it"), ("/tmp/below", "/tmp/below"), ("/tmp", "/tmp"), ("/out", "/srv/linked")]
    {
        let args = [format!("cat={seen}/there")];
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let (_, text) =
            bench.run_changed(&args, |spec| spec.mounts = vec![mount(data.path(), target).expect("opened")]).await?;
        assert_eq!(text, "x\n", "{target}");
    }
    for (target, what) in [("/all", "whole root"), ("/kernels/net", "kernel's files"), ("/file", "a file")] {
        let (mut spec, _output) = bench.spec(&["ids"])?;
        spec.mounts = vec![mount(data.path(), target)?];
        let error = bench.sandboxes.launch(spec).await.err().context("refused")?;
        assert!(error.is_images_fault() && error.to_string().contains(what), "{target}: {error}");
    }
    assert!(!Path::new("/srv/linked").exists(), "nothing is made on the host");
    bench.finish().await
}

#[tokio::test]
async fn a_file_system_without_idmapped_mounts_fails_the_start_and_not_the_sandbox() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let (spec, _output) = bench.spec(&["ids"])?;
    let mut spec = spec;
    spec.mounts = vec![mount(Path::new("/proc/self/task"), "/d")?];
    let error = bench.sandboxes.launch(spec).await.err().context("refused")?;
    assert_eq!(error.to_string(), "cannot mount the volume data");
    let (_, text) = bench
        .run_changed(&["list=/d"], |spec| {
            let plain = mount(Path::new("/proc/self/attr"), "/d").expect("opened");
            spec.mounts = vec![Mount { owner: None, ..plain }];
        })
        .await?;
    assert!(text.contains("current"), "without a map it is mounted: {text}");
    bench.finish().await
}

/// A file system of 2 MB that is mounted nowhere.
fn detached() -> anyhow::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("size", "2m"), ("mode", "1777")] {
        fsconfig_set_string(&context, key, value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_NODEV)?)
}

#[tokio::test]
async fn a_file_system_given_for_tmp_is_there_whatever_the_image_has() -> anyhow::Result<()> {
    let bench = Bench::new().await?;
    let data = folder()?;
    fs::write(data.path().join("there"), "x\n")?;
    fs::create_dir_all(bench.root.join("tmp/below"))?;
    fs::write(bench.root.join("tmp/of-the-image"), "x")?;
    let args = ["list=/tmp", "owner=/tmp", "owner=/tmp/volume", "cat=/tmp/below/there", "fill=/tmp/large:3"];
    for runtime in every_isolation() {
        // The facts of a start with the image's own `/tmp` differ from those without.
        let facts = Arc::default();
        let plain = bench.run_changed(&["list=/tmp"], |spec| spec.root_facts = Arc::clone(&facts)).await?.1;
        assert!(plain.contains("of-the-image"), "{plain}");
        let (_, text) = bench
            .run_changed(&args, |spec| {
                (spec.runtime, spec.memory_bytes) = (runtime.clone(), MEMORY_BYTES);
                (spec.tmp, spec.root_facts) = (Some(detached().expect("made")), facts);
                (spec.user, spec.volumes) = ("app".to_owned(), vec!["/tmp/volume".to_owned()]);
                spec.mounts = vec![mount(data.path(), "/tmp/below").expect("opened")];
            })
            .await?;
        assert!(!text.contains("of-the-image"), "{runtime:?}: {text}");
        assert!(text.contains("0:0\n1000:1000\nx\n"), "{runtime:?}: {text}");
        assert!(text.contains("No space left on device"), "{runtime:?}: {text}");
    }
    bench.finish().await
}
