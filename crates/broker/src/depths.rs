//! How many messages are ready at the broker, of many queues at once.
//!
//! Not how much work there is: a job that waits for long is published again now and then, so there may be several
//! messages of one, and of one that is over. And not what lies at consumers or runs. How much there is to do says
//! `depths` of the crate `jobs`, which counts rows; scale by that.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::Broker;
use model::Queue;

/// A broker that takes longer can't say now.
const PATIENCE: Duration = Duration::from_secs(2);

/// The messages that are ready in both lanes of each of these queues. One that the broker does not have or can't
/// count now is left out.
pub async fn in_broker(broker: &Broker, queues: impl Iterator<Item = &str>) -> BTreeMap<String, u64> {
    let asked = queues.filter_map(Queue::named).map(async |queue| {
        let [express, ordinary] = queue.lanes();
        let asking = async { tokio::join!(broker.depth(express), broker.depth(ordinary)) };
        let (express, ordinary) = tokio::time::timeout(PATIENCE, asking).await.ok()?;
        Some((queue.name().to_owned(), express? + ordinary?))
    });
    join_all(asked).await.into_iter().flatten().collect()
}
