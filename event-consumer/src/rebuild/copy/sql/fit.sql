-- Prepares the tables of the new copy, which are still empty, to take the place of the replica's.
DO $$
DECLARE
    one record;
BEGIN
    -- Uses the replica's domains. To PostgreSQL the copy's domains of the same name are other types, and a statement
    -- that was prepared before the swap must not change its result types.
    FOR one IN
        SELECT relation.relname, attribute.attname, domain.typname
        FROM pg_attribute AS attribute
        JOIN pg_class AS relation ON relation.oid = attribute.attrelid
        JOIN pg_type AS domain ON domain.oid = attribute.atttypid
        WHERE relation.relnamespace = 'rebuild'::regnamespace AND relation.relkind = 'r'
          AND domain.typnamespace = 'rebuild'::regnamespace AND domain.typtype = 'd'
          AND attribute.attnum > 0 AND NOT attribute.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE rebuild.%I ALTER COLUMN %I TYPE public.%I',
                       one.relname, one.attname, one.typname);
    END LOOP;
    FOR one IN
        SELECT typname FROM pg_type WHERE typnamespace = 'rebuild'::regnamespace AND typtype = 'd'
    LOOP
        EXECUTE format('DROP DOMAIN rebuild.%I', one.typname);
    END LOOP;
    -- Listeners must not take the state of the new copy for the replica's.
    ALTER TABLE rebuild.replication_status DISABLE TRIGGER push_status;
END
$$
