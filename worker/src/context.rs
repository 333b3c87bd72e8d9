//! What a handler of the shop is given: the engine's context of the run, and the outside world.

use std::ops::Deref;

use runtime::outcome::JobError;

use crate::Services;

/// One run of one job: the engine's context, with the shop's services in place of the engine's.
pub struct JobContext {
    /// What handlers use of the outside world.
    pub services: Services,
    run: runtime::context::JobContext,
}

impl JobContext {
    /// Of a run in a worker of the shop.
    ///
    /// # Errors
    /// It runs in another's.
    pub fn of(run: runtime::context::JobContext) -> Result<Self, JobError> {
        Ok(Self { services: run.application()?, run })
    }
}

impl Deref for JobContext {
    type Target = runtime::context::JobContext;

    fn deref(&self) -> &Self::Target {
        &self.run
    }
}
