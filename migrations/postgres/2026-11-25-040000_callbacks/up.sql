-- Callbacks: whoever enqueues a job may name an address that is told how it goes on.

-- Read with the job's row at every change: the others cost nothing more.
ALTER TABLE jobs ADD COLUMN has_callback boolean NOT NULL DEFAULT false;

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
