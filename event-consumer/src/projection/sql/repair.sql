-- Sets slots to what the log says, unless they were written after the comparison with the log.
--
-- $1 uuids. $2 the transaction that wrote the row and $3 the one that wrote the tombstone, as the comparison found
-- them; null for none. $4 versions. $5 created_at, $6 updated_at, $7 statuses, $8 names of slots that must exist,
-- else null. $9 deleted_at of slots that must have a tombstone, else null. $10 the epoch of that log.
--
-- The caller has locked the status row.
WITH repair AS MATERIALIZED (
    SELECT uuid, found_slot, found_tombstone, version, created_at, updated_at, status, name, deleted_at
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::text[],
                $8::text[], $9::timestamptz[])
         AS repair (uuid, found_slot, found_tombstone, version, created_at, updated_at, status, name, deleted_at)
),
-- The log of another epoch says nothing about these rows.
its_epoch AS MATERIALIZED (
    SELECT coalesce(epoch = $10::uuid, true) AS is_this FROM replication_status
),
-- Leaves out slots that were written after the comparison.
due AS MATERIALIZED (
    SELECT repair.*
    FROM repair
    CROSS JOIN its_epoch
    LEFT JOIN parking_slots AS slot ON slot.uuid = repair.uuid
    LEFT JOIN parking_slot_tombstones AS tombstone ON tombstone.uuid = repair.uuid
    WHERE its_epoch.is_this
      AND slot.xmin::text::bigint IS NOT DISTINCT FROM repair.found_slot
      AND tombstone.xmin::text::bigint IS NOT DISTINCT FROM repair.found_tombstone
),
removed AS (
    DELETE FROM parking_slots AS slot USING due WHERE slot.uuid = due.uuid AND due.name IS NULL
),
unburied AS (
    DELETE FROM parking_slot_tombstones AS tombstone USING due
    WHERE tombstone.uuid = due.uuid AND due.deleted_at IS NULL
),
buried AS (
    INSERT INTO parking_slot_tombstones AS tombstone (uuid, version, deleted_at)
    SELECT uuid, version, deleted_at FROM due WHERE deleted_at IS NOT NULL
    ON CONFLICT (uuid) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at
),
placed AS (
    INSERT INTO parking_slots AS slot (uuid, version, created_at, updated_at, status, name)
    SELECT uuid, version, created_at, updated_at, status, name FROM due WHERE name IS NOT NULL
    ON CONFLICT (uuid) DO UPDATE
    SET version = excluded.version, created_at = excluded.created_at, updated_at = excluded.updated_at,
        status = excluded.status, name = excluded.name
)
SELECT is_this, (SELECT count(*) FROM due) AS repaired FROM its_epoch
