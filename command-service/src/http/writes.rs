//! The commands: `POST` (one slot or a batch), `PATCH`, `DELETE`.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::header, web};
use serde::Serialize;
use shared::slot::{ChangeSlot, Command, CreateSlot, DeleteSlot, SlotStatus};
use tracing::Span;
use uuid::Uuid;

use super::{
    body::{BATCH_BODY_MAX_BYTES, BODY_MAX_BYTES, body},
    client_stream::given_up,
    fields::{Faults, Fields},
    headers::WRITE_RECEIPT,
    idempotency::GivenKey,
    labels::{Replayed, Timing},
    parameters::{Parameters, slot_uuid},
    preconditions::{etag, if_match, no_if_match},
    problem::Problem,
    problem_types::ProblemType,
    trace_context::traceparent,
};
use crate::{
    commands::{
        CREATES_MAX, Commands, Done, IdempotencyKey, Outcome, Submission,
        queue::{CommandQueue, Executed},
    },
    register::record::SlotRecord,
};

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// `POST /parking-slots`
///
/// # Errors
/// The [`Problem`].
pub async fn create(
    request: HttpRequest,
    payload: web::Payload,
    commands: web::Data<CommandQueue>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    no_if_match(&request)?;
    let key = GivenKey::of(&request)?;
    let body = body(&request, payload, &[JSON], BODY_MAX_BYTES).await?;
    let fields = Fields::parse(&body)?;
    let mut faults = Faults::default();
    let create = create_from(fields, &mut faults);
    faults.check()?;
    let create = create.ok_or_else(|| Problem::new(ProblemType::InvalidValue, "name is required"))?;
    let key = key.map(|key| key.on(&request, &body));
    match carry_out(&request, &commands, Commands::One(Command::Create(create)), key).await? {
        Outcome::Created { record, receipt } => Ok(HttpResponse::Created()
            .insert_header((WRITE_RECEIPT, receipt.encode()))
            .insert_header((header::LOCATION, format!("/parking-slots/{}", record.slot.uuid)))
            .insert_header((header::ETAG, etag(record.slot.version)))
            .json(record)),
        other => Err(unexpected(&other)),
    }
}

/// `POST /parking-slots/batch`
///
/// # Errors
/// The [`Problem`].
pub async fn create_all(
    request: HttpRequest,
    payload: web::Payload,
    commands: web::Data<CommandQueue>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    no_if_match(&request)?;
    let key = GivenKey::of(&request)?;
    let body = body(&request, payload, &[JSON], BATCH_BODY_MAX_BYTES).await?;
    let mut faults = Faults::default();
    let items = Fields::parse_array(&body, CREATES_MAX, &mut faults)?;
    let creates = items.into_iter().filter_map(|fields| create_from(fields, &mut faults)).collect();
    faults.check()?;
    let key = key.map(|key| key.on(&request, &body));
    match carry_out(&request, &commands, Commands::CreateAll(creates), key).await? {
        Outcome::AllCreated { records, receipt } => {
            let receipt = receipt.encode();
            Ok(HttpResponse::Created()
                .insert_header((WRITE_RECEIPT, receipt.as_str()))
                .json(BatchBody { items: records, receipt }))
        }
        other => Err(unexpected(&other)),
    }
}

#[derive(Serialize)]
struct BatchBody {
    items: Vec<SlotRecord>,
    receipt: String,
}

/// The create that `fields` ask for. `None` if the name is absent or invalid. `faults` gets every fault.
fn create_from(mut fields: Fields, faults: &mut Faults) -> Option<CreateSlot> {
    let (name, status) = (fields.name(), fields.status());
    fields.require("name", name.as_ref());
    fields.finish(faults);
    Some(CreateSlot { uuid: Uuid::now_v7(), name: name?, status: status.unwrap_or(SlotStatus::Available) })
}

/// `PATCH /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn change(
    request: HttpRequest,
    payload: web::Payload,
    uuid: web::Path<String>,
    commands: web::Data<CommandQueue>,
) -> Result<HttpResponse, Problem> {
    let uuid = slot_uuid(&uuid)?;
    Parameters::parse(request.query_string())?.finish()?;
    let precondition = if_match(&request)?;
    let key = GivenKey::of(&request)?;
    let body = body(&request, payload, &[JSON, MERGE_PATCH], BODY_MAX_BYTES).await?;
    let mut fields = Fields::parse(&body)?;
    let mut faults = Faults::default();
    let (name, status) = (fields.name(), fields.status());
    fields.finish(&mut faults);
    faults.check()?;
    let change = ChangeSlot { uuid, precondition, name, status };
    let key = key.map(|key| key.on(&request, &body));
    match carry_out(&request, &commands, Commands::One(Command::Change(change)), key).await? {
        Outcome::Updated { record, receipt } => Ok(HttpResponse::Ok()
            .insert_header((WRITE_RECEIPT, receipt.encode()))
            .insert_header((header::ETAG, etag(record.slot.version)))
            .json(record)),
        other => Err(unexpected(&other)),
    }
}

/// `DELETE /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn delete(
    request: HttpRequest,
    uuid: web::Path<String>,
    commands: web::Data<CommandQueue>,
) -> Result<HttpResponse, Problem> {
    let uuid = slot_uuid(&uuid)?;
    Parameters::parse(request.query_string())?.finish()?;
    let precondition = if_match(&request)?;
    // A body has no meaning on a delete: the handler does not read it.
    let key = GivenKey::of(&request)?.map(|key| key.on(&request, &[]));
    let delete = DeleteSlot { uuid, precondition };
    match carry_out(&request, &commands, Commands::One(Command::Delete(delete)), key).await? {
        Outcome::Deleted { receipt, .. } => {
            Ok(HttpResponse::NoContent().insert_header((WRITE_RECEIPT, receipt.encode())).finish())
        }
        other => Err(unexpected(&other)),
    }
}

async fn carry_out(
    request: &HttpRequest,
    commands: &CommandQueue,
    asked: Commands,
    key: Option<IdempotencyKey>,
) -> Result<Outcome, Problem> {
    let ask = Submission { request: asked, key, traceparent: traceparent(request), span: Span::current() };
    let Executed { answer, queued, committing } = commands.execute_until(ask, given_up(request)).await;
    request.extensions_mut().insert(Timing([("queue", queued), ("commit", committing)]));
    let Done { outcome, replayed } = answer?;
    if replayed {
        request.extensions_mut().insert(Replayed);
    }
    Ok(outcome)
}

/// The write side returned another outcome than the command's. That outcome has happened, so the client must check.
fn unexpected(outcome: &Outcome) -> Problem {
    tracing::error!(?outcome, "unexpected outcome of a command");
    Problem::new(ProblemType::OutcomeUnknown, "please look whether the change was made")
}
