-- What a read needs to tell how fresh it is, and to be woken when fresher rows are there.

CREATE INDEX dead_letters_position ON dead_letters (position) WHERE position IS NOT NULL;

CREATE FUNCTION push_replication_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('replication_status', json_build_object(
        'applied_through', NEW.applied_through,
        'as_of_micros', (extract(epoch FROM NEW.as_of) * 1000000)::bigint,
        'epoch', NEW.epoch,
        'last_dead_letter', (SELECT max(id) FROM dead_letters))::text);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION push_replication_status() IS 'Tells who listens on replication_status what is settled now';
-- A trigger rather than part of the statements that change the row: every change then wakes the waiting reads.
CREATE TRIGGER push_status AFTER UPDATE ON replication_status
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION push_replication_status();
