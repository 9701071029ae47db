//! Realistic images in every format and compression: they run, and an instance sees the same
//! entries as `umoci unpack` of the same layers.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::{Platform, TestRegistry, debian, deploys, rootfs_listing, tools};
use serde_json::{Value, json};

/// Settings for large libraries on cold disks.
const ROOM: &[&str] = &["--memory", "1024", "--timeout", "120", "--init-timeout", "120"];

fn program(name: &str) -> anyhow::Result<Vec<u8>> {
    let mut tar = LayerTar::new();
    tar.file("srv/app.py", 0o644, &std::fs::read(tools::workspace().join("e2e/clients").join(name))?)?;
    tar.finish()
}

/// Deploys the image's static server, and compares its listing of the large layers with umoci's.
async fn is_as_unpacked(platform: &Platform, reference: &str, large: &[&[u8]]) -> anyhow::Result<()> {
    platform.deploy("walker", reference, &[ROOM, &["--command", "/hello"]].concat()).await?;
    let mut seen = rootfs_listing::of_instance(platform, "walker").await?;
    // Entries of the small upper layers; the directory exists in Debian.
    for added in ["hello", "srv/app.py"] {
        anyhow::ensure!(seen.remove(added).is_some(), "{added} is missing");
    }
    rootfs_listing::same(seen, rootfs_listing::of_umoci_cached(large).await?)
}

#[tokio::test]
async fn python_with_numpy_scipy_and_onnxruntime_computes() -> anyhow::Result<()> {
    let (base, wheels) = (debian::flask_base().await?, debian::wheels().await?);
    let (app, hello) = (program("science_app.py")?, layer_tar::hello()?);
    let tars: [&[u8]; 4] = [&base, &wheels, &app, &hello];
    let layers = Layer::stack(&tars, &[Compression::Gzip])?;
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let entry = oci::config(&["python3", "/srv/app.py"]);
    let science = registry.add("science", &Image::new(Format::Docker, entry.clone(), &layers));
    platform.deploy("science", &science, ROOM).await?;
    let answer: Value = platform.get("science", "/").await?.json().await?;
    assert_eq!(answer, json!({"dot": 32.0, "determinant": 5.0, "root": 1.259921, "product": [4.0, 10.0, 18.0]}));
    is_as_unpacked(&platform, &science, &tars[..2]).await?;

    // Another application on the same base adds only its own bytes.
    let flask = Layer::new(&program("flask_app.py")?, Compression::Gzip)?;
    let flask = registry.add("flask", &Image::new(Format::Oci, entry, &[layers[0].clone(), flask]));
    platform.deploy("flask", &flask, ROOM).await?;
    let text = platform.get("flask", "/").await?.text().await?;
    assert!(text.starts_with("flask as 0 in /"), "{text}");
    assert_eq!(registry.sent(&layers[0].digest), layers[0].size, "the shared base was transferred again");
    platform.stop().await
}

#[tokio::test]
async fn ffmpeg_from_debian_encodes_a_video() -> anyhow::Result<()> {
    let base = debian::ffmpeg().await?;
    let (app, hello) = (program("ffmpeg_app.py")?, layer_tar::hello()?);
    let tars: [&[u8]; 3] = [&base, &app, &hello];
    let layers = Layer::stack(&tars, &[Compression::Zstd])?;
    let image = Image::new(Format::OciIndex, oci::config(&["python3", "/srv/app.py"]), &layers);
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("ffmpeg", &image);
    platform.deploy("film", &reference, &[ROOM, &["--type", "event"]].concat()).await?;
    let result = platform.api.invoke("film", &json!({"seconds": 1, "size": "160x120"})).await?;
    let answer: Value = serde_json::from_str(result["RetMsg"].as_str().unwrap_or_default())?;
    assert!(answer["version"].as_str().is_some_and(|text| text.starts_with("ffmpeg version")), "{answer}");
    assert_eq!((&answer["codec_name"], &answer["width"]), (&json!("mpeg4"), &json!(160)), "{answer}");
    assert_eq!(answer["nb_read_frames"], "10", "{answer}");
    is_as_unpacked(&platform, &reference, &tars[..1]).await?;
    platform.stop().await
}

/// Sixty layers that add, replace, link and remove files of lower layers.
fn sixty_tars() -> anyhow::Result<Vec<Vec<u8>>> {
    const LAYERS: usize = 60;
    let file = |number: usize| format!("state-{}/file-{number}", number % 7);
    let mut tars = Vec::new();
    for number in 0..LAYERS - 1 {
        let mut tar = LayerTar::new();
        if number < 7 {
            tar.directory(&format!("state-{number}"))?;
        }
        tar.file(&file(number), 0o644, format!("of layer {number}").repeat(number + 1).as_bytes())?;
        tar.file("top", 0o644, number.to_string().as_bytes())?;
        match number % 5 {
            1 => tar.link(&format!("link-{number}"), &file(number))?,
            2 => tar.symlink(&format!("symlink-{number}"), &file(number))?,
            3 => tar.remove(&file(number - 3))?,
            // The same path is a file in one layer and a directory in another.
            4 if number % 2 == 0 => tar.file("changing", 0o600, b"a file")?,
            4 => tar.directory("changing")?,
            _ => &mut tar,
        };
        tars.push(tar.finish()?);
    }
    tars.push(layer_tar::hello()?);
    Ok(tars)
}

#[tokio::test]
async fn an_image_of_sixty_layers_merges_them_all() -> anyhow::Result<()> {
    let tars = sixty_tars()?;
    let layers = Layer::stack(&tars, &[Compression::Gzip, Compression::Zstd, Compression::Plain])?;
    let image = Image::new(Format::Oci, oci::config(&["/hello"]), &layers);
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    let reference = registry.add("sixty", &image);
    deploys::good(&platform, "sixty", &reference).await?;
    assert_eq!(platform.get("sixty", "/read?/top").await?.text().await?, "58");
    let plain = Layer::stack(&tars, &[Compression::Plain])?;
    let plain = Image::new(Format::Oci, oci::config(&["/hello"]), &plain);
    let seen = rootfs_listing::of_instance(&platform, "sixty").await?;
    rootfs_listing::same(seen, rootfs_listing::of_umoci(&plain, platform.work_dir()).await?)?;
    platform.stop().await
}

#[tokio::test]
async fn every_format_in_every_compression_is_the_same_image() -> anyhow::Result<()> {
    let platform = Platform::start().await?;
    let registry = TestRegistry::start().await?;
    for format in [Format::Oci, Format::OciIndex, Format::Docker] {
        for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
            let name = format!("{format:?}-{compression:?}").to_lowercase();
            // Each image has its own layers: shared ones would be read only once.
            let (mut below, mut above) = (LayerTar::new(), LayerTar::new());
            below.directory("dir")?.file("dir/kept", 0o4711, name.as_bytes())?.file("dir/gone", 0o644, b"")?;
            above.remove("dir/gone")?.file("dir/new", 0o600, name.as_bytes())?.link("linked", "dir/kept")?;
            let tars = [below.finish()?, layer_tar::hello()?, above.finish()?];
            let image = Image::new(format, oci::config(&["/hello"]), &Layer::stack(&tars, &[compression])?);
            deploys::good(&platform, &name, &registry.add(&name, &image)).await?;
            let seen = rootfs_listing::of_instance(&platform, &name).await?;
            let plain = Layer::stack(&tars, &[Compression::Plain])?;
            let plain = Image::new(Format::Oci, oci::config(&["/hello"]), &plain);
            rootfs_listing::same(seen, rootfs_listing::of_umoci(&plain, platform.work_dir()).await?)?;
        }
    }
    platform.stop().await
}
