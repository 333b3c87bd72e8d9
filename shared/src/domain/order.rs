//! Orders: their states as a table, why the shop says no, and what may be ordered.

use serde::{Deserialize, Serialize};

/// Where an order is in its fulfilment.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted.
    Received,
    /// Its photos are still being made.
    AwaitingPhotos,
    /// The prints are taken from stock.
    Reserved,
    /// The card is charged.
    Paid,
    /// The prints are being rendered.
    Rendering,
    /// All done; the confirmation is on its way. Final.
    Confirmed,
    /// The business said no; everything is undone. Final.
    Rejected,
    /// The customer said no; everything is undone. Final.
    Cancelled,
}

impl OrderStatus {
    /// Every status, in the order of a good life.
    pub const ALL: [Self; 8] = [
        Self::Received,
        Self::AwaitingPhotos,
        Self::Reserved,
        Self::Paid,
        Self::Rendering,
        Self::Confirmed,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::AwaitingPhotos => "awaiting_photos",
            Self::Reserved => "reserved",
            Self::Paid => "paid",
            Self::Rendering => "rendering",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`OrderStatus::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Where it stands in [`OrderStatus::ALL`].
    pub fn position(self) -> usize {
        Self::ALL.into_iter().take_while(|status| *status != self).count()
    }

    /// Whether nothing more happens to the order.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Rejected | Self::Cancelled)
    }

    /// Whether an order may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use OrderStatus as S;
        match (self, next) {
            (S::Received, S::AwaitingPhotos | S::Reserved)
            | (S::AwaitingPhotos, S::Reserved)
            | (S::Reserved, S::Paid)
            | (S::Paid, S::Rendering | S::Confirmed)
            | (S::Rendering, S::Confirmed) => true,
            (from, S::Rejected | S::Cancelled) => !from.is_final(),
            _ => false,
        }
    }
}

/// Why the business said no.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// A photo of the order could not be made into a picture.
    PhotoRejected,
    /// There are fewer prints in stock than ordered.
    OutOfStock,
    /// The card was declined.
    Declined,
}

impl RejectReason {
    /// The name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::PhotoRejected => "photo_rejected",
            Self::OutOfStock => "out_of_stock",
            Self::Declined => "declined",
        }
    }

    /// The inverse of [`RejectReason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::PhotoRejected, Self::OutOfStock, Self::Declined]
            .into_iter()
            .find(|reason| reason.name() == name)
    }

    /// A sentence for the customer.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::PhotoRejected => "One of the photos could not be made into a picture.",
            Self::OutOfStock => "There are not enough prints of this kind in stock.",
            Self::Declined => "The card was declined.",
        }
    }
}

/// How many prints one line may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(i32);

impl Quantity {
    /// The fewest and the most prints of one line.
    pub const RANGE: std::ops::RangeInclusive<i64> = 1..=100;

    /// A quantity, if it is within [`Quantity::RANGE`].
    pub fn new(count: i64) -> Option<Self> {
        if !Self::RANGE.contains(&count) {
            return None;
        }
        i32::try_from(count).ok().map(Self)
    }

    /// The number of prints.
    pub fn get(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_table_is_exactly_this() {
        use OrderStatus as S;
        let legal = [
            (S::Received, vec![S::AwaitingPhotos, S::Reserved, S::Rejected, S::Cancelled]),
            (S::AwaitingPhotos, vec![S::Reserved, S::Rejected, S::Cancelled]),
            (S::Reserved, vec![S::Paid, S::Rejected, S::Cancelled]),
            (S::Paid, vec![S::Rendering, S::Confirmed, S::Rejected, S::Cancelled]),
            (S::Rendering, vec![S::Confirmed, S::Rejected, S::Cancelled]),
            (S::Confirmed, vec![]),
            (S::Rejected, vec![]),
            (S::Cancelled, vec![]),
        ];
        for (from, targets) in legal {
            for to in S::ALL {
                assert_eq!(from.may_become(to), targets.contains(&to), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for status in OrderStatus::ALL {
            assert_eq!(OrderStatus::from_name(status.name()), Some(status));
        }
    }

    #[test]
    fn a_quantity_is_between_one_and_a_hundred() {
        for bad in [0, -1, 101, 1_000_000_000, i64::MIN, i64::MAX] {
            assert_eq!(Quantity::new(bad), None, "{bad}");
        }
        assert_eq!(Quantity::new(100).map(Quantity::get), Some(100));
    }
}
