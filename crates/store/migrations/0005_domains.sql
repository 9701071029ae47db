-- Custom domains.

CREATE TABLE domains (
    domain TEXT NOT NULL PRIMARY KEY,
    -- JSON of the whole record. Functions that it leads to may be deleted and made again, so it does not refer to them.
    record TEXT NOT NULL
);
