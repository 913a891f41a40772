-- Reads the $2 youngest slots of the log up to uuid $1, each in the state of its latest event. Adds the rows
-- of the write model in the same range of uuids, at most $3. One snapshot has both, because a commit changes
-- both at once.
WITH RECURSIVE latest AS (
    -- One probe of the index (slot_uuid, version) for each slot, however many events it has.
    (SELECT slot_uuid, version, position, type, committed_at, created_at, status, name, 1 AS number
     FROM parking_slot_events
     WHERE slot_uuid <= $1::uuid
     ORDER BY slot_uuid DESC, version DESC LIMIT 1)
    UNION ALL
    SELECT older.slot_uuid, older.version, older.position, older.type, older.committed_at, older.created_at,
           older.status, older.name, latest.number + 1
    FROM latest
    CROSS JOIN LATERAL (
        SELECT slot_uuid, version, position, type, committed_at, created_at, status, name
        FROM parking_slot_events AS event
        WHERE event.slot_uuid < latest.slot_uuid
        ORDER BY event.slot_uuid DESC, event.version DESC LIMIT 1
    ) AS older
    WHERE latest.number < $2::integer
),
-- Where the log has no more slots, the range has no lower end.
bottom AS MATERIALIZED (
    SELECT coalesce((SELECT slot_uuid FROM latest WHERE number = $2::integer),
                    '00000000-0000-0000-0000-000000000000') AS uuid
),
slots AS MATERIALIZED (
    SELECT uuid, version, position, status, name,
           CASE WHEN created_at BETWEEN '0001-01-01 UTC' AND '9999-01-01 UTC' THEN created_at END AS created_at,
           CASE WHEN updated_at BETWEEN '0001-01-01 UTC' AND '9999-01-01 UTC' THEN updated_at END AS updated_at
    FROM parking_slots
    WHERE uuid <= $1::uuid AND uuid >= (SELECT uuid FROM bottom)
    ORDER BY uuid DESC LIMIT $3::bigint
)
SELECT coalesce(latest.slot_uuid, slots.uuid) AS uuid,
       latest.version AS log_version, latest.position AS log_position, latest.type AS log_type,
       latest.committed_at AS log_committed_at, latest.created_at AS log_created_at, latest.status AS log_status,
       latest.name AS log_name,
       slots.version, slots.position, slots.status, slots.name, slots.created_at, slots.updated_at
FROM latest FULL JOIN slots ON slots.uuid = latest.slot_uuid
ORDER BY coalesce(latest.slot_uuid, slots.uuid) DESC
