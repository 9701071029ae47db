-- From schema 1: the trigger of an event, its place in an array, and the bytes of a result that is kept.
ALTER TABLE events ADD COLUMN trigger_id TEXT NOT NULL DEFAULT '';
DROP INDEX events_waiting;
CREATE INDEX events_waiting ON events (namespace, function, trigger_id, due_ms, id, bytes) WHERE state = 0;
ALTER TABLE dead_letters ADD COLUMN trigger_id TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN array_place TEXT;
ALTER TABLE dead_letters ADD COLUMN array_place TEXT;
ALTER TABLE runs ADD COLUMN kept_bytes INTEGER;
UPDATE runs SET kept_bytes = LENGTH(CAST(result AS BLOB)) WHERE result IS NOT NULL;
DROP INDEX runs_with_result;
CREATE INDEX runs_with_result ON runs (ended_ms, kept_bytes) WHERE kept_bytes IS NOT NULL;
UPDATE schema_version SET version = 2;
