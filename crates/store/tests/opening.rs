//! Opening: created files, survival of a kill, and errors for unusable files.

#![allow(clippy::unwrap_used)] // A test may fail where it stands.

mod support;

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::{Error, FileError};
use support::{Home, active, image, key, latest, new_function};

/// The complete error message for a user.
fn report(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

async fn execute(home: &Home, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(home.path());
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn folder_and_file_are_made_for_their_owner_only() {
    let home = Home::new();
    let _store = home.open().await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.path().parent().unwrap()), 0o700);
    for entry in fs::read_dir(home.path().parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_once() {
    let home = Home::new();
    let store = home.open().await;
    let version = active(&store, "hello", image(1)).await;
    // The files as after a kill: nothing is closed or checkpointed.
    let copy = Home::new();
    fs::create_dir(copy.path().parent().unwrap()).unwrap();
    for end in ["", "-wal"] {
        let with = |home: &Home| format!("{}{end}", home.path().display());
        fs::copy(with(&home), with(&copy)).unwrap();
    }
    let reopened = copy.open().await;
    assert_eq!(latest(&reopened, "hello").await, version);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let home = Home::new();
    fs::create_dir(home.path().parent().unwrap()).unwrap();
    fs::write(home.path(), "this is no database, but it is long enough to look like one".repeat(100)).unwrap();
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::Damaged { .. })), "{}", report(&error));
    assert!(error.to_string().contains(&home.path().display().to_string()));
}

#[tokio::test]
async fn a_damaged_database_is_named() {
    let home = Home::new();
    let store = home.open().await;
    for n in 0..100 {
        active(&store, &format!("hello{n}"), image(1)).await;
    }
    drop(store);
    execute(&home, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    let length = fs::metadata(home.path()).unwrap().len();
    let mut file = fs::File::options().write(true).open(home.path()).unwrap();
    // The header stays intact, so that the file is recognised as a database.
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xa5; usize::try_from(length).unwrap() - 4096]).unwrap();
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::Damaged { .. })), "{}", report(&error));
}

#[tokio::test]
async fn a_record_that_makes_no_sense_is_named() {
    let home = Home::new();
    let store = home.open().await;
    active(&store, "hello", image(1)).await;
    execute(&home, "UPDATE versions SET status = 'Dancing'").await;
    let error = store.function(&key("hello")).await.unwrap_err();
    let text = report(&error);
    assert!(text.starts_with("cannot read function default/hello in the database: "), "{text}");
    assert!(text.contains("\"Dancing\" is no state of a version"), "{text}");
    drop(store);
    assert!(matches!(home.try_open().await, Err(Error::File(FileError::Damaged { .. }))));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let home = Home::new();
    drop(home.open().await);
    execute(
        &home,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9000, 'from the future', TRUE, x'00', 0)",
    )
    .await;
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::Newer { migration: 9000, .. })), "{}", report(&error));
    assert!(error.to_string().contains("was written by a newer version of Sampan"));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let home = Home::new();
    let in_the_way = home.path().parent().unwrap().to_owned();
    fs::write(&in_the_way, "a file where the folder should be").unwrap();
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::CreateFolder { .. })), "{}", report(&error));
    assert!(error.to_string().contains(&in_the_way.display().to_string()));
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named() {
    let home = Home::new();
    // A folder in its place cannot be opened as a file, not even by root.
    fs::create_dir_all(home.path()).unwrap();
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::Create { .. })), "{}", report(&error));
    assert!(error.to_string().contains("make it writable"));
}

#[tokio::test]
async fn another_process_that_keeps_the_database_locked_is_waited_for_within_the_limit() {
    let home = Home::with(store::Config { busy_timeout_ms: 50, ..store::Config::default() });
    let store = home.open().await;
    let options = SqliteConnectOptions::new().filename(home.path());
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let error = store.create_function(support::new_function("hello")).await.unwrap_err();
    assert!(report(&error).contains("locked"), "{}", report(&error));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    store.create_function(support::new_function("hello")).await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_cut_is_found_at_the_start() {
    let home = Home::new();
    let store = home.open().await;
    for n in 0..200 {
        active(&store, &format!("hello{n}"), image(1)).await;
    }
    store.close().await;
    let whole = fs::metadata(home.path()).unwrap().len();
    fs::OpenOptions::new().write(true).open(home.path()).unwrap().set_len(whole / 2 / 4096 * 4096).unwrap();
    let error = home.try_open().await.unwrap_err();
    assert!(matches!(error, Error::File(FileError::Damaged { .. })), "{}", report(&error));
    assert!(error.to_string().contains("sampan restore"), "{error}");
}

#[tokio::test]
async fn a_store_that_was_closed_lies_in_one_file() {
    let home = Home::new();
    let store = home.open().await;
    let version = active(&store, "hello", image(1)).await;
    store.close().await;
    let folder = home.path().parent().unwrap().to_owned();
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["sampan.db"]);
    assert!(store.create_function(new_function("late")).await.is_err());
    assert_eq!(latest(&home.open().await, "hello").await, version);
}
