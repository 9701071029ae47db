//! Stores the deliveries of an ended event together with its end.

use rusqlite::Connection;

use crate::config::Config;
use crate::delivery::{self, CHAIN_DEPTH_MAX, Ending, LastRun};
use crate::error::Error;
use crate::policy::retry::{Next, Reason};
use crate::run::Run;
use crate::sqlite::claimed::Claimed;
use crate::sqlite::deliveries;
use crate::sqlite::finish::End;
use crate::sqlite::terminate;

/// The outcome after a run, if the event has ended.
pub(crate) fn ending(next: Next) -> Option<Ending> {
    match next {
        Next::Finished => Some(Ending::Success),
        Next::Aborted => Some(Ending::Aborted),
        Next::Dead(reason) => Some(Ending::Dead(reason)),
        Next::Again { .. } | Next::Wait { .. } => None,
    }
}

/// The error of a chain that ends here.
pub(crate) fn chain_too_deep() -> String {
    format!("{CHAIN_DEPTH_MAX} events have led here, each caused by a run or the end of the one before")
}

/// Stores the deliveries of an end, together with it; one that may not be sent is a dead letter.
/// Returns how many deliveries were added.
pub(crate) fn send(
    connection: &Connection,
    event: &Claimed,
    (ending, end): (Ending, &End),
    run: &LastRun,
    waiting: u64,
    config: &Config,
) -> Result<u64, Error> {
    let mut stored = 0;
    for of in delivery::deliveries(event, ending, end, run, config.record_bytes_max) {
        let refused = if of.depth > CHAIN_DEPTH_MAX {
            Some((Reason::ChainTooDeep.as_str(), chain_too_deep()))
        } else if waiting + stored >= config.delivery_rows_max {
            let limit = config.delivery_rows_max;
            Some(("destination_full", format!("{limit} deliveries wait, as many as events.delivery_rows_max allows")))
        } else {
            None
        };
        match refused {
            Some((reason, why)) => {
                deliveries::bury(connection, &of, reason, 0, &why, end.now_ms, config.dead_letters_max)?;
            }
            None => {
                deliveries::insert(connection, &of, end.now_ms, config.delivery_ttl_s)?;
                stored += 1;
            }
        }
    }
    Ok(stored)
}

/// Stores the deliveries of an event that is terminated while it does not run.
pub(crate) fn send_aborted(
    connection: &Connection,
    event: &Claimed,
    run: &dyn Run,
    waiting: u64,
    now_ms: i64,
    config: &Config,
) -> Result<u64, Error> {
    let destinations = run.destinations(&event.address, &event.request_id);
    let last = LastRun { destinations, ..LastRun::default() };
    send(connection, event, (Ending::Aborted, &terminate::end(event, now_ms)), &last, waiting, config)
}
