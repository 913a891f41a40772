-- Sets slots to what their events say. $1 uuids, $2 versions, $3 created_at, $4 updated_at, $5 statuses, $6 names,
-- $7 documents.
--
-- A higher version replaces a row. Other content under the same version replaces it too, which undoes an edit by
-- hand. The same content writes nothing. A tombstone of the same or a higher version keeps the slot deleted.
INSERT INTO parking_slots AS slot (uuid, version, created_at, updated_at, status, name, document)
SELECT event.uuid, event.version, event.created_at, event.updated_at, event.status, event.name, event.document
FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
     AS event (uuid, version, created_at, updated_at, status, name, document)
WHERE NOT EXISTS (SELECT FROM parking_slot_tombstones AS tombstone
                  WHERE tombstone.uuid = event.uuid AND tombstone.version >= event.version)
ON CONFLICT (uuid) DO UPDATE
SET version = excluded.version, created_at = excluded.created_at, updated_at = excluded.updated_at,
    status = excluded.status, name = excluded.name, document = excluded.document
WHERE slot.version < excluded.version
   OR (slot.version = excluded.version
       AND (slot.created_at, slot.updated_at, slot.status, slot.name, slot.document)
           IS DISTINCT FROM (excluded.created_at, excluded.updated_at, excluded.status, excluded.name,
                             excluded.document))
