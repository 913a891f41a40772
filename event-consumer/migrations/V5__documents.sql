--! outside a transaction
-- The JSON document of each slot, kept with its row. The rows of an older replica get theirs in batches, while reads
-- and events go on; meanwhile a read makes those that are missing.

--! step
CREATE OR REPLACE FUNCTION slot_document(uuid uuid, name text, status text, version bigint, created_at timestamptz,
                                         updated_at timestamptz)
RETURNS text LANGUAGE sql STABLE AS $$
    -- Of an infinite time, which only an edit by hand leaves, to_char makes null.
    SELECT concat('{"uuid":"', uuid, '","name":', to_json(name), ',"status":', to_json(status), ',"version":', version,
                  ',"created_at":"', coalesce(to_char(created_at AT TIME ZONE 'UTC', form), created_at::text),
                  '","updated_at":"', coalesce(to_char(updated_at AT TIME ZONE 'UTC', form), updated_at::text), '"}')
    FROM (VALUES ('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS times (form)
$$;
COMMENT ON FUNCTION slot_document(uuid, text, text, bigint, timestamptz, timestamptz) IS
    'The JSON document of a slot, byte for byte as event-consumer writes it';

-- In one block, so that the swap stays the only step of a rebuild that answers with ALTER TABLE.
DO $$
BEGIN
    ALTER TABLE parking_slots ADD COLUMN IF NOT EXISTS document text;
END
$$;
COMMENT ON COLUMN parking_slots.document IS
    'The row as the JSON document that the API answers with; a trigger keeps it true, for edits by hand too';

CREATE OR REPLACE FUNCTION write_slot_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.document := slot_document(NEW.uuid, NEW.name, NEW.status, NEW.version, NEW.created_at, NEW.updated_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION write_slot_document() IS 'Makes the document of a row from its columns';
-- Triggers fire in the order of their names. These come after others, which may change the row.
CREATE OR REPLACE TRIGGER zz_document_on_insert BEFORE INSERT ON parking_slots
    FOR EACH ROW WHEN (NEW.document IS NULL) EXECUTE FUNCTION write_slot_document();
-- The projection writes a new document with a new time: making it once more would double its price. The condition names
-- no column of a domain, because a rebuild changes the types of those.
CREATE OR REPLACE TRIGGER zz_document_on_update BEFORE UPDATE ON parking_slots
    FOR EACH ROW
    WHEN (NEW.document IS NULL OR NEW.document = OLD.document OR NEW.updated_at = OLD.updated_at)
    EXECUTE FUNCTION write_slot_document();

--! step
-- Each batch reads its rows in the order of the primary key, whatever the statistics say.
SET enable_seqscan = off;

--! batches
-- The trigger writes the documents. The lock keeps the order of all that write rows: first the status, then slots. A
-- row that gets its document meanwhile keeps it.
WITH held AS MATERIALIZED (
    SELECT applied_through FROM replication_status FOR UPDATE
),
batch AS MATERIALIZED (
    SELECT uuid FROM parking_slots
    WHERE uuid >= coalesce(nullif($1::text, ''), '00000000-0000-0000-0000-000000000000')::uuid AND document IS NULL
      AND (SELECT count(*) FROM held) >= 0
    ORDER BY uuid LIMIT 2000
),
filled AS (
    UPDATE parking_slots AS slot SET document = NULL
    FROM batch WHERE slot.uuid = batch.uuid AND slot.document IS NULL
)
SELECT max(uuid::text) FROM batch
