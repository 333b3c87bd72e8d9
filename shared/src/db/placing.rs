//! Placing an order, in two round trips: what decides is read in one, what is accepted is written in the other,
//! with the commit.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::prelude::*;
use diesel::sql_types::Jsonb;
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use diesel::upsert::excluded;

use super::idempotency::{self, KEPT, Key, KeyedRequest, StoredAnswer, claiming, keeping, stored};
use super::orders::{NewLine, NewOrder, Order, OrderEvent, OrderLine};
use super::products::Product;
use super::schema::{idempotency_keys as keys, order_events, orders, photos, products};
use crate::domain::order::OrderStatus;
use crate::domain::{OrderId, PhotoId};
use crate::jobs::FulfilOrder;
use ::jobs::counting;
use ::jobs::enqueue::{self, Options};
use ::jobs::insert::{self, Decided, Place};
use ::jobs::schema::jobs;
use ::jobs::status::Counted;
use ::jobs::{Job, callbacks};
use ::jobs::{decided, placing};
use database::expressions::{for_key_share, now, now_minus};
use database::{Conn, DbError, Tx, with};
use database::{commit_with, together};
use model::sql_types::Id;
use model::{Kind, KindInfo, Lane};
use platform::callbacks::Callback;

/// What is known before an order is accepted.
#[derive(Debug)]
pub struct Known {
    /// How many unfinished jobs the customer has; of very many, not all.
    pub unfinished: i64,
    /// Which of the photos are the customer's. They can't be deleted while the transaction is open.
    pub own_photos: Vec<PhotoId>,
    /// The catalogue.
    pub products: Vec<Product>,
    place: Place,
}

/// An order as it is about to be written, and its job.
#[derive(Debug)]
pub struct Accepting {
    /// The order.
    pub order: Order,
    /// Its lines.
    pub lines: Vec<OrderLine>,
    /// How its timeline begins.
    pub received: OrderEvent,
    callback: Option<Callback>,
    job: Decided,
}

impl Accepting {
    /// The job that fulfils it.
    pub fn job(&self) -> &Job {
        &self.job.job
    }
}

/// Claims the request's key and reads what decides on its order. The transaction must not wait longer than
/// [`idempotency::WAIT`] for locks. `Err`: the key is not the request's; what is known of it.
///
/// # Errors
/// Those of the database.
pub async fn read(
    tx: &mut Tx,
    keyed: &KeyedRequest,
    photo_ids: &[PhotoId],
    most_unfinished: i64,
    express: bool,
) -> Result<Result<Known, Key>, DbError> {
    let customer = keyed.customer;
    let lane = Lane { queue: FulfilOrder::QUEUE, express };
    let text = insert::place_text(tx.conn());
    // Only the wait for the key says that somebody answers the same request.
    let has_key = AtomicBool::new(false);
    let asked = together!(
        tx.conn(),
        claimed = |c| async {
            let claimed = claiming!(keyed).execute(c).await;
            has_key.store(claimed.is_ok(), Ordering::Relaxed);
            claimed
        },
        stored = |c| stored!(keyed).load::<StoredAnswer>(c),
        counted = |c| counting!(customer, most_unfinished).get_result::<Counted>(c),
        own_photos = |c| for_key_share(
            photos::table
                .filter(photos::id.eq_any(photo_ids))
                .filter(photos::customer_id.eq(customer))
                .select(photos::id)
        )
        .load::<PhotoId>(c),
        products = |c| products::table
            .order((products::price_cents, products::id))
            .select(Product::as_select())
            .load::<Product>(c),
        place = |c| placing!(text, lane, Some(customer)).get_result::<Place>(c),
    );
    let (claimed, known) = match asked {
        Ok((claimed, stored, counted, own_photos, products, place)) => {
            let known = Known { unfinished: counted.jobs, own_photos, products, place };
            (Ok((claimed, stored)), Some(known))
        }
        Err(error) if AtomicBool::load(&has_key, Ordering::Relaxed) => return Err(error),
        Err(error) => (Err(error), None),
    };
    Ok(match (idempotency::found(tx, keyed, claimed)?, known) {
        (Key::New, Some(known)) => Ok(known),
        (key, _) => Err(key),
    })
}

/// An order and its job as they will be.
///
/// # Errors
/// None that can happen: the job's arguments are plain.
pub fn accept(known: &Known, new: NewOrder, options: Options) -> Result<Accepting, DbError> {
    let at = known.place.now();
    let kind = KindInfo::of::<FulfilOrder>();
    let args = enqueue::to_json(&FulfilOrder { order_id: new.id })?;
    let options = Options { express: new.express, ..options };
    let job = enqueue::new_jobs(&kind, kind.queue, &options).decide(new.job_id, args, known.place);
    let line = |line: NewLine| OrderLine {
        product_name: known
            .products
            .iter()
            .find(|product| product.id == line.product_id)
            .map_or_else(String::new, |product| product.name.clone()),
        photo_id: line.photo_id,
        product_id: line.product_id,
        quantity: line.quantity,
        price_cents: line.price_cents,
    };
    let order = Order {
        id: new.id,
        customer_id: new.customer_id,
        job_id: new.job_id,
        email: new.email.as_str().to_owned(),
        status: OrderStatus::Received,
        reason: None,
        total_cents: new.lines.iter().map(|line| line.price_cents * i64::from(line.quantity)).sum(),
        payment_token: new.payment_token,
        created_at: at,
        express: new.express,
    };
    let received = OrderEvent { at, event: OrderStatus::Received.name().to_owned(), detail: None };
    let lines = new.lines.into_iter().map(line).collect();
    Ok(Accepting { order, lines, received, callback: options.callback, job })
}

const LINES_POSTGRES: &str = "INSERT INTO order_lines \
     (order_id, position, photo_id, product_id, quantity, price_cents) \
     SELECT $1, position, photo_id, product_id, quantity, price_cents FROM jsonb_to_recordset($2) AS line \
     (position integer, photo_id uuid, product_id text, quantity integer, price_cents bigint)";
const LINES_SQLITE: &str = "INSERT INTO order_lines \
     (order_id, position, photo_id, product_id, quantity, price_cents) \
     SELECT $1, value ->> 'position', value ->> 'photo_id', value ->> 'product_id', value ->> 'quantity', \
     value ->> 'price_cents' FROM json_each($2)";

/// Writes the order, its job and the answer under the request's key, and commits.
///
/// # Errors
/// Those of the database; then nothing is written, or (when it went away during the commit) it is not known.
pub async fn write(
    mut tx: Tx,
    keyed: &KeyedRequest,
    accepting: &Accepting,
    location: &str,
    body: &str,
) -> Result<(), DbError> {
    let Accepting { order, lines, received, callback, job } = accepting;
    if let Some(callback) = callback {
        with!(tx.conn(), |c| decided!(job).execute(c).await)?;
        callbacks::ask_for(&mut tx, &job.job, callback).await?;
    }
    enqueue::hand_over(&mut tx, &job.job);
    let lines_text = match tx.conn() {
        Conn::Postgres(_) => LINES_POSTGRES,
        Conn::Sqlite(_) => LINES_SQLITE,
    };
    let lines: Vec<Value> = (0..).zip(lines).map(|(position, line)| as_row(position, line)).collect();
    commit_with!(
        tx,
        kept = |c| keeping!(keyed, location, body).execute(c),
        queued = |c| async {
            match callback {
                None => decided!(job).execute(c).await,
                Some(_) => Ok(0),
            }
        },
        ordered = |c| diesel::insert_into(orders::table)
            .values((
                orders::id.eq(order.id),
                orders::customer_id.eq(order.customer_id),
                orders::job_id.eq(order.job_id),
                orders::email.eq(&order.email),
                orders::status.eq(order.status),
                orders::total_cents.eq(order.total_cents),
                orders::payment_token.eq(&order.payment_token),
                orders::created_at.eq(order.created_at),
                orders::express.eq(order.express),
            ))
            .execute(c),
        lined = |c| diesel::sql_query(lines_text)
            .bind::<Id, _>(order.id)
            .bind::<Jsonb, _>(Value::Array(lines))
            .execute(c),
        told = |c| diesel::insert_into(order_events::table)
            .values((
                order_events::id.eq(OrderId::new().into_sql::<Id>()),
                order_events::order_id.eq(order.id),
                order_events::at.eq(received.at),
                order_events::event.eq(&received.event),
            ))
            .execute(c),
    )?;
    Ok(())
}

fn as_row(position: i32, line: &OrderLine) -> Value {
    json!({
        "position": position,
        "photo_id": line.photo_id.0,
        "product_id": line.product_id,
        "quantity": line.quantity,
        "price_cents": line.price_cents,
    })
}
