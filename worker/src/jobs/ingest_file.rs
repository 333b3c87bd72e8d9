use futures_util::StreamExt;
use platform::BlobError;
use runtime::outcome::Dependency;
use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::ingested_files;
use shared::domain::file_name;
use shared::intake::{Intake, IntakeError, Received};
use shared::jobs::IngestFile;

use super::Handle;
use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

/// What became of the bytes.
enum Copied {
    Taken(Received),
    Refused(String),
    /// Changed or removed: the row goes, and what is there at a later look is taken then.
    Stale,
}

impl Handle for IngestFile {
    /// The same as an upload: the original's blob, then its row and the job for its sizes. The file stays where
    /// it is. A crash in between leaves a blob without a row, and the next run makes another.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let services = &context.services;
        if ingested_files::is_over(&mut services.db.conn().await?, context.job.id).await? {
            return Ok(Outcome::Done(json!({"path": self.path})));
        }
        let copied = services.breakers.call(Dependency::BLOBS, copy(&context, &self)).await?;
        let mut tx = context.begin().await?;
        let outcome = match copied {
            Copied::Refused(reason) => {
                ingested_files::set_outcome(&mut tx, context.job.id, Err(&reason)).await?;
                tx.commit().await?;
                metrics::counter!("incoming_files_total", "outcome" => "refused").increment(1);
                Outcome::Discard(format!("{}: {reason}", self.path))
            }
            Copied::Stale => {
                ingested_files::forget(&mut tx, context.job.id).await?;
                tx.commit().await?;
                metrics::counter!("incoming_files_total", "outcome" => "stale").increment(1);
                Outcome::Done(json!({"path": self.path, "photo_id": null}))
            }
            Copied::Taken(received) => {
                let owner = context.job.owner.ok_or_else(|| JobError::failed("it belongs to nobody"))?;
                let trace = context.job.traceparent.clone();
                let (photo, _) = received.accept(&mut tx, owner, trace).await?;
                ingested_files::set_outcome(&mut tx, context.job.id, Ok(photo.id)).await?;
                tx.commit().await?;
                metrics::counter!("incoming_files_total", "outcome" => "taken").increment(1);
                Outcome::Done(json!({"path": self.path, "photo_id": photo.id}))
            }
        };
        Ok(outcome)
    }
}

/// Streams the file to a new photo's original; what was copied of a file that is refused is removed.
async fn copy(context: &JobContext, file: &IngestFile) -> Result<Copied, JobError> {
    let blobs = &context.services.blobs;
    if blobs.incoming_version(&file.path).await? != Some(file.version.clone()) {
        return Ok(Copied::Stale);
    }
    let mut bytes = match blobs.read_incoming(&file.path).await {
        Ok(bytes) => bytes,
        Err(BlobError::Missing) => return Ok(Copied::Stale),
        Err(error) => return Err(error.into()),
    };
    let mut intake = Intake::new(blobs.clone(), context.services.intake);
    while let Some(piece) = bytes.next().await {
        if let Err(stopped) = context.go_on() {
            intake.abort().await;
            return Err(stopped);
        }
        if let Err(error) = intake.push(piece?).await {
            intake.abort().await;
            return refused(error);
        }
    }
    let mut received = match intake.finish().await {
        Ok(received) => received,
        Err(error) => return refused(error),
    };
    // Somebody who writes while we read would leave us with a mixture.
    if blobs.incoming_version(&file.path).await? != Some(file.version.clone()) {
        blobs.delete(BlobPath::Original(received.id)).await?;
        return Ok(Copied::Stale);
    }
    received.file_name = file_name::sanitise(&file.path);
    Ok(Copied::Taken(received))
}

fn refused(error: IntakeError) -> Result<Copied, JobError> {
    match error {
        IntakeError::Blobs(error) => Err(error.into()),
        fault_of_the_file => Ok(Copied::Refused(fault_of_the_file.to_string())),
    }
}
