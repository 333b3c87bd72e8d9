//! Orders, their lines and their timeline.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::now;
use super::schema::{order_events, order_lines, orders, products};
use super::sql_types::Id;
use super::{Conn, DbError, Tx, with};
use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::{CustomerId, EmailAddress, JobId, OrderId, PhotoId, Timestamp};

/// An order's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = orders)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The job that fulfils it.
    pub job_id: JobId,
    /// Where the confirmation goes.
    pub email: String,
    /// Where it is in its fulfilment.
    pub status: OrderStatus,
    /// Why it was rejected.
    pub reason: Option<RejectReason>,
    /// What it costs, in cents.
    pub total_cents: i64,
    /// What the payment gateway is asked with.
    pub payment_token: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Whether it overtakes ordinary ones.
    pub express: bool,
}

/// A line of an order, with the product's name of today and the price of then.
#[derive(Debug, Clone, Queryable)]
pub struct OrderLine {
    /// Which photo.
    pub photo_id: PhotoId,
    /// The product's id.
    pub product_id: String,
    /// The product's name.
    pub product_name: String,
    /// How many prints.
    pub quantity: i32,
    /// What one cost when it was ordered, in cents.
    pub price_cents: i64,
}

/// Something that happened to an order.
#[derive(Debug, Clone, Queryable)]
pub struct OrderEvent {
    /// When.
    pub at: Timestamp,
    /// What: the status that it went to.
    pub event: String,
    /// More about it.
    pub detail: Option<String>,
}

/// An order that is about to be accepted.
#[derive(Debug, Clone)]
pub struct NewOrder {
    /// Its id.
    pub id: OrderId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The job that will fulfil it.
    pub job_id: JobId,
    /// Where the confirmation goes.
    pub email: EmailAddress,
    /// What the payment gateway is asked with.
    pub payment_token: String,
    /// What is ordered.
    pub lines: Vec<NewLine>,
    /// Whether it overtakes ordinary ones.
    pub express: bool,
}

/// A line of a [`NewOrder`].
#[derive(Debug, Clone)]
pub struct NewLine {
    /// Which photo.
    pub photo_id: PhotoId,
    /// The product's id.
    pub product_id: String,
    /// How many prints.
    pub quantity: i32,
    /// What one costs now, in cents.
    pub price_cents: i64,
}

/// Accepts an order: its row, its lines and the first entry of its timeline.
///
/// # Errors
/// Those of the database.
pub async fn insert(tx: &mut Tx, new: &NewOrder) -> Result<Order, DbError> {
    let total: i64 = new.lines.iter().map(|line| line.price_cents * i64::from(line.quantity)).sum();
    let order: Order = with!(tx.conn(), |c| {
        diesel::insert_into(orders::table)
            .values((
                orders::id.eq(new.id),
                orders::customer_id.eq(new.customer_id),
                orders::job_id.eq(new.job_id),
                orders::email.eq(new.email.as_str()),
                orders::status.eq(OrderStatus::Received),
                orders::total_cents.eq(total),
                orders::payment_token.eq(&new.payment_token),
                orders::created_at.eq(now()),
                orders::express.eq(new.express),
            ))
            .returning(Order::as_returning())
            .get_result(c)
            .await
    })?;
    for (position, line) in (0_i32..).zip(&new.lines) {
        with!(tx.conn(), |c| {
            diesel::insert_into(order_lines::table)
                .values((
                    order_lines::order_id.eq(new.id),
                    order_lines::position.eq(position),
                    order_lines::photo_id.eq(line.photo_id),
                    order_lines::product_id.eq(&line.product_id),
                    order_lines::quantity.eq(line.quantity),
                    order_lines::price_cents.eq(line.price_cents),
                ))
                .execute(c)
                .await
        })?;
    }
    record_event(tx, new.id, OrderStatus::Received.name(), None).await?;
    Ok(order)
}

/// An order, whoever it belongs to.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    Ok(with!(conn, |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional())?)
}

/// A customer's orders, the newest first, older than `before`.
///
/// # Errors
/// Those of the database.
pub async fn page(
    conn: &mut Conn,
    owner: CustomerId,
    before: Option<OrderId>,
    limit: i64,
) -> Result<Vec<Order>, DbError> {
    Ok(with!(conn, |c| {
        let mut page = orders::table
            .filter(orders::customer_id.eq(owner))
            .order(orders::id.desc())
            .limit(limit)
            .select(Order::as_select())
            .into_boxed();
        if let Some(before) = before {
            page = page.filter(orders::id.lt(before));
        }
        page.load(c).await
    })?)
}

/// The lines of these orders, in order.
///
/// # Errors
/// Those of the database.
pub async fn lines(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<(OrderId, OrderLine)>, DbError> {
    Ok(with!(conn, |c| {
        order_lines::table
            .inner_join(products::table.on(products::id.eq(order_lines::product_id)))
            .filter(order_lines::order_id.eq_any(ids))
            .order((order_lines::order_id, order_lines::position))
            .select((
                order_lines::order_id,
                (
                    order_lines::photo_id,
                    order_lines::product_id,
                    products::name,
                    order_lines::quantity,
                    order_lines::price_cents,
                ),
            ))
            .load(c)
            .await
    })?)
}

/// What happened to these orders, in order.
///
/// # Errors
/// Those of the database.
pub async fn timeline(conn: &mut Conn, ids: &[OrderId]) -> Result<Vec<(OrderId, OrderEvent)>, DbError> {
    Ok(with!(conn, |c| {
        order_events::table
            .filter(order_events::order_id.eq_any(ids))
            .order((order_events::order_id, order_events::at, order_events::id))
            .select((order_events::order_id, (order_events::at, order_events::event, order_events::detail)))
            .load(c)
            .await
    })?)
}

/// Moves an order to its next status and writes it into its timeline; one that is there already (a
/// step done twice) stays as it is.
///
/// # Errors
/// Those of the database.
pub async fn set_status(
    tx: &mut Tx,
    id: OrderId,
    status: OrderStatus,
    reason: Option<RejectReason>,
) -> Result<(), DbError> {
    let may_come_from: Vec<OrderStatus> =
        OrderStatus::ALL.into_iter().filter(|from| from.may_become(status)).collect();
    let moved = with!(tx.conn(), |c| {
        diesel::update(orders::table.find(id).filter(orders::status.eq_any(may_come_from)))
            .set((orders::status.eq(status), orders::reason.eq(reason)))
            .execute(c)
            .await
    })?;
    if moved > 0 {
        record_event(tx, id, status.name(), reason.map(RejectReason::sentence)).await?;
    }
    Ok(())
}

/// Writes an entry into an order's timeline.
///
/// # Errors
/// Those of the database.
pub async fn record_event(
    tx: &mut Tx,
    order: OrderId,
    event: &str,
    detail: Option<&str>,
) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::insert_into(order_events::table)
            .values((
                order_events::id.eq(OrderId::new().into_sql::<Id>()),
                order_events::order_id.eq(order),
                order_events::at.eq(now()),
                order_events::event.eq(event),
                order_events::detail.eq(detail),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}
