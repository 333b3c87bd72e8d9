//! What a program is made of that works on jobs.
//!
//! Follow a message: [`consumer`] takes it from its queue → [`runner`] claims the job and settles it → a [`handler`]
//! does it. Beside them: [`running`] is what runs here, [`leases`] renews the process's lease, [`supervisor`] gives away
//! what the dead ran, [`scheduler`] starts what is to happen at set times, [`queues`] hears of pauses, [`sampler`] writes
//! down how the queues fare, [`health`] and [`presence`] tell how it all is. [`saga`] runs tables of steps with undos,
//! [`breaker`] spares what is away, [`ingress`] takes what other programs submit.

pub mod beside;
pub mod breaker;
pub mod consumer;
pub mod context;
pub mod crash_points;
pub mod drain;
pub mod facts;
pub mod handler;
pub mod health;
pub mod ingress;
pub mod kinds;
pub mod leases;
pub mod measured;
pub mod outcome;
pub mod presence;
pub mod queues;
pub mod runner;
pub mod running;
pub mod saga;
pub mod sampler;
pub mod scheduler;
pub mod services;
pub mod stop;
pub mod supervisor;
pub mod tally;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::jobs::claim::Claims;
use ::jobs::settle::Settles;
use database::{Db, DbError};
use futures_util::future::BoxFuture;
use model::{Program, Queue, WorkedQueues};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use services::Services;

use handler::Handler;
use health::Pulse;
use leases::Lease;
use running::Running;
use tally::Tally;

/// The connections of the supervisor and of the look at the own rows, which no handler shares.
const UPKEEP_CONNECTIONS: usize = 2;

/// A worker in which so many handlers work on although their time is over drains and ends itself: each of them
/// costs memory, and perhaps a connection.
pub const MOST_ABANDONED: usize = 8;

/// A worker process: what it works on, with what, and what it does at the moment.
pub struct Worker {
    /// Which program it is a part of.
    pub program: Program,
    /// Says which process this is, and whether its jobs are its own.
    pub lease: Arc<Lease>,
    /// The database over a connection that has nothing to do but to renew the lease.
    pub renewals: Db,
    /// The database over connections that no handler shares.
    pub upkeep: Db,
    /// What it uses of the outside world.
    pub services: Services,
    /// Who does which kind of job.
    pub handlers: &'static [Handler],
    /// What it works on.
    pub queues: WorkedQueues,
    /// Whether it looks at the schedule.
    pub schedule: bool,
    /// Whether it takes what programs submit.
    pub ingress: bool,
    /// How long stopping may take.
    pub shutdown: Duration,
    /// How it takes jobs.
    pub claims: Claims,
    /// How it ends them.
    pub settles: Settles,
    /// What runs now.
    pub running: Arc<Running>,
    /// The queues that it must not take from at the moment.
    pub paused: queues::Paused,
    /// Signs of life of the loops.
    pub pulse: Pulse,
    /// What came of its runs.
    pub tally: Tally,
    /// It stops because too many handlers work on.
    worn_out: AtomicBool,
    /// The queues that it has a consumer of, with the slots.
    consumed: Mutex<BTreeMap<Queue, usize>>,
    /// Set when the program is to stop: take nothing more.
    pub stop: CancellationToken,
    /// Set when the time to stop is over: release what still runs.
    pub release: CancellationToken,
}

/// What a worker is to do, as its settings say.
pub struct Duties {
    /// See [`Worker::program`].
    pub program: Program,
    /// See [`Worker::queues`].
    pub queues: WorkedQueues,
    /// How long the process may be silent before its jobs are given to others.
    pub lease: Duration,
    /// See [`Worker::schedule`].
    pub schedule: bool,
    /// See [`Worker::ingress`].
    pub ingress: bool,
    /// See [`Worker::shutdown`].
    pub shutdown: Duration,
}

/// The worker can't go on: the process should end, and be started again.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A part of it died.
    #[error("the worker's {0} ended by itself")]
    LoopEnded(&'static str),
    /// Too many handlers work on whose time is over.
    #[error("{MOST_ABANDONED} handlers work on although their time is over")]
    WornOut,
}

impl Worker {
    /// A worker that is ready to [`run`]. On the main runtime.
    ///
    /// # Errors
    /// When the database's settings can't make a pool.
    pub fn new(
        services: Services,
        handlers: &'static [Handler],
        duties: Duties,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, DbError> {
        let Duties { program, queues, lease, schedule, ingress, shutdown } = duties;
        let consumed = queues.slots.iter().copied().collect();
        Ok(Arc::new(Self {
            program,
            lease: Arc::new(Lease::new(lease)),
            renewals: services.db.apart(1)?,
            upkeep: services.db.apart(UPKEEP_CONNECTIONS)?,
            claims: Claims::new(services.db.clone()),
            settles: Settles::new(services.db.clone()),
            services,
            handlers,
            queues,
            schedule,
            ingress,
            shutdown,
            running: Arc::default(),
            paused: queues::Paused::default(),
            pulse: Pulse::default(),
            tally: Tally::default(),
            worn_out: AtomicBool::new(false),
            consumed: Mutex::new(consumed),
            stop,
            release: CancellationToken::new(),
        }))
    }

    /// A handler was left alone. With too many of them the worker stops.
    fn count_abandoned(&self) {
        let abandoned = self.running.abandoned();
        tracing::warn!(abandoned, "a handler works on although its time is over");
        if abandoned >= MOST_ABANDONED && !self.stop.is_cancelled() {
            tracing::error!(abandoned, "too many handlers work on: this process drains and ends");
            self.worn_out.store(true, Ordering::Release);
            self.stop.cancel();
        }
    }

    /// Who does a job of that kind, whose arguments are of that version; `None`: a newer program.
    fn handler(&self, kind: &str, version: i32) -> Option<&'static Handler> {
        self.handlers.iter().find(|handler| handler.does(kind, version))
    }

    /// The queues that it works on, those among them that were named while it ran, each with its slots.
    pub fn consumed(&self) -> BTreeMap<Queue, usize> {
        self.consumed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A loop of the application's, such as one that watches a folder. It runs beside the jobs until
/// its token is set.
pub struct Background {
    /// What it is called when it ends by itself, which ends the worker.
    pub name: &'static str,
    /// The loop.
    pub run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

/// Works until the stop token is set, then finishes or releases what runs, within the time to stop.
///
/// # Errors
/// [`WorkerError`]: the process should end, and be started again.
pub async fn run(worker: Arc<Worker>, background: Vec<Background>) -> Result<(), WorkerError> {
    let mut loops = JoinSet::new();
    let housekeeping = CancellationToken::new();
    loops.spawn(named(leases::PART, leases::run(worker.clone(), housekeeping.clone())));
    loops.spawn(named(supervisor::PART, supervisor::run(worker.clone(), housekeeping.clone())));
    if worker.schedule {
        worker.pulse.beat(scheduler::PART);
        loops.spawn(named(scheduler::PART, scheduler::run(worker.clone(), housekeeping.clone())));
    }
    for Background { name, run } in background {
        loops.spawn(named(name, run(housekeeping.clone())));
    }
    // Not one of the loops: its end would be nobody's loss.
    let sampling = tokio::spawn(sampler::run(worker.clone(), housekeeping.clone()));
    let mut consumers = JoinSet::new();
    worker.pulse.beat(leases::PART);
    worker.pulse.beat(supervisor::PART);
    for (queue, slots) in worker.queues.slots.clone() {
        consume(&worker, &mut consumers, queue, slots);
    }
    if let Some(submissions) = ingress::open(&worker) {
        worker.pulse.beat(ingress::PART);
        consumers.spawn(ingress::run(worker.clone(), submissions));
    }
    tracing::info!(worker = %worker.lease.id(), queues = ?worker.queues, "the worker is at work");
    let (found, mut new_queues) = mpsc::channel(1);
    worker.pulse.beat(queues::PART);
    loops.spawn(named(queues::PART, queues::run(worker.clone(), found, housekeeping.clone())));
    loop {
        tokio::select! {
            () = worker.stop.cancelled() => break,
            ended = loops.join_next() => return Err(WorkerError::LoopEnded(name_of(ended))),
            _ = consumers.join_next() => {
                if !worker.stop.is_cancelled() {
                    return Err(WorkerError::LoopEnded("consumer"));
                }
            }
            Some(queue) = new_queues.recv() => {
                tracing::info!(%queue, "a new queue was named: working on it, too");
                consume(&worker, &mut consumers, queue, queue.default_slots(1));
            }
        }
    }
    drop(new_queues);
    stop(&worker, consumers, housekeeping, loops).await;
    let _ = sampling.await;
    if worker.worn_out.load(Ordering::Acquire) { Err(WorkerError::WornOut) } else { Ok(()) }
}

/// Stops, in this order: no claim is sent any more; consumers give back what they hold; claims under way are
/// answered, and released; runs finish, or are released when their time is over; rows that nobody here knows are
/// released; last, the process's row says that it stopped. The lease is renewed until then.
///
/// It has no deadline of its own: the program ends at its deadline whatever hangs here.
async fn stop(
    worker: &Worker,
    mut consumers: JoinSet<()>,
    housekeeping: CancellationToken,
    mut loops: JoinSet<&'static str>,
) {
    worker.running.close();
    let patience = worker.shutdown.saturating_sub(RELEASE_RESERVE);
    tokio::select! {
        () = join_all(&mut consumers) => {}
        () = tokio::time::sleep(patience) => {
            worker.release.cancel();
            join_all(&mut consumers).await;
        }
    }
    worker.running.until_answered().await;
    if let Err(error) = leases::release_rest(worker).await {
        tracing::warn!(%error, "jobs may be left to the lapse of the lease");
    }
    housekeeping.cancel();
    join_all(&mut loops).await;
    if let Err(error) = leases::say_stopped(worker).await {
        tracing::warn!(%error, "the process's row does not say that it stopped");
    }
}

/// Kept back from the time to stop, for what follows the release of what still runs.
const RELEASE_RESERVE: Duration = Duration::from_secs(4);

fn consume(worker: &Arc<Worker>, consumers: &mut JoinSet<()>, queue: Queue, slots: usize) {
    // A consumer that never comes to register must be missed as well.
    worker.pulse.beat(queue.name());
    worker.consumed.lock().unwrap_or_else(PoisonError::into_inner).insert(queue, slots);
    consumers.spawn(consumer::run(worker.clone(), queue, slots));
}

async fn named(name: &'static str, work: impl Future<Output = ()>) -> &'static str {
    work.await;
    name
}

fn name_of(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> &'static str {
    match ended {
        Some(Ok(name)) => name,
        _ => "housekeeping",
    }
}

async fn join_all<T: 'static>(tasks: &mut JoinSet<T>) {
    while tasks.join_next().await.is_some() {}
}
