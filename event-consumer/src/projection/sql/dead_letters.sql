-- Stores dead letters. $1 positions, $2 types, $3 reasons, $4 headers, $5 bodies, $6 lengths of whole bodies, where
-- they are cut, $7 fingerprints. $8 how many letters and $9 how many bytes of bodies and headers may be open.
--
-- The caller has locked the status row. The same bytes delivered again are the same dead letter; its position is added
-- if it is known only now. A position that is already settled is left out: the dead letter does not settle it.
WITH letter AS (
    -- The same bytes may come twice in one batch.
    SELECT DISTINCT ON (fingerprint)
           (SELECT given.position FROM replication_status WHERE NOT applied @> given.position) AS position,
           type, reason, headers, body, whole_bytes, fingerprint
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::bytea[])
         AS given (position, type, reason, headers, body, whole_bytes, fingerprint)
    ORDER BY fingerprint, given.position NULLS LAST
),
open AS MATERIALIZED (
    SELECT count(*) AS letters, coalesce(sum(octet_length(body) + octet_length(headers::text)), 0) AS bytes
    FROM dead_letters
),
-- Letters with a position come first. What has none, and may be anything, gets half of the room.
counted AS MATERIALIZED (
    SELECT letter.*, is_open.is_open,
           open.letters + count(*) FILTER (WHERE NOT is_open.is_open) OVER before AS letters,
           open.bytes + coalesce(sum(octet_length(body) + octet_length(headers)) FILTER (WHERE NOT is_open.is_open) OVER before, 0) AS bytes,
           CASE WHEN position IS NULL THEN 2 ELSE 1 END AS share
    FROM letter
    CROSS JOIN open
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM dead_letters AS held WHERE held.fingerprint = letter.fingerprint) AS is_open
    ) AS is_open
    WINDOW before AS (ORDER BY position NULLS LAST, letter.fingerprint)
)
INSERT INTO dead_letters (position, type, reason, headers, body, whole_bytes, fingerprint)
SELECT position, type, reason, headers::json, body, whole_bytes, fingerprint
FROM counted
WHERE is_open OR (letters <= $8::bigint / share AND bytes <= $9::bigint / share)
ORDER BY position NULLS LAST
ON CONFLICT (fingerprint) DO UPDATE
    -- The letter may be that of an unsigned copy, which has no content.
    SET position = excluded.position, type = excluded.type, reason = excluded.reason, headers = excluded.headers,
        body = excluded.body, whole_bytes = excluded.whole_bytes
WHERE dead_letters.position IS NULL AND excluded.position IS NOT NULL
