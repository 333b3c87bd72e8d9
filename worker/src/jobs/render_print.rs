use model::Kind;
use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::orders;
use shared::jobs::RenderPrint;

use super::{Handle, picture};
use crate::context::JobContext;
use crate::imaging::Task;
use runtime::outcome::{JobError, Outcome};
use runtime::stop::StopReason;

impl Handle for RenderPrint {
    /// Original → print in the blob store. There is no row to write: that this job succeeded is what the
    /// order's job waits for. A crash repeats the work under the same name.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let print = {
            let mut conn = context.services.db.conn().await?;
            orders::find_print(&mut conn, self.order_id, self.position).await?
        };
        let Some(print) = print else {
            tracing::info!("the print is not needed any more");
            return Ok(Outcome::Done(json!({"print": "not needed"})));
        };
        let Some(original) = picture::original(&context, print.photo_id).await? else {
            return Ok(Outcome::Discard("the uploaded file is gone".into()));
        };
        let task = Task::Print(print.format.size());
        let rendering = context.services.imaging.make(task, original, RenderPrint::TIMEOUT / 2);
        let rendered = tokio::select! {
            rendered = rendering => rendered,
            // Leaving the future ends the process that renders.
            why = context.must_stop() => return match why {
                StopReason::Cancelled => Ok(Outcome::Cancelled),
                other => Err(JobError::Stopped(other)),
            },
        };
        let rendered = match picture::judge(&context.job.error_log(), rendered)? {
            Ok(pictures) => pictures,
            Err(why) => return Ok(Outcome::Discard(why)),
        };
        let mut done = json!({"order_id": self.order_id, "position": self.position});
        for made in rendered {
            done["width"] = made.width.into();
            done["height"] = made.height.into();
            picture::put(&context, BlobPath::Print(self.order_id, self.position), made).await?;
        }
        Ok(Outcome::Done(done))
    }
}
