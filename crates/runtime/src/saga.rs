//! Sagas: a sequence of steps, each with its undo (Garcia-Molina and Salem, 1987).
//!
//! The sequence is data. Each step ends with a checkpoint in the transaction of its business rows, so a
//! crash goes on after the last step that was committed. The last step's transaction ends the job as well, and so does
//! that of a step whose parts are to be waited for. A refusal by the business, or a cancel, undoes
//! backwards; undo begins with the step *after* the last checkpoint, because what it did outside may
//! have happened before the crash that lost its checkpoint. Undo retries without limit.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;

use ::jobs::settle::{Ended, Note, Progress};
use ::jobs::status::unfinished_children;
use ::jobs::subject::cancel_job;
use model::JobId;
use model::job::Ending;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::{JobContext, LastWrite, StepTx};
use crate::crash_points::{self, MOMENTS};
use crate::outcome::{JobError, Outcome};

/// A borrowed future, as a step in a table needs it.
pub type StepFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, JobError>> + Send + 'a>>;

/// What a saga commits besides its steps and undos, as its crash points are named.
const TURN_REFUSED: (&str, &str) = ("turn", "refused");
const TURN_CANCELLED: (&str, &str) = ("turn", "cancelled");
const UNDONE: (&str, &str) = ("undone", "subject");

/// What a look before a step found.
pub enum Ready<R> {
    /// The step can be done.
    Yes,
    /// The business says no.
    Refuse(R),
    /// Come again when these are final.
    Wait(Vec<JobId>),
    /// Of these jobs, which it needs, one failed for good; the effects so far are held for a redrive.
    GiveUp(String, Vec<JobId>),
}

/// How a step ended.
pub enum StepEnd<R> {
    /// Done: its rows are in the transaction of [`StepContext::begin_last`].
    Next(StepTx),
    /// Done, if what is left to write can be: it goes with the commit. Else the business says no.
    NextIf(StepTx, LastWrite, R),
    /// Done, and what comes next waits for these parts of the job, which the transaction wrote.
    Made(StepTx, Vec<JobId>),
    /// The business says no.
    Refuse(R),
}

/// What a step is given: the context of the run, and where the job is when the step is done.
pub struct StepContext<'a, C> {
    context: &'a C,
    checkpoint: Value,
    undoing: bool,
    progress: Progress,
}

impl<C: Deref<Target = JobContext>> StepContext<'_, C> {
    /// Opens the transaction that ends the step; what it writes first is the checkpoint. Nothing slow comes after it,
    /// and what many want to lock comes last.
    ///
    /// # Errors
    /// [`JobError::LostLease`].
    pub async fn begin_last(&self) -> Result<StepTx, JobError> {
        self.context.begin_step(&self.checkpoint, self.undoing, &self.progress).await
    }
}

impl<C> Deref for StepContext<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.context
    }
}

/// What looks whether a step can be done.
pub type Look<C, S, R> = for<'a> fn(&'a C, &'a S) -> StepFuture<'a, Ready<R>>;

/// What does a step.
pub type Run<C, S, R> = for<'a> fn(&'a StepContext<'a, C>, &'a S) -> StepFuture<'a, StepEnd<R>>;

/// What undoes a step.
pub type Undo<C, S> = for<'a> fn(&'a StepContext<'a, C>, &'a S) -> StepFuture<'a, StepTx>;

/// A step and its undo. `C` is the context of the application's handlers, `S` the subject, `R` the reasons
/// for which the business may refuse.
pub struct Step<C, S, R> {
    /// What the status resource shows while the step is done.
    pub name: &'static str,
    /// Looks whether the step can be done; a crash after it repeats it.
    pub ready: Option<Look<C, S, R>>,
    /// Does the step. `None`: it is done when it is ready, and nothing is committed.
    pub run: Option<Run<C, S, R>>,
    /// Undoes it, whether it happened or not. `None`: there is nothing to undo.
    pub undo: Option<Undo<C, S>>,
}

/// A table of steps and what follows when all of them are undone.
pub struct Saga<C: 'static, S: 'static, R: 'static> {
    /// In order.
    pub steps: &'static [Step<C, S, R>],
    /// Marks the subject as refused (or cancelled, without a reason), in one transaction.
    pub undone: for<'a> fn(&'a StepContext<'a, C>, &'a S, Option<R>) -> StepFuture<'a, StepTx>,
    /// The job's result when all steps are done.
    pub done: fn(&S) -> Value,
    /// The job's result after a refusal.
    pub refused: fn(&S, R) -> Value,
}

/// Where a saga is; the job's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "direction", rename_all = "snake_case")]
enum Position<R> {
    /// So many steps are done.
    Forward { done: usize },
    /// So many steps are still to be undone.
    Undo { left: usize, reason: Option<R> },
    /// Everything is undone and the subject is marked.
    Undone { reason: Option<R> },
}

impl<C, S, R> Saga<C, S, R>
where
    C: Deref<Target = JobContext> + Sync,
    S: Sync,
    R: Copy + Send + Sync + Serialize + for<'de> Deserialize<'de>,
{
    /// Goes on from the job's checkpoint to an end.
    ///
    /// # Errors
    /// Whatever stopped a step: the job is tried again from the last checkpoint.
    pub async fn run(&self, context: &C, subject: &S) -> Result<Outcome, JobError> {
        let mut position = self.position(context)?;
        // Once a run is enough: what is undone makes no new ones.
        let mut children_stopped = false;
        loop {
            if matches!(position, Position::Undo { .. }) && !children_stopped {
                if let Some(outcome) = self.stop_children(context).await? {
                    return Ok(outcome);
                }
                children_stopped = true;
            }
            position = match position {
                // The last step was committed by itself.
                Position::Forward { done } if done >= self.steps.len() => {
                    return Ok(Outcome::Done((self.done)(subject)));
                }
                Position::Forward { done } => match self.forward(context, subject, done).await? {
                    Moved::To(position) => position,
                    Moved::Stop(outcome) => return Ok(outcome),
                },
                Position::Undo { left: 0, reason } => {
                    let next = Position::Undone { reason };
                    let tx = (self.undone)(&self.step_to(next, context)?, subject, reason).await?;
                    let (ending, note) = match reason {
                        Some(reason) => (Ending::Succeeded, Note::Result((self.refused)(subject, reason))),
                        None => (Ending::Cancelled, Note::Result(Value::Null)),
                    };
                    return end(context, tx, &[], Ended::by(ending, note), UNDONE).await;
                }
                Position::Undo { left, reason } => {
                    let step = &self.steps[left - 1];
                    let next = Position::Undo { left: left - 1, reason };
                    let to_next = self.step_to(next, context)?;
                    let tx = match step.undo {
                        Some(undo) => undo(&to_next, subject).await?,
                        None => to_next.begin_last().await?,
                    };
                    commit(tx, ("undo", step.name)).await?;
                    next
                }
                // As an earlier release left it: it committed the last step and the job's end one after the other.
                Position::Undone { reason: Some(reason) } => {
                    return Ok(Outcome::Done((self.refused)(subject, reason)));
                }
                Position::Undone { reason: None } => return Ok(Outcome::Cancelled),
            };
        }
    }

    /// What is undone is not to be made any more: its parts are cancelled, each in a transaction of its own
    /// (job rows are locked one at a time here, in no order that others know), and waited for.
    async fn stop_children(&self, context: &C) -> Result<Option<Outcome>, JobError> {
        let db = &context.services.db;
        // Bound first: in the head of the loop the connection would be held to its end, and the embedded
        // database has only that one.
        let children = unfinished_children(&mut db.conn().await?, context.job.id).await?;
        for child in children {
            let mut tx = db.begin().await?;
            cancel_job(&mut tx, child).await?;
            tx.commit().await?;
        }
        let left = unfinished_children(&mut db.conn().await?, context.job.id).await?;
        Ok((!left.is_empty()).then_some(Outcome::WaitFor(left, None)))
    }

    fn position(&self, context: &JobContext) -> Result<Position<R>, JobError> {
        let position = match &context.job.checkpoint {
            None => Position::Forward { done: 0 },
            Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(JobError::failed)?,
        };
        Ok(match position {
            // The claim turned the job to undo: somebody asked to cancel it while it did not run.
            // When every step is done there is nothing left to stop: it succeeds.
            Position::Forward { done } if context.job.undoing && done < self.steps.len() => {
                // What only waits leaves no checkpoint: the step after it may have begun.
                let waits = self.steps[done..].iter().take_while(|step| step.run.is_none()).count();
                Position::Undo { left: (done + waits + 1).min(self.steps.len()), reason: None }
            }
            other => other,
        })
    }

    async fn forward(&self, context: &C, subject: &S, done: usize) -> Result<Moved<R>, JobError> {
        let step = &self.steps[done];
        let refused = |reason| {
            self.turn(context, Position::Undo { left: done + 1, reason: Some(reason) }, TURN_REFUSED)
        };
        let next = Position::Forward { done: done + 1 };
        let is_last = done + 1 == self.steps.len();
        if let Some(ready) = step.ready {
            match ready(context, subject).await? {
                Ready::Yes => {}
                Ready::Refuse(reason) => return Ok(Moved::To(refused(reason).await?)),
                Ready::Wait(jobs) => {
                    // What has to be ready is what the step before is for, if there is more to this one than to wait.
                    let doing = if step.run.is_some() { done.saturating_sub(1) } else { done };
                    return Ok(Moved::Stop(Outcome::WaitFor(jobs, Some(self.waiting_in(doing)))));
                }
                Ready::GiveUp(reason, needed) => {
                    return Ok(Moved::Stop(Outcome::GiveUp { reason, needed }));
                }
            }
        }
        let Some(run) = step.run else { return Ok(Moved::To(next)) };
        let point = ("step", step.name);
        Ok(match run(&self.step_to(next, context)?, subject).await? {
            StepEnd::Next(tx) if is_last => {
                let done = Ended::by(Ending::Succeeded, Note::Result((self.done)(subject)));
                Moved::Stop(end(context, tx, &[], done, point).await?)
            }
            StepEnd::Next(tx) => {
                let cancelled = commit(tx, point).await?;
                Moved::To(self.went(context, done, cancelled).await?)
            }
            StepEnd::NextIf(tx, last, reason) => {
                crash_points::pass(point.0, point.1, MOMENTS[0]);
                let committed = tx.commit_by(last).await?;
                crash_points::pass(point.0, point.1, MOMENTS[1]);
                Moved::To(match committed {
                    Some(cancelled) => self.went(context, done, cancelled).await?,
                    None => refused(reason).await?,
                })
            }
            StepEnd::Made(tx, jobs) => {
                let waits = Ended::by(Ending::Wait(!jobs.is_empty()), Note::None);
                let waits = Ended { progress: Some(self.waiting_in(done)), ..waits };
                Moved::Stop(end(context, tx, &jobs, waits, point).await?)
            }
            StepEnd::Refuse(reason) => Moved::To(refused(reason).await?),
        })
    }

    /// After a step was committed.
    async fn went(&self, context: &C, done: usize, cancelled: bool) -> Result<Position<R>, JobError> {
        // When every step is done there is nothing left to stop.
        if cancelled && done + 1 < self.steps.len() {
            let undo = Position::Undo { left: done + 1, reason: None };
            return self.turn(context, undo, TURN_CANCELLED).await;
        }
        Ok(Position::Forward { done: done + 1 })
    }

    /// How far the job is while others do what this step is for.
    fn waiting_in(&self, done: usize) -> Progress {
        let next = self.progress(Position::Forward { done: done + 1 });
        self.progress(Position::Forward { done }).until(next.percent)
    }

    /// The names of the places where a program with `crash-points` can be made to die: around each commit.
    pub fn crash_points(&self) -> Vec<String> {
        let steps = self.steps.iter().filter(|step| step.run.is_some()).map(|step| ("step", step.name));
        let undos = self.steps.iter().filter(|step| step.undo.is_some()).map(|step| ("undo", step.name));
        let commits = steps.chain(undos).chain([TURN_REFUSED, TURN_CANCELLED, UNDONE]);
        let points =
            commits.flat_map(|(part, of)| MOMENTS.map(|moment| crash_points::name(part, of, moment)));
        points.collect()
    }

    /// A step after which the job is at `position`.
    fn step_to<'a>(&self, position: Position<R>, context: &'a C) -> Result<StepContext<'a, C>, JobError> {
        Ok(StepContext {
            context,
            checkpoint: serde_json::to_value(position).map_err(JobError::failed)?,
            undoing: !matches!(position, Position::Forward { .. }),
            progress: self.progress(position),
        })
    }

    /// Changes the direction.
    async fn turn(
        &self,
        context: &C,
        position: Position<R>,
        point: (&str, &str),
    ) -> Result<Position<R>, JobError> {
        commit(self.step_to(position, context)?.begin_last().await?, point).await?;
        Ok(position)
    }

    fn progress(&self, position: Position<R>) -> Progress {
        let percent = |part: usize| u8::try_from(part * 100 / self.steps.len().max(1)).unwrap_or(100);
        match position {
            Position::Forward { done } => {
                Progress::at(percent(done), self.steps.get(done).map_or("done", |step| step.name))
            }
            Position::Undo { left, .. } => Progress::at(percent(left), "undoing"),
            Position::Undone { .. } => Progress::at(100, "undone"),
        }
    }
}

/// Commits a step; tells whether a cancel was asked for before it.
async fn commit(tx: StepTx, (part, of): (&str, &str)) -> Result<bool, JobError> {
    crash_points::pass(part, of, MOMENTS[0]);
    let cancel = tx.commit().await?;
    crash_points::pass(part, of, MOMENTS[1]);
    Ok(cancel)
}

/// As [`commit`], of the step that ends the run.
async fn end(
    context: &JobContext,
    tx: StepTx,
    made: &[JobId],
    ended: Ended,
    (part, of): (&str, &str),
) -> Result<Outcome, JobError> {
    crash_points::pass(part, of, MOMENTS[0]);
    let outcome = context.end_with_step(tx, made, ended).await?;
    crash_points::pass(part, of, MOMENTS[1]);
    Ok(outcome)
}

enum Moved<R> {
    To(Position<R>),
    Stop(Outcome),
}
