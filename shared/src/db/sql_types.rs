//! How the shop's own types are stored.

pub use model::sql_types::{Id, Instant};

use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::photo::{ImageType, PhotoStatus, Variant};

model::text_columns!(PhotoStatus, Variant, OrderStatus, RejectReason, ImageType);
