-- Instances of a published version that are kept ready.

-- As JSON; NULL when there are none.
ALTER TABLE versions ADD COLUMN provisioned TEXT;
