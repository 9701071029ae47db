//! The image `printer:v1`, whose server prints the data that it receives; see `programs/printer.c`.

use anyhow::ensure;

use crate::{Folder, Platform, tools};

/// Compiles it and pushes it into the platform's registry.
pub async fn push(platform: &Platform) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let (source, target) = (tools::workspace().join("e2e/programs/printer.c"), folder.path().join("printer"));
    let mut compile = tools::command("cc");
    compile.args(["-O1", "-static", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o"]).args([target, source]);
    tools::run_ok(&mut compile).await?;
    platform.push_folder(folder.path(), &["/printer"], "printer:v1").await
}

/// Sends text to an instance of a web function, which prints it; `path` selects when.
pub async fn print(platform: &Platform, function: &str, path: &str, text: &[u8]) -> anyhow::Result<()> {
    let answer = platform.http.post(platform.url(function, path)).body(text.to_vec()).send().await?;
    ensure!(answer.status().is_success(), "{function}{path} answers {}", answer.status());
    answer.bytes().await?;
    Ok(())
}
