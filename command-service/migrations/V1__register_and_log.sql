-- The register of slots, the log of their events, and how far the relay has published the log.

-- Domains rather than table CHECKs: every inserting statement parses a table's CHECKs again, but a connection parses
-- a domain's only once.
CREATE DOMAIN slot_status AS text
    CONSTRAINT slot_status_known CHECK (VALUE IN ('available', 'reserved', 'occupied', 'blocked'));
COMMENT ON DOMAIN slot_status IS 'Whether a slot can be used';
CREATE DOMAIN slot_name AS text CONSTRAINT slot_name_length CHECK (char_length(VALUE) BETWEEN 1 AND 200);
COMMENT ON DOMAIN slot_name IS 'What people call a slot';
CREATE DOMAIN slot_version AS bigint CONSTRAINT slot_version_positive CHECK (VALUE >= 1);
COMMENT ON DOMAIN slot_version IS '1 when a slot is created, one more with each change';
CREATE DOMAIN slot_event_type AS text
    CONSTRAINT slot_event_type_known CHECK (VALUE IN ('parking.create', 'parking.update', 'parking.delete'));
COMMENT ON DOMAIN slot_event_type IS 'What an event tells; also its routing key';

CREATE TABLE epoch (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT epoch_singleton CHECK (singleton),
    epoch     uuid NOT NULL DEFAULT gen_random_uuid()
);
COMMENT ON TABLE epoch IS 'The epoch of this log. Positions of another epoch mean nothing here';
COMMENT ON COLUMN epoch.singleton IS 'Always true: there is one row';
COMMENT ON COLUMN epoch.epoch IS 'A random value, changed when the primary was restored or replaced';
INSERT INTO epoch DEFAULT VALUES;

-- Fixed-width columns first, so that no padding is stored.
CREATE TABLE parking_slots (
    uuid       uuid         CONSTRAINT parking_slots_pkey PRIMARY KEY,
    version    slot_version NOT NULL,
    position   bigint       NOT NULL,
    created_at timestamptz  NOT NULL,
    updated_at timestamptz  NOT NULL,
    status     slot_status  NOT NULL,
    name       slot_name    NOT NULL
);
COMMENT ON TABLE parking_slots IS 'The write model: every slot as it is now';
COMMENT ON COLUMN parking_slots.uuid IS 'Identity, UUID version 7, made by command-service';
COMMENT ON COLUMN parking_slots.version IS '1 when created, one more with each change';
COMMENT ON COLUMN parking_slots.position IS 'Position of the event that made this version';
COMMENT ON COLUMN parking_slots.created_at IS 'Commit time of the create';
COMMENT ON COLUMN parking_slots.updated_at IS 'Commit time of the last change';
COMMENT ON COLUMN parking_slots.status IS 'available, reserved, occupied or blocked';
COMMENT ON COLUMN parking_slots.name IS 'What people call it: 1 to 200 characters, not unique';

CREATE TABLE parking_slot_events (
    position     bigint          CONSTRAINT parking_slot_events_pkey PRIMARY KEY,
    version      slot_version    NOT NULL,
    committed_at timestamptz     NOT NULL,
    created_at   timestamptz     NOT NULL,
    id           uuid            NOT NULL,
    slot_uuid    uuid            NOT NULL,
    type         slot_event_type NOT NULL,
    status       slot_status,
    name         slot_name,
    changed      text,
    traceparent  text,
    -- Also stops a repeated batch whose first attempt was committed. An index on the event ids would add nothing.
    CONSTRAINT parking_slot_events_slot_version_key UNIQUE (slot_uuid, version),
    -- One CHECK instead of several, because every inserting statement parses it again.
    CONSTRAINT parking_slot_events_shape CHECK (
        version <= position
        AND (type = 'parking.create') = (version = 1)
        AND (type = 'parking.update') = (changed IS NOT NULL)
        AND (type = 'parking.delete') = (name IS NULL) AND (name IS NULL) = (status IS NULL)
    )
);
COMMENT ON TABLE parking_slot_events IS 'The log: append-only, in commit order, without a gap from 1';
COMMENT ON COLUMN parking_slot_events.position IS 'Place in the log, given under the commit lock';
COMMENT ON COLUMN parking_slot_events.version IS 'The version of the slot after the event';
COMMENT ON COLUMN parking_slot_events.committed_at IS 'Commit time; strictly rising with position';
COMMENT ON COLUMN parking_slot_events.created_at IS 'Commit time of the slot''s create';
COMMENT ON COLUMN parking_slot_events.id IS 'Identity of the event, UUID version 7';
COMMENT ON COLUMN parking_slot_events.slot_uuid IS 'The slot to which it happened';
COMMENT ON COLUMN parking_slot_events.type IS 'parking.create, parking.update or parking.delete';
COMMENT ON COLUMN parking_slot_events.status IS 'The slot''s status after the event; null for a delete';
COMMENT ON COLUMN parking_slot_events.name IS 'The slot''s name after the event; null for a delete';
COMMENT ON COLUMN parking_slot_events.changed IS 'For an update: the fields that are different, joined by commas';
COMMENT ON COLUMN parking_slot_events.traceparent IS 'W3C trace context of the request, if it had one';

CREATE FUNCTION refuse_to_rewrite_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'parking_slot_events is append-only' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
COMMENT ON FUNCTION refuse_to_rewrite_the_log() IS 'Keeps the log append-only';
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON parking_slot_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite_the_log();

CREATE TABLE relay_cursor (
    singleton          boolean PRIMARY KEY DEFAULT true CONSTRAINT relay_cursor_singleton CHECK (singleton),
    confirmed_position bigint  NOT NULL DEFAULT 0 CONSTRAINT relay_cursor_not_negative CHECK (confirmed_position >= 0)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE relay_cursor IS 'How far the log has been published';
COMMENT ON COLUMN relay_cursor.singleton IS 'Always true: there is one row';
COMMENT ON COLUMN relay_cursor.confirmed_position IS 'The broker has confirmed every event up to here; it only rises';
INSERT INTO relay_cursor DEFAULT VALUES;

CREATE VIEW outbox AS
    SELECT event.* FROM parking_slot_events AS event, relay_cursor WHERE event.position > relay_cursor.confirmed_position;
COMMENT ON VIEW outbox IS 'The events that the broker has not confirmed yet; empty when idle';
COMMENT ON COLUMN outbox.position IS 'Place in the log, given under the commit lock';
COMMENT ON COLUMN outbox.version IS 'The version of the slot after the event';
COMMENT ON COLUMN outbox.committed_at IS 'Commit time; strictly rising with position';
COMMENT ON COLUMN outbox.created_at IS 'Commit time of the slot''s create';
COMMENT ON COLUMN outbox.id IS 'Identity of the event, UUID version 7';
COMMENT ON COLUMN outbox.slot_uuid IS 'The slot to which it happened';
COMMENT ON COLUMN outbox.type IS 'parking.create, parking.update or parking.delete';
COMMENT ON COLUMN outbox.status IS 'The slot''s status after the event; null for a delete';
COMMENT ON COLUMN outbox.name IS 'The slot''s name after the event; null for a delete';
COMMENT ON COLUMN outbox.changed IS 'For an update: the fields that are different, joined by commas';
COMMENT ON COLUMN outbox.traceparent IS 'W3C trace context of the request, if it had one';

COMMENT ON TABLE refinery_schema_history IS 'Which migrations have run; kept by the migration itself';
COMMENT ON COLUMN refinery_schema_history.version IS 'The migration''s number';
COMMENT ON COLUMN refinery_schema_history.name IS 'The migration''s name';
COMMENT ON COLUMN refinery_schema_history.applied_on IS 'When it ran';
COMMENT ON COLUMN refinery_schema_history.checksum IS 'Of its text: a migration that has run may not change';
