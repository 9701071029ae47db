-- Triggers: what makes events for a function.

CREATE TABLE triggers (
    id              TEXT    NOT NULL PRIMARY KEY,
    function_id     TEXT    NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    kind            TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    qualifier       TEXT    NOT NULL,
    -- JSON objects: what the kind needs, and what every kind may have.
    description     TEXT    NOT NULL,
    options         TEXT    NOT NULL,
    enabled         BOOLEAN NOT NULL,
    custom_argument TEXT    NOT NULL,
    remark          TEXT    NOT NULL,
    since_ms        BIGINT  NOT NULL,
    added_ms        BIGINT  NOT NULL,
    modified_ms     BIGINT  NOT NULL,
    UNIQUE (function_id, kind, name, qualifier)
);
