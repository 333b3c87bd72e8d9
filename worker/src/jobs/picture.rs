//! What the jobs that make pictures of an original have in common.

use ::jobs::ErrorEntry;
use bytes::Bytes;
use model::StoredText;
use model::job::ErrorCode;
use platform::BlobError;
use runtime::outcome::Dependency;
use shared::blobs::BlobPath;
use shared::domain::PhotoId;

use crate::Services;
use crate::context::JobContext;
use crate::imaging::{ImagingError, Picture};
use runtime::outcome::JobError;

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
    context.services.breakers.call(Dependency::BLOBS, get).await
}

/// Tells pictures, and pictures that can never be made (with a sentence for the customer), from what another
/// try may mend. `log` is that of the job.
pub fn judge(
    log: &[ErrorEntry],
    made: Result<Vec<Picture>, ImagingError>,
) -> Result<Result<Vec<Picture>, String>, JobError> {
    match made {
        Ok(pictures) => Ok(Ok(pictures)),
        // It comes from a process that strangers' files may have broken.
        Err(ImagingError::Rejected(why)) => Ok(Err(StoredText::from(why.to_string()).into())),
        // No evidence against the picture: tried again as often as any job, and redrivable then.
        Err(error @ (ImagingError::Spawn(_) | ImagingError::Ended { .. })) => Err(JobError::failed(error)),
        Err(error @ (ImagingError::Crashed { .. } | ImagingError::TimedOut)) => {
            if crashes(log) + 1 >= MAX_CRASHES {
                tracing::error!(%error, "the picture can't be decoded safely");
                return Ok(Err("the picture could not be processed".into()));
            }
            Err(JobError::Coded { code: ErrorCode::PictureFault, message: error.to_string() })
        }
    }
}

/// How many tries the picture has taken down so far: failures of other kinds are not its fault.
fn crashes(log: &[ErrorEntry]) -> u32 {
    log.iter().filter(|entry| entry.code == Some(ErrorCode::PictureFault)).map(|entry| entry.times).sum()
}

/// Writes a picture into the blob store.
pub async fn put(context: &JobContext, path: BlobPath, picture: Picture) -> Result<(), JobError> {
    let content_type = picture.content_type.content_type();
    let put = async { Ok(context.services.blobs.put(path, Bytes::from(picture.bytes), content_type).await?) };
    context.services.breakers.call(Dependency::BLOBS, put).await
}

/// Removes a blob that nobody needs. Whether it is gone: one that the store refuses to remove is left to the next clean-up,
/// and keeps nothing else from going on.
pub async fn remove(services: &Services, path: BlobPath) -> Result<bool, JobError> {
    let delete = async {
        match services.blobs.delete(path).await {
            Err(error @ BlobError::Refused(_)) => {
                tracing::warn!(%path, %error, "a blob that nobody needs could not be removed");
                Ok(false)
            }
            deleted => Ok(deleted.map(|()| true)?),
        }
    };
    services.breakers.call(Dependency::BLOBS, delete).await
}

#[cfg(test)]
mod tests {
    use ::jobs::{Try, log_error};
    use model::job::RunError;

    use super::*;

    /// Tries until it is judged for good; what the customer is told, if that comes within 20 tries.
    fn after_tries(ends: impl Fn(u32) -> ImagingError) -> Option<(u32, String)> {
        let mut log = Vec::new();
        for attempt in 1..=20 {
            match judge(&log, Err(ends(attempt))) {
                Ok(Ok(_)) => panic!("no picture was made"),
                Ok(Err(why)) => return Some((attempt, why)),
                Err(error) => {
                    let at = chrono::Utc::now();
                    let error: RunError = error.run_error();
                    log_error(&mut log, Try { at, attempt: 1, worker: None }, &error);
                }
            }
        }
        None
    }

    fn crashed() -> ImagingError {
        ImagingError::Crashed { detail: "signal: 6 (SIGABRT)".into() }
    }

    #[test]
    fn a_picture_that_breaks_its_process_is_the_customers_after_three_tries() {
        let why = "the picture could not be processed".to_owned();
        assert_eq!(after_tries(|_| crashed()), Some((MAX_CRASHES, why.clone())));
        let in_turn = |attempt| if attempt % 2 == 0 { ImagingError::TimedOut } else { crashed() };
        assert_eq!(after_tries(in_turn), Some((MAX_CRASHES, why)));
    }

    /// As when the machine has no memory left: whose fault that is, nobody knows.
    #[test]
    fn a_picture_whose_process_others_end_is_never_the_customers_fault() {
        let killed = || ImagingError::Ended { detail: "signal: 9 (SIGKILL)".into() };
        assert_eq!(after_tries(|_| killed()), None);
        assert_eq!(after_tries(|_| ImagingError::Spawn(std::io::ErrorKind::OutOfMemory.into())), None);
        // Nor does it count beside what is.
        let (tries, _) = after_tries(|attempt| if attempt % 4 == 0 { crashed() } else { killed() }).unwrap();
        assert_eq!(tries, 4 * MAX_CRASHES);
    }
}
