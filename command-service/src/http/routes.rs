//! All paths and methods. Each path is one resource, which answers every other method with 405 and `Allow`.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard,
    web::{self, ServiceConfig},
};

use super::{
    parameters::Parameters, probes, problem::Problem, problem_types::ProblemType, reads, receipts, writes,
};
use crate::roles::{Role, Roles};

const READ_ONLY: &str = "GET, HEAD";

/// All paths, listed in the answer to a request for any other path.
const PATHS: &str = "there are /parking-slots, /parking-slots/batch, /parking-slots/summary, /parking-slots/{uuid}, \
                     /receipts/{receipt}, /health, /livez, /readyz and /problems/{name}, without a slash behind them";

/// Adds all resources. What needs a role that is not among `roles` is answered 421 `misdirected-request`.
pub fn configure(config: &mut ServiceConfig, roles: Roles) {
    let (query, command) =
        (RoleRoutes { role: Role::Query, roles }, RoleRoutes { role: Role::Command, roles });
    config
        .service(
            resource("/parking-slots", "GET, HEAD, POST")
                .route(query.to(read(), reads::list))
                .route(command.to(web::post(), writes::create)),
        )
        .service(resource("/parking-slots/batch", "POST").route(command.to(web::post(), writes::create_all)))
        .service(resource("/parking-slots/summary", READ_ONLY).route(query.to(read(), reads::summary)))
        .service(
            resource("/parking-slots/{uuid}", "GET, HEAD, PATCH, DELETE")
                .route(query.to(read(), reads::one))
                .route(command.to(web::patch(), writes::change))
                .route(command.to(web::delete(), writes::delete)),
        )
        .service(resource("/receipts/{receipt}", READ_ONLY).route(query.to(read(), receipts::receipt)))
        .service(resource("/health", READ_ONLY).route(read().to(probes::health)))
        .service(resource("/livez", READ_ONLY).route(read().to(probes::livez)))
        .service(resource("/readyz", READ_ONLY).route(read().to(probes::readyz)))
        .service(resource("/problems/{name}", READ_ONLY).route(read().to(problem_page)))
        .default_service(web::to(|| async { Err::<&str, _>(Problem::no_such_path(PATHS)) }));
}

/// The routes of one role, in a process with these roles.
#[derive(Clone, Copy)]
struct RoleRoutes {
    role: Role,
    roles: Roles,
}

impl RoleRoutes {
    /// Sends the route to `handler` if this process has the role. A refusal does not read the body.
    fn to<F, Args>(self, route: Route, handler: F) -> Route
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let Self { role, roles } = self;
        match roles.has(role) {
            true => route.to(handler),
            false => route.to(move || async move { Err::<&str, _>(Problem::misdirected(role, roles)) }),
        }
    }
}

/// `GET /problems/{name}`: the page behind a problem's `type`.
async fn problem_page(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = ProblemType::named(&name).ok_or_else(|| {
        let names = ProblemType::ALL.map(|kind| format!("/problems/{}", kind.describe().0)).join(", ");
        Problem::no_such_path(&format!("the problems are {names}"))
    })?;
    Parameters::parse(request.query_string())?.finish()?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(kind.page()))
}

fn resource(path: &str, allow: &'static str) -> Resource {
    web::resource(path)
        .default_service(web::to(move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) }))
}

/// A route for `GET` and `HEAD`.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
