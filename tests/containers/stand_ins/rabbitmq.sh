#!/bin/sh
# What the public image's entry point does: gives the data to the broker's user, and runs the broker as that user and
# as the container's main process.
set -eu

if [ "$(id -u)" = 0 ]; then
    find /var/lib/rabbitmq ! -user rabbitmq -exec chown rabbitmq '{}' +
    exec setpriv --reuid rabbitmq --regid rabbitmq --init-groups "$0" "$@"
fi

export RUNNING_UNDER_SYSTEMD=true
exec "$@"
