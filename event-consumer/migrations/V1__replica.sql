-- The read model: the slots as applied so far, their summary, and exactly which positions are applied.

-- Domains rather than table CHECKs: every inserting statement parses a table's CHECKs again, but a connection parses
-- a domain's only once.
CREATE DOMAIN slot_status AS text
    CONSTRAINT slot_status_known CHECK (VALUE IN ('available', 'reserved', 'occupied', 'blocked'));
COMMENT ON DOMAIN slot_status IS 'Whether a slot can be used';
CREATE DOMAIN slot_name AS text CONSTRAINT slot_name_length CHECK (char_length(VALUE) BETWEEN 1 AND 200);
COMMENT ON DOMAIN slot_name IS 'What people call a slot';
CREATE DOMAIN slot_version AS bigint CONSTRAINT slot_version_positive CHECK (VALUE >= 1);
COMMENT ON DOMAIN slot_version IS '1 when a slot is created, one more with each change';

CREATE TABLE parking_slots (
    uuid       uuid         CONSTRAINT parking_slots_pkey PRIMARY KEY,
    version    slot_version NOT NULL,
    created_at timestamptz  NOT NULL,
    updated_at timestamptz  NOT NULL,
    status     slot_status  NOT NULL,
    name       slot_name    NOT NULL
);
CREATE INDEX parking_slots_creation_order ON parking_slots (created_at, uuid);
COMMENT ON TABLE parking_slots IS 'The read model: every slot as far as it has been applied';
COMMENT ON COLUMN parking_slots.uuid IS 'Identity, the same as on the primary';
COMMENT ON COLUMN parking_slots.version IS 'The version that was applied last';
COMMENT ON COLUMN parking_slots.created_at IS 'Commit time of the create on the primary';
COMMENT ON COLUMN parking_slots.updated_at IS 'Commit time of this version on the primary';
COMMENT ON COLUMN parking_slots.status IS 'available, reserved, occupied or blocked';
COMMENT ON COLUMN parking_slots.name IS 'What people call it';

CREATE TABLE parking_slot_tombstones (
    uuid       uuid        CONSTRAINT parking_slot_tombstones_pkey PRIMARY KEY,
    version    bigint      NOT NULL,
    deleted_at timestamptz NOT NULL
);
COMMENT ON TABLE parking_slot_tombstones IS 'Deleted slots, kept for ever: a late event must not bring one back';
COMMENT ON COLUMN parking_slot_tombstones.uuid IS 'The deleted slot';
COMMENT ON COLUMN parking_slot_tombstones.version IS 'The version of the delete';
COMMENT ON COLUMN parking_slot_tombstones.deleted_at IS 'Commit time of the delete on the primary';

CREATE TABLE parking_slot_summary (
    status text   CONSTRAINT parking_slot_summary_pkey PRIMARY KEY,
    -- Has no CHECK, because the replica must not refuse events when an edit by hand damaged the summary.
    slots  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE parking_slot_summary IS 'How many slots have each status; kept by triggers, for hand edits too';
COMMENT ON COLUMN parking_slot_summary.status IS 'available, reserved, occupied or blocked';
COMMENT ON COLUMN parking_slot_summary.slots IS 'How many slots have it';
INSERT INTO parking_slot_summary (status) VALUES ('available'), ('reserved'), ('occupied'), ('blocked');

CREATE FUNCTION count_added_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parking_slot_summary AS summary SET slots = summary.slots + added.slots
    FROM (SELECT status, count(*) AS slots FROM added_rows GROUP BY status) AS added
    WHERE summary.status = added.status;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_added_slots() IS 'Adds inserted slots to the summary';
CREATE FUNCTION count_removed_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parking_slot_summary AS summary SET slots = summary.slots - removed.slots
    FROM (SELECT status, count(*) AS slots FROM removed_rows GROUP BY status) AS removed
    WHERE summary.status = removed.status;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_removed_slots() IS 'Takes deleted slots out of the summary';
CREATE FUNCTION count_changed_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parking_slot_summary AS summary SET slots = summary.slots + change.slots
    FROM (SELECT status, sum(slots)::bigint AS slots
          FROM (SELECT status, 1 AS slots FROM added_rows UNION ALL SELECT status, -1 FROM removed_rows) AS one
          GROUP BY status) AS change
    WHERE summary.status = change.status AND change.slots <> 0;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_changed_slots() IS 'Moves changed slots within the summary';
CREATE FUNCTION count_no_slots() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE parking_slot_summary SET slots = 0;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION count_no_slots() IS 'Empties the summary when the slots are truncated';
CREATE TRIGGER summary_on_insert AFTER INSERT ON parking_slots
    REFERENCING NEW TABLE AS added_rows FOR EACH STATEMENT EXECUTE FUNCTION count_added_slots();
CREATE TRIGGER summary_on_update AFTER UPDATE ON parking_slots
    REFERENCING OLD TABLE AS removed_rows NEW TABLE AS added_rows FOR EACH STATEMENT EXECUTE FUNCTION count_changed_slots();
CREATE TRIGGER summary_on_delete AFTER DELETE ON parking_slots
    REFERENCING OLD TABLE AS removed_rows FOR EACH STATEMENT EXECUTE FUNCTION count_removed_slots();
CREATE TRIGGER summary_on_truncate AFTER TRUNCATE ON parking_slots
    FOR EACH STATEMENT EXECUTE FUNCTION count_no_slots();

CREATE TABLE replication_status (
    singleton       boolean        PRIMARY KEY DEFAULT true CONSTRAINT replication_status_singleton CHECK (singleton),
    applied         int8multirange NOT NULL DEFAULT '{[0,1)}'
                                   CONSTRAINT replication_status_starts_at_zero CHECK (lower(applied) = 0),
    -- One less than the first missing position. Uses built-in functions only: every statement that changes the row
    -- would parse a function in SQL again.
    applied_through bigint         NOT NULL
                    GENERATED ALWAYS AS (lower('{[0,)}'::int8multirange - applied) - 1) STORED,
    as_of           timestamptz,
    applied_at      timestamptz,
    epoch           uuid
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE replication_status IS 'What has been applied. One row; whoever applies events locks it first';
COMMENT ON COLUMN replication_status.singleton IS 'Always true: there is one row';
COMMENT ON COLUMN replication_status.applied IS
    'The positions that were applied or dead-lettered, and 0, which stands for an empty log: so the first range begins at 0';
COMMENT ON COLUMN replication_status.applied_through IS 'Every position up to this one is settled; derived from applied';
COMMENT ON COLUMN replication_status.as_of IS
    'Every write whose commit time is not after this is settled';
COMMENT ON COLUMN replication_status.applied_at IS 'When this row was last changed, by the replica''s own clock';
COMMENT ON COLUMN replication_status.epoch IS 'The epoch from which the positions are; null before the first event';
INSERT INTO replication_status DEFAULT VALUES;

CREATE TABLE replication_ahead (
    position     bigint      CONSTRAINT replication_ahead_pkey PRIMARY KEY,
    committed_at timestamptz NOT NULL
);
COMMENT ON TABLE replication_ahead IS
    'Commit times beyond the first hole, one where each batch ended: as_of when the hole is filled. Empty without a hole';
COMMENT ON COLUMN replication_ahead.position IS 'The last position of a range that was applied in one batch';
COMMENT ON COLUMN replication_ahead.committed_at IS 'Commit time of the event at that position';

CREATE TABLE dead_letters (
    id                bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT dead_letters_pkey PRIMARY KEY,
    position          bigint,
    dead_lettered_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_retry_reason text,
    retries           integer     NOT NULL DEFAULT 0,
    type              text,
    reason            text        NOT NULL,
    headers           json        NOT NULL DEFAULT '{}',
    body              bytea       NOT NULL,
    fingerprint       bytea       NOT NULL GENERATED ALWAYS AS (sha256(body)) STORED,
    CONSTRAINT dead_letters_fingerprint_key UNIQUE (fingerprint)
);
COMMENT ON TABLE dead_letters IS 'Open dead letters: what could not be applied, and why';
COMMENT ON COLUMN dead_letters.id IS 'The letter''s number';
COMMENT ON COLUMN dead_letters.position IS 'The position that was settled by dead-lettering it; null for what could not be read';
COMMENT ON COLUMN dead_letters.dead_lettered_at IS 'When it was dead-lettered first';
COMMENT ON COLUMN dead_letters.last_retry_reason IS 'Why the last retry failed';
COMMENT ON COLUMN dead_letters.retries IS 'How often it was retried';
COMMENT ON COLUMN dead_letters.type IS 'The message''s type, as it claimed';
COMMENT ON COLUMN dead_letters.reason IS 'Why it could not be applied';
COMMENT ON COLUMN dead_letters.headers IS 'The message''s properties and headers';
COMMENT ON COLUMN dead_letters.body IS 'The event, or the whole message if it could not be taken apart, as bytes';
COMMENT ON COLUMN dead_letters.fingerprint IS 'SHA-256 of the body: the same bytes delivered again are the same letter';

COMMENT ON TABLE refinery_schema_history IS 'Which migrations have run; kept by the migration itself';
COMMENT ON COLUMN refinery_schema_history.version IS 'The migration''s number';
COMMENT ON COLUMN refinery_schema_history.name IS 'The migration''s name';
COMMENT ON COLUMN refinery_schema_history.applied_on IS 'When it ran';
COMMENT ON COLUMN refinery_schema_history.checksum IS 'Of its text: a migration that has run may not change';
