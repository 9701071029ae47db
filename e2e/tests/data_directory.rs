//! The data directory after the loss of its database: the platform does not mistake it for a new
//! installation, and a backup restores everything.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use std::fs;
use std::path::Path;

use e2e::{Platform, tools};

fn remove_database(data_dir: &Path) -> anyhow::Result<()> {
    for name in ["sampan.db", "sampan.db-wal", "sampan.db-shm"] {
        if let Err(error) = fs::remove_file(data_dir.join(name)) {
            anyhow::ensure!(error.kind() == std::io::ErrorKind::NotFound, "{error}");
        }
    }
    Ok(())
}

/// An offline command on a data directory.
async fn on_files(args: &[&str], data_dir: &Path) -> anyhow::Result<tools::ProgramOutput> {
    let mut command = tools::command(&tools::sampan().display().to_string());
    tools::run(command.args(args).arg("--data-dir").arg(data_dir)).await
}

#[tokio::test]
async fn a_lost_database_is_refused_and_a_backup_brings_functions_and_images_back() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    let data_dir = platform.data_dir();
    let backup = platform.work_dir().join("backup.db");
    let file = backup.display().to_string();
    let said = on_files(&["backup", &file], &data_dir).await?;
    anyhow::ensure!(said.ok && said.stdout.contains("sha256:"), "{}{}", said.stdout, said.stderr);
    let said = on_files(&["restore", &file], &data_dir).await?;
    anyhow::ensure!(!said.ok && said.stderr.contains("another `sampan up`"), "{}", said.stderr);
    for (target, why) in [(file.as_str(), "already exists"), ("/nowhere/backup.db", "folder /nowhere does not exist")] {
        let said = on_files(&["backup", target], &data_dir).await?;
        anyhow::ensure!(!said.ok && said.stderr.contains(why), "{}", said.stderr);
    }
    let said = on_files(&["restore", "/etc/hostname"], &data_dir).await?;
    anyhow::ensure!(!said.ok && said.stderr.contains("not a complete backup"), "{}", said.stderr);
    platform.kill().await?;

    for lose in [true, false] {
        remove_database(&data_dir)?;
        if !lose {
            fs::write(data_dir.join("sampan.db"), "")?;
        }
        let addresses = ["--control-addr", "127.0.0.1:0", "--gateway-addr", "127.0.0.1:0"];
        let said = on_files(&[&["up"], &addresses[..]].concat(), &data_dir).await?;
        anyhow::ensure!(!said.ok && said.stderr.contains("--new"), "{}", said.stderr);
        anyhow::ensure!(said.stderr.contains("sampan restore"), "{}", said.stderr);
    }
    let said = on_files(&["restore", &file], &data_dir).await?;
    anyhow::ensure!(said.ok, "{}", said.stderr);
    let said = on_files(&["restore", &file], &data_dir).await?;
    anyhow::ensure!(!said.ok && said.stderr.contains("--force"), "{}", said.stderr);
    let platform = platform.restart().await?;
    let response = platform.get("hello", "/").await?;
    anyhow::ensure!(response.status().is_success(), "{}", response.status());
    platform.stop().await
}

/// Runs a command with its own folder `{data}` mounted at a shared path, as container runtimes do.
const IN_A_CONTAINER: &str = r#"own=$0; shared=$1; shift
mkdir -p "$own" && mount --bind "$own" "$shared" || exit 1
for word; do shift; [ "$word" = "$own" ] && word=$shared; set -- "$@" "$word"; done
exec "$@""#;

#[tokio::test]
async fn platforms_with_equal_paths_in_mount_namespaces_do_not_interfere() -> anyhow::Result<()> {
    let shared = tempfile::tempdir()?;
    let path = shared.path().display().to_string();
    let words = ["unshare", "--mount", "sh", "-c", IN_A_CONTAINER, "{data}", &path];
    let first = Platform::start_through(&words, &[]).await?;
    first.push_hello().await?;
    first.deploy("hello", "hello:v1", &[]).await?;
    anyhow::ensure!(first.get("hello", "/").await?.status().is_success());
    let running = e2e::leftovers::processes(&first.cgroup_name());
    anyhow::ensure!(!running.is_empty());

    let second = Platform::start_through(&words, &[]).await?;
    anyhow::ensure!(first.cgroup_name() != second.cgroup_name(), "both are {}", first.cgroup_name());
    second.push_hello().await?;
    second.deploy("hello", "hello:v1", &[]).await?;
    anyhow::ensure!(second.get("hello", "/").await?.status().is_success());
    second.stop().await?;
    anyhow::ensure!(e2e::leftovers::processes(&first.cgroup_name()) == running, "instances were ended");
    anyhow::ensure!(first.get("hello", "/").await?.status().is_success());
    first.stop().await
}

#[tokio::test]
async fn a_moved_data_directory_keeps_its_id_and_a_copy_gets_a_new_one() -> anyhow::Result<()> {
    let mut platform = Platform::start().await?;
    platform.push_hello().await?;
    platform.deploy("hello", "hello:v1", &[]).await?;
    anyhow::ensure!(platform.get("hello", "/").await?.status().is_success());
    platform.kill().await?;
    let cgroup = platform.cgroup_name();
    anyhow::ensure!(!e2e::leftovers::cgroups(&cgroup).is_empty(), "a kill removes no cgroups");

    // After the move a copy is put at the old path; its platform must not find the original's
    // instances.
    let (data, moved) = (platform.data_dir(), platform.work_dir().join("moved"));
    fs::rename(&data, &moved)?;
    tools::run_ok(tools::command("cp").arg("-a").arg(&moved).arg(&data)).await?;
    let mut copy = platform.restart().await?;
    let of_copy = copy.cgroup_name();
    anyhow::ensure!(of_copy != cgroup, "the copy has its original's name");
    anyhow::ensure!(copy.get("hello", "/").await?.status().is_success());
    anyhow::ensure!(!e2e::leftovers::cgroups(&cgroup).is_empty(), "the copy cleaned up after its original");

    copy.kill().await?;
    fs::remove_dir_all(&data)?;
    fs::rename(&moved, &data)?;
    let original = copy.restart().await?;
    anyhow::ensure!(original.cgroup_name() == cgroup, "the moved directory has another name");
    anyhow::ensure!(original.get("hello", "/").await?.status().is_success());
    // Also checks for leftovers from before the move.
    original.stop().await?;
    end(&of_copy)
}

/// Kills leftovers of a platform whose directory is removed.
fn end(cgroup: &str) -> anyhow::Result<()> {
    for pid in e2e::leftovers::processes(cgroup) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
    let deadline = std::time::Instant::now() + e2e::wait::WAIT_MAX;
    for top in e2e::leftovers::cgroups(cgroup) {
        let below = fs::read_dir(&top)?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        for folder in below.map(|entry| entry.path()).chain([top.clone()]) {
            while fs::remove_dir(&folder).is_err() && folder.exists() {
                anyhow::ensure!(std::time::Instant::now() < deadline, "{} is busy", folder.display());
                std::thread::yield_now();
            }
        }
    }
    Ok(())
}
