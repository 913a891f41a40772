--! outside a transaction
-- Indexes for pages with a filter. They are built while reads and events go on.

--! step
-- In a schema of its own: what the extension brings is no part of the read model. An extension that an administrator
-- has made elsewhere is used where it is. The owner of a database may make this one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE SCHEMA IF NOT EXISTS extensions;
        CREATE EXTENSION pg_trgm SCHEMA extensions;
    END IF;
END
$$;

--! step
-- So that the operator class is found. What is made stands in the first schema.
SELECT set_config('search_path', format('%I, %I', current_schema(), nspname), false)
FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
WHERE extname = 'pg_trgm';

--! step
CREATE INDEX CONCURRENTLY IF NOT EXISTS parking_slots_status_order ON parking_slots (status, created_at, uuid);

--! step
-- Without a list of pending entries, events would be applied more slowly. Searches read the whole list, so it is kept
-- short.
CREATE INDEX CONCURRENTLY IF NOT EXISTS parking_slots_name_trigrams ON parking_slots USING gin (name gin_trgm_ops)
    WITH (gin_pending_list_limit = 512);

--! step
COMMENT ON INDEX parking_slots_status_order IS 'A page of the slots with one status, in creation order';
COMMENT ON INDEX parking_slots_name_trigrams IS 'The slots whose name contains a text of three or more characters';
