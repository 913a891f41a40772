-- Deletes slots and writes their tombstones. $1 uuids, $2 versions of the deletes, $3 deleted_at.
WITH burial AS MATERIALIZED (
    SELECT uuid, version, deleted_at
    FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) AS burial (uuid, version, deleted_at)
),
-- A tombstone stays for ever, so that no late event brings the slot back.
tombstones AS (
    INSERT INTO parking_slot_tombstones AS tombstone (uuid, version, deleted_at)
    SELECT uuid, version, deleted_at FROM burial
    ON CONFLICT (uuid) DO UPDATE SET version = excluded.version, deleted_at = excluded.deleted_at
    WHERE tombstone.version < excluded.version
)
DELETE FROM parking_slots AS slot USING burial WHERE slot.uuid = burial.uuid AND slot.version <= burial.version
