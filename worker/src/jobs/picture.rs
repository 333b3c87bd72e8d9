//! What the jobs that make pictures of an original have in common.

use bytes::Bytes;
use shared::blobs::{BlobError, BlobPath};
use shared::db::jobs::Job;
use shared::domain::job::ErrorCode;
use shared::domain::{PhotoId, StoredText};

use crate::context::JobContext;
use crate::imaging::{ImagingError, Picture};
use crate::outcome::{Dependency, JobError};

/// A picture that crashes or outlasts its process so often is not tried again.
const MAX_CRASHES: u32 = 3;

/// A photo as it was uploaded; `None` if its file is gone.
pub async fn original(context: &JobContext, photo: PhotoId) -> Result<Option<Bytes>, JobError> {
    let get = async {
        match context.services.blobs.get(BlobPath::Original(photo)).await {
            Err(BlobError::Missing) => Ok(None),
            other => Ok(Some(other?)),
        }
    };
    context.services.breakers.call(Dependency::Blobs, get).await
}

/// Tells pictures, and pictures that can never be made (with a sentence for the customer), from what another
/// try may mend.
pub fn judge(
    context: &JobContext,
    made: Result<Vec<Picture>, ImagingError>,
) -> Result<Result<Vec<Picture>, String>, JobError> {
    match made {
        Ok(pictures) => Ok(Ok(pictures)),
        // It comes from a process that strangers' files may have broken.
        Err(ImagingError::Rejected(why)) => Ok(Err(StoredText::from(why.to_string()).into())),
        // No evidence against the picture: tried again as often as any job, and redrivable then.
        Err(error @ (ImagingError::Spawn(_) | ImagingError::Ended { .. })) => Err(JobError::failed(error)),
        Err(error @ (ImagingError::Crashed { .. } | ImagingError::TimedOut)) => {
            if crashes(&context.job) + 1 >= MAX_CRASHES {
                tracing::error!(%error, "the picture can't be decoded safely");
                return Ok(Err("the picture could not be processed".into()));
            }
            Err(JobError::Coded { code: ErrorCode::PictureFault, message: error.to_string() })
        }
    }
}

/// How many tries the picture has taken down so far: failures of other kinds are not its fault.
fn crashes(job: &Job) -> u32 {
    let log = job.error_log();
    log.iter().filter(|entry| entry.code == Some(ErrorCode::PictureFault)).map(|entry| entry.times).sum()
}

/// Writes a picture into the blob store.
pub async fn put(context: &JobContext, path: BlobPath, picture: Picture) -> Result<(), JobError> {
    let content_type = picture.content_type.content_type();
    let put = async { Ok(context.services.blobs.put(path, Bytes::from(picture.bytes), content_type).await?) };
    context.services.breakers.call(Dependency::Blobs, put).await
}
