//! The queries: all of them read the replica.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Serialize;

use super::{
    parameters::{Parameters, slot_uuid},
    preconditions::{etag, none_match_fails},
    problem::Problem,
};
use crate::{
    queries::{Replica, cursor::Cursor},
    record::SlotRecord,
};

/// Reads may be kept, but must be asked for again before each use.
const CACHE_CONTROL: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-cache");

#[derive(Serialize)]
struct PageBody {
    items: Vec<SlotRecord>,
    next_cursor: Option<String>,
}

/// `GET /parking-slots`
///
/// # Errors
/// The [`Problem`].
pub async fn list(request: HttpRequest, replica: web::Data<Replica>) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let (limit, cursor) = (parameters.limit()?, parameters.cursor()?);
    parameters.finish()?;
    let page = replica.list(cursor, limit).await?;
    let body = PageBody { items: page.items, next_cursor: page.next.map(Cursor::encode) };
    Ok(HttpResponse::Ok().insert_header(CACHE_CONTROL).json(body))
}

/// `GET /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn one(
    request: HttpRequest,
    uuid: web::Path<String>,
    replica: web::Data<Replica>,
) -> Result<HttpResponse, Problem> {
    let uuid = slot_uuid(&uuid)?;
    Parameters::parse(request.query_string())?.finish()?;
    let record = replica.slot(uuid).await?.ok_or_else(Problem::no_such_slot)?;
    let version = record.slot.version;
    let tag = (header::ETAG, etag(version));
    if none_match_fails(&request, version)? {
        return Ok(HttpResponse::NotModified().insert_header(CACHE_CONTROL).insert_header(tag).finish());
    }
    Ok(HttpResponse::Ok().insert_header(CACHE_CONTROL).insert_header(tag).json(record))
}

/// `GET /parking-slots/summary`
///
/// # Errors
/// The [`Problem`].
pub async fn summary(request: HttpRequest, replica: web::Data<Replica>) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    let summary = replica.summary().await?;
    Ok(HttpResponse::Ok().insert_header(CACHE_CONTROL).json(summary))
}
