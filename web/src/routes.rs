//! The whole URL table. A method that an address does not take is 405 with `Allow`; an address that is not
//! here is 404.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::{Method, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder, Route, guard};

use crate::api::admin as operations;
use crate::http::error::ApiError;
use crate::{
    App, admin, assets, customers, docs, health, jobs, mailbox, openapi, orders, photos, products, tasks,
};

/// Adds every route.
#[rustfmt::skip]
pub fn configure(routes: &mut ServiceConfig, app: &App) {
    if app.config.mailbox.is_some() {
        routes
            .service(At::new("/mailbox").get(mailbox::pages::list))
            .service(At::new("/mailbox/{id}").get(mailbox::pages::mail));
    }
    routes
        // Customers
        .service(At::new("/api/tokens").post(customers::api::create_token))
        .service(At::new("/api/webhook-secret").get(customers::api::show_webhook_secret))
        .service(At::new("/session").post(customers::api::open_session))
        // Photos
        .service(At::new("/api/photos").get(photos::api::list).post(photos::api::create))
        .service(At::new("/api/photos/{id}").get(photos::api::show).delete(photos::api::delete))
        // Orders
        .service(At::new("/api/products").get(products::api::list))
        .service(At::new("/api/orders").get(orders::api::list).post(orders::api::create))
        .service(At::new("/api/orders/{id}").get(orders::api::show))
        .service(At::new("/api/orders/{id}/cancel").post(orders::api::cancel))
        // Jobs
        .service(At::new("/api/jobs/{id}").get(jobs::api::show).delete(jobs::api::cancel))
        .service(At::new("/api/jobs/{id}/events").stream(jobs::events::stream))
        .service(At::new("/api/jobs/{id}/deliveries").get(jobs::api::list_deliveries))
        // Tasks, for machines
        .service(At::new("/api/tasks/{name}").post(tasks::api::start))
        // Pages
        .service(At::new("/").get(photos::pages::gallery::show))
        .service(At::new("/photos").post(photos::pages::gallery::upload))
        .service(At::new("/photos/{id}").get(photos::pages::photo::show))
        .service(At::new("/photos/{id}/delete").post(photos::pages::photo::delete))
        .service(At::new("/photos/{id}/{variant}").get(photos::images::show))
        .service(At::new("/orders/new").get(orders::pages::form::show))
        .service(At::new("/orders").get(orders::pages::list::show).post(orders::pages::form::place))
        .service(At::new("/orders/{id}").get(orders::pages::order::show))
        .service(At::new("/orders/{id}/cancel").post(orders::pages::order::cancel))
        .service(At::new("/static/{path:.*}").get(assets::show))
        // Operators' pages
        .service(At::new("/admin").get(admin::overview::show))
        .service(At::new("/admin/login").get(admin::login::form).post(admin::login::log_in))
        .service(At::new("/admin/logout").post(admin::login::log_out))
        .service(At::new("/admin/dead").get(admin::dead::show))
        .service(At::new("/admin/dead/jobs").get(admin::dead::list))
        .service(At::new("/admin/dead/decide").post(admin::dead::decide))
        .service(At::new("/admin/dead/messages").get(admin::dead::messages))
        .service(At::new("/admin/dead/messages/discard").post(admin::dead::discard_messages))
        .service(At::new("/admin/jobs").get(admin::jobs::list))
        .service(At::new("/admin/jobs/{id}").get(admin::jobs::show))
        .service(At::new("/admin/jobs/{id}/retry").post(admin::jobs::retry))
        .service(At::new("/admin/jobs/{id}/cancel").post(admin::jobs::cancel))
        .service(At::new("/admin/jobs/{id}/run").post(admin::jobs::run))
        .service(At::new("/admin/audit").get(admin::audit::list))
        .service(At::new("/admin/operators").get(admin::operators::list))
        .service(At::new("/admin/operators/tokens").post(admin::operators::create_token))
        .service(At::new("/admin/operators/tokens/{id}/revoke").post(admin::operators::revoke_token))
        .service(At::new("/admin/queues").get(admin::queues::list))
        .service(At::new("/admin/queues/{name}/pause").post(admin::queues::pause))
        .service(At::new("/admin/queues/{name}/resume").post(admin::queues::resume))
        .service(At::new("/admin/schedule").get(admin::schedule::list))
        .service(At::new("/admin/schedule/{name}/run").post(admin::schedule::run))
        // Operators' programs
        .service(At::new("/api/admin/dead").get(operations::dead::list))
        .service(At::new("/api/admin/dead/redrive").post(operations::dead::redrive))
        .service(At::new("/api/admin/dead/discard").post(operations::dead::discard))
        .service(At::new("/api/admin/dead/messages").get(operations::dead::messages))
        .service(At::new("/api/admin/dead/messages/discard").post(operations::dead::discard_messages))
        .service(At::new("/api/admin/jobs").get(operations::jobs::list))
        .service(At::new("/api/admin/jobs/{id}").get(operations::jobs::show))
        .service(At::new("/api/admin/jobs/{id}/retry").post(operations::jobs::retry))
        .service(At::new("/api/admin/jobs/{id}/cancel").post(operations::jobs::cancel))
        .service(At::new("/api/admin/jobs/{id}/run").post(operations::jobs::run))
        .service(At::new("/api/admin/audit").get(operations::audit::list))
        .service(At::new("/api/admin/operators").get(operations::operators::list))
        .service(At::new("/api/admin/tokens").get(operations::operators::tokens).post(operations::operators::create_token))
        .service(At::new("/api/admin/tokens/{id}").delete(operations::operators::revoke_token))
        .service(At::new("/api/admin/queues").get(operations::queues::list))
        .service(At::new("/api/admin/queues/{name}/pause").post(operations::queues::pause))
        .service(At::new("/api/admin/queues/{name}/resume").post(operations::queues::resume))
        .service(At::new("/api/admin/schedule").get(operations::schedule::list))
        .service(At::new("/api/admin/schedule/{name}/run").post(operations::schedule::run))
        .service(At::new("/api/admin/overview").get(operations::overview::show))
        .service(At::new("/api/admin/history").get(operations::overview::history))
        .service(At::new("/api/admin/processes").get(operations::overview::processes))
        // About ourselves
        .service(At::new("/openapi.json").get(openapi::show))
        .service(At::new("/docs").get(docs::page))
        .service(At::new("/docs/{file}").get(docs::file))
        .service(At::new("/livez").get(health::live))
        .service(At::new("/readyz").get(health::ready))
        .service(At::new("/metrics").get(health::metrics))
        .default_service(web::to(nothing_here));
}

async fn nothing_here() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound("address"))
}

/// An address and the methods that it takes.
pub struct At {
    resource: Resource,
    allowed: Vec<Method>,
}

impl At {
    /// An address that takes nothing yet.
    pub fn new(path: &str) -> Self {
        Self { resource: web::resource(path), allowed: Vec::new() }
    }

    /// Takes GET, and HEAD: the same without a body.
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let either = guard::Any(guard::Get()).or(guard::Head());
        self.add(&[Method::GET, Method::HEAD], web::route().guard(either).to(handler))
    }

    /// Takes GET and not HEAD: of a stream that follows events there is nothing to tell beforehand.
    pub fn stream<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(&[Method::GET], web::get().to(handler))
    }

    /// Takes POST.
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(&[Method::POST], web::post().to(handler))
    }

    /// Takes DELETE.
    pub fn delete<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.add(&[Method::DELETE], web::delete().to(handler))
    }

    fn add(mut self, methods: &[Method], route: Route) -> Self {
        self.allowed.extend_from_slice(methods);
        Self { resource: self.resource.route(route), allowed: self.allowed }
    }
}

impl HttpServiceFactory for At {
    fn register(self, config: &mut actix_web::dev::AppService) {
        let allowed: Vec<&str> = self.allowed.iter().map(Method::as_str).collect();
        let allowed = allowed.join(", ");
        let refuse = move || {
            let answer =
                HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allowed.clone())).finish();
            std::future::ready(answer)
        };
        self.resource.default_service(web::to(refuse)).register(config);
    }
}
