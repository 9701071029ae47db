//! A platform and a scripted registry, with checks of the disk after each deploy.

use serde_json::Value;

use crate::disk::{self, Files};
use crate::oci::{self, Compression, Format, Image, Layer};
use crate::{Platform, TestRegistry, deploys, layer_tar};

/// The platform, the registry, and the platform's files after the last successful deploy.
pub struct Fixture {
    /// The platform.
    pub platform: Platform,
    /// The registry.
    pub registry: TestRegistry,
    before: parking_lot::Mutex<Files>,
}

/// The static server as an image of one layer.
pub fn hello_image() -> anyhow::Result<Image> {
    let layer = Layer::new(&layer_tar::hello()?, Compression::Gzip)?;
    Ok(Image::new(Format::Oci, oci::config(&["/hello"]), &[layer]))
}

impl Fixture {
    /// Starts both and deploys a good image.
    pub async fn start(env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let platform = Platform::start_with(env).await?;
        let registry = TestRegistry::start().await?;
        let fixture = Self { platform, registry, before: parking_lot::Mutex::default() };
        fixture.deploy("good", &hello_image()?).await?;
        Ok(fixture)
    }

    /// Deploys an image that must become active, and calls it.
    pub async fn deploy(&self, name: &str, image: &Image) -> anyhow::Result<Value> {
        let found = deploys::good(&self.platform, name, &self.registry.add(name, image)).await?;
        let answer = self.platform.get(name, "/").await?;
        anyhow::ensure!(answer.status().is_success(), "{name} answers {}: {}", answer.status(), answer.text().await?);
        *self.before.lock() = disk::files(&self.platform.data_dir());
        Ok(found)
    }

    /// Deploys an image that must fail in time with this error code and a message that contains the
    /// image's reference and these words; nothing may remain on disk.
    pub async fn deploy_fails(&self, name: &str, image: &Image, code: &str, words: &[&str]) -> anyhow::Result<()> {
        let reference = self.registry.add(name, image);
        let reason = deploys::bad(&self.platform, name, &reference).await?;
        reason.says(code, words)?;
        reason.says(code, &[&reference])?;
        let before = self.before.lock().clone();
        disk::as_before(&self.platform, &before).await
    }

    /// Stops the platform, after another successful deploy.
    pub async fn end(self) -> anyhow::Result<()> {
        self.registry.recover();
        let mut tar = layer_tar::LayerTar::new();
        tar.file("after", 0o644, b"the next image")?;
        let layers = Layer::stack(&[layer_tar::hello()?, tar.finish()?], &[Compression::Gzip])?;
        self.deploy("next", &Image::new(Format::Oci, oci::config(&["/hello"]), &layers)).await?;
        disk::no_drafts(&self.platform).await?;
        disk::blobs_are_whole(&self.platform.data_dir())?;
        self.platform.stop().await
    }
}
