//! The print shop's vocabulary: pure types and state machines.
//!
//! Nothing here does IO, is async, or knows a database or a protocol.

pub mod file_name;
pub mod ids;
pub mod money;
pub mod order;
pub mod photo;
pub mod print;
pub mod sales;

pub use ids::{CustomerId, OrderId, PhotoId};
