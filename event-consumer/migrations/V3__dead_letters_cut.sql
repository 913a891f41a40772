-- Dead letters of which only the beginning of the body is stored.

-- The fingerprint becomes a plain column: it is that of the whole body, which is not always stored.
-- In one block, so that the swap stays the only step of a rebuild that answers with ALTER TABLE.
DO $$
BEGIN
    ALTER TABLE dead_letters ALTER COLUMN fingerprint DROP EXPRESSION;
    ALTER TABLE dead_letters ALTER COLUMN fingerprint DROP NOT NULL;
    ALTER TABLE dead_letters ADD COLUMN whole_bytes bigint;
END
$$;
COMMENT ON COLUMN dead_letters.fingerprint IS
    'SHA-256 of the whole body: the same bytes delivered again are the same letter';
COMMENT ON COLUMN dead_letters.whole_bytes IS
    'The length of the whole body, if only its beginning is stored; null if all of it is';
COMMENT ON COLUMN dead_letters.body IS
    'The event, or the whole message if it could not be taken apart, as bytes; of a larger one the beginning';
