//! Root file systems of real images, built from Debian's packages and from wheels of PyPI, cached
//! below `target/` as layer tars.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;

use crate::layer_tar::LayerTar;
use crate::{build_cache, flask, tools};

/// Increment it when a recipe below changes, to invalidate cached tars.
const RECIPE: u32 = 1;

/// Debian with FFmpeg and Python.
pub async fn ffmpeg() -> anyhow::Result<Bytes> {
    cached_tar("ffmpeg", async |work| {
        let root = work.join("root.tar");
        let debian = ["--variant=minbase", "--include=python3,ffmpeg", "bookworm"];
        tools::run_ok(tools::command("mmdebstrap").args(debian).arg(&root)).await?;
        Ok(root)
    })
    .await
}

/// Debian with a JVM, Node.js and Python.
pub async fn languages() -> anyhow::Result<Bytes> {
    cached_tar("languages", async |work| {
        let root = work.join("root.tar");
        let debian = ["--variant=minbase", "--include=python3,nodejs,openjdk-17-jre-headless", "bookworm"];
        tools::run_ok(tools::command("mmdebstrap").args(debian).arg(&root)).await?;
        Ok(root)
    })
    .await
}

/// NumPy, SciPy and ONNX Runtime for Debian's Python 3.11, below `/opt/wheels`.
pub async fn wheels() -> anyhow::Result<Bytes> {
    cached_tar("wheels", async |work| {
        let (folder, layer) = (work.join("wheels"), work.join("wheels.tar"));
        let python = tools::python().display().to_string();
        let target = ["--python-version", "3.11", "--only-binary", ":all:", "--target"];
        let mut pip = tools::command(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-compile"]).args(target).arg(&folder);
        tools::run_ok(pip.args(["numpy", "scipy", "onnxruntime"])).await?;
        let mut tar = LayerTar::new();
        tar.folder("opt/wheels", &folder)?;
        std::fs::write(&layer, tar.finish()?)?;
        Ok(layer)
    })
    .await
}

/// The base of the application of [`flask::archive`]: Debian with Python and Flask.
pub async fn flask_base() -> anyhow::Result<Bytes> {
    let archive = flask::archive().await?;
    cached_tar(&format!("base-of-{}", archive.file_stem().unwrap_or_default().display()), async |work| {
        let layout = work.join("layout");
        std::fs::create_dir_all(&layout)?;
        tools::run_ok(tools::command("tar").arg("-xf").arg(&archive).arg("-C").arg(&layout)).await?;
        let index = json(&layout.join("index.json"))?;
        let blob = |digest: &serde_json::Value| {
            let digest = digest.as_str().unwrap_or_default();
            layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
        };
        let manifest = json(&blob(&index["manifests"][0]["digest"]))?;
        // Layers in the archive are uncompressed tars.
        Ok(blob(&manifest["layers"][0]["digest"]))
    })
    .await
}

fn json(file: &Path) -> anyhow::Result<serde_json::Value> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_slice(&text)?)
}

/// The cached tar of that name; `make` builds it when it is missing.
async fn cached_tar(name: &str, make: impl AsyncFnOnce(&Path) -> anyhow::Result<PathBuf>) -> anyhow::Result<Bytes> {
    let file = build_cache::file(&format!("{name}-{RECIPE}.tar"), make).await?;
    Ok(std::fs::read(file)?.into())
}
