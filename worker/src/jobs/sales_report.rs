use std::collections::BTreeMap;

use ::jobs::settle::Progress;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::db::{products, sales};
use shared::domain::sales::Sales;
use shared::jobs::SalesReport;

use super::{Handle, mailing};
use crate::context::JobContext;
use crate::mail::report::{Report, compose};
use runtime::outcome::{JobError, Outcome};

/// So many orders are counted in one go.
const PAGE: i64 = 500;

/// Where the report is; the job's checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counted {
    /// Pages that are counted.
    pages: i64,
    /// Orders that are counted …
    orders: i64,
    /// … of so many that there were at the beginning.
    of: i64,
    /// The last of them; the next page begins after it.
    place: Option<sales::Place>,
    /// The sums so far.
    sales: Sales,
}

impl Handle for SalesReport {
    /// Counts page by page, each with a checkpoint: a crash goes on with the next. Then mails the sums.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let (first, last) = self.days(context.job.created_at);
        if last < first {
            return Ok(Outcome::Discard(format!("the last day, {last}, is before the first, {first}")));
        }
        let counted = count(&context, first, last).await?;
        let result = result(first, last, &counted.sales);
        tracing::info!(%first, %last, total = %result["total"], "the sales are summed up");
        let Some(operator) = context.services.operator_email.clone() else {
            return Ok(Outcome::Done(result));
        };
        let names: BTreeMap<String, String> = {
            let mut conn = context.services.db.conn().await?;
            let products = products::all(&mut conn).await?;
            products.into_iter().map(|product| (product.id, product.name)).collect()
        };
        let report =
            Report { job: context.job.id, to: operator, first, last, sales: &counted.sales, names: &names };
        let mail = compose(&report).map_err(JobError::failed)?;
        mailing::send(&context, &mail, result).await
    }
}

async fn count(context: &JobContext, first: NaiveDate, last: NaiveDate) -> Result<Counted, JobError> {
    let db = &context.services.db;
    let mut counted: Counted = match &context.job.checkpoint {
        Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(JobError::failed)?,
        None => {
            let of = sales::count(&mut db.conn().await?, first, last).await?;
            Counted { of, ..Counted::default() }
        }
    };
    loop {
        context.go_on()?;
        let page = sales::page(&mut db.conn().await?, first, last, counted.place, PAGE).await?;
        let Some(newest) = page.last() else { return Ok(counted) };
        metrics::counter!("sales_report_orders_total").increment(page.len() as u64);
        counted.pages += 1;
        counted.orders += i64::try_from(page.len()).unwrap_or(0);
        counted.place = Some((newest.created_at, newest.id));
        for order in &page {
            counted.sales.count(order);
        }
        let percent = counted.orders.saturating_mul(100) / counted.of.max(counted.orders);
        let step = format!("{} of {} orders", counted.orders, counted.of.max(counted.orders));
        let progress = Progress::at(u8::try_from(percent).unwrap_or(100), step);
        let checkpoint = serde_json::to_value(&counted).map_err(JobError::failed)?;
        context.commit_step(context.begin().await?, &checkpoint, false, &progress).await?;
    }
}

fn result(first: NaiveDate, last: NaiveDate, sales: &Sales) -> Value {
    let mut total = json!(sales.total());
    total["revenue_cents"] = json!(sales.total().revenue_cents());
    json!({"first": first, "last": last, "total": total, "days": sales})
}
