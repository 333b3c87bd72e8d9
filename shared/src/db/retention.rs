//! Removing what was kept long enough, some rows at a time, and finding blobs that no row names.
//!
//! Each removal looks for rows first, locks them, and deletes them by a statement of its own. On PostgreSQL
//! that second look is needed: the first one saw the other tables as they were when it began, and what was
//! committed until it had the locks must count. Rows that somebody else holds are in use, and left out.

use std::collections::HashSet;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::schema::{customers, idempotency_keys, mail_recipients, mails, orders, photos};
use crate::blobs::BlobPath;
use crate::domain::order::OrderStatus;
use crate::domain::{CustomerId, OrderId, PhotoId};
use ::jobs::schema::{dead_messages, expired_jobs, jobs, ordering_keys, triggered_jobs};
use database::expressions::{for_update_skip_locked, now, now_minus};
use database::{Conn, DbError, Tx, WHOLE_TABLE, with};
use model::JobId;
use model::sql_types::Instant;

/// Rows that are not kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Jobs that ended; a tombstone stays. Those that failed and can be tried again are kept, and what they
    /// need for that; so are those whose photo or order was not brought to an end.
    Jobs,
    /// What is left of jobs.
    Tombstones,
    /// Answers under idempotency keys.
    IdempotencyKeys,
    /// Customers who have nothing.
    Customers,
    /// The places of mails within the limit of their recipients, when their jobs can't come back to them.
    Mails,
    /// Recipients without mails. They have no age.
    MailRecipients,
    /// Messages that were no job.
    DeadMessages,
    /// Lines in which nobody stands. They have no age.
    OrderingKeys,
}

impl Class {
    /// The name in results and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Tombstones => "tombstones",
            Self::IdempotencyKeys => "idempotency_keys",
            Self::Customers => "unused_customers",
            Self::Mails => "mails",
            Self::MailRecipients => "mail_recipients",
            Self::DeadMessages => "dead_messages",
            Self::OrderingKeys => "ordering_keys",
        }
    }
}

/// Removes up to `limit` rows of a class that are older than `age`. Returns how many: 0 when none are left.
///
/// Of jobs, it begins each time at the first that there is, and passes all that are kept: see
/// [`remove_jobs`].
///
/// # Errors
/// Those of the database.
pub async fn remove(tx: &mut Tx, class: Class, age: Duration, limit: i64) -> Result<usize, DbError> {
    tx.allow(WHOLE_TABLE).await?;
    match class {
        Class::Jobs => first_old_jobs(tx, age, limit).await,
        Class::Tombstones => tombstones(tx, age, limit).await,
        Class::IdempotencyKeys => keys(tx, age, limit).await,
        Class::Customers => unused_customers(tx, age, limit).await,
        Class::Mails => old_mails(tx, age, limit).await,
        Class::MailRecipients => recipients(tx, limit).await,
        Class::DeadMessages => dead(tx, age, limit).await,
        Class::OrderingKeys => empty_lines(tx, limit).await,
    }
}

/// How far a removal of jobs came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsRemoved {
    /// So many are removed.
    pub removed: usize,
    /// The last one that was looked at: the next removal begins after it. `None`: those that are left are
    /// kept.
    pub last: Option<JobId>,
}

/// So many jobs are looked at in one go.
const PAGE: i64 = 1000;

/// Removes up to `limit` jobs that ended longer than `age` ago, of those after `after`, or of all.
///
/// No index has the time at which a job ended. But ids begin with the time of their making, and the jobs that
/// ended long ago were made before that: they are the first by id, and whoever removes all of them, batch by
/// batch, looks at each old job once. The first page without a job that was made so long ago is the last one.
///
/// # Errors
/// Those of the database.
pub async fn remove_jobs(
    tx: &mut Tx,
    age: Duration,
    limit: i64,
    after: Option<JobId>,
) -> Result<JobsRemoved, DbError> {
    tx.allow(WHOLE_TABLE).await?;
    let after = after.unwrap_or(JobId(Uuid::nil()));
    let page: Vec<(JobId, bool, bool)> = with!(tx.conn(), |c| {
        let was_made = jobs::created_at.lt(now_minus(age));
        let is_over = sql::<Bool>(OVER).and(jobs::updated_at.lt(now_minus(age)));
        let page = jobs::table.filter(jobs::id.gt(after)).order(jobs::id).limit(PAGE);
        page.select((jobs::id, was_made, is_over)).load(c).await
    })?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut over: Vec<JobId> = page.iter().filter(|(.., is_over)| *is_over).map(|(id, ..)| *id).collect();
    let is_full = i64::try_from(page.len()).is_ok_and(|length| length == PAGE);
    let last = if over.len() > limit {
        over.truncate(limit);
        over.last().copied()
    } else {
        let goes_on = is_full && page.iter().any(|(_, was_made, _)| *was_made);
        page.last().map(|(id, ..)| *id).filter(|_| goes_on)
    };
    let removed = old_jobs(tx, age, over).await?;
    Ok(JobsRemoved { removed, last })
}

async fn first_old_jobs(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let mut after = None;
    loop {
        let JobsRemoved { removed, last } = remove_jobs(tx, age, limit, after).await?;
        if removed > 0 || last.is_none() {
            return Ok(removed);
        }
        after = last;
    }
}

/// What is over, and can't be tried again.
const OVER: &str = "(jobs.state IN ('succeeded', 'failed', 'cancelled') \
                    AND (jobs.failure IS NULL OR jobs.failure = 'discarded'))";

/// No job that is unfinished or can be tried again is its parent or waits for it, no unfinished one is its child (one
/// that is tried again asks nothing of its parent), and its subject is finished as well. What was not brought to an end
/// is for a person to look at.
const NOT_NEEDED: &str = "NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.id = jobs.parent \
         AND (other.state IN ('pending', 'queued', 'running', 'waiting') \
              OR other.failure IN ('exhausted', 'crashed'))) \
     AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE other.parent = jobs.id \
         AND other.state IN ('pending', 'queued', 'running', 'waiting')) \
     AND NOT EXISTS (SELECT 1 FROM job_waits JOIN jobs AS other ON other.id = job_waits.waiter \
         WHERE job_waits.on_job = jobs.id \
         AND (other.state IN ('pending', 'queued', 'running', 'waiting') \
              OR other.failure IN ('exhausted', 'crashed'))) \
     AND NOT EXISTS (SELECT 1 FROM photos WHERE photos.job_id = jobs.id AND photos.status = 'processing') \
     AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.job_id = jobs.id \
         AND orders.status NOT IN ('confirmed', 'rejected', 'cancelled'))";

/// Removes those of these jobs that ended so long ago and are not needed. What refers to a job goes with it,
/// its callback and its deliveries among that. A job that is over is never changed again, so `updated_at` is
/// when it ended.
async fn old_jobs(tx: &mut Tx, age: Duration, ids: Vec<JobId>) -> Result<usize, DbError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let ids: Vec<JobId> = with!(tx.conn(), |c| {
        let old = jobs::table
            .filter(jobs::id.eq_any(ids))
            .filter(sql::<Bool>(OVER))
            .filter(sql::<Bool>(NOT_NEEDED))
            .filter(jobs::updated_at.lt(now_minus(age)))
            .select(jobs::id);
        for_update_skip_locked(old).load(c).await
    })?;
    // Whoever begins to wait for one of them, or tries its parent again, has done so by now or waits for the lock.
    let ids: Vec<JobId> = with!(tx.conn(), |c| {
        let locked = jobs::table.filter(jobs::id.eq_any(ids)).filter(sql::<Bool>(NOT_NEEDED));
        locked.select(jobs::id).load(c).await
    })?;
    if ids.is_empty() {
        return Ok(0);
    }
    with!(tx.conn(), |c| {
        let source = triggered_jobs::table.filter(triggered_jobs::job_id.eq(jobs::id));
        let source = source.select(triggered_jobs::source).single_value();
        jobs::table
            .filter(jobs::id.eq_any(&ids))
            .select((jobs::id, jobs::owner, jobs::kind, jobs::state, source, jobs::updated_at, now()))
            .insert_into(expired_jobs::table)
            .into_columns((
                expired_jobs::id,
                expired_jobs::owner,
                expired_jobs::kind,
                expired_jobs::state,
                expired_jobs::source,
                expired_jobs::finished_at,
                expired_jobs::expired_at,
            ))
            .execute(c)
            .await
    })?;
    let removed =
        with!(tx.conn(), |c| diesel::delete(jobs::table.filter(jobs::id.eq_any(&ids))).execute(c).await)?;
    // Parts may outlive the whole. PostgreSQL has no foreign key there.
    with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::parent.assume_not_null().eq_any(&ids)))
            .set(jobs::parent.eq(None::<JobId>))
            .execute(c)
            .await
    })?;
    Ok(removed)
}

async fn tombstones(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<JobId> = with!(tx.conn(), |c| {
        let old = expired_jobs::table.filter(expired_jobs::expired_at.lt(now_minus(age)));
        let old = old.order(expired_jobs::expired_at).limit(limit).select(expired_jobs::id);
        for_update_skip_locked(old).load(c).await
    })?;
    let old = expired_jobs::table.filter(expired_jobs::id.eq_any(ids));
    Ok(with!(tx.conn(), |c| diesel::delete(old).execute(c).await)?)
}

/// A key that is claimed again meanwhile gets a new row, which is not old.
async fn keys(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let old = sql::<Bool>(
        "(customer_id, key) IN (SELECT customer_id, key FROM idempotency_keys WHERE created_at < ",
    )
    .bind::<Instant, _>(now_minus(age))
    .sql(" ORDER BY created_at LIMIT ")
    .bind::<BigInt, _>(limit)
    .sql(")");
    Ok(with!(tx.conn(), |c| diesel::delete(idempotency_keys::table.filter(old)).execute(c).await)?)
}

/// Every table that says whose its rows are is named here: a test reads the schema.
pub(super) const HAS_NOTHING: &str = "NOT EXISTS (SELECT 1 FROM photos WHERE customer_id = customers.id) \
     AND NOT EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id) \
     AND NOT EXISTS (SELECT 1 FROM idempotency_keys WHERE customer_id = customers.id) \
     AND NOT EXISTS (SELECT 1 FROM jobs WHERE owner = customers.id) \
     AND NOT EXISTS (SELECT 1 FROM expired_jobs WHERE owner = customers.id)";

/// Whoever gives one of them a photo just now waits for the lock, or had it before: a photo's row refers to
/// its customer's. Whatever else customers have comes with a photo, or after one.
async fn unused_customers(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<CustomerId> = with!(tx.conn(), |c| {
        let unused = customers::table
            .filter(customers::created_at.lt(now_minus(age)))
            .filter(sql::<Bool>(HAS_NOTHING))
            .limit(limit)
            .select(customers::id);
        for_update_skip_locked(unused).load(c).await
    })?;
    let unused = customers::table.filter(customers::id.eq_any(ids)).filter(sql::<Bool>(HAS_NOTHING));
    Ok(with!(tx.conn(), |c| diesel::delete(unused).execute(c).await)?)
}

/// The row also says that the mail was sent: as long as the job may run again, it must.
const CAN_RUN_AGAIN: &str = "EXISTS (SELECT 1 FROM jobs WHERE jobs.id = mails.job_id \
     AND (jobs.state IN ('pending', 'queued', 'running', 'waiting') \
          OR jobs.failure IN ('exhausted', 'crashed')))";

async fn old_mails(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<JobId> = with!(tx.conn(), |c| {
        let old = mails::table
            .filter(mails::at.lt(now_minus(age)))
            .filter(diesel::dsl::not(sql::<Bool>(CAN_RUN_AGAIN)))
            .limit(limit)
            .select(mails::job_id);
        for_update_skip_locked(old).load(c).await
    })?;
    Ok(with!(tx.conn(), |c| diesel::delete(mails::table.filter(mails::job_id.eq_any(ids))).execute(c).await)?)
}

const WITHOUT_MAILS: &str =
    "NOT EXISTS (SELECT 1 FROM mails WHERE mails.recipient = mail_recipients.recipient)";

async fn recipients(tx: &mut Tx, limit: i64) -> Result<usize, DbError> {
    let unused: Vec<String> = with!(tx.conn(), |c| {
        let unused = mail_recipients::table.filter(sql::<Bool>(WITHOUT_MAILS));
        for_update_skip_locked(unused.limit(limit).select(mail_recipients::recipient)).load(c).await
    })?;
    let unused = mail_recipients::table
        .filter(mail_recipients::recipient.eq_any(unused))
        .filter(sql::<Bool>(WITHOUT_MAILS));
    Ok(with!(tx.conn(), |c| diesel::delete(unused).execute(c).await)?)
}

async fn dead(tx: &mut Tx, age: Duration, limit: i64) -> Result<usize, DbError> {
    let ids: Vec<JobId> = with!(tx.conn(), |c| {
        let old = dead_messages::table.filter(dead_messages::at.lt(now_minus(age)));
        for_update_skip_locked(old.limit(limit).select(dead_messages::id)).load(c).await
    })?;
    let old = dead_messages::table.filter(dead_messages::id.eq_any(ids));
    Ok(with!(tx.conn(), |c| diesel::delete(old).execute(c).await)?)
}

/// A job that is tried again keeps its old place, so its line must not begin anew: two would have one place.
const NOBODY_STANDS: &str = "NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.ordering_open = ordering_keys.key) \
     AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.ordering_key = ordering_keys.key \
         AND jobs.ordering_key IS NOT NULL AND jobs.dead_at IS NOT NULL)";

/// A line's row is locked by whoever takes a place in it, until the job is committed. So: those that are
/// locked are left out; while we have the locks nobody can take a place; and the second look sees every job
/// whose place was taken before.
async fn empty_lines(tx: &mut Tx, limit: i64) -> Result<usize, DbError> {
    let empty: Vec<String> = with!(tx.conn(), |c| {
        let empty = ordering_keys::table.filter(sql::<Bool>(NOBODY_STANDS));
        for_update_skip_locked(empty.limit(limit).select(ordering_keys::key)).load(c).await
    })?;
    let empty =
        ordering_keys::table.filter(ordering_keys::key.eq_any(empty)).filter(sql::<Bool>(NOBODY_STANDS));
    Ok(with!(tx.conn(), |c| diesel::delete(empty).execute(c).await)?)
}

/// Those of these blobs that belong to nothing: to photos that don't exist, and prints of orders that don't
/// exist or came to nothing.
///
/// # Errors
/// Those of the database.
pub async fn orphans(conn: &mut Conn, blobs: &[BlobPath]) -> Result<Vec<BlobPath>, DbError> {
    let (mut photo_ids, mut order_ids) = (HashSet::new(), HashSet::new());
    for blob in blobs {
        match blob {
            BlobPath::Original(photo) | BlobPath::Sized(photo, _) => _ = photo_ids.insert(*photo),
            BlobPath::Print(order, _) => _ = order_ids.insert(*order),
            BlobPath::Probe(_) => {}
        }
    }
    let photos: Vec<PhotoId> = with!(conn, |c| {
        photos::table.filter(photos::id.eq_any(photo_ids)).select(photos::id).load(c).await
    })?;
    let orders: Vec<OrderId> = with!(conn, |c| {
        let printed = orders::table
            .filter(orders::id.eq_any(order_ids))
            .filter(orders::status.ne_all([OrderStatus::Rejected, OrderStatus::Cancelled]));
        printed.select(orders::id).load(c).await
    })?;
    let (photos, orders): (HashSet<_>, HashSet<_>) =
        (photos.into_iter().collect(), orders.into_iter().collect());
    let named = |blob: &&BlobPath| match blob {
        BlobPath::Original(photo) | BlobPath::Sized(photo, _) => photos.contains(photo),
        BlobPath::Print(order, _) => orders.contains(order),
        BlobPath::Probe(_) => false,
    };
    Ok(blobs.iter().filter(|blob| !named(blob)).copied().collect())
}
