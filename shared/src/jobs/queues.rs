//! The queues: one a kind of resource, so that each is scaled, paused and watched on its own.

use model::{Queue, QueueInfo};

/// Pictures: bound by the processor.
pub const IMAGES: Queue = Queue::new("images");
/// Fulfilment of orders: short transactions and calls of the payment gateway.
pub const ORDERS: Queue = Queue::new("orders");
/// E-mail: waits for a slow server.
pub const MAIL: Queue = Queue::new("mail");
/// Reports: long looks at many rows.
pub const REPORTS: Queue = Queue::new("reports");
/// Copies from store to store: waits for the network and the disk, hardly for the processor.
pub const IO: Queue = Queue::new("io");

/// All of them. The engine adds its own.
pub const QUEUES: &[QueueInfo] = &[
    QueueInfo::computing(IMAGES),
    QueueInfo::waiting(ORDERS),
    QueueInfo::waiting(MAIL),
    QueueInfo::one_at_a_time(REPORTS),
    QueueInfo::waiting(IO),
];
