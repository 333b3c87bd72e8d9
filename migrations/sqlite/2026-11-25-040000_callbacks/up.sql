-- Callbacks: whoever enqueues a job may name an address that is told how it goes on.

-- Read with the job's row at every change: the others cost nothing more.
ALTER TABLE jobs ADD COLUMN has_callback INTEGER NOT NULL DEFAULT 0;

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
