//! A database of its own for each test, and the verbs that the tests are written in.

use crate::jobs::queues::IMAGES;
use std::time::Duration;

use chrono::Utc;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use url::Url;

use crate::domain::{CustomerId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::claim::{Claimed, claim};
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::lease::{end_orphan, orphans};
use ::jobs::processes;
use ::jobs::processes::Identity;
use ::jobs::schema::jobs;
use ::jobs::settle::{Ended, Note, settle, settle_waiting};
use ::jobs::share::promote;
use ::jobs::sweep::{Swept, sweep};
use ::jobs::{Claim, FencedError, Job, status};
use database::expressions::for_update;
use database::{Conn, DatabaseSettings, DatabaseUrl, Db, DbError, Limits, SignalReceivers, Tx, with};
use model::Lane;
use model::Program;
use model::job::{Ending, JobState};
use model::{JobId, Timestamp, WorkerId};

/// Far longer than anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The lease that the tests' workers take.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// A migrated, empty database and a worker.
pub(super) struct Bench {
    pub(super) db: Db,
    pub(super) signals: SignalReceivers,
    pub(super) worker: WorkerId,
    url: DatabaseUrl,
    place: Place,
}

enum Place {
    File(#[expect(dead_code, reason = "held for its drop")] TempDir),
    Server { admin: Db, name: String },
}

impl Bench {
    pub(super) async fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(dir.path().join("test.db"));
        Self::open(url, Place::File(dir)).await
    }

    pub(super) async fn postgres() -> Self {
        let server = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL: see scripts/test");
        let mut url = Url::parse(&server).unwrap();
        let name = format!("contract_{}", uuid::Uuid::now_v7().simple());
        let (admin, _) = Db::open(&settings(DatabaseUrl::Postgres(server))).unwrap();
        execute(&admin, &format!("CREATE DATABASE {name}")).await;
        url.set_path(&name);
        Self::open(DatabaseUrl::Postgres(url.into()), Place::Server { admin, name }).await
    }

    /// A server whose errors are told in German.
    pub(super) async fn postgres_in_german() -> Self {
        let mut bench = Self::postgres().await;
        let Place::Server { admin, name } = &bench.place else { unreachable!() };
        execute(admin, &format!("ALTER DATABASE {name} SET lc_messages = 'de_DE.UTF-8'")).await;
        bench.db = bench.another_process(|_| {});
        let error = bench.try_sql("SELECT no_such_column").await.unwrap_err().to_string();
        assert!(error.contains("existiert nicht"), "the server has no German messages: {error}");
        bench
    }

    async fn open(url: DatabaseUrl, place: Place) -> Self {
        crate::jobs::register();
        let (db, signals) = Db::open(&settings(url.clone())).unwrap();
        db.migrate().await.unwrap();
        let worker = begin_process(&db).await;
        Self { db, signals, worker, url, place }
    }

    /// The worker's process is gone; another one begins. What it ran is nobody's.
    pub(super) async fn process_dies(&mut self) {
        let died = std::mem::replace(&mut self.worker, begin_process(&self.db).await);
        self.sql(&format!("UPDATE processes SET lost_at = started_at WHERE id = '{died}'")).await;
    }

    pub(super) async fn drop_database(self) {
        if let Place::Server { admin, name } = self.place {
            execute(&admin, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    /// The same database as another process sees it.
    pub(super) fn another_process(&self, change: impl FnOnce(&mut DatabaseSettings)) -> Db {
        let mut settings = settings(self.url.clone());
        change(&mut settings);
        Db::open(&settings).unwrap().0
    }

    /// As [`Bench::another_process`], with what its commits tell its relay.
    pub(super) fn another_process_with_a_relay(&self) -> (Db, SignalReceivers) {
        Db::open(&settings(self.url.clone())).unwrap()
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.place, Place::Server { .. })
    }

    pub(super) async fn sql(&self, sql: &str) {
        execute(&self.db, sql).await;
    }

    /// As [`Bench::sql`], of what may be refused.
    pub(super) async fn try_sql(&self, sql: &str) -> Result<(), diesel::result::Error> {
        try_execute(&self.db, sql).await
    }

    /// A number that PostgreSQL knows.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            n: i64,
        }
        let mut conn = self.db.conn().await.unwrap();
        let query = diesel::sql_query(format!("SELECT CAST(({sql}) AS BIGINT) AS n"));
        let row: Row = with!(&mut conn, |c| query.get_result(c).await).unwrap();
        row.n
    }

    // ---- time ----

    /// Moves every time in the database so far into the past.
    pub(super) async fn time_passes(&self, seconds: i64) {
        const TIMES: [(&str, &[&str]); 6] = [
            (
                "jobs",
                &["run_at", "unavailable_since", "waiting_since", "dead_at", "created_at", "updated_at"],
            ),
            ("idempotency_keys", &["created_at"]),
            ("mails", &["at"]),
            ("customers", &["created_at"]),
            ("dead_messages", &["at"]),
            ("expired_jobs", &["expired_at"]),
        ];
        let offset = if self.is_postgres() {
            format!("interval '{seconds} seconds'")
        } else {
            format!("{seconds}000000")
        };
        for (table, columns) in TIMES {
            let changes: Vec<String> =
                columns.iter().map(|column| format!("{column} = {column} - {offset}")).collect();
            self.sql(&format!("UPDATE {table} SET {}", changes.join(", "))).await;
        }
        // What a pause has put far away is as far away as before.
        let far = self.in_seconds(10 * 365 * 24 * 3600);
        self.sql(&format!("UPDATE jobs SET due_at = due_at - {offset} WHERE due_at < {far}")).await;
    }

    /// A time so many seconds from now, in the database's own words.
    pub(super) fn in_seconds(&self, seconds: i64) -> String {
        match self.is_postgres() {
            true => format!("(now() + interval '{seconds} seconds')"),
            false => format!("(CAST(unixepoch('subsec') * 1000000 AS INTEGER) + {seconds} * 1000000)"),
        }
    }

    /// In how many seconds the job is due, rounded.
    pub(super) async fn due_in(&self, id: JobId) -> i64 {
        seconds_until(self.job(id).await.run_at)
    }

    /// In how many seconds somebody looks at the job again, rounded: to publish its message, the first time
    /// or again, or to see that it runs. `None`: it waits, is over, is parked, or stands behind another in its
    /// line.
    pub(super) async fn looked_at_again_in(&self, id: JobId) -> Option<i64> {
        let mut conn = self.db.conn().await.unwrap();
        let at: Option<Timestamp> =
            with!(&mut conn, |c| jobs::table.find(id).select(jobs::due_at).first(c).await).unwrap();
        at.map(seconds_until)
    }

    // ---- a job's life ----

    /// A job that is due.
    pub(super) async fn enqueue(&self) -> Job {
        self.enqueue_with(Options::default()).await
    }

    pub(super) async fn enqueue_with(&self, options: Options) -> Job {
        Self::enqueue_by(&self.db, options).await
    }

    /// As another process does it.
    pub(super) async fn enqueue_in(&self, db: &Db) -> Job {
        Self::enqueue_by(db, Options::default()).await
    }

    async fn enqueue_by(db: &Db, options: Options) -> Job {
        let mut tx = db.begin().await.unwrap();
        let job = enqueue(&mut tx, &MakeThumbnails { photo_id: PhotoId::new() }, options).await.unwrap();
        tx.commit().await.unwrap();
        job
    }

    pub(super) async fn try_claim(&self, id: JobId) -> Claimed {
        claim(&self.db, id, self.worker).await.unwrap()
    }

    pub(super) async fn claim(&self, id: JobId) -> Job {
        match self.try_claim(id).await {
            Claimed::Yes(job) => *job,
            other => panic!("{other:?}"),
        }
    }

    /// A job that runs.
    pub(super) async fn running(&self) -> Job {
        let job = self.enqueue().await;
        self.claim(job.id).await
    }

    /// Time passes until the job is due, the relay moves it and the worker takes it.
    pub(super) async fn run_again(&self, id: JobId) -> Job {
        self.put(id, JobState::Queued).await;
        self.claim(id).await
    }

    pub(super) async fn settle(&self, job: &Job, ending: Ending) -> JobState {
        settle(&self.db, own(job), Ended::by(ending, Note::None)).await.unwrap()
    }

    pub(super) async fn wait_for(&self, job: &Job, on: &[JobId]) -> JobState {
        settle_waiting(&self.db, own(job), on, waits()).await.unwrap()
    }

    /// A job that waits for these.
    pub(super) async fn waiting_for(&self, on: &[JobId]) -> Job {
        let job = self.running().await;
        assert_eq!(self.wait_for(&job, on).await, JobState::Waiting);
        job
    }

    pub(super) async fn job(&self, id: JobId) -> Job {
        status::find(&mut self.db.conn().await.unwrap(), id).await.unwrap().expect("no such job")
    }

    pub(super) async fn state(&self, id: JobId) -> JobState {
        self.job(id).await.state
    }

    /// Changes a job's row behind everybody's back.
    pub(super) async fn set(&self, id: JobId, changes: &str) {
        self.sql(&format!("UPDATE jobs SET {changes} WHERE id = '{id}'")).await;
    }

    /// Puts a job into a state behind everybody's back.
    pub(super) async fn put(&self, id: JobId, state: JobState) {
        self.set(id, &self.row(state)).await;
    }

    /// What a row in this state says, as the program would have left it there: the changes of an UPDATE.
    pub(super) fn row(&self, state: JobState) -> String {
        let (now, in_a_minute) = (self.in_seconds(0), self.in_seconds(60));
        let (due_at, waiting_since) = match state {
            JobState::Pending => ("run_at", "NULL"),
            JobState::Queued | JobState::Running => (in_a_minute.as_str(), "NULL"),
            JobState::Waiting => ("NULL", now.as_str()),
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => ("NULL", "NULL"),
        };
        let keys = match state.is_final() {
            true => "unique_open = NULL, ordering_open = NULL",
            false => "unique_open = unique_key, ordering_open = ordering_key",
        };
        let failure = if state == JobState::Failed { "'discarded'" } else { "NULL" };
        format!(
            "state = '{}', failure = {failure}, dead_reason = NULL, dead_at = NULL, parked = NULL, \
             due_at = {due_at}, waiting_since = {waiting_since}, {keys}",
            state.name()
        )
    }

    // ---- an owner's share, and lines ----

    /// As the relay does when there is room: makes parked jobs of this owner due. Returns how many.
    pub(super) async fn promote(&self, owner: CustomerId) -> usize {
        promote(&self.db, &[(owner, Lane::ordinary(IMAGES))]).await.unwrap()
    }

    /// As the relay does now and then, for all owners, lines and queues.
    pub(super) async fn sweep(&self) -> Swept {
        sweep(&self.db).await.unwrap()
    }

    // ---- steps of a race ----

    /// Locks rows that others will want. Whoever came first gets them first when it is committed.
    pub(super) async fn hold(&self, ids: &[JobId]) -> Tx {
        let mut tx = self.db.begin().await.unwrap();
        let rows = jobs::table.filter(jobs::id.eq_any(ids)).select(jobs::id);
        let held: Vec<JobId> = with!(tx.conn(), |c| for_update(rows).load(c).await).unwrap();
        assert_eq!(held.len(), ids.len());
        tx
    }

    pub(super) fn settle_later(&self, job: &Job, ending: Ending) -> JoinHandle<Settled> {
        let (db, claim) = (self.db.clone(), own(job));
        tokio::spawn(async move { settle(&db, claim, Ended::by(ending, Note::None)).await })
    }

    pub(super) fn wait_later(&self, job: &Job, on: &[JobId]) -> JoinHandle<Settled> {
        let (db, claim, on) = (self.db.clone(), own(job), on.to_vec());
        tokio::spawn(async move { settle_waiting(&db, claim, &on, waits()).await })
    }

    /// Until so many connections wait for a lock.
    pub(super) async fn until_blocked(&self, count: i64) {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let blocked = async { while self.number(sql).await != count {} };
        tokio::time::timeout(PATIENCE, blocked).await.expect("nobody waits for a lock");
    }
}

/// What a settled run answers.
pub(super) type Settled = Result<JobState, FencedError>;

/// The result of a step of a race.
pub(super) async fn done<T>(task: JoinHandle<T>) -> T {
    tokio::time::timeout(PATIENCE, task).await.expect("it waits for ever").unwrap()
}

pub(super) fn own(job: &Job) -> Claim {
    Claim { job: job.id, fence: job.fence }
}

/// The end of a run that sleeps until others are over.
pub(super) fn waits() -> Ended {
    Ended::by(Ending::Wait(true), Note::None)
}

/// A worker's process that holds its lease.
pub(super) async fn begin_process(db: &Db) -> WorkerId {
    let worker = WorkerId::new();
    let itself = Identity::of_this_process(Program::Worker, worker.into());
    processes::take_lease(&mut db.conn().await.unwrap(), &itself, LEASE).await.unwrap();
    worker
}

fn settings(url: DatabaseUrl) -> DatabaseSettings {
    DatabaseSettings {
        url,
        max_connections: 8,
        // The steps of a race may take their time on a busy machine.
        limits: Limits { lock: PATIENCE, ..Limits::default() },
        migrations: crate::db::migrations::MIGRATIONS,
    }
}

async fn execute(db: &Db, sql: &str) {
    try_execute(db, sql).await.unwrap();
}

async fn try_execute(db: &Db, sql: &str) -> Result<(), diesel::result::Error> {
    match db.conn().await.unwrap() {
        Conn::Postgres(mut pg) => pg.conn.batch_execute(sql).await,
        Conn::Sqlite(mut sqlite) => sqlite.batch_execute(sql).await,
    }
}

fn seconds_until(at: Timestamp) -> i64 {
    let millis = (at.0 - Utc::now()).num_milliseconds();
    (millis as f64 / 1000.0).round() as i64
}

/// As a supervisor does at a look: puts back what runs under no living process, and says what became of it.
pub(super) async fn end_lapsed(db: &Db, limit: i64) -> Result<Vec<(Job, JobState)>, DbError> {
    let found = orphans(&mut db.conn().await?, limit).await?;
    let mut ended = Vec::new();
    for orphan in found {
        // One that can't be written does not keep the others from being.
        ended.extend(end_orphan(db, orphan).await.ok().flatten());
    }
    Ok(ended)
}
