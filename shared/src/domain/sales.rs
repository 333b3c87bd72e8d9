//! What was sold: the sums of a report, gathered order by order. Pure.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::OrderId;
use super::order::{OrderStatus, RejectReason};
use model::Timestamp;

/// An order as the report counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedOrder {
    /// Its id.
    pub id: OrderId,
    /// When it was accepted: the day that it counts for.
    pub created_at: Timestamp,
    /// What became of it so far.
    pub status: OrderStatus,
    /// Why it was rejected.
    pub reason: Option<RejectReason>,
    /// Product, how many, and what one cost then, in cents.
    pub lines: Vec<(String, i32, i64)>,
}

/// How many of a product were sold, and for how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sold {
    /// How many prints.
    pub units: i64,
    /// What they cost together, in cents.
    pub revenue_cents: i64,
}

/// The sums of one day, or of several. Only confirmed orders are sold; the others are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// All orders that came in.
    pub orders: i64,
    /// Those that were fulfilled.
    pub confirmed: i64,
    /// Those that the shop said no to, by the reason's name.
    pub rejected: BTreeMap<String, i64>,
    /// Those that the customer took back.
    pub cancelled: i64,
    /// Those that are neither yet.
    pub unfinished: i64,
    /// What was sold, by the product's id.
    pub products: BTreeMap<String, Sold>,
}

impl Sums {
    /// What was taken for everything.
    pub fn revenue_cents(&self) -> i64 {
        self.products.values().map(|sold| sold.revenue_cents).sum()
    }

    fn count(&mut self, order: &CountedOrder) {
        self.orders += 1;
        match order.status {
            OrderStatus::Confirmed => self.confirmed += 1,
            OrderStatus::Cancelled => self.cancelled += 1,
            OrderStatus::Rejected => {
                let reason = order.reason.map_or("unknown", RejectReason::name);
                *self.rejected.entry(reason.to_owned()).or_default() += 1;
            }
            _ => self.unfinished += 1,
        }
        if order.status != OrderStatus::Confirmed {
            return;
        }
        for (product, quantity, price_cents) in &order.lines {
            let sold = self.products.entry(product.clone()).or_default();
            sold.units += i64::from(*quantity);
            sold.revenue_cents += price_cents * i64::from(*quantity);
        }
    }

    fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.confirmed += other.confirmed;
        self.cancelled += other.cancelled;
        self.unfinished += other.unfinished;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
        for (product, more) in &other.products {
            let sold = self.products.entry(product.clone()).or_default();
            sold.units += more.units;
            sold.revenue_cents += more.revenue_cents;
        }
    }
}

/// The sums of each day (in UTC) that had orders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sales(pub BTreeMap<NaiveDate, Sums>);

impl Sales {
    /// Counts an order for its day.
    pub fn count(&mut self, order: &CountedOrder) {
        self.0.entry(order.created_at.0.date_naive()).or_default().count(order);
    }

    /// All days together.
    pub fn total(&self) -> Sums {
        self.0.values().fold(Sums::default(), |mut total, day| {
            total.add(day);
            total
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(at: &str, status: OrderStatus, reason: Option<RejectReason>) -> CountedOrder {
        let lines = vec![("small".to_owned(), 3, 29), ("large".to_owned(), 1, 390)];
        CountedOrder { id: OrderId::new(), created_at: Timestamp(at.parse().unwrap()), status, reason, lines }
    }

    #[test]
    fn each_order_counts_for_its_day_and_only_confirmed_ones_are_sold() {
        let mut sales = Sales::default();
        for order in [
            order("2026-03-01T00:00:00Z", OrderStatus::Confirmed, None),
            order("2026-03-01T23:59:59Z", OrderStatus::Confirmed, None),
            order("2026-03-01T12:00:00Z", OrderStatus::Rejected, Some(RejectReason::Declined)),
            order("2026-03-02T12:00:00Z", OrderStatus::Rejected, Some(RejectReason::Declined)),
            order("2026-03-02T12:00:00Z", OrderStatus::Rejected, Some(RejectReason::OutOfStock)),
            order("2026-03-02T12:00:00Z", OrderStatus::Cancelled, None),
            order("2026-03-02T12:00:00Z", OrderStatus::Paid, None),
        ] {
            sales.count(&order);
        }
        let days: Vec<_> = sales.0.values().map(|day| (day.orders, day.revenue_cents())).collect();
        assert_eq!(days, [(3, 2 * (3 * 29 + 390)), (4, 0)]);
        let total = sales.total();
        assert_eq!((total.orders, total.confirmed, total.cancelled, total.unfinished), (7, 2, 1, 1));
        assert_eq!(total.rejected, BTreeMap::from([("declined".into(), 2), ("out_of_stock".into(), 1)]));
        assert_eq!(total.products["small"], Sold { units: 6, revenue_cents: 174 });
    }

    #[test]
    fn the_sums_so_far_are_read_back_from_a_checkpoint() {
        let mut sales = Sales::default();
        sales.count(&order("2026-03-01T00:00:00Z", OrderStatus::Confirmed, None));
        let checkpoint = serde_json::to_value(&sales).unwrap();
        assert_eq!(serde_json::from_value::<Sales>(checkpoint).unwrap(), sales);
    }
}
