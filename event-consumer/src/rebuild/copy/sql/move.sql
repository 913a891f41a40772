-- Moves the replica's tables and functions to the schema `replaced`, and those of the new copy into their place.
-- Indexes, triggers and sequences move with their tables. The domains stay: both sets of tables use them.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT format('TABLE %%I.%I', relname) AS object, to_regclass(format('public.%I', relname)) IS NOT NULL AS is_held
        FROM pg_class WHERE relnamespace = 'rebuild'::regnamespace AND relkind = 'r'
        UNION ALL
        SELECT format('FUNCTION %%I.%I(%s)', proname, oidvectortypes(proargtypes)),
               to_regprocedure(format('public.%I(%s)', proname, oidvectortypes(proargtypes))) IS NOT NULL
        FROM pg_proc WHERE pronamespace = 'rebuild'::regnamespace
    LOOP
        IF one.is_held THEN
            EXECUTE format('ALTER ' || one.object || ' SET SCHEMA replaced', 'public');
        END IF;
        EXECUTE format('ALTER ' || one.object || ' SET SCHEMA public', 'rebuild');
    END LOOP;
END
$$
