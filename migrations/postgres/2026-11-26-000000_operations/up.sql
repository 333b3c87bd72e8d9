-- Operations: who may operate, what they did, which processes there are, and how the queues fared.

-- Set while the queue is paused: nothing of it is handed to the broker, and no worker takes from it.
ALTER TABLE queues ADD COLUMN paused_at timestamptz;

-- What made a job fail for good, in a form in which jobs that failed alike agree: dead letters are grouped by it.
ALTER TABLE jobs ADD COLUMN dead_reason text;

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

-- Every process that gave a sign of life lately.
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
    queue          text NOT NULL,
    at             timestamptz NOT NULL,
    -- Due: waiting for a worker.
    due            bigint,
    -- For later: delayed, in backoff.
    scheduled      bigint,
    running        bigint,
    waiting        bigint,
    -- Messages that are ready in the broker; null when it could not be asked.
    broker         bigint,
    oldest_seconds bigint,
    taken          bigint NOT NULL DEFAULT 0,
    succeeded      bigint NOT NULL DEFAULT 0,
    failed         bigint NOT NULL DEFAULT 0,
    -- Tries that failed and will be made again.
    retried        bigint NOT NULL DEFAULT 0,
    -- Sums over those taken and those that ended, and the longest of each.
    wait_ms        bigint NOT NULL DEFAULT 0,
    longest_wait_ms bigint NOT NULL DEFAULT 0,
    run_ms         bigint NOT NULL DEFAULT 0,
    longest_run_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, at)
);
CREATE INDEX queue_samples_age ON queue_samples (at);

-- Failed jobs, the newest first; and the dead letters by reason.
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE state = 'failed';
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE failure IN ('exhausted', 'crashed');
-- While a queue is paused, the relay looks at each of the others for itself: what lies there must not be in its way.
CREATE INDEX jobs_pending_of_queue ON jobs (queue, run_at) WHERE state = 'pending';
