//! What the jobs that make pictures of an original have in common.

use bytes::Bytes;
use shared::blobs::{BlobError, BlobPath};
use shared::domain::PhotoId;

use crate::context::JobContext;
use crate::imaging::{ImagingError, Picture};
use crate::outcome::{Dependency, JobError};

/// A picture that crashes or outlasts its process so often is not tried again.
const MAX_CRASHES: u32 = 3;

/// How such a try is named in the job's error log, where they are counted.
const CRASH: &str = "decoding";

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

/// Writes a picture into the blob store.
pub async fn put(context: &JobContext, path: BlobPath, picture: Picture) -> Result<(), JobError> {
    let content_type = picture.content_type.content_type();
    let put = async { Ok(context.services.blobs.put(path, Bytes::from(picture.bytes), content_type).await?) };
    context.services.breakers.call(Dependency::Blobs, put).await
}
