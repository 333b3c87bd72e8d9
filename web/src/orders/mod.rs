//! Orders, as the API and the pages place and cancel them.

pub mod api;
pub mod pages;
pub mod request;
#[cfg(test)]
pub mod samples;
#[cfg(test)]
mod tests;
pub mod view;

use std::collections::{HashMap, HashSet};

use ::jobs::cancel::CancelOutcome;
use ::jobs::enqueue::Options;
use ::jobs::status;
use ::jobs::subject::cancel_job;
use database::{Conn, Db};
use model::JobId;
use shared::db::idempotency::{self, KeyedRequest};
use shared::db::orders::{self as rows, NewLine, NewOrder, Order};
use shared::db::photos;
use shared::db::placing::{self, Accepting, Known};
use shared::db::products::{self, Product};
use shared::domain::{CustomerId, OrderId, PhotoId};

use crate::App;
use crate::http::error::ApiError;
use crate::http::extract::Noun;
use crate::http::field::Mistakes;
use crate::http::idempotency::{Answered, text};
use crate::jobs::pressure::Pressure;
use crate::jobs::{JobView, log_accepted};
use request::Draft;
use view::{AcceptedOrder, OrderView};

impl Noun for OrderId {
    const NOUN: &'static str = "order";
}

/// A request to place an order.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    /// Whose it will be.
    pub customer: CustomerId,
    /// The order, as far as it could be read.
    pub draft: Draft,
    /// The key under which the answer is kept, and the request's fingerprint.
    pub keyed: KeyedRequest,
    /// The request's trace.
    pub traceparent: String,
}

/// Places an order: the order, the job that fulfils it and the answer under its key, all or none.
///
/// # Errors
/// [`ApiError::Invalid`] with all mistakes, also those that were found before; the key's refusals; those of
/// [`Pressure::admit`].
pub async fn place(
    app: &App,
    request: PlaceOrder,
    mistakes: Mistakes,
) -> Result<Answered<AcceptedOrder>, ApiError> {
    app.rates.orders(request.customer)?;
    let known = mistakes.into_errors();
    let pressure = app.pressure.clone();
    app.db
        .run(move |db| {
            let (request, known, pressure) = (request.clone(), known.clone(), pressure.clone());
            async move {
                let mut mistakes = Mistakes::default();
                known.into_iter().for_each(|error| mistakes.add(error.field, error.message));
                if mistakes.is_empty() {
                    place_valid(&db, &pressure, &request).await
                } else {
                    refuse(&mut db.conn().await?, &request, mistakes).await
                }
            }
        })
        .await
        .inspect(|placed| {
            if let Answered::New(accepted) = placed {
                log_accepted(&accepted.job);
            }
        })
}

/// The order is wrong already: look for what else is.
async fn refuse(
    conn: &mut Conn,
    request: &PlaceOrder,
    mut mistakes: Mistakes,
) -> Result<Answered<AcceptedOrder>, ApiError> {
    let ids = request.draft.photo_ids();
    let photos = photos::find_many(conn, &ids).await?;
    let own = photos.iter().filter(|photo| photo.customer_id == request.customer).map(|photo| photo.id);
    let products = products::all(conn).await?;
    check_against(&request.draft, &own.collect(), &products, &mut mistakes);
    Err(ApiError::Invalid(mistakes.into_errors()))
}

async fn place_valid(
    db: &Db,
    pressure: &Pressure,
    request: &PlaceOrder,
) -> Result<Answered<AcceptedOrder>, ApiError> {
    let draft = &request.draft;
    let mut tx = db.begin().await?;
    tx.wait_for_locks(idempotency::WAIT);
    let limit = pressure.per_customer();
    let known = placing::read(&mut tx, &request.keyed, &draft.photo_ids(), limit, draft.express).await?;
    let accepting = match known {
        Ok(known) => decide(&known, pressure, request),
        Err(key) => {
            tx.rollback().await?;
            return Answered::before(key);
        }
    };
    let accepting = match accepting {
        Ok(accepting) => accepting,
        Err(refusal) => {
            tx.rollback().await?;
            return Err(refusal);
        }
    };
    let job = accepting.job();
    let (lines, timeline) = (accepting.lines.clone(), vec![accepting.received.clone()]);
    let order = OrderView::new(&accepting.order, lines, timeline, Some(job));
    let accepted = AcceptedOrder { order, job: JobView::from(job) };
    let kept = text(&accepted)?;
    placing::write(tx, &request.keyed, &accepting, &accepted.job.links.this, &kept).await?;
    Ok(Answered::New(accepted))
}

/// Whether the order can be accepted, and as what.
fn decide(known: &Known, pressure: &Pressure, request: &PlaceOrder) -> Result<Accepting, ApiError> {
    pressure.admit_with(known.unfinished)?;
    let draft = &request.draft;
    let mut mistakes = Mistakes::default();
    let own = known.own_photos.iter().copied().collect();
    let lines = check_against(draft, &own, &known.products, &mut mistakes);
    let (Some(email), Some(token), true) =
        (draft.email.clone(), draft.payment_token.clone(), mistakes.is_empty())
    else {
        return Err(ApiError::Invalid(mistakes.into_errors()));
    };
    let options = Options {
        owner: Some(request.customer),
        traceparent: Some(request.traceparent.clone()),
        callback: draft.callback.clone(),
        ..Options::default()
    };
    let new = NewOrder {
        id: OrderId::new(),
        customer_id: request.customer,
        job_id: JobId::new(),
        email,
        payment_token: token.as_str().to_owned(),
        lines,
        express: draft.express,
    };
    Ok(placing::accept(known, new, options)?)
}

/// Holds the lines against the customer's photos and the catalogue, and adds today's prices.
fn check_against(
    draft: &Draft,
    own: &HashSet<PhotoId>,
    products: &[Product],
    mistakes: &mut Mistakes,
) -> Vec<NewLine> {
    let prices: HashMap<&str, i64> =
        products.iter().map(|product| (product.id.as_str(), product.price_cents)).collect();
    let mut lines = Vec::with_capacity(draft.lines.len());
    for (index, line) in draft.lines.iter().enumerate() {
        let photo_id = line.photo_id.filter(|id| own.contains(id));
        if line.photo_id.is_some() && photo_id.is_none() {
            mistakes.add(format!("lines[{index}].photo_id"), "is not a photo of yours");
        }
        let price = line.product.as_deref().and_then(|product| prices.get(product));
        if line.product.is_some() && price.is_none() {
            mistakes.add(format!("lines[{index}].product"), "is not a product of ours");
        }
        if let (Some(photo_id), Some(product), Some(price), Some(quantity)) =
            (photo_id, &line.product, price, line.quantity)
        {
            let (product_id, quantity) = (product.clone(), quantity.get());
            lines.push(NewLine { photo_id, product_id, quantity, price_cents: *price });
        }
    }
    lines
}

/// A page of a customer's orders as the API shows them, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn page(
    app: &App,
    customer: CustomerId,
    before: Option<OrderId>,
    limit: i64,
) -> Result<Vec<OrderView>, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let page = rows::page(&mut conn, customer, before, limit).await?;
            views(&mut conn, &page).await
        })
        .await
}

/// A customer's order as the API shows it.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's.
pub async fn show(app: &App, customer: CustomerId, id: OrderId) -> Result<OrderView, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let order = find_own(&mut conn, customer, id).await?;
            view(&mut conn, &order).await
        })
        .await
}

/// An order as the API shows it.
///
/// # Errors
/// Those of the database.
async fn view(conn: &mut Conn, order: &Order) -> Result<OrderView, ApiError> {
    let view = views(conn, std::slice::from_ref(order)).await?.pop();
    view.ok_or_else(|| ApiError::Internal("an order has no view".into()))
}

/// Several orders as the API shows them, in the same order.
///
/// # Errors
/// Those of the database.
pub async fn views(conn: &mut Conn, list: &[Order]) -> Result<Vec<OrderView>, ApiError> {
    let ids: Vec<OrderId> = list.iter().map(|order| order.id).collect();
    let mut lines: HashMap<OrderId, Vec<_>> = HashMap::new();
    for (id, line) in rows::lines(conn, &ids).await? {
        lines.entry(id).or_default().push(line);
    }
    let mut events: HashMap<OrderId, Vec<_>> = HashMap::new();
    for (id, event) in rows::timeline(conn, &ids).await? {
        events.entry(id).or_default().push(event);
    }
    let job_ids: Vec<JobId> = list.iter().map(|order| order.job_id).collect();
    let jobs = status::find_many(conn, &job_ids).await?;
    let mut view = |order: &Order| {
        let lines = lines.remove(&order.id).unwrap_or_default();
        let job = jobs.iter().find(|job| job.id == order.job_id);
        OrderView::new(order, lines, events.remove(&order.id).unwrap_or_default(), job)
    };
    Ok(list.iter().map(&mut view).collect())
}

/// A customer's order.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's.
async fn find_own(conn: &mut Conn, customer: CustomerId, id: OrderId) -> Result<Order, ApiError> {
    let order = rows::find(conn, id).await?.filter(|order| order.customer_id == customer);
    order.ok_or(ApiError::NotFound("order"))
}

/// Asks for an order's cancellation. What was done for it will be undone; it may still be confirmed
/// before.
///
/// # Errors
/// [`ApiError::Conflict`] when it is over.
pub async fn cancel(app: &App, customer: CustomerId, id: OrderId) -> Result<AcceptedOrder, ApiError> {
    const OVER: ApiError =
        ApiError::Conflict("The order is confirmed or over: it can't be cancelled any more.");
    app.db
        .run(move |db| async move {
            let order = {
                let mut conn = db.conn().await?;
                find_own(&mut conn, customer, id).await?
            };
            if order.status.is_final() {
                return Err(OVER);
            }
            let mut tx = db.begin().await?;
            match cancel_job(&mut tx, order.job_id).await? {
                CancelOutcome::Cancelled(_) | CancelOutcome::Requested(_) => {}
                CancelOutcome::Over(_) | CancelOutcome::Unknown => {
                    tx.rollback().await?;
                    return Err(OVER);
                }
            }
            let order = find_own(&mut tx, customer, id).await?;
            let job = status::find(&mut tx, order.job_id).await?.ok_or(ApiError::NotFound("order"))?;
            let order = view(&mut tx, &order).await?;
            tx.commit().await?;
            Ok(AcceptedOrder { order, job: JobView::from(&job) })
        })
        .await
}
