//! Damage on disk is detected, quarantined, and repaired by a deploy or a push. Needs root, as
//! mounting does.

mod support;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::{Config, Error, ScrubReport};
use support::registry::Registry;
use support::{Store, TestImage, config, digest, image, layer, noise, store, store_with};

/// Flips one bit of a file, as a bad sector might.
fn flip(path: &Path) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("there");
    let middle = file.metadata().expect("readable").len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).expect("readable");
    byte[0] ^= 1;
    file.write_all_at(&byte, middle).expect("written");
}

fn cut(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("there");
    file.set_len(file.metadata().expect("readable").len() / 2).expect("cut");
}

fn test_image() -> TestImage {
    image(&[layer(&[("text", &noise(100_000, 7))])])
}

/// The one file of that name below `layers`, in a directory with this prefix.
fn in_layers(store: &Store, prefix: &str, name: &str) -> PathBuf {
    let dir = store.list("layers").into_iter().find(|dir| dir.starts_with(prefix)).expect("there");
    store.dir.path().join("layers").join(dir).join(name)
}

async fn content_of(store: &Store, image: &TestImage) -> Option<String> {
    let rootfs = store.images.rootfs(&image.digest()).await.ok()?;
    fs::read_to_string(rootfs.lower_dirs[0].join("text")).ok()
}

async fn scrub(store: &Store) -> ScrubReport {
    store.images.scrub();
    let ended = async {
        loop {
            let report = store.images.scrub_report().expect("it was begun");
            if !report.running {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends")
}

#[tokio::test]
async fn a_deploy_heals_every_damaged_part_of_an_image() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = test_image();
    let reference = registry.serve("v1", &image);
    let blob = |bytes: &[u8]| store.dir.path().join("blobs").join(digest(bytes).hex());
    store.prepare(&reference).await.expect("a good image");
    let parts = [
        in_layers(&store, "t-", "layer.tar"),
        in_layers(&store, "t-", "index"),
        in_layers(&store, "t-", "facts.json"),
        in_layers(&store, "e2-", "metadata.erofs"),
        blob(&image.manifest_bytes()),
        blob(&image.config),
    ];
    for (number, part) in parts.iter().enumerate() {
        for damage in [flip, cut] {
            damage(part);
            store.prepare(&reference).await.unwrap_or_else(|e| panic!("{}: {}", part.display(), e.report()));
            assert_eq!(content_of(&store, &image).await, Some(noise(100_000, 7)), "{}", part.display());
        }
        assert!(store.list("damaged").len() > 2 * number, "{:?}", store.list("damaged"));
    }
    store.assert_clean().await;
}

#[tokio::test]
async fn what_is_intact_is_neither_transferred_nor_indexed_again() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = test_image();
    let reference = registry.serve("v1", &image);
    store.prepare(&reference).await.expect("a good image");
    let store = store.restart(config()).await;
    registry.requests();
    store.prepare(&format!("{reference}@{}", image.digest())).await.expect("there");
    assert_eq!((registry.requests(), store.list("damaged")), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_damaged_blob_of_a_push_is_not_there_for_who_asks_and_is_healed_by_another() {
    let store = store().await;
    let image = test_image();
    store.push(&image).await;
    let content = store.images.content();
    let blob = image.layers[0].blob.clone();
    let key = digest(&blob);
    assert_eq!(content.verified_size(&key).await.expect("readable"), Some(blob.len() as u64));
    let mut damages = content.damage();
    flip(&store.dir.path().join("blobs").join(key.hex()));
    assert_eq!(content.verified_size(&key).await.expect("readable"), None);
    assert!(damages.has_changed().expect("the store is there"));
    damages.mark_unchanged();
    assert_eq!(content.size(&key).await.expect("readable"), None);
    content.put(&key, blob.clone()).await.expect("room");
    assert_eq!(content.verified_size(&key).await.expect("readable"), Some(blob.len() as u64));
}

#[tokio::test]
async fn a_damaged_blob_that_is_to_be_indexed_is_asked_for_again() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = test_image();
    let reference = registry.serve("v1", &image);
    for damage in [flip, cut] {
        let blob = &image.layers[0].blob;
        store.images.content().put(&digest(blob), blob.clone()).await.expect("room");
        damage(&store.dir.path().join("blobs").join(digest(blob).hex()));
        store.prepare(&reference).await.expect("transferred");
        store.images.unpin("test/owner").await.expect("unpinned");
        store.images.collect_garbage().await.expect("collected");
    }
    assert_eq!(store.list("damaged").len(), 2);
}

#[tokio::test]
async fn a_scrub_finds_damage_and_says_whose_it_is() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = test_image();
    store.prepare(&registry.serve("v1", &image)).await.expect("a good image");
    let report = scrub(&store).await;
    assert_eq!((report.findings_total, report.items, report.cut_short), (0, 4, false));
    assert!(report.bytes > 100_000, "{report:?}");
    flip(&in_layers(&store, "t-", "layer.tar"));
    flip(&store.dir.path().join("blobs").join(digest(&image.config).hex()));
    let report = scrub(&store).await;
    let mut kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
    kinds.sort_unstable();
    assert_eq!((kinds, report.findings_total), (vec!["blob", "layer"], 2));
    for finding in &report.findings {
        assert_eq!(finding.owners, ["test/owner"], "{finding:?}");
        assert!(finding.set_aside.as_ref().is_some_and(|place| place.exists()), "{finding:?}");
    }
    // It is not served, even where it was mounted before.
    assert!(matches!(store.images.rootfs(&image.digest()).await, Err(Error::NotPrepared { .. })));
    assert!(!store.images.keep("test/owner", &image.digest()).await.expect("readable"));
    assert_eq!(scrub(&store).await.findings_total, 0);
    store.prepare(&registry.reference("v1")).await.expect("pulled again");
    assert!(store.images.keep("test/owner", &image.digest()).await.expect("readable"));
    assert_eq!(content_of(&store, &image).await, Some(noise(100_000, 7)));
}

#[tokio::test]
async fn an_unclean_stop_has_sizes_checked_at_once_and_hashes_after() {
    let (store, registry) = (store().await, Registry::start().await);
    let (short, flipped) = (test_image(), image(&[layer(&[("other", &noise(100_000, 8))])]));
    store.prepare(&registry.serve("short", &short)).await.expect("a good image");
    cut(&in_layers(&store, "t-", "layer.tar"));
    let other = store.images.prepare(support::request(&registry.serve("flipped", &flipped), "other")).await;
    other.expect("a good image");
    let name = format!("t-{}", flipped.layers[0].diff_id.hex());
    flip(&store.dir.path().join("layers").join(&name).join("layer.tar"));
    let Store { images, dir } = store;
    // As after a kill: without the marker of a clean stop.
    images.shutdown().await;
    drop(images);
    fs::remove_file(dir.path().join("clean")).expect("a clean stop leaves it");
    let images = image::Images::open(dir.path(), config(), std::sync::Arc::new(registry_client::Anonymous))
        .await
        .expect("opened");
    let store = Store { images, dir };
    assert!(!store.images.keep("test/owner", &short.digest()).await.expect("readable"), "it was cut");
    let healed = async {
        while store.list("layers").contains(&name) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), healed).await.expect("the hash is wrong");
    assert_eq!(store.images.content().pinned("other"), Some(flipped.digest()), "the pin stays");
}

#[tokio::test]
async fn a_clean_stop_reads_nothing_at_the_next_start() {
    let (store, registry) = (store().await, Registry::start().await);
    store.prepare(&registry.serve("v1", &test_image())).await.expect("a good image");
    scrub(&store).await;
    let store = store.restart(config()).await;
    assert!(store.images.scrub_report().is_none());
}

#[tokio::test]
async fn what_is_set_aside_is_bounded() {
    let (store, registry) =
        (store_with(Config { quarantine_bytes_max: 1000, ..config() }).await, Registry::start().await);
    let reference = registry.serve("v1", &test_image());
    store.prepare(&reference).await.expect("a good image");
    flip(&in_layers(&store, "t-", "layer.tar"));
    store.prepare(&reference).await.expect("healed");
    assert_eq!(store.list("damaged"), Vec::<String>::new(), "it has over 1000 bytes");
}

#[tokio::test]
async fn a_scrub_that_is_asked_for_while_one_runs_reads_all_that_is_there_then() {
    let (store, registry) = (store().await, Registry::start().await);
    // Large enough that the first scrub still runs when the second is requested.
    let image = image(&[layer(&[("text", &noise(20_000_000, 7))])]);
    store.prepare(&registry.serve("v1", &image)).await.expect("a good image");
    let once = scrub(&store).await.bytes;
    store.images.scrub();
    let twice = scrub(&store).await;
    assert_eq!((twice.bytes, twice.findings_total, twice.cut_short), (2 * once, 0, false));
}
