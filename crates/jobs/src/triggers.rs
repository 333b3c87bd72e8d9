//! Jobs that programs elsewhere started: the same request, sent again under the same key, is the same job,
//! also when that is over, for as long as it is kept. (A job's unique key only keeps others away until it is
//! over.)

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::enqueue::{Options, enqueue_kind};
use crate::schema::triggered_jobs as triggered;
use crate::{Job, status};
use database::expressions::now;
use database::{Conn, DbError, Tx, with};
use model::JobId;
use model::KindInfo;

/// A task that somebody elsewhere wants to be done.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// The machine's name. Keys of different machines never meet.
    pub source: String,
    /// The request's own key, if it has one.
    pub key: Option<String>,
    /// What is to be done; it must be [triggerable](model::Kind::TRIGGERABLE).
    pub kind: &'static KindInfo,
    /// As [`KindInfo::read_args`] gave them.
    pub args: Value,
    /// Trace Context of the request.
    pub traceparent: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub enum Triggered {
    /// There is a job now.
    New(Job),
    /// There was one already, for the same request under the same key.
    Existing(Job),
    /// The key belongs to another request.
    Misused,
}

/// Enqueues the task's job, unless there is one for its key.
///
/// # Errors
/// Those of the database.
pub async fn trigger(tx: &mut Tx, trigger: &Trigger) -> Result<Triggered, DbError> {
    let (id, hash) = (JobId::new(), fingerprint(trigger.kind.name, &trigger.args));
    // Of two at once, the second one waits here for the commit of the first.
    let inserted = with!(tx.conn(), |c| {
        diesel::insert_into(triggered::table)
            .values((
                triggered::job_id.eq(id),
                triggered::source.eq(&trigger.source),
                triggered::key.eq(&trigger.key),
                triggered::request_hash.eq(&hash),
                triggered::created_at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    if inserted == 1 {
        let traceparent = trigger.traceparent.clone();
        let options = Options { id: Some(id), traceparent, ..Options::default() };
        return Ok(Triggered::New(enqueue_kind(tx, trigger.kind, &trigger.args, options).await?));
    }
    let (earlier, its_hash): (JobId, String) = with!(tx.conn(), |c| {
        triggered::table
            .filter(triggered::source.eq(&trigger.source))
            .filter(triggered::key.eq(&trigger.key))
            .select((triggered::job_id, triggered::request_hash))
            .first(c)
            .await
    })?;
    // The kind may have had another name then.
    if !trigger.kind.names().any(|name| fingerprint(name, &trigger.args) == its_hash) {
        return Ok(Triggered::Misused);
    }
    match status::find(tx, earlier).await? {
        Some(job) => Ok(Triggered::Existing(job)),
        // It was removed between the two looks, and its key with it: the next try has a new one.
        None => Err(DbError::Collision("the key's job was just removed".into())),
    }
}

/// The machine that started this job, if one did.
///
/// # Errors
/// Those of the database.
pub async fn source_of(conn: &mut Conn, job: JobId) -> Result<Option<String>, DbError> {
    Ok(with!(conn, |c| triggered::table.find(job).select(triggered::source).first(c).await.optional())?)
}

/// What a key belongs to. Arguments in the kind's own form are written in one way only.
fn fingerprint(kind: &str, args: &Value) -> String {
    use std::fmt::Write;
    let request = format!("{kind}\n{args}");
    Sha256::digest(request.as_bytes()).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
