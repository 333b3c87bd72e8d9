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

-- A photo and an order outlive their jobs. The ids stay: they are what the jobs' addresses were.
ALTER TABLE photos DROP CONSTRAINT photos_job_id_fkey;
ALTER TABLE orders DROP CONSTRAINT orders_job_id_fkey;

-- What keeps a finished job: subjects that it did not bring to an end, and jobs that are to be decided on.
CREATE INDEX photos_unready ON photos (job_id) WHERE status = 'processing';
CREATE INDEX orders_unfinished ON orders (job_id) WHERE status NOT IN ('confirmed', 'rejected', 'cancelled');
CREATE INDEX jobs_held_in_order ON jobs (ordering_key) WHERE failure IN ('exhausted', 'crashed') AND ordering_key IS NOT NULL;
-- Whether somebody ever did anything.
CREATE INDEX jobs_of_owner ON jobs (owner) WHERE owner IS NOT NULL;
