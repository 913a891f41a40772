//! Serve, replay, migrate, healthcheck, settings.

use serde_json::json;
use shared::{
    position::Position,
    postgres::{
        DatabaseUrl,
        migration::{Tables, migrate},
    },
    process::{probe, settings::Effective, shutdown},
    replica_name::ReplicaName,
};
use uuid::Uuid;

use super::{
    exit::CliError,
    output::{print_json, print_message, print_text},
};
use crate::{
    access::Access,
    primary::connection::{PrimaryOpenError, give_new_epoch},
    relay::{
        log::LogError,
        publisher::PublishError,
        replay::{ReplayError, Replayer, replay_range},
    },
    roles::Roles,
    settings::Settings,
    startup::Application,
    write_model,
};

pub(super) async fn serve(settings: &Settings, roles: Roles) -> Result<(), CliError> {
    let access = Access::of(settings, roles)?;
    let warnings = access.warnings();
    let shutdown = shutdown::on_signal().map_err(anyhow::Error::from)?;
    let application = Application::build(settings, access, &shutdown)?;
    let address = application.address();
    tracing::info!(url = %format_args!("http://{address}"), %roles, "listening");
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(application.run_until_stopped().await?)
}

pub(super) async fn migrate_primary(
    settings: &Settings,
    new_epoch: bool,
    json: bool,
) -> Result<(), CliError> {
    let primary = settings.primary_url("migrate")?;
    let migrating = migrate(primary, write_model::migrations(), Tables::InUse, &print_message);
    let applied = migrating.await.map_err(|error| match error.is_down() {
        true => CliError::down("the primary", &error),
        false => CliError::Other(error.into()),
    })?;
    let epoch = if new_epoch { Some(renew_epoch(primary).await?) } else { None };
    if json {
        let mut answer = json!({ "migrations_applied": applied });
        if let Some(epoch) = epoch {
            answer["epoch"] = json!(epoch);
        }
        return print_json(&answer);
    }
    print_text(&format!("the primary's schema is up to date; migrations applied now: {applied}"))?;
    match epoch {
        Some(epoch) => {
            print_text(&format!("the primary's new epoch: {epoch}; now run event-consumer rebuild"))
        }
        None => Ok(()),
    }
}

async fn renew_epoch(primary: &DatabaseUrl) -> Result<Uuid, CliError> {
    give_new_epoch(primary).await.map_err(|error| match error {
        PrimaryOpenError::Connect(_) | PrimaryOpenError::Lost(_) | PrimaryOpenError::Deadline => {
            CliError::down("the primary", &error)
        }
        PrimaryOpenError::Schema(_) | PrimaryOpenError::Standby => CliError::Other(error.into()),
    })
}

pub(super) async fn replay(
    settings: &Settings,
    replica: &ReplicaName,
    from: Position,
    to: Option<Position>,
    json: bool,
) -> Result<(), CliError> {
    let (primary, broker) = (settings.primary("replay")?, settings.broker("replay")?);
    if to.is_some_and(|to| to < from) {
        return Err(CliError::Usage("--to must not be less than --from"));
    }
    let sending = async {
        let replayer = Replayer::open(&primary, &broker).await?;
        replay_range(&replayer, replica, from, to).await
    };
    let events = sending.await.map_err(|error| match error {
        ReplayError::Log(LogError::Open(PrimaryOpenError::Connect(_) | PrimaryOpenError::Deadline)) => {
            CliError::down("the primary", &error)
        }
        ReplayError::Publish(PublishError::Unroutable) => {
            CliError::BadInput(format!("replica {replica} has no queue: start its event-consumer first"))
        }
        ReplayError::Publish(_) => CliError::down("the broker", &error),
        ReplayError::Log(_) | ReplayError::Ended => CliError::Other(error.into()),
    })?;
    if json {
        return print_json(&json!({ "replica": replica.to_string(), "events": events }));
    }
    print_text(&format!("{events} events sent to the queue of replica {replica}"))
}

pub(super) async fn healthcheck(settings: &Settings, json: bool) -> Result<(), CliError> {
    match probe::get(settings.bind, settings.port, "/readyz").await {
        Ok((true, body)) if json => print_text(&body),
        Ok((true, body)) => print_text(&probe::status_in(&body)),
        Ok((false, body)) => Err(CliError::NotReady(body)),
        Err(error) => Err(CliError::down("the service", &error)),
    }
}

pub(super) fn print_settings(effective: &[Effective], json: bool) -> Result<(), CliError> {
    for setting in effective {
        if json {
            print_json(setting)?;
        } else {
            print_text(&setting.to_string())?;
        }
    }
    Ok(())
}
