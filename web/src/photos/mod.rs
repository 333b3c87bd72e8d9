//! Photos, as the API and the pages accept, list and delete them.

pub mod api;
mod attachment;
pub mod images;
pub mod pages;
pub mod picture;
#[cfg(test)]
pub mod samples;
pub mod upload;
pub mod view;

use database::{Conn, Db};
use shared::blobs::{BlobPath, Blobs};
use shared::db::accepting;
use shared::db::customers;
use shared::db::idempotency::{self, KeyedRequest};
use shared::db::photos::{self as rows, Deletion, Photo};
use shared::domain::{CustomerId, PhotoId};
use shared::intake::Received;

use crate::App;
use crate::http::error::ApiError;
use crate::http::extract::Noun;
use crate::http::idempotency::{Answered, text};
use crate::jobs::log_accepted;
use view::{AcceptedPhoto, PhotoView};

impl Noun for PhotoId {
    const NOUN: &'static str = "photo";
}

/// An upload whose blob is there and whose row is not.
#[derive(Debug, Clone)]
pub struct AcceptPhoto {
    /// Whose it will be.
    pub customer: CustomerId,
    /// What came.
    pub received: Received,
    /// The key under which the answer is kept, if the client sent one.
    pub keyed: Option<KeyedRequest>,
    /// The request's trace.
    pub traceparent: String,
}

/// Says whose token it is, and lets them send a photo, before its bytes are read: one look for both.
///
/// # Errors
/// [`ApiError::Unauthenticated`]; those of [`admit`].
pub async fn admit_by_token(app: &App, token_hash: String) -> Result<CustomerId, ApiError> {
    let limit = app.pressure.per_customer();
    let (customer, unfinished) = app
        .db
        .run(move |db| {
            let token_hash = token_hash.clone();
            async move {
                let known = customers::unfinished_by_token(&mut db.conn().await?, &token_hash, limit).await?;
                known.ok_or(ApiError::Unauthenticated)
            }
        })
        .await?;
    app.rates.uploads(customer)?;
    app.pressure.admit_with(unfinished)?;
    Ok(customer)
}

/// Lets a customer send a photo.
///
/// # Errors
/// Those of [`crate::jobs::pressure::Pressure::admit`], and of the rate limit.
pub async fn admit(app: &App, customer: CustomerId) -> Result<(), ApiError> {
    app.rates.uploads(customer)?;
    let pressure = app.pressure.clone();
    app.db
        .run(move |db| {
            let pressure = pressure.clone();
            async move { pressure.admit(&mut db.conn().await?, customer).await }
        })
        .await
}

/// Accepts a photo: its row, the job that makes its sizes and the answer under its key, all or none. When
/// the request is refused, or was answered before, the new blob is deleted.
///
/// # Errors
/// The key's refusals; those of the database.
pub async fn accept(app: &App, request: AcceptPhoto) -> Result<Answered<AcceptedPhoto>, ApiError> {
    let photo = request.received.id;
    let answer = app
        .db
        .run(move |db| {
            let request = request.clone();
            async move { insert(&db, &request).await }
        })
        .await;
    let unwanted = match &answer {
        Ok(Answered::Before(_)) => true,
        Ok(Answered::New(accepted)) => {
            log_accepted(&accepted.job);
            false
        }
        // After a fault it is not known whether the row is there: a database that goes away during the
        // commit may have committed. A blob too many is litter, a row without its blob a lost photo.
        Err(error) => !error.is_fault(),
    };
    if unwanted {
        delete_blobs(&app.blobs, &[BlobPath::Original(photo)]).await;
    }
    answer
}

async fn insert(db: &Db, request: &AcceptPhoto) -> Result<Answered<AcceptedPhoto>, ApiError> {
    let new = request.received.photo_of(request.customer);
    let traceparent = Some(request.traceparent.clone());
    let mut tx = db.begin().await?;
    let Some(keyed) = &request.keyed else {
        let (photo, job) = accepting::accept_and_commit(tx, &new, traceparent).await?;
        return Ok(Answered::New(AcceptedPhoto::new(&photo, &job)));
    };
    tx.wait_for_locks(idempotency::WAIT);
    match accepting::accept_keyed(&mut tx, keyed, &new, traceparent).await? {
        Ok((photo, job)) => {
            let accepted = AcceptedPhoto::new(&photo, &job);
            let kept = text(&accepted)?;
            idempotency::store_and_commit(tx, keyed, &accepted.job.links.this, &kept).await?;
            Ok(Answered::New(accepted))
        }
        Err(key) => {
            tx.rollback().await?;
            Answered::before(key)
        }
    }
}

/// A customer's photo.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's.
async fn find_own(conn: &mut Conn, customer: CustomerId, id: PhotoId) -> Result<Photo, ApiError> {
    let photo = rows::find(conn, id).await?.filter(|photo| photo.customer_id == customer);
    photo.ok_or(ApiError::NotFound("photo"))
}

/// A page of a customer's photos as the API shows them, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn page(
    app: &App,
    customer: CustomerId,
    before: Option<PhotoId>,
    limit: i64,
) -> Result<Vec<PhotoView>, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let list = rows::page(&mut conn, customer, before, limit).await?;
            views(&mut conn, &list).await
        })
        .await
}

/// Photos as the API shows them, in the same order.
///
/// # Errors
/// Those of the database.
pub async fn views(conn: &mut Conn, list: &[Photo]) -> Result<Vec<PhotoView>, ApiError> {
    let ids: Vec<PhotoId> = list.iter().map(|photo| photo.id).collect();
    let variants = rows::variants(conn, &ids).await?;
    Ok(list.iter().map(|photo| PhotoView::new(photo, &variants)).collect())
}

/// A customer's photo as the API shows it.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's.
pub async fn show(app: &App, customer: CustomerId, id: PhotoId) -> Result<PhotoView, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let photo = find_own(&mut conn, customer, id).await?;
            let mut views = views(&mut conn, &[photo]).await?;
            views.pop().ok_or(ApiError::NotFound("photo"))
        })
        .await
}

/// Deletes a customer's photo: the row, and after the commit its blobs.
///
/// # Errors
/// [`ApiError::NotFound`]; [`ApiError::Conflict`] while an unfinished order uses it.
pub async fn delete(app: &App, customer: CustomerId, id: PhotoId) -> Result<(), ApiError> {
    app.db
        .run(move |db| async move {
            let mut tx = db.begin().await?;
            let refusal = match rows::delete(&mut tx, customer, id).await? {
                Deletion::Done => return tx.commit().await.map_err(ApiError::from),
                Deletion::Unknown => ApiError::NotFound("photo"),
                Deletion::InUse => ApiError::Conflict("An unfinished order uses this photo."),
            };
            tx.rollback().await?;
            Err(refusal)
        })
        .await?;
    delete_blobs(&app.blobs, &BlobPath::all_of(id)).await;
    Ok(())
}

/// Best effort: a blob without a row is litter, no more.
pub(crate) async fn delete_blobs(blobs: &Blobs, paths: &[BlobPath]) {
    for path in paths {
        if let Err(error) = blobs.delete(*path).await {
            tracing::warn!(%error, ?path, "a blob that nobody needs could not be deleted");
        }
    }
}
