-- What the engine keeps: jobs and what belongs to them, processes, queues, operators. It names nothing of the
-- application's.

-- Job store, outbox and status resource in one row.
CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY,
    kind                TEXT NOT NULL,
    queue               TEXT NOT NULL,
    express             INTEGER NOT NULL DEFAULT 0,
    args                BLOB NOT NULL,
    -- Which version of their kind's arguments the args are: another version of the program may read them.
    args_version        INTEGER NOT NULL DEFAULT 1,
    state               TEXT NOT NULL,
    failure             TEXT,
    fence               INTEGER NOT NULL DEFAULT 0,
    attempt             INTEGER NOT NULL DEFAULT 0,
    max_attempts        INTEGER NOT NULL,
    lapses              INTEGER NOT NULL DEFAULT 0,
    woken               INTEGER NOT NULL DEFAULT 0,
    published           INTEGER NOT NULL DEFAULT 0,
    run_at              INTEGER NOT NULL,
    -- Pending: when it may go to the broker. Queued, running: when somebody looks at it again. Null: it waits, is over,
    -- is parked, or stands in a line behind another.
    due_at              INTEGER,
    -- The lane that it would go by, if its owner had not so many in it already.
    parked              TEXT,
    waiting_since       INTEGER,
    unavailable_since   INTEGER,
    started_at          INTEGER,
    worker              TEXT,
    undoing             INTEGER NOT NULL DEFAULT 0,
    checkpoint          BLOB,
    progress            BLOB,
    result              BLOB,
    errors              BLOB NOT NULL,
    -- When it failed for good, and what made it fail, in a form in which jobs that failed alike agree.
    dead_at             INTEGER,
    dead_reason         TEXT,
    cancel_requested_at INTEGER,
    owner               TEXT,
    parent              TEXT,
    traceparent         TEXT,
    -- The line that it stands in, its place there, and its unique key; and the same as long as it holds them.
    ordering_key        TEXT,
    ordering_seq        INTEGER,
    ordering_open       TEXT,
    unique_key          TEXT,
    unique_open         TEXT,
    -- Somebody waits for it, or did. Never taken back.
    awaited             INTEGER NOT NULL DEFAULT 0,
    -- Somebody may be told how it goes on: the others cost nothing more.
    has_callback        INTEGER NOT NULL DEFAULT 0,
    version             INTEGER NOT NULL DEFAULT 1,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    -- Two conditions, on what must never be forgotten. Each costs as much as a column of an index, at every update; the
    -- names of the states are held by their type.
    CHECK ((due_at IS NOT NULL) + (parked IS NOT NULL) <= (state IN ('pending', 'queued', 'running'))),
    CHECK (state NOT IN ('queued', 'running') OR due_at IS NOT NULL)
) STRICT;

-- No index names `state`: each that does makes every change of state an entry in all indexes of the row. An index
-- names a column that is null for every job that it doesn't concern. A job's life then costs the indexes of what it
-- uses, and most of its updates stay in their page (HOT).

-- What is due, what goes by the lane that is served first before all else.
CREATE INDEX jobs_due ON jobs ((CASE WHEN express OR woken THEN 0 ELSE 1 END), due_at) WHERE due_at IS NOT NULL;
-- How many an owner has with the broker and at workers, parked, waiting. Worded
-- as for PostgreSQL, which needs it.
CREATE INDEX jobs_due_of_owner ON jobs (
    (CASE WHEN due_at IS NOT NULL THEN owner END), queue, (CASE WHEN owner IS NOT NULL THEN due_at END)
) WHERE (CASE WHEN due_at IS NOT NULL THEN owner END) IS NOT NULL;
CREATE INDEX jobs_parked ON jobs ((CASE WHEN parked IS NOT NULL THEN owner END), parked, woken DESC, id)
    WHERE parked IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs ((CASE WHEN waiting_since IS NOT NULL THEN owner END)) WHERE waiting_since IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_open) WHERE unique_open IS NOT NULL;
-- Whose turn it is, and never two at a time.
CREATE INDEX jobs_in_line ON jobs (ordering_open, ordering_seq) WHERE ordering_open IS NOT NULL;
CREATE UNIQUE INDEX jobs_head_of_line ON jobs (ordering_open) WHERE ordering_open IS NOT NULL AND due_at IS NOT NULL;

-- Lists, the newest first, and what operators look for.
CREATE INDEX jobs_of_owner ON jobs (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX jobs_of_parent ON jobs (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX jobs_of_queue_and_kind ON jobs ((queue || '/' || kind), id);
CREATE INDEX jobs_of_trace ON jobs (substr(traceparent, 4, 32), id) WHERE traceparent IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE failure IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE dead_at IS NOT NULL;
CREATE INDEX jobs_held_in_order ON jobs (ordering_key) WHERE dead_at IS NOT NULL AND ordering_key IS NOT NULL;
CREATE INDEX jobs_cancelled ON jobs (id) WHERE cancel_requested_at IS NOT NULL;

-- Who waits for whom: fan-in, and work that others began, alike.
CREATE TABLE job_waits (
    waiter TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    on_job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (waiter, on_job)
) STRICT;
CREATE INDEX job_waits_on_job ON job_waits (on_job);

-- The last place taken in each line.
CREATE TABLE ordering_keys (
    key      TEXT PRIMARY KEY,
    last_seq INTEGER NOT NULL
) STRICT;

-- Queues that exist. The programs add those that they were built with, and whoever names a new one adds that.
CREATE TABLE queues (
    name      TEXT PRIMARY KEY,
    -- Set while the queue is paused: nothing of it is handed to the broker, and no worker takes from it.
    paused_at INTEGER
) STRICT;

-- Whoever enqueues a job may name an address that is told how it goes on.
CREATE TABLE job_callbacks (
    job_id       TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    url          TEXT NOT NULL,
    every_change INTEGER NOT NULL,
    -- The status that was told last, or that the job was born with: the same is not told twice.
    last_status  TEXT NOT NULL,
    -- When the receiver asked not to be called any more.
    stopped_at   INTEGER
) STRICT;

-- Each call that was made. `fence` is the delivery job's: one row a run.
CREATE TABLE webhook_deliveries (
    delivery_id TEXT NOT NULL,
    fence       INTEGER NOT NULL,
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    told        TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    status      INTEGER,
    error       TEXT,
    duration_ms INTEGER NOT NULL,
    PRIMARY KEY (delivery_id, fence),
    CHECK ((status IS NULL) <> (error IS NULL))
) STRICT;
CREATE INDEX webhook_deliveries_of_job ON webhook_deliveries (job_id, at);

-- Who is told when a job is over: reply queues of programs that submitted it by AMQP.
CREATE TABLE job_replies (
    job_id         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    reply_to       TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    PRIMARY KEY (job_id, reply_to, correlation_id)
) STRICT;

-- Jobs that programs elsewhere started: by which machine token, and under which key of theirs. The row comes before
-- its job, because it decides whether there is to be one.
CREATE TABLE triggered_jobs (
    job_id       TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    source       TEXT NOT NULL,
    key          TEXT,
    request_hash TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (source, key)
) STRICT;

-- Jobs that were over long ago are removed; a short row stays, so that their addresses can say so.
CREATE TABLE expired_jobs (
    id          TEXT PRIMARY KEY,
    owner       TEXT,
    kind        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('succeeded', 'failed', 'cancelled')),
    -- The machine that started it, if one did.
    source      TEXT,
    finished_at INTEGER NOT NULL,
    expired_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX expired_jobs_age ON expired_jobs (expired_at);
CREATE INDEX expired_jobs_of_owner ON expired_jobs (owner) WHERE owner IS NOT NULL;

-- Messages that are no envelope of ours, kept for a person to look at.
CREATE TABLE dead_messages (
    id    TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    body  BLOB NOT NULL,
    error TEXT NOT NULL,
    at    INTEGER NOT NULL
) STRICT;

-- What happens at set times: when it will next, and when it did last.
CREATE TABLE schedules (
    name     TEXT PRIMARY KEY,
    cron     TEXT NOT NULL,
    next_at  INTEGER NOT NULL,
    last_at  INTEGER,
    last_job TEXT,
    missed   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Every process that wrote a heartbeat lately.
CREATE TABLE processes (
    -- A worker's is the one in jobs.worker.
    id         TEXT PRIMARY KEY,
    program    TEXT NOT NULL,
    host       TEXT NOT NULL,
    pid        INTEGER NOT NULL,
    version    TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    -- What it runs, its circuit breakers, whether it stops.
    facts      BLOB NOT NULL,
    -- A worker's lease: how long it may be silent before its jobs are given to others. Others have none.
    lease_ms   INTEGER,
    -- Counts up with each renewal. A supervisor that sees it stand still declares the process lost.
    renewals   INTEGER NOT NULL DEFAULT 0,
    lost_at    INTEGER,
    -- It ended by itself, with nothing left to run.
    stopped_at INTEGER
) STRICT;

-- A queue in a minute. What ended in it is added up by every worker; the depths are written by whoever looks first.
CREATE TABLE queue_samples (
    queue           TEXT NOT NULL,
    at              INTEGER NOT NULL,
    -- Due: waiting for a worker.
    due             INTEGER,
    -- For later: delayed, in backoff.
    scheduled       INTEGER,
    running         INTEGER,
    waiting         INTEGER,
    -- Messages that are ready in the broker; null when it could not be asked.
    broker          INTEGER,
    oldest_seconds  INTEGER,
    taken           INTEGER NOT NULL DEFAULT 0,
    succeeded       INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    -- Attempts that failed and will be made again.
    retried         INTEGER NOT NULL DEFAULT 0,
    -- Sums over those taken and those that ended, and the longest of each.
    wait_ms         INTEGER NOT NULL DEFAULT 0,
    longest_wait_ms INTEGER NOT NULL DEFAULT 0,
    run_ms          INTEGER NOT NULL DEFAULT 0,
    longest_run_ms  INTEGER NOT NULL DEFAULT 0,
    -- Runs that ended, in whatever way: those whose time is added up. One that ends with a snooze, or sleeps until
    -- other jobs are over, is neither a success nor a failure, and may have been the long part of its job.
    runs            INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, at)
) STRICT;
CREATE INDEX queue_samples_age ON queue_samples (at);

-- Who may operate.
CREATE TABLE operators (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    -- PHC string, argon2id.
    password_hash TEXT NOT NULL,
    read_only     INTEGER NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE operator_sessions (
    token_hash  TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX operator_sessions_of_operator ON operator_sessions (operator_id);

CREATE TABLE operator_tokens (
    id          TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    token_hash  TEXT NOT NULL UNIQUE,
    created_at  INTEGER NOT NULL,
    used_at     INTEGER
) STRICT;
CREATE INDEX operator_tokens_of_operator ON operator_tokens (operator_id);

-- One row for each thing that an operator did. It outlives the operator.
CREATE TABLE audit (
    -- UUIDv7: in the order of time.
    id       TEXT PRIMARY KEY,
    at       INTEGER NOT NULL,
    operator TEXT NOT NULL,
    via      TEXT NOT NULL CHECK (via IN ('page', 'api', 'command')),
    action   TEXT NOT NULL,
    -- What it was done to: a job, a selection, a filter, a queue, …
    subject  BLOB NOT NULL,
    -- How many it changed, and how many it could not; null while it is under way, or was broken off.
    done     INTEGER,
    refused  INTEGER
) STRICT;
