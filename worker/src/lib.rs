//! The worker: does the heavy work of the shop, as many copies as needed.
//!
//! [`start`] makes one from settings. Follow a message: [`consumer`] takes it from its queue → [`runner`] claims the job and settles it →
//! `jobs/` has one handler a file. Beside them: [`leases`] renews the leases of what runs,
//! [`supervisor`] ends those of the dead, [`scheduler`] starts what is to happen at set times, [`queues`] hears of
//! pauses, [`sampler`] writes down how the queues fare, [`health`] and [`presence`] tell how it all is. [`imaging`]
//! is pure.

pub mod breaker;
pub mod consumer;
pub mod context;
pub mod crash_points;
pub mod drain;
pub mod health;
pub mod imaging;
pub mod incoming;
pub mod ingress;
pub mod jobs;
pub mod leases;
pub mod mail;
pub mod outcome;
pub mod presence;
pub mod queues;
pub mod runner;
pub mod saga;
pub mod sampler;
pub mod scheduler;
pub mod services;
pub mod start;
pub mod supervisor;
pub mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::config::{Incoming, WorkedQueues};
use shared::domain::WorkerId;
use shared::jobs::Queue;
use tokio::sync::{RwLock, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use services::Services;

use health::Pulse;
use jobs::Handler;
use leases::Running;
use tally::Tally;

/// A worker process: what it works on, with what, and what it does at the moment.
pub struct Worker {
    /// New at each start, so that a restarted process owns none of its old leases.
    pub id: WorkerId,
    /// Everything that handlers use.
    pub services: Services,
    /// Who does which kind of job.
    pub handlers: &'static [Handler],
    /// What it works on.
    pub queues: WorkedQueues,
    /// How long a silent worker keeps its jobs.
    pub lease: Duration,
    /// Whether it looks at the schedule.
    pub schedule: bool,
    /// Whose the files of the watched folder become, if it watches that.
    pub incoming: Option<Incoming>,
    /// Whether it takes what programs submit.
    pub ingress: bool,
    /// How long stopping may take.
    pub shutdown: Duration,
    /// What runs now.
    pub running: Running,
    /// Ordinary jobs share it; one that once killed its worker holds it alone.
    pub alone: Arc<RwLock<()>>,
    /// The queues that it must not take from at the moment.
    pub paused: queues::Paused,
    /// Signs of life of the loops.
    pub pulse: Pulse,
    /// What came of its runs.
    pub tally: Tally,
    /// The queues that it has a consumer of, with the slots.
    consumed: Mutex<BTreeMap<Queue, usize>>,
    /// Set when the program is to stop: take nothing more.
    pub stop: CancellationToken,
    /// Set when the time to stop is over: release what still runs.
    pub release: CancellationToken,
}

/// What a worker is to do, as its settings say.
pub struct Duties {
    /// See [`Worker::queues`].
    pub queues: WorkedQueues,
    /// See [`Worker::lease`].
    pub lease: Duration,
    /// See [`Worker::schedule`].
    pub schedule: bool,
    /// See [`Worker::incoming`].
    pub incoming: Option<Incoming>,
    /// See [`Worker::ingress`].
    pub ingress: bool,
    /// See [`Worker::shutdown`].
    pub shutdown: Duration,
}

/// The worker can't go on.
#[derive(Debug, thiserror::Error)]
#[error("the worker's {0} ended by itself")]
pub struct LoopEnded(&'static str);

impl Worker {
    /// A worker that is ready to [`run`].
    pub fn new(
        services: Services,
        handlers: &'static [Handler],
        duties: Duties,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let Duties { queues, lease, schedule, incoming, ingress, shutdown } = duties;
        let consumed = queues.slots.iter().copied().collect();
        Arc::new(Self {
            id: WorkerId::new(),
            services,
            handlers,
            queues,
            lease,
            schedule,
            incoming,
            ingress,
            shutdown,
            running: Running::default(),
            alone: Arc::default(),
            paused: queues::Paused::default(),
            pulse: Pulse::default(),
            tally: Tally::default(),
            consumed: Mutex::new(consumed),
            stop,
            release: CancellationToken::new(),
        })
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

/// Works until the stop token is set, then finishes or releases what runs, within the time to stop.
///
/// # Errors
/// [`LoopEnded`] when a part of the worker died: the process should end, and be started again.
pub async fn run(worker: Arc<Worker>) -> Result<(), LoopEnded> {
    let mut loops = JoinSet::new();
    let housekeeping = CancellationToken::new();
    loops.spawn(named("lease renewal", leases::run(worker.clone(), housekeeping.clone())));
    loops.spawn(named("supervisor", supervisor::run(worker.clone(), housekeeping.clone())));
    if worker.schedule {
        worker.pulse.beat(scheduler::PART);
        loops.spawn(named("scheduler", scheduler::run(worker.clone(), housekeeping.clone())));
    }
    if let Some(incoming) = worker.incoming.clone() {
        let watch = incoming::run(worker.clone(), incoming, housekeeping.clone());
        loops.spawn(named("watch of incoming files", watch));
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
    tracing::info!(worker = %worker.id, queues = ?worker.queues, "the worker is at work");
    let (found, mut new_queues) = mpsc::channel(1);
    worker.pulse.beat(queues::PART);
    loops.spawn(named(queues::PART, queues::run(worker.clone(), found, housekeeping.clone())));
    loop {
        tokio::select! {
            () = worker.stop.cancelled() => break,
            ended = loops.join_next() => return Err(LoopEnded(name_of(ended))),
            _ = consumers.join_next() => {
                if !worker.stop.is_cancelled() {
                    return Err(LoopEnded("consumer"));
                }
            }
            Some(queue) = new_queues.recv() => {
                tracing::info!(%queue, "a new queue was named: working on it, too");
                consume(&worker, &mut consumers, queue, queue.default_slots(1));
            }
        }
    }
    let patience = tokio::time::sleep(worker.shutdown.saturating_sub(Duration::from_secs(4)));
    tokio::select! {
        () = join_all(&mut consumers) => {}
        () = patience => {
            worker.release.cancel();
            join_all(&mut consumers).await;
        }
    }
    housekeeping.cancel();
    join_all(&mut loops).await;
    let _ = sampling.await;
    Ok(())
}

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
