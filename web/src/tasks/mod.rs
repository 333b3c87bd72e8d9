//! Tasks: jobs that timers and programs elsewhere start, by name and with arguments.

pub mod api;

use ::jobs::Job;
use ::jobs::triggers::{self, Trigger, Triggered};

use crate::App;
use crate::http::error::ApiError;

/// Starts a task: its job, and whether it was started before under the same key.
///
/// # Errors
/// [`ApiError::KeyMisused`]; those of the database.
pub async fn start(app: &App, trigger: Trigger) -> Result<(Job, bool), ApiError> {
    app.db
        .run(move |db| {
            let trigger = trigger.clone();
            async move {
                let mut tx = db.begin().await?;
                let accepted = match triggers::trigger(&mut tx, &trigger).await? {
                    Triggered::New(job) => (job, false),
                    Triggered::Existing(job) => (job, true),
                    Triggered::Misused => {
                        tx.rollback().await?;
                        return Err(ApiError::KeyMisused);
                    }
                };
                tx.commit().await?;
                Ok(accepted)
            }
        })
        .await
}
