-- Operations: who may operate, what they did, which processes there are, and how the queues fared.

-- Set while the queue is paused: nothing of it is handed to the broker, and no worker takes from it.
ALTER TABLE queues ADD COLUMN paused_at INTEGER;

-- What made a job fail for good, in a form in which jobs that failed alike agree: dead letters are grouped by it.
ALTER TABLE jobs ADD COLUMN dead_reason TEXT;

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

-- Every process that gave a sign of life lately.
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
    queue          TEXT NOT NULL,
    at             INTEGER NOT NULL,
    -- Due: waiting for a worker.
    due            INTEGER,
    -- For later: delayed, in backoff.
    scheduled      INTEGER,
    running        INTEGER,
    waiting        INTEGER,
    -- Messages that are ready in the broker; null when it could not be asked.
    broker         INTEGER,
    oldest_seconds INTEGER,
    taken          INTEGER NOT NULL DEFAULT 0,
    succeeded      INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    -- Tries that failed and will be made again.
    retried        INTEGER NOT NULL DEFAULT 0,
    -- Sums over those taken and those that ended, and the longest of each.
    wait_ms        INTEGER NOT NULL DEFAULT 0,
    longest_wait_ms INTEGER NOT NULL DEFAULT 0,
    run_ms         INTEGER NOT NULL DEFAULT 0,
    longest_run_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, at)
) STRICT;
CREATE INDEX queue_samples_age ON queue_samples (at);

-- Failed jobs, the newest first; and the dead letters by reason.
CREATE INDEX jobs_failed ON jobs (failure, id) WHERE state = 'failed';
CREATE INDEX jobs_dead ON jobs (kind, failure, dead_reason, id) WHERE failure IN ('exhausted', 'crashed');
-- While a queue is paused, the relay looks at each of the others for itself: what lies there must not be in its way.
CREATE INDEX jobs_pending_of_queue ON jobs (queue, run_at) WHERE state = 'pending';
