-- The queue of events. Times are Unix milliseconds.

CREATE TABLE schema_version (version INTEGER NOT NULL);
INSERT INTO schema_version VALUES (2);

-- Events that wait (state 0) or run (state 1). Short of its payload a row is what decisions need.
CREATE TABLE events (
    id                INTEGER NOT NULL PRIMARY KEY, -- in order of acceptance
    request_id        TEXT    NOT NULL UNIQUE,
    namespace         TEXT    NOT NULL,
    function          TEXT    NOT NULL,
    function_id       TEXT    NOT NULL, -- another function may get the name
    qualifier         TEXT    NOT NULL,
    invoke_type       TEXT    NOT NULL,
    state             INTEGER NOT NULL,
    due_ms            INTEGER NOT NULL,
    accepted_ms       INTEGER NOT NULL,
    expires_ms        INTEGER NOT NULL,
    -- Claims so far: with `owner` the fencing token of a run.
    attempt           INTEGER NOT NULL,
    function_failures INTEGER NOT NULL,
    system_failures   INTEGER NOT NULL,
    recoveries        INTEGER NOT NULL,
    retries_max       INTEGER NOT NULL,
    owner             TEXT,
    lease_until_ms    INTEGER,
    terminate         INTEGER NOT NULL DEFAULT 0, -- 1: it is to end, and never to run again
    last_status       INTEGER,
    last_result       TEXT,
    -- Where the result is sent; destinations that led here, one after the other.
    callback          TEXT,
    depth             INTEGER NOT NULL DEFAULT 0,
    bytes             INTEGER NOT NULL,
    payload           BLOB    NOT NULL,
    array_place       TEXT,             -- such as 3/10, of one of an array
    trigger_id        TEXT    NOT NULL DEFAULT '' -- the trigger that made it; empty without one
);

-- Covers the claims' search and the counts at a start.
CREATE INDEX events_waiting ON events (namespace, function, trigger_id, due_ms, id, bytes) WHERE state = 0;
CREATE INDEX events_by_function ON events (function_id, accepted_ms);
CREATE INDEX events_claimed ON events (lease_until_ms) WHERE state = 1;

-- Ends of events, kept for a while.
CREATE TABLE runs (
    request_id  TEXT    NOT NULL PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    function_id TEXT    NOT NULL,
    qualifier   TEXT    NOT NULL,
    invoke_type TEXT    NOT NULL,
    state       INTEGER NOT NULL, -- 1 finished, 2 aborted, 3 failed
    status      INTEGER,
    attempts    INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    ended_ms    INTEGER NOT NULL,
    result      TEXT,
    result_bytes INTEGER, -- its length before it was cut; NULL where it is whole
    -- Of a job image whose program ran to its end; `out_of_memory` is NULL otherwise.
    exit_code     INTEGER,
    exit_signal   INTEGER,
    out_of_memory INTEGER,
    kept_bytes    INTEGER -- of `result`; NULL without one
) WITHOUT ROWID;

CREATE INDEX runs_by_end ON runs (ended_ms);
CREATE INDEX runs_with_result ON runs (ended_ms, kept_bytes) WHERE kept_bytes IS NOT NULL;
CREATE INDEX runs_by_function ON runs (function_id, accepted_ms);

-- Events of which no run ended well, with their payloads. A row that was redriven stays for a while
-- without its payload, as history: an event that dies again has another row.
CREATE TABLE dead_letters (
    id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- never used again
    request_id  TEXT    NOT NULL,
    namespace   TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    function_id TEXT    NOT NULL,
    qualifier   TEXT    NOT NULL,
    invoke_type TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    status      INTEGER,
    attempts    INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    died_ms     INTEGER NOT NULL,
    result      TEXT,
    retries_max INTEGER NOT NULL,
    payload     BLOB    NOT NULL,
    redriven_ms INTEGER,
    callback    TEXT,
    delivery    TEXT, -- JSON; where it is to go, unless it is an event
    array_place TEXT, -- as in `events`
    trigger_id  TEXT    NOT NULL DEFAULT '' -- as in `events`
);

CREATE UNIQUE INDEX dead_letters_by_request ON dead_letters (request_id) WHERE redriven_ms IS NULL;
CREATE INDEX dead_letters_history ON dead_letters (request_id, id);
CREATE INDEX dead_letters_by_namespace ON dead_letters (namespace, id) WHERE redriven_ms IS NULL;
CREATE INDEX dead_letters_redriven ON dead_letters (redriven_ms) WHERE redriven_ms IS NOT NULL;

-- What ends of events send: results to callbacks, records to destinations. Written with the end,
-- waiting (state 0) or on its way (state 1).
CREATE TABLE deliveries (
    id          INTEGER NOT NULL PRIMARY KEY,
    request_id  TEXT    NOT NULL UNIQUE, -- its own
    namespace   TEXT    NOT NULL,        -- of the function whose event ended
    function    TEXT    NOT NULL,
    function_id TEXT    NOT NULL,
    qualifier   TEXT    NOT NULL,
    depth       INTEGER NOT NULL,
    destination TEXT    NOT NULL,
    host        TEXT    NOT NULL, -- what shares a bound of deliveries at a time
    headers     TEXT    NOT NULL, -- JSON
    state       INTEGER NOT NULL,
    due_ms      INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    body        BLOB    NOT NULL
);

CREATE INDEX deliveries_due ON deliveries (due_ms, id) WHERE state = 0;

-- Keys that sources give their events: the same one again, within a while, is the same event.
CREATE TABLE source_keys (
    function_id TEXT    NOT NULL,
    source      TEXT    NOT NULL, -- which kind of key, such as `idempotency`
    key         TEXT    NOT NULL,
    request_id  TEXT    NOT NULL, -- of the first event
    expires_ms  INTEGER NOT NULL,
    PRIMARY KEY (function_id, source, key)
) WITHOUT ROWID;

CREATE INDEX source_keys_by_expiry ON source_keys (expires_ms);

-- How far sources that look for what is new have come.
CREATE TABLE marks (
    source  TEXT    NOT NULL PRIMARY KEY, -- the id of a trigger
    mark_ms INTEGER NOT NULL
) WITHOUT ROWID;
