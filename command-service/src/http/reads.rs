//! The queries. All of them read the replica.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    client_stream::given_up,
    labels::labelled,
    parameters::{Parameters, slot_uuid},
    preconditions::{etag, if_none_match},
    probes::Dependencies,
    problem::Problem,
};
use crate::{
    freshness::{demand::Demand, gate::Gate, unmet::Unmet},
    queries::{
        cursor::Cursor,
        list::Page,
        replica::{Read, ReadError, Replica},
        status::HandedBack,
    },
    register::record::SlotRecord,
    roles::Role,
};

#[derive(Serialize)]
struct PageBody<'p> {
    items: &'p [SlotRecord],
    next_cursor: Option<String>,
}

/// `GET /parking-slots`
///
/// # Errors
/// The [`Problem`].
pub async fn list(
    request: HttpRequest,
    replica: web::Data<Replica>,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, Problem> {
    let arrived = Instant::now();
    let mut parameters = Parameters::parse(request.query_string())?;
    let (filter, limit, cursor) = (parameters.filter()?, parameters.limit()?, parameters.cursor()?);
    let demand = parameters.demand()?;
    parameters.finish()?;
    let query = async |handed_back: &HandedBack| replica.list(&filter, cursor, limit, handed_back).await;
    let page = read(&request, &gate, &demand, arrived, query).await?;
    let mut answer = HttpResponse::Ok();
    if let Some(cursor) = page.next() {
        let next = next_page(request.query_string(), limit, &cursor.encode());
        answer.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    Ok(answer.content_type(header::ContentType::json()).body(page.encoded(page_body)))
}

fn page_body(page: &Page) -> Vec<u8> {
    let body = PageBody { items: page.items(), next_cursor: page.next().map(Cursor::encode) };
    serde_json::to_vec(&body).expect("slots and cursors are JSON")
}

/// The path of the next page: the same query, with the same freshness demand, from `cursor` on.
fn next_page(query: &str, limit: u16, cursor: &str) -> String {
    let same =
        form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "limit" && name != "cursor");
    let mut next = form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(same).append_pair("limit", &limit.to_string()).append_pair("cursor", cursor);
    format!("/parking-slots?{}", next.finish())
}

/// Runs `query` when the replica meets the demand. Leaves the answer's freshness with the request.
async fn read<T>(
    request: &HttpRequest,
    gate: &Gate,
    demand: &Demand,
    arrived: Instant,
    query: impl AsyncFn(&HandedBack) -> Result<Read<T>, ReadError>,
) -> Result<T, Problem> {
    match gate.read(demand, arrived, given_up(request), query).await {
        Ok(fresh) => Ok(labelled(request, fresh)),
        Err(Unmet::Behind { retry_after_secs, lag }) => {
            let dependencies = request.app_data::<web::Data<Dependencies>>();
            let down = dependencies.map(|dependencies| dependencies.down()).unwrap_or_default();
            let relays = dependencies.is_none_or(|dependencies| dependencies.roles.has(Role::Relay));
            Err(Problem::replica_behind(retry_after_secs, lag, &down, relays))
        }
        Err(unmet) => Err(unmet.into()),
    }
}

/// Parses the query of a resource that accepts freshness parameters only.
fn only_demand(request: &HttpRequest) -> Result<Demand, Problem> {
    let mut parameters = Parameters::parse(request.query_string())?;
    let demand = parameters.demand()?;
    parameters.finish()?;
    Ok(demand)
}

/// `GET /parking-slots/{uuid}`
///
/// # Errors
/// The [`Problem`].
pub async fn one(
    request: HttpRequest,
    uuid: web::Path<String>,
    replica: web::Data<Replica>,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, Problem> {
    let arrived = Instant::now();
    let uuid = slot_uuid(&uuid)?;
    let caller_has = if_none_match(&request)?;
    let demand = only_demand(&request)?;
    let query = async |handed_back: &HandedBack| replica.slot(uuid, handed_back).await;
    let found = read(&request, &gate, &demand, arrived, query).await?;
    let record = found.ok_or_else(Problem::no_such_slot)?;
    let version = record.slot.version;
    let tag = (header::ETAG, etag(version));
    if caller_has.version(version) {
        return Ok(HttpResponse::NotModified().insert_header(tag).finish());
    }
    Ok(HttpResponse::Ok().insert_header(tag).json(record))
}

/// `GET /parking-slots/summary`
///
/// # Errors
/// The [`Problem`].
pub async fn summary(
    request: HttpRequest,
    replica: web::Data<Replica>,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, Problem> {
    let arrived = Instant::now();
    let demand = only_demand(&request)?;
    let query = async |handed_back: &HandedBack| replica.summary(handed_back).await;
    let summary = read(&request, &gate, &demand, arrived, query).await?;
    Ok(HttpResponse::Ok().json(summary))
}
