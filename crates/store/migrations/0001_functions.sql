-- Functions, their versions and aliases, and the namespaces they live in.
-- Times are Unix milliseconds. Words (kind, status) are those of the cloud API. Version 0 is $LATEST.

CREATE TABLE namespaces (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,
    added_ms    BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL
);

CREATE TABLE functions (
    id          TEXT    NOT NULL PRIMARY KEY,
    namespace   TEXT    NOT NULL REFERENCES namespaces (name),
    name        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    protocol    TEXT,
    async_run   BOOLEAN NOT NULL,
    trace       BOOLEAN NOT NULL,
    -- JSON: a list of [key, value].
    tags        TEXT    NOT NULL,
    -- The row stays until what the function pinned elsewhere is released.
    deleting    BOOLEAN NOT NULL,
    -- A replaced function is being deleted and has given its name to another one.
    replaced    BOOLEAN NOT NULL,
    added_ms    BIGINT  NOT NULL,
    modified_ms BIGINT  NOT NULL
);

CREATE UNIQUE INDEX functions_by_name ON functions (namespace, name) WHERE NOT replaced;
CREATE INDEX functions_deleting ON functions (id) WHERE deleting;

CREATE TABLE versions (
    function_id        TEXT    NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    version            BIGINT  NOT NULL,
    status             TEXT    NOT NULL,
    -- JSON: a list of {ErrorCode, ErrorMessage}.
    reasons            TEXT    NOT NULL,
    generation         BIGINT  NOT NULL,
    -- JSON of the specification that was asked for last, and its description once more for searches.
    desired            TEXT    NOT NULL,
    description        TEXT    NOT NULL,
    resolve            BOOLEAN NOT NULL,
    -- What is served; all four are NULL until the first preparation succeeded.
    serving_generation BIGINT,
    serving_spec       TEXT,
    serving_digest     TEXT,
    serving_size_bytes BIGINT,
    added_ms           BIGINT  NOT NULL,
    modified_ms        BIGINT  NOT NULL,
    PRIMARY KEY (function_id, version)
);

CREATE INDEX versions_by_status ON versions (status, modified_ms);

CREATE TABLE aliases (
    function_id TEXT   NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    name        TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    added_ms    BIGINT NOT NULL,
    modified_ms BIGINT NOT NULL,
    PRIMARY KEY (function_id, name),
    FOREIGN KEY (function_id, version) REFERENCES versions (function_id, version)
);
