//! The commands: `POST`, `PATCH`, `DELETE`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use shared::slot::{ChangeSlot, Command, CreateSlot, DeleteSlot, SlotStatus};
use uuid::Uuid;

use super::{
    fields::{Fields, body},
    parameters::{Parameters, slot_uuid},
    preconditions::{etag, if_match},
    problem::{Problem, ProblemType},
    trace_context::traceparent,
};
use crate::commands::{Ask, Commands, Outcome};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// `POST /parking-slots`
///
/// # Errors
/// The [`Problem`].
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    commands: web::Data<Commands>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let mut fields = Fields::parse(&body(&request, payload, &[JSON]).await?)?;
    let (name, status) = (fields.name(), fields.status());
    fields.require("name", name.as_ref());
    fields.finish()?;
    // `finish` has refused a request without a name.
    let name = name.ok_or_else(|| Problem::new(ProblemType::InvalidValue, "name is required"))?;
    let create = CreateSlot { uuid: Uuid::now_v7(), name, status: status.unwrap_or(SlotStatus::Available) };
    let location = format!("/parking-slots/{}", create.uuid);
    let mut answer = carry_out(&request, &commands, Command::Create(create)).await?;
    *answer.status_mut() = StatusCode::CREATED;
    if let Ok(location) = location.parse() {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// `PATCH /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn change(
    request: HttpRequest,
    payload: web::Payload,
    uuid: web::Path<String>,
    commands: web::Data<Commands>,
) -> Result<HttpResponse, Problem> {
    let uuid = slot_uuid(&uuid)?;
    Parameters::parse(request.query_string())?.finish()?;
    let precondition = if_match(&request)?;
    let mut fields = Fields::parse(&body(&request, payload, &[JSON, MERGE_PATCH]).await?)?;
    let (name, status) = (fields.name(), fields.status());
    fields.finish()?;
    carry_out(&request, &commands, Command::Change(ChangeSlot { uuid, precondition, name, status })).await
}

/// `DELETE /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn delete(
    request: HttpRequest,
    uuid: web::Path<String>,
    commands: web::Data<Commands>,
) -> Result<HttpResponse, Problem> {
    let uuid = slot_uuid(&uuid)?;
    Parameters::parse(request.query_string())?.finish()?;
    let precondition = if_match(&request)?;
    carry_out(&request, &commands, Command::Delete(DeleteSlot { uuid, precondition })).await
}

async fn carry_out(
    request: &HttpRequest,
    commands: &Commands,
    command: Command,
) -> Result<HttpResponse, Problem> {
    let outcome = commands.execute(Ask { command, traceparent: traceparent(request) }).await?;
    Ok(match outcome {
        Outcome::Stands { record, .. } => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::ETAG, etag(record.slot.version)))
            .json(record),
        Outcome::Removed { .. } => {
            HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish()
        }
    })
}
