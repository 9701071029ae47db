//! Damaged, inconsistent and malicious images: each deploy fails in bounded time with a reason that
//! names registry, image, cause and remedy, leaves the disk as before, and the next good image
//! works.
#![allow(missing_docs)] // A test binary has no readers of its interface.

use bytes::Bytes;
use e2e::blob::Blob;
use e2e::layer_tar::{self, LayerTar};
use e2e::oci::{self, Compression, Format, Image, Layer};
use e2e::registry::Reply;
use e2e::{Fixture, blob, deploys, kernel, rootfs_listing};
use serde_json::{Value, json};
use tar::EntryType;

/// Few retries: these failures are permanent.
const FEW_RETRIES: &[(&str, &str)] = &[("SAMPAN_IMAGE__RETRIES_MAX", "2"), ("SAMPAN_IMAGE__RETRY_PAUSE_MS", "10")];
/// The size limit in the tests of decompression bombs.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// Decompressed size of a bomb.
const BOMB_BYTES: u64 = 10 << 30;

fn image_of(layers: &[Layer]) -> Image {
    Image::new(Format::Oci, oci::config(&["/hello"]), layers)
}

fn hello_layer() -> anyhow::Result<Layer> {
    Layer::new(&layer_tar::hello()?, Compression::Gzip)
}

/// A layer of incompressible bytes.
fn data_layer() -> anyhow::Result<Layer> {
    let mut tar = LayerTar::new();
    tar.file("data", 0o644, &noise(300_000))?;
    honest(&tar.finish()?)
}

/// A layer with correct digests and `tar` as its content.
fn honest(tar: &[u8]) -> anyhow::Result<Layer> {
    Layer::new(tar, Compression::Gzip)
}

#[tokio::test]
async fn damaged_and_mismatched_blobs_are_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
    let good = data_layer()?;
    let sent = |blob: Blob| Layer { blob, ..good.clone() };
    let size = good.size;
    let mut flipped = good.blob.bytes().to_vec();
    flipped[150_000] ^= 1;
    fixture
        .deploy_fails("corrupt", &image_of(&[sent(Blob::new(flipped))]), "ImageInvalid", &["digest", &good.digest])
        .await?;
    let other = Blob::new(Bytes::from(noise(usize::try_from(size)?)));
    fixture
        .deploy_fails("other", &image_of(&[sent(other)]), "ImageInvalid", &[&good.digest, "Push the image again"])
        .await?;
    let longer = good.blob.spliced(size, "garbage");
    fixture
        .deploy_fails("longer", &image_of(&[sent(longer)]), "ImageInvalid", &[&good.digest, &size.to_string()])
        .await?;
    for (name, said) in [("size-too-small", size - 10), ("size-far-too-small", 1)] {
        let lying = Layer { size: said, ..good.clone() };
        fixture.deploy_fails(name, &image_of(&[lying]), "ImageInvalid", &[&good.digest, &said.to_string()]).await?;
    }
    let zeros = format!("sha256:{}", "0".repeat(64));
    let lying = Layer { diff_id: zeros.clone(), ..good.clone() };
    fixture.deploy_fails("wrong-diff-id", &image_of(&[lying]), "ImageInvalid", &[&zeros, "the config says"]).await?;
    let missing = Layer { digest: zeros.clone(), ..good.clone() };
    let mut image = image_of(&[missing]);
    image.blobs.retain(|(digest, _)| *digest != zeros);
    fixture.deploy_fails("missing", &image, "ImageNotFound", &[&zeros]).await?;
    // The same content with correct digests is accepted.
    fixture.deploy("all-well", &image_of(&[hello_layer()?, good])).await?;
    fixture.end().await
}

#[tokio::test]
async fn blobs_shorter_than_declared_are_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
    let good = data_layer()?;
    let lying = Layer { size: good.size + 10, ..good.clone() };
    let words = [good.digest.as_str(), &lying.size.to_string()];
    fixture.deploy_fails("size-too-large", &image_of(std::slice::from_ref(&lying)), "ImageInvalid", &words).await?;
    let shorter = Layer { blob: good.blob.spliced(good.size / 2, ""), ..good.clone() };
    let words = [good.digest.as_str(), &good.size.to_string()];
    fixture.deploy_fails("shorter", &image_of(&[shorter]), "ImageInvalid", &words).await?;
    fixture.end().await
}

#[tokio::test]
async fn malformed_layers_are_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
    let mut tar = LayerTar::new();
    tar.file("data", 0o644, &noise(100_000))?;
    let tar = tar.finish()?;
    let whole = honest(&tar)?;
    let refused = |blob: Blob| image_of(&[Layer::of_blob(blob, &whole.diff_id, Compression::Gzip)]);

    // The digests match; the content is malformed.
    let broken = refused(whole.blob.spliced(whole.size - 1000, ""));
    fixture.deploy_fails("half-gzip", &broken, "ImageInvalid", &["cannot be read", "Build and push"]).await?;
    let broken = refused(whole.blob.spliced(whole.size, "no gzip member"));
    fixture.deploy_fails("garbage-behind-gzip", &broken, "ImageInvalid", &["cannot be read"]).await?;
    let zstd = Layer::new(&tar, Compression::Zstd)?;
    let broken = refused(zstd.blob.spliced(zstd.size - 1000, ""));
    fixture.deploy_fails("half-zstd", &broken, "ImageInvalid", &["cannot be read"]).await?;
    let broken = honest(&tar[..50_000])?;
    fixture.deploy_fails("half-tar", &image_of(&[broken]), "ImageInvalid", &["damaged at byte"]).await?;
    let broken = honest(&noise(100_000))?;
    fixture.deploy_fails("no-tar", &image_of(&[broken]), "ImageInvalid", &["damaged at byte"]).await?;
    let mut broken = tar.clone();
    broken[100] ^= 1; // The mode, which the header's checksum covers.
    fixture.deploy_fails("wrong-sum", &image_of(&[honest(&broken)?]), "ImageInvalid", &["damaged at byte"]).await?;
    // Bytes after the end of an archive affect only its digest.
    let padded = honest(&[&tar[..], &noise(10_000)].concat())?;
    fixture.deploy("padded", &image_of(&[hello_layer()?, padded])).await?;
    fixture.end().await
}

#[tokio::test]
async fn unusable_manifests_and_configs_are_refused() -> anyhow::Result<()> {
    let env = [FEW_RETRIES, &[("SAMPAN_IMAGE__LAYERS_MAX", "20")]].concat();
    let fixture = Fixture::start(&env).await?;
    let layer = hello_layer()?;
    let with_config = |format, config: Value| Image::new(format, config, std::slice::from_ref(&layer));

    let mut arm = oci::config(&["/hello"]);
    arm["architecture"] = json!("arm64");
    let words = ["linux/arm64", "linux/amd64", "--platform"];
    fixture.deploy_fails("arm", &with_config(Format::Oci, arm), "ImagePlatformMismatch", &words).await?;
    let mut windows = oci::config(&["/hello"]);
    windows["os"] = json!("windows");
    let words = ["windows/amd64"];
    fixture.deploy_fails("windows", &with_config(Format::Docker, windows), "ImagePlatformMismatch", &words).await?;
    let foreign_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let foreign = Layer { media_type: Some(foreign_type.to_owned()), ..data_layer()? };
    let digest = foreign.digest.clone();
    fixture.registry.behave(move |request| match request.is_of(&digest) {
        true => Reply::Status(404, vec![]),
        false => Reply::Good,
    });
    let words = [foreign_type, "Build the image on a base"];
    fixture.deploy_fails("foreign", &image_of(&[layer.clone(), foreign.clone()]), "ImageInvalid", &words).await?;
    fixture.registry.recover();
    fixture.deploy("foreign-pushed", &image_of(&[layer.clone(), foreign])).await?;
    let many = vec![layer.clone(); 21];
    fixture.deploy_fails("many-layers", &image_of(&many), "ImageTooLarge", &["21 layers", "20", "layers_max"]).await?;
    let large = json!({"labels": "x".repeat(5 << 20)});
    let large = with_config(Format::Oci, large);
    fixture.deploy_fails("large-config", &large, "ImageTooLarge", &["config_bytes_max"]).await?;

    let mut image = with_config(Format::Oci, oci::config(&["/hello"]));
    let manifest = image.documents[0].blob.bytes();
    image.documents[0].blob = Blob::new(format!("{}{}", " ".repeat(5 << 20), String::from_utf8_lossy(&manifest)));
    fixture.deploy_fails("large-manifest", &image, "ImageTooLarge", &["manifest_bytes_max"]).await?;
    image.documents[0].blob = Blob::new("<html>no registry at all</html>");
    fixture.deploy_fails("web-page", &image, "ImageInvalid", &["manifest is not valid"]).await?;
    // Different from the good image, which the platform already has.
    let mut image = with_config(Format::OciIndex, oci::config(&["/hello", "other"]));
    let lied = image.documents[1].blob.digest.clone();
    image.documents[1].blob = image.documents[1].blob.spliced(10, "").named(&lied);
    fixture.deploy_fails("other-manifest", &image, "ImageInvalid", &[&lied]).await?;
    let mut image = with_config(Format::Oci, oci::config(&["/hello", "more"]));
    let config = String::from_utf8(image.blobs[0].1.bytes().to_vec())?;
    image.blobs[0].1 = Blob::new(config.replace("more", "lies"));
    let lied = image.blobs[0].0.clone();
    fixture.deploy_fails("other-config", &image, "ImageInvalid", &[&lied]).await?;
    fixture.end().await
}

#[tokio::test]
async fn decompression_bombs_are_stopped_at_the_limits() -> anyhow::Result<()> {
    let limit = UNPACKED_BYTES_MAX.to_string();
    let fixture = Fixture::start(&[FEW_RETRIES, &[("SAMPAN_IMAGE__UNPACKED_BYTES_MAX", &limit)]].concat()).await?;
    let words = [limit.as_str(), "unpacked_bytes_max", "raise the limit"];
    for (name, compression) in [("gzip-bomb", Compression::Gzip), ("zstd-bomb", Compression::Zstd)] {
        let bomb = bomb(&header("zeros", EntryType::Regular, BOMB_BYTES), compression)?;
        fixture.deploy_fails(name, &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    }
    // Bytes after the end of the archive, which belong to no entry.
    let bomb = bomb(&[0; 1024], Compression::Gzip)?;
    fixture.deploy_fails("bomb-behind-the-end", &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    // Many layers, each below the limit.
    let mut tar = LayerTar::new();
    tar.file("zeros", 0o644, &vec![0; usize::try_from(UNPACKED_BYTES_MAX / 3)?])?;
    let part = tar.finish()?;
    let layers: anyhow::Result<Vec<_>> = (0..4u8).map(|number| honest(&[&part[..], &[number]].concat())).collect();
    fixture.deploy_fails("together", &image_of(&layers?), "ImageTooLarge", &words).await?;
    // A sparse file of an exabyte in an archive of a kilobyte.
    let sparse = honest(&sparse_entry("hole", 1 << 60))?;
    fixture.deploy_fails("hole", &image_of(&[sparse]), "ImageTooLarge", &words).await?;
    let words = ["entry_header_bytes_max"];
    for (name, kind) in [("pax-bomb", EntryType::XHeader), ("name-bomb", EntryType::GNULongName)] {
        let bomb = self::bomb(&header("x", kind, BOMB_BYTES), Compression::Gzip)?;
        fixture.deploy_fails(name, &image_of(&[bomb]), "ImageTooLarge", &words).await?;
    }
    fixture.end().await
}

#[tokio::test]
async fn ten_million_entries_are_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
    // A gzip member per hundred thousand entries, repeated; the names are distinct beyond the limit
    // of a million.
    const MEMBER_ENTRIES: u64 = 100_000;
    let members: anyhow::Result<Vec<Bytes>> = (0..11)
        .map(|member| {
            Ok(oci::compress(&empty_files(member * MEMBER_ENTRIES, MEMBER_ENTRIES), Compression::Gzip)?.into())
        })
        .collect();
    let parts = members?.into_iter().cycle().take(100).collect();
    let layer = Layer::of_blob(Blob::of_parts(parts), &blob::digest(b"unknown"), Compression::Gzip);
    let words = ["entries", "1000000", "entries_max", "raise the limit"];
    fixture.deploy_fails("entries", &image_of(&[layer]), "ImageTooLarge", &words).await?;
    fixture.end().await
}

#[tokio::test]
async fn images_with_many_entries_share_the_indexing_memory() -> anyhow::Result<()> {
    // Two layers at once would need more, and so would one with twice the entries.
    const MEMORY_BYTES: u64 = 100 << 20;
    const ENTRIES: u64 = 100_000;
    let memory = MEMORY_BYTES.to_string();
    let fixture =
        Fixture::start(&[FEW_RETRIES, &[("SAMPAN_IMAGE__INDEXING_MEMORY_BYTES_MAX", &memory)]].concat()).await?;
    let many = |first, count| anyhow::Ok(image_of(&[hello_layer()?, honest(&empty_files(first, count))?]));
    let half = format!("one may take {}", MEMORY_BYTES / 2);
    let words = [half.as_str(), "half of indexing_memory_bytes_max of [image]"];
    fixture.deploy_fails("too-many", &many(0, 2 * ENTRIES)?, "ImageTooLarge", &words).await?;

    let pid = fixture.platform.pid()?;
    let before = kernel::reset_peak(pid)?;
    let names = ["one", "two", "three"];
    for (number, name) in (1..).zip(names) {
        let reference = fixture.registry.add(name, &many(number * ENTRIES, ENTRIES)?);
        deploys::begin(&fixture.platform, name, &reference).await?;
    }
    for name in names {
        fixture.platform.api.wait_status(name, &["Active"]).await?;
    }
    let taken = kernel::peak_bytes(pid)?.saturating_sub(before);
    assert!(taken <= MEMORY_BYTES, "{taken} bytes were taken");
    fixture.end().await
}

#[tokio::test]
async fn path_traversal_in_layers_is_refused() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
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
        fixture.deploy_fails(name, &image, "ImageInvalid", &[cause, "without this entry"]).await?;
    }
    fixture.end().await
}

#[tokio::test]
async fn entries_behind_a_symbolic_link_stay_in_the_image() -> anyhow::Result<()> {
    let fixture = Fixture::start(FEW_RETRIES).await?;
    let outside = tempfile::Builder::new().prefix("sampan-outside-").tempdir()?;
    let target = outside.path().display().to_string();
    let folder = target.trim_start_matches('/').to_owned();
    let mut below = LayerTar::new();
    // The directories exist in the image and on the machine.
    below.directory("opt")?.directory(&format!("opt/{folder}"))?.directory("srv")?;
    below.symlink("absolute", "/opt")?.symlink("upwards", "../../../../srv")?.symlink("opt/again", "/absolute")?;
    let mut above = LayerTar::new();
    above.file("absolute/one", 0o644, b"1")?.file("upwards/two", 0o644, b"2")?;
    above.file(&format!("opt/again/{folder}/three"), 0o644, b"3")?;
    let image = image_of(&[hello_layer()?, honest(&below.finish()?)?, honest(&above.finish()?)?]);
    deploys::good(&fixture.platform, "links", &fixture.registry.add("links", &image)).await?;
    let seen = rootfs_listing::of_instance(&fixture.platform, "links").await?;
    for path in ["opt/one", "srv/two", &format!("opt/{folder}/three")] {
        assert!(seen.contains_key(path), "{path} is not where the link leads within the image");
    }
    assert_eq!(std::fs::read_dir(outside.path())?.count(), 0, "something was written outside");
    fixture.end().await
}

/// Incompressible bytes, equal in each run (xorshift64).
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

/// A layer of `start` and [`BOMB_BYTES`] zeros; their compressed form is one small chunk, repeated.
fn bomb(start: &[u8], compression: Compression) -> anyhow::Result<Layer> {
    const PIECE_BYTES: u64 = 16 << 20;
    let piece: Bytes = oci::compress(&vec![0; usize::try_from(PIECE_BYTES)?], compression)?.into();
    let mut parts: Vec<Bytes> = vec![oci::compress(start, compression)?.into()];
    parts.extend(std::iter::repeat_n(piece, usize::try_from(BOMB_BYTES / PIECE_BYTES)?));
    Ok(Layer::of_blob(Blob::of_parts(parts), &blob::digest(b"unknown"), compression))
}

/// An archive of one sparse file in the old GNU format without any data.
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

/// A number in GNU tar's base-256 form, for values beyond octal digits.
fn base_256(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&value.to_be_bytes());
    field
}

/// Headers of empty files with numbers as names.
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
