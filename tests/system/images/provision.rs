//! What the images of the databases run when their data is new, run here, and what the services make of it.

use std::{
    ffi::OsString,
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use stack::{Part, Postgres, Role};
use system_tests::servers::servers;

use super::{compose_file::Compose, read, root};

#[test]
fn what_the_images_provision_is_what_the_services_migrate() -> Result<()> {
    let compose = Compose::parse(&read("compose/cqrs.yml")?)?;
    let servers = servers()?;
    // Of its own: the roles get the passwords of the file.
    let server = servers.own_postgres()?;

    for (part, program) in [
        (Part::Primary, &servers.binaries.command_service),
        (Part::REPLICA, &servers.binaries.event_consumer),
    ] {
        run_as_image(&server, &compose, part).with_context(|| format!("{part}"))?;

        let mut migrate = Command::new(program);
        let inside = |host: &str| format!("@{host}:5432/");
        for (name, value) in compose.environment(&format!("migrate-{part}"))? {
            let value = value.replace(&inside(&part.name()), &format!("@127.0.0.1:{}/", server.port()));
            migrate.env(name, value);
        }
        let output = migrate.arg("migrate").stdin(Stdio::null()).output()?;
        ensure!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    }

    let reader = "SELECT has_table_privilege('command_service_reader', 'parking_slots', 'SELECT'),
                         has_table_privilege('command_service_reader', 'parking_slots', 'UPDATE')";
    let (_, replica) = Part::REPLICA.database().context("no database")?;
    assert_eq!(server.execute(replica, reader)?, "t|f", "the default privileges reach what was migrated");
    server.crash()
}

/// Runs `in-container.sh` as the image does, but for the place of the SQL.
fn run_as_image(server: &Postgres, compose: &Compose, part: Part) -> Result<()> {
    let script = read("compose/provision/in-container.sh")?;
    ensure!(script.contains("\"/provision/$SIDE.sql\""), "the SQL is elsewhere");
    let script = script.replace("/provision/", &format!("{}/compose/provision/", root().display()));
    let psql = server.psql(Role::Superuser, "postgres", Vec::<OsString>::new());
    let programs = psql.get_program().to_owned();
    let programs = std::path::Path::new(&programs).parent().context("psql is nowhere")?.to_owned();
    let mut image = Command::new("sh");
    image.env_clear().env("PATH", format!("{}:/usr/bin:/bin", programs.display()));
    image.envs(psql.get_envs().filter_map(|(name, value)| Some((name, value?))));
    image.envs(compose.environment(&part.name())?).env("POSTGRES_USER", Role::Superuser.name());
    let output = image.arg("-c").arg(script).stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[test]
fn the_image_of_a_database_finds_what_it_provisions_with() -> Result<()> {
    let text = read("compose/cqrs.yml")?;

    for mount in [
        "./provision:/provision:ro",
        "./provision/in-container.sh:/docker-entrypoint-initdb.d/provision.sh:ro",
    ] {
        assert_eq!(text.matches(&format!("- {mount}\n")).count(), 3, "{mount}");
        let source = mount.split(':').next().context("no source")?.trim_start_matches("./");
        assert!(fs::exists(root().join("compose").join(source))?, "{source}");
    }
    Ok(())
}
