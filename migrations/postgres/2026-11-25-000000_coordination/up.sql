-- Coordination of jobs: express, order, uniqueness, children, queues that are named while it runs.

ALTER TABLE jobs
    ADD COLUMN express      boolean NOT NULL DEFAULT false,
    ADD COLUMN parent       uuid REFERENCES jobs (id) ON DELETE SET NULL,
    ADD COLUMN ordering_key text,
    ADD COLUMN ordering_seq bigint,
    ADD COLUMN unique_key   text,
    ADD CHECK ((ordering_key IS NULL) = (ordering_seq IS NULL));

CREATE INDEX jobs_pending_express ON jobs (run_at) WHERE state = 'pending' AND (express OR woken);
CREATE INDEX jobs_of_parent ON jobs (parent) WHERE parent IS NOT NULL;
-- How many of one customer's jobs are with the broker, and how many are unfinished.
CREATE INDEX jobs_queued_of_owner ON jobs (owner, queue, express) WHERE state = 'queued' AND owner IS NOT NULL;
CREATE INDEX jobs_unfinished_of_owner ON jobs (owner)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND owner IS NOT NULL;
-- Whose turn it is, and never two at a time.
CREATE INDEX jobs_in_order ON jobs (ordering_key, ordering_seq)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_one_of_ordering_key ON jobs (ordering_key)
    WHERE state IN ('queued', 'running', 'waiting') AND ordering_key IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key)
    WHERE state IN ('pending', 'queued', 'running', 'waiting') AND unique_key IS NOT NULL;

-- The last place taken in each line.
CREATE TABLE ordering_keys (
    key      text PRIMARY KEY,
    last_seq bigint NOT NULL
);

-- Queues that exist. The programs add those that they were built with, and whoever names a new one adds that.
CREATE TABLE queues (
    name text PRIMARY KEY
);
