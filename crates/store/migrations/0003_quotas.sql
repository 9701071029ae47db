-- Memory that belongs to single functions, and the quota of the whole installation.

-- In MB; NULL when the function shares what others have not reserved, 0 when it is stopped.
ALTER TABLE functions ADD COLUMN reserved_mb BIGINT;

-- Settings that an owner changes while the platform runs: one row.
CREATE TABLE settings (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    -- In MB; NULL for the quota of the configuration.
    quota_mb BIGINT
);

INSERT INTO settings (id, quota_mb) VALUES (1, NULL);
