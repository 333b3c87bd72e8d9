//! Photos and their sizes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{order_lines, orders, photo_variants, photos};
use crate::domain::order::OrderStatus;
use crate::domain::photo::{ImageType, PhotoStatus, Variant};
use crate::domain::{CustomerId, PhotoId};
use database::expressions::for_update;
use database::{Conn, DbError, Tx, with};
use model::{JobId, Timestamp};

/// A photo's row.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = photos)]
pub struct Photo {
    /// Its id.
    pub id: PhotoId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The job that makes its sizes.
    pub job_id: JobId,
    /// Where it is in its life.
    pub status: PhotoStatus,
    /// Why it was rejected: a sentence for the customer.
    pub reason: Option<String>,
    /// The name that the file had at the customer's.
    pub file_name: Option<String>,
    /// What the original is, by content.
    pub content_type: ImageType,
    /// The original's size.
    pub bytes: i64,
    /// In pixels, as it is shown; from the header until the sizes are made.
    pub width: Option<i32>,
    /// In pixels, as it is shown.
    pub height: Option<i32>,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A size that was made of a photo.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = photo_variants)]
pub struct PhotoVariant {
    /// Of which photo.
    pub photo_id: PhotoId,
    /// Which size.
    pub name: Variant,
    /// In pixels.
    pub width: i32,
    /// In pixels.
    pub height: i32,
    /// Its format.
    pub content_type: ImageType,
    /// Its size.
    pub bytes: i64,
}

/// A photo that was uploaded and is about to be accepted.
#[derive(Debug, Clone)]
pub struct NewPhoto {
    /// Its id, also the name of its blobs.
    pub id: PhotoId,
    /// Whose it is.
    pub customer_id: CustomerId,
    /// The job that will make its sizes.
    pub job_id: JobId,
    /// The name that the file had at the customer's.
    pub file_name: Option<String>,
    /// What it is, by content.
    pub content_type: ImageType,
    /// The original's size.
    pub bytes: i64,
    /// From the header, in pixels.
    pub width: Option<i32>,
    /// From the header, in pixels.
    pub height: Option<i32>,
}

/// Writes a photo's row and gives it. See [`super::accepting`].
macro_rules! writing {
    ($new:expr) => {
        diesel::insert_into(photos::table)
            .values((
                photos::id.eq($new.id),
                photos::customer_id.eq($new.customer_id),
                photos::job_id.eq($new.job_id),
                photos::status.eq(PhotoStatus::Processing),
                photos::file_name.eq(&$new.file_name),
                photos::content_type.eq($new.content_type),
                photos::bytes.eq($new.bytes),
                photos::width.eq($new.width),
                photos::height.eq($new.height),
                photos::created_at.eq(now()),
            ))
            .returning(Photo::as_returning())
    };
}
pub(super) use writing;

/// A photo, whoever it belongs to.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: PhotoId) -> Result<Option<Photo>, DbError> {
    Ok(with!(conn, |c| photos::table.find(id).select(Photo::as_select()).first(c).await.optional())?)
}

/// Several photos, in no order.
///
/// # Errors
/// Those of the database.
pub async fn find_many(conn: &mut Conn, ids: &[PhotoId]) -> Result<Vec<Photo>, DbError> {
    Ok(with!(conn, |c| {
        let those = photos::table.filter(photos::id.eq_any(ids));
        those.select(Photo::as_select()).load(c).await
    })?)
}

/// A customer's photos, the newest first, older than `before`.
///
/// # Errors
/// Those of the database.
pub async fn page(
    conn: &mut Conn,
    owner: CustomerId,
    before: Option<PhotoId>,
    limit: i64,
) -> Result<Vec<Photo>, DbError> {
    Ok(with!(conn, |c| {
        let mut page = photos::table
            .filter(photos::customer_id.eq(owner))
            .order(photos::id.desc())
            .limit(limit)
            .select(Photo::as_select())
            .into_boxed();
        if let Some(before) = before {
            page = page.filter(photos::id.lt(before));
        }
        page.load(c).await
    })?)
}

/// The sizes of these photos.
///
/// # Errors
/// Those of the database.
pub async fn variants(conn: &mut Conn, ids: &[PhotoId]) -> Result<Vec<PhotoVariant>, DbError> {
    Ok(with!(conn, |c| {
        photo_variants::table
            .filter(photo_variants::photo_id.eq_any(ids))
            .order(photo_variants::width)
            .select(PhotoVariant::as_select())
            .load(c)
            .await
    })?)
}

/// Marks a photo as ready, with its sizes and the dimensions in which it is shown. Returns whether it
/// still exists: its owner may have deleted it meanwhile.
///
/// # Errors
/// Those of the database.
pub async fn set_ready(
    tx: &mut Tx,
    id: PhotoId,
    (width, height): (i32, i32),
    made: &[PhotoVariant],
) -> Result<bool, DbError> {
    let ready = with!(tx.conn(), |c| {
        diesel::update(photos::table.find(id))
            .set((photos::status.eq(PhotoStatus::Ready), photos::width.eq(width), photos::height.eq(height)))
            .execute(c)
            .await
    })?;
    if ready == 0 {
        return Ok(false);
    }
    with!(tx.conn(), |c| {
        diesel::delete(photo_variants::table.filter(photo_variants::photo_id.eq(id))).execute(c).await
    })?;
    for variant in made {
        with!(tx.conn(), |c| {
            diesel::insert_into(photo_variants::table).values(variant).execute(c).await
        })?;
    }
    Ok(true)
}

/// Marks a photo as rejected, with a sentence for the customer.
///
/// # Errors
/// Those of the database.
pub async fn set_rejected(tx: &mut Tx, id: PhotoId, reason: &str) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::update(photos::table.find(id).filter(photos::status.eq(PhotoStatus::Processing)))
            .set((photos::status.eq(PhotoStatus::Rejected), photos::reason.eq(reason)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// What became of the wish to delete a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// Its row is gone; its blobs are to follow.
    Done,
    /// There is none of that id that belongs to the customer.
    Unknown,
    /// An unfinished order needs it.
    InUse,
}

/// Deletes a photo's row, unless an unfinished order uses it.
///
/// # Errors
/// Those of the database.
pub async fn delete(tx: &mut Tx, owner: CustomerId, id: PhotoId) -> Result<Deletion, DbError> {
    let own: Vec<PhotoId> = with!(tx.conn(), |c| {
        let row =
            photos::table.filter(photos::id.eq(id)).filter(photos::customer_id.eq(owner)).select(photos::id);
        for_update(row).load(c).await
    })?;
    if own.is_empty() {
        return Ok(Deletion::Unknown);
    }
    let users: i64 = with!(tx.conn(), |c| {
        order_lines::table
            .inner_join(orders::table.on(orders::id.eq(order_lines::order_id)))
            .filter(order_lines::photo_id.eq(id))
            .filter(orders::status.ne_all([
                OrderStatus::Confirmed,
                OrderStatus::Rejected,
                OrderStatus::Cancelled,
            ]))
            .count()
            .get_result(c)
            .await
    })?;
    if users > 0 {
        return Ok(Deletion::InUse);
    }
    with!(tx.conn(), |c| diesel::delete(photos::table.find(id)).execute(c).await)?;
    Ok(Deletion::Done)
}
