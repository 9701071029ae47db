//! A queue with many waiting events, created while no platform has it open.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Copies the waiting row; the first argument is the file, the second the number of rows.
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

/// Turns the single event in a stopped platform's queue into `rows` waiting events.
pub fn multiply(data: &Path, rows: usize) -> anyhow::Result<()> {
    let file = data.join("events.db");
    let mut python = Command::new("python3");
    let status = python.args(["-c", MULTIPLY]).arg(&file).arg(rows.to_string()).status();
    ensure!(status.context("cannot run python3")?.success(), "python3 could not fill {}", file.display());
    Ok(())
}

/// Removes a stopped platform's queue; the next start creates a new file.
pub fn clear(data: &Path) -> anyhow::Result<()> {
    for name in ["events.db", "events.db-wal", "events.db-shm"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
