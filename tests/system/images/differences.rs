//! The checks of the images notice what they are there for.

use anyhow::{Result, ensure};

use super::{compose_file::Compose, dockerfile::Dockerfile, read};

/// What stands in the Compose file, what stands there instead, and what that would be.
const IN_COMPOSE: [(&str, &str, &str); 36] = [
    ("\n  rabbitmq:\n", "\n  broker:\n", "a dependency has another name"),
    ("PRIMARY_PORT:-5434}", "PRIMARY_PORT:-5436}", "another port of 127.0.0.1"),
    (
        "'127.0.0.1:${PARKING_REPLICA_PORT:-5435}:",
        "'${PARKING_REPLICA_PORT:-5435}:",
        "a port that is open to the world",
    ),
    ("MANAGEMENT_PORT:-15673}:15672'", "MANAGEMENT_PORT:-15673}:15673'", "another port of the container"),
    (", '127.0.0.1:${PARKING_MANAGEMENT_PORT:-15673}:15672'", "", "a port that is not published"),
    (
        "ports: ['127.0.0.1:${PARKING_CONSUMER_HTTP_PORT:-8001}:8001']",
        "ports: []",
        "no port of event-consumer",
    ),
    ("PARKING__HTTP__PORT: '8000'", "PARKING__HTTP__PORT: '8080'", "a service listens elsewhere"),
    ("  DATABASE_URL: postgres://command_service:", "  DATABASE_URL: postgres://postgres:", "another role"),
    ("//command_service_reader:", "//event_consumer:", "command-service may write to the replica"),
    (
        "@replica:5432/parking_replica\n    RABBITMQ",
        "@primary:5432/parking_replica\n    RABBITMQ",
        "another server",
    ),
    ("@primary:5432/parking\n", "@primary:5432/postgres\n", "another database"),
    (":5672/%2f", ":5672/parking", "another virtual host"),
    ("RABBITMQ_DEFAULT_USER: parking", "RABBITMQ_DEFAULT_USER: guest", "another user of the broker"),
    ("RABBITMQ_DEFAULT_PASS: *password", "RABBITMQ_DEFAULT_PASS: other", "another password"),
    ("PARKING__CONSUMER__HTTP_PORT: '8001'\n", "PARKING__HTTP__PORT: '8001'\n", "another variable"),
    ("    PARKING__LOG__FORMAT: json\n\nx-postgres", "\nx-postgres", "a variable less"),
    ("SIDE: primary", "SIDE: replica", "the other side's SQL"),
    ("DATABASE: parking\n", "DATABASE: parking_replica\n", "the other side's database"),
    ("      EVENT_CONSUMER_PASSWORD: *password\n", "", "a role without a password"),
    ("target: event-consumer", "target: command-service", "the other service's image"),
    ("command: [migrate]", "command: [serve]", "no migration"),
    (
        "migrate-replica: { condition: service_completed_successfully }",
        "migrate-replica: { condition: service_started }",
        "a start before the migration",
    ),
    (
        "      primary: { condition: service_healthy }",
        "      primary: { condition: service_started }",
        "a migration before the database is up",
    ),
    ("test: [CMD, pg_isready,", "test: [CMD, pg_ready,", "another health check"),
    ("  healthcheck:\n    # By TCP", "  x-healthcheck:\n    # By TCP", "no health check"),
    ("${PARKING_HTTP_PORT", "${HTTP_PORT", "another variable for a port"),
    ("postgres:18.6", "postgres:18", "an image that changes under one name"),
    ("rabbitmq:4.3.6-", "rabbitmq:4-", "an image that changes under one name"),
    ("rabbitmq:4.3.6-", "rabbitmq:4.3.5-", "a broker that can stop delivering"),
    ("  user: postgres\n", "", "a database that starts as root"),
    ("    user: rabbitmq\n", "", "a broker that starts as root"),
    ("  read_only: true\n", "", "an image that can be written"),
    ("  cap_drop: [ALL]\n", "", "capabilities"),
    ("no-new-privileges:true", "no-new-privileges:false", "privileges that can be gained"),
    ("  mem_limit: 512m\n", "", "memory without a limit"),
    ("  restart: always\n", "  restart: unless-stopped\n", "no start after a crash of the engine"),
];

/// The same of the profile `scaled`.
const IN_PROFILE: [(&str, &str, &str); 22] = [
    ("  query-2:\n", "  query-3:\n", "a process has another name"),
    (
        "  relay:\n    <<: [*command-service, *hardened]\n    profiles: [scaled]\n",
        "  relay:\n    <<: [*command-service, *hardened]\n",
        "a process that starts without the profile",
    ),
    ("profiles: [scaled]", "profiles: [more]", "another profile"),
    ("[serve, --roles, command]", "[serve]", "a process for commands that does more"),
    ("[serve, --roles, relay]", "[serve, --roles, 'command,relay']", "a relay that takes commands"),
    ("[serve, --roles, query]", "[serve, --roles, command]", "a process for reads that takes commands"),
    ("    environment: *any-role\n", "", "a process for commands that knows a replica"),
    (
        "@replica-2:5432/parking_replica\n    depends_on",
        "@replica:5432/parking_replica\n    depends_on",
        "both read one replica",
    ),
    ("PARKING__REPLICA__NAME: replica-2", "PARKING__REPLICA__NAME: replica", "a replica has another name"),
    ("      PARKING__REPLICA__NAME: replica-2\n", "", "two consumers of one name"),
    (
        "environment: *event-consumer-2-settings",
        "environment: *event-consumer-settings",
        "two consumers of one replica",
    ),
    ("    ports: []\n", "", "the second replica has the first one's port"),
    (
        "      replica-2: { condition: service_healthy }",
        "      replica: { condition: service_healthy }",
        "a migration before its database is up",
    ),
    ("      migrate-replica-2: {", "      migrate-replica: {", "a start before the migration"),
    ("nginx:1.30.5", "nginx:1.30", "an image that changes under one name"),
    ("    user: nginx\n", "", "a gateway that starts as root"),
    ("GATEWAY_PORT:-8080}:8080'", "GATEWAY_PORT:-8080}:80'", "another port of the gateway"),
    ("'127.0.0.1:${PARKING_GATEWAY_PORT", "'${PARKING_GATEWAY_PORT", "a gateway that is open to the world"),
    ("8080/livez", "8081/livez", "a health check of nothing"),
    ("./gateway:/etc/parking-gateway:ro", "./gateway:/etc/nginx:ro", "the configuration is elsewhere"),
    ("      command-2: *serving\n", "", "the gateway starts before a process whose name it looks up"),
    (", restart: true }", " }", "the gateway keeps the address of a process that was replaced"),
];

/// The same of the Dockerfile.
const IN_DOCKERFILE: [(&str, &str, &str); 13] = [
    ("AS event-consumer", "AS consumer", "a target has another name"),
    ("EXPOSE 8000", "EXPOSE 8080", "another port"),
    (
        "CMD [\"event-consumer\", \"healthcheck\"]",
        "CMD [\"command-service\", \"healthcheck\"]",
        "the other's health check",
    ),
    (
        "CMD [\"command-service\", \"healthcheck\"]",
        "CMD [\"command-service\", \"status\"]",
        "no health check",
    ),
    ("ENTRYPOINT [\"command-service\"]", "ENTRYPOINT [\"event-consumer\"]", "the other's program"),
    ("--from=build /out/event-consumer", "--from=build /out/command-service", "the other's program inside"),
    ("--package event-consumer", "", "a program that is not built"),
    ("rust:1.95.0", "rust:1.90.0", "another compiler"),
    ("cc-debian13", "cc-debian12", "an older C library than the compiler's"),
    ("BIND=0.0.0.0", "BIND=127.0.0.1", "nobody outside of the container reaches it"),
    ("USER 65532:65532", "USER 0", "root"),
    ("# One build", "# syntax=docker/dockerfile:1\n# One build", "a frontend that has to be downloaded"),
    ("RELEASE_DEBUG=false", "RELEASE_DEBUG=true", "line tables in an image"),
];

#[test]
fn every_difference_between_the_images_and_cargo_stack_is_noticed() -> Result<()> {
    let (compose, dockerfile) = (read("compose/cqrs.yml")?, read("compose/Dockerfile")?);
    let toolchain = read("rust-toolchain.toml")?;

    for (own, other, reason) in IN_COMPOSE.into_iter().chain(IN_PROFILE) {
        ensure!(compose.contains(own), "{reason}: there is no {own:?}");
        let compose = Compose::parse(&compose.replacen(own, other, 1))?;
        assert!(compose.check().is_err(), "not noticed: {reason}");
    }
    for (own, other, reason) in IN_DOCKERFILE {
        ensure!(dockerfile.contains(own), "{reason}: there is no {own:?}");
        let noticed = Dockerfile::parse(&dockerfile.replacen(own, other, 1))
            .and_then(|dockerfile| dockerfile.check(&toolchain));
        assert!(noticed.is_err(), "not noticed: {reason}");
    }
    Ok(())
}
