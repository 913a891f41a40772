-- Locks the replica's tables and those of the new copy in the mode that parking.lock_mode names. Locks them in the
-- order in which reads lock them, so that fewer reads cause a deadlock.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT relation.oid::regclass AS relation
        FROM pg_class AS copy
        JOIN pg_class AS relation ON relation.relname = copy.relname AND relation.relkind = copy.relkind
        WHERE copy.relnamespace = 'rebuild'::regnamespace AND copy.relkind = 'r'
          AND relation.relnamespace IN ('public'::regnamespace, 'rebuild'::regnamespace)
        ORDER BY array_position(ARRAY['parking_slots', 'parking_slot_summary', 'replication_status'],
                                copy.relname::text),
                 copy.relname, relation.relnamespace
    LOOP
        EXECUTE format('LOCK TABLE %s IN %s MODE', one.relation, current_setting('parking.lock_mode'));
    END LOOP;
END
$$
