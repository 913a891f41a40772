-- Notes that positions are settled. $1 first and $2 last positions of their ranges, $3 the commit times of the last
-- positions, $4 epoch. The caller has locked the status row.
WITH settled AS MATERIALIZED (
    SELECT first, last, committed_at
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS settled (first, last, committed_at)
),
next AS MATERIALIZED (
    -- Adds to the row's own value, never to a value that this process remembers.
    SELECT status.applied + coalesce((SELECT range_agg(int8range(first, last, '[]')) FROM settled),
                                     '{}'::int8multirange) AS applied
    FROM replication_status AS status
),
reach AS MATERIALIZED (
    -- The same expression as the generated column: one less than the first missing position.
    SELECT lower('{[0,)}'::int8multirange - applied) - 1 AS through FROM next
),
-- The ends of this and earlier batches. The position before the first missing range is always one of them.
ends AS MATERIALIZED (
    SELECT last AS position, committed_at FROM settled
    UNION
    SELECT position, committed_at FROM replication_ahead
),
still_ahead AS (
    INSERT INTO replication_ahead (position, committed_at)
    SELECT last, committed_at FROM settled, reach WHERE last > reach.through
    ON CONFLICT (position) DO NOTHING
),
reached AS (
    DELETE FROM replication_ahead USING reach WHERE position <= reach.through
)
UPDATE replication_status AS status
SET applied = next.applied,
    as_of = greatest(status.as_of,
                     (SELECT max(ends.committed_at) FROM ends, reach WHERE ends.position <= reach.through)),
    applied_at = clock_timestamp(),
    epoch = coalesce(status.epoch, $4::uuid)
FROM next
RETURNING status.applied_through
