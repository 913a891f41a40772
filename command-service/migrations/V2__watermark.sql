-- The time up to which a watermark has declared the log complete.

CREATE TABLE log_watermark (
    singleton boolean PRIMARY KEY DEFAULT true CONSTRAINT log_watermark_singleton CHECK (singleton),
    as_of     timestamptz
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE log_watermark IS
    'Up to when the log has been said to be complete; changed under the commit lock, so that no later event is earlier';
COMMENT ON COLUMN log_watermark.singleton IS 'Always true: there is one row';
COMMENT ON COLUMN log_watermark.as_of IS 'Every later event has a later commit time; null before the first watermark';
INSERT INTO log_watermark DEFAULT VALUES;
