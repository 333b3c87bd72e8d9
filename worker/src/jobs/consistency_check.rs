use std::collections::BTreeMap;

use ::jobs::settle::Progress;
use database::WHOLE_TABLE;
use futures_util::{StreamExt, TryStreamExt, stream};
use platform::BlobError;
use runtime::outcome::Dependency;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::consistency::{Finding, LEDGER, MOVES, WHOLE, orders_after, ready_photos_after};
use shared::db::{orders, photos};
use shared::domain::OrderId;
use shared::domain::order::OrderStatus;
use shared::jobs::ConsistencyCheck;
use shared::payments::Gateway;
use uuid::Uuid;

use super::Handle;
use crate::Services;
use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

/// So many orders or photos are looked at between two checkpoints.
const PAGE: i64 = 200;

/// So many findings are told one by one; the rest is only counted.
const MOST_TOLD: usize = 100;

/// So many blobs are asked for at a time.
const AT_A_TIME: usize = 16;

/// The parts of the check, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    #[default]
    Tables,
    Orders,
    Photos,
    Done,
}

/// Where the check is; the job's checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Looked {
    part: Part,
    /// The last one that was looked at; the next page begins after it.
    after: Uuid,
    /// How many of each were looked at.
    checked: BTreeMap<String, usize>,
    /// How many findings there are by now.
    found: usize,
    /// The first of them.
    findings: Vec<Finding>,
}

impl Handle for ConsistencyCheck {
    /// Each page ends with a checkpoint: a crash goes on with the next.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let mut looked: Looked = match &context.job.checkpoint {
            Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(JobError::failed)?,
            None => Looked::default(),
        };
        while looked.part != Part::Done {
            context.go_on()?;
            match looked.part {
                Part::Tables => tables(&context, &mut looked).await?,
                Part::Orders => some_orders(&context.services, &mut looked).await?,
                Part::Photos | Part::Done => some_photos(&context.services, &mut looked).await?,
            }
            let (percent, step) = match looked.part {
                Part::Tables | Part::Orders => (20, "orders"),
                Part::Photos => (60, "photos"),
                Part::Done => (100, "done"),
            };
            let checkpoint = serde_json::to_value(&looked).map_err(JobError::failed)?;
            context
                .commit_step(context.begin().await?, &checkpoint, false, &Progress::at(percent, step))
                .await?;
        }
        let skipped: &[&str] = if has_ledger(&context.services) { &[] } else { &[LEDGER.name] };
        Ok(Outcome::Done(json!({
            "checked": looked.checked,
            "found": looked.found,
            "findings": looked.findings,
            "skipped": skipped,
        })))
    }
}

/// A gateway of somebody else's has a ledger of its own.
fn has_ledger(services: &Services) -> bool {
    matches!(&*services.gateway, Gateway::Sandbox(_))
}

async fn tables(context: &JobContext, looked: &mut Looked) -> Result<(), JobError> {
    for check in WHOLE {
        context.go_on()?;
        // It only reads; but only a transaction may take its time.
        let mut tx = context.services.db.begin().await?;
        tx.allow(WHOLE_TABLE).await?;
        let found = tokio::select! {
            found = check.whole(&mut tx) => found?,
            // Leaving the transaction ends the statement.
            why = context.must_stop() => return Err(JobError::Stopped(why)),
        };
        tx.commit().await?;
        looked.tell(found);
    }
    looked.checked.insert("tables".into(), WHOLE.len());
    looked.go_on_to(Part::Orders);
    Ok(())
}

async fn some_orders(services: &Services, looked: &mut Looked) -> Result<(), JobError> {
    let page = orders_after(&mut services.db.conn().await?, looked.after, PAGE).await?;
    let Some(&(last, _)) = page.last() else {
        looked.go_on_to(Part::Photos);
        return Ok(());
    };
    let mut checks = vec![MOVES];
    if has_ledger(services) {
        checks.push(LEDGER);
    }
    for check in checks {
        let found = check.of_orders(&mut services.db.conn().await?, looked.after, last).await?;
        looked.tell(found);
    }
    let printed = page.iter().flat_map(|(order, lines)| {
        let lines = u16::try_from(lines.unwrap_or(0)).unwrap_or(u16::MAX);
        (0..lines).map(|position| BlobPath::Print(*order, position))
    });
    let missing = missing(services, printed.collect()).await?;
    looked.tell(missing.into_iter().map(|(path, found)| finding("prints", path, found)).collect());
    looked.count("orders", page.len());
    looked.after = last.0;
    Ok(())
}

async fn some_photos(services: &Services, looked: &mut Looked) -> Result<(), JobError> {
    let page = ready_photos_after(&mut services.db.conn().await?, looked.after, PAGE).await?;
    let Some(&last) = page.last() else {
        looked.go_on_to(Part::Done);
        return Ok(());
    };
    let paths = page.iter().flat_map(|photo| BlobPath::all_of(*photo)).collect();
    let missing = missing(services, paths).await?;
    looked.tell(missing.into_iter().map(|(path, found)| finding("blobs", path, found)).collect());
    looked.count("photos", page.len());
    looked.after = last.0;
    Ok(())
}

/// Those of the blobs that are not there, or can't be looked at, although their rows, looked at once more, still name
/// them; and what is there instead.
async fn missing(
    services: &Services,
    paths: Vec<BlobPath>,
) -> Result<Vec<(BlobPath, &'static str)>, JobError> {
    let asked = stream::iter(paths).map(|path| async move {
        let ask = async {
            match services.blobs.exists(path).await {
                Ok(there) => Ok((!there).then_some("none")),
                Err(BlobError::Refused(_)) => Ok(Some("one that the store refuses")),
                Err(error) => Err(error.into()),
            }
        };
        let instead = services.breakers.call(Dependency::BLOBS, ask).await?;
        Ok::<_, JobError>(instead.map(|found| (path, found)))
    });
    let asked: Vec<_> = asked.buffer_unordered(AT_A_TIME).try_collect().await?;
    let mut missing = Vec::new();
    for (path, found) in asked.into_iter().flatten() {
        if is_named(services, path).await? {
            missing.push((path, found));
        }
    }
    Ok(missing)
}

async fn is_named(services: &Services, path: BlobPath) -> Result<bool, JobError> {
    let mut conn = services.db.conn().await?;
    Ok(match path {
        BlobPath::Original(photo) | BlobPath::Sized(photo, _) => {
            photos::find(&mut conn, photo).await?.is_some()
        }
        BlobPath::Print(order, _) => is_confirmed(&mut conn, order).await?,
        BlobPath::Probe(_) => false,
    })
}

async fn is_confirmed(conn: &mut database::Conn, order: OrderId) -> Result<bool, JobError> {
    Ok(orders::find(conn, order).await?.is_some_and(|order| order.status == OrderStatus::Confirmed))
}

fn finding(check: &str, path: BlobPath, found: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        subject: path.to_string(),
        expected: "a blob".to_owned(),
        found: found.to_owned(),
    }
}

impl Looked {
    fn tell(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let Finding { check, subject, expected, found } = &finding;
            tracing::warn!(check, subject, expected, found, "what must agree does not");
            metrics::counter!("consistency_findings_total", "check" => check.clone()).increment(1);
            self.found += 1;
            if self.findings.len() < MOST_TOLD {
                self.findings.push(finding);
            }
        }
    }

    fn count(&mut self, what: &str, number: usize) {
        *self.checked.entry(what.to_owned()).or_default() += number;
    }

    fn go_on_to(&mut self, part: Part) {
        self.part = part;
        self.after = Uuid::nil();
    }
}
