//! What fulfilment needs to know of an order.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::orders::{LINE, Order, OrderLine};
use super::schema::{order_lines, orders, photos, products};
use crate::domain::OrderId;
use crate::domain::photo::PhotoStatus;
use crate::jobs::RenderPrint;
use ::jobs::children;
use ::jobs::schema::jobs;
use ::jobs::status::Standing;
use database::together;
use database::{Conn, DbError};
use model::JobId;
use model::Kind;

/// An order as its job finds it.
#[derive(Debug)]
pub struct Fulfilment {
    /// The order.
    pub order: Order,
    /// Its lines, each with where its photo is and the job that makes the photo's sizes; without, if the photo is gone.
    pub lines: Vec<(OrderLine, Option<(PhotoStatus, JobId)>)>,
    /// The jobs that render its prints, if there are any yet.
    pub prints: Vec<Standing>,
}

/// Reads an order and what its job `job` waits for, in one round trip.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: OrderId, job: JobId) -> Result<Option<Fulfilment>, DbError> {
    let (order, lines, prints) = together!(
        conn,
        order = |c| orders::table.find(id).select(Order::as_select()).load::<Order>(c),
        lines = |c| order_lines::table
            .inner_join(products::table.on(products::id.eq(order_lines::product_id)))
            .left_join(photos::table.on(photos::id.eq(order_lines::photo_id)))
            .filter(order_lines::order_id.eq(id))
            .order(order_lines::position)
            .select((LINE, (photos::status, photos::job_id).nullable(),))
            .load::<(OrderLine, Option<(PhotoStatus, JobId)>)>(c),
        prints = |c| children!(job, RenderPrint::NAME).load::<Standing>(c),
    )?;
    Ok(order.into_iter().next().map(|order| Fulfilment { order, lines, prints }))
}
