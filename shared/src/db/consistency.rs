//! What must agree in the tables: each check is one statement, so that it sees one moment and what is under way
//! is no false alarm. Nothing is changed here.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{OrderId, PhotoId};
use database::{Conn, DbError, with};
use model::sql_types::Id;

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that found it.
    pub check: String,
    /// What it is about: the id of an order, a photo, a job, a product.
    pub subject: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

/// A check of whole tables.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name, in findings and metrics.
    pub name: &'static str,
    sql: &'static str,
}

/// The checks that look at everything at once: what they look at is small, found by an index, or read in one
/// pass.
pub const WHOLE: &[Check] = &[
    Check {
        name: "stock",
        sql: "SELECT products.id AS subject, \
              CAST(stocked - COALESCE(taken, 0) AS TEXT) AS expected, CAST(stock AS TEXT) AS found \
              FROM products LEFT JOIN (SELECT product_id, \
              SUM(CASE kind WHEN 'reserve' THEN quantity ELSE -quantity END) AS taken \
              FROM stock_moves GROUP BY product_id) AS moves ON moves.product_id = products.id \
              WHERE stock <> stocked - COALESCE(taken, 0) ORDER BY products.id LIMIT 1000",
    },
    Check {
        name: "waits",
        sql: "SELECT CAST(id AS TEXT) AS subject, 'something to wait for' AS expected, 'nothing' AS found \
              FROM jobs WHERE state = 'waiting' AND waiting_since IS NOT NULL \
              AND NOT EXISTS (SELECT 1 FROM job_waits \
              JOIN jobs AS awaited ON awaited.id = job_waits.on_job WHERE job_waits.waiter = jobs.id \
              AND awaited.state IN ('pending', 'queued', 'running', 'waiting')) ORDER BY id LIMIT 1000",
    },
    // Nobody would ever find them. Who is the first of a line and has no time yet is given one by the sweep.
    Check {
        name: "due",
        sql: "SELECT CAST(id AS TEXT) AS subject, \
              'a time, a share to wait for, a job to wait for, or a line' AS expected, 'nothing' AS found \
              FROM jobs WHERE state IN ('pending', 'queued', 'running', 'waiting') \
              AND due_at IS NULL AND parked IS NULL AND waiting_since IS NULL \
              AND (ordering_open IS NULL OR state <> 'pending') ORDER BY id LIMIT 1000",
    },
    // They would be in the way of others.
    Check {
        name: "over",
        sql: "SELECT CAST(id AS TEXT) AS subject, 'nothing that it holds or waits for' AS expected, \
              COALESCE(unique_open, ordering_open, parked, 'a time') AS found \
              FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled') \
              AND (due_at IS NOT NULL OR parked IS NOT NULL OR waiting_since IS NOT NULL \
              OR unique_open IS NOT NULL OR ordering_open IS NOT NULL) ORDER BY id LIMIT 1000",
    },
    // What PostgreSQL has no foreign keys for.
    Check {
        name: "references",
        sql: "SELECT CAST(id AS TEXT) AS subject, 'the customer of an order' AS expected, 'none' AS found \
              FROM orders WHERE NOT EXISTS (SELECT 1 FROM customers WHERE customers.id = orders.customer_id) \
              UNION SELECT CAST(customer_id AS TEXT), 'the customer of an idempotency key', 'none' \
              FROM idempotency_keys WHERE NOT EXISTS \
              (SELECT 1 FROM customers WHERE customers.id = idempotency_keys.customer_id) \
              UNION SELECT CAST(order_id AS TEXT), 'the order of a line', 'none' \
              FROM order_lines \
              WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = order_lines.order_id) \
              UNION SELECT product_id, 'the product of a line', 'none' FROM order_lines \
              WHERE NOT EXISTS (SELECT 1 FROM products WHERE products.id = order_lines.product_id) \
              UNION SELECT CAST(order_id AS TEXT), 'the order of an event', 'none' \
              FROM order_events \
              WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = order_events.order_id) \
              UNION SELECT CAST(order_id AS TEXT), 'the order of a move of stock', 'none' \
              FROM stock_moves \
              WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.id = stock_moves.order_id) \
              UNION SELECT product_id, 'the product of a move of stock', 'none' FROM stock_moves \
              WHERE NOT EXISTS (SELECT 1 FROM products WHERE products.id = stock_moves.product_id) \
              UNION SELECT CAST(id AS TEXT), 'the job that it is a part of', 'none' FROM jobs WHERE parent IS NOT NULL \
              AND NOT EXISTS (SELECT 1 FROM jobs AS whole WHERE whole.id = jobs.parent) \
              ORDER BY subject, expected LIMIT 1000",
    },
    Check {
        name: "photo_jobs",
        sql: "SELECT CAST(photos.id AS TEXT) AS subject, 'an unfinished job' AS expected, \
              COALESCE(jobs.state, 'none') AS found \
              FROM photos LEFT JOIN jobs ON jobs.id = photos.job_id WHERE photos.status = 'processing' \
              AND (jobs.id IS NULL OR jobs.state IN ('succeeded', 'cancelled') OR jobs.failure = 'discarded') \
              ORDER BY photos.id LIMIT 1000",
    },
    Check {
        name: "order_jobs",
        sql: "SELECT CAST(orders.id AS TEXT) AS subject, 'an unfinished job' AS expected, \
              COALESCE(jobs.state, 'none') AS found \
              FROM orders LEFT JOIN jobs ON jobs.id = orders.job_id \
              WHERE orders.status NOT IN ('confirmed', 'rejected', 'cancelled') \
              AND (jobs.id IS NULL OR jobs.state IN ('succeeded', 'cancelled') OR jobs.failure = 'discarded') \
              ORDER BY orders.id LIMIT 1000",
    },
];

/// The sandbox gateway's ledger against the orders that are over; those under way may be anywhere.
pub const LEDGER: Check = Check {
    name: "ledger",
    sql: "SELECT CAST(orders.id AS TEXT) AS subject, \
          CASE orders.status WHEN 'confirmed' THEN 'charged ' || orders.total_cents ELSE 'no charge' END AS expected, \
          COALESCE(payments.state || ' ' || payments.amount_cents, 'nothing') AS found \
          FROM orders LEFT JOIN payments ON payments.order_id = orders.id \
          WHERE orders.id > $1 AND orders.id <= $2 AND (orders.status = 'confirmed' \
          AND (payments.state IS NULL OR payments.state <> 'charged' OR payments.amount_cents <> orders.total_cents) \
          OR orders.status IN ('rejected', 'cancelled') AND payments.state IN ('asked', 'charged')) ORDER BY orders.id",
};

/// What orders that are over have taken from the stock, against their lines.
pub const MOVES: Check = Check {
    name: "stock_moves",
    sql: "SELECT CAST(id AS TEXT) AS subject, CAST(wanted AS TEXT) AS expected, CAST(taken AS TEXT) AS found FROM \
          (SELECT orders.id, CASE orders.status WHEN 'confirmed' THEN (SELECT SUM(quantity) FROM order_lines \
          WHERE order_lines.order_id = orders.id) ELSE 0 END AS wanted, \
          (SELECT COALESCE(SUM(CASE kind WHEN 'reserve' THEN quantity ELSE -quantity END), 0) FROM stock_moves \
          WHERE stock_moves.order_id = orders.id) AS taken FROM orders \
          WHERE orders.id > $1 AND orders.id <= $2 AND orders.status IN ('confirmed', 'rejected', 'cancelled')) AS moves \
          WHERE wanted <> taken ORDER BY id",
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Text)]
    expected: String,
    #[diesel(sql_type = Text)]
    found: String,
}

impl Check {
    /// Looks at everything.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn whole(&self, conn: &mut Conn) -> Result<Vec<Finding>, DbError> {
        let rows: Vec<Row> = with!(conn, |c| diesel::sql_query(self.sql).load(c).await)?;
        Ok(rows.into_iter().map(|row| self.finding(row)).collect())
    }

    /// Looks at the orders after `after`, up to `last`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn of_orders(
        &self,
        conn: &mut Conn,
        after: Uuid,
        last: OrderId,
    ) -> Result<Vec<Finding>, DbError> {
        let after = OrderId(after);
        let rows: Vec<Row> = with!(conn, |c| {
            diesel::sql_query(self.sql).bind::<Id, _>(after).bind::<Id, _>(last).load(c).await
        })?;
        Ok(rows.into_iter().map(|row| self.finding(row)).collect())
    }

    fn finding(&self, row: Row) -> Finding {
        let Row { subject, expected, found } = row;
        Finding { check: self.name.to_owned(), subject, expected, found }
    }
}

/// The next orders after `after`, oldest first: each with the number of its lines, if it is confirmed and its
/// prints were rendered, so that there must be a print of each.
///
/// # Errors
/// Those of the database.
pub async fn orders_after(
    conn: &mut Conn,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(OrderId, Option<i64>)>, DbError> {
    #[derive(QueryableByName)]
    struct Printed {
        #[diesel(sql_type = Id)]
        id: OrderId,
        #[diesel(sql_type = Nullable<BigInt>)]
        prints: Option<i64>,
    }
    let sql = "SELECT id, CASE WHEN status = 'confirmed' AND EXISTS (SELECT 1 FROM order_events \
               WHERE order_events.order_id = orders.id AND event = 'rendering') THEN (SELECT count(*) \
               FROM order_lines WHERE order_lines.order_id = orders.id) END AS prints \
               FROM orders WHERE id > $1 ORDER BY id LIMIT $2";
    let rows: Vec<Printed> = with!(conn, |c| {
        diesel::sql_query(sql).bind::<Id, _>(OrderId(after)).bind::<BigInt, _>(limit).load(c).await
    })?;
    Ok(rows.into_iter().map(|row| (row.id, row.prints)).collect())
}

/// The next ready photos after `after`, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn ready_photos_after(conn: &mut Conn, after: Uuid, limit: i64) -> Result<Vec<PhotoId>, DbError> {
    use super::schema::photos;
    use crate::domain::photo::PhotoStatus;
    Ok(with!(conn, |c| {
        photos::table
            .filter(photos::id.gt(PhotoId(after)))
            .filter(photos::status.eq(PhotoStatus::Ready))
            .order(photos::id)
            .limit(limit)
            .select(photos::id)
            .load(c)
            .await
    })?)
}
