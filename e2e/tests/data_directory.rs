//! The data directory when its database is lost: nothing is taken for a new installation, and a backup brings all back.
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

/// A command on the files of a data directory.
async fn on_files(args: &[&str], data_dir: &Path) -> anyhow::Result<tools::Said> {
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
    for (target, why) in [(file.as_str(), "exists already"), ("/nowhere/backup.db", "there is no folder /nowhere")] {
        let said = on_files(&["backup", target], &data_dir).await?;
        anyhow::ensure!(!said.ok && said.stderr.contains(why), "{}", said.stderr);
    }
    let said = on_files(&["restore", "/etc/hostname"], &data_dir).await?;
    anyhow::ensure!(!said.ok && said.stderr.contains("no whole backup"), "{}", said.stderr);
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
