//! The content store: content is complete and verified, pins survive, and drafts are removed.

mod support;

use bytes::Bytes;
use content_store::Error;
use support::{config, digest, image, layer, noise, store};

#[tokio::test]
async fn an_upload_is_visible_only_when_it_is_whole() {
    let store = store().await;
    let content = store.images.content();
    let text = Bytes::from(noise(5_000_000, 3));
    let expected = digest(&text);
    let mut upload = content.begin_upload().await.expect("room");
    for chunk in text.chunks(70_001) {
        upload.write(Bytes::copy_from_slice(chunk)).await.expect("room");
    }
    assert_eq!(upload.offset(), text.len() as u64);
    assert_eq!(content.size(&expected).await.expect("readable"), None);
    assert_eq!(upload.commit(Some(&expected)).await.expect("the right digest"), expected);
    assert_eq!(content.size(&expected).await.expect("readable"), Some(text.len() as u64));
    let (mut file, size) = content.open(&expected).await.expect("readable").expect("there");
    let mut read = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut file, &mut read).await.expect("readable");
    assert_eq!((Bytes::from(read), size), (text, 5_000_000));
    store.assert_clean().await;
}

#[tokio::test]
async fn uploads_that_are_wrong_or_given_up_leave_nothing() {
    let store = store().await;
    let content = store.images.content();
    let mut wrong = content.begin_upload().await.expect("room");
    wrong.write(Bytes::from_static(b"abc")).await.expect("room");
    let error = wrong.commit(Some(&digest(b"other"))).await.expect_err("another digest");
    assert!(matches!(error, Error::DigestMismatch { ref actual, .. } if *actual == digest(b"abc")), "{error}");
    let mut dropped = content.begin_upload().await.expect("room");
    dropped.write(Bytes::from_static(b"abc")).await.expect("room");
    drop(dropped);
    let empty = content.begin_upload().await.expect("room").commit(None).await.expect("nothing is content too");
    assert_eq!(empty, digest(b""));
    assert!(content.put(&digest(b"x"), Bytes::from_static(b"y")).await.is_err());
    store.assert_clean().await;
    assert_eq!(store.list("blobs"), [digest(b"").hex()]);
}

#[tokio::test]
async fn uploads_have_their_own_ids() {
    let store = store().await;
    let one = store.images.content().begin_upload().await.expect("room");
    let two = store.images.content().begin_upload().await.expect("room");
    assert_ne!(one.id(), two.id());
}

#[tokio::test]
async fn small_content_is_read_whole_within_its_limit_and_checked_again() {
    let store = store().await;
    let content = store.images.content();
    let (text, key) = (Bytes::from_static(b"hello"), digest(b"hello"));
    assert_eq!(content.read_small(&key, 5).await.expect("nothing there"), None);
    content.put(&key, text.clone()).await.expect("room");
    assert_eq!(content.read_small(&key, 5).await.expect("fits"), Some(text));
    assert!(matches!(content.read_small(&key, 4).await, Err(Error::ContentTooLarge { size: 5, limit: 4, .. })));
    std::fs::write(store.dir.path().join("blobs").join(key.hex()), "jello").expect("written");
    assert!(matches!(content.read_small(&key, 5).await, Err(Error::Damaged { .. })));
}

#[tokio::test]
async fn pins_of_any_owner_survive_a_restart() {
    let store = store().await;
    let image = image(&[layer(&[("a", "1")])]);
    store.push(&image).await;
    let long = format!("registry/{}:{}", "r/".repeat(200), "t".repeat(128));
    let owners = ["function/lam-0/$LATEST/3", "registry/a/b:c", "..", "", "ключ\n\0/", &long];
    for owner in owners {
        store.images.content().pin(owner, &image.digest()).await.expect("there");
    }
    let store = store.restart(config()).await;
    let content = store.images.content();
    let mut expected: Vec<_> = owners.iter().map(|owner| ((*owner).to_owned(), image.digest())).collect();
    expected.sort();
    assert_eq!(content.pins(""), expected);
    assert_eq!(content.pins("registry/").len(), 2);
    content.unpin("..").await.expect("removed");
    content.unpin("..").await.expect("nothing to remove");
    let store = store.restart(config()).await;
    assert_eq!(store.images.content().pinned(".."), None);
    assert_eq!(store.images.content().pins("").len(), owners.len() - 1);
}

#[tokio::test]
async fn a_pin_needs_content_and_takes_the_place_of_the_owners_last() {
    let store = store().await;
    let (one, two) = (image(&[layer(&[("a", "1")])]), image(&[layer(&[("a", "2")])]));
    let content = store.images.content();
    assert!(matches!(content.pin("me", &one.digest()).await, Err(Error::UnknownContent { .. })));
    assert_eq!(content.pinned("me"), None);
    store.push(&one).await;
    store.push(&two).await;
    content.pin("me", &one.digest()).await.expect("there");
    content.pin("me", &two.digest()).await.expect("there");
    assert_eq!(content.pins(""), [("me".to_owned(), two.digest())]);
}

#[tokio::test]
async fn what_a_crash_left_half_made_goes_at_the_next_start() {
    let store = store().await;
    let drafts = store.dir.path().join("drafts");
    std::fs::create_dir_all(drafts.join("layer/fs/etc")).expect("made");
    std::fs::write(drafts.join("layer/fs/etc/passwd"), "half").expect("written");
    std::fs::write(drafts.join("upload"), "half").expect("written");
    let store = store.restart(config()).await;
    store.assert_clean().await;
    assert_eq!((store.list("blobs"), store.list("layers")), (Vec::<String>::new(), Vec::<String>::new()));
}

#[tokio::test]
async fn strangers_cannot_enter_the_store() {
    let store = store().await;
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(store.dir.path()).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o700, "root file systems hold set-uid files");
}

#[tokio::test]
async fn a_damaged_pin_is_set_aside_and_nothing_is_collected_before_it_is_made_again() {
    let store = store().await;
    let image = image(&[layer(&[("a", "1")])]);
    store.push(&image).await;
    for owner in ["whole", "halved"] {
        store.images.content().pin(owner, &image.digest()).await.expect("there");
    }
    let path = store.dir.path().join("pins").join(format!("{}.json", digest(b"halved").hex()));
    let text = std::fs::read_to_string(&path).expect("there");
    std::fs::write(&path, &text[..text.len() / 2]).expect("written");
    let store = store.restart(image::Config { start_keep_s: 600, ..config() }).await;
    let content = store.images.content();
    assert_eq!((content.pinned("whole"), content.pinned("halved")), (Some(image.digest()), None));
    assert!(store.list("damaged").iter().any(|name| name.contains("-pin-")), "{:?}", store.list("damaged"));
    assert!(content.keeps_all());
    content.pin("halved", &image.digest()).await.expect("made again");
}
