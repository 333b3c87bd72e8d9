//! The relay's look at the table: what is due becomes `queued`; what was published and not taken in
//! time is published again.
//!
//! **Order**: a job behind another in its line has no `due_at`, see [`order`](crate::order).
//! **Fairness**: what is due above its owner's share is parked, see [`share`].
//! **Pause**: what is due in a paused queue is put off to [`FAR`], once, so that it is in nobody's way, and what was
//! published is not published again. A job in quarantine is held by a pause of the quarantine and by one of its own
//! queue: whoever pauses a queue does not want its work to be done.
//!
//! The look locks what it finds, goes by what the locked rows say, and waits for none: it costs what it takes. No
//! transaction is open while the broker is talked to: one takes the rows and counts on their messages; a confirm
//! writes nothing. Only what was not published is written back, see [`unpublished`](crate::unpublished). A crash
//! between the two costs a minute, or more for what was published before: the row is due again when it would be if its
//! message had been lost.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{case_when, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::schema::jobs;
use crate::share::{self, SHARE, Share};
use crate::{callbacks, lane_of, queues};
use database::expressions::{for_update_skip_locked, is_one_of, now, now_plus};
use database::{Conn, Db, DbError, Publication, Tx, with};
use model::OwnerId;
use model::job::{JobState, QUARANTINED_LAPSES};
use model::{Envelope, Lane, Queue};
use model::{JobId, Timestamp};

/// A message that nobody took is published again after this time, then after twice as long…
///
/// What a process that dies had in hand waits so long. Behind a backlog each job has one more message for each time
/// that passes: the doubling keeps them few.
pub const FIRST_REPUBLISH: Duration = Duration::from_secs(60);

/// … and at last every hour.
pub const MAX_REPUBLISH: Duration = Duration::from_secs(3600);

/// When a message that was published so often before is published once more.
pub fn republish_delay(published: i32) -> Duration {
    let doublings = published.clamp(0, 10).unsigned_abs();
    FIRST_REPUBLISH.saturating_mul(1 << doublings).min(MAX_REPUBLISH)
}

/// When what is due in a paused queue is looked at again: the end of the pause comes before.
pub const FAR: Timestamp = Timestamp(match DateTime::<Utc>::from_timestamp(253_370_764_800, 0) {
    Some(far) => far,
    None => unreachable!(),
});

/// When somebody looks again at a job that runs. Nothing depends on it: whether it still runs, others find out.
const RUNNING: Duration = MAX_REPUBLISH;

/// What a message is made of.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
struct Row {
    id: JobId,
    kind: String,
    queue: String,
    express: bool,
    woken: bool,
    lapses: i32,
    // The row's, not this program's: whoever wrote the row may be newer.
    args_version: i32,
    traceparent: Option<String>,
    fence: i64,
    has_callback: bool,
}

impl Row {
    /// `None` if the name of its queue can't be one.
    fn publication(self) -> Option<Publication> {
        Some(Publication {
            lane: lane_of(&self.queue, self.express, self.woken, self.lapses)?,
            envelope: Envelope {
                job: self.id,
                kind: self.kind,
                version: self.args_version,
                traceparent: self.traceparent,
                correlation_id: None,
            },
            fence: self.fence,
        })
    }
}

/// The message of a queued job, or `None` if the name of its queue can't be one.
pub fn publication(job: &crate::Job) -> Option<Publication> {
    let row = Row {
        id: job.id,
        kind: job.kind.clone(),
        queue: job.queue.clone(),
        express: job.express,
        woken: job.woken,
        lapses: job.lapses,
        args_version: job.args_version,
        traceparent: job.traceparent.clone(),
        fence: job.fence,
        has_callback: job.has_callback,
    };
    row.publication()
}

/// What a look found.
#[derive(Debug, Default)]
pub struct Taken {
    /// What was moved to `queued`: whatever is not published must be told to
    /// [`not_published`](crate::unpublished::not_published).
    pub messages: Vec<Publication>,
    /// When the next row will be due, counted from the look. `None`: none is there, or it was not asked for.
    pub next_in: Option<Duration>,
}

/// As [`take`], without its word on what comes next.
///
/// # Errors
/// As there.
pub async fn take_due(db: &Db, limit: i64) -> Result<Vec<Publication>, DbError> {
    Ok(take(db, limit).await?.messages)
}

/// Moves up to `limit` due rows to `queued` and counts on their messages.
///
/// # Errors
/// Those of the database; then nothing was moved.
pub async fn take(db: &Db, limit: i64) -> Result<Taken, DbError> {
    let mut taken = Taken::default();
    // An idle relay asks this and nothing else. What was only put aside makes room for others, but not for ever: what
    // is taken waits to be published.
    for _ in 0..MOST_LOOKS {
        taken.next_in = next_in(&mut db.conn().await?).await?;
        if taken.next_in.is_none_or(|pause| !pause.is_zero()) {
            break;
        }
        let room = limit - count(taken.messages.len());
        match take_some(db, room).await {
            Ok(Some((found, messages))) => {
                taken.messages.extend(messages);
                if found < room || count(taken.messages.len()) >= limit {
                    taken.next_in = None;
                    break;
                }
            }
            // Somebody holds what is due.
            Ok(None) => {
                taken.next_in = None;
                break;
            }
            // What was taken before is published.
            Err(_) if !taken.messages.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

/// The most looks for one batch.
const MOST_LOOKS: usize = 10;

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// How long until the next row is due; `None` if there is none.
async fn next_in(conn: &mut Conn) -> Result<Option<Duration>, DbError> {
    let first = |express: bool| {
        let due = jobs::table.filter(lane_is(express)).filter(jobs::due_at.is_not_null());
        due.order(jobs::due_at).select(jobs::due_at.assume_not_null()).limit(1).single_value()
    };
    let (now, express, ordinary): (Timestamp, Option<Timestamp>, Option<Timestamp>) =
        with!(conn, |c| diesel::select((now(), first(true), first(false))).get_result(c).await)?;
    let next = express.into_iter().chain(ordinary).min();
    Ok(next.map(|next| next.since(now)))
}

/// Spelled as the index is: what goes by the lanes that are served first, and what does not.
fn lane_is(first: bool) -> diesel::expression::SqlLiteral<Bool> {
    sql(if first {
        "(CASE WHEN jobs.express OR jobs.woken THEN 0 ELSE 1 END) = 0"
    } else {
        "(CASE WHEN jobs.express OR jobs.woken THEN 0 ELSE 1 END) = 1"
    })
}

#[diesel::dsl::auto_type]
fn is_due() -> _ {
    let at: database::expressions::Now = now();
    jobs::due_at.is_not_null().and(jobs::due_at.le(at.nullable()))
}

/// A row that the look has locked.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = jobs)]
struct Due {
    id: JobId,
    state: JobState,
    queue: String,
    express: bool,
    lapses: i32,
    owner: Option<OwnerId>,
}

impl Due {
    /// What it counts towards. None where nobody is to be fair to, or what is in quarantine.
    fn share(&self) -> Option<Share> {
        let queue = Queue::named(&self.queue).filter(|_| self.lapses < QUARANTINED_LAPSES)?;
        Some((self.owner?, Lane { queue, express: self.express }))
    }
}

/// One look. Returns how many rows it found, and the messages of those that it moved; `None` if there are none.
async fn take_some(db: &Db, limit: i64) -> Result<Option<(i64, Vec<Publication>)>, DbError> {
    let mut tx = db.begin().await?;
    let mut due = lock(&mut tx, true, limit).await?;
    let rest = limit - count(due.len());
    if rest > 0 {
        due.extend(lock(&mut tx, false, rest).await?);
    }
    if due.is_empty() {
        tx.rollback().await?;
        return Ok(None);
    }
    let found = count(due.len());
    let ids: Vec<JobId> = due.iter().map(|row| row.id).collect();
    match move_on(tx, due).await {
        Ok(messages) => Ok(Some((found, messages))),
        // What may pass concerns all of them; anything else, one that is bad.
        Err(error) if error.may_pass() => Err(error),
        Err(error) => {
            tracing::error!(%error, rows = ids.len(), "due jobs can't be moved together: moving each alone");
            Ok(Some((found, take_each(db, ids).await)))
        }
    }
}

async fn lock(tx: &mut Tx, first: bool, limit: i64) -> Result<Vec<Due>, DbError> {
    Ok(with!(tx.conn(), |c| {
        let due = jobs::table
            .filter(lane_is(first))
            .filter(is_due())
            .order(jobs::due_at)
            .limit(limit)
            .select(Due::as_select());
        for_update_skip_locked(due).load(c).await
    })?)
}

/// What becomes of due rows.
#[derive(Debug, Default)]
struct Decided {
    /// To the broker, in this order.
    publish: Vec<JobId>,
    /// Above their owner's share, by lane.
    park: HashMap<Lane, Vec<JobId>>,
    /// In a paused queue.
    put_off: Vec<JobId>,
    /// At a worker.
    running: Vec<JobId>,
}

impl Decided {
    /// `taken` is how much of their shares the owners have.
    fn of(due: &[Due], paused: &HashSet<String>, taken: &mut HashMap<Share, i64>) -> Self {
        let mut decided = Self::default();
        let quarantine = paused.contains(Queue::QUARANTINE.name());
        for row in due {
            let held = paused.contains(&row.queue) || (quarantine && row.lapses >= QUARANTINED_LAPSES);
            match (row.state, row.share()) {
                (JobState::Running, _) => decided.running.push(row.id),
                _ if held => decided.put_off.push(row.id),
                (JobState::Pending, Some(share)) => {
                    let taken = taken.entry(share).or_default();
                    if *taken < SHARE {
                        *taken += 1;
                        decided.publish.push(row.id);
                    } else {
                        decided.park.entry(share.1).or_default().push(row.id);
                    }
                }
                _ => decided.publish.push(row.id),
            }
        }
        decided
    }
}

/// Moves these rows, which `tx` has locked.
async fn move_on(mut tx: Tx, due: Vec<Due>) -> Result<Vec<Publication>, DbError> {
    let paused = queues::paused(tx.conn()).await?;
    let mut taken = HashMap::new();
    for share in due.iter().filter(|row| row.state == JobState::Pending).filter_map(Due::share) {
        if let Entry::Vacant(unknown) = taken.entry(share) {
            unknown.insert(share::taken(tx.conn(), share).await?);
        }
    }
    let Decided { publish, park, put_off, running } = Decided::of(&due, &paused, &mut taken);
    for (lane, ids) in park {
        put_aside(&mut tx, &ids, None, Some(lane)).await?;
    }
    put_aside(&mut tx, &put_off, Some(FAR), None).await?;
    look_again(&mut tx, &running).await?;
    let moved = queue(&mut tx, &publish).await?;
    for row in moved.iter().filter(|row| row.has_callback) {
        callbacks::status_changed(&mut tx, row.id).await?;
    }
    tx.commit().await?;
    Ok(messages(moved, &publish))
}

async fn queue(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<Row>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let after = |published: i32| now_plus(republish_delay(published)).nullable();
    let due_at = case_when(jobs::published.le(0), after(0))
        .when(jobs::published.eq(1), after(1))
        .when(jobs::published.eq(2), after(2))
        .when(jobs::published.eq(3), after(3))
        .when(jobs::published.eq(4), after(4))
        .when(jobs::published.eq(5), after(5))
        .otherwise(now_plus(MAX_REPUBLISH).nullable());
    Ok(with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(is_one_of(ids)))
            .set((
                jobs::state.eq(JobState::Queued),
                jobs::published.eq(jobs::published + 1),
                jobs::due_at.eq(due_at),
            ))
            .returning(Row::as_returning())
            .get_results(c)
            .await
    })?)
}

async fn put_aside(
    tx: &mut Tx,
    ids: &[JobId],
    due_at: Option<Timestamp>,
    parked: Option<Lane>,
) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(is_one_of(ids)))
            .set((jobs::due_at.eq(due_at), jobs::parked.eq(parked.map(|lane| lane.to_string()))))
            .execute(c)
            .await
    })?;
    Ok(())
}

async fn look_again(tx: &mut Tx, running: &[JobId]) -> Result<(), DbError> {
    if running.is_empty() {
        return Ok(());
    }
    with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(is_one_of(running)))
            .set(jobs::due_at.eq(now_plus(RUNNING).nullable()))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// The messages of rows that were moved, in this order: an UPDATE returns its rows in any.
fn messages(mut moved: Vec<Row>, order: &[JobId]) -> Vec<Publication> {
    let place: HashMap<JobId, usize> = std::iter::zip(order.iter().copied(), 0..).collect();
    moved.sort_by_key(|row| place.get(&row.id).copied());
    let message = |row: Row| {
        let (job, queue) = (row.id, row.queue.clone());
        let publication = row.publication();
        if publication.is_none() {
            tracing::error!(%job, queue, "the job can't be published: its queue has a name that can't be one");
        }
        publication
    };
    moved.into_iter().filter_map(message).collect()
}

/// One row that can't be moved must not keep all others from their workers: it is looked at again in an hour.
async fn take_each(db: &Db, ids: Vec<JobId>) -> Vec<Publication> {
    let mut taken = Vec::new();
    for id in ids {
        let moved = async {
            let mut tx = db.begin().await?;
            let due: Vec<Due> = with!(tx.conn(), |c| {
                let due = jobs::table.filter(jobs::id.eq(id)).filter(is_due()).select(Due::as_select());
                for_update_skip_locked(due).load(c).await
            })?;
            move_on(tx, due).await
        };
        match moved.await {
            Ok(publications) => taken.extend(publications),
            Err(error) => {
                tracing::error!(job = %id, %error, "the job can't be published");
                if let Err(error) = set_aside(db, id).await {
                    tracing::error!(job = %id, %error, "and could not be set aside");
                }
            }
        }
    }
    taken
}

async fn set_aside(db: &Db, id: JobId) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    with!(&mut conn, |c| {
        let open = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::due_at.is_not_null())
            .filter(jobs::state.eq_any([JobState::Pending, JobState::Queued]));
        let pending = jobs::state.eq(JobState::Pending);
        let later = now_plus(MAX_REPUBLISH);
        diesel::update(open)
            .set((
                jobs::run_at.eq(case_when(pending, later).otherwise(jobs::run_at)),
                jobs::due_at.eq(later.nullable()),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: Queue = Queue::new("letters");

    #[test]
    fn an_unclaimed_message_comes_again_ever_more_rarely_up_to_an_hour() {
        let minutes: Vec<u64> = (0..8).map(|n| republish_delay(n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(republish_delay(i32::MAX), MAX_REPUBLISH);
    }

    fn due(id: u128, state: JobState, owner: Option<OwnerId>) -> Due {
        let id = JobId(uuid::Uuid::from_u128(id));
        Due { id, state, queue: "letters".into(), express: false, lapses: 0, owner }
    }

    #[test]
    fn of_an_owner_so_many_go_out_as_there_is_room_for_and_the_rest_is_parked() {
        let ada = OwnerId::new();
        let rows: Vec<Due> = (0..4).map(|id| due(id, JobState::Pending, Some(ada))).collect();
        let letters = Lane::ordinary(LETTERS);
        let mut taken = HashMap::from([((ada, letters), SHARE - 2)]);
        let decided = Decided::of(&rows, &HashSet::new(), &mut taken);
        assert_eq!(decided.publish, [rows[0].id, rows[1].id]);
        assert_eq!(decided.park, HashMap::from([(letters, vec![rows[2].id, rows[3].id])]));
    }

    #[test]
    fn what_is_out_already_what_is_nobodys_and_what_is_suspected_goes_out_whatever_the_share() {
        let ada = OwnerId::new();
        let suspected = Due { lapses: QUARANTINED_LAPSES, ..due(3, JobState::Pending, Some(ada)) };
        let rows = [due(1, JobState::Queued, Some(ada)), due(2, JobState::Pending, None), suspected];
        let mut taken = HashMap::from([((ada, Lane::ordinary(LETTERS)), SHARE)]);
        assert_eq!(Decided::of(&rows, &HashSet::new(), &mut taken).publish.len(), 3);
    }

    #[test]
    fn a_pause_of_the_queue_or_of_the_quarantine_holds_all_but_what_runs() {
        let suspected = Due { lapses: QUARANTINED_LAPSES, ..due(2, JobState::Pending, None) };
        let rows = [due(1, JobState::Queued, None), suspected, due(3, JobState::Running, None)];
        let paused = |name: &str| HashSet::from([name.to_owned()]);
        let decided = Decided::of(&rows, &paused("letters"), &mut HashMap::new());
        assert_eq!((decided.put_off.len(), decided.running.len()), (2, 1));
        let decided = Decided::of(&rows, &paused("quarantine"), &mut HashMap::new());
        assert_eq!((decided.put_off, decided.publish), (vec![rows[1].id], vec![rows[0].id]));
    }
}
