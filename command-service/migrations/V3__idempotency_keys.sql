-- The results of requests with an idempotency key.

CREATE TABLE idempotency_keys (
    key            text COLLATE "C" CONSTRAINT idempotency_keys_pkey PRIMARY KEY,
    first_position bigint           NOT NULL,
    last_position  bigint           NOT NULL,
    kept_at        timestamptz      NOT NULL,
    fingerprint    bytea            NOT NULL,
    CONSTRAINT idempotency_keys_shape CHECK (
        octet_length(key) BETWEEN 1 AND 200 AND octet_length(fingerprint) = 32
        AND 1 <= first_position AND first_position <= last_position
    )
);
-- Finds the old keys.
CREATE INDEX idempotency_keys_kept_at_idx ON idempotency_keys (kept_at);
COMMENT ON TABLE idempotency_keys IS
    'Which requests with an Idempotency-Key were carried out; what was answered is read from the log';
COMMENT ON COLUMN idempotency_keys.key IS 'What the caller sent as Idempotency-Key';
COMMENT ON COLUMN idempotency_keys.first_position IS
    'Position of the request''s first event, or of the version that it found in order and left unchanged';
COMMENT ON COLUMN idempotency_keys.last_position IS 'Position of the request''s last event; none between is of another';
COMMENT ON COLUMN idempotency_keys.kept_at IS 'When it was carried out; it may be forgotten 24 hours later';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'SHA-256 of method, path, If-Match and body';
