//! Files of the watched folder: which version of which was taken, and what it became. The row comes with the
//! job, so that a version has one, however many workers watch.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::ingested_files as files;
use crate::blobs::IncomingFile;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::IngestFile;
use ::jobs::Job;
use ::jobs::enqueue::{Options, enqueue};
use database::expressions::now;
use database::{Conn, Db, DbError, Tx, with};
use model::{JobId, StoredText};

/// Those of the files that nobody took yet, in one look.
///
/// # Errors
/// Those of the database.
pub async fn not_taken(conn: &mut Conn, found: Vec<IncomingFile>) -> Result<Vec<IncomingFile>, DbError> {
    let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
    let taken: Vec<(String, String)> = with!(conn, |c| {
        files::table.filter(files::path.eq_any(&paths)).select((files::path, files::version)).load(c).await
    })?;
    let is_new = |file: &IncomingFile| {
        !taken.iter().any(|(path, version)| *path == file.path && *version == file.version)
    };
    Ok(found.into_iter().filter(is_new).collect())
}

/// Enqueues the job that makes a file a photo of this customer, unless somebody did.
///
/// # Errors
/// Those of the database.
pub async fn take(db: &Db, file: &IncomingFile, customer: CustomerId) -> Result<Option<Job>, DbError> {
    let mut tx = db.begin().await?;
    let id = JobId::new();
    // Of two at once, the second one waits here for the commit of the first.
    let new = with!(tx.conn(), |c| {
        diesel::insert_into(files::table)
            .values((
                files::path.eq(&file.path),
                files::version.eq(&file.version),
                files::job_id.eq(id),
                files::at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    if new == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    let args = IngestFile { path: file.path.clone(), version: file.version.clone() };
    let options = Options { id: Some(id), owner: Some(customer), ..Options::default() };
    let job = enqueue(&mut tx, &args, options).await?;
    tx.commit().await?;
    Ok(Some(job))
}

/// Whether it is known by now what the job's file became.
///
/// # Errors
/// Those of the database.
pub async fn is_over(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let row: Option<(Option<PhotoId>, Option<String>)> = with!(conn, |c| {
        files::table
            .filter(files::job_id.eq(job))
            .select((files::photo_id, files::reason))
            .first(c)
            .await
            .optional()
    })?;
    Ok(row.is_none_or(|(photo, reason)| photo.is_some() || reason.is_some()))
}

/// Writes down what the job's file became: a photo, or nothing for this reason.
///
/// # Errors
/// Those of the database.
pub async fn set_outcome(tx: &mut Tx, job: JobId, outcome: Result<PhotoId, &str>) -> Result<(), DbError> {
    let reason = outcome.err().map(StoredText::from);
    with!(tx.conn(), |c| {
        diesel::update(files::table.filter(files::job_id.eq(job)))
            .set((files::photo_id.eq(outcome.ok()), files::reason.eq(reason.as_deref())))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Lets the job's file be found again: what the job was to take is no longer there.
///
/// # Errors
/// Those of the database.
pub async fn forget(tx: &mut Tx, job: JobId) -> Result<(), DbError> {
    with!(tx.conn(), |c| diesel::delete(files::table.filter(files::job_id.eq(job))).execute(c).await)?;
    Ok(())
}
