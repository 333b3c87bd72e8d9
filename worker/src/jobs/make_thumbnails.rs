use model::Kind;
use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::photos::{self, Photo, PhotoVariant};
use shared::domain::PhotoId;
use shared::domain::photo::{PhotoStatus, Variant};
use shared::jobs::MakeThumbnails;

use super::{Handle, picture};
use crate::context::JobContext;
use crate::imaging::{Picture, Task};
use runtime::outcome::{JobError, Outcome};

impl Handle for MakeThumbnails {
    /// Original → sizes in the blob store → photo ready, in this order: a crash repeats the work, and
    /// a ready photo has all its sizes.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let services = &context.services;
        let photo = {
            let mut conn = services.db.conn().await?;
            photos::find(&mut conn, self.photo_id).await?
        };
        let Some(photo) = photo else {
            return deleted(&context, self.photo_id).await;
        };
        match photo.status {
            PhotoStatus::Processing => {}
            PhotoStatus::Ready => return Ok(done(&photo)),
            PhotoStatus::Rejected => return Ok(Outcome::Discard(photo.reason.unwrap_or_default())),
        }
        let pictures = match render(&context, photo.id).await? {
            Ok(pictures) => pictures,
            Err(reason) => return reject(&context, &photo, reason).await,
        };
        let made = store(&context, &photo, pictures).await?;
        if mark_ready(&context, &photo, &made).await? {
            Ok(done(&photo))
        } else {
            deleted(&context, photo.id).await
        }
    }
}

/// The sizes of a photo, made of its original; or why there can't be any, for the customer.
pub(super) async fn render(
    context: &JobContext,
    photo: PhotoId,
) -> Result<Result<Vec<Picture>, String>, JobError> {
    let Some(original) = picture::original(context, photo).await? else {
        return Ok(Err("the uploaded file is gone".into()));
    };
    let making = context.services.imaging.make(Task::Sizes, original, MakeThumbnails::TIMEOUT / 2);
    let made = tokio::select! {
        made = making => made,
        // Leaving the future ends the process that renders.
        why = context.must_stop() => return Err(JobError::Stopped(why)),
    };
    picture::judge(&context.job.error_log(), made)
}

pub(super) fn done(photo: &Photo) -> Outcome {
    Outcome::Done(json!({"photo_id": photo.id, "photo_status": "ready"}))
}

/// The owner deleted the photo, and with it the sizes that there were by then; this run, or one before,
/// may have written others since.
pub(super) async fn deleted(context: &JobContext, id: PhotoId) -> Result<Outcome, JobError> {
    tracing::info!("the photo was deleted");
    for path in BlobPath::all_of(id) {
        context.services.blobs.delete(path).await?;
    }
    Ok(Outcome::Done(json!({"photo": "deleted"})))
}

async fn reject(context: &JobContext, photo: &Photo, reason: String) -> Result<Outcome, JobError> {
    let mut tx = context.begin().await?;
    photos::set_rejected(&mut tx, photo.id, &reason).await?;
    tx.commit().await?;
    Ok(Outcome::Discard(reason))
}

pub(super) async fn store(
    context: &JobContext,
    photo: &Photo,
    pictures: Vec<Picture>,
) -> Result<Vec<PhotoVariant>, JobError> {
    let mut made = Vec::with_capacity(pictures.len());
    for (variant, picture) in Variant::LARGEST_FIRST.into_iter().zip(pictures) {
        let measured = |n: u32| i32::try_from(n).map_err(JobError::failed);
        made.push(PhotoVariant {
            photo_id: photo.id,
            name: variant,
            width: measured(picture.width)?,
            height: measured(picture.height)?,
            content_type: picture.content_type,
            bytes: i64::try_from(picture.bytes.len()).map_err(JobError::failed)?,
        });
        picture::put(context, BlobPath::Sized(photo.id, variant), picture).await?;
    }
    Ok(made)
}

pub(super) async fn mark_ready(
    context: &JobContext,
    photo: &Photo,
    made: &[PhotoVariant],
) -> Result<bool, JobError> {
    let shown = shown_size(photo, made);
    let mut tx = context.begin().await?;
    let exists = photos::set_ready(&mut tx, photo.id, shown, made).await?;
    tx.commit().await?;
    Ok(exists)
}

/// The header's dimensions, turned as the picture is shown: the large size tells which way up it is.
fn shown_size(photo: &Photo, made: &[PhotoVariant]) -> (i32, i32) {
    let large = made.iter().find(|variant| variant.name == Variant::Large);
    match (photo.width.zip(photo.height), large) {
        (Some((width, height)), Some(large)) => {
            let lies = |w: i32, h: i32| w > h;
            if lies(width, height) == lies(large.width, large.height) {
                (width, height)
            } else {
                (height, width)
            }
        }
        (Some(size), None) => size,
        (None, Some(large)) => (large.width, large.height),
        (None, None) => (0, 0),
    }
}
