//! Orders, their lines and their timeline.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_async::RunQueryDsl;

use super::schema::{order_events, order_lines, orders, photo_variants, products};
use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::photo::{ImageType, Variant};
use crate::domain::print::PrintFormat;
use crate::domain::{CustomerId, OrderId, PhotoId};
use database::expressions::now;
use database::together;
use database::{Conn, DbError, Tx, with};
use model::sql_types::Id;
use model::{JobId, Timestamp};
use platform::EmailAddress;

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

/// The columns of an [`OrderLine`].
pub(super) const LINE: (
    order_lines::photo_id,
    order_lines::product_id,
    products::name,
    order_lines::quantity,
    order_lines::price_cents,
) = (
    order_lines::photo_id,
    order_lines::product_id,
    products::name,
    order_lines::quantity,
    order_lines::price_cents,
);

/// A line of an order, and the small picture of its photo.
#[derive(Debug, Clone, Queryable)]
pub struct LineWithThumb {
    /// The line.
    pub line: OrderLine,
    /// The picture's format, if there is one.
    pub thumb: Option<ImageType>,
}

/// What is to be printed of a line of an order.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    /// Which photo.
    pub photo_id: PhotoId,
    /// What the product measures, and how finely it is printed.
    pub format: PrintFormat,
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

/// An order, whoever it belongs to.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: OrderId) -> Result<Option<Order>, DbError> {
    Ok(with!(conn, |c| orders::table.find(id).select(Order::as_select()).first(c).await.optional())?)
}

/// An order as its mails show it, whoever it belongs to.
///
/// # Errors
/// Those of the database.
pub async fn find_with_thumbs(
    conn: &mut Conn,
    id: OrderId,
) -> Result<Option<(Order, Vec<LineWithThumb>)>, DbError> {
    let (order, lines) = together!(
        conn,
        order = |c| orders::table.find(id).select(Order::as_select()).load::<Order>(c),
        lines = |c| order_lines::table
            .inner_join(products::table.on(products::id.eq(order_lines::product_id)))
            .left_join(
                photo_variants::table.on(photo_variants::photo_id
                    .eq(order_lines::photo_id)
                    .and(photo_variants::name.eq(Variant::Thumb)))
            )
            .filter(order_lines::order_id.eq(id))
            .order(order_lines::position)
            .select((LINE, photo_variants::content_type.nullable()))
            .load::<LineWithThumb>(c),
    )?;
    Ok(order.into_iter().next().map(|order| (order, lines)))
}

/// What is to be printed of the line at this place, the first of which is 0. `None` if the order is gone, or is not
/// being printed: it was given up meanwhile, or has its prints.
///
/// # Errors
/// Those of the database.
pub async fn find_print(conn: &mut Conn, id: OrderId, position: u16) -> Result<Option<Print>, DbError> {
    let row: Option<(PhotoId, i32, i32, i32)> = with!(conn, |c| {
        order_lines::table
            .inner_join(orders::table.on(orders::id.eq(order_lines::order_id)))
            .inner_join(products::table.on(products::id.eq(order_lines::product_id)))
            .filter(order_lines::order_id.eq(id))
            .filter(order_lines::position.eq(i32::from(position)))
            .filter(orders::status.eq(OrderStatus::Rendering))
            .select((order_lines::photo_id, products::short_mm, products::long_mm, products::dpi))
            .first(c)
            .await
            .optional()
    })?;
    // The table's checks keep all three small and above zero.
    Ok(row.map(|(photo_id, short_mm, long_mm, dpi)| {
        let (short_mm, long_mm) = (short_mm.unsigned_abs(), long_mm.unsigned_abs());
        let format = PrintFormat { short_mm, long_mm, dpi: u16::try_from(dpi).unwrap_or(u16::MAX) };
        Print { photo_id, format }
    }))
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
            .select((order_lines::order_id, LINE))
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
    let detail = reason.map(RejectReason::sentence);
    together!(
        tx.conn(),
        moved = |c| diesel::update(orders::table.find(id).filter(orders::status.eq_any(&may_come_from)))
            .set((orders::status.eq(status), orders::reason.eq(reason)))
            .execute(c),
        // An order goes to a status once, and its timeline says so once.
        told = |c| orders::table
            .filter(orders::id.eq(id))
            .filter(orders::status.eq(status))
            .filter(not(exists(
                order_events::table
                    .filter(order_events::order_id.eq(id))
                    .filter(order_events::event.eq(status.name()))
            )))
            .select((
                OrderId::new().into_sql::<Id>(),
                orders::id,
                now(),
                status.name().into_sql::<Text>(),
                detail.into_sql::<Nullable<Text>>(),
            ))
            .insert_into(order_events::table)
            .into_columns((
                order_events::id,
                order_events::order_id,
                order_events::at,
                order_events::event,
                order_events::detail,
            ))
            .execute(c),
    )?;
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
