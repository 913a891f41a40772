-- Where the log was when it got its epoch. A restored or replaced primary is in another place.

ALTER TABLE epoch
    ADD COLUMN system_identifier bigint,
    ADD COLUMN timeline          bigint,
    ADD COLUMN database          oid,
    ADD CONSTRAINT epoch_identity CHECK (num_nulls(system_identifier, timeline, database) IN (0, 3));
COMMENT ON COLUMN epoch.system_identifier IS
    'The server in which the log was last seen: a dump restored elsewhere is in another. Null: not noted yet';
COMMENT ON COLUMN epoch.timeline IS
    'Its timeline: another after a recovery from an archive and after a promotion. Null: not noted yet';
COMMENT ON COLUMN epoch.database IS
    'The database: another after a dump was restored, or the database copied, within one server. Null: not noted yet';
