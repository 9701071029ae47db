//! Tables and properties of the instance table, by theme; this file has what they share.

mod ends;
mod idle;
mod properties;
mod starts;

use super::starts::Started;
use super::*;

type Table = InstanceTable;

const NONE: [SlotIndex; 0] = [];
const RUN: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    // Instants have no zero; all tests count from the first one that is asked for.
    static ZERO: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *ZERO.get_or_init(Instant::now) + Duration::from_secs(seconds)
}

fn new_table(concurrency: u32) -> Table {
    let s = Duration::from_secs;
    Table::new(concurrency, KeepAlivePolicy { cold_start: s(60), keep_min: s(2), keep_max: s(600) })
}

fn queue(table: &mut Table, requests: usize) -> Vec<WaiterId> {
    (0..requests).map(|_| table.wait(at(0))).collect()
}

/// A table with one started instance, leased to nobody.
fn with_idle(concurrency: u32) -> (Table, SlotIndex) {
    let mut table = new_table(concurrency);
    let waiter = table.wait(at(0));
    assert_eq!(table.begin_start(), Some(waiter));
    assert!(table.cancel(waiter));
    let started = table.started(Some(waiter), Age::Current, Duration::ZERO, at(0));
    assert_eq!(started, Started { slot: started.slot, granted: vec![], end: false });
    let slot = started.slot;
    (table, slot)
}
