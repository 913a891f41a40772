-- Reads what is kept of keys. $1 keys, $2 the fingerprint that came with each.
SELECT kept.key, kept.fingerprint, kept.first_position, kept.last_position, epoch.epoch,
       event.slot_uuid, event.version, event.created_at, event.committed_at, event.status, event.name
FROM epoch
CROSS JOIN unnest($1::text[], $2::bytea[]) AS sought (key, fingerprint)
CROSS JOIN LATERAL (
    SELECT key, fingerprint, first_position, last_position FROM idempotency_keys
    WHERE key = sought.key COLLATE "C" LIMIT 1
) AS kept
LEFT JOIN LATERAL (
    SELECT position, slot_uuid, version, created_at, committed_at, status, name FROM parking_slot_events
    WHERE kept.fingerprint = sought.fingerprint AND position BETWEEN kept.first_position AND kept.last_position
    ORDER BY position LIMIT 1000
) AS event ON true
ORDER BY event.position
