-- Reads the next $3 events after position $1, whose commit time is $2. Returns the events that break a rule
-- of the log, and, in a row of its own, the last event read.
WITH chunk AS MATERIALIZED (
    SELECT position, committed_at, slot_uuid, version, created_at,
           coalesce(lag(position) OVER before, $1::bigint) AS position_before,
           coalesce(lag(committed_at) OVER before, $2::timestamptz) AS committed_before
    FROM (SELECT position, committed_at, slot_uuid, version, created_at
          FROM parking_slot_events WHERE position > $1::bigint ORDER BY position LIMIT $3::bigint) AS next
    WINDOW before AS (ORDER BY position)
),
judged AS (
    SELECT position,
           position <> position_before + 1 AS gap,
           -- The first event of the log has no event before it, so it is never late.
           coalesce(committed_at <= committed_before, false) AS late,
           -- A slot's versions rise by one, in order of position, and no event follows its delete.
           version > 1 AND NOT EXISTS (
               SELECT FROM parking_slot_events AS earlier
               WHERE earlier.slot_uuid = chunk.slot_uuid AND earlier.version = chunk.version - 1
                 AND earlier.position < chunk.position AND earlier.created_at = chunk.created_at
                 AND earlier.name IS NOT NULL) AS alone
    FROM chunk
)
SELECT max(position) AS position, (SELECT committed_at FROM chunk ORDER BY position DESC LIMIT 1) AS committed_at,
       NULL::boolean AS gap, NULL::boolean AS late, NULL::boolean AS alone
FROM chunk
UNION ALL
SELECT position, NULL, gap, late, alone FROM judged WHERE gap OR late OR alone
