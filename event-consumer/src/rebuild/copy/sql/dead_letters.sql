-- Copies the replica's dead letters that stay, with their numbers. These are dead letters without a position, which
-- no event brings again, and those that the rebuild dead-lettered again.
WITH again AS (
    DELETE FROM rebuild.dead_letters AS again USING public.dead_letters AS letter
    WHERE again.fingerprint = letter.fingerprint
    RETURNING again.fingerprint, again.position
)
INSERT INTO rebuild.dead_letters
       (id, position, dead_lettered_at, last_retry_reason, retries, type, reason, headers, body, whole_bytes,
        fingerprint)
OVERRIDING SYSTEM VALUE
SELECT letter.id, coalesce(again.position, letter.position), letter.dead_lettered_at, letter.last_retry_reason,
       letter.retries, letter.type, letter.reason, letter.headers, letter.body, letter.whole_bytes, letter.fingerprint
FROM public.dead_letters AS letter
LEFT JOIN again ON again.fingerprint = letter.fingerprint
WHERE (letter.position IS NULL OR again.fingerprint IS NOT NULL)
  -- Counting forces all deletes before the first insert.
  AND (SELECT count(*) FROM again) >= 0
