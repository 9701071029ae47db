//! The end of a run: the row moves on, waits again, or becomes a dead letter.

use rusqlite::{Connection, named_params};
use types::{ExitStatus, RunStatus};

use super::claimed::Claimed;
use super::row::state_number;
use crate::error::Error;
use crate::event::RunState;

/// Outcome of a run.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// `None` when no run took place.
    pub status: Option<RunStatus>,
    /// Number of runs that began.
    pub attempts: u32,
    /// Exit status of a job image's program.
    pub exit: Option<ExitStatus>,
    pub result: Option<String>,
    /// Bytes of the result before truncation; `None` where it is complete.
    pub result_bytes: Option<u64>,
    pub now_ms: i64,
}

/// Whether the claim was still valid; a run whose claim has another owner changes nothing.
pub(crate) type Stood = bool;

/// Moves an event to `runs`.
pub(crate) fn finish(
    connection: &Connection,
    owner: &str,
    event: &Claimed,
    state: RunState,
    end: &End,
) -> Result<Stood, Error> {
    if !remove(connection, owner, event)? {
        return Ok(false);
    }
    keep(connection, event, state, end)?;
    Ok(true)
}

/// Stores the end of an event.
pub(super) fn keep(connection: &Connection, event: &Claimed, state: RunState, end: &End) -> Result<(), Error> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO runs (request_id, namespace, function, function_id, \
         qualifier, invoke_type, state, status, \
         attempts, accepted_ms, ended_ms, result, result_bytes, exit_code, exit_signal, out_of_memory, \
         kept_bytes) \
         VALUES (:id, :namespace, :function, :function_id, \
         :qualifier, :kind, :state, \
         :status, :attempts, :accepted, :now, :result, :result_bytes, :exit_code, :exit_signal, :out_of_memory, \
         :kept_bytes)",
    )?;
    statement.execute(named_params! {
        ":id": event.request_id.as_str(),
        ":namespace": event.address.function.namespace.as_str(),
        ":function": event.address.function.name.as_str(),
        ":function_id": event.address.function_id.as_str(),
        ":qualifier": event.address.qualifier.to_string(),
        ":kind": event.invoke_type.as_str(),
        ":state": state_number(state),
        ":status": end.status.map(RunStatus::code),
        ":attempts": end.attempts,
        ":accepted": event.accepted_ms,
        ":now": end.now_ms,
        ":result": end.result,
        ":result_bytes": end.result_bytes.map(u64::cast_signed),
        ":exit_code": end.exit.and_then(|exit| exit.code),
        ":exit_signal": end.exit.and_then(|exit| exit.signal),
        ":out_of_memory": end.exit.map(|exit| exit.out_of_memory),
        ":kept_bytes": end.result.as_ref().map(|result| result.len() as i64),
    })?;
    Ok(())
}

fn remove(connection: &Connection, owner: &str, event: &Claimed) -> Result<Stood, Error> {
    let mut statement =
        connection.prepare_cached("DELETE FROM events WHERE id = ?1 AND attempt = ?2 AND owner = ?3 AND state = 1")?;
    Ok(statement.execute((event.id, event.attempt, owner))? == 1)
}

/// Reschedules an event for another run.
pub(crate) fn again(
    connection: &Connection,
    owner: &str,
    event: &Claimed,
    due_ms: i64,
    (function_failures, system_failures): (u32, u32),
    end: &End,
) -> Result<Stood, Error> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 0, owner = NULL, lease_until_ms = NULL, due_ms = :due, \
         function_failures = :function, system_failures = :system, last_status = :status, last_result = :result \
         WHERE id = :id AND attempt = :attempt AND owner = :owner AND state = 1",
    )?;
    let changed = statement.execute(named_params! {
        ":due": due_ms, ":function": function_failures, ":system": system_failures,
        ":status": end.status.map(RunStatus::code), ":result": end.result,
        ":id": event.id, ":attempt": event.attempt, ":owner": owner,
    })?;
    Ok(changed == 1)
}

/// Reschedules an event that found no room, unchanged: its claim was not an attempt.
pub(crate) fn wait(connection: &Connection, owner: &str, event: &Claimed, end: &End) -> Result<Stood, Error> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 0, owner = NULL, lease_until_ms = NULL, attempt = attempt - 1, \
         last_status = :status, last_result = :result \
         WHERE id = :id AND attempt = :attempt AND owner = :owner AND state = 1",
    )?;
    let changed = statement.execute(named_params! {
        ":status": end.status.map(RunStatus::code), ":result": end.result,
        ":id": event.id, ":attempt": event.attempt, ":owner": owner,
    })?;
    Ok(changed == 1)
}

/// Removes expired states and results, a few at a time.
pub(crate) fn prune(
    connection: &Connection,
    states_before_ms: i64,
    results_before_ms: i64,
    rows_max: usize,
) -> Result<usize, Error> {
    let states = connection
        .prepare_cached(
            "DELETE FROM runs WHERE request_id IN (SELECT request_id FROM runs WHERE ended_ms < ?1 LIMIT ?2)",
        )?
        .execute((states_before_ms, rows_max as i64))?;
    let results = connection
        .prepare_cached(
            "UPDATE runs SET result = NULL, kept_bytes = NULL WHERE request_id IN ( \
           SELECT request_id FROM runs WHERE ended_ms < ?1 AND kept_bytes IS NOT NULL LIMIT ?2)",
        )?
        .execute((results_before_ms, rows_max as i64))?;
    Ok(states + results)
}

/// The end of the newest run whose result, and those of all before it, must be removed so that at
/// most `bytes_max` bytes of results are left; read from the index alone.
pub(crate) fn excess(connection: &Connection, bytes_max: u64) -> Result<Option<i64>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT ended_ms, kept_bytes FROM runs WHERE kept_bytes IS NOT NULL ORDER BY ended_ms DESC")?;
    let mut rows = statement.query([])?;
    let mut bytes: u64 = 0;
    while let Some(columns) = rows.next()? {
        bytes = bytes.saturating_add(columns.get::<_, Option<i64>>(1)?.unwrap_or(0).unsigned_abs());
        if bytes > bytes_max {
            return Ok(Some(columns.get(0)?));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::{FunctionKey, Qualifier, RequestId};

    use super::*;
    use crate::event::{Address, InvokeType, NewEvent};
    use crate::sqlite::claim::{self, Wanted};
    use crate::sqlite::{insert, recover};

    const NOW: i64 = 1_000;

    fn with_runs(runs: usize) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let text = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs}) \
             INSERT INTO runs (request_id, namespace, function, function_id, qualifier, invoke_type, state, status, \
             attempts, accepted_ms, ended_ms, result, kept_bytes) \
             SELECT 'id' || i, 'default', 'f', 'lam-00000001', '$LATEST', \
             'INVOKE', 1, 200, 1, i, i, 'result', 6 FROM n"
        );
        connection.execute_batch(&text).unwrap();
        connection
    }

    fn count(connection: &Connection, condition: &str) -> i64 {
        connection.query_row(&format!("SELECT COUNT(*) FROM runs WHERE {condition}"), [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn states_and_results_go_after_their_times_in_batches_of_a_bounded_size() {
        let connection = with_runs(100);
        // States up to 50 and results up to 80 are expired, at most 30 at a time.
        assert_eq!(prune(&connection, 51, 81, 30).unwrap(), 60);
        assert_eq!((count(&connection, "TRUE"), count(&connection, "result IS NULL")), (70, 30));
        while prune(&connection, 51, 81, 30).unwrap() >= 30 {}
        assert_eq!((count(&connection, "ended_ms <= 50"), count(&connection, "TRUE")), (0, 50));
        assert_eq!((count(&connection, "result IS NULL"), count(&connection, "ended_ms > 80")), (30, 20));
        assert_eq!(prune(&connection, 51, 81, 30).unwrap(), 0);
    }

    #[test]
    fn the_oldest_results_are_those_beyond_the_bytes_of_all() {
        let connection = with_runs(100);
        assert_eq!(excess(&connection, 600).unwrap(), None);
        assert_eq!(excess(&connection, 599).unwrap(), Some(1));
        assert_eq!(excess(&connection, 60).unwrap(), Some(90), "ten are left");
        while prune(&connection, 0, 91, 30).unwrap() >= 30 {}
        assert_eq!((count(&connection, "result IS NOT NULL"), count(&connection, "TRUE")), (10, 100));
        assert_eq!(excess(&connection, 60).unwrap(), None);
    }

    #[test]
    fn what_is_pruned_is_found_by_indexes_however_much_is_kept() {
        let connection = with_runs(1);
        for (statement, how, index) in [
            ("SELECT request_id FROM runs WHERE ended_ms < 1 LIMIT 9", "SEARCH", "runs_by_end"),
            (
                "SELECT request_id FROM runs WHERE ended_ms < 1 AND kept_bytes IS NOT NULL LIMIT 9",
                "SEARCH",
                "runs_with_result",
            ),
            (
                "SELECT ended_ms, kept_bytes FROM runs WHERE kept_bytes IS NOT NULL ORDER BY ended_ms DESC",
                "COVERING",
                "runs_with_result",
            ),
        ] {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let steps: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step.contains(how) && step.contains(index)), "{steps:?}");
        }
    }

    fn connection() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let function = FunctionKey { namespace: "default".parse().unwrap(), name: "long".parse().unwrap() };
        let event = NewEvent {
            request_id: RequestId::random(),
            address: Address { function, function_id: "lam-00000001".parse().unwrap(), qualifier: Qualifier::LATEST },
            invoke_type: InvokeType::Invoke,
            payload: Bytes::from_static(b"{}"),
            retries_max: 2,
            ttl_s: 60,
            delay_s: 0,
        };
        insert::insert(&connection, &event, &insert::Origin::default(), NOW).unwrap();
        connection
    }

    fn claim(connection: &Connection, owner: &str) -> Option<Claimed> {
        let function = FunctionKey { namespace: "default".parse().unwrap(), name: "long".parse().unwrap() };
        let wanted = Wanted { function, trigger: None, rows_max: 1, bytes_max: 100, lease_until_ms: NOW + 1 };
        claim::claim(connection, owner, &wanted, NOW).unwrap().events.pop()
    }

    /// A claim is released between the start of a run and its end, and taken by another owner.
    #[test]
    fn the_end_of_a_run_whose_claim_is_anothers_changes_nothing() {
        let connection = connection();
        let status = Some(RunStatus::Success);
        let end = End { status, attempts: 1, exit: None, result: None, result_bytes: None, now_ms: NOW };
        let first = claim(&connection, "a").unwrap();
        assert!(claim(&connection, "b").is_none(), "a run keeps its claim, however long it takes");
        recover::recover(&connection, NOW, |_, _| Ok(())).unwrap();
        let second = claim(&connection, "b").unwrap();
        assert_eq!((first.attempt, second.attempt, second.recoveries), (1, 2, 1));
        assert!(!finish(&connection, "a", &first, RunState::Finished, &end).unwrap());
        assert!(!again(&connection, "a", &first, NOW, (1, 0), &end).unwrap());
        assert!(!wait(&connection, "a", &first, &end).unwrap());
        assert!(finish(&connection, "b", &second, RunState::Finished, &end).unwrap());
        assert!(!finish(&connection, "b", &second, RunState::Failed, &end).unwrap(), "it has ended");
    }
}
