//! Copies of the database: consistent during writes, verified before use, never overwriting a file.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use store::{Error, FileError, Store};
use support::{Home, active, image, latest, new_function};
use types::VersionName;

#[tokio::test]
async fn a_copy_beside_a_running_store_opens_as_it_was() {
    let home = Home::new();
    let store = home.open().await;
    let version = active(&store, "hello", image(1)).await;
    store.create_function(new_function("pending")).await.unwrap();
    let copy = home.dir.path().join("copy.db");
    let images = store::backup(&home.path(), &copy).await.unwrap();
    assert_eq!(images.len(), 1, "what was never served needs no image");
    assert_eq!((images[0].version, &images[0].image), (VersionName::Latest, &image(1)));
    assert_eq!(images, store::verify(&copy).await.unwrap());
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    active(&store, "later", image(2)).await;
    let restored = Store::open(&copy, home.config.clone()).await.unwrap();
    assert_eq!(latest(&restored, "hello").await, version);
    assert!(support::entry(&restored, "later").is_none());
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over() {
    let home = Home::new();
    let _store = home.open().await;
    let file = home.dir.path().join("letter.txt");
    fs::write(&file, "dear reader").unwrap();
    assert!(matches!(store::backup(&home.path(), &file).await, Err(Error::File(FileError::Create { .. }))));
    assert_eq!(fs::read_to_string(&file).unwrap(), "dear reader");
}

#[tokio::test]
async fn what_is_no_whole_copy_is_refused() {
    let home = Home::new();
    let store = home.open().await;
    for n in 0..50 {
        active(&store, &format!("hello{n}"), image(1)).await;
    }
    let copy = home.dir.path().join("copy.db");
    store::backup(&home.path(), &copy).await.unwrap();
    let bytes = fs::read(&copy).unwrap();
    for content in [&b""[..], b"no database at all", &bytes[..bytes.len() / 2]] {
        fs::write(&copy, content).unwrap();
        assert!(
            matches!(store::verify(&copy).await, Err(Error::File(FileError::Damaged { .. }))),
            "{} bytes",
            content.len()
        );
    }
}
