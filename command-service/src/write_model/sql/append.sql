-- Appends a batch to the log and applies its events to the slots. The transaction holds the commit lock.
--
-- $1 event ids, $2 types, $3 slots, $4 versions, $5 names, $6 statuses, $7 created_at (null: this event's commit
-- time), $8 changed fields, $9 traceparents, $10 whether no later event of this batch is of the same slot, $11 whether
-- to wake the relays of all processes.
WITH
-- The end of the log, and the commit time of the next event. That time is later than every event and the watermark,
-- even if the clock runs backwards.
log AS MATERIALIZED (
    SELECT coalesce(last.position, 0) AS position,
           greatest(clock_timestamp(), last.committed_at + interval '1 microsecond',
                    (SELECT as_of FROM log_watermark) + interval '1 microsecond') AS next_time
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT position, committed_at FROM parking_slot_events ORDER BY position DESC LIMIT 1
    ) AS last ON true
),
-- The batch with positions and commit times. Each further event is one position and one microsecond later.
batch AS MATERIALIZED (
    SELECT event.id, event.type, event.slot_uuid, event.version, event.name, event.status, event.changed,
           event.traceparent, event.is_last,
           log.position + event.number AS position,
           log.next_time + (event.number - 1) * interval '1 microsecond' AS committed_at,
           coalesce(event.created_at, log.next_time + (event.number - 1) * interval '1 microsecond') AS created_at
    FROM log,
         unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
                $8::text[], $9::text[], $10::boolean[])
         WITH ORDINALITY AS event (id, type, slot_uuid, version, name, status, created_at, changed, traceparent,
                                   is_last, number)
),
created AS (
    INSERT INTO parking_slots (uuid, version, position, created_at, updated_at, status, name)
    SELECT slot_uuid, version, position, created_at, committed_at, status, name
    FROM batch WHERE type = 'parking.create' AND is_last
),
updated AS (
    UPDATE parking_slots AS slot
    SET version = batch.version, position = batch.position, updated_at = batch.committed_at,
        status = batch.status, name = batch.name
    FROM batch WHERE batch.type = 'parking.update' AND batch.is_last AND slot.uuid = batch.slot_uuid
),
deleted AS (
    DELETE FROM parking_slots AS slot USING batch
    WHERE batch.type = 'parking.delete' AND batch.is_last AND slot.uuid = batch.slot_uuid
),
appended AS (
    INSERT INTO parking_slot_events (position, version, committed_at, created_at, id, slot_uuid, type, status, name,
                                     changed, traceparent)
    SELECT position, version, committed_at, created_at, id, slot_uuid, type, status, name, changed, traceparent
    FROM batch ORDER BY position
    RETURNING 1
)
-- The notification must be in this SELECT: PostgreSQL does not run a SELECT CTE that no query reads.
SELECT log.position + 1 AS first_position, log.next_time AS first_time, (SELECT count(*) FROM appended) AS events,
       (SELECT epoch FROM epoch) AS epoch,
       CASE WHEN $11 THEN pg_notify('parking_slot_events', '')::text END AS notified
FROM log
