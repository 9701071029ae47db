//! Images that are damaged, that lie, or that attack: each ends in a failed deploy whose reason names registry, image,
//! cause and remedy, within bounded time, with the disk as before, and the next good image works.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use bytes::Bytes;
use e2e::blob::Blob;
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::registry::Reply;
use e2e::{Scene, blob, deploys, kernel, walk};
use serde_json::{Value, json};
use tar::EntryType;

/// Failing fast is no matter of limits: what is wrong stays wrong.
const FEW_RETRIES: &[(&str, &str)] = &[("SAMPAN_IMAGE__RETRIES_MAX", "2"), ("SAMPAN_IMAGE__RETRY_PAUSE_MS", "10")];
/// What the limit of the bombs is set to.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// What a bomb unpacks to.
const BOMB_BYTES: u64 = 10 << 30;

fn image_of(layers: &[Layer]) -> Image {
    Image::new(Format::Oci, oci::config(&["/hello"]), layers)
}

fn hello_layer() -> anyhow::Result<Layer> {
    Layer::new(&layer_tar::hello()?, Compression::Gzip)
}

/// A layer of bytes that nothing compresses.
fn data_layer() -> anyhow::Result<Layer> {
    let mut tar = LayerTar::new();
    tar.file("data", 0o644, &noise(300_000))?;
    honest(&tar.finish()?)
}

/// A layer that is whole by every digest, and whose content is `tar`.
fn honest(tar: &[u8]) -> anyhow::Result<Layer> {
    Layer::new(tar, Compression::Gzip)
}

#[tokio::test]
async fn damaged_and_lying_blobs_are_refused() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    let good = data_layer()?;
    let sent = |blob: Blob| Layer { blob, ..good.clone() };
    let size = good.size;
    let mut flipped = good.blob.bytes().to_vec();
    flipped[150_000] ^= 1;
    scene.refuses("corrupt", &image_of(&[sent(Blob::new(flipped))]), "ImageInvalid", &["digest", &good.digest]).await?;
    let other = Blob::new(Bytes::from(noise(usize::try_from(size)?)));
    scene.refuses("other", &image_of(&[sent(other)]), "ImageInvalid", &[&good.digest, "Push the image again"]).await?;
    let longer = good.blob.spliced(size, "garbage");
    scene.refuses("longer", &image_of(&[sent(longer)]), "ImageInvalid", &[&good.digest, &size.to_string()]).await?;
    for (name, said) in [("size-too-small", size - 10), ("size-far-too-small", 1)] {
        let lying = Layer { size: said, ..good.clone() };
        scene.refuses(name, &image_of(&[lying]), "ImageInvalid", &[&good.digest, &said.to_string()]).await?;
    }
    let zeros = format!("sha256:{}", "0".repeat(64));
    let lying = Layer { diff_id: zeros.clone(), ..good.clone() };
    scene.refuses("wrong-diff-id", &image_of(&[lying]), "ImageInvalid", &[&zeros, "the config says"]).await?;
    let missing = Layer { digest: zeros.clone(), ..good.clone() };
    let mut image = image_of(&[missing]);
    image.blobs.retain(|(digest, _)| *digest != zeros);
    scene.refuses("missing", &image, "ImageNotFound", &[&zeros]).await?;
    // It was never the content that was wrong.
    scene.deploys("all-well", &image_of(&[hello_layer()?, good])).await?;
    scene.end().await
}

#[tokio::test]
async fn blobs_that_are_shorter_than_their_manifest_says_are_refused() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    let good = data_layer()?;
    let lying = Layer { size: good.size + 10, ..good.clone() };
    let words = [good.digest.as_str(), &lying.size.to_string()];
    scene.refuses("size-too-large", &image_of(std::slice::from_ref(&lying)), "ImageInvalid", &words).await?;
    let shorter = Layer { blob: good.blob.spliced(good.size / 2, ""), ..good.clone() };
    let words = [good.digest.as_str(), &good.size.to_string()];
    scene.refuses("shorter", &image_of(&[shorter]), "ImageInvalid", &words).await?;
    scene.end().await
}

#[tokio::test]
async fn layers_that_are_no_archives_are_refused() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    let mut tar = LayerTar::new();
    tar.file("data", 0o644, &noise(100_000))?;
    let tar = tar.finish()?;
    let whole = honest(&tar)?;
    let refused = |blob: Blob| image_of(&[Layer::of_blob(blob, &whole.diff_id, Compression::Gzip)]);

    // These blobs are what their digests say; what they hold is broken.
    let broken = refused(whole.blob.spliced(whole.size - 1000, ""));
    scene.refuses("half-gzip", &broken, "ImageInvalid", &["cannot be read", "Build and push"]).await?;
    let broken = refused(whole.blob.spliced(whole.size, "no gzip member"));
    scene.refuses("garbage-behind-gzip", &broken, "ImageInvalid", &["cannot be read"]).await?;
    let zstd = Layer::new(&tar, Compression::Zstd)?;
    let broken = refused(zstd.blob.spliced(zstd.size - 1000, ""));
    scene.refuses("half-zstd", &broken, "ImageInvalid", &["cannot be read"]).await?;
    let broken = honest(&tar[..50_000])?;
    scene.refuses("half-tar", &image_of(&[broken]), "ImageInvalid", &["damaged at byte"]).await?;
    let broken = honest(&noise(100_000))?;
    scene.refuses("no-tar", &image_of(&[broken]), "ImageInvalid", &["damaged at byte"]).await?;
    let mut broken = tar.clone();
    broken[100] ^= 1; // The mode, which the header's sum covers.
    scene.refuses("wrong-sum", &image_of(&[honest(&broken)?]), "ImageInvalid", &["damaged at byte"]).await?;
    // What follows an archive's end is part of its digest and of nothing else.
    let padded = honest(&[&tar[..], &noise(10_000)].concat())?;
    scene.deploys("padded", &image_of(&[hello_layer()?, padded])).await?;
    scene.end().await
}

#[tokio::test]
async fn manifests_and_configs_that_cannot_be_used_are_refused() -> anyhow::Result<()> {
    let env = [FEW_RETRIES, &[("SAMPAN_IMAGE__LAYERS_MAX", "20")]].concat();
    let scene = Scene::start(&env).await?;
    let layer = hello_layer()?;
    let with_config = |format, config: Value| Image::new(format, config, std::slice::from_ref(&layer));

    let mut arm = oci::config(&["/hello"]);
    arm["architecture"] = json!("arm64");
    let words = ["linux/arm64", "linux/amd64", "--platform"];
    scene.refuses("arm", &with_config(Format::Oci, arm), "ImagePlatformMismatch", &words).await?;
    let mut windows = oci::config(&["/hello"]);
    windows["os"] = json!("windows");
    let words = ["windows/amd64"];
    scene.refuses("windows", &with_config(Format::Docker, windows), "ImagePlatformMismatch", &words).await?;
    let foreign_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let foreign = Layer { media_type: Some(foreign_type.to_owned()), ..data_layer()? };
    let digest = foreign.digest.clone();
    scene.registry.behave(move |ask| match ask.is_of(&digest) {
        true => Reply::Status(404, vec![]),
        false => Reply::Good,
    });
    let words = [foreign_type, "Build the image on a base"];
    scene.refuses("foreign", &image_of(&[layer.clone(), foreign.clone()]), "ImageInvalid", &words).await?;
    scene.registry.recover();
    scene.deploys("foreign-pushed", &image_of(&[layer.clone(), foreign])).await?;
    let many = vec![layer.clone(); 21];
    scene.refuses("many-layers", &image_of(&many), "ImageTooLarge", &["21 layers", "20", "layers_max"]).await?;
    let large = json!({"labels": "x".repeat(5 << 20)});
    let large = with_config(Format::Oci, large);
    scene.refuses("large-config", &large, "ImageTooLarge", &["config_bytes_max"]).await?;

    let mut image = with_config(Format::Oci, oci::config(&["/hello"]));
    let manifest = image.documents[0].blob.bytes();
    image.documents[0].blob = Blob::new(format!("{}{}", " ".repeat(5 << 20), String::from_utf8_lossy(&manifest)));
    scene.refuses("large-manifest", &image, "ImageTooLarge", &["manifest_bytes_max"]).await?;
    image.documents[0].blob = Blob::new("<html>no registry at all</html>");
    scene.refuses("web-page", &image, "ImageInvalid", &["manifest is not valid"]).await?;
    // Another than the good image's, which the platform has already.
    let mut image = with_config(Format::OciIndex, oci::config(&["/hello", "other"]));
    let lied = image.documents[1].blob.digest.clone();
    image.documents[1].blob = image.documents[1].blob.spliced(10, "").named(&lied);
    scene.refuses("other-manifest", &image, "ImageInvalid", &[&lied]).await?;
    let mut image = with_config(Format::Oci, oci::config(&["/hello", "more"]));
    let config = String::from_utf8(image.blobs[0].1.bytes().to_vec())?;
    image.blobs[0].1 = Blob::new(config.replace("more", "lies"));
    let lied = image.blobs[0].0.clone();
    scene.refuses("other-config", &image, "ImageInvalid", &[&lied]).await?;
    scene.end().await
}

#[tokio::test]
async fn bombs_are_cut_off_at_the_limits() -> anyhow::Result<()> {
    let limit = UNPACKED_BYTES_MAX.to_string();
    let scene = Scene::start(&[FEW_RETRIES, &[("SAMPAN_IMAGE__UNPACKED_BYTES_MAX", &limit)]].concat()).await?;
    let words = [limit.as_str(), "unpacked_bytes_max", "raise the limit"];
    for (name, compression) in [("gzip-bomb", Compression::Gzip), ("zstd-bomb", Compression::Zstd)] {
        let bomb = bomb(&header("zeros", EntryType::Regular, BOMB_BYTES), compression)?;
        scene.refuses(name, &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    }
    // No entry has these bytes: they follow the end of the archive.
    let bomb = bomb(&[0; 1024], Compression::Gzip)?;
    scene.refuses("bomb-behind-the-end", &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    // Many layers, each below the limit.
    let mut tar = LayerTar::new();
    tar.file("zeros", 0o644, &vec![0; usize::try_from(UNPACKED_BYTES_MAX / 3)?])?;
    let part = tar.finish()?;
    let layers: anyhow::Result<Vec<_>> = (0..4u8).map(|number| honest(&[&part[..], &[number]].concat())).collect();
    scene.refuses("together", &image_of(&layers?), "ImageTooLarge", &words).await?;
    // A hole of an exabyte in an archive of a kilobyte.
    let sparse = honest(&sparse_entry("hole", 1 << 60))?;
    scene.refuses("hole", &image_of(&[sparse]), "ImageTooLarge", &words).await?;
    let words = ["entry_header_bytes_max"];
    for (name, kind) in [("pax-bomb", EntryType::XHeader), ("name-bomb", EntryType::GNULongName)] {
        let bomb = self::bomb(&header("x", kind, BOMB_BYTES), Compression::Gzip)?;
        scene.refuses(name, &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    }
    scene.end().await
}

#[tokio::test]
async fn ten_million_entries_are_too_many() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    // A gzip member for each hundred thousand; all are distinct beyond the limit of a million, then they come again.
    const MEMBER_ENTRIES: u64 = 100_000;
    let members: anyhow::Result<Vec<Bytes>> = (0..11)
        .map(|member| {
            Ok(oci::compress(&empty_files(member * MEMBER_ENTRIES, MEMBER_ENTRIES), Compression::Gzip)?.into())
        })
        .collect();
    let parts = members?.into_iter().cycle().take(100).collect();
    let layer = Layer::of_blob(Blob::of_parts(parts), &blob::digest(b"unknown"), Compression::Gzip);
    let words = ["entries", "1000000", "entries_max", "raise the limit"];
    scene.refuses("entries", &image_of(&[layer]), "ImageTooLarge", &words).await?;
    scene.end().await
}

#[tokio::test]
async fn images_of_many_entries_take_the_memory_of_indexing_in_turn() -> anyhow::Result<()> {
    // Two at once would take more; one with twice the entries takes more than half.
    const MEMORY_BYTES: u64 = 100 << 20;
    const ENTRIES: u64 = 100_000;
    let memory = MEMORY_BYTES.to_string();
    let scene = Scene::start(&[FEW_RETRIES, &[("SAMPAN_IMAGE__INDEXING_MEMORY_BYTES_MAX", &memory)]].concat()).await?;
    let many = |first, count| anyhow::Ok(image_of(&[hello_layer()?, honest(&empty_files(first, count))?]));
    let half = format!("one may take {}", MEMORY_BYTES / 2);
    let words = [half.as_str(), "half of indexing_memory_bytes_max of [image]"];
    scene.refuses("too-many", &many(0, 2 * ENTRIES)?, "ImageTooLarge", &words).await?;

    let pid = scene.platform.pid()?;
    let before = kernel::reset_peak(pid)?;
    let names = ["one", "two", "three"];
    for (number, name) in (1..).zip(names) {
        let reference = scene.registry.add(name, &many(number * ENTRIES, ENTRIES)?);
        deploys::begin(&scene.platform, name, &reference).await?;
    }
    for name in names {
        scene.platform.api.wait_status(name, &["Active"]).await?;
    }
    let taken = kernel::peak_bytes(pid)?.saturating_sub(before);
    assert!(taken <= MEMORY_BYTES, "{taken} bytes were taken");
    scene.end().await
}

#[tokio::test]
async fn entries_that_lead_out_of_the_image_are_refused() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    let cases = [
        ("parent", "../escaped", EntryType::Regular, "", "has .. in its path"),
        ("far-parent", "a/../../../../escaped", EntryType::Regular, "", "has .. in its path"),
        ("absolute-parent", "/../escaped", EntryType::Regular, "", "has .. in its path"),
        ("link-parent", "link", EntryType::Link, "../../../etc/passwd", "hard link"),
        ("link-absolute", "link", EntryType::Link, "/etc/passwd", "hard link"),
        ("link-nowhere", "link", EntryType::Link, "nowhere", "hard link"),
        ("whiteout-parent", "../.wh.data", EntryType::Regular, "", "has .. in its path"),
        ("whiteout-nothing", ".wh...", EntryType::Regular, "", "whiteout of nothing"),
        ("root-file", "./", EntryType::Symlink, "/etc", "root is one"),
    ];
    for (name, path, kind, target, cause) in cases {
        let mut tar = LayerTar::new();
        tar.unchecked(path, kind, target, b"")?;
        let image = image_of(&[hello_layer()?, honest(&tar.finish()?)?]);
        scene.refuses(name, &image, "ImageInvalid", &[cause, "without this entry"]).await?;
    }
    scene.end().await
}

#[tokio::test]
async fn entries_behind_a_symbolic_link_stay_in_the_image() -> anyhow::Result<()> {
    let scene = Scene::start(FEW_RETRIES).await?;
    let outside = tempfile::Builder::new().prefix("sampan-outside-").tempdir()?;
    let target = outside.path().display().to_string();
    let folder = target.trim_start_matches('/').to_owned();
    let mut below = LayerTar::new();
    // The directories are there in the image as they are on the machine, and elsewhere.
    below.directory("opt")?.directory(&format!("opt/{folder}"))?.directory("srv")?;
    below.symlink("absolute", "/opt")?.symlink("upwards", "../../../../srv")?.symlink("opt/again", "/absolute")?;
    let mut above = LayerTar::new();
    above.file("absolute/one", 0o644, b"1")?.file("upwards/two", 0o644, b"2")?;
    above.file(&format!("opt/again/{folder}/three"), 0o644, b"3")?;
    let image = image_of(&[hello_layer()?, honest(&below.finish()?)?, honest(&above.finish()?)?]);
    deploys::good(&scene.platform, "links", &scene.registry.add("links", &image)).await?;
    let seen = walk::of_instance(&scene.platform, "links").await?;
    for path in ["opt/one", "srv/two", &format!("opt/{folder}/three")] {
        assert!(seen.contains_key(path), "{path} is not where the link leads within the image");
    }
    assert_eq!(std::fs::read_dir(outside.path())?.count(), 0, "something was written outside");
    scene.end().await
}

/// Bytes that nothing compresses, the same each time (xorshift64).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next).take(len.div_ceil(8)).flatten().collect();
    bytes.truncate(len);
    bytes
}

fn header(name: &str, kind: EntryType, size: u64) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    for (set, value) in [(tar::Header::set_uid as fn(&mut tar::Header, u64), 0), (tar::Header::set_gid, 0)] {
        set(&mut header, value);
    }
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(size);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    *header.as_bytes()
}

/// A layer that begins with `start` and goes on with [`BOMB_BYTES`] zeros; compressed, the zeros are one small piece
/// many times over.
fn bomb(start: &[u8], compression: Compression) -> anyhow::Result<Layer> {
    const PIECE_BYTES: u64 = 16 << 20;
    let piece: Bytes = oci::compress(&vec![0; usize::try_from(PIECE_BYTES)?], compression)?.into();
    let mut parts: Vec<Bytes> = vec![oci::compress(start, compression)?.into()];
    parts.extend(std::iter::repeat_n(piece, usize::try_from(BOMB_BYTES / PIECE_BYTES)?));
    Ok(Layer::of_blob(Blob::of_parts(parts), &blob::digest(b"unknown"), compression))
}

/// An archive of one sparse file in the old GNU format that is nothing but a hole.
fn sparse_entry(name: &str, real_size: u64) -> Vec<u8> {
    let mut header = tar::Header::from_byte_slice(&header(name, EntryType::GNUSparse, 0)).clone();
    let gnu = header.as_gnu_mut().expect("made as one above");
    for (place, value) in
        [(&mut gnu.sparse[0].offset, real_size), (&mut gnu.sparse[0].numbytes, 0), (&mut gnu.realsize, real_size)]
    {
        *place = base_256(value);
    }
    header.set_cksum();
    [&header.as_bytes()[..], &[0; 1024]].concat()
}

/// A number as GNU tar writes those that octal digits do not hold.
fn base_256(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&value.to_be_bytes());
    field
}

/// Headers of empty files with numbers for names.
fn empty_files(first: u64, count: u64) -> Vec<u8> {
    const DIGITS: usize = 8;
    let template = header(&"0".repeat(DIGITS), EntryType::Regular, 0);
    let sum_at_zero: u32 = template.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - template[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + 8 * u32::from(b' ');
    let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or_default() * template.len());
    for number in first..first + count {
        let mut entry = template;
        let (mut left, mut sum) = (number, sum_at_zero);
        for place in (0..DIGITS).rev() {
            let digit = u8::try_from(left % 10).expect("one digit");
            (entry[place], left, sum) = (b'0' + digit, left / 10, sum + u32::from(digit));
        }
        entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&entry);
    }
    bytes
}
