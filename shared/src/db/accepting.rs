//! Accepting a photo, in one round trip: its row, and the job that makes its sizes.
//!
//! The statement that writes the job decides where it goes, and fails where another job has its id: there is never a
//! photo without its job.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::idempotency::{self, KEPT, Key, KeyedRequest, StoredAnswer, claiming, stored};
use super::photos::{NewPhoto, Photo, writing};
use super::schema::{idempotency_keys as keys, photos};
use crate::domain::photo::PhotoStatus;
use crate::jobs::MakeThumbnails;
use ::jobs::Job;
use ::jobs::enqueue::{self, Options};
use ::jobs::insert::{self, NewJobs, Written};
use ::jobs::inserting;
use database::expressions::{now, now_minus};
use database::{Conn, DbError, Tx};
use database::{commit_with, together};
use model::KindInfo;

const KIND: &KindInfo = &KindInfo::of::<MakeThumbnails>();

/// The job of a photo that is about to be accepted, as its statement takes it.
struct Making<'a> {
    job: NewJobs<'a>,
    args: Value,
    rows: Value,
    text: &'static str,
}

/// What sets the job apart from others of its kind.
fn options_of(new: &NewPhoto, traceparent: Option<String>) -> Options {
    Options { owner: Some(new.customer_id), traceparent, ..Options::default() }
}

impl<'a> Making<'a> {
    fn new(conn: &Conn, new: &NewPhoto, options: &'a Options) -> Result<Self, DbError> {
        let args = enqueue::to_json(&MakeThumbnails { photo_id: new.id })?;
        let rows = insert::rows(&[(new.job_id, args.clone())]);
        let job = enqueue::new_jobs(KIND, KIND.queue, options);
        Ok(Self { job, args, rows, text: insert::certain_text(conn) })
    }

    /// The job as it was written. The relay is told of it after the commit.
    fn made(self, tx: &mut Tx, written: Written) -> Job {
        let job = self.job.written(self.args, written);
        enqueue::hand_over(tx, &job);
        job
    }
}

/// Writes a photo and its job, in a transaction that goes on.
///
/// # Errors
/// Those of the database.
pub async fn accept(
    tx: &mut Tx,
    new: &NewPhoto,
    traceparent: Option<String>,
) -> Result<(Photo, Job), DbError> {
    let options = options_of(new, traceparent);
    let making = Making::new(tx.conn(), new, &options)?;
    let (written, photo) = together!(
        tx.conn(),
        written = |c| inserting!(making.text, making.job, making.rows).get_result::<Written>(c),
        photo = |c| writing!(new).get_result::<Photo>(c),
    )?;
    Ok((photo, making.made(tx, written)))
}

/// As [`accept`], and commits.
///
/// # Errors
/// Those of the database; then nothing is written, or (when it went away during the commit) it is not known.
pub async fn accept_and_commit(
    mut tx: Tx,
    new: &NewPhoto,
    traceparent: Option<String>,
) -> Result<(Photo, Job), DbError> {
    let options = options_of(new, traceparent);
    let making = Making::new(tx.conn(), new, &options)?;
    commit_with!(
        tx,
        written = |c| inserting!(making.text, making.job, making.rows).get_result::<Written>(c),
        photo = |c| writing!(new).get_result::<Photo>(c);
        |tx, (written, photo)| (photo, making.made(tx, written))
    )
}

/// As [`accept`], for a request whose key is claimed before. The transaction must not wait longer than
/// [`idempotency::WAIT`] for locks. `Err`: the key is not the request's; what is known of it. The photo was written all
/// the same, and the transaction is to be rolled back.
///
/// # Errors
/// Those of the database.
pub async fn accept_keyed(
    tx: &mut Tx,
    keyed: &KeyedRequest,
    new: &NewPhoto,
    traceparent: Option<String>,
) -> Result<Result<(Photo, Job), Key>, DbError> {
    let options = options_of(new, traceparent);
    let making = Making::new(tx.conn(), new, &options)?;
    // Only the wait for the key says that somebody answers the same request.
    let has_key = AtomicBool::new(false);
    let asked = together!(
        tx.conn(),
        claimed = |c| async {
            let claimed = claiming!(keyed).execute(c).await;
            has_key.store(claimed.is_ok(), Ordering::Relaxed);
            claimed
        },
        stored = |c| stored!(keyed).load::<StoredAnswer>(c),
        written = |c| inserting!(making.text, making.job, making.rows).get_result::<Written>(c),
        photo = |c| writing!(new).get_result::<Photo>(c),
    );
    let (claimed, accepted) = match asked {
        Ok((claimed, stored, written, photo)) => (Ok((claimed, stored)), Some((written, photo))),
        Err(error) if AtomicBool::load(&has_key, Ordering::Relaxed) => return Err(error),
        Err(error) => (Err(error), None),
    };
    Ok(match (idempotency::found(tx, keyed, claimed)?, accepted) {
        (Key::New, Some((written, photo))) => Ok((photo, making.made(tx, written))),
        (key, _) => Err(key),
    })
}
