-- Published versions, and aliases that send some of their calls to a second version.

-- The last number given to a published version; numbers are never used again, also after a deletion.
ALTER TABLE functions ADD COLUMN last_version BIGINT NOT NULL DEFAULT 0;

-- The change that is being prepared is published as soon as it is active.
ALTER TABLE versions ADD COLUMN publish BOOLEAN NOT NULL DEFAULT FALSE;

-- Made anew: a column with a foreign key of two columns cannot be added to a table that is there.
CREATE TABLE routed_aliases (
    function_id        TEXT   NOT NULL REFERENCES functions (id) ON DELETE CASCADE,
    name               TEXT   NOT NULL,
    description        TEXT   NOT NULL,
    version            BIGINT NOT NULL,
    -- The second version, and as JSON which calls it gets; both are NULL when there is none.
    additional_version BIGINT,
    additional_when    TEXT,
    added_ms           BIGINT NOT NULL,
    modified_ms        BIGINT NOT NULL,
    PRIMARY KEY (function_id, name),
    FOREIGN KEY (function_id, version) REFERENCES versions (function_id, version),
    FOREIGN KEY (function_id, additional_version) REFERENCES versions (function_id, version)
);

INSERT INTO routed_aliases (function_id, name, description, version, added_ms, modified_ms)
SELECT function_id, name, '', version, added_ms, modified_ms FROM aliases;

DROP TABLE aliases;
ALTER TABLE routed_aliases RENAME TO aliases;
