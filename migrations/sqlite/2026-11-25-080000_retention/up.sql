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

-- A photo and an order outlive their jobs. The ids stay: they are what the jobs' addresses were.
-- SQLite can't drop a constraint, and a table that is made anew must first be dropped, which would take what
-- refers to it along. A column can be put in the place of another: no other table notices. (A new column must
-- have a default; nobody uses it.)
ALTER TABLE photos ADD COLUMN id_of_job TEXT NOT NULL DEFAULT '';
UPDATE photos SET id_of_job = job_id;
ALTER TABLE photos DROP COLUMN job_id;
ALTER TABLE photos RENAME COLUMN id_of_job TO job_id;

ALTER TABLE orders ADD COLUMN id_of_job TEXT NOT NULL DEFAULT '';
UPDATE orders SET id_of_job = job_id;
ALTER TABLE orders DROP COLUMN job_id;
ALTER TABLE orders RENAME COLUMN id_of_job TO job_id;

-- What keeps a finished job: subjects that it did not bring to an end, and jobs that are to be decided on.
CREATE INDEX photos_unready ON photos (job_id) WHERE status = 'processing';
CREATE INDEX orders_unfinished ON orders (job_id) WHERE status NOT IN ('confirmed', 'rejected', 'cancelled');
CREATE INDEX jobs_held_in_order ON jobs (ordering_key) WHERE failure IN ('exhausted', 'crashed') AND ordering_key IS NOT NULL;
-- Whether somebody ever did anything.
CREATE INDEX jobs_of_owner ON jobs (owner) WHERE owner IS NOT NULL;
