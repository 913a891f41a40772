#!/bin/sh
# Run once by the PostgreSQL image when its data directory is new: hands its passwords to the same SQL that
# `cargo stack` runs. $SIDE is primary or replica.
set -eu
{
    printf '\\getenv database DATABASE\n'
    printf '\\getenv command_service_password COMMAND_SERVICE_PASSWORD\n'
    printf '\\getenv event_consumer_password EVENT_CONSUMER_PASSWORD\n'
    printf '\\getenv command_service_reader_password COMMAND_SERVICE_READER_PASSWORD\n'
    cat "/provision/$SIDE.sql"
} | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres
