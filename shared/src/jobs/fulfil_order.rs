use serde::{Deserialize, Serialize};

use super::queues::ORDERS;
use super::{MakeThumbnails, RenderPrint};
use crate::domain::OrderId;
use model::{Kind, Queue};

/// Fulfils an order step by step, and undoes what it did when the business says no.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FulfilOrder {
    /// The order.
    pub order_id: OrderId,
}

impl Kind for FulfilOrder {
    const NAME: &'static str = "fulfil_order";
    const QUEUE: Queue = ORDERS;
    const WAITS_FOR: &'static [&'static str] = &[MakeThumbnails::NAME, RenderPrint::NAME];
    const UNDOES: bool = true;
}
