#!/bin/sh
# What the public image's entry point does, as far as this project relies on it: makes the data directory with
# POSTGRES_PASSWORD, and runs what is in /docker-entrypoint-initdb.d once.
set -eu

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA"
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

if ! [ -s "$PGDATA/PG_VERSION" ]; then
    export POSTGRES_USER="${POSTGRES_USER:-postgres}"
    password=$(mktemp)
    printf '%s\n' "${POSTGRES_PASSWORD:?is not set}" >"$password"
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    # Trust on the socket and on 127.0.0.1 of the container, as the public image has it; passwords for everybody else.
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile "$password" --auth trust
    rm "$password"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # Without TCP: nobody outside takes the database for ready.
    pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses=''" --wait start
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
        *.sh) "$script" ;;
        *.sql) psql --set ON_ERROR_STOP=1 --no-password --username "$POSTGRES_USER" --file "$script" ;;
        esac
    done
    pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi

exec "$@"
