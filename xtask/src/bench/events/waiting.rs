//! A queue with many waiting events, made while no platform has it open.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Makes so many rows of the one that waits: the first argument is the file, the second how many.
const MULTIPLY: &str = r#"
import sqlite3, sys
queue = sqlite3.connect(sys.argv[1])
columns = [row[1] for row in queue.execute("PRAGMA table_info(events)") if row[1] not in ("id", "request_id")]
names = ", ".join(columns)
given = queue.execute(f"SELECT {names} FROM events").fetchone()
queue.execute("DELETE FROM events")
marks = ", ".join("?" * len(columns))
ids = ("%08x-0000-4000-8000-%012x" % (number, number) for number in range(int(sys.argv[2])))
queue.executemany(f"INSERT INTO events (request_id, {names}) VALUES (?, {marks})", ((id,) + given for id in ids))
queue.commit()
queue.execute("PRAGMA wal_checkpoint(TRUNCATE)")
queue.close()
"#;

/// Makes `rows` waiting events of the one that a stopped platform's queue holds.
pub fn multiply(data: &Path, rows: usize) -> anyhow::Result<()> {
    let file = data.join("events.db");
    let mut python = Command::new("python3");
    let status = python.args(["-c", MULTIPLY]).arg(&file).arg(rows.to_string()).status();
    ensure!(status.context("cannot run python3")?.success(), "python3 could not fill {}", file.display());
    Ok(())
}

/// Empties a stopped platform's queue; the next start makes a new file.
pub fn clear(data: &Path) -> anyhow::Result<()> {
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
