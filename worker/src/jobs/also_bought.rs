use std::time::Duration;

use ::jobs::settle::Progress;
use serde_json::json;
use shared::db::{also_bought, products};
use shared::jobs::AlsoBought;

use super::Handle;
use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

/// So old orders still count: what goes together changes with the season.
const WINDOW: Duration = Duration::from_secs(90 * 24 * 3600);

impl Handle for AlsoBought {
    /// One product a transaction, with a checkpoint each: a crash goes on with the next.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let mut ids: Vec<String> = {
            let mut conn = context.services.db.conn().await?;
            products::all(&mut conn).await?.into_iter().map(|product| product.id).collect()
        };
        ids.sort_unstable();
        let done_before = context.job.checkpoint.as_ref().and_then(|done| done["done"].as_str());
        let todo = ids.iter().position(|id| done_before.is_none_or(|done| id.as_str() > done));
        for index in todo.unwrap_or(ids.len())..ids.len() {
            context.go_on()?;
            let mut tx = context.begin().await?;
            also_bought::recount(&mut tx, &ids[index], WINDOW).await?;
            let percent = u8::try_from((index + 1) * 100 / ids.len()).unwrap_or(100);
            let progress = Progress::at(percent, "counting");
            context.commit_step(tx, &json!({"done": ids[index]}), false, &progress).await?;
        }
        Ok(Outcome::Done(json!({"products": ids.len()})))
    }
}
