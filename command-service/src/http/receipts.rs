//! Tells how far the write behind a receipt has come.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{parameters::Parameters, problem::Problem, problem_types::ProblemType};
use crate::{
    freshness::{gate::Gate, trace::trace},
    queries::replica::Replica,
    register::receipt::Receipt,
};

/// `GET /receipts/{receipt}`
///
/// # Errors
/// The [`Problem`].
pub async fn receipt(
    request: HttpRequest,
    receipt: web::Path<String>,
    gate: web::Data<Gate>,
    replica: web::Data<Replica>,
) -> Result<HttpResponse, Problem> {
    Parameters::parse(request.query_string())?.finish()?;
    match Receipt::decode(&receipt).ok_or_else(Problem::malformed_receipt)? {
        Receipt::Write(write) => Ok(HttpResponse::Ok().json(trace(gate.log(), &replica, &write).await?)),
        Receipt::Read(_) => {
            let detail = "this receipt was given by a read: there is no write to tell of";
            Err(Problem::new(ProblemType::MalformedReceipt, detail))
        }
    }
}
