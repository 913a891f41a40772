-- Counts the rows and corrects the summary. $1 the epoch of the log with which the rows were compared.
--
-- The caller has locked the status row, so no event changes a row meanwhile.
WITH counted AS MATERIALIZED (
    SELECT known.status, count(slot.uuid) AS slots
    FROM (VALUES ('available'), ('reserved'), ('occupied'), ('blocked')) AS known (status)
    LEFT JOIN parking_slots AS slot ON slot.status = known.status
    GROUP BY known.status
),
its_epoch AS MATERIALIZED (
    SELECT coalesce(epoch = $1::uuid, true) AS is_this FROM replication_status
),
removed AS (
    DELETE FROM parking_slot_summary AS summary
    WHERE (SELECT is_this FROM its_epoch) AND summary.status NOT IN (SELECT status FROM counted)
),
placed AS (
    INSERT INTO parking_slot_summary AS summary (status, slots)
    SELECT status, slots FROM counted WHERE (SELECT is_this FROM its_epoch)
    ON CONFLICT (status) DO UPDATE SET slots = excluded.slots WHERE summary.slots <> excluded.slots
)
SELECT is_this FROM its_epoch
