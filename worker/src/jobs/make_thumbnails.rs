use bytes::Bytes;
use serde_json::json;
use shared::blobs::{BlobError, BlobPath};
use shared::db::photos::{self, Photo, PhotoVariant};
use shared::domain::PhotoId;
use shared::domain::photo::{PhotoStatus, Variant};
use shared::jobs::{Kind, MakeThumbnails};

use super::Handle;
use crate::context::JobContext;
use crate::imaging::Picture;
use crate::imaging::pool::ImagingError;
use crate::outcome::{Dependency, JobError, Outcome};

/// A picture that crashes or outlasts its process so often is not tried again.
const MAX_CRASHES: u32 = 3;

/// How such a try is named in the job's error log, where they are counted.
const CRASH: &str = "decoding";

impl Handle for MakeThumbnails {
    /// Original → sizes in the blob store → photo ready, in this order: a crash repeats the work, and
    /// a ready photo has all its sizes.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let services = &context.services;
        let photo = {
            let mut conn = services.db.read().await?;
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
    let services = &context.services;
    let original = services.breakers.call(Dependency::Blobs, async {
        Ok::<_, JobError>(match services.blobs.get(BlobPath::Original(photo)).await {
            Err(BlobError::Missing) => None,
            other => Some(other?),
        })
    });
    let Some(original) = original.await? else {
        return Ok(Err("the uploaded file is gone".into()));
    };
    match services.imaging.make_variants(original, MakeThumbnails::TIMEOUT / 2).await {
        Ok(pictures) => Ok(Ok(pictures)),
        Err(ImagingError::Rejected(why)) => Ok(Err(why.to_string())),
        Err(ImagingError::Spawn(error)) => Err(JobError::failed(error)),
        Err(error) if crashes(context) + 1 >= MAX_CRASHES => {
            tracing::error!(%error, "the picture can't be decoded safely");
            Ok(Err("the picture could not be processed".into()))
        }
        Err(error) => Err(JobError::failed(format!("{CRASH}: {error}"))),
    }
}

/// How many tries the picture has taken down so far: failures of other kinds are not its fault.
fn crashes(context: &JobContext) -> u32 {
    let log = context.job.error_log();
    log.iter().filter(|entry| entry.message.starts_with(CRASH)).map(|entry| entry.times).sum()
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
    for picture in pictures {
        let measured = |n: u32| i32::try_from(n).map_err(JobError::failed);
        made.push(PhotoVariant {
            photo_id: photo.id,
            name: picture.variant,
            width: measured(picture.width)?,
            height: measured(picture.height)?,
            content_type: picture.content_type,
            bytes: i64::try_from(picture.bytes.len()).map_err(JobError::failed)?,
        });
        let path = BlobPath::Sized(photo.id, picture.variant);
        let bytes = Bytes::from(picture.bytes);
        let blobs = &context.services.blobs;
        let put = async { Ok(blobs.put(path, bytes, picture.content_type.content_type()).await?) };
        context.services.breakers.call(Dependency::Blobs, put).await?;
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
