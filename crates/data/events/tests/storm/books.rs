//! Compares the records of a storm's processes with the file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// The records.
#[derive(Debug, Default)]
pub struct Books {
    /// Event of each key that was acknowledged.
    pub acknowledged: BTreeMap<String, String>,
    /// Keys that were sent and not answered.
    pub unanswered: BTreeSet<String>,
    /// Runs that began, of each event.
    runs: HashMap<String, usize>,
    /// Events that ran for a key.
    events: HashMap<String, BTreeSet<String>>,
}

impl Books {
    /// Reads them; a line that a kill cut off has no line end.
    pub fn read(folder: &Path) -> Self {
        let mut books = Self::default();
        for line in lines(folder, "acknowledged") {
            let (key, id) = line.split_once(' ').unwrap();
            books.acknowledged.insert(key.to_owned(), id.to_owned());
        }
        let sent = lines(folder, "sent").into_iter();
        books.unanswered = sent.filter(|key| !books.acknowledged.contains_key(key)).collect();
        for line in lines(folder, "runs") {
            let (id, key) = line.split_once(' ').unwrap();
            *books.runs.entry(id.to_owned()).or_default() += 1;
            books.events.entry(key.to_owned()).or_default().insert(id.to_owned());
        }
        books
    }

    /// Compares them; `claimed` counts the kills at which an event was claimed.
    pub fn check(&self, folder: &Path, claimed: &HashMap<String, usize>) {
        let lost: Vec<_> = self.acknowledged.values().filter(|id| !self.runs.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{} of {} never ran: {lost:?}", lost.len(), self.acknowledged.len());
        let runs_max = |id: &str| 1 + claimed.get(id).copied().unwrap_or_default();
        let often: Vec<_> = self.runs.iter().filter(|(id, runs)| **runs > runs_max(id)).collect();
        assert!(often.is_empty(), "ran again though their ends were committed: {often:?}");
        let doubled: Vec<_> = self.events.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(doubled.is_empty(), "two events of one key: {doubled:?}");
        self.check_states(folder, runs_max);
        let again = self.runs.values().filter(|runs| **runs > 1).count();
        println!("{} acknowledged, {} ran, {again} of them again", self.acknowledged.len(), self.runs.len());
    }

    fn check_states(&self, folder: &Path, runs_max: impl Fn(&str) -> usize) {
        let connection = Connection::open(folder.join("events.db")).unwrap();
        let count = |table: &str| -> i64 {
            connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert_eq!((count("events"), count("dead_letters")), (0, 0));
        assert_eq!(count("runs"), self.runs.len() as i64, "each event that ran has a state, and no other has one");
        let mut statement = connection.prepare("SELECT request_id, state, status, attempts FROM runs").unwrap();
        let states = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        for state in states {
            let (id, state, status, attempts): (String, i64, i64, i64) = state.unwrap();
            assert_eq!((state, status), (1, 200), "{id}");
            // A claim whose process ended before the run began counts too.
            let bounds = self.runs[&id] as i64..=runs_max(&id) as i64;
            assert!(bounds.contains(&attempts), "{id} has {attempts} attempts, not {bounds:?}");
        }
    }
}

fn lines(folder: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// Claimed events in the file that a kill left; read from a copy, which the next process does not
/// see.
pub fn claimed(folder: &Path) -> Vec<String> {
    let copy = TempDir::new().unwrap();
    for name in ["events.db", "events.db-wal"] {
        match std::fs::copy(folder.join(name), copy.path().join(name)) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
        }
    }
    let path = copy.path().join("events.db");
    if !path.exists() {
        return Vec::new();
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(path, flags).unwrap();
    let Ok(mut statement) = connection.prepare("SELECT request_id FROM events WHERE state = 1") else {
        // Killed before the schema was created.
        return Vec::new();
    };
    let ids = statement.query_map([], |row| row.get(0)).unwrap();
    ids.collect::<Result<_, _>>().unwrap()
}
