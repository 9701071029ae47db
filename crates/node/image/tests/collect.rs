//! Garbage collection keeps reachable content and removes the rest. Needs root, as mounting does.

mod support;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use image::Error;
use proptest::prelude::*;
use support::registry::Registry;
use support::{Store, TestImage, config, digest, image, index, layer, noise, store, store_with};

fn small(content: &str) -> TestImage {
    image(&[layer(&[("a", content)])])
}

async fn has_all(store: &Store, image: &TestImage) -> bool {
    for blob in image.blobs().into_iter().chain([image.manifest_bytes()]) {
        if !store.list("blobs").contains(&digest(&blob).hex().to_owned()) {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn content_goes_when_its_last_pin_goes() {
    let store = store().await;
    let (kept, dropped) = (small("kept"), small("dropped"));
    store.push(&kept).await;
    store.push(&dropped).await;
    let content = store.images.content();
    content.pin("a", &kept.digest()).await.expect("there");
    content.pin("b", &dropped.digest()).await.expect("there");
    content.pin("c", &dropped.digest()).await.expect("there");
    content.unpin("b").await.expect("unpinned");
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    content.unpin("c").await.expect("unpinned");
    let collected = store.images.collect_garbage().await.expect("collected");
    assert_eq!(collected.blobs, 3);
    assert!(collected.bytes > 0);
    assert!(has_all(&store, &kept).await);
    assert_eq!(store.list("blobs").len(), 3);
    store.assert_clean().await;
}

#[tokio::test]
async fn an_index_keeps_its_images_and_those_that_are_missing_do_not_matter() {
    let store = store().await;
    let (here, missing) = (small("here"), small("missing"));
    store.push(&here).await;
    let bytes = index(&[("linux", "amd64", &here), ("linux", "arm64", &missing)]);
    store.images.content().put(&digest(&bytes), bytes.clone()).await.expect("room");
    store.images.content().pin("a", &digest(&bytes)).await.expect("there");
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    assert!(has_all(&store, &here).await);
}

#[tokio::test]
async fn what_a_lease_saw_stays_until_it_ends() {
    let store = store().await;
    let before = Bytes::from_static(b"before");
    store.images.content().put(&digest(&before), before.clone()).await.expect("room");
    let lease = store.images.content().lease();
    let image = small("pushed");
    store.push(&image).await;
    // A size query only, as of a client that finds a blob and does not send it.
    store.images.content().size(&digest(&before)).await.expect("readable");
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    drop(lease);
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 4);
}

#[tokio::test]
async fn fresh_content_stays_for_its_grace() {
    let store = store_with(image::Config { grace_s: 3600, ..config() }).await;
    store.push(&small("fresh")).await;
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    // Also after a restart, where only the file system has its age.
    let store = store.restart(image::Config { grace_s: 3600, ..config() }).await;
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    let store = store.restart(config()).await;
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 3);
}

#[tokio::test]
async fn a_root_file_system_in_use_stays_after_its_pin_is_gone() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = small("used");
    let prepared = store.prepare(&registry.serve("v1", &image)).await.expect("a good image");
    let rootfs = store.images.rootfs(&prepared.digest).await.expect("prepared");
    let clone = rootfs.clone();
    store.images.unpin("test/owner").await.expect("unpinned");
    drop(rootfs);
    let collected = store.images.collect_garbage().await.expect("collected");
    assert_eq!((collected.blobs, collected.layers), (0, 0));
    assert!(clone.lower_dirs[0].join("a").exists());
    drop(clone);
    let collected = store.images.collect_garbage().await.expect("collected");
    // Manifest and config; the layer and the root file system of it.
    assert_eq!((collected.blobs, collected.layers), (2, 2));
    assert_eq!((store.list("layers"), store.list("blobs")), (Vec::<String>::new(), Vec::<String>::new()));
    assert!(matches!(store.images.rootfs(&prepared.digest).await, Err(Error::NotPrepared { .. })));
    store.prepare(&registry.reference("v1")).await.expect("prepared anew");
}

#[tokio::test]
async fn a_tag_alone_keeps_blobs_but_no_root_file_system() {
    let (store, registry) = (store().await, Registry::start().await);
    let image = small("tagged");
    store.push(&image).await;
    let prepared = store.prepare(&registry.serve("v1", &image)).await.expect("a good image");
    store.images.content().pin("registry/app:v1", &prepared.digest).await.expect("there");
    assert_eq!(store.images.collect_garbage().await.expect("collected").layers, 0);
    store.images.unpin("test/owner").await.expect("unpinned");
    let collected = store.images.collect_garbage().await.expect("collected");
    assert_eq!((collected.blobs, collected.layers), (0, 2));
    registry.requests();
    let error = store.images.pin("again", &prepared.digest).await.expect_err("its layers are gone");
    assert!(matches!(error, Error::NotPrepared { .. }), "{error}");
    let reference = format!("{}@{}", registry.reference("v1"), prepared.digest);
    store.prepare(&reference).await.expect("from the blobs");
    assert_eq!(registry.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn what_nobody_needs_stays_as_far_as_there_is_room_for_it() {
    let (store, registry) =
        (store_with(image::Config { unpinned_bytes_max: 1 << 20, ..config() }).await, Registry::start().await);
    let (old, new) = (image(&[layer(&[("old", &noise(700_000, 1))])]), image(&[layer(&[("new", &noise(700_000, 2))])]));
    let old = store.prepare(&registry.serve("old", &old)).await.expect("a good image");
    let new = store.prepare(&registry.serve("new", &new)).await.expect("a good image");
    store.images.unpin("test/owner").await.expect("unpinned");
    let collected = store.images.collect_garbage().await.expect("collected");
    assert!(collected.bytes >= 700_000, "{collected:?}");
    assert!(matches!(store.images.rootfs(&old.digest).await, Err(Error::NotPrepared { .. })));
    store.images.rootfs(&new.digest).await.expect("the one used last stays");
    assert_eq!(store.images.collect_garbage().await.expect("collected"), image::Collected::default());
}

#[tokio::test]
async fn a_damaged_manifest_neither_ends_the_collection_nor_loses_what_it_named() {
    let store = store().await;
    let (image, other) = (small("damaged"), small("other"));
    store.push(&image).await;
    store.push(&other).await;
    store.images.content().pin("a", &image.digest()).await.expect("there");
    std::fs::write(store.dir.path().join("blobs").join(image.digest().hex()), "{}").expect("written");
    let collected = store.images.collect_garbage().await.expect("collected");
    assert_eq!(collected.blobs, 3, "those of the other image");
    let mut left: Vec<_> = image.blobs().iter().map(|blob| digest(blob).hex().to_owned()).collect();
    left.sort();
    assert_eq!(store.list("blobs"), left, "the manifest was set aside");
    // After another push the image is complete.
    store.images.content().put(&image.digest(), image.manifest_bytes()).await.expect("room");
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 0);
    store.images.content().unpin("a").await.expect("unpinned");
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 3);
    assert_eq!(store.list("reach"), Vec::<String>::new());
}

#[tokio::test]
async fn a_document_that_cannot_be_read_and_is_not_remembered_keeps_everything() {
    let store = store().await;
    let (image, other) = (small("unreadable"), small("other"));
    store.push(&image).await;
    store.push(&other).await;
    store.images.content().pin("a", &image.digest()).await.expect("there");
    std::fs::remove_file(store.dir.path().join("reach").join(format!("{}.json", image.digest().hex()))).expect("there");
    // Reading this file fails with EIO, as on a failing disk.
    let path = store.dir.path().join("blobs").join(image.digest().hex());
    std::fs::remove_file(&path).expect("there");
    std::os::unix::fs::symlink("/proc/self/mem", &path).expect("made");
    assert_eq!(store.images.collect_garbage().await.expect("ended"), image::Collected::default());
    std::fs::remove_file(&path).expect("there");
    store.push(&image).await;
    assert_eq!(store.images.collect_garbage().await.expect("collected").blobs, 3);
}

#[tokio::test]
async fn collections_beside_preparations_take_nothing_that_is_needed() {
    let (store, registry) = (store().await, Registry::start().await);
    let shared = layer(&[("shared", "layer")]);
    let references: Vec<_> = (0..12)
        .map(|i| registry.serve(&format!("v{i}"), &image(&[shared.clone(), layer(&[("own", &i.to_string())])])))
        .collect();
    let collecting = async {
        for _ in 0..40 {
            store.images.collect_garbage().await.expect("collected");
            tokio::task::yield_now().await;
        }
    };
    let preparing = async {
        for reference in &references {
            let prepared = store.prepare(reference).await.expect("a good image");
            let rootfs = store.images.rootfs(&prepared.digest).await.expect("just prepared");
            assert!(rootfs.lower_dirs.iter().all(|dir| dir.exists()));
        }
    };
    futures_util::join!(collecting, preparing);
}

/// Operations on a store, over a few images that share layers.
#[derive(Debug, Clone)]
enum Event {
    Push(usize),
    Pin(u8, usize),
    Unpin(u8),
    Collect,
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..4usize).prop_map(Event::Push),
        (0..3u8, 0..4usize).prop_map(|(owner, image)| Event::Pin(owner, image)),
        (0..3u8).prop_map(Event::Unpin),
        Just(Event::Collect),
        Just(Event::Restart),
    ]
}

async fn play(events: Vec<Event>) {
    let layers: Vec<_> = (0..3).map(|i| layer(&[("a", &format!("layer {i}"))])).collect();
    let images: Vec<_> = [&layers[..1], &layers[..2], &layers[1..], &layers[2..]].into_iter().map(image).collect();
    let mut store = store().await;
    let mut pins: HashMap<u8, usize> = HashMap::new();
    for event in events {
        match event {
            Event::Push(i) => store.push(&images[i]).await,
            Event::Pin(owner, i) => {
                if store.images.content().pin(&owner.to_string(), &images[i].digest()).await.is_ok() {
                    pins.insert(owner, i);
                }
            }
            Event::Unpin(owner) => {
                store.images.content().unpin(&owner.to_string()).await.expect("unpinned");
                pins.remove(&owner);
            }
            Event::Collect => {
                store.images.collect_garbage().await.expect("collected");
            }
            Event::Restart => store = store.restart(config()).await,
        }
        for i in pins.values() {
            // Content at the time of the pin: all of it or, if blobs were collected before, at
            // least the manifest.
            assert!(store.list("blobs").contains(&images[*i].digest().hex().to_owned()));
        }
    }
    for image in &images {
        store.push(image).await;
    }
    store.images.collect_garbage().await.expect("collected");
    let needed: HashSet<_> = pins
        .values()
        .flat_map(|i| images[*i].blobs().into_iter().chain([images[*i].manifest_bytes()]))
        .map(|blob| digest(&blob).hex().to_owned())
        .collect();
    assert_eq!(store.list("blobs").into_iter().collect::<HashSet<_>>(), needed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_pins_reach_is_left(events in proptest::collection::vec(event(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(events));
    }
}
