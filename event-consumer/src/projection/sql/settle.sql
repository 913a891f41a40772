-- Notes that positions are settled. $1 lower and $2 upper ends of their ranges, $3 positions and $4 commit times of the
-- events among them, $5 epoch. The status row is locked.
WITH next AS MATERIALIZED (
    -- Always added to what the row holds, never computed from memory.
    SELECT applied + coalesce((SELECT range_agg(int8range(low, high))
                               FROM unnest($1::bigint[], $2::bigint[]) AS settled (low, high)),
                              '{}'::int8multirange) AS applied
    FROM replication_status
),
reach AS MATERIALIZED (
    SELECT last_of_first_range(applied) AS through FROM next
)
UPDATE replication_status AS status
SET applied = next.applied,
    -- The latest commit time before the first hole, as far as this batch knows it: perhaps too old, never too new.
    as_of = greatest(status.as_of,
                     (SELECT max(event.committed_at)
                      FROM unnest($3::bigint[], $4::timestamptz[]) AS event (position, committed_at), reach
                      WHERE event.position <= reach.through)),
    applied_at = clock_timestamp(),
    epoch = coalesce(status.epoch, $5::uuid)
FROM next
RETURNING status.applied_through
