use shared::db::photos;
use shared::domain::photo::PhotoStatus;
use shared::jobs::RemakeThumbnails;

use super::Handle;
use super::make_thumbnails::{deleted, done, mark_ready, render, store};
use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

impl Handle for RemakeThumbnails {
    /// As the first time, but a photo that is ready stays ready whatever happens here.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let photo = {
            let mut conn = context.services.db.conn().await?;
            photos::find(&mut conn, self.photo_id).await?
        };
        let Some(photo) = photo else {
            return Ok(Outcome::Discard("there is no such photo".into()));
        };
        match photo.status {
            PhotoStatus::Ready => {}
            PhotoStatus::Processing => {
                return Ok(Outcome::Discard("its sizes are being made for the first time".into()));
            }
            PhotoStatus::Rejected => return Ok(Outcome::Discard("it was rejected".into())),
        }
        let pictures = match render(&context, photo.id).await? {
            Ok(pictures) => pictures,
            Err(reason) => return Ok(Outcome::Discard(reason)),
        };
        let made = store(&context, &photo, pictures).await?;
        match mark_ready(&context, &photo, &made).await? {
            true => Ok(done(&photo)),
            false => deleted(&context, photo.id).await,
        }
    }
}
