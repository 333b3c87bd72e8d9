//! The API's description, made from the handlers: OpenAPI 3.1.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::api::admin as operations;
use crate::auth::cookie;
use crate::http::problem;
use crate::{customers, health, jobs, orders, photos, products, tasks};

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Print shop",
        description = "Upload photos, order prints, follow the work. Whatever takes longer than an answer \
                       is a job: accepted with 202, followed at its Location.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        customers::api::create_token, customers::api::show_webhook_secret, customers::api::open_session,
        photos::api::create, photos::api::list, photos::api::show, photos::api::delete, photos::images::show,
        products::api::list,
        orders::api::create, orders::api::list, orders::api::show, orders::api::cancel,
        jobs::api::show, jobs::api::cancel, jobs::events::stream, jobs::api::list_deliveries, tasks::api::start,
        health::live, health::ready, health::metrics, show,
        operations::jobs::list, operations::jobs::show, operations::jobs::retry, operations::jobs::cancel,
        operations::jobs::run,
        operations::dead::list, operations::dead::redrive, operations::dead::discard, operations::dead::messages,
        operations::dead::discard_messages,
        operations::audit::list,
        operations::operators::list, operations::operators::tokens,
        operations::operators::create_token, operations::operators::revoke_token,
        operations::queues::list, operations::queues::pause, operations::queues::resume,
        operations::schedule::list, operations::schedule::run,
        operations::overview::show, operations::overview::history, operations::overview::processes,
    ),
    components(schemas(problem::Problem, problem::FieldError)),
    modifiers(&Schemes),
    security(("bearer" = []), ("session" = [])),
    tags(
        (name = "customers", description = "Who is asking"),
        (name = "photos", description = "Pictures, and their sizes"),
        (name = "orders", description = "Prints"),
        (name = "jobs", description = "Work that goes on"),
        (name = "tasks", description = "Work that programs elsewhere start"),
        (name = "operation", description = "For operators"),
        (name = "admin", description = "What operators see and do, for their programs"),
    ),
)]
pub struct Description;

/// How customers say who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("From POST /api/tokens"));
        let session = ApiKeyValue::with_description(cookie::CUSTOMER, "From POST /session, for browsers");
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer.build()));
        let machine =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A secret of MACHINE_TOKENS"));
        components.add_security_scheme("machine", SecurityScheme::Http(machine.build()));
        let operator =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An operator's token"));
        components.add_security_scheme("operator", SecurityScheme::Http(operator.build()));
        let login = ApiKeyValue::with_description(cookie::OPERATOR, "From the login at /admin/login");
        components.add_security_scheme("login", SecurityScheme::ApiKey(ApiKey::Cookie(login)));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", operation_id = "show_description", tag = "operation", security(()), responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
))]
pub async fn show() -> HttpResponse {
    static JSON: LazyLock<String> = LazyLock::new(|| Description::openapi().to_json().unwrap_or_default());
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header(("Cache-Control", "no-cache"))
        .body(JSON.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_openapi_3_1_and_knows_the_routes() {
        let json: serde_json::Value =
            serde_json::from_str(&Description::openapi().to_json().unwrap()).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1"));
        let table = [
            ("/api/tokens", "post"),
            ("/session", "post"),
            ("/api/photos", "get"),
            ("/api/photos", "post"),
            ("/api/photos/{id}", "delete"),
            ("/photos/{id}/{variant}", "get"),
            ("/api/products", "get"),
            ("/api/orders", "post"),
            ("/api/orders/{id}/cancel", "post"),
            ("/api/jobs/{id}", "delete"),
            ("/api/jobs/{id}/events", "get"),
            ("/api/jobs/{id}/deliveries", "get"),
            ("/api/webhook-secret", "get"),
            ("/api/tasks/{name}", "post"),
            ("/readyz", "get"),
            ("/api/admin/queues/{name}/pause", "post"),
            ("/api/admin/tokens/{id}", "delete"),
            ("/api/admin/overview", "get"),
            ("/api/admin/history", "get"),
            ("/api/admin/processes", "get"),
        ];
        for (path, method) in table {
            assert!(json["paths"][path][method].is_object(), "{method} {path}");
        }
        let methods =
            json["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut names: Vec<&str> = methods.map(|method| method["operationId"].as_str().unwrap()).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "clients are generated from these names: {names:?}");
        assert!(json["components"]["securitySchemes"]["bearer"].is_object());
        assert!(json["components"]["schemas"]["Problem"]["properties"]["type"].is_object());
    }
}
