-- How the asynchronous events of a function are retried and given up.

-- Runs that follow one which failed in the function; NULL for the platform's default.
ALTER TABLE functions ADD COLUMN event_retries_max BIGINT;
-- Seconds after which an event that waits is given up; NULL for the platform's default.
ALTER TABLE functions ADD COLUMN event_ttl_s BIGINT;
