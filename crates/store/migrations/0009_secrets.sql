-- Secrets: names and versions in clear, values sealed. Functions of their namespace may have them.

CREATE TABLE secrets (
    namespace    TEXT   NOT NULL REFERENCES namespaces (name),
    name         TEXT   NOT NULL,
    -- The number of the version that is set next: none is used twice.
    next_version BIGINT NOT NULL,
    added_ms     BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);

CREATE TABLE secret_versions (
    namespace TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    version   BIGINT  NOT NULL,
    -- Bound to namespace, name and version: a value that was moved to another row does not open.
    sealed    BLOB    NOT NULL,
    bytes     BIGINT  NOT NULL,
    is_text   BOOLEAN NOT NULL,
    added_ms  BIGINT  NOT NULL,
    PRIMARY KEY (namespace, name, version),
    FOREIGN KEY (namespace, name) REFERENCES secrets (namespace, name) ON DELETE CASCADE
);
