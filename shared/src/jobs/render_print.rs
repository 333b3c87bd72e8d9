use serde::{Deserialize, Serialize};

use super::queues::IMAGES;
use crate::domain::OrderId;
use model::{Kind, Queue};

/// Renders the print of one line of an order, as a part of the order's job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenderPrint {
    /// The order.
    pub order_id: OrderId,
    /// Which of its lines, from 0.
    pub position: u16,
}

impl Kind for RenderPrint {
    const NAME: &'static str = "render_print";
    const QUEUE: Queue = IMAGES;
}
