//! Group commit, failed commits, and the ends of writing.

use super::*;

fn writer() -> (tempfile::TempDir, Writer) {
    writer_with(&Config::default())
}

fn writer_with(config: &Config) -> (tempfile::TempDir, Writer) {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("events.db");
    let connection = sqlite::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
    (folder, Writer::start(path, connection, config).unwrap())
}

fn log_bytes(folder: &tempfile::TempDir) -> u64 {
    std::fs::metadata(folder.path().join("events.db-wal")).map_or(0, |log| log.len())
}

fn insert(n: i64) -> impl FnOnce(&Connection) -> Result<(), Error> + Send {
    move |connection| Ok(connection.execute("INSERT INTO t VALUES (?1)", [n]).map(drop)?)
}

async fn count(writer: &Writer) -> i64 {
    let count = |connection: &Connection| Ok(connection.query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0))?);
    writer.write(0, count).await.unwrap()
}

#[tokio::test]
async fn a_change_that_fails_leaves_the_others_of_its_commit() {
    let (_folder, writer) = writer();
    let half = |connection: &Connection| {
        connection.execute("INSERT INTO t VALUES (100)", [])?;
        insert(1)(connection)
    };
    let (first, second, third) =
        tokio::join!(writer.write(0, insert(1)), writer.write(0, half), writer.write(0, insert(2)));
    assert!(first.is_ok() && third.is_ok());
    assert!(matches!(second, Err(Error::Write(_))), "1 is there already");
    assert_eq!(count(&writer).await, 2, "nothing of the failed change is kept");
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_fails_all_of_it_and_the_next_works() {
    let (_folder, writer) = writer();
    let full = |connection: &Connection| {
        // As SQLite does itself when the disk is full.
        connection.execute_batch("ROLLBACK")?;
        Ok(())
    };
    let (first, lost) = tokio::join!(writer.write(0, insert(1)), writer.write(0, full));
    assert!(lost.is_err());
    assert_eq!(count(&writer).await, i64::from(first.is_ok()), "what was acknowledged is there");
    writer.write(0, insert(2)).await.unwrap();
}

#[tokio::test]
async fn the_log_stays_within_its_bound_while_a_reader_looks_on_and_is_empty_at_the_end() {
    const BOUND: u64 = 1 << 20;
    let (folder, writer) = writer_with(&Config { wal_bytes_max: BOUND, ..Config::default() });
    let reader = sqlite::open_reader(&folder.path().join("events.db")).unwrap();
    let count = || reader.query_row("SELECT COUNT(*) FROM big", [], |row| row.get::<_, i64>(0)).unwrap();
    let table = |connection: &Connection| Ok(connection.execute_batch("CREATE TABLE big (bytes BLOB)")?);
    writer.write(0, table).await.unwrap();
    let mut longest = 0;
    for n in 0..300 {
        let big = |connection: &Connection| {
            Ok(connection.execute("INSERT INTO big VALUES (zeroblob(20000))", []).map(drop)?)
        };
        writer.write(0, big).await.unwrap();
        assert_eq!(count(), n + 1, "a reader sees each commit, wherever its pages are");
        longest = longest.max(log_bytes(&folder));
    }
    assert!(longest > BOUND / 2, "the log is used: {longest}");
    assert!(longest <= BOUND + 100_000, "one commit more than the bound at most: {longest}");
    drop(writer);
    while log_bytes(&folder) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(count(), 300);
}

#[tokio::test]
async fn a_checkpoint_that_is_not_synced_ends_all_writing_and_any_other_failure_does_not() {
    let failed = |code| SqlError::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    let halted = OnceLock::new();
    checkpoint_failed(&failed(rusqlite::ffi::SQLITE_FULL), &halted);
    assert!(halted.get().is_none());
    checkpoint_failed(&failed(SQLITE_IOERR_FSYNC), &halted);
    assert!(halted.get().is_some());
}

/// Locks that this process has on a file, as the kernel lists them.
fn locks_on(path: &std::path::Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let file = format!(":{} ", std::fs::metadata(path).unwrap().ino());
    let owner = format!(" {} ", std::process::id());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().filter(|lock| lock.contains(&owner) && lock.contains(&file)).count()
}

#[tokio::test]
async fn a_commit_that_failed_leaves_the_locks_that_keep_others_from_the_log() {
    let (folder, writer) = writer();
    let path = folder.path().join("events.db");
    let reader = sqlite::open_reader(&path).unwrap();
    writer.write(0, insert(1)).await.unwrap();
    reader.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(locks_on(&path) > 0);
    let lost = writer.write(0, |connection| Ok(connection.execute_batch("ROLLBACK")?)).await;
    assert!(lost.is_err());
    writer.write(0, insert(2)).await.unwrap();
    assert!(locks_on(&path) > 0, "another process that closes the file would delete the log");
}

#[tokio::test]
async fn a_file_that_is_gone_ends_all_writing() {
    for name in ["events.db", "events.db-wal"] {
        let (folder, writer) = writer();
        writer.write(0, insert(1)).await.unwrap();
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let lost = writer.write(0, insert(2)).await.unwrap_err().to_string();
        assert!(lost.contains(name) && lost.contains("was moved, removed or replaced"), "{lost}");
        assert!(matches!(writer.write(0, insert(3)).await, Err(Error::Halted(_))));
        assert!(!folder.path().join("events.db").exists() || name != "events.db", "no empty one takes its place");
    }
}

#[tokio::test]
async fn a_damaged_page_ends_all_writing() {
    let (folder, writer) = writer();
    writer.write(0, insert(1)).await.unwrap();
    let root = |connection: &Connection| {
        Ok(connection
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 't'", [], |row| row.get::<_, u32>(0))?)
    };
    let root = writer.write(0, root).await.unwrap();
    drop(writer);
    while log_bytes(&folder) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let path = folder.path().join("events.db");
    let connection = sqlite::open(&path).unwrap();
    let page_bytes: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    drop(connection);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 512], u64::from((root - 1) * page_bytes)).unwrap();
    let writer = Writer::start(path.clone(), sqlite::open(&path).unwrap(), &Config::default()).unwrap();
    let lost = writer.write(0, insert(2)).await.unwrap_err();
    assert!(matches!(lost, Error::Damaged(_)), "{lost}");
    let refused = writer.write(0, insert(3)).await.unwrap_err();
    assert!(matches!(refused, Error::Halted(_)), "{refused}");
}

#[tokio::test]
async fn a_failed_sync_ends_all_writing() {
    let failed = |code| SqlError::SqliteFailure(rusqlite::ffi::Error::new(code), None);
    assert!(is_sync_failure(&failed(SQLITE_IOERR_FSYNC)) && is_sync_failure(&failed(IOERR_DIR_FSYNC)));
    assert!(!is_sync_failure(&failed(rusqlite::ffi::SQLITE_FULL)));
}

#[tokio::test]
async fn what_follows_a_change_happens_also_when_its_caller_went_away() {
    let (_folder, writer) = writer();
    let (done, heard) = oneshot::channel();
    let settled = move |outcome: &Result<(), Error>| {
        let _ = done.send(outcome.is_ok());
    };
    let mut write = Box::pin(writer.write_then(0, insert(1), settled));
    assert!(futures_util::poll!(&mut write).is_pending());
    drop(write);
    assert_eq!(heard.await, Ok(true));
}
