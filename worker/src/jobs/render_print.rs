use serde_json::json;
use shared::blobs::BlobPath;
use shared::db::{orders, products};
use shared::domain::PhotoId;
use shared::domain::order::OrderStatus;
use shared::domain::print::PrintSize;
use shared::jobs::{Kind, RenderPrint};

use super::{Handle, picture};
use crate::context::JobContext;
use crate::imaging::Task;
use crate::outcome::{JobError, Outcome};
use crate::stop::StopReason;

/// What is to be printed.
struct Print {
    photo_id: PhotoId,
    size: PrintSize,
}

impl Handle for RenderPrint {
    /// Original → print in the blob store. There is no row to write: that this job succeeded is what the
    /// order's job waits for. A crash repeats the work under the same name.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let Some(print) = find(&context, &self).await? else {
            tracing::info!("the print is not needed any more");
            return Ok(Outcome::Done(json!({"print": "not needed"})));
        };
        let Some(original) = picture::original(&context, print.photo_id).await? else {
            return Ok(Outcome::Discard("the uploaded file is gone".into()));
        };
        let rendering =
            context.services.imaging.make(Task::Print(print.size), original, RenderPrint::TIMEOUT / 2);
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

/// `None` if the order is gone, or is not being printed: it was given up meanwhile, or this is a late
/// repetition.
async fn find(context: &JobContext, wanted: &RenderPrint) -> Result<Option<Print>, JobError> {
    let mut conn = context.services.db.conn().await?;
    let order = orders::find(&mut conn, wanted.order_id).await?;
    let Some(order) = order.filter(|order| order.status == OrderStatus::Rendering) else {
        return Ok(None);
    };
    let mut lines = orders::lines(&mut conn, &[order.id]).await?.into_iter();
    let Some((_, line)) = lines.nth(usize::from(wanted.position)) else { return Ok(None) };
    let format = products::format(&mut conn, &line.product_id).await?;
    Ok(format.map(|format| Print { photo_id: line.photo_id, size: format.size() }))
}
