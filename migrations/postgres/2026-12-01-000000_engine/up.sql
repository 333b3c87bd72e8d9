-- What the engine keeps: jobs and what belongs to them, processes, queues, operators. It names nothing of the
-- application's.

-- Job store, outbox and status resource in one row.
CREATE TABLE jobs (
    id                  uuid PRIMARY KEY,
    kind                text NOT NULL,
    queue               text NOT NULL,
    express             boolean NOT NULL DEFAULT false,
    args                jsonb NOT NULL,
    -- Which version of their kind's arguments the args are: another version of the program may read them.
    args_version        integer NOT NULL DEFAULT 1,
    state               text NOT NULL,
    failure             text,
    fence               bigint NOT NULL DEFAULT 0,
    attempt             integer NOT NULL DEFAULT 0,
    max_attempts        integer NOT NULL,
    lapses              integer NOT NULL DEFAULT 0,
    woken               boolean NOT NULL DEFAULT false,
    published           integer NOT NULL DEFAULT 0,
    run_at              timestamptz NOT NULL,
    -- Pending: when it may go to the broker. Queued, running: when somebody looks at it again. Null: it waits, is over,
    -- is parked, or stands in a line behind another.
    due_at              timestamptz,
    -- The lane that it would go by, if its owner had not so many in it already.
    parked              text,
    waiting_since       timestamptz,
    unavailable_since   timestamptz,
    started_at          timestamptz,
    worker              uuid,
    undoing             boolean NOT NULL DEFAULT false,
    checkpoint          jsonb,
    progress            jsonb,
    result              jsonb,
    errors              jsonb NOT NULL,
    -- When it failed for good, and what made it fail, in a form in which jobs that failed alike agree.
    dead_at             timestamptz,
    dead_reason         text,
    cancel_requested_at timestamptz,
    owner               uuid,
    parent              uuid,
    traceparent         text,
    -- The line that it stands in, its place there, and its unique key; and the same as long as it holds them.
    ordering_key        text,
    ordering_seq        bigint,
    ordering_open       text,
    unique_key          text,
    unique_open         text,
    -- Somebody waits for it, or did. Never taken back.
    awaited             boolean NOT NULL DEFAULT false,
    -- Somebody may be told how it goes on: the others cost nothing more.
    has_callback        boolean NOT NULL DEFAULT false,
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    -- Two conditions, on what must never be forgotten. Each costs as much as a column of an index, at every update; the
    -- names of the states are held by their type.
    CHECK (num_nonnulls(due_at, parked) <= CAST(state IN ('pending', 'queued', 'running') AS integer)),
    CHECK (state NOT IN ('queued', 'running') OR due_at IS NOT NULL)
) WITH (fillfactor = 50); -- Room in each page for the next states of its rows.

-- No index names `state`: each that does makes every change of state an entry in all indexes of the row. An index
-- names a column that is null for every job that it doesn't concern. A job's life then costs the indexes of what it
-- uses, and most of its updates stay in their page (HOT).

-- What is due, what goes by the lane that is served first before all else.
CREATE INDEX jobs_due ON jobs ((CASE WHEN express OR woken THEN 0 ELSE 1 END), due_at) WHERE due_at IS NOT NULL;
-- How many an owner has with the broker and at workers, parked, waiting. Owner and time stand in words that
-- only the statement has which means this index: while the table is empty any other of owners or of times would do as
-- well, and PostgreSQL would keep to it.
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
-- Of both in one, and only for who says so, for the same reason as above.
CREATE INDEX jobs_of_queue_and_kind ON jobs ((queue || '/' || kind), id) WHERE (queue || '/' || kind) IS NOT NULL;
CREATE INDEX jobs_of_trace ON jobs (substr(traceparent, 4, 32), id) WHERE traceparent IS NOT NULL;
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE failure IS NOT NULL;
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE dead_at IS NOT NULL;
CREATE INDEX jobs_held_in_order ON jobs (ordering_key) WHERE dead_at IS NOT NULL AND ordering_key IS NOT NULL;
CREATE INDEX jobs_cancelled ON jobs (id) WHERE cancel_requested_at IS NOT NULL;

-- Who waits for whom: fan-in, and work that others began, alike.
CREATE TABLE job_waits (
    waiter uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    on_job uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    PRIMARY KEY (waiter, on_job)
);
CREATE INDEX job_waits_on_job ON job_waits (on_job);

-- The last place taken in each line.
CREATE TABLE ordering_keys (
    key      text PRIMARY KEY,
    last_seq bigint NOT NULL
);

-- Queues that exist. The programs add those that they were built with, and whoever names a new one adds that.
CREATE TABLE queues (
    name      text PRIMARY KEY,
    -- Set while the queue is paused: nothing of it is handed to the broker, and no worker takes from it.
    paused_at timestamptz
);

-- Whoever enqueues a job may name an address that is told how it goes on.
CREATE TABLE job_callbacks (
    job_id       uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    url          text NOT NULL,
    every_change boolean NOT NULL,
    -- The status that was told last, or that the job was born with: the same is not told twice.
    last_status  text NOT NULL,
    -- When the receiver asked not to be called any more.
    stopped_at   timestamptz
);

-- Each call that was made. `fence` is the delivery job's: one row a run.
CREATE TABLE webhook_deliveries (
    delivery_id uuid NOT NULL,
    fence       bigint NOT NULL,
    job_id      uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    told        text NOT NULL,
    attempt     integer NOT NULL,
    at          timestamptz NOT NULL,
    status      integer,
    error       text,
    duration_ms bigint NOT NULL,
    PRIMARY KEY (delivery_id, fence),
    CHECK ((status IS NULL) <> (error IS NULL))
);
CREATE INDEX webhook_deliveries_of_job ON webhook_deliveries (job_id, at);

-- Who is told when a job is over: reply queues of programs that submitted it by AMQP.
CREATE TABLE job_replies (
    job_id         uuid NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    reply_to       text NOT NULL,
    correlation_id text NOT NULL,
    PRIMARY KEY (job_id, reply_to, correlation_id)
);

-- Jobs that programs elsewhere started: by which machine token, and under which key of theirs. The row comes before
-- its job, because it decides whether there is to be one.
CREATE TABLE triggered_jobs (
    job_id       uuid PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    source       text NOT NULL,
    key          text,
    request_hash text NOT NULL,
    created_at   timestamptz NOT NULL,
    UNIQUE (source, key)
);

-- Jobs that were over long ago are removed; a short row stays, so that their addresses can say so.
CREATE TABLE expired_jobs (
    id          uuid PRIMARY KEY,
    owner       uuid,
    kind        text NOT NULL,
    state       text NOT NULL CHECK (state IN ('succeeded', 'failed', 'cancelled')),
    -- The machine that started it, if one did.
    source      text,
    finished_at timestamptz NOT NULL,
    expired_at  timestamptz NOT NULL
);
CREATE INDEX expired_jobs_age ON expired_jobs (expired_at);
CREATE INDEX expired_jobs_of_owner ON expired_jobs (owner) WHERE owner IS NOT NULL;

-- Messages that are no envelope of ours, kept for a person to look at.
CREATE TABLE dead_messages (
    id    uuid PRIMARY KEY,
    queue text NOT NULL,
    body  bytea NOT NULL,
    error text NOT NULL,
    at    timestamptz NOT NULL
);

-- What happens at set times: when it will next, and when it did last.
CREATE TABLE schedules (
    name     text PRIMARY KEY,
    cron     text NOT NULL,
    next_at  timestamptz NOT NULL,
    last_at  timestamptz,
    last_job uuid,
    missed   integer NOT NULL DEFAULT 0
);

-- Every process that wrote a heartbeat lately.
CREATE TABLE processes (
    -- A worker's is the one in jobs.worker.
    id         uuid PRIMARY KEY,
    program    text NOT NULL,
    host       text NOT NULL,
    pid        integer NOT NULL,
    version    text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL,
    -- What it runs, its circuit breakers, whether it stops.
    facts      jsonb NOT NULL,
    -- A worker's lease: how long it may be silent before its jobs are given to others. Others have none.
    lease_ms   bigint,
    -- Counts up with each renewal. A supervisor that sees it stand still declares the process lost.
    renewals   bigint NOT NULL DEFAULT 0,
    lost_at    timestamptz,
    -- It ended by itself, with nothing left to run.
    stopped_at timestamptz
);

-- A queue in a minute. What ended in it is added up by every worker; the depths are written by whoever looks first.
CREATE TABLE queue_samples (
    queue           text NOT NULL,
    at              timestamptz NOT NULL,
    -- Due: waiting for a worker.
    due             bigint,
    -- For later: delayed, in backoff.
    scheduled       bigint,
    running         bigint,
    waiting         bigint,
    -- Messages that are ready in the broker; null when it could not be asked.
    broker          bigint,
    oldest_seconds  bigint,
    taken           bigint NOT NULL DEFAULT 0,
    succeeded       bigint NOT NULL DEFAULT 0,
    failed          bigint NOT NULL DEFAULT 0,
    -- Attempts that failed and will be made again.
    retried         bigint NOT NULL DEFAULT 0,
    -- Sums over those taken and those that ended, and the longest of each.
    wait_ms         bigint NOT NULL DEFAULT 0,
    longest_wait_ms bigint NOT NULL DEFAULT 0,
    run_ms          bigint NOT NULL DEFAULT 0,
    longest_run_ms  bigint NOT NULL DEFAULT 0,
    -- Runs that ended, in whatever way: those whose time is added up. One that ends with a snooze, or sleeps until
    -- other jobs are over, is neither a success nor a failure, and may have been the long part of its job.
    runs            bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, at)
);
CREATE INDEX queue_samples_age ON queue_samples (at);

-- Who may operate.
CREATE TABLE operators (
    id            uuid PRIMARY KEY,
    name          text NOT NULL UNIQUE,
    -- PHC string, argon2id.
    password_hash text NOT NULL,
    read_only     boolean NOT NULL,
    created_at    timestamptz NOT NULL
);

CREATE TABLE operator_sessions (
    token_hash  text PRIMARY KEY,
    operator_id uuid NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL
);
CREATE INDEX operator_sessions_of_operator ON operator_sessions (operator_id);

CREATE TABLE operator_tokens (
    id          uuid PRIMARY KEY,
    operator_id uuid NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    name        text NOT NULL,
    token_hash  text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL,
    used_at     timestamptz
);
CREATE INDEX operator_tokens_of_operator ON operator_tokens (operator_id);

-- One row for each thing that an operator did. It outlives the operator.
CREATE TABLE audit (
    -- UUIDv7: in the order of time.
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL,
    operator text NOT NULL,
    via      text NOT NULL CHECK (via IN ('page', 'api', 'command')),
    action   text NOT NULL,
    -- What it was done to: a job, a selection, a filter, a queue, …
    subject  jsonb NOT NULL,
    -- How many it changed, and how many it could not; null while it is under way, or was broken off.
    done     bigint,
    refused  bigint
);
