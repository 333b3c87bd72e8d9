//! Identifiers: one newtype a noun, so that a photo's id can't be passed where an order's is meant.

use model::id;

/// A customer, anonymous: known by a token only. The owner of their jobs.
pub use model::OwnerId as CustomerId;

id!(
    /// An uploaded photo.
    PhotoId
);
id!(
    /// An order of prints.
    OrderId
);
impl OrderId {
    /// The end of the id: enough to tell one's own orders apart. (The beginning of a UUIDv7 is its time.)
    pub fn short(&self) -> String {
        self.0.simple().to_string()[24..].to_owned()
    }
}
